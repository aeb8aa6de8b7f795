"""A portfolio in MLflow: a run above all, one below for each model, its failures said, and twice the same."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

import runner
from runner.portfolio import PortfolioFolder
from runner.portfolio.beside import bring_portfolio, bring_to_mlflow, whole_of
from runner.run_folder import RunFolder
from runner.tracking.beside import State, read_standing
from runner.tracking.family import mirror_whole
from runner.tracking.memory_tracker import MemoryTracker
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store
from tests.runner.command import Ended, mmm, mmm_process
from tests.runner.mirrored import Picture, by_name, picture
from tests.runner.portfolio_files import MARKETS, market_table, model_folder, only_portfolio, write_portfolio

TRACKED = {"tracking": {"enabled": True}}
ZERO = "spend of channel tv is zero in every row of the window"


def with_a_bad_one(folder: Path, **changes: object) -> Path:
    """North and west, and a south that spends nothing on tv."""
    tables = [market_table(name) for name in MARKETS]
    tables[1]["tv_cost"] = 0
    return write_portfolio(folder, tables=tables, **changes)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Spec, table and finished run of a portfolio of which one model failed; not tracked, never changed."""
    folder = tmp_path_factory.mktemp("made")
    runner.run(with_a_bad_one(folder), runs=folder / "runs")
    return folder


@pytest.fixture
def folder(made, tmp_path) -> PortfolioFolder:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return portfolio_in(tmp_path)


def portfolio_in(place: Path) -> PortfolioFolder:
    return PortfolioFolder.open(only_portfolio(place))


def mlflow_of(place: Path) -> dict[str, Picture]:
    """What the store beside the runs holds."""
    tracker = MlflowTracker(choose_store(place / "runs"))
    try:
        tracker.open("markets")
        return picture(tracker)
    finally:
        tracker.close()


# ------------------------------------------------------------------------------------------------------ to any tracker


def test_the_whole_says_what_there_is_and_what_failed(folder):
    tracker = MemoryTracker()
    bring_portfolio(folder, tracker)
    runs = by_name(picture(tracker))
    assert len(runs) == 3
    whole = runs[folder.run_id]
    counts = {key: value for key, value in whole.latest.items() if key.startswith("models_")}
    assert counts == {"models_done": 2, "models_failed": 1, "models_missing": 0}
    note = whole.tags["mlflow.note.content"]
    assert note.startswith("2 of 3 models are done. Failed:\n\n- `south`: ")
    assert ZERO in note
    assert "report/index.html" in whole.files
    for market in ("north", "west"):
        run = runs[model_folder(folder.path, market).name]
        assert run.parent == folder.run_id
        assert run.tags["market"] == market
        best = RunFolder(model_folder(folder.path, market)).json("summary")["selected"][0]
        assert run.latest["nrmse"] == best["nrmse"]
        assert run.latest["roas_tv"] == best["roas"]["tv"]


def test_models_follow_a_whole_that_is_written_anew(tmp_path):
    """As after ``mmm resume`` with mended data: the numbers of the whole have changed, those of the models not."""
    folder = runner.run(with_a_bad_one(tmp_path), runs=tmp_path / "runs")
    tracker = MemoryTracker()
    bring_portfolio(folder, tracker)
    write_portfolio(tmp_path)
    runner.resume(folder.path)
    report = bring_portfolio(PortfolioFolder.open(folder.path), tracker)
    runs = by_name(picture(tracker))
    assert sorted(report.written) == sorted([folder.run_id, model_folder(folder.path, "south").name])
    assert {name: run.parent for name, run in runs.items()} == {
        folder.run_id: None,
        **{model_folder(folder.path, market).name: folder.run_id for market in MARKETS},
    }
    assert "ailed:" not in runs[folder.run_id].tags["mlflow.note.content"]
    expected = MemoryTracker()
    bring_portfolio(PortfolioFolder.open(folder.path), expected)
    assert runs == by_name(picture(expected))


def test_how_long_it_took_is_no_reason_to_write_again(folder):
    tracker = MemoryTracker()
    mirror_whole(whole_of(folder), tracker)
    for name in ("timings", "summary"):
        key = {"timings": "total", "summary": "seconds"}[name]
        (folder.path / f"{name}.json").write_text(json.dumps({**folder.json(name), key: 99.0}))
    report = mirror_whole(whole_of(folder), tracker)
    assert (report.written, report.renewed) == ((), ())


