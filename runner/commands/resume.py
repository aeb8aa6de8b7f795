"""``mmm resume RUN``: go on with a run that was stopped, doing only what is missing."""

from __future__ import annotations

from pathlib import Path

from mmm_core.errors import UserError
from runner.commands.run import with_execution
from runner.orchestrate import Prepared, resume_run, run_experiment
from runner.progress import open_progress
from runner.resuming import is_finished, prepared_of
from runner.run_folder import RunFolder
from runner.spec import ExperimentSpec, load_spec


def run(
    source: str | Path,
    *,
    runs: str | Path = "runs",
    anew: bool = False,
    workers: int | None = None,
    backend: str | None = None,
    address: str | None = None,
    tracking_uri: str | None = None,
    quiet: bool = True,
) -> RunFolder:
    """Finish a run that was stopped or failed; a finished one is left as it is.

    Args:
        source: a run folder, or a spec file for the newest run of its name that did not finish.
        runs: where runs of a spec file are looked for.
        anew: where spec, data or versions have changed, start a new run with what they are now instead of refusing.
        workers, backend, address: replace where the run is executed; they never change a result.
        tracking_uri, quiet: as in ``run``.
    Returns:
        The run folder; with ``anew`` it may be a new one.
    Raises:
        UserError: there is no such run, it is still going on, or it is not what it began with.
    """
    folder, asked = _find(Path(source), Path(runs))
    if is_finished(folder):
        with folder.held():
            folder.sweep()
        return folder
    try:
        prepared = prepared_of(folder, asked)
    except UserError:
        if not anew:
            raise
        spec = with_execution(asked or folder.spec(), workers, backend, address)
        with open_progress(quiet) as progress:
            return run_experiment(spec, folder.path.parent, tracking_uri=tracking_uri, progress=progress)
    spec = with_execution(prepared.spec, workers, backend, address)
    prepared = Prepared(spec, prepared.panel, prepared.studies, prepared.problem, prepared.findings)
    with open_progress(quiet) as progress:
        resume_run(folder, prepared, tracking_uri=tracking_uri, progress=progress)
    return folder


def _find(source: Path, runs: Path) -> tuple[RunFolder, ExperimentSpec | None]:
    if source.is_dir() or not source.exists():
        return RunFolder.open(source), None
    spec = load_spec(source)
    folders = [RunFolder(path.parent) for path in sorted(runs.glob(f"{spec.name}-*/manifest.json"))]
    waiting = [folder for folder in folders if not is_finished(folder)]
    if not waiting:
        raise UserError(
            f"{source}: no run of {spec.name!r} in {runs} waits to go on; start one with: mmm run {source}"
        )
    return waiting[-1], spec
