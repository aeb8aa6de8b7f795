"""A run that was stopped goes on to the very bytes of one that was not; what it began with must not have changed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import runner
from mmm_core.errors import UserError
from runner.journal import finished_trials
from runner.run_folder import RunFolder
from runner.search.engine import search
from tests.cluster.nodes import can_mount
from tests.runner.small import SCENARIOS, small_table, write_small

ROOT = Path(__file__).parents[2]
SEARCH = {"trials": 3, "iterations": 90, "seed": 7}


@pytest.fixture(autouse=True)
def without_report(monkeypatch):
    monkeypatch.setattr("runner.orchestrate.write_report", lambda folder: None)


def results(folder: Path) -> dict[str, bytes]:
    files = [*folder.rglob("*.parquet"), *folder.glob("models/*.json"), folder / "findings.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner.orchestrate.write_report", lambda folder: None)
        return runner.run(write_small(folder, search=SEARCH), runs=folder / "runs").path


class Stopped(Exception):
    """What stands for a driver that dies."""


def stopped_run(folder: Path, monkeypatch, at: str, error: BaseException) -> RunFolder:
    """A run that ends at a function of the orchestration."""

    def stop(*args, **keywords):
        raise error

    spec = write_small(folder, search=SEARCH)
    with monkeypatch.context() as patch:
        patch.setattr(at, stop)
        with pytest.raises(type(error)):
            runner.run(spec, runs=folder / "runs")
    (path,) = (folder / "runs").iterdir()
    return RunFolder.open(path)


@pytest.mark.parametrize(
    ("at", "status"),
    [
        ("runner.candidates.search", "failed"),
        ("runner.candidates.select", "failed"),
        ("runner.orchestrate.refit_models", "failed"),
        ("runner.orchestrate.write_plans", "failed"),
        ("runner.orchestrate.write_report", "done"),
    ],
)
def test_from_whatever_stage_a_run_goes_on_to_the_same_bytes(whole, tmp_path, monkeypatch, at, status):
    folder = stopped_run(tmp_path, monkeypatch, at, Stopped())
    assert folder.manifest()["status"] == status
    again = runner.resume(folder.path)
    assert again.path == folder.path
    assert results(again.path) == results(whole)
    assert again.manifest()["status"] == "done"


def test_trials_that_are_done_are_not_searched_again(whole, tmp_path, monkeypatch):
    asked: list[int] = []
    folder = stopped_run(tmp_path, monkeypatch, "runner.candidates.select", Stopped())
    (folder.path / "candidates" / "trial-02.parquet").unlink()
    assert finished_trials(folder.path) == {1, 3}
    before = {p.name: p.stat().st_mtime_ns for p in (folder.path / "candidates").iterdir()}

    def watched(backend, *rest):
        stream = backend.stream
        monkeypatch.setattr(
            backend, "stream", lambda f, items, **kw: stream(f, asked.extend(items) or items, **kw)
        )
        return search(backend, *rest)

    monkeypatch.setattr("runner.candidates.search", watched)
    again = runner.resume(folder.path)
    assert asked == [2]
    assert {
        p.name: p.stat().st_mtime_ns for p in (again.path / "candidates").iterdir()
    }.items() >= before.items()
    assert results(again.path) == results(whole)
    assert again.json("timings")["candidates_per_second"] > 0


@pytest.mark.parametrize("kept", [0, 1000])
def test_a_table_that_lost_its_end_is_made_again(whole, tmp_path, monkeypatch, kept):
    """As after a loss of power: the name was on the disk before the content."""
    folder = stopped_run(tmp_path, monkeypatch, "runner.candidates.select", Stopped())
    damaged = folder.path / "candidates" / "trial-02.parquet"
    damaged.write_bytes(damaged.read_bytes()[:kept])
    assert results(runner.resume(folder.path).path) == results(whole)


def test_a_finished_run_is_left_alone(whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()}
    assert runner.resume(whole).path == whole
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()} == before


def test_ctrl_c_is_noted_and_the_run_goes_on_from_its_spec(whole, tmp_path, monkeypatch):
    folder = stopped_run(tmp_path, monkeypatch, "runner.orchestrate.refit_models", KeyboardInterrupt())
    assert folder.manifest()["status"] == "interrupted"
    assert runner.resume(tmp_path / "spec.yaml", runs=tmp_path / "runs").path == folder.path
    assert results(folder.path) == results(whole)
    with pytest.raises(UserError, match="waits to go on; start one with: mmm run"):
        runner.resume(tmp_path / "spec.yaml", runs=tmp_path / "runs")


def test_a_full_disk_says_how_to_go_on(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    spec = write_small(tmp_path, search=SEARCH)
    with monkeypatch.context() as patch:
        patch.setattr("runner.orchestrate.write_plans", full)
        with pytest.raises(
            UserError, match=r"No space left on device; what was done is kept, go on with: mmm resume"
        ):
            runner.run(spec, runs=tmp_path / "runs")
    (path,) = (tmp_path / "runs").iterdir()
    assert runner.resume(path).manifest()["status"] == "done"


def test_changed_data_spec_and_versions_are_refused_with_the_difference(tmp_path, monkeypatch):
    folder = stopped_run(tmp_path, monkeypatch, "runner.orchestrate.refit_models", Stopped())
    spec_file = tmp_path / "spec.yaml"
    kept = spec_file.read_text()
    tree = yaml.safe_load(kept)
    tree["search"]["iterations"] = 120
    spec_file.write_text(yaml.safe_dump(tree))
    with pytest.raises(
        UserError, match=r"search.iterations was 90, is 120; put it back, or start anew with --anew"
    ):
        runner.resume(spec_file, runs=tmp_path / "runs")
    spec_file.write_text(kept)

    manifest = folder.manifest()
    folder.write_manifest({**manifest, "versions": {**manifest["versions"], "numpy": "1.0", "ray": "1.0"}})
    with pytest.raises(UserError, match=rf"numpy was 1\.0, is {np.__version__}") as caught:
        runner.resume(folder.path)
    assert "ray" not in str(caught.value).split("began with")[1].split("put it back")[0]
    folder.write_manifest(manifest)

    table = small_table()
    table.loc[5, "tv_cost"] += 1
    data = Path(folder.spec().data.path)
    pd.DataFrame(table).to_csv(data, index=False)
    with pytest.raises(UserError, match="tv_cost differs in 1 rows, first"):
        runner.resume(folder.path)
    anew = runner.resume(folder.path, anew=True)
    assert anew.path != folder.path
    assert anew.manifest()["data_digest"] != manifest["data_digest"]

    data.unlink()
    assert runner.resume(folder.path).manifest()["status"] == "done"


def test_an_edited_run_folder_is_refused(tmp_path, monkeypatch):
    folder = stopped_run(tmp_path, monkeypatch, "runner.orchestrate.refit_models", Stopped())
    text = (folder.path / "spec.yaml").read_text()
    (folder.path / "spec.yaml").write_text(text.replace("seed: 7", "seed: 8"))
    with pytest.raises(UserError, match=r"spec.yaml or inputs/ of the run folder were edited"):
        runner.resume(folder.path)


def test_a_run_that_goes_on_elsewhere_is_not_touched(whole, tmp_path):
    copy = tmp_path / whole.name
    shutil.copytree(whole, copy)
    folder = RunFolder.open(copy)
    folder.set_status("running")
    with folder.held(), pytest.raises(UserError, match="still going on in another process"):
        runner.resume(copy)


@pytest.mark.integration
def test_a_killed_driver_loses_no_finished_trial(whole, tmp_path):
    """SIGKILL in the middle of the search, of a real process."""
    spec = write_small(tmp_path, search={**SEARCH, "trials": 3})
    code = (
        "import sys, time, runner.tables as t\n"
        "close = t.GrowingFile.close\n"
        "def slow(*a):\n"
        "    close(*a); time.sleep(30)\n"
        "t.GrowingFile.close = slow\n"
        "import runner; runner.run(sys.argv[1], runs=sys.argv[2])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(spec), str(tmp_path / "runs")], cwd=ROOT)
    try:
        deadline = time.monotonic() + 120
        while not (found := [*(tmp_path / "runs").glob("*/candidates/trial-*.parquet")]):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    folder = RunFolder.open(found[0].parents[1])
    assert folder.manifest()["status"] == "running"
    again = runner.resume(folder.path)
    assert results(again.path) == results(whole)
    assert json.loads((again.path / "manifest.json").read_text())["status"] == "done"


SMALLEST = {"scenarios": SCENARIOS[:1], "search": {"trials": 2, "iterations": 60, "seed": 7},
            "selection": {"min_candidates": 20, "clusters": 2}}  # fmt: skip


def lines(*command: str | Path) -> list[dict[str, Any]]:
    """What one of our scripts reports, a JSON line each."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.integration
