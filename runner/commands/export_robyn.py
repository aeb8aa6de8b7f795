"""``mmm export-robyn RUN --candidate ID``: a model as R Robyn's ``robyn_write`` would write it."""

from __future__ import annotations

from pathlib import Path

from runner.latest import find_run
from runner.robyn.writing import Exported, export_model


def run(
    source: str | Path,
    *,
    candidate: str | None = None,
    out: str | Path | None = None,
    runs: str | Path = "runs",
) -> Exported:
    """Write one candidate of a run to ``RobynModel-<solID>.json``.

    Args:
        source: a run folder, or a spec file for its newest run. candidate: such as 3_120, default the best model.
        out: the file; default its own name in the current directory. runs: where runs of a spec are looked for.
    Returns:
        Exported: where it is, and in sentences what R will not do alike.
    Raises:
        UserError: there is no such run or candidate, or the file cannot be written.
    """
    return export_model(find_run(source, runs), candidate, None if out is None else Path(out))
