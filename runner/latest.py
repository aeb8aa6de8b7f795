"""Which run a user means: a run folder, or a spec file for its newest run."""

from __future__ import annotations

from pathlib import Path

from mmm_core.errors import UserError
from runner.run_folder import RunFolder
from runner.spec import load_spec


def find_run(source: str | Path, runs: str | Path = "runs") -> RunFolder:
    """The run folder at ``source``, or the newest run of the spec file there.

    Args:
        source: a run folder, or a spec file. runs: where run folders of specs are looked for.
    Raises:
        UserError: it is neither, or the spec was never run.
    """
    source = Path(source)
    if source.is_dir() or not source.exists():
        return RunFolder.open(source)
    spec = load_spec(source)
    found = [
        path
        for path in Path(runs).glob(f"{spec.name}-*-{spec.digest[:8]}")
        if (path / "manifest.json").is_file()
    ]
    if not found:
        raise UserError(f"{source}: no run of this spec in {runs}; start one with: mmm run {source}")
    return RunFolder.open(max(found, key=lambda path: path.name))
