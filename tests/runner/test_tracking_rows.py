"""The quick way into MLflow's database writes what MLflow's own way writes, and gives way where it must."""

from __future__ import annotations

import sqlite3
import time
import uuid
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

import runner.tracking.mlflow_tracker as tracker_module
from runner.tracking.base import NewRun, RunStatus, Series, TrackingFailed
from runner.tracking.memory_tracker import MemoryTracker
from runner.tracking.mirror import mirror
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store
from runner.tracking.rows import RUNS_PER_TRANSACTION, _handles
from tests.runner.mirrored import by_name, empty_store, make_run, picture

TABLES = {
    "metrics": "key, value, timestamp, step, is_nan",
    "latest_metrics": "key, value, timestamp, step, is_nan",
    "params": "key, value",
    "tags": "key, value",
    "runs": "name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, "
    "deleted_time, source_version, lifecycle_stage, experiment_id",
}


def series(key: str, *values: float, first: int = 1) -> Series:
    return Series(key, np.arange(first, first + len(values)), np.array(values))


def opened(runs, monkeypatch, has_rows: bool) -> MlflowTracker:
    with monkeypatch.context() as patch:
        if not has_rows:
            patch.setattr(tracker_module, "rows_of", lambda _sql: None)
        empty_store(runs)
        tracker = MlflowTracker(choose_store(runs))
    tracker.open("rows")
    return tracker


def contents(tracker: MlflowTracker) -> dict[str, list[tuple]]:
    """Every row of every run, without what names the run itself."""
    with closing(sqlite3.connect(tracker.location)) as connection:
        return {
            table: sorted(connection.execute(f"SELECT {columns} FROM {table}").fetchall())
            for table, columns in TABLES.items()
        }


def write_all(tracker: MlflowTracker) -> None:
    """All kinds of calls, later steps before earlier ones and values twice among them."""
    whole = tracker.start("whole", {"mmm.run_id": "r", "selected": "false"}, 1000)
    tracker.log(whole, params={"a": "1", "b": "x" * 6000}, metrics={"nrmse": 0.5, "rsq": -1e300}, timestamp=7)
    tracker.log_series(whole, [series("loss", 3, 2, 1), series("share", 0.1, 0.2)], 7, {"mmm.points": "5"})
    tracker.log_series(
        whole, [series("loss", 9, 8, first=4), series("share", 0.3, first=0)], 7, {"mmm.points": "8"}
    )
    tracker.log_series(whole, [series("loss", 9, 8, 7, first=4)], 7, {"mmm.points": "9"})  # two are there
    tracker.log(
        whole, params={"a": "1", "c": "3"}, metrics={"nrmse": 0.4}, tags={"selected": "true"}, timestamp=7
    )
    tracker.log(whole, metrics={"nrmse": 0.6, "new": 1.0}, timestamp=7)
    small = tracker.start("small", {}, 2000)
    ending = (RunStatus.FINISHED, 3000)
    tracker.log(small, params={"p": "ü"}, metrics={"m": 1.5}, tags={"t": "v"}, timestamp=8, ending=ending)
    tracker.log(small, params={"p": "ü"}, metrics={"m": 1.5}, tags={"t": "v"}, timestamp=8, ending=ending)
    new = [
        NewRun(f"new {i}", {"k": "v", "t": "1"}, 4000 + i, {"p": str(i)}, {"m": i / 3}, {"t": "2"}, 9, ending)
        for i in range(3)
    ]
    tracker.add_runs(new)
    tracker.add_runs([replace(new[0], name="bare", params={}, metrics={}, known={}, tags={})])


def test_both_ways_leave_the_same_rows_in_every_table(tmp_path, monkeypatch):
    quick = opened(tmp_path / "quick", monkeypatch, has_rows=True)
    slow = opened(tmp_path / "slow", monkeypatch, has_rows=False)
    assert quick.points_per_call > slow.points_per_call
    write_all(quick)
    write_all(slow)
    assert contents(quick) == contents(slow)


