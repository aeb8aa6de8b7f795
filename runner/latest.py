"""Which run a user means: a run folder, or a spec file for its newest run."""

from __future__ import annotations

import re
from pathlib import Path

from mmm_core.errors import UserError
from runner.resolve import as_run
from runner.run_folder import RunFolder
from runner.spec import load_spec


def find_run(source: str | Path, runs: str | Path = "runs") -> RunFolder:
    """The run folder at ``source``, or the newest run of the spec file there.

    Args:
        source: a run folder, or a spec file. runs: where run folders of specs are looked for.
    Raises:
        UserError: it is neither, or no run of the spec has finished.
    """
    source = Path(source)
    if source.is_dir() or not source.exists():
        return RunFolder.open(source)
    spec = load_spec(source)
    # Names sort by time: all that stands before the timestamp is the same.
    pattern = re.compile(re.escape(spec.name) + r"-\d{8}T\d{6}Z-[0-9a-f]{8}")
    named = sorted(
        path.parent for path in Path(runs).glob("*/manifest.json") if pattern.fullmatch(path.parent.name)
    )
    digest = as_run(spec).digest[:8] if named else ""
    own = [RunFolder(path) for path in named if path.name.endswith(f"-{digest}")]
    finished = [folder for folder in own if folder.manifest()["status"] == "done"]
    if finished:
        return finished[-1]
    if own:
        raise UserError(f"{own[-1].path}: the run of {source} did not finish; run it again")
    hint = f"start one with: mmm run {source}"
    if named:
        hint = f"the newest with other settings is {named[-1]}, give that folder to use it"
    raise UserError(f"{source}: no run of exactly this spec in {runs}; {hint}")