def test_a_process_that_is_stopped_is_told_as_a_failure(folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    enabled = json.loads((folder.path / "portfolio.json").read_text())
    for model in enabled["models"]:
        model["spec"]["tracking"]["enabled"] = True
    (folder.path / "portfolio.json").write_text(json.dumps(enabled))
    again = PortfolioFolder.open(folder.path)
    bring_to_mlflow(again, None, 1.0)
    standing = read_standing(RunFolder(folder.path))
    assert standing is not None
    assert (standing.state, standing.message) == (State.FAILED, "the process that writes it ended early")
    from runner.portfolio.show import print_portfolio

    print_portfolio(again)
    told = " ".join(capsys.readouterr().out.split())
    assert (
        "!! MLflow does not show all of this run: the process that writes it ended early; run mmm track"
        in told
    )


# --------------------------------------------------------------------------------------------------- to a real store


@pytest.fixture(scope="module")
def tracked(tmp_path_factory) -> tuple[Path, Ended, float]:
    """The same, by the real command with MLflow on: where, how it ended, and after how many seconds."""
    folder = tmp_path_factory.mktemp("tracked")
    spec = with_a_bad_one(folder, **TRACKED)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("MMM_TRACKING_WAIT", "all")
        began = time.monotonic()
        ended = mmm_process("run", spec, "--runs", folder / "runs")
        return folder, ended, time.monotonic() - began


@pytest.mark.integration
def test_the_command_leaves_a_run_for_each_model_below_one_of_all(tracked):
    place, ended, _ = tracked
    assert ended.status == 0, ended.err
    folder = portfolio_in(place)
    assert f"MLflow: {place / 'runs' / 'mlflow.db'}, experiment markets" in " ".join(ended.out.split())
    runs = by_name(mlflow_of(place))
    children = [model_folder(folder.path, market).name for market in ("north", "west")]
    assert {name: run.parent for name, run in runs.items()} == {
        folder.run_id: None,
        **dict.fromkeys(children, folder.run_id),
    }
    assert {run.status for run in runs.values()} == {"FINISHED"}
    for result, name in zip(folder.json("summary")["results"], children, strict=True):
        assert runs[name].latest["nrmse"] == result["nrmse"]
        assert runs[name].latest["roas_tv"] > 0
        assert "adstock" in runs[name].params
    assert runs[folder.run_id].latest["models_failed"] == 1
    assert ZERO in runs[folder.run_id].tags["mlflow.note.content"]
    assert set(runs[folder.run_id].files) == {
        *("summary.parquet", "channels.parquet", "summary.json", "report/index.html"),
        "pooling.parquet",
    }


@pytest.mark.integration
def test_the_seconds_in_all_are_those_that_its_user_waited(tracked):
    place, ended, waited = tracked
    folder = portfolio_in(place)
    timings = folder.json("timings")
    total, stages = timings["total"], timings["stages"]
    assert list(stages) == ["read", "models", "summary", "tracking"]
    assert sum(stages.values()) <= total <= waited
    assert total - sum(stages.values()) < 0.2 * total
    assert folder.json("summary")["seconds"] == total
    assert f"{total:.1f} s in all, {stages['tracking']:.1f} of them for MLflow" in " ".join(ended.out.split())


@pytest.mark.integration
def test_tracking_again_changes_nothing(tracked, capsys, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    place, _, _ = tracked
    before = mlflow_of(place)
    for source in (place / "spec.yaml", portfolio_in(place).path):
        told = json.loads(mmm(capsys, "track", source, "--runs", place / "runs", "--json").out)
        assert (told["written"], told["renewed"], told["deleted"]) == ([], [], 0)
        assert len(told["unchanged"]) == 3
    assert mlflow_of(place) == before


@pytest.mark.integration
def test_all_of_every_model_comes_where_it_is_asked_for(tracked, tmp_path, capsys, monkeypatch):
    """The same folders, once of a spec that asks for all, once a model at a time."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("asked", "singly"):
        shutil.copytree(tracked[0], tmp_path / name)
    asked = portfolio_in(tmp_path / "asked")
    record = asked.json("portfolio")
    record["portfolio"]["tracking"] = "all"
    (asked.path / "portfolio.json").write_text(json.dumps(record))
    assert mmm(capsys, "track", asked.path).status == 0
    runs = mlflow_of(tmp_path / "asked")
    trials = [run for run in runs.values() if run.tags["mmm.kind"] == "trial"]
    names = {model_folder(asked.path, market).name for market in ("north", "west")}
    assert {run.parent for run in trials} == names
    for run in trials:
        assert [step for step, _, _ in run.histories["nrmse"]] == list(range(1, 61))
    kinds = {run.tags["mmm.kind"] for run in runs.values()}
    assert {"portfolio", "run", "trial", "model", "candidate"} == kinds
    singly = portfolio_in(tmp_path / "singly")
    for market in ("north", "west"):
        assert mmm(capsys, "track", model_folder(singly.path, market)).status == 0
    shown = {(run.tags["mmm.run_id"], run.name): run.parent for run in runs.values()}
    found = mlflow_of(tmp_path / "singly")
    assert {(run.tags["mmm.run_id"], run.name): run.parent for run in found.values()} == shown
