"""One run from spec to plans: the same bytes wherever and however often it runs, and honest about what failed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import runner
from mmm_core.errors import UserError
from mmm_core.features import prophet_columns
from mmm_core.types import CandidateBatch
from runner.run_folder import RunFolder
from runner.search.base import SearchFailed, SearchJob, run_trial
from tests.runner.small import change, small_table, write_small

SEARCH = {"trials": 2, "iterations": 120, "seed": 7}


@pytest.fixture(autouse=True)
def without_report(monkeypatch):
    """Pictures take most of a small run's time, and have tests of their own."""
    monkeypatch.setattr("runner.orchestrate.write_report", lambda folder: None)


def run(folder: Path, table=None, flags=(), **changes) -> RunFolder:
    folder.mkdir(exist_ok=True)
    spec = write_small(folder, table, **{"search": SEARCH, **changes})
    return runner.run(spec, runs=folder / "runs", **dict(flags))


def results(run: RunFolder) -> dict[str, bytes]:
    """Everything that must not depend on where, when and how often a run was made."""
    files = [*run.path.rglob("*.parquet"), *run.path.glob("models/*.json"), run.path / "findings.json"]
    return {str(path.relative_to(run.path)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Iterator[dict[str, bytes]]:
    """Results of the run that the others are compared with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner.orchestrate.write_report", lambda folder: None)
        yield results(run(tmp_path_factory.mktemp("reference")))


def assert_same(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []


def test_the_same_spec_gives_the_same_bytes(reference, tmp_path):
    again = run(tmp_path)
    assert_same(results(again), reference)
    assert len([name for name in reference if name.startswith("candidates/")]) == 2


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.integration), 2])
def test_ray_gives_the_bytes_of_the_serial_backend_with_any_number_of_workers(reference, tmp_path, workers):
    found = run(tmp_path, flags={"backend": "ray", "workers": workers})
    assert_same(results(found), reference)


def test_integers_floats_csv_and_parquet_give_the_same_bytes(reference, tmp_path):
    table = small_table()
    columns = ["sales", "tv_cost", "web_cost", "web_clicks", "mails"]
    integers, floats = (table.astype(dict.fromkeys(columns, kind)) for kind in ("int64", "float64"))
    assert_same(results(run(tmp_path / "csv", integers)), reference)
    (tmp_path / "parquet").mkdir()
    floats.to_parquet(tmp_path / "parquet" / "t.parquet")
    found = run(tmp_path / "parquet", flags={"data": str(tmp_path / "parquet" / "t.parquet")})
    assert_same(results(found), reference)


@pytest.mark.parametrize(
    "changes", [{"search": {**SEARCH, "seed": 8}}, {"search": {**SEARCH, "batch_size": 20}}]
)
def test_seed_and_batch_size_belong_to_the_search(reference, tmp_path, changes):
    found = results(run(tmp_path, **changes))
    assert found["candidates/trial-01.parquet"] != reference["candidates/trial-01.parquet"]
    assert found["inputs/design.parquet"] == reference["inputs/design.parquet"]


def test_more_trials_leave_those_before_them_alone(reference, tmp_path):
    found = results(run(tmp_path, search={**SEARCH, "trials": 3}))
    for trial in ("01", "02"):
        name = f"candidates/trial-{trial}.parquet"
        assert found[name] == reference[name]


def test_prophet_finds_the_same_every_time():
    dates = np.datetime64("2021-01-04") + 7 * np.arange(120)
    outcome = 100 + 10 * np.sin(np.arange(120) / 8) + np.random.default_rng(5).normal(0, 2, 120)
    first, second = (prophet_columns(dates, outcome, ["trend", "season"]) for _ in range(2))
    assert {name: values.tobytes() for name, values in first.items()} == {
        name: values.tobytes() for name, values in second.items()
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": [{"name": "tv", "spend": "tv_cost"}], "organic": [], "context": []},
        {"outcome__kind": "conversion"},
        {"adstock": "weibull_pdf", "intercept": "unconstrained"},
        {"penalty_factors": True, "validation__time_series": False},
        {"baseline": {"precomputed": ["price"]}, "context": ["event"]},
        {"search": {"trials": 1, "iterations": 1}, "bootstrap__refits": 0, "scenarios": []},
        {"search": {"trials": 1, "iterations": 45, "optimizer": "CMA"}, "window": {"start": "2022-01-03"}},
    ],
    ids=[
        "one channel",
        "conversions",
        "weibull",
        "penalties",
        "precomputed",
        "one candidate",
        "other optimizer",
    ],
)
def test_other_experiments_run_too(tmp_path, changes):
    search = {"search": {"trials": 1, "iterations": 60}}
    found = run(tmp_path, **{**search, **changes})
    summary = found.json("summary")
    assert summary["status"] == "done"
    assert summary["selected"]
    metric = "cpa" if summary["outcome_kind"] == "conversion" else "roas"
    assert all(np.isfinite(value) for value in summary["selected"][0][metric].values())


def test_names_of_any_kind_come_back_in_the_tables(tmp_path):
    names = ["<script>", '📺 "tv"', "=1+1", "x" * 200]
    channels = [{"name": name, "spend": f"s{i}"} for i, name in enumerate(names)]
    spends = {f"s{i}": np.random.default_rng(i).gamma(2, 50, 104).round(2) for i in range(4)}
    table = small_table().assign(**spends)
    changes = {"channels": channels, "organic": [], "context": [], "search": {"trials": 1, "iterations": 60}}
    found = run(tmp_path, table, **changes)
    assert found.table("inputs/design").column_names == ["date", "outcome", *names]
    assert set(found.table("response_curves")["channel"].to_pylist()) == set(names)
    assert list(found.json("summary")["selected"][0]["roas"]) == names


# ------------------------------------------------------------------------------------------------------------ failure


def test_what_cannot_be_used_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="there is no column"):
        run(tmp_path, small_table().drop(columns="price"))
    assert not (tmp_path / "runs").exists()


def test_an_optimizer_that_fails_on_the_way_is_told_in_one_sentence(tmp_path, monkeypatch):
    def fails_later(job: SearchJob, trial: int) -> Iterator[CandidateBatch]:
        for block in run_trial(job, trial):
            yield block
            raise SearchFailed("search.optimizer: TwoPointsDE fails here (out of ideas)")

    monkeypatch.setattr("runner.search.engine.run_trial", fails_later)
    with pytest.raises(UserError, match="TwoPointsDE fails here"):
        run(tmp_path)
    (folder,) = (tmp_path / "runs").iterdir()
    manifest = RunFolder.open(folder).manifest()
    assert manifest["status"] == "failed"
    assert manifest["stages"]["search"] == {
        "status": "failed",
        "message": "search.optimizer: TwoPointsDE fails here (out of ideas)",
    }
    assert not list(folder.rglob("trial-*.parquet"))


def test_a_stage_that_breaks_is_named_in_the_manifest(tmp_path, monkeypatch):
    def breaks(*args):
        raise ZeroDivisionError("no reason")

    monkeypatch.setattr("runner.candidates.select", breaks)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path)
    (folder,) = (tmp_path / "runs").iterdir()
    manifest = RunFolder.open(folder).manifest()
    assert manifest["stages"]["search"] == {"status": "done"}
    assert manifest["stages"]["select"] == {"status": "failed", "message": "no reason"}
    assert manifest["status"] == "failed"
    assert len(list(folder.glob("candidates/*.parquet"))) == 2


def test_data_without_any_effect_of_media_are_told(tmp_path):
    table = small_table()
    table["sales"] = -table["sales"]
    with pytest.raises(UserError, match="no candidate gives any paid channel an effect; check signs"):
        run(tmp_path, table)


def test_changes_of_a_spec_are_made_on_a_copy():
    tree = {"a": [{"b": 1}]}
    assert change(tree, a__0__b=2, c__d=3) == {"a": [{"b": 2}], "c": {"d": 3}}
    assert tree == {"a": [{"b": 1}]}
