"""MLflow loses nothing and doubles nothing, whatever happens to the store: against real servers and databases."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from runner.run_folder import RunFolder
from runner.tracking import beside
from runner.tracking.base import TrackingFailed
from runner.tracking.beside import MirrorProcess, State, read_standing
from runner.tracking.memory_tracker import MemoryTracker
from runner.tracking.mirror import mirror, mirror_to
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store
from tests.runner.mirrored import by_name, copy_run, empty_store, make_run, picture, rows_in, runs_in
from tests.runner.servers import MlflowServer, mlflow_server, postgres, why_no_postgres, wire

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> RunFolder:
    """A run, never changed."""
    return make_run(tmp_path_factory.mktemp("made") / "runs")


@pytest.fixture(scope="module")
def whole(made):
    """What a store should hold in the end."""
    tracker = MemoryTracker()
    mirror(made, tracker)
    return by_name(picture(tracker))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server on an SQLite file; every test takes an experiment of its own."""
    folder = tmp_path_factory.mktemp("server")
    store = empty_store(folder)
    with mlflow_server(store.uri, folder / "artifacts") as running:
        yield running


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")


def in_experiment(made: RunFolder, runs: Path, name: str) -> RunFolder:
    """A copy of the run for an experiment of its own."""
    folder = copy_run(made, runs)
    path = folder.path / "spec.yaml"
    path.write_text(path.read_text().replace("experiment: null", f"experiment: {name}"))
    return folder


def read_back(folder: RunFolder, uri: str):
    """Everything that a store holds of the folder's experiment, checked to be once."""
    tracker = MlflowTracker(choose_store(folder.path.parent, uri))
    tracker.open(folder.spec().experiment)
    found = by_name(picture(tracker))
    tracker.close()
    return found


def plain(pictures):
    """Without what the name of the experiment changes."""
    names = ("manifest.json",)
    return {
        key: (
            one.parent, one.params, one.histories, one.latest, one.status, one.span, one.datasets,
            [name for name, _ in one.models] and len(one.models),
            {k: v for k, v in one.tags.items() if "digest" not in k},
            {k: v for k, v in one.files.items() if k not in names and k != "spec.yaml"},
        )
        for key, one in pictures.items()
    }  # fmt: skip


def assert_whole(folder: RunFolder, uri: str, whole) -> None:
    assert plain(read_back(folder, uri)) == plain(whole)
    before = read_back(folder, uri)
    assert len(mirror_to(folder, uri).unchanged) == len(whole)
    assert read_back(folder, uri) == before


def state_of(folder: RunFolder) -> State | None:
    """Where the mirror beside a run is; None before its process has said anything."""
    standing = read_standing(folder)
    return standing and standing.state


def until_done(folder: RunFolder, uri: str, attempts: int = 100) -> int:
    """Mirror again and again until it works; how often that was."""
    for attempt in range(1, attempts + 1):
        try:
            mirror_to(folder, uri)
        except TrackingFailed:
            continue
        return attempt
    raise AssertionError("never done")


# ---------------------------------------------------------------------------------------------------------------- HTTP


