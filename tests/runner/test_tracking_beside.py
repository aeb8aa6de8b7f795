"""The mirror beside a run: it ends as it should, and whatever happens to it costs the run a finding at most."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import contextmanager

import pytest

from runner.findings import Severity
from runner.run_folder import RunFolder
from runner.spec import decode
from runner.tables import read_table
from runner.tracking import beside
from runner.tracking.base import TrackingFailed
from runner.tracking.beside import (
    FILE,
    Mirror,
    MirrorProcess,
    Orders,
    Standing,
    State,
    add_finding,
    has_free_processor,
    mirrored,
    read_standing,
    seconds_to_wait,
    write_standing,
)
from runner.tracking.memory_tracker import MemoryTracker
from runner.tracking.mirror import claimed, failure, mirror, mirror_to
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store
from tests.runner.mirrored import by_name, copy_run, empty_store, make_run, make_spec, picture

DEAD = "http://127.0.0.1:9"
LATER = ["candidates/trial-02.parquet", "clusters.parquet", "pareto.parquet", "summary.json", "timings.json"]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> RunFolder:
    """A run, never changed."""
    return make_run(tmp_path_factory.mktemp("made") / "runs")


@pytest.fixture
def folder(made, tmp_path, monkeypatch) -> RunFolder:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv(beside.WAIT_VARIABLE, raising=False)
    monkeypatch.setattr(beside, "RETRY", 0.05)
    return copy_run(made, tmp_path)


def whole(folder: RunFolder):
    tracker = MemoryTracker()
    mirror(folder, tracker)
    return by_name(picture(tracker))


@pytest.fixture
def start(folder, monkeypatch):
    """Starts the mirror's side; what is left of it ends with the test."""
    sides: list[Beside] = []

    def begin() -> Beside:
        sides.append(Beside(folder, monkeypatch))
        return sides[-1]

    yield begin
    for side in sides:
        side.close()


class Beside:
    """The mirror's side in a thread, on a tracker in memory."""

    def __init__(self, folder, monkeypatch, tracker=None) -> None:
        self.tracker = tracker or MemoryTracker()
        self.failing = 0
        read, self._write = os.pipe()
        self._descriptors = {read, self._write}
        monkeypatch.setattr(beside, "open_tracker", self._open)
        self.mirror = Mirror(folder, None, Orders(read))
        self.thread = threading.Thread(target=self.mirror.run)
        self.thread.start()

    @contextmanager
    def _open(self, _folder, _uri):
        if self.failing > 0:
            self.failing -= 1
            raise TrackingFailed("no server")
        yield self.tracker

    def statuses(self) -> list[str]:
        return [str(run.status) for run in list(self.tracker.experiments.get("small", {}).values())]

    def say(self, text: str) -> None:
        os.write(self._write, text.encode())

    def go(self) -> None:
        self._descriptors.remove(self._write)
        os.close(self._write)

    def close(self) -> None:
        for descriptor in sorted(self._descriptors, reverse=True):  # the end to write to, then the other
            os.close(descriptor)
            self.thread.join(20)
        assert not self.thread.is_alive()

    def standing(self) -> State | None:
        found = read_standing(self.mirror.folder)
        return found and found.state

    def until(self, condition) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def end(self) -> None:
        self.thread.join(20)
        assert not self.thread.is_alive()


# ------------------------------------------------------------------------------------------------- the mirror's side


def test_a_run_is_shown_while_it_goes_on_and_complete_when_it_is_done(folder, start, monkeypatch):
    later = {name: (folder.path / name).read_bytes() for name in LATER}
    for name in LATER:
        (folder.path / name).unlink()
    folder.set_status("running")
    folder.set_stage("search", "done")
    side = start()
    with folder.held():  # as by the run that fills it
        side.until(lambda: "FINISHED" in side.statuses())
    shown = by_name(picture(side.tracker))
    assert (shown[folder.run_id].status, shown["trial-01"].status) == ("RUNNING", "FINISHED")
    assert read_standing(folder).state is State.WRITING
    for name, content in later.items():
        (folder.path / name).write_bytes(content)
    folder.set_status("done")
    side.say("done\n")
    side.end()
    assert read_standing(folder).state is State.DONE
    assert by_name(picture(side.tracker)) == whole(folder)


