"""The table of lift studies: what is read, refused and noticed; and a calibrated search comes closer to the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmm_core.errors import UserError
from mmm_core.evaluate import evaluate_candidates
from mmm_core.types import CandidateBatch, Convention, FittedModel, Scope
from runner.dataset import load_panel, panel_from_table
from runner.pool import Pool
from runner.problem import build_problem
from runner.run_folder import RunFolder
from runner.search.base import objectives, run_trial
from runner.search.engine import search_job
from runner.search.nevergrad_searcher import PROVEN, NevergradSearcher
from runner.select import convergence_table, select
from runner.spec import load_spec
from runner.studies import (
    calibration_table,
    diagnose_studies,
    load_studies,
    studies_from_table,
    studies_table,
)
from tests.benchmarks.calibration import shipped
from tests.reference.problems import random_hyperparameters
from tests.runner.lift import GOOD, PATH, SIMULATED, TRUTH, data_table, panel_of, spec_of, spec_tree


def read(*rows, **changes):
    """The studies of a table with these rows: GOOD with changes; None takes a column away."""
    spec = spec_of(**changes)
    records = [
        {name: cell for name, cell in (GOOD | row).items() if cell is not None} for row in rows or ({},)
    ]
    table = pd.DataFrame(records).fillna("").astype(str)
    return studies_from_table(spec, panel_of(spec), table, PATH)


def cases(studies):
    return [finding.case for finding in studies.findings]


# -------------------------------------------------------------------------------------------------------------- reading


def test_a_plain_study():
    studies = read()
    (record,) = studies.records
    assert record.study.channels == ("ooh",)
    assert (str(record.study.start), str(record.study.end)) == ("2022-03-07", "2022-04-17")
    assert (record.study.estimate, record.study.scope) == (90_000.0, Scope.TOTAL)
    assert np.isnan([record.study.standard_error, record.lower, record.upper, record.spend]).all()
    dates = SIMULATED.dates[studies.arrays.first[0] : studies.arrays.stop[0]].astype(str)
    assert (dates[0], dates[-1], len(dates)) == ("2022-03-07", "2022-04-11", 6)
    assert studies.arrays.row_weights[0].sum() == 6
    assert studies.arrays.convention is Convention.CORRECT


def test_media_that_were_moved_together():
    (record,) = read({"channel": " tv + newsletter", "scope": " Immediate "}).records
    assert record.study.channels == ("tv", "newsletter")
    assert record.channel == "tv+newsletter"
    assert record.study.scope is Scope.IMMEDIATE


def test_a_name_with_a_plus_is_one_channel():
    channels = spec_tree()["channels"]
    channels[0]["name"] = "tv+radio"
    (record,) = read({"channel": "tv+radio"}, channels=channels).records
    assert record.study.channels == ("tv+radio",)


def test_interval_and_standard_error_follow_from_each_other():
    interval, error, both, none = read(
        {"lower": "80000", "upper": "100000"},
        {"lower": "", "upper": "", "standard_error": "5000", "level": "0.9"},
        {"lower": "70000", "upper": "95000", "standard_error": "4000"},
        {},
    ).records
    assert interval.study.standard_error == pytest.approx(20_000 / (2 * 1.959964), rel=1e-6)
    assert (error.lower, error.upper) == pytest.approx((90_000 - 5000 * 1.644854, 90_000 + 5000 * 1.644854))
    assert (both.lower, both.upper, both.study.standard_error) == (70_000, 95_000, 4000)
    assert np.isnan([none.lower, none.upper, none.study.standard_error]).all()


def test_the_table_is_found_by_the_spec(tmp_path):
    path = tmp_path / PATH
    pd.DataFrame([GOOD]).to_csv(path, index=False)
    spec = spec_of(calibration=str(path))
    panel = panel_of(spec)
    problem, _ = build_problem(spec, panel)
    assert problem.studies.channels == (("ooh",),)
    assert load_studies(spec_of(calibration=None), panel) is None
    with pytest.raises(UserError, match=r"no such file; set calibration\.path"):
        load_studies(spec_of(calibration=str(tmp_path / "none.csv")), panel)


# -------------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"channel": "oh"}, "column 'channel': row 2 names 'oh', which is no channel of the spec; did you mean 'ooh'?"),
        ({"channel": "tv+xyzzy"}, "names 'xyzzy', which is no channel of the spec; the spec has tv, search"),
        ({"channel": "tv+tv"}, "names 'tv' twice"),
        ({"channel": "ooh_spend"}, "did you mean 'ooh'?"),
        ({"channel": "search_clicks"}, "did you mean 'search'?"),
        ({"channel": ""}, "column 'channel': row 2 is empty"),
        ({"start": "soon"}, "column 'start': row 2 is 'soon', expected a date"),
        ({"start": ""}, "column 'start': row 2 has no date"),
        ({"end": "2022-03-01"}, "column 'end': row 2 is 2022-03-01, before the start 2022-03-07; swap them"),
        ({"start": "2021-12-31"}, "column 'start': row 2 is 2021-12-31, outside the window (2022-01-03 to 2025-01-05)"),
        ({"end": "2025-01-06"}, "column 'end': row 2 is 2025-01-06, outside the window"),
        ({"estimate": "a lot"}, "column 'estimate': row 2 is 'a lot', expected a number"),
        ({"estimate": ""}, "column 'estimate': row 2 is missing; fill it or delete the row"),
        ({"estimate": "0"}, "column 'estimate': row 2 is 0, and an error in percent of 0"),
        ({"estimate": "inf"}, "column 'estimate': row 2 is 'inf', expected a finite number"),
        ({"scope": "all"}, "column 'scope': row 2 is 'all', expected total or immediate"),
        ({"scope": ""}, "column 'scope': row 2 is '', expected total or immediate"),
        ({"metric": "orders"}, "column 'metric': row 2 is 'orders', but the outcome of the spec is 'revenue'"),
        ({"lower": "80000", "upper": ""}, "column 'upper': row 2 is missing; give both ends"),
        ({"lower": "", "upper": "95000"}, "column 'lower': row 2 is missing; give both ends"),
        ({"lower": "91000", "upper": "95000"}, "column 'lower': row 2 is not on its side of the estimate 90000"),
        ({"lower": "80000", "upper": "85000"}, "column 'upper': row 2 is not on its side of the estimate 90000"),
        ({"lower": "90000", "upper": "90000"}, "expected lower < estimate < upper"),
        ({"standard_error": "0"}, "column 'standard_error': row 2 is 0, expected more than 0"),
        ({"standard_error": "x"}, "column 'standard_error': row 2 is 'x', expected a number"),
        ({"level": "90"}, "column 'level': row 2 is 90, expected a share"),
    ],
)  # fmt: skip
def test_names_row_and_column_of_what_is_wrong(row, message):
    with pytest.raises(UserError) as caught:
        read({}, row)
    assert str(caught.value).startswith(f"{PATH}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", GOOD)
def test_names_a_missing_column(column):
    with pytest.raises(
        UserError, match=f"there is no column '{column}'; a table of lift studies needs channel"
    ):
        read({column: None})


def test_an_interval_has_two_ends():
    with pytest.raises(UserError, match="a column 'lower' but none 'upper'"):
        read({"lower": "1"})


def test_robyns_convention_refuses_one_row():
    one_week = {"start": "2022-03-07", "end": "2022-03-13"}
    assert len(read(one_week).records) == 1
    with pytest.raises(
        UserError, match=r"column 'start': row 2 .* one row, .* set calibration\.convention: correct"
    ):
        read({}, one_week, calibration={"path": PATH, "convention": "robyn"})


# ------------------------------------------------------------------------------------------------------------- findings


def test_a_quiet_study_gives_no_finding():
    assert read().findings == ()


@pytest.mark.parametrize(("factor", "expected"), [(1.0, []), (1.09, []), (1.2, ["study-spend-differs"])])
def test_spend_that_is_not_that_of_the_data(factor, expected):
    rows = slice(60, 66)
    known = sum(SIMULATED.columns[f"{name}_spend"][rows].sum() for name in ("ooh", "tv"))
    assert cases(read({"channel": "ooh+tv", "spend": str(known * factor)})) == expected


def test_a_study_that_training_cannot_see():
    # 157 weeks, train_size 0.5 to 0.8: training ends between week 79 and week 125 of the window.
    late = read({"start": "2024-06-03", "end": "2024-07-14"})
    (finding,) = late.findings
    assert (finding.case, str(finding.status)) == ("study-outside-training", "warning")
    assert "No training row sees the study of ooh from 2024-06-03 to 2024-07-14" in finding.details
    assert cases(read({"start": "2023-08-07", "end": "2023-09-10"})) == ["study-partly-outside-training"]
    everything = {"validation": {"time_series": False}}
    assert cases(read({"start": "2024-06-03", "end": "2024-07-14"}, **everything)) == []


def test_a_study_without_exposure():
    spec = spec_of()
    data = data_table()
    data.loc[60:65, "ooh_spend"] = 0.0
    panel = panel_from_table(spec, data, "data.csv")
    studies = studies_from_table(spec, panel, pd.DataFrame([GOOD]), PATH)
    assert cases(studies) == ["study-without-exposure"]


def test_an_estimate_in_the_wrong_unit():
    assert cases(read({"estimate": "9e9"})) == ["study-larger-than-outcome"]


def test_columns_that_are_not_used():
    (finding,) = read({"confidence": "0.9", "market": "DE"}).findings
    assert finding.details == "Columns of the lift studies that are not used: confidence, market."


# ----------------------------------------------------------------------------------------------------------- run folder


def test_a_run_folder_rebuilds_the_calibrated_problem(tmp_path):
    path = tmp_path / PATH
    rows = [
        GOOD | {"lower": "80000", "upper": "99000", "spend": "12345.6", "source": "geo test 7"},
        GOOD
        | {"channel": "tv+newsletter", "scope": "immediate", "estimate": "1.1e5", "standard_error": "1234.5"},
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    spec = spec_of(calibration={"path": str(path), "convention": "robyn"})
    panel = panel_of(spec)
    studies = load_studies(spec, panel)
    problem, _ = build_problem(spec, panel, studies)
    made = RunFolder.create(tmp_path / "runs", spec, panel, problem, studies)
    path.unlink()
    folder = RunFolder.open(made.path)
    again = folder.problem(folder.spec(), folder.panel(folder.spec()))
    assert again.digest == problem.digest == folder.manifest()["problem_digest"]
    table = studies_table(studies, "revenue")
    assert studies_table(folder.studies(folder.spec(), panel), "revenue").equals(table)
    assert table["source"].to_pylist() == ["geo test 7", ""]
    assert table["spend"].to_pylist() == [12345.6, None]


def test_a_run_folder_without_calibration_has_no_studies(tmp_path):
    spec = spec_of(calibration=None)
    panel = panel_of(spec)
    problem, _ = build_problem(spec, panel)
    folder = RunFolder.create(tmp_path / "runs", spec, panel, problem)
    assert not (folder.path / "inputs" / "studies.parquet").exists()
    assert folder.problem(spec, panel).digest == problem.digest


def test_what_models_make_of_studies():
    studies = read({"lower": "1", "upper": "1e9"}, {"lower": "89999", "upper": "90001"}, {})
    spec = spec_of()
    problem, _ = build_problem(spec, panel_of(spec), studies)
    points = random_hyperparameters(problem, 3, 2)
    batch = evaluate_candidates(problem, points)
    models = [FittedModel(f"1_{i}", points[i], 0.0, 0.0, batch.coefs[i]) for i in range(2)]
    table = calibration_table(problem, studies, models)
    assert table["candidate"].to_pylist() == ["1_0"] * 3 + ["1_1"] * 3
    assert table["study"].to_pylist() == [1, 2, 3] * 2
    assert table["is_inside"].to_pylist() == [True, False, None] * 2
    error, weight = table["error"].to_numpy().reshape(2, 3), table["weight"].to_numpy().reshape(2, 3)
    np.testing.assert_allclose((error * weight).sum(axis=1), batch.loss("mape"), rtol=1e-12)
    (finding,) = diagnose_studies(problem, studies, models)
    assert finding.case == "study-missed"
    assert "90,000 (89,999 to 90,001)" in finding.details
    assert diagnose_studies(problem, None, models) == []


# --------------------------------------------------------------------------------------------------------------- search


@pytest.mark.parametrize(
    ("weights", "calibration", "message"),
    [
        ([1, 1, 1], None, "third weight is for calibration"),
        ([1, 1], PATH, "weight of the calibration error is missing"),
    ],
)
def test_weights_are_those_of_the_objectives(weights, calibration, message):
    with pytest.raises(UserError, match=message):
        spec_of(calibration=calibration, search={"objective_weights": weights})


def test_the_calibration_error_is_the_third_objective():
    spec, studies = spec_of(), read()
    panel = panel_of(spec)
    for given, names in ((studies, ["nrmse", "decomp_rssd", "mape"]), (None, ["nrmse", "decomp_rssd"])):
        problem, _ = build_problem(spec_of(calibration=PATH if given else None), panel, given)
        batch = evaluate_candidates(problem, random_hyperparameters(problem, 1, 4))
        told = objectives(batch, problem.objectives)
        np.testing.assert_array_equal(told, np.column_stack([batch.loss(name) for name in names]))


@pytest.mark.parametrize("optimizer", sorted(PROVEN))
def test_optimizers_take_three_objectives(optimizer):
    seed = np.random.SeedSequence(1)
    searcher = NevergradSearcher(optimizer, dimension=3, budget=60, batch_size=10, seed=seed, n_objectives=3)
    for _ in range(6):
        points = searcher.ask(10)
        targets = (0.0, 0.5, 1.0)
        searcher.tell(points, np.column_stack([((points - t) ** 2).mean(axis=1) for t in targets]))


def searched(studies):
    """(problem, trials, selection) of a small search, with lift studies or without."""
    spec = spec_of(
        calibration=PATH if studies else None,
        search={"trials": 1, "iterations": 900},
        selection={"min_candidates": 50},
    )
    problem, _ = build_problem(spec, panel_of(spec), studies)
    trials = [CandidateBatch.concatenate(list(run_trial(search_job(spec, problem), 1)))]
    return problem, trials, select(spec, problem, Pool.of_batches(trials))


def test_a_true_study_leads_to_truer_models():
    true = np.array(TRUTH["components"]["ooh"])
    # Half a year from the tenth week of the window on, all of it within the training rows of every candidate.
    rows = slice(60, 86)
    days = {"start": str(SIMULATED.dates[60]), "end": str(SIMULATED.dates[85] + 6)}
    studies = read(days | {"estimate": repr(float(true[rows].sum()))})
    whole = TRUTH["window_contributions"]["ooh"]
    errors = {}
    for name, given in (("with", studies), ("without", None)):
        problem, trials, selection = searched(given)
        found = selection.batch.contributions[:, problem.columns.index("ooh")]
        errors[name] = np.abs(found / whole - 1)
        listed = set(convergence_table(selection)["loss"].to_pylist())
        assert listed == set(problem.objectives)
        if given:
            # The calibration error decides who is selected: nobody from the worse nine tenths.
            mape = trials[0].loss("mape")
            assert selection.pooled.loss("mape").max() <= np.quantile(mape, 0.1)
            assert selection.batch.loss("mape").max() < 0.1
    assert errors["with"].mean() < 0.2 * errors["without"].mean()
    assert errors["with"].max() < errors["without"].min()


# ------------------------------------------------------------------------------------------------------------- shipped


def test_the_quickstarts_studies_are_what_the_truth_says_with_noise():
    folder = Path(__file__).parents[2] / "experiments"
    path = folder / "data" / "quickstart_lift_studies.csv"
    assert path.read_text() == shipped()
    spec = load_spec(folder / "quickstart.yaml", overrides=["calibration=data/quickstart_lift_studies.csv"])
    panel = load_panel(spec)
    studies = load_studies(spec, panel)
    assert cases(studies) == ["study-format"]
    truth = json.loads((folder / "data" / "quickstart_truth.json").read_text())
    for record in studies.records:
        # 15 % of what switching the channels on brought: as the models predict it, from the true parameters.
        brought = record.study.standard_error / 0.15
        assert abs(record.study.estimate - brought) < 3 * record.study.standard_error
        rows = slice(*(truth["dates"].index(str(d)) for d in (record.study.start, record.study.end - 6)))
        total = sum(sum(truth["components"][name][rows]) for name in record.study.channels)
        assert 0.5 * total < brought < 1.3 * total
