"""``mmm track RUN``: bring MLflow to the state of a run folder."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmm_core.errors import UserError
from runner.latest import find_portfolio, find_run
from runner.portfolio import PortfolioFolder
from runner.run_folder import RunFolder
from runner.tables import write_json
from runner.tracking.base import TrackingFailed
from runner.tracking.beside import Standing, State, write_standing
from runner.tracking.mirror import FAILED, MirrorReport, mirror_to
from runner.tracking.writing import Tell, silently


def run(
    source: str | Path, *, runs: str | Path = "runs", tracking_uri: str | None = None, quiet: bool = True
) -> MirrorReport:
    """Mirror a run folder to MLflow; doing it twice changes nothing.

    A mirror that is still at work in the background steps aside; what it has written stays.

    Args:
        source: a run folder, also that of several models, or a spec file for its newest run.
        runs: where runs of a spec file are looked for.
        tracking_uri: wins over the spec's tracking.uri, that over the variable MLFLOW_TRACKING_URI, that over an SQLite
        file beside the run folder.
        quiet: no progress display.
    Returns:
        What was written, renewed and left as it was.
    Raises:
        UserError: no such run, or a store that cannot be reached or written; what was written before stays.
    """
    whole = find_portfolio(source, runs)
    if whole is not None:
        return _track_portfolio(whole, tracking_uri, quiet)
    folder = find_run(source, runs)
    try:
        with _bar(quiet) as tell:
            report = mirror_to(folder, tracking_uri, tell)
            if _drop_failure(folder):
                mirror_to(folder, tracking_uri)
    except TrackingFailed as error:
        raise UserError(f"{error}; the run folder has everything, run mmm track again later") from error
    write_standing(folder, Standing(State.DONE, report.store, report.experiment))
    return report


def _track_portfolio(folder: PortfolioFolder, tracking_uri: str | None, quiet: bool) -> MirrorReport:
    from runner.portfolio.beside import mirror_portfolio

    if not (folder.path / "summary.json").is_file():
        raise UserError(
            f"{folder.path}: the run did not finish; go on with it first: mmm resume {folder.path}"
        )
    try:
        with _bar(quiet) as tell:
            report = mirror_portfolio(folder, tracking_uri, tell)
    except TrackingFailed as error:
        raise UserError(f"{error}; the run folder has everything, run mmm track again later") from error
    write_standing(RunFolder(folder.path), Standing(State.DONE, report.store, report.experiment))
    return report


def _drop_failure(folder: RunFolder) -> bool:
    """What the run said of an earlier attempt is true no longer; whether it said anything."""
    path = folder.path / "findings.json"
    if not path.is_file():
        return False
    found = folder.json("findings")
    kept = [record for record in found if record["case"] != FAILED]
    if len(kept) < len(found):
        write_json(path, kept)
    return len(kept) < len(found)


class _Lines:
    """A line every ten seconds."""

    _seconds_between = 10.0

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if total and now - self._last >= self._seconds_between:
            self._last = now
            sys.stderr.write(f"MLflow: {done / total:.0%}\n")


@contextmanager
def _bar(quiet: bool) -> Iterator[Tell]:
    """How far it is, on the error stream: a bar if that is a terminal, lines if they are asked for, as of a run."""
    if not quiet and os.environ.get("MMM_PROGRESS") == "lines":
        yield _Lines()
        return
    if quiet or not sys.stderr.isatty():
        yield silently
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("MLflow", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