def test_nothing_is_written_before_the_search_has_left_a_processor(folder, start, monkeypatch):
    side = start()
    time.sleep(0.3)
    assert (read_standing(folder).state, side.tracker.experiments) == (State.WAITING, {})
    side.go()
    side.end()
    assert (read_standing(folder).state, side.tracker.experiments) == (State.STOPPED, {})


def test_a_run_that_ends_before_its_time_is_not_shown_as_going_on(folder, start, monkeypatch):
    folder.set_status("running")
    folder.set_stage("search", "done")
    side = start()
    side.until(lambda: len(side.statuses()) == 3)
    folder.set_status("failed")
    side.go()
    side.end()
    assert read_standing(folder).state is State.STOPPED
    assert by_name(picture(side.tracker))[folder.run_id].status == "FAILED"
    mirror(folder, side.tracker)
    assert by_name(picture(side.tracker)) == whole(folder)


def test_a_store_that_comes_up_during_the_run_is_filled(folder, start, monkeypatch):
    folder.set_stage("search", "done")
    side = start()
    side.failing = 3
    side.until(lambda: side.failing == 0)
    side.say("done\n")
    side.end()
    assert read_standing(folder).state is State.DONE
    assert by_name(picture(side.tracker)) == whole(folder)


def test_a_failure_after_the_run_has_gone_is_added_to_its_findings(folder, start, monkeypatch):
    side = start()
    side.failing = 10**9
    side.say("done\n")
    side.go()
    side.end()
    assert (read_standing(folder).state, read_standing(folder).message) == (State.FAILED, "no server")
    assert [f["case"] for f in folder.json("findings")] == ["rows-per-column", "tracking-failed"]
    add_finding(folder, failure(folder, "again"))
    assert [f["case"] for f in folder.json("findings")] == ["rows-per-column", "tracking-failed"]


def test_a_store_that_is_too_slow_is_given_up(folder, start, monkeypatch):
    monkeypatch.setattr(beside, "PATIENCE_SECONDS", -1.0)
    side = start()
    side.say("done\n")
    side.end()
    assert "too slow" in read_standing(folder).message


def test_a_broken_folder_is_told(folder, start, monkeypatch):
    (folder.path / "candidates" / "trial-01.parquet").write_bytes(b"broken")
    side = start()
    side.say("done\n")
    side.end()
    assert "trial-01.parquet: cannot be read" in read_standing(folder).message


def test_a_process_that_asks_for_the_folder_gets_it(folder, start, monkeypatch):
    folder.set_stage("search", "done")
    side = start()
    side.until(lambda: side.standing() is State.WRITING)
    other = MemoryTracker()
    with claimed(folder):
        mirror(folder, other)  # waits until the mirror has stepped aside
        side.say("done\n")
        time.sleep(0.3)
        assert side.thread.is_alive()
    side.end()
    assert read_standing(folder).state is State.DONE
    assert by_name(picture(other)) == by_name(picture(side.tracker)) == whole(folder)


def test_a_folder_that_was_thrown_away_is_not_made_again(folder):
    gone = RunFolder(folder.path.with_name("gone"))
    write_standing(gone, Standing(State.DONE))
    assert not gone.path.exists()
    assert read_standing(gone) is None


@pytest.mark.parametrize(
    ("execution", "is_free"),
    [
        ({"backend": "serial"}, True),
        ({}, False),
        ({"workers": 1}, True),
        ({"workers": 4}, False),
        ({"address": "ray://head:10001"}, True),
    ],
)
def test_the_search_may_leave_a_processor_alone(tmp_path, monkeypatch, execution, is_free):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    spec = make_spec(tmp_path, execution=execution)
    assert has_free_processor(decode(spec.resolved(), "test")) is is_free


# ------------------------------------------------------------------------------------------------- the run's own side


@pytest.mark.integration
def test_a_process_of_its_own_fills_mlflow_and_steps_behind_the_run(folder):
    empty_store(folder.path.parent)
    with folder.held(), mirrored(folder, folder.spec()) as process:
        while read_standing(folder) is None:
            time.sleep(0.01)
        number = process._process.pid
        assert os.getpriority(os.PRIO_PROCESS, number) > os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpgid(number) != os.getpgid(0)
        assert process.finish(60.0) == []
    assert read_standing(folder).state is State.DONE
    tracker = MlflowTracker(choose_store(folder.path.parent))
    tracker.open("small")
    assert by_name(picture(tracker)) == whole(folder)
    tracker.close()
    assert len(mirror_to(folder).unchanged) == 5