@pytest.mark.parametrize(("kind", "every"), [("drop", 5), ("lose", 4), ("lose", 7)])
def test_a_connection_that_breaks_loses_and_doubles_nothing(
    made, whole, server, tmp_path, kind, every, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = in_experiment(made, tmp_path, f"breaks-{kind}-{every}")

    def rule(number: int, _path: str) -> str:
        return kind if number % every == every - 1 and number < 200 else "pass"

    with wire(server.url, rule) as between:
        assert until_done(folder, between.url) > 1
    assert_whole(folder, server.url, whole)


def test_a_request_that_the_client_repeats_by_itself_doubles_nothing(made, whole, server, tmp_path):
    folder = in_experiment(made, tmp_path, "repeats")
    asked: list[str] = []

    def rule(_number: int, path: str) -> str:
        asked.append(path)
        is_first = path.endswith("runs/create") and asked.count(path) % 2 == 1
        return "lose" if is_first else "pass"

    with wire(server.url, rule) as between:
        report = mirror_to(folder, between.url)
    assert sum(path.endswith("runs/create") for path in asked) == 2 * len(whole)
    assert report.deleted == len(whole)
    assert_whole(folder, server.url, whole)


def test_a_server_that_dies_in_the_middle_and_comes_back_is_filled(made, whole, tmp_path):
    store = empty_store(tmp_path / "store")
    folder = copy_run(made, tmp_path)
    first = MlflowServer(store.uri, tmp_path / "artifacts")

    def rule(number: int, _path: str) -> str:
        if number == 30:
            first.kill()
            return "drop"
        return "pass" if number < 30 else "drop"

    try:
        with (
            wire(first.url, rule) as between,
            pytest.raises(TrackingFailed, match="no MLflow server answers"),
        ):
            mirror_to(folder, between.url)
    finally:
        first.kill()
    second = MlflowServer(store.uri, tmp_path / "artifacts")
    try:
        mirror_to(folder, second.url)
        assert read_back(folder, second.url) == whole
    finally:
        second.kill()


def test_a_slow_server_holds_up_nobody(made, whole, server, tmp_path):
    folder = in_experiment(made, tmp_path, "slow")
    with wire(server.url, lambda _number, _path: 30.0) as between:
        process = MirrorProcess(folder, between.url)
        assert process.finish(6.0) == []
        assert process._process.poll() is None  # nobody has waited for it: it goes on alone
        deadline = time.monotonic() + 120
        while state_of(folder) is not State.WRITING:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        mirror_to(folder, server.url)  # the one in the background steps aside
        between.rule = lambda _number, _path: "pass"
        process._process.wait(240)
    assert read_standing(folder).state is State.DONE
    assert_whole(folder, server.url, whole)


def test_a_server_that_starts_late_is_filled_by_the_same_process(made, whole, tmp_path, monkeypatch):
    store = empty_store(tmp_path / "store")
    folder = copy_run(made, tmp_path)
    folder.set_status("running")
    folder.set_stage("search", "done")
    later = MlflowServer(store.uri, tmp_path / "artifacts")
    later.kill()
    process = MirrorProcess(folder, later.url)
    time.sleep(3)
    again = MlflowServer(store.uri, tmp_path / "artifacts", later.port)
    try:
        folder.set_status("done")
        while state_of(folder) is not State.WRITING:
            time.sleep(0.1)
        assert process.finish(120) == []
        assert plain(read_back(folder, again.url)) == plain(whole)
    finally:
        again.kill()


# -------------------------------------------------------------------------------------------------------------- SQLite


def test_two_runs_at_once_share_a_brand_new_store(made, tmp_path):
    folders = [copy_run(made, tmp_path), copy_run(made, tmp_path / "other")]
    folders[1] = RunFolder(folders[1].path.rename(tmp_path / f"{made.run_id}-2"))
    manifest = {**folders[1].manifest(), "run_id": folders[1].run_id}
    folders[1].write_manifest(manifest)
    processes = [MirrorProcess(folder) for folder in folders]
    assert [process.finish(180) for process in processes] == [[], []]
    tracker = MlflowTracker(choose_store(tmp_path))
    tracker.open("small")
    found = picture(tracker)
    tracker.close()
    for folder in folders:
        memory = MemoryTracker()
        mirror(folder, memory)
        own = {key: one for key, one in found.items() if one.tags["mmm.run_id"] == folder.run_id}
        assert by_name(own) == by_name(picture(memory))
    assert len(found) == 10


def test_a_store_that_is_locked_for_a_while_is_waited_for(made, whole, tmp_path):
    folder = copy_run(made, tmp_path)
    store = empty_store(tmp_path)

    def lock() -> None:
        with closing(sqlite3.connect(store.database)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(3)

    thread = threading.Thread(target=lock)
    thread.start()
    time.sleep(0.3)
    mirror_to(folder)
    thread.join()
    assert read_back(folder, store.uri) == whole


def test_a_process_that_dies_at_any_moment_is_made_up_for(made, whole, tmp_path):
    folder = copy_run(made, tmp_path)
    store = empty_store(tmp_path)
    for seconds in (0.0, 0.15, 0.3, 0.5):
        process = MirrorProcess(folder)
        process._tell("done")
        while state_of(folder) is not State.WRITING:
            time.sleep(0.01)
        time.sleep(seconds)
        os.kill(process._process.pid, 9)
        process._process.wait()
        process.abandon()
        (folder.path / beside.FILE).unlink()
    mirror_to(folder)
    assert read_back(folder, store.uri) == whole


def test_a_kill_among_many_candidates_is_made_up_for(tmp_path):
    """By ``mmm track``, whichever process was killed: the one beside the run, or an earlier ``mmm track``."""
    folder = make_run(tmp_path / "runs", n=400, tracking={"candidates": "all"})
    whole = empty_store(tmp_path / "whole")
    n = len(mirror_to(folder, whole.uri).written)
    assert n == 3 + 2 * 400
    command = [sys.executable, "-m", "runner.cli", "track", str(folder.path)]
    store = empty_store(folder.path.parent)
    beside_the_run = MirrorProcess(folder)
    beside_the_run._tell("done")
    for process, stop in ((beside_the_run._process, 150), (subprocess.Popen(command), 450)):
        while runs_in(store) < stop:
            assert process.poll() is None
            time.sleep(0.005)
        os.kill(process.pid, 9)
        process.wait()
    beside_the_run.abandon()
    assert 450 <= runs_in(store) < n
    for expected in (
        f"{n - runs_in(store)} runs written, 0 renewed",
        f"0 runs written, 0 renewed, {n} unchanged",
    ):
        assert expected in subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert rows_in(store) == rows_in(whole)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here (root only)")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_costs_a_warning_and_nothing_is_lost_when_there_is_room(
    made, whole, small_disk, tmp_path
):
    folder = copy_run(made, tmp_path)
    store = empty_store(small_disk)
    (small_disk / "filling").write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 150_000))
    with pytest.raises(TrackingFailed, match=r"full|No space"):
        mirror_to(folder, store.uri)
    assert MirrorProcess(folder, store.uri).finish(60)[0].case == "tracking-failed"
    (small_disk / "filling").unlink()
    mirror_to(folder, store.uri)
    assert read_back(folder, store.uri) == whole


# ---------------------------------------------------------------------------------------------------------- PostgreSQL


@pytest.fixture(scope="module")
def database():
    """A PostgreSQL of its own."""
    reason = why_no_postgres()
    if reason:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # its sockets need a short path
    folder.chmod(0o755)  # another user runs it
    with postgres(folder / "db") as uri:
        yield uri
    folder.rmdir()


def test_postgresql_holds_what_the_folder_holds(made, whole, database, tmp_path):
    folder = in_experiment(made, tmp_path, "postgres")
    mirror_to(folder, database)
    assert_whole(folder, database, whole)


def test_postgresql_behind_a_server_holds_what_the_folder_holds(made, whole, database, tmp_path):
    folder = in_experiment(made, tmp_path, "postgres-behind")
    with mlflow_server(database, tmp_path / "artifacts") as server:
        mirror_to(folder, server.url)
        assert_whole(folder, server.url, whole)
