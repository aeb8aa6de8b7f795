"""``mmm evaluate``: given hyperparameters, no search; numbers are those of R Robyn and of the run they came from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from runner import evaluate
from runner.journal import read_trials
from runner.source import read_table
from tests.golden import robyn_names
from tests.golden.golden_data import GOLDEN, golden_table, needs_golden
from tests.runner.command import mmm
from tests.runner.small import write_small

DATA = GOLDEN.parents[1] / "data" / "dt_simulated_weekly.csv"
SPEC = Path(__file__).parents[2] / "experiments" / "robyn_demo.yaml"
# Robyn's name of what is modelled: the channel or organic medium of our spec.
MEDIA = {
    "tv_S": "tv",
    "ooh_S": "ooh",
    "print_S": "print",
    "facebook_I": "facebook",
    "search_clicks_P": "search",
    "newsletter": "newsletter",
}
PARAMETERS = ("alpha", "gamma", "theta", "shape", "scale")
# set of draws: what its spec says otherwise; the lift studies of the calibrated one are read as R wrote them
STUDIES = GOLDEN / "inputs" / "calib_calibration_input.csv"
SETS = {
    "geo_ts": [],
    "geo_main": ["validation.time_series=false"],
    "wcdf": ["adstock=weibull_cdf"],
    "wpdf": ["adstock=weibull_pdf"],
    "penalty": ["penalty_factors=true"],
    "uncon": ["intercept=unconstrained"],
    "calib": [f"calibration={{path: {STUDIES}, format: robyn, convention: robyn}}"],
}
CLOSE = dict(rtol=1e-9, atol=0)


@pytest.fixture(scope="module")
def robyn_spec(tmp_path_factory):
    """The demo on Robyn's own table, with the baseline that R's Prophet found as columns of the data."""
    folder = tmp_path_factory.mktemp("robyn")
    baseline = golden_table("inputs/dt_mod_exposure")[["trend", "season", "holiday", "events"]]
    table = read_table(str(DATA)).assign(**baseline)
    table.to_csv(folder / "weekly.csv", index=False)
    tree = yaml.safe_load(SPEC.read_text())
    tree["data"]["path"] = "weekly.csv"
    tree["baseline"] = {"precomputed": ["trend", "season", "holiday"]}
    tree["context"] = ["competitor_sales_B", "events"]
    del tree["hyperparameters"]
    (folder / "spec.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    return folder / "spec.yaml"


def our_candidates(draws: str) -> pd.DataFrame:
    """Robyn's hyperparameters under our names."""
    table = golden_table(f"draws/{draws}_hyper_and_errors")
    names = {f"{m}_{p}s": f"{ours}_{p}" for m, ours in MEDIA.items() for p in PARAMETERS}
    names |= {f"{m}_penalty": f"{ours}_penalty" for m, ours in MEDIA.items()}
    kept = [
        c for c in table if c in names or c.endswith("_penalty") or c in ("train_size", "lambda_hp", "lambda")
    ]
    return table[kept].rename(columns=names)


def golden_by_column(draws: str, quantity: str) -> pd.DataFrame:
    """A row a candidate, a column a predictor under our names; 0 where Robyn leaves one out."""
    table = golden_table(f"draws/{draws}_decomp").pivot(
        index=robyn_names.CANDIDATE,
        columns=robyn_names.PREDICTOR,
        values=robyn_names.DECOMPOSITION[quantity],
    )
    order = golden_table(f"draws/{draws}_hyper_and_errors")[robyn_names.CANDIDATE]
    return table.reindex(order).rename(columns=MEDIA).fillna(0.0)


@needs_golden
@pytest.mark.skipif(not DATA.is_file(), reason="Robyn's demo table (../shared/data) is not on this machine")
@pytest.mark.parametrize("draws", SETS)
def test_robyn_candidates_give_robyn_numbers(draws, robyn_spec, tmp_path):
    given = our_candidates(draws)
    given.drop(columns="lambda").to_csv(tmp_path / "in.csv", index=False)
    out = tmp_path / "out.parquet"
    evaluate(robyn_spec, candidates=tmp_path / "in.csv", out=out, overrides=SETS[draws])
    found = pd.read_parquet(out)
    robyn = golden_table(f"draws/{draws}_hyper_and_errors")
    for ours, theirs in robyn_names.LOSSES.items():
        np.testing.assert_allclose(found[ours], robyn[theirs].astype(float), **CLOSE, err_msg=ours)
    np.testing.assert_allclose(found["lambda"], robyn[robyn_names.PENALTY], **CLOSE)
    for quantity in ("coef", "contribution"):
        expected = golden_by_column(draws, quantity)
        columns = [c for c in expected if c != robyn_names.INTERCEPT]
        assert [c for c in found if c.startswith(f"{quantity}_")] != []
        np.testing.assert_allclose(found[[f"{quantity}_{c}" for c in columns]], expected[columns], **CLOSE)
    shares = golden_by_column(draws, "effect_share")
    paid = [m for m in MEDIA.values() if m != "newsletter"]
    np.testing.assert_allclose(found[[f"effect_share_{m}" for m in paid]], shares[paid], **CLOSE)
    intercepts = golden_by_column(draws, "coef")[robyn_names.INTERCEPT]
    np.testing.assert_allclose(found["intercept"], intercepts, **CLOSE)


