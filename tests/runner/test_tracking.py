"""MLflow as a mirror: what it shows is what the run folder says, once, whatever happened on the way."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm_core.errors import UserError
from runner.commands import track, ui
from runner.run_folder import RunFolder, git_commit
from runner.tables import read_table, table_of, write_json, write_table, write_text
from runner.tracking import mirror as mirror_module
from runner.tracking import writing as writing_module
from runner.tracking.base import (
    KEY_LENGTH,
    TAG_LENGTH,
    Series,
    TrackingFailed,
    blocks,
    is_legal,
    legal_key,
    locked,
    name_tags,
    original_name,
    without_password,
)
from runner.tracking.beside import State, add_finding, read_standing
from runner.tracking.contents import _distinct, flat, history_names, read_contents
from runner.tracking.memory_tracker import MemoryTracker
from runner.tracking.mirror import Mirroring, alone, failure, mirror, mirror_to
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store
from tests.runner.mirrored import (
    N_CANDIDATES,
    N_TRIALS,
    FailingTracker,
    by_name,
    copy_run,
    empty_store,
    make_run,
    picture,
)

REPOSITORY = Path(__file__).parents[2]
WEIRD = ("R&D / 50 %", "a//b", "tv_x26", "Außenwerbung")
DEAD = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> RunFolder:
    """A run, never changed."""
    return make_run(tmp_path_factory.mktemp("made") / "runs")


@pytest.fixture(autouse=True)
def _no_store_of_the_user(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def mirrored(folder: RunFolder) -> MemoryTracker:
    tracker = MemoryTracker()
    mirror(folder, tracker)
    return tracker


# ------------------------------------------------------------------------------------------------------------- names


@given(st.text(min_size=1, max_size=400))
def test_legal_keys_are_legal_and_reversible(name):
    key = legal_key(name)
    assert is_legal(key)
    assert len(key) <= KEY_LENGTH
    assert original_name(key, name_tags([name])) == name


@pytest.mark.parametrize(
    "length", [KEY_LENGTH, KEY_LENGTH + 1, TAG_LENGTH, TAG_LENGTH + 1, 2 * TAG_LENGTH + 9]
)
def test_names_of_any_length_are_reversible_and_their_tags_no_longer_than_tags_may_be(length):
    names = ["ä" * length, "ä" * (length - 1) + "b"]
    tags = name_tags([*names, "short"])
    assert all(is_legal(key) and len(text) <= TAG_LENGTH for key, text in tags.items())
    assert [original_name(legal_key(name), tags) for name in names] == names


@given(st.lists(st.text("_x26&f./ a\u0301", min_size=1, max_size=12), unique=True, max_size=20))
def test_different_names_have_different_keys(names):
    keys = [legal_key(name) for name in names]
    assert len(set(keys)) == len(names)


@given(st.text("_x0123456789abcdef&", min_size=1, max_size=12))
def test_names_that_look_like_escapes_are_reversible(name):
    assert original_name(legal_key(name), {}) == name
    assert legal_key(name) == legal_key(original_name(legal_key(name), {}))


def test_usual_names_stay_as_they_are():
    for name in ("decomp_rssd", "effect_share_tv", "roas_Paid Search 2", "Außenwerbung", "a.b-c"):
        assert legal_key(name) == name
    assert legal_key("R&D") == "R_x26_D"


def test_mlflow_takes_every_legal_key():
    from mlflow.utils.validation import _validate_metric_name

    for name in (*WEIRD, ".", "..", "../x", "/a", "a/", "a:b", "tv\n", " a ", "🎬", "x" * 400):
        _validate_metric_name(legal_key(name))


def test_names_that_clash_are_both_kept():
    assert _distinct([("roas_tv_lower", 1.0), ("roas_tv_lower", 2.0), ("a", None), ("b", np.inf)]) == {
        "roas_tv_lower": 1.0,
        "roas_tv_lower:2": 2.0,
    }


@given(st.lists(st.integers(0, 30), max_size=6), st.integers(1, 12))
def test_blocks_hold_every_point_once_and_no_more_than_asked(lengths, size):
    series = [Series(f"m{i}", np.arange(n), np.arange(n) + 0.5) for i, n in enumerate(lengths)]
    found = list(blocks(series, size))
    sizes = [sum(len(one.steps) for one in block) for block in found]
    assert all(n == size for n in sizes[:-1])
    assert sum(sizes) == sum(lengths)
    points = [
        (one.key, *point)
        for block in found
        for one in block
        for point in zip(one.steps, one.values, strict=True)
    ]
    assert points == [(s.key, *p) for s in series for p in zip(s.steps, s.values, strict=True)]


# ------------------------------------------------------------------------------------------- what a folder becomes


def test_a_run_has_a_run_for_itself_its_trials_and_its_models(made):
    runs = by_name(picture(mirrored(made)))
    models = made.selected()
    assert list(runs) == [made.run_id, "trial-01", "trial-02", *models]
    assert runs[made.run_id].parent is None
    assert {run.parent for name, run in runs.items() if name != made.run_id} == {made.run_id}
    assert [run.tags["mmm.kind"] for run in runs.values()] == ["run", "trial", "trial", "model", "model"]
    assert {run.status for run in runs.values()} == {"FINISHED"}
    assert {run.tags["mmm.run_id"] for run in runs.values()} == {made.run_id}


def test_the_history_of_a_trial_is_its_table_without_what_is_not_finite(made):
    runs = by_name(picture(mirrored(made)))
    for trial in ("trial-01", "trial-02"):
        table = read_table(made.path / "candidates" / f"{trial}.parquet")
        names = [
            *("nrmse", "nrmse_train", "nrmse_val", "nrmse_test", "decomp_rssd"),
            *("rsq_train", "rsq_val", "rsq_test"),
            *("effect_share_tv", "effect_share_search", "roas_tv", "roas_search"),
        ]
        for name in names:
            pairs = zip(table["iteration"].to_pylist(), table[name].to_pylist(), strict=True)
            expected = [(step, value) for step, value in pairs if np.isfinite(value)]
            assert [(step, value) for step, value, _ in runs[trial].histories[name]] == expected
        assert len(runs[trial].histories["nrmse"]) == N_CANDIDATES
        assert len(runs[trial].histories["decomp_rssd"]) == N_CANDIDATES - 1  # one is infinite
        assert set(runs[trial].histories) == {*names, "candidates", "best_nrmse", "best_decomp_rssd"}
        assert runs[trial].latest["best_nrmse"] == min(table["nrmse"].to_pylist())


def test_losses_that_do_not_exist_have_no_history(tmp_path):
    folder = make_run(tmp_path / "runs", validation={"time_series": False})
    assert {"nrmse", "nrmse_train"} <= set(by_name(picture(mirrored(folder)))["trial-01"].histories)
    assert not {"nrmse_val", "nrmse_test", "mape"} & set(
        by_name(picture(mirrored(folder)))["trial-01"].histories
    )


def test_the_run_carries_spec_data_results_and_files(made):
    run = by_name(picture(mirrored(made)))[made.run_id]
    manifest, best = made.manifest(), made.json("summary")["selected"][0]
    assert run.params["search.iterations"] == str(N_CANDIDATES)
    assert run.params["channels.tv.spend"] == "tv_spend"
    assert run.params["hyperparameters.tv.theta"] == "[0.0, 0.8]"
    assert not [key for key in run.params if key.startswith("tracking")]
    for tag in ("spec_digest", "data_digest", "problem_digest"):
        assert run.tags[f"mmm.{tag}"] == manifest[tag]
    assert run.tags["mmm.status"] == "done"
    tables = ["candidates/trial-01.parquet", "candidates/trial-02.parquet"]
    assert run.datasets == [
        ("weekly.csv", manifest["data_digest"][:36]),
        *((name, hashlib.sha256((made.path / name).read_bytes()).hexdigest()[:36]) for name in tables),
    ]
    assert run.latest["candidates"] == N_TRIALS * N_CANDIDATES
    for name in ("nrmse", "nrmse_test", "decomp_rssd", "rsq_train", "error_score"):
        assert run.latest[name] == best[name]
    assert run.latest["roas_tv"] == best["roas"]["tv"]
    wanted = {
        "spec.yaml",
        "summary.json",
        "findings.json",
        "manifest.json",
        "timings.json",
        "report/index.html",
    }
    wanted |= {"candidates/trial-01.parquet", "pareto.parquet", "clusters.parquet"}
    assert wanted <= set(run.files)
    assert not [file for file in run.files if file.startswith("inputs/")]
    for file, content in run.files.items():
        assert content == (made.path / file).read_bytes()


def test_a_model_carries_hyperparameters_fit_decomposition_and_its_files(made):
    runs = by_name(picture(mirrored(made)))
    for candidate in made.selected():
        run, record = runs[candidate], made.json(f"models/{candidate}")
        for name, value in record["hyperparameters"].items():
            assert float(run.params[name]) == value
        assert float(run.params["lambda"]) == record["lambda"]
        assert run.params["adstock"] == "geometric"
        assert (run.tags["selected"], run.tags["candidate"]) == ("true", candidate)
        assert run.tags["cluster"] == str(record["cluster"])
        assert run.tags["front"] in ("1", "2")
        for name in ("nrmse", "decomp_rssd", "rsq_val"):
            assert run.latest[name] == record["losses"][name]
        for component in record["components"]:
            assert run.latest[f"contribution_{component['name']}"] == component["contribution"]
            assert run.latest[f"contribution_share_{component['name']}"] == component["share"]
        for channel in record["channels"]:
            for name in ("effect_share", "spend_share", "roas"):
                assert run.latest[f"{name}_{channel['name']}"] == channel[name]
            assert run.latest[f"roas_{channel['name']}_lower"] == 0.5
            assert run.latest[f"roas_{channel['name']}_upper"] == 1.5
        files = {
            f"models/{candidate}.json",
            f"report/{candidate}.pdf",
            f"report/{candidate}.png",
            f"scenarios/same-budget/{candidate}.parquet",
        }
        assert set(run.files) == files


def test_every_number_is_finite_and_every_name_legal_whatever_the_channels_are_called(tmp_path):
    channels = [*WEIRD, "z" * 300, "&" * 6000]
    folder = make_run(tmp_path / "runs", channels)
    contents = read_contents(folder)
    for content in contents:
        values = [*content.metrics.values(), *(v for series in content.series for v in series.values)]
        assert np.isfinite(values).all()
        assert all(map(is_legal, [*content.params, *content.metrics, *(s.key for s in content.series)]))
    trial = contents[1]
    assert trial.kind == "trial"
    shown = {original_name(series.key, trial.tags) for series in trial.series}
    assert shown == set(history_names(folder.spec()))
    assert {f"roas_{channel}" for channel in channels} <= shown


def test_a_spec_is_flat_by_the_names_of_its_lists():
    tree = {"a": [{"name": "tv", "spend": "s"}], "b": {"c": [1, 2]}, "d": None, "e": [], "f": True, "g": {}}
    expected = {"a.tv.spend": "s", "b.c": "[1, 2]", "d": "null", "e": "[]", "f": "true", "g": "{}"}
    assert dict(flat(tree)) == expected


def test_a_run_that_failed_half_way_shows_what_there_is(tmp_path, made):
    folder = copy_run(made, tmp_path)
    for name in ("summary.json", "timings.json", "clusters.parquet", "findings.json"):
        (folder.path / name).unlink()
    folder.set_status("failed")
    runs = by_name(picture(mirrored(folder)))
    assert list(runs) == [folder.run_id, "trial-01", "trial-02"]
    assert (runs[folder.run_id].status, runs["trial-01"].status) == ("FAILED", "FINISHED")


@pytest.mark.parametrize("which", ["selected", "pareto", "all"])
def test_the_spec_says_which_candidates_are_runs_of_their_own(tmp_path, which):
    folder = make_run(tmp_path / "runs", tracking={"candidates": which})
    selected = folder.selected()
    every = [name for trial in (1, 2) for name in _candidates_of(folder, trial)]
    also = [name for name in every if name not in selected][:2]
    rows = [{"candidate": name, "front": 1} for name in [*selected, *also]]
    write_table(folder.path / "pareto.parquet", table_of(rows))
    expected = {"selected": [], "pareto": also, "all": [name for name in every if name not in selected]}[
        which
    ]
    runs = by_name(picture(mirrored(folder)))
    found = {name: run for name, run in runs.items() if run.tags["mmm.kind"] == "candidate"}
    assert sorted(found) == sorted(expected)
    for name, run in found.items():
        row = next(r for r in _rows_of(folder) if r["candidate"] == name)
        assert run.tags["selected"] == "false"
        assert run.params["tv_theta"] == json.dumps(row["tv_theta"])
        assert run.latest["nrmse"] == row["nrmse"]


def _rows_of(folder):
    return [
        row
        for trial in (1, 2)
        for row in read_table(folder.path / "candidates" / f"trial-{trial:02d}.parquet").to_pylist()
    ]


def _candidates_of(folder, trial):
    return [row["candidate"] for row in _rows_of(folder) if row["trial"] == trial]


def test_a_spec_with_a_password_stays_in_the_run_folder(tmp_path, made):
    folder = copy_run(made, tmp_path)
    tree = {**folder.spec().resolved(), "tracking": {"uri": "postgresql://me:secret@db/mlflow"}}
    write_text(folder.path / "spec.yaml", json.dumps(tree))
    tracker = mirrored(folder)
    found = repr([vars(run) for run in tracker.runs.values()]) + repr(tracker.logged)
    assert "secret" not in found
    assert "spec.yaml" not in by_name(picture(tracker))[folder.run_id].files


def test_the_commit_that_a_run_was_started_from_is_a_tag(tmp_path):
    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=me", "-c", "user.email=me@here", *words]
        return subprocess.run(command, cwd=place, check=True, capture_output=True, text=True).stdout.strip()

    place = tmp_path / "repository"
    place.mkdir()
    git("init", "-q")
    assert git_commit(place) == {}  # no commit yet
    git("commit", "-q", "--allow-empty", "-m", "first")
    head = git("rev-parse", "HEAD")
    (place / "deep").mkdir()
    assert git_commit(place / "deep") == {"git_commit": head}
    git("pack-refs", "--all")
    assert git_commit(place) == {"git_commit": head}
    git("worktree", "add", "-q", str(tmp_path / "tree"))
    assert git_commit(tmp_path / "tree") == {"git_commit": head}
    git("checkout", "-q", "--detach")
    assert git_commit(place) == {"git_commit": head}
    assert git_commit(tmp_path) == {}
    folder = make_run(tmp_path / "runs", n=10)
    folder.write_manifest({**folder.manifest(), "git_commit": head})
    assert by_name(picture(mirrored(folder)))[folder.run_id].tags["mlflow.source.git.commit"] == head


# ------------------------------------------------------------------------------------------- never twice, never less


def test_mirroring_twice_changes_nothing(made):
    tracker = mirrored(made)
    before = picture(tracker)
    report = mirror(made, tracker)
    assert picture(tracker) == before
    assert (report.written, report.renewed, report.deleted, len(report.unchanged)) == ((), (), 0, 5)


def test_whenever_the_store_dies_the_next_mirroring_ends_in_the_same_state(made):
    whole = by_name(picture(mirrored(made)))
    calls = 0
    while True:
        tracker = FailingTracker(calls)
        try:
            mirror(made, tracker)
        except TrackingFailed:
            tracker.left = 10_000
            mirror(made, tracker)
            assert by_name(picture(tracker)) == whole
            calls += 1
        else:
            break
    assert calls > 20


def test_whenever_the_store_dies_among_many_candidates_the_next_mirroring_ends_in_the_same_state(tmp_path):
    folder = make_run(tmp_path / "runs", n=12, tracking={"candidates": "all"})
    whole = by_name(picture(mirrored(folder)))
    assert len(whole) == 3 + 24
    for calls in range(25, 76, 5):
        tracker = FailingTracker(calls)
        with pytest.raises(TrackingFailed):
            mirror(folder, tracker)
        there = len(tracker.runs)
        tracker.left = 10_000
        report = mirror(folder, tracker)
        assert by_name(picture(tracker)) == whole
        assert report.deleted == 0
        assert len(report.unchanged) >= there - 1  # the one that was being written is ended
    assert there > 15


def test_the_time_that_mirroring_takes_is_no_reason_to_write_again(tmp_path, made):
    folder = copy_run(made, tmp_path)
    tracker = mirrored(folder)
    folder.set_stage("tracking", "done")
    write_json(folder.path / "timings.json", {"total": 99.0})
    write_json(folder.path / "summary.json", {**folder.json("summary"), "seconds": 99.0})
    assert len(mirror(folder, tracker).unchanged) == 5


def test_new_files_and_tags_are_brought_without_a_new_run(tmp_path, made):
    folder = copy_run(made, tmp_path)
    tracker = mirrored(folder)
    candidate = folder.selected()[0]
    plan = read_table(folder.path / "scenarios" / "same-budget" / f"{candidate}.parquet")
    write_table(folder.path / "scenarios" / "more" / f"{candidate}.parquet", plan)
    report = mirror(folder, tracker)
    assert (report.written, set(report.renewed)) == ((), {folder.run_id, candidate})
    runs = by_name(picture(tracker))
    assert f"scenarios/more/{candidate}.parquet" in runs[folder.run_id].files
    assert f"scenarios/more/{candidate}.parquet" in runs[candidate].files
    folder.set_status("failed")
    mirror(folder, tracker)
    assert by_name(picture(tracker))[folder.run_id].status == "FAILED"


def test_changed_numbers_make_a_new_run_and_its_children_follow_the_parent(tmp_path, made):
    folder = copy_run(made, tmp_path)
    tracker = mirrored(folder)
    summary = folder.json("summary")
    write_json(folder.path / "summary.json", {**summary, "candidates_per_second": 5.0})
    report = mirror(folder, tracker)
    assert (report.written, report.deleted) == ((folder.run_id,), 1)
    assert by_name(picture(tracker)) == by_name(picture(mirrored(folder)))


def test_models_that_are_selected_no_more_go_and_doubled_runs_too(tmp_path, made):
    folder = copy_run(made, tmp_path)
    tracker = mirrored(folder)
    table = read_table(folder.path / "clusters.parquet")
    write_table(folder.path / "clusters.parquet", table.slice(0, 1))
    tags = {"mmm.run_id": folder.run_id, "mmm.kind": "trial", "mmm.name": "trial-01", "mmm.complete": "true"}
    tracker.start("trial-01", tags, 1)
    others = tracker.start("mine", {"mmm.run_id": folder.run_id, "mmm.kind": "note"}, 1)
    assert mirror(folder, tracker).deleted == 2
    tracker.delete(others)  # not ours to delete
    assert by_name(picture(tracker)) == by_name(picture(mirrored(folder)))


def test_runs_of_other_folders_are_left_alone(tmp_path, made):
    tracker = mirrored(made)
    other = make_run(tmp_path / "runs", n=10)
    mirror(other, tracker)
    assert len(picture(tracker)) == 10
    assert len(mirror(made, tracker).unchanged) == 5


def test_a_folder_is_mirrored_by_one_process_at_a_time(made, monkeypatch):
    monkeypatch.setattr(mirror_module, "locked", lambda path, what, _: locked(path, what, timeout=0.0))
    with alone(made), pytest.raises(TrackingFailed, match="another process"):
        mirror(made, MemoryTracker())
    mirror(made, MemoryTracker())


def test_what_was_written_while_the_run_went_on_is_the_same_in_the_end(tmp_path, made):
    folder = copy_run(made, tmp_path)
    later = {name: (folder.path / name).read_bytes() for name in LATER}
    for name in LATER:
        (folder.path / name).unlink()
    folder.set_status("running")
    tracker = MemoryTracker()
    tracker.open(folder.spec().experiment)
    mirroring = Mirroring(folder, tracker)
    mirroring.begin()
    assert by_name(picture(tracker))[folder.run_id].status == "RUNNING"
    mirroring.bring_trials()
    points = sum(len(h) for run in tracker.runs.values() for h in run.histories.values())
    (folder.path / LATER[0]).write_bytes(later[LATER[0]])
    mirroring.bring_trials()
    assert {run.tags["mmm.kind"] for run in tracker.runs.values()} == {"run", "trial"}
    assert sum(len(h) for run in tracker.runs.values() for h in run.histories.values()) > points
    for name in LATER:
        (folder.path / name).write_bytes(later[name])
    folder.set_status("done")
    mirroring.bring()
    assert by_name(picture(tracker)) == by_name(picture(mirrored(folder)))
    assert mirroring.deleted == 0


LATER = ["candidates/trial-02.parquet", "clusters.parquet", "pareto.parquet", "summary.json", "timings.json"]


@pytest.mark.parametrize(
    ("noted", "shown"), [("running", "KILLED"), ("interrupted", "KILLED"), ("failed", "FAILED")]
)
def test_a_run_that_ends_before_its_time_is_not_left_as_going_on(tmp_path, made, noted, shown):
    folder = copy_run(made, tmp_path)
    folder.set_status(noted)
    tracker = MemoryTracker()
    tracker.open(folder.spec().experiment)

    def end() -> None:
        if any(run.histories for run in tracker.runs.values()):
            raise TrackingFailed("the run has ended")

    mirroring = Mirroring(folder, tracker, end)
    mirroring.begin()
    with pytest.raises(TrackingFailed):
        mirroring.bring_trials()
    mirroring.abandon()
    assert {run.status for run in tracker.runs.values()} == {shown}
    assert {run.tags["mmm.kind"] for run in tracker.runs.values()} == {"run", "trial"}
    mirror(folder, tracker)
    assert by_name(picture(tracker)) == by_name(picture(mirrored(folder)))


class CountingTracker(FailingTracker):
    """Counts the points that it is sent."""

    def __init__(self, calls: int) -> None:
        super().__init__(calls)
        self.sent: dict[str, int] = {}

    def log_series(self, handle, series, timestamp, tags=None):
        self.sent[handle] = self.sent.get(handle, 0) + sum(len(one.steps) for one in series)
        super().log_series(handle, series, timestamp, tags)


def test_histories_go_on_where_they_were_cut(made, monkeypatch):
    monkeypatch.setattr(writing_module, "blocks", lambda series, _size, skip=0: blocks(series, 100, skip))
    whole = by_name(picture(mirrored(made)))
    cut = 0
    for calls in range(8, 24, 3):
        tracker = CountingTracker(calls)
        with pytest.raises(TrackingFailed):
            mirror(made, tracker)
        arrived = {handle: int(run.tags.get("mmm.points", 0)) for handle, run in tracker.runs.items()}
        cut += any(0 < n < 400 for n in arrived.values())
        tracker.left, tracker.sent = 10_000, {}
        mirror(made, tracker)
        assert by_name(picture(tracker)) == whole
        assert set(arrived) <= set(tracker.runs)  # nothing begun is thrown away
        for handle, sent in tracker.sent.items():
            total = sum(len(h) for key, h in tracker.runs[handle].histories.items() if key in names_of(made))
            assert sent == total - arrived.get(handle, 0)
    assert cut >= 1


def names_of(folder: RunFolder) -> list[str]:
    return history_names(folder.spec())


# ------------------------------------------------------------------------------------------------- which store it is


def test_the_command_wins_over_the_spec_over_the_environment_over_the_file(tmp_path, monkeypatch):
    assert choose_store(tmp_path).database == tmp_path / "mlflow.db"
    assert choose_store(tmp_path).artifacts == tmp_path / "mlartifacts"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://env:5000/")
    assert choose_store(tmp_path).uri == "http://env:5000"
    assert choose_store(tmp_path, None, "http://spec:5000").uri == "http://spec:5000"
    assert choose_store(tmp_path, "http://command:5000", "http://spec:5000").uri == "http://command:5000"


def test_stores_are_sqlite_files_databases_or_servers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for uri in ("sqlite:///other/my.db", "other/my.db", f"sqlite:///{tmp_path}/other/my.db"):
        store = choose_store(tmp_path / "runs", uri)
        assert (store.database, store.artifacts) == (tmp_path / "other/my.db", tmp_path / "other/mlartifacts")
        assert store.shown == str(tmp_path / "other/my.db")
    postgres = choose_store(tmp_path / "runs", "postgresql://me:secret@db/mlflow")
    assert postgres.artifacts == tmp_path / "runs" / "mlartifacts"
    assert postgres.shown == "postgresql://me:***@db/mlflow"
    assert choose_store(tmp_path, "databricks").uri == "databricks"


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns", "sqlite://", "sqlite:///:memory:"])
def test_stores_that_mlflow_cannot_write_are_refused(tmp_path, uri):
    with pytest.raises(TrackingFailed, match=r"sqlite:///mlflow\.db"):
        choose_store(tmp_path, uri)


def test_passwords_are_not_shown():
    assert without_password("https://u:p@host:1") == "https://u:***@host:1"
    assert without_password("https://host:1") == "https://host:1"


# ------------------------------------------------------------------------------------------------------------ MLflow


@pytest.fixture(scope="module")
def in_mlflow(tmp_path_factory):
    """A run with awkward names in an awkward folder, mirrored to a new SQLite file; the folder and its tracker."""
    runs = tmp_path_factory.mktemp("100 %20 #1? ü") / "runs"
    folder = make_run(runs, (*WEIRD, "z" * 300))
    empty_store(runs)
    environment = dict(os.environ)
    mirror_to(folder)
    assert dict(os.environ) == environment | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    tracker = MlflowTracker(choose_store(runs))
    tracker.open(folder.spec().experiment)
    return folder, tracker


def test_mlflow_holds_what_memory_holds(in_mlflow):
    folder, tracker = in_mlflow
    assert by_name(picture(tracker)) == by_name(picture(mirrored(folder)))


def test_mlflow_is_not_changed_by_a_second_mirroring(in_mlflow):
    folder, _ = in_mlflow
    database = folder.path.parent / "mlflow.db"
    before = database.read_bytes()
    report = mirror_to(folder)
    assert (report.written, report.renewed, report.deleted) == ((), (), 0)
    assert database.read_bytes() == before
    assert str(database) in report.sentence


def test_everything_lies_beside_the_runs(in_mlflow):
    folder, _ = in_mlflow
    runs = folder.path.parent
    assert sorted(path.name for path in runs.iterdir()) == ["mlartifacts", "mlflow.db", folder.run_id]
    assert len(list(runs.glob("mlartifacts/small/*/artifacts/summary.json"))) == 1


@pytest.mark.integration
def test_mlflow_is_quiet_and_its_global_state_untouched(in_mlflow, capfd, caplog):
    import mlflow

    folder, _ = in_mlflow
    before = mlflow.get_tracking_uri()
    mirror_to(folder, str(empty_store(folder.path.parent.parent / "quiet").uri))
    assert mlflow.get_tracking_uri() == before
    assert mlflow.active_run() is None
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_runs_are_found_by_the_searches_people_make(in_mlflow):
    folder, tracker = in_mlflow
    client = tracker.client
    experiment = client.get_experiment_by_name("small").experiment_id
    found = client.search_runs([experiment], "metrics.decomp_rssd < 1e9 and tags.selected = 'true'")
    assert {run.info.run_name for run in found} == set(folder.selected())
    best = client.search_runs([experiment], "tags.`mmm.kind` = 'trial'", order_by=["metrics.best_nrmse"])
    values = [run.data.metrics["best_nrmse"] for run in best]
    assert values == sorted(values)


def test_an_experiment_in_the_bin_is_told(in_mlflow):
    folder, _ = in_mlflow
    other = MlflowTracker(choose_store(folder.path.parent))
    other.open("gone")
    experiment = other.client.get_experiment_by_name("gone").experiment_id
    other.client.delete_experiment(experiment)
    with pytest.raises(TrackingFailed, match=f"restore --experiment-id {experiment}"):
        other.open("gone")


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be taken for one" * 20])
def test_a_damaged_store_is_told_and_left_as_it_is(tmp_path, made, content):
    folder = copy_run(made, tmp_path)
    (tmp_path / "mlflow.db").write_bytes(content)
    with pytest.raises(TrackingFailed, match=r"mlflow\.db"):
        mirror_to(folder)
    assert (tmp_path / "mlflow.db").read_bytes() == content


def test_a_locked_store_is_told(tmp_path, made, monkeypatch):
    folder = copy_run(made, tmp_path)
    store = empty_store(tmp_path)
    monkeypatch.setattr("runner.tracking.mlflow_tracker.LOCK_SECONDS", 0.01)
    with sqlite3.connect(store.database) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TrackingFailed, match="locked"):
            mirror_to(folder)
    connection.close()


@pytest.mark.integration
def test_a_new_store_is_made_once_however_many_open_it(tmp_path):
    store = choose_store(tmp_path / "runs")
    with ThreadPoolExecutor(3) as pool:
        trackers = list(pool.map(lambda _: MlflowTracker(store), range(3)))
    for tracker in trackers:
        tracker.open("shared")
        tracker.start("run", {}, 1)
    assert len(trackers[0].find({})) == 3
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["mlflow.db"]


def test_a_dead_server_is_told_at_once(made):
    with pytest.raises(TrackingFailed, match="no MLflow server answers") as caught:
        mirror_to(made, DEAD)
    assert "\n" not in str(caught.value)


def test_a_dead_database_is_told_without_its_password(made):
    with pytest.raises(TrackingFailed, match="no database answers") as caught:
        mirror_to(made, "postgresql://me:secret@127.0.0.1:9/mlflow")
    assert "secret" not in str(caught.value)


# ---------------------------------------------------------------------------------------------------------- commands


def test_track_brings_mlflow_to_the_state_of_the_run_and_says_so(tmp_path, made):
    folder = copy_run(made, tmp_path / "runs")
    empty_store(tmp_path / "runs")
    first, second = (track.run(folder.path, runs=tmp_path / "runs") for _ in range(2))
    assert (len(first.written), len(second.unchanged)) == (5, 5)
    assert "5 runs written" in first.sentence
    assert json.loads(json.dumps(first.as_record()))["run_id"] == folder.run_id


@pytest.mark.parametrize(
    ("asked", "quiet", "lines"), [("lines", False, 2), ("lines", True, 0), ("", False, 0)]
)
def test_track_tells_how_far_it_is_in_lines_where_they_are_asked_for(
    monkeypatch, capsys, asked, quiet, lines
):
    monkeypatch.setenv("MMM_PROGRESS", asked)
    now = iter([0.0, 5.0, 11.0, 12.0, 25.0])
    monkeypatch.setattr(track.time, "monotonic", lambda: next(now))
    with track._bar(quiet) as tell:
        for done in (10, 20, 30, 70):
            tell(done, 100)
    assert capsys.readouterr().err.splitlines() == ["MLflow: 20%", "MLflow: 70%"][:lines]


@pytest.mark.integration
def test_track_takes_back_what_an_earlier_failure_left(tmp_path, made):
    folder = copy_run(made, tmp_path / "runs")
    empty_store(tmp_path / "runs")
    add_finding(folder, failure(folder, "no server"))
    assert len(folder.json("findings")) == 2
    track.run(folder.path)
    assert [record["case"] for record in folder.json("findings")] == ["rows-per-column"]
    assert read_standing(folder).state is State.DONE
    assert len(track.run(folder.path).unchanged) == 5
    tracker = MlflowTracker(choose_store(tmp_path / "runs"))
    tracker.open("small")
    assert (
        by_name(picture(tracker))[folder.run_id].files["findings.json"]
        == (folder.path / "findings.json").read_bytes()
    )
    tracker.close()


def test_track_tells_of_a_dead_server_in_one_sentence(made):
    with pytest.raises(UserError, match=r"no MLflow server answers there.*mmm track again later"):
        track.run(made.path, tracking_uri=DEAD)


def test_ui_needs_a_store_and_a_free_port(tmp_path, capsys):
    with pytest.raises(UserError, match=re.escape(f"{tmp_path}/mlflow.db: there is no MLflow store yet")):
        ui.run(tmp_path)
    empty_store(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port}"):
            ui.run(tmp_path, port=port)
    with pytest.raises(UserError, match="plain folders"):
        ui.run(tmp_path, tracking_uri="./mlruns")
    ui.run(tmp_path, tracking_uri="http://server:5000")
    assert "http://server:5000" in capsys.readouterr().out


# ----------------------------------------------------------------------------------------------------- real processes

OPEN_STORE = """
import sys
from pathlib import Path
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store, _import_mlflow
_import_mlflow()
print("ready", flush=True)
sys.stdin.readline()
tracker = MlflowTracker(choose_store(Path(sys.argv[1])))
tracker.open("shared")
print(tracker.start("run", {"mmm.run_id": sys.argv[2]}, 1))
"""


def _process(*words: str, **keys) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [sys.executable, *words], text=True, stdout=subprocess.PIPE, env=environment, **keys
    )


@pytest.mark.integration
def test_processes_that_open_a_new_store_together_all_can(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [_process("-c", OPEN_STORE, str(tmp_path / "runs"), str(i), **pipes) for i in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], results
    assert [error for _, error in results] == ["", "", ""]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["mlflow.db"]
    tracker = MlflowTracker(choose_store(tmp_path / "runs"))
    tracker.open("shared")
    assert {run.handle for run in tracker.find({})} == {output.strip() for output, _ in results}


@pytest.mark.integration
def test_a_run_is_mirrored_over_http_to_a_real_server_and_the_ui_shows_it(tmp_path, in_mlflow):
    folder, _ = in_mlflow
    empty_store(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = f"from runner.commands import ui; ui.run({str(tmp_path)!r}, port={port})"
    with _process("-c", command, cwd=tmp_path) as server:
        try:
            url = f"http://localhost:{port}"
            assert server.stdout.readline() == f"MLflow UI: {url}{ui.PAGE} (Ctrl-C stops it)\n"
            first = mirror_to(folder, url)
            second = mirror_to(folder, url)
            assert (len(first.written), len(second.unchanged)) == (5, 5)
            tracker = MlflowTracker(choose_store(tmp_path, url))
            tracker.open(folder.spec().experiment)
            assert by_name(picture(tracker)) == by_name(picture(mirrored(folder)))
            with urllib.request.urlopen(url, timeout=10) as page:
                assert b"MLflow" in page.read()
        finally:
            server.send_signal(signal.SIGTERM)
    assert server.returncode == 0
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    with pytest.raises(TrackingFailed, match="no MLflow server answers"):
        mirror_to(folder, url)


@pytest.mark.integration
def test_a_server_that_does_not_answer_is_given_up(made, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(TrackingFailed, match="no MLflow server"),
    ):
        mirror_to(made, f"http://127.0.0.1:{silent.getsockname()[1]}")
