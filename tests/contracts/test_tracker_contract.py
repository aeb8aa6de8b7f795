"""What every tracker does, whatever stands behind it: checked on memory and on MLflow with an SQLite file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runner.tracking.base import (
    KEY_LENGTH,
    PARAM_LENGTH,
    TAG_LENGTH,
    DatasetFacts,
    NewRun,
    RunStatus,
    Series,
    Tracker,
    TrackingFailed,
    legal_key,
)
from runner.tracking.memory_tracker import MemoryTracker
from tests.runner.mirrored import TrackerFactory, memory_tracker, mlflow_tracker, picture

DATA = DatasetFacts("weekly.csv", "0" * 36, "/data/weekly.csv", (("date", "datetime"), ("tv", "double")), 60)


@pytest.fixture(params=[memory_tracker, mlflow_tracker], ids=["memory", "mlflow"])
def tracker(request, tmp_path: Path) -> Tracker:
    make: TrackerFactory = request.param
    tracker = make(tmp_path / "runs")
    tracker.open("experiment")
    return tracker


def series(key: str, values, first: int = 1) -> Series:
    array = np.array(values, dtype=float)
    return Series(key, np.arange(first, first + len(array)), array)


def test_a_run_is_read_back_as_it_was_written(tracker, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("page")
    (tmp_path / "spec.yaml").write_text("name: x")
    (tmp_path / "unasked.txt").write_text("stays")
    handle = tracker.start("trial 1", {"kind": "trial"}, started=1_000)
    tracker.log(handle, params={"theta": "0.5"}, metrics={"nrmse": 0.25}, tags={"note": "ä"}, timestamp=77)
    tracker.log_series(handle, [series("loss", [3.0, 1.0, 2.0])], timestamp=77)
    tracker.log_files(handle, tmp_path, ["spec.yaml", "report/index.html"])
    tracker.log_dataset(handle, DATA)
    tracker.finish(handle, RunStatus.FINISHED, ended=5_000)

    found = picture(tracker)[handle]
    assert found.name == "trial 1"
    assert found.params == {"theta": "0.5"}
    assert found.tags == {"kind": "trial", "note": "ä"}
    assert found.histories == {"nrmse": [(0, 0.25, 77)], "loss": [(1, 3.0, 77), (2, 1.0, 77), (3, 2.0, 77)]}
    assert found.latest == {"nrmse": 0.25, "loss": 2.0}
    assert found.files == {"spec.yaml": b"name: x", "report/index.html": b"page"}
    assert found.datasets == [("weekly.csv", "0" * 36)]
    assert (found.status, found.span) == ("FINISHED", (1_000, 5_000))


def test_runs_that_are_added_at_once_read_as_those_made_one_by_one(tracker):
    def content(i: int) -> dict:
        metrics = {"nrmse": i / 7, "big": -1e300} if i else {}
        return {
            "params": {"theta": str(i), "ä": "x"},
            "metrics": metrics,
            "tags": {"done": "true", "kind": "b"},
        }

    n = 2 * tracker.runs_per_call + 1
    known, ending = {"kind": "a", "mmm.run_id": "r"}, (RunStatus.KILLED, 5_000)
    handles = tracker.add_runs(
        [NewRun(str(i), known, 1_000 + i, timestamp=77, ending=ending, **content(i)) for i in range(n)]
    )
    found = picture(tracker)
    for i in range(min(n, 15)):
        alone = tracker.start(str(i), known, 1_000 + i)
        tracker.log(alone, timestamp=77, ending=ending, **content(i))
        assert picture_of(tracker, alone) == found[handles[i]]
    assert len(set(handles)) == len(found) == n
    assert {run.handle for run in tracker.find({"mmm.run_id": "r", "done": "true"})} >= set(handles)
    assert tracker.add_runs([]) == []


def picture_of(tracker, handle):
    return picture(tracker, only=handle)[handle]


def test_runs_that_cannot_be_written_are_refused(tracker):
    for metrics in ({"a/b": 1.0}, {"a": float("nan")}):
        with pytest.raises(TrackingFailed):
            tracker.add_runs([NewRun("a", {}, 1, {}, metrics, {}, 1, (RunStatus.FINISHED, 2))])
    if not isinstance(tracker, MemoryTracker):
        tracker.client.delete_experiment(tracker.client.get_experiment_by_name("experiment").experiment_id)
        with pytest.raises(TrackingFailed, match="deleted while it was written to"):
            tracker.add_runs([NewRun("a", {}, 1, {}, {}, {}, 1, (RunStatus.FINISHED, 2))])


def test_runs_are_found_by_all_of_their_tags(tracker):
    first = tracker.start("a", {"mmm.run_id": "r1", "mmm.kind": "trial"}, 1)
    second = tracker.start("b", {"mmm.run_id": "r1", "mmm.kind": "model"}, 2)
    tracker.start("c", {"mmm.run_id": "it's another"}, 3)
    assert {run.handle for run in tracker.find({"mmm.run_id": "r1"})} == {first, second}
    assert [run.handle for run in tracker.find({"mmm.run_id": "r1", "mmm.kind": "model"})] == [second]
    assert len(tracker.find({"mmm.run_id": "it's another"})) == 1
    assert tracker.find({"mmm.run_id": "none"}) == []
    assert tracker.find({"mmm.run_id": "r1"})[0].tags["mmm.run_id"] == "r1"


def test_a_deleted_run_is_not_found_and_leaves_the_others(tracker):
    first, second = (tracker.start("a", {"mmm.run_id": "r"}, 1) for _ in range(2))
    tracker.delete(first)
    assert [run.handle for run in tracker.find({"mmm.run_id": "r"})] == [second]


def test_experiments_are_apart_and_opening_one_again_keeps_it(tracker):
    tracker.start("a", {"mmm.run_id": "r"}, 1)
    tracker.open("another / ../experiment?")
    assert tracker.find({}) == []
    tracker.open("experiment")
    assert len(tracker.find({})) == 1


def test_an_experiment_is_described_and_that_twice_is_that_once(tracker):
    for _ in range(2):
        tracker.describe({"mlflow.sharedViewState.mine": '{"name": "Läufe"}'})
    tracker.open("another")
    tracker.open("experiment")
    tracker.describe({"mlflow.sharedViewState.mine": "new"})
    assert experiment_tags(tracker)["mlflow.sharedViewState.mine"] == "new"


def experiment_tags(tracker) -> dict[str, str]:
    if isinstance(tracker, MemoryTracker):
        return tracker.described["experiment"]
    return tracker.client.get_experiment_by_name("experiment").tags


def test_a_tag_is_replaced_a_parameter_never(tracker):
    handle = tracker.start("a", {"status": "running"}, 1)
    tracker.log(handle, params={"theta": "0.5"}, tags={"status": "done"})
    tracker.log(handle, params={"theta": "0.5"})
    with pytest.raises(TrackingFailed):
        tracker.log(handle, params={"theta": "0.6"})
    assert picture(tracker)[handle].params == {"theta": "0.5"}
    assert picture(tracker)[handle].tags == {"status": "done"}


def test_the_same_point_twice_is_one_point(tracker):
    handle = tracker.start("a", {}, 1)
    for _ in range(2):
        tracker.log_series(handle, [series("loss", [1.0, 2.0])], timestamp=5)
    assert picture(tracker)[handle].histories == {"loss": [(1, 1.0, 5), (2, 2.0, 5)]}


def test_more_points_parameters_and_tags_than_a_call_carries_all_arrive(tracker):
    handle = tracker.start("a", {}, 1)
    values = np.random.default_rng(0).normal(size=2_345)
    params = {f"p{i:03d}": str(i) for i in range(230)}
    long = {f"long{i}": "é" * PARAM_LENGTH for i in range(20)}
    tags = {f"t{i:03d}": str(i) for i in range(130)} | {"long": "é" * TAG_LENGTH}
    tracker.log(
        handle, params=params | long, tags=tags, metrics={f"m{i:04d}": float(i) for i in range(1_100)}
    )
    tracker.log_series(handle, [series("a", values), series("b", values[:10])], timestamp=1)
    found = picture(tracker, histories=["a", "b"])[handle]
    assert found.params == params | long
    assert found.tags == tags
    assert [value for _, value, _ in found.histories["a"]] == values.tolist()
    assert [value for _, value, _ in found.histories["b"]] == values[:10].tolist()
    assert found.latest["m1099"] == 1099.0


@pytest.mark.parametrize(
    "name", ["R&D / 50 %", "a//b", "../x", ".", "Außenwerbung", "日本", "x" * 300, "a:b", "tv\n"]
)
def test_any_name_can_be_written_once_it_is_made_legal(tracker, name):
    handle = tracker.start("a", {}, 1)
    key = legal_key(name)
    tracker.log(handle, params={key: "1"}, metrics={key: 2.0}, tags={key: "3"})
    found = picture(tracker)[handle]
    assert (found.params, found.latest, found.tags) == ({key: "1"}, {key: 2.0}, {key: "3"})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(tracker, value):
    handle = tracker.start("a", {}, 1)
    with pytest.raises(TrackingFailed, match="loss"):
        tracker.log(handle, metrics={"loss": value})
    with pytest.raises(TrackingFailed, match="loss"):
        tracker.log_series(handle, [series("loss", [1.0, value])], timestamp=1)
    assert picture(tracker)[handle].histories == {}


@pytest.mark.parametrize("key", ["R&D", "a/b", "", "x" * (KEY_LENGTH + 1)])
def test_illegal_names_are_refused(tracker, key):
    handle = tracker.start("a", {}, 1)
    with pytest.raises(TrackingFailed):
        tracker.log(handle, metrics={key: 1.0})
    with pytest.raises(TrackingFailed):
        tracker.log_series(handle, [series(key, [1.0])], timestamp=1)


def test_files_are_replaced_and_missing_ones_are_a_failure(tracker, tmp_path):
    handle = tracker.start("a", {}, 1)
    (tmp_path / "f.txt").write_text("old")
    tracker.log_files(handle, tmp_path, ["f.txt"])
    (tmp_path / "f.txt").write_text("new")
    tracker.log_files(handle, tmp_path, ["f.txt"])
    assert picture(tracker)[handle].files == {"f.txt": b"new"}
    with pytest.raises(TrackingFailed):
        tracker.log_files(handle, tmp_path, ["none.txt"])


def test_a_finished_run_can_be_written_to(tracker):
    handle = tracker.start("a", {}, 1)
    tracker.finish(handle, RunStatus.FAILED, 2)
    tracker.log(handle, tags={"complete": "true"})
    found = picture(tracker)[handle]
    assert (found.status, found.tags) == ("FAILED", {"complete": "true"})


def test_an_unknown_run_is_a_failure_in_one_sentence(tracker):
    with pytest.raises(TrackingFailed) as caught:
        tracker.log("0" * 32, metrics={"loss": 1.0})
    assert "\n" not in str(caught.value)


def test_the_location_is_told(tracker):
    assert tracker.location
    tracker.close()
