"""``mmm import-robyn MODEL.json``: a model of R Robyn becomes a run of ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.progress import open_progress
from runner.robyn.importing import Imported, import_model
from runner.run_folder import check_runs


def run(
    model: str | Path,
    *,
    data: str | None = None,
    holidays: str | None = None,
    baseline: str | None = None,
    overrides: Sequence[str] = (),
    runs: str | Path = "runs",
    tracking_uri: str | None = None,
    quiet: bool = True,
) -> Imported:
    """Rebuild the model of a file of ``robyn_write`` and make a run folder of it.

    Args:
        model: RobynModel-<solID>.json.
        data: the table that it was made on; default the raw data in the file.
        holidays: Robyn's table of holidays (ds, holiday, country, year).
        baseline: a table with Robyn's own Prophet columns, such as its dt_mod; Prophet is not fitted then.
        overrides: key=value of any key of the spec, such as bootstrap.refits=0.
        runs: folder that the run folder is made in. tracking_uri: MLflow server.
        quiet: no progress display.
    Returns:
        Imported: the run folder, and our numbers beside the file's.
    Raises:
        UserError: file or data cannot be used; nothing was written.
    """
    check_runs(Path(runs))
    with open_progress(quiet) as progress:
        return import_model(
            model,
            Path(runs),
            data=data,
            holidays=holidays,
            baseline=baseline,
            overrides=overrides,
            tracking_uri=tracking_uri,
            progress=progress,
        )