@needs_golden
@pytest.mark.skipif(not DATA.is_file(), reason="Robyn's demo table (../shared/data) is not on this machine")
def test_the_penalty_itself_may_be_given(robyn_spec, tmp_path):
    given = our_candidates("geo_ts")
    given.drop(columns="lambda").to_csv(tmp_path / "hp.csv", index=False)
    given.drop(columns="lambda_hp").to_csv(tmp_path / "lambda.csv", index=False)
    left = evaluate(robyn_spec, candidates=tmp_path / "hp.csv").to_pandas()
    right = evaluate(robyn_spec, candidates=tmp_path / "lambda.csv").to_pandas()
    np.testing.assert_allclose(right["lambda"], given["lambda"], rtol=0)
    pd.testing.assert_frame_equal(left, right, check_exact=False, rtol=1e-9)


# ------------------------------------------------------------------------------------------------------ a run's own


def test_a_journal_fed_back_gives_itself(small_run, tmp_path):
    journal = read_trials(small_run.path, 2)
    pq.write_table(journal, tmp_path / "in.parquet")
    for source in (small_run.path, small_run.path.parents[1] / "spec.yaml"):
        out = tmp_path / "out.parquet"
        assert evaluate(source, candidates=tmp_path / "in.parquet", out=out).equals(journal)
        assert pq.read_table(out).equals(journal)
    journal.to_pandas().to_csv(tmp_path / "in.csv", index=False)
    assert evaluate(small_run.path, candidates=tmp_path / "in.csv").equals(journal)


def test_rows_without_labels_are_numbered(small_run, tmp_path):
    journal = read_trials(small_run.path, 1).slice(0, 3)
    pq.write_table(journal.drop_columns(["trial", "iteration"]), tmp_path / "in.parquet")
    found = evaluate(small_run.path, candidates=tmp_path / "in.parquet")
    assert found["candidate"].to_pylist() == ["0_1", "0_2", "0_3"]
    assert found.column_names == journal.column_names


def test_what_the_spec_fixes_need_not_be_given(tmp_path):
    fixed = {m: {"alpha": 1, "gamma": 0.5, "theta": 0.3} for m in ("tv", "web", "mail")}
    spec = write_small(tmp_path, hyperparameters={**fixed, "train_size": 0.6})
    pd.DataFrame({"lambda_hp": [0.0, 0.1]}).to_csv(tmp_path / "in.csv", index=False)
    found = evaluate(spec, candidates=tmp_path / "in.csv").to_pandas()
    assert found["tv_alpha"].tolist() == [1.0, 1.0]
    assert found["train_size"].tolist() == [0.6, 0.6]
    assert found["lambda"].is_monotonic_increasing


def test_a_penalty_beyond_the_searched_range_is_used_as_it_is(small_run, tmp_path):
    journal = read_trials(small_run.path, 1).slice(0, 2).to_pandas()
    journal["lambda"] = [0.0, 10 * journal["lambda"].max() + 1e9]
    journal.drop(columns="lambda_hp").to_parquet(tmp_path / "in.parquet")
    found = evaluate(small_run.path, candidates=tmp_path / "in.parquet").to_pandas()
    assert found["lambda"].tolist() == journal["lambda"].tolist()
    assert found["lambda_hp"].tolist() == [0.0, 1.0]
    assert found["coef_tv"].iloc[1] < found["coef_tv"].iloc[0]


def test_the_command_writes_csv_too_and_prints_rows(small_run, tmp_path, capsys):
    pq.write_table(read_trials(small_run.path, 1).slice(0, 2), tmp_path / "in.parquet")
    words = [
        "evaluate",
        small_run.path,
        "--candidates",
        tmp_path / "in.parquet",
        "--out",
        tmp_path / "out.csv",
    ]
    done = mmm(capsys, *words)
    assert (done.status, done.out) == (0, f"2 candidates evaluated: {tmp_path / 'out.csv'}\n")
    printed = json.loads(mmm(capsys, *words, "--json").out)
    assert printed["candidates"] == 2
    written = pd.read_csv(tmp_path / "out.csv")
    assert [row["nrmse"] for row in printed["rows"]] == written["nrmse"].tolist()


@pytest.mark.parametrize("words", [["--data", "x.csv"], ["--set", "search.seed=3"]])
def test_a_run_folder_has_its_data_and_spec(small_run, tmp_path, capsys, words):
    pq.write_table(read_trials(small_run.path, 1), tmp_path / "in.parquet")
    done = mmm(
        capsys,
        "evaluate",
        small_run.path,
        "--candidates",
        tmp_path / "in.parquet",
        "--out",
        tmp_path / "o.csv",
        *words,
    )
    assert "--data and --set need a spec file; a run folder has its data and spec inside" in done.refusal