def test_a_kill_at_any_file_costs_nothing_that_was_done(tmp_path):
    """SIGKILL of a real process at each of the files it publishes, from the first to the last."""
    spec = write_small(tmp_path, **SMALLEST)
    kills = lines(sys.executable, "-m", "tests.runner.killed_runs", spec, tmp_path)
    assert {
        "design.parquet",
        "trial-02.parquet",
        "intervals.parquet",
        "ensemble.parquet",
        "summary.json",
    } <= {kill["file"] for kill in kills}
    for kill in kills:
        assert kill["is_whole_or_nothing"], kill
        assert (kill["status"], kill["equal"], kill["left_over"], kill["is_done"]) == (0, True, [], True), (
            kill
        )
    # A run appears with all that it begins with.
    assert [kill["resumed"] for kill in kills] == sorted(kill["resumed"] for kill in kills)
    assert sum(kill["resumed"] for kill in kills) > len(kills) / 2


@pytest.mark.integration
@pytest.mark.skipif(not can_mount(), reason="only root may mount the small disks of this test")
def test_disks_of_any_size_that_are_full_cost_nothing_that_was_done(tmp_path):
    spec = write_small(tmp_path, **SMALLEST)
    script = [sys.executable, "-m", "tests.runner.full_disks", spec, tmp_path]
    disks = lines("unshare", "--mount", *script)
    assert len({disk["run"] is None for disk in disks}) == 2
    # The last has room for all but the report.
    assert [disk["has_report"] for disk in disks] == [False] * (len(disks) - 1) + [True]
    for disk in disks:
        assert (disk["status"], disk["resumed"], disk["equal"], disk["left_over"]) == (0, 0, True, []), disk
        if disk["run"] is None:
            assert "the run folder cannot be made (No space left on device); make room there" in disk["told"]
        else:
            assert disk["told"].endswith(
                f"No space left on device; what was done is kept, go on with: mmm resume {disk['run']}"
            )
