"""What the machine does while a run goes on: read, written to the run folder, shown by MLflow."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import runner.tracking.mlflow_tracker as tracker_module
from runner.run_folder import RunFolder
from runner.tables import read_table
from runner.tracking import beside, machine
from runner.tracking.base import SYSTEM_METRICS, SYSTEM_PREFIX, is_legal, legal_key
from runner.tracking.beside import mirrored
from runner.tracking.machine import RULES, Watch, began, rows_of, sample, system_series
from runner.tracking.memory_tracker import MemoryTracker
from runner.tracking.mirror import mirror
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store
from tests.runner.mirrored import by_name, copy_run, empty_store, make_run, picture

ON_LINUX = Path("/proc/stat").is_file()


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> RunFolder:
    """A run, never changed."""
    return make_run(tmp_path_factory.mktemp("made") / "runs", n=10)


def counters(seconds: float) -> dict[str, float]:
    """Of a machine of which a quarter is busy, and a process that has half a processor."""
    return {
        "time": 1000.0 + seconds,
        "process": 7 + 0.5 * seconds,
        "processors": 50 + 2 * seconds,
        "idle": 30 + 1.5 * seconds,
        "memory": 8e9,
        "memory_used": 2e9,
        "received": 5e6 + 1e6 * seconds,
        "sent": 2e6 * seconds,
        "own_memory": 3e8,
        "disk_used": 1e9,
        "disk_free": 3e9,
    }


def test_numbers_follow_from_the_counters():
    rows = list(rows_of([counters(s) for s in (0, 1, 4)], start=998))
    assert [row["seconds"] for row in rows] == [3, 6]
    assert list(rows[1])[1:] == list(RULES) == list(SYSTEM_METRICS)
    assert list(rows[1].values())[1:] == [25, 2000, 25, 25, 1000, 3000, 4, 8, 50, 300]


def test_what_cannot_be_read_is_left_out(tmp_path, monkeypatch):
    def fail(*_words, **_keys):
        raise PermissionError("no")

    monkeypatch.setattr(Path, "open", fail)
    monkeypatch.setattr(Path, "read_text", fail)
    samples = [sample(tmp_path / "gone"), sample(tmp_path)]
    time.sleep(0.01)
    row = next(rows_of([*samples, sample(tmp_path)][1:], 0.0))
    known = {name for name, value in row.items() if not math.isnan(value)}
    disk = {name for name in SYSTEM_METRICS if name.startswith("disk")}
    assert known == {"seconds", "driver_cpu_percentage", *disk}
    assert set(samples[0]) == {"time", "process"}


@pytest.mark.skipif(not ON_LINUX, reason="reads what Linux tells")
def test_numbers_are_those_of_the_monitor_of_mlflow(tmp_path):
    psutil = pytest.importorskip("psutil")
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    psutil.cpu_percent()
    first = sample(Path("/"))
    time.sleep(0.5)
    for monitor in monitors:
        monitor.collect_metrics()
    row = next(rows_of([first, sample(Path("/"))], 0.0))
    theirs = {name: value for monitor in monitors for name, value in monitor.aggregate_metrics().items()}
    assert set(theirs) == set(SYSTEM_METRICS[:8])
    for name, tolerance in (
        ("cpu_utilization_percentage", 20),
        ("system_memory_usage_percentage", 3),
        ("disk_usage_percentage", 1),
        ("network_receive_megabytes", 50),
    ):
        assert row[name] == pytest.approx(theirs[name], abs=tolerance)
    assert row["driver_memory_megabytes"] == pytest.approx(psutil.Process().memory_info().rss / 1e6, rel=0.2)


def test_names_are_legal_as_mlflow_has_them_and_no_others_with_a_slash():
    for name in SYSTEM_METRICS:
        assert legal_key(SYSTEM_PREFIX + name) == SYSTEM_PREFIX + name
        assert is_legal(SYSTEM_PREFIX + name)
    assert legal_key("system/tv") == "system_x2f_tv"
    assert not is_legal("system/tv")


def test_a_watch_writes_once_what_it_saw_and_a_later_one_adds_to_it(tmp_path, made):
    folder = copy_run(made, tmp_path)
    for rows in (2, 4):
        watch = Watch(folder, 0.05)
        while len(watch._samples) < 3:
            time.sleep(0.01)
        watch.stop()
        written = (folder.path / machine.FILE).read_bytes()
        watch.stop()
        assert (folder.path / machine.FILE).read_bytes() == written
        assert read_table(folder.path / machine.FILE).num_rows >= rows
    series = system_series(folder)
    assert {one.key for one in series} <= {SYSTEM_PREFIX + name for name in SYSTEM_METRICS}
    for one in series:
        assert (np.diff(one.times) > 0).all()
        assert abs(one.times[-1] / 1000 - time.time()) < 60


def test_a_long_run_has_no_more_samples_than_a_page_can_show(tmp_path, made, monkeypatch):
    monkeypatch.setattr(machine, "MOST", 8)
    watch = Watch(copy_run(made, tmp_path), 0.002)
    while watch._interval < 0.01:
        time.sleep(0.01)
    watch.stop()
    times = [one["time"] for one in watch._samples]
    assert len(times) <= 8
    assert times == sorted(times)


def test_a_watch_never_fails_a_run(tmp_path, made, monkeypatch):
    folder = copy_run(made, tmp_path)
    watch = Watch(folder, 0.01)
    shutil.rmtree(folder.path)
    watch.stop()
    assert not folder.path.exists()
    folder = copy_run(made, tmp_path)
    monkeypatch.setattr(machine, "write_table", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    Watch(folder, 0.01).stop()
    assert not (folder.path / machine.FILE).exists()


def test_a_run_is_watched_where_its_spec_asks_for_it(tmp_path, made, monkeypatch):
    told = []

    class Process(beside.MirrorProcess):
        def _start(self) -> None:
            pass

        def _tell(self, line: str) -> None:
            told.append((line, (self.folder.path / machine.FILE).is_file()))

        def _let_go(self) -> None:
            pass

    monkeypatch.setattr(beside, "MirrorProcess", Process)
    for asked in (False, True):
        folder = copy_run(made, tmp_path / str(asked))
        spec = folder.spec()
        spec = spec.model_copy(
            update={"tracking": spec.tracking.model_copy(update={"system_metrics": asked})}
        )
        with mirrored(folder, spec) as process:
            process.finish(0.0)
        assert told.pop() == ("done", asked)  # the file is there when the mirror is told to read it
    folder = copy_run(made, tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt), mirrored(folder, spec):
        raise KeyboardInterrupt
    assert (folder.path / machine.FILE).is_file()


def test_the_run_shows_it_whichever_way_it_goes_and_twice_is_once(tmp_path, made, monkeypatch):
    folder = copy_run(made, tmp_path)
    bare = MemoryTracker()
    mirror(folder, bare)
    watch = Watch(folder, 0.01)
    time.sleep(0.1)
    watch.stop()
    memory = MemoryTracker()
    mirror(folder, memory)
    whole = by_name(picture(memory))
    expected = {one.key: sorted(one.points(0)) for one in system_series(folder)}
    run = whole[folder.run_id]
    assert {key: run.histories[key] for key in expected} == expected
    assert began(folder) * 1000 <= min(time for *_, time in run.histories["system/driver_cpu_percentage"])
    assert machine.FILE in run.files
    before = by_name(picture(bare))
    assert {name: one for name, one in whole.items() if name != folder.run_id} == {
        name: one for name, one in before.items() if name != folder.run_id
    }
    assert replace(run, histories={}, latest={}, files={}, tags={}) == replace(
        before[folder.run_id], histories={}, latest={}, files={}, tags={}
    )
    for has_rows in (True, False):
        with monkeypatch.context() as patch:
            if not has_rows:
                patch.setattr(tracker_module, "rows_of", lambda _sql: None)
            empty_store(tmp_path / str(has_rows))
            tracker = MlflowTracker(choose_store(tmp_path / str(has_rows)))
        tracker.open(folder.spec().experiment)
        mirror(folder, tracker)
        assert by_name(picture(tracker)) == whole
        assert len(mirror(folder, tracker).unchanged) == len(whole)
        tracker.close()