def test_a_whole_run_reads_the_same_whichever_way_it_went(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "runs")
    memory = MemoryTracker()
    mirror(folder, memory)
    for has_rows in (True, False):
        tracker = opened(tmp_path / str(has_rows), monkeypatch, has_rows)
        tracker.open(folder.spec().experiment)
        mirror(folder, tracker)
        assert by_name(picture(tracker)) == by_name(picture(memory))


def test_every_candidate_as_a_run_reads_the_same_whichever_way_it_went(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "runs", tracking={"candidates": "all"})
    memory = MemoryTracker()
    mirror(folder, memory)
    whole = by_name(picture(memory))
    assert len(whole) == 3 + 80
    monkeypatch.setattr(tracker_module, "RUNS_PER_TRANSACTION", 30)
    for has_rows in (True, False):
        tracker = opened(tmp_path / str(has_rows), monkeypatch, has_rows)
        tracker.open(folder.spec().experiment)
        mirror(folder, tracker)
        assert by_name(picture(tracker)) == whole
        assert len(mirror(folder, tracker).unchanged) == len(whole)


def test_ids_of_runs_are_uuids_in_the_order_of_time():
    made = [handle for _ in range(3) for handle in (_handles(RUNS_PER_TRANSACTION), time.sleep(0.002))[0]]
    assert made == sorted(made)
    assert len(set(made)) == 3 * RUNS_PER_TRANSACTION
    assert all(len(one) == 32 and uuid.UUID(one).version == 7 for one in made)
    assert all(uuid.UUID(one).variant == uuid.RFC_4122 for one in made)
    assert RUNS_PER_TRANSACTION <= 1 << 12


def test_of_runs_that_are_added_at_once_all_are_there_or_none(tmp_path, monkeypatch):
    tracker = opened(tmp_path, monkeypatch, has_rows=True)
    before = contents(tracker)
    new = NewRun("a", {}, 1, {"p": "1"}, {"m": 1.0}, {"t": "v"}, 1, (RunStatus.FINISHED, 2))
    monkeypatch.setattr("runner.tracking.rows._tags_of", lambda run: {"t": object()})
    with pytest.raises(TrackingFailed):
        tracker.add_runs([new, new])
    assert contents(tracker) == before


def test_a_parameter_is_never_replaced_and_a_deleted_run_takes_nothing(tmp_path, monkeypatch):
    tracker = opened(tmp_path, monkeypatch, has_rows=True)
    run = tracker.start("run", {}, 1000)
    tracker.log(run, params={"a": "1"})
    with pytest.raises(TrackingFailed, match="Changing param values is not allowed"):
        tracker.log(run, params={"a": "2"}, metrics={"m": 1.0}, tags={"t": "v"})
    tracker.delete(run)
    before = contents(tracker)
    with pytest.raises(TrackingFailed, match="must be in the 'active' state"):
        tracker.log_series(run, [series("loss", 1, 2)], 7)
    assert contents(tracker) == before


def test_what_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    """Points and the mark of how many have arrived go in together or not at all."""
    tracker = opened(tmp_path, monkeypatch, has_rows=True)
    run = tracker.start("run", {}, 1000)
    before = contents(tracker)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(tracker_module.Rows, "_replace_tags", fail)
    with pytest.raises(TrackingFailed, match="disk full"):
        tracker.log_series(run, [series("loss", 1, 2)], 7, {"mmm.points": "2"})
    assert contents(tracker) == before


def test_an_mlflow_that_keeps_more_of_a_point_is_left_to_do_so_itself(tmp_path, monkeypatch):
    tracker = opened(tmp_path, monkeypatch, has_rows=True)
    rows = tracker_module.rows_of(tracker._sql)
    assert rows is not None
    monkeypatch.setattr("runner.tracking.rows._POINT", {"run_uuid", "key", "value", "step"})
    assert tracker_module.rows_of(tracker._sql) is None
