"""What MLflow costs where its store is a database: rows added to its tables, beside its own ways.

A history is that of one metric; a small run is a candidate as a run of its own: a hundred parameters, metrics and tags.
Both ways write the same into two SQLite files, of which every row is compared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np

import runner.tracking.mlflow_tracker as tracker_module
from runner.tracking.base import NewRun, RunStatus, Series
from runner.tracking.mlflow_tracker import MlflowTracker, Store
from tests.benchmarks.timing import Row, row, seconds_of
from tests.runner.mirrored import empty_store, rows_in

POINTS, RUNS = 2_000, 20
WAYS = ("MLflow's own", "rows")


def open_stores(folder: Path) -> tuple[list[Store], list[MlflowTracker]]:
    """A store and its tracker for each way."""
    stores = [empty_store(folder / way) for way in WAYS]
    with mock.patch.object(tracker_module, "rows_of", return_value=None):
        trackers = [MlflowTracker(stores[0])]
    trackers.append(MlflowTracker(stores[1]))
    for tracker in trackers:
        tracker.open("benchmark")
    return stores, trackers


class Writer:
    """Writes more of the same whenever it is called; every writer with the same seed writes the same."""

    def __init__(self, tracker: MlflowTracker) -> None:
        self._tracker = tracker
        self._rng = np.random.default_rng(1)
        self._made = 0

    def history(self) -> None:
        """A run with one history."""
        handle = self._tracker.start(self._name(), {}, 1)
        steps = np.arange(1, POINTS + 1)
        self._tracker.log_series(handle, [Series("nrmse", steps, self._rng.random(POINTS))], 7)

    def runs(self) -> None:
        """Some small runs."""
        self._tracker.add_runs([self._run() for _ in range(RUNS)])

    def _run(self) -> NewRun:
        values = self._rng.random(67).tolist()
        params = {f"param_{i}": repr(value) for i, value in enumerate(values[:25])}
        metrics = {f"metric_{i}": value for i, value in enumerate(values[25:])}
        tags = [{f"{kind}_{i}": "x" * 40 for i in range(n)} for kind, n in (("known", 6), ("tag", 6))]
        return NewRun(self._name(), tags[0], 1, params, metrics, tags[1], 7, (RunStatus.FINISHED, 9))

    def _name(self) -> str:
        self._made += 1
        return f"{self._made:06d}"


def rows(repeats: int) -> Iterator[Row]:
    """Points of a history, and small runs."""
    few = min(repeats, 3)
    with tempfile.TemporaryDirectory() as folder:
        stores, trackers = open_stores(Path(folder))
        writers = [Writer(tracker) for tracker in trackers]
        timed = [_timed(writers, few, by) for by in (Writer.history, Writer.runs)]
        for tracker in trackers:
            tracker.close()
        same = rows_in(stores[0]) == rows_in(stores[1])
    check = f"{'equal' if same else 'NOT equal'} in every row of the store"
    subjects = (f"history of {POINTS:,} points", "µs per point", POINTS), ("small run", "ms per run", RUNS)
    for (subject, unit, n), (own, quick) in zip(subjects, timed, strict=True):
        reference = row("tracking", subject, WAYS[0], unit, own, n=n)
        yield reference
        yield row("tracking", subject, WAYS[1], unit, quick, n=n, reference=reference, check=check)


def _timed(writers: list[Writer], repeats: int, by: Callable[[Writer], None]) -> list[list[float]]:
    return [seconds_of(lambda writer=writer: by(writer), repeats) for writer in writers]
