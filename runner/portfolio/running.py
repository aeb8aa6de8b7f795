"""A portfolio from its spec, or from where it was stopped, to its tables and its page."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmm_core.errors import UserError
from runner.orchestrate import backend_of, filling, start
from runner.portfolio.beside import bring_to_mlflow
from runner.portfolio.clock import Clock
from runner.portfolio.driving import Drive
from runner.portfolio.folder import PortfolioFolder
from runner.portfolio.progress import PortfolioProgress
from runner.portfolio.remote import Failure
from runner.portfolio.spec import Member, PortfolioSpec
from runner.portfolio.writing import write_results
from runner.readiness import make_ready
from runner.resuming import version_differences
from runner.run_folder import versions


def run_portfolio(
    portfolio: PortfolioSpec,
    runs: Path,
    *,
    tracking_uri: str | None = None,
    progress: PortfolioProgress,
    clock: Clock | None = None,
) -> PortfolioFolder:
    """Run every model; what is wrong with one costs that one alone.

    Args:
        portfolio: what to do. runs: folder that the portfolio's is made in.
        tracking_uri: MLflow store instead of the spec's. progress: is told how far it is.
        clock: runs since the user began to wait; default from now on.
    Raises:
        UserError: there is no place to run, or no model could be had; the sentence of the first is told.
    """
    folder = PortfolioFolder.create(runs, portfolio)
    progress.begin(len(portfolio.members), 0)
    _drive(folder, portfolio, portfolio.members, tracking_uri, progress, clock or Clock())
    return folder


def resume_portfolio(
    folder: PortfolioFolder,
    portfolio: PortfolioSpec,
    *,
    tracking_uri: str | None = None,
    progress: PortfolioProgress,
    clock: Clock | None = None,
) -> None:
    """Run the models that are missing, those that failed among them: their data may have been mended.

    Args:
        folder: the portfolio, checked by ``check_unchanged``. portfolio: what it began with, executed as now asked.
        tracking_uri, progress, clock: as of ``run_portfolio``.
    Raises:
        UserError: as ``run_portfolio``.
    """
    missing = [member for member in portfolio.members if folder.finished(member) is None]
    progress.begin(len(portfolio.members), len(portfolio.members) - len(missing))
    _drive(folder, portfolio, missing, tracking_uri, progress, clock or Clock())


def check_unchanged(folder: PortfolioFolder, asked: PortfolioSpec | None) -> None:
    """Refuse to go on with a portfolio that would come from two programs, or from two specs.

    Args:
        folder: the portfolio. asked: what its spec file says now, where the user gave that.
    Raises:
        UserError: with the differences.
    """
    differences = list(version_differences(folder.manifest()["versions"], versions()))
    if asked is not None and asked.digest != folder.manifest()["digest"]:
        began = {member.name: member.spec.digest for member in folder.spec.members}
        now = {member.name: member.spec.digest for member in asked.members}
        changed = [name for name in {**began, **now} if began.get(name) != now.get(name)]
        what = f"the spec of {', '.join(changed[:5])}" if changed else "portfolio.pooling"
        differences.append(
            f"{what} has changed" + (f" (and {len(changed) - 5} more)" if len(changed) > 5 else "")
        )
    if differences:
        raise UserError(
            f"{folder.path}: not what the run began with: {'; '.join(differences[:5])}; put it back, or start anew "
            "with --anew"
        )


def _drive(
    folder: PortfolioFolder,
    portfolio: PortfolioSpec,
    members: Sequence[Member],
    tracking_uri: str | None,
    progress: PortfolioProgress,
    clock: Clock,
) -> None:
    failures: dict[str, Failure] = {}
    with filling(folder):
        folder.set_status("running")
        if members:
            with clock("models"):
                failures = _compute(folder, portfolio, members, progress)
        with clock("summary"):
            results = write_results(folder, failures)
        clock.note(folder, len(members))
        folder.set_status("done")
    if not results.folders:
        name, failure = next(iter(failures.items()))
        raise UserError(f"{folder.path}: every model failed, the first, {name}, for this: {failure.message}")
    with clock("tracking"):
        bring_to_mlflow(folder, tracking_uri, clock.total)
    clock.note(folder, len(members))


def _compute(
    folder: PortfolioFolder, portfolio: PortfolioSpec, members: Sequence[Member], progress: PortfolioProgress
) -> dict[str, Failure]:
    with backend_of(portfolio.common) as backend, ThreadPoolExecutor(max_workers=1) as beside:
        backend.warm_up()
        ready = beside.submit(make_ready, backend)
        start(backend)
        ready.result()
        drive = Drive(portfolio, folder, backend, progress)
        drive.run(members)
    return drive.failures
