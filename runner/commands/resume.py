"""``mmm resume RUN``: go on with a run that was stopped, doing only what is missing."""

from __future__ import annotations

from pathlib import Path

from mmm_core.errors import UserError
from runner.commands.run import with_execution
from runner.latest import runs_named
from runner.orchestrate import Prepared, resume_run, run_experiment
from runner.portfolio import PortfolioFolder, PortfolioSpec, is_portfolio, load_portfolio
from runner.portfolio.clock import Clock
from runner.progress import open_progress
from runner.resuming import is_finished, prepared_of
from runner.run_folder import RunFolder, is_portfolio_folder
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
) -> RunFolder | PortfolioFolder:
    """Finish a run that was stopped or failed; a finished one is left as it is.

    Args:
        source: a run folder, or that of several models, or a spec file for the newest run of its name that did not
            finish.
        runs: where runs of a spec file are looked for.
        anew: where spec, data or versions have changed, start a new run with what they are now instead of refusing.
        workers, backend, address: replace where the run is executed; they never change a result.
        tracking_uri, quiet: as in ``run``.
    Returns:
        The run folder; with ``anew`` it may be a new one.
    Raises:
        UserError: there is no such run, it is still going on, or it is not what it began with.
    """
    clock = Clock()
    with clock("read"):
        whole, several = _find_portfolio(Path(source), Path(runs))
    if whole is not None:
        execution = (workers, backend, address)
        return _resume_portfolio(
            whole, several, execution, clock, anew=anew, tracking_uri=tracking_uri, quiet=quiet
        )
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
    folders = [RunFolder(path) for path in runs_named(spec.name, runs) if not is_portfolio_folder(path)]
    waiting = [folder for folder in folders if not is_finished(folder)]
    if not waiting:
        raise UserError(
            f"{source}: no run of {spec.name!r} in {runs} waits to go on; start one with: mmm run {source}"
        )
    return waiting[-1], spec


# ------------------------------------------------------------------------------------------------------ several models


def _find_portfolio(source: Path, runs: Path) -> tuple[PortfolioFolder | None, PortfolioSpec | None]:
    """The folder of several models that is meant, and their spec as its file says it now; None where it is one run."""
    if source.is_dir() or not source.exists():
        return (PortfolioFolder.open(source), None) if is_portfolio_folder(source) else (None, None)
    if not is_portfolio(source):
        return None, None
    spec = load_portfolio(source)
    found = [path for path in runs_named(spec.name, runs) if is_portfolio_folder(path)]
    waiting = [folder for path in found if not (folder := PortfolioFolder(path)).is_whole]
    if not waiting:
        raise UserError(
            f"{source}: no run of {spec.name!r} in {runs} waits to go on; start one with: mmm run {source}"
        )
    return waiting[-1], spec


def _resume_portfolio(
    folder: PortfolioFolder,
    asked: PortfolioSpec | None,
    execution: tuple[int | None, str | None, str | None],
    clock: Clock,
    *,
    anew: bool,
    tracking_uri: str | None,
    quiet: bool,
) -> PortfolioFolder:
    from runner.portfolio.progress import open_portfolio_progress
    from runner.portfolio.running import check_unchanged, resume_portfolio, run_portfolio

    if folder.is_whole:
        return folder
    with open_portfolio_progress(quiet) as progress:
        try:
            check_unchanged(folder, asked)
        except UserError:
            if not anew:
                raise
            spec = (asked or folder.spec).with_execution(lambda spec: with_execution(spec, *execution))
            return run_portfolio(
                spec, folder.path.parent, tracking_uri=tracking_uri, progress=progress, clock=clock
            )
        spec = folder.spec.with_execution(lambda spec: with_execution(spec, *execution))
        resume_portfolio(folder, spec, tracking_uri=tracking_uri, progress=progress, clock=clock)
    return folder