def test_a_dead_server_costs_a_warning(folder):
    process = MirrorProcess(folder, DEAD)
    findings = process.finish(60.0)
    assert [(f.case, f.status) for f in findings] == [("tracking-failed", Severity.WARNING)]
    assert "no MLflow server answers" in findings[0].details
    assert "\n" not in findings[0].details
    assert f"mmm track {folder.run_id}" in findings[0].recommendation


def test_a_process_that_is_killed_costs_a_warning(folder):
    process = MirrorProcess(folder, DEAD)
    os.kill(process._process.pid, signal.SIGKILL)
    assert "ended early" in process.finish(60.0)[0].details
    process.abandon()


def test_a_process_that_cannot_be_started_costs_a_warning(folder, monkeypatch):
    def refuse(*_words, **_keys):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(beside.subprocess, "Popen", refuse)
    process = MirrorProcess(folder)
    assert "Cannot allocate memory" in process.finish(1.0)[0].details


def test_a_run_does_not_wait_longer_than_it_may(folder):
    with mirrored(folder, folder.spec(), DEAD) as process:
        assert process.finish(0.0) == []  # goes on alone
        number = process._process
    number.wait(30)
    assert read_standing(folder).state is State.FAILED
    assert folder.json("findings")[-1]["case"] == "tracking-failed"


def test_a_run_that_fails_takes_its_mirror_with_it(folder):
    with pytest.raises(ValueError, match="search"), mirrored(folder, folder.spec(), DEAD) as process:
        raise ValueError("search")
    process._process.wait(30)


def test_a_run_that_is_not_tracked_has_no_mirror(folder, tmp_path):
    spec = make_spec(tmp_path / "data", tracking={"enabled": False})
    with mirrored(folder, spec) as process:
        assert process is None
    assert not (folder.path / FILE).exists()


@pytest.mark.parametrize(
    ("variable", "pid", "seconds"),
    [
        ("", 7, 10.0),
        ("3", 7, 3.0),
        ("all", 7, float("inf")),
        ("", 1, float("inf")),
        ("0", 1, 0.0),
        ("soon", 7, 10.0),
    ],
)
def test_how_long_a_run_waits_can_be_said(monkeypatch, variable, pid, seconds):
    monkeypatch.setenv(beside.WAIT_VARIABLE, variable)
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    monkeypatch.setattr(os, "getpid", lambda: pid)
    assert seconds_to_wait(40.0) == seconds
    if not variable and pid != 1:
        assert seconds_to_wait(500.0) == 50.0
        monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
        assert seconds_to_wait(40.0) == float("inf")


@pytest.mark.parametrize(
    ("standing", "sentence"),
    [
        (Standing(State.DONE, "db", "e"), "MLflow: db, experiment e"),
        (
            Standing(State.WRITING, "db", "e", 30, 120),
            "still being filled in the background, 25% of it is there",
        ),
        (Standing(State.WAITING, experiment="e"), "nothing is there yet"),
        (Standing(State.FAILED, message="no server"), "MLflow does not show all of this run: no server"),
    ],
)
def test_where_a_mirror_is_is_said_in_a_sentence(folder, standing, sentence):
    write_standing(folder, standing)
    assert sentence in read_standing(folder).sentence
    assert json.loads((folder.path / FILE).read_text())["state"] == standing.state


@pytest.mark.integration
def test_histories_are_read_from_mlflow_as_they_are_in_the_folder(folder):
    empty_store(folder.path.parent)
    mirror_to(folder)
    tracker = MlflowTracker(choose_store(folder.path.parent))
    tracker.open("small")
    table = read_table(folder.path / "candidates" / "trial-01.parquet")
    trial = next(run for run in tracker.find({"mmm.kind": "trial"}) if run.tags["mmm.name"] == "trial-01")
    for name in ("rsq_test", "roas_tv", "effect_share_search"):
        history = tracker.client.get_metric_history(trial.handle, name)
        points = sorted((point.step, point.value) for point in history)
        assert points == list(zip(table["iteration"].to_pylist(), table[name].to_pylist(), strict=True))
    tracker.close()
