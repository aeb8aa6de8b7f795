"""Lift studies against candidates: rows and days, the truth has no error, and the slow twins agree."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from mmm_core import _kernels
from mmm_core.calibration import LiftStudy, lift_studies, predict, study_rows
from mmm_core.decomposition import decompose
from mmm_core.errors import LabelError, RangeError, ShapeError
from mmm_core.evaluate import evaluate_candidates
from mmm_core.types import LOSS_COLUMNS, Adstock, Convention, FittedModel, LiftStudies, Scope
from tests.reference import calibration as slow
from tests.reference.problems import random_hyperparameters, random_problem

CLOSE = dict(rtol=1e-10)
WEEK = np.timedelta64(6, "D")


def day(text):
    return np.datetime64(text, "D")


def study(channels, start, end, estimate=100.0, scope="total", **more):
    return LiftStudy(tuple(channels.split("+")), day(start), day(end), estimate, Scope(scope), **more)


# Weeks begin on Mondays, 2021-01-04 the first; the window of ``random_problem`` is rows 5 to 59, from 2021-02-08 on.
STUDIES = (
    study("paid_0", "2021-03-01", "2021-04-11", 900.0, "total"),
    study("paid_1", "2021-05-05", "2021-06-20", 700.0, "immediate"),
    study("paid_0+organic_0", "2021-07-02", "2021-08-24", -300.0, "immediate"),
    study("paid_2+paid_1", "2021-02-08", "2021-02-28", 150.0, "total"),
    study("paid_2", "2022-02-01", "2022-02-27", 500.0, "immediate"),
)


def calibrated(problem, studies=STUDIES, convention=Convention.CORRECT):
    arrays = lift_studies(studies, problem.dates, problem.dates + WEEK, convention)
    return dataclasses.replace(problem, studies=arrays)


def model_of(problem, point, batch, row=0):
    return FittedModel("", point, 0.0, float(batch.loss("intercept")[row]), batch.coefs[row])


def named(problem, point, coefs):
    hyperparameters = dict(zip(problem.hyperparameter_names, point.tolist(), strict=True))
    return hyperparameters, dict(zip(problem.columns, coefs.tolist(), strict=True))


# ------------------------------------------------------------------------------------------------------- rows and days

MONDAYS = day("2024-01-01") + 7 * np.arange(8)


@pytest.mark.parametrize(
    ("start", "end", "shares"),
    [
        ("2024-01-08", "2024-01-21", {1: 1, 2: 1}),
        ("2024-01-08", "2024-01-08", {1: 1 / 7}),
        ("2024-01-10", "2024-01-12", {1: 3 / 7}),
        ("2024-01-14", "2024-01-22", {1: 1 / 7, 2: 1, 3: 1 / 7}),
        ("2024-01-01", "2024-02-25", dict.fromkeys(range(8), 1)),
    ],
)
def test_a_row_counts_by_its_days_in_the_study(start, end, shares):
    first, stop, weights = study_rows(study("a", start, end), MONDAYS, MONDAYS + WEEK, Convention.CORRECT)
    assert (first, stop) == (min(shares), max(shares) + 1)
    assert dict(enumerate(weights.tolist())) == pytest.approx(dict.fromkeys(range(8), 0) | shares)


def test_months_have_their_own_lengths():
    dates = np.arange("2024-01", "2024-06", dtype="datetime64[M]").astype("datetime64[D]")
    ends = np.append(dates[1:], day("2024-06-01")) - 1
    _, _, weights = study_rows(study("a", "2024-02-15", "2024-03-10"), dates, ends, Convention.CORRECT)
    np.testing.assert_allclose(weights, [0, 15 / 29, 10 / 31, 0, 0])


@pytest.mark.parametrize(
    ("start", "end", "rows", "weight"),
    [("2024-01-08", "2024-01-22", (1, 4), 14 / 14), ("2024-01-10", "2024-01-25", (1, 4), 15 / 14)],
)
def test_robyn_adds_the_row_before_and_counts_days_as_differences(start, end, rows, weight):
    first, stop, weights = study_rows(study("a", start, end), MONDAYS, MONDAYS + WEEK, Convention.ROBYN)
    assert (first, stop) == rows
    np.testing.assert_allclose(weights[first:stop], weight)
    assert weights.sum() == pytest.approx(weight * (stop - first))


def test_one_row_is_a_study_but_not_in_robyns_convention():
    one = study("a", "2024-01-08", "2024-01-14")
    assert study_rows(one, MONDAYS, MONDAYS + WEEK, Convention.CORRECT)[:2] == (1, 2)
    with pytest.raises(RangeError, match="one row"):
        study_rows(one, MONDAYS, MONDAYS + WEEK, Convention.ROBYN)


def test_refuses_days_that_the_data_do_not_have():
    with pytest.raises(RangeError, match="no row"):
        study_rows(study("a", "2025-01-08", "2025-01-14"), MONDAYS, MONDAYS + WEEK, Convention.CORRECT)


# ------------------------------------------------------------------------------------------------------- known truths


@pytest.mark.parametrize("adstock", Adstock)
def test_the_truth_has_no_error(adstock):
    problem = random_problem(1, adstock=adstock, noise=0.0)
    point = random_hyperparameters(problem, 1)[0]
    coefs = np.array([1.0, 1.0, 1.0, 50.0, 50.0, 50.0, 50.0])  # what ``random_problem`` makes the outcome of
    truths = [slow.correct(problem, *named(problem, point, coefs), s, problem.dates + WEEK) for s in STUDIES]
    studies = [dataclasses.replace(s, estimate=truth) for s, truth in zip(STUDIES, truths, strict=True)]
    found = predict(calibrated(problem, studies), FittedModel("", point, 0.0, 100.0, coefs))
    np.testing.assert_allclose(found.predicted, truths, **CLOSE)
    assert found.error.max() < 1e-10
    assert (found.predicted <= found.total).all()


def test_a_good_fit_is_near_the_studies_that_its_data_came_from():
    problem = random_problem(11, n_periods=300, noise=0.0, time_series_validation=False)
    point = random_hyperparameters(problem, 11)
    coefs = np.array([1.0, 1.0, 1.0, 50.0, 50.0, 50.0, 50.0])
    truths = [
        slow.correct(problem, *named(problem, point[0], coefs), s, problem.dates + WEEK) for s in STUDIES
    ]
    studies = [dataclasses.replace(s, estimate=truth) for s, truth in zip(STUDIES, truths, strict=True)]
    batch = evaluate_candidates(calibrated(problem, studies), point, penalty=np.zeros(1))
    assert batch.loss("mape")[0] < 0.01


def test_weeks_as_studies_add_up_to_the_contribution():
    problem = random_problem(2)
    weeks = [study("paid_1", d, d + WEEK) for d in problem.dates[problem.window]]
    point = random_hyperparameters(problem, 3)
    problem = calibrated(problem, weeks)
    batch = evaluate_candidates(problem, point)
    model = model_of(problem, point[0], batch)
    by_week = decompose(problem, model).contributions[problem.columns.index("paid_1")]
    np.testing.assert_allclose(predict(problem, model).predicted, by_week, **CLOSE)


def test_a_study_of_the_first_exposures_finds_no_carryover():
    problem = random_problem(4)
    design = problem.design.copy()
    design[problem.columns.index("paid_1"), :20] = 0.0
    whole = study("paid_1", problem.dates[20], problem.dates[-1] + WEEK, scope="immediate")
    problem = calibrated(dataclasses.replace(problem, design=design), [whole])
    point = random_hyperparameters(problem, 5)
    batch = evaluate_candidates(problem, point)
    found = predict(problem, model_of(problem, point[0], batch))
    assert found.predicted[0] == pytest.approx(found.total[0], rel=1e-14)
    assert found.total[0] == pytest.approx(batch.contributions[0, problem.columns.index("paid_1")], rel=1e-12)


# ------------------------------------------------------------------------------------------------------------ slow twin


@pytest.mark.parametrize("adstock", Adstock)
@pytest.mark.parametrize("convention", Convention)
def test_agrees_with_the_slow_twin(adstock, convention):
    problem = calibrated(random_problem(21, adstock=adstock), convention=convention)
    points = random_hyperparameters(problem, 22, 8)
    batch = evaluate_candidates(problem, points)
    for i, point in enumerate(points):
        named_point = named(problem, point, batch.coefs[i])
        if convention is Convention.ROBYN:
            expected = [slow.robyn(problem, *named_point, s) for s in STUDIES]
        else:
            expected = [slow.correct(problem, *named_point, s, problem.dates + WEEK) for s in STUDIES]
        found = predict(problem, model_of(problem, point, batch, i))
        np.testing.assert_allclose(found.predicted, expected, **CLOSE, atol=1e-8)
        error = slow.mape(expected, [s.estimate for s in STUDIES], [np.nan] * len(STUDIES))
        assert batch.loss("mape")[i] == pytest.approx(error, rel=1e-10)
        assert batch.loss("mape")[i] == pytest.approx(found.error.mean(), rel=1e-12)


def test_studies_change_nothing_but_their_own_loss():
    problem = random_problem(23)
    points = random_hyperparameters(problem, 24, 6)
    without, with_studies = (
        evaluate_candidates(problem, points),
        evaluate_candidates(calibrated(problem), points),
    )
    assert (without.loss("mape") == 0).all()
    assert (with_studies.loss("mape") > 0).all()
    others = [name for name in LOSS_COLUMNS if name != "mape"]
    for name in others:
        np.testing.assert_array_equal(with_studies.loss(name), without.loss(name))
    np.testing.assert_array_equal(with_studies.coefs, without.coefs)
    assert problem.objectives == ("nrmse", "decomp_rssd")
    assert calibrated(problem).objectives == ("nrmse", "decomp_rssd", "mape")


def test_with_and_without_studies_one_kernel_is_compiled():
    problem = random_problem(25)
    points = random_hyperparameters(problem, 26, 2)
    evaluate_candidates(problem, points)
    before = len(_kernels.evaluate_batch.signatures)
    evaluate_candidates(calibrated(problem), points)
    evaluate_candidates(pickle.loads(pickle.dumps(calibrated(problem))), points)
    assert len(_kernels.evaluate_batch.signatures) == before


def test_without_studies_nothing_is_predicted():
    problem = random_problem(27)
    point = random_hyperparameters(problem, 28)
    model = model_of(problem, point[0], evaluate_candidates(problem, point))
    assert predict(problem, model).predicted.shape == (0,)


# -------------------------------------------------------------------------------------------------------------- weights


def weights_of(errors, convention=Convention.CORRECT):
    studies = [dataclasses.replace(s, standard_error=error) for s, error in zip(STUDIES, errors, strict=True)]
    return calibrated(random_problem(1), studies, convention).studies.error_weights


def test_studies_without_standard_errors_count_the_same():
    np.testing.assert_allclose(weights_of([np.nan] * 5), 0.2)


def test_a_study_counts_by_how_well_it_knows_its_answer():
    # Estimates 900, 700, -300, 150, 500: relative errors of 10, 20, 20, 50 and 25 %.
    weights = weights_of([90.0, 140.0, 60.0, 75.0, 125.0])
    np.testing.assert_allclose(weights / weights[0], [1, 1 / 2, 1 / 2, 1 / 5, 2 / 5])
    assert weights.sum() == pytest.approx(1)


def test_a_study_without_standard_error_counts_like_the_median_of_the_others():
    weights = weights_of([90.0, 140.0, np.nan, 75.0, 125.0])
    np.testing.assert_allclose(weights / weights[0], [1, 1 / 2, 0.45, 1 / 5, 2 / 5])


def test_robyn_does_not_know_standard_errors():
    np.testing.assert_allclose(weights_of([90.0, 140.0, 60.0, 75.0, 125.0], Convention.ROBYN), 0.2)


def test_weighted_errors_are_the_slow_twins():
    errors = [90.0, 140.0, np.nan, 75.0, 125.0]
    studies = [dataclasses.replace(s, standard_error=error) for s, error in zip(STUDIES, errors, strict=True)]
    problem = calibrated(random_problem(29), studies)
    points = random_hyperparameters(problem, 30, 4)
    batch = evaluate_candidates(problem, points)
    for i, point in enumerate(points):
        found = predict(problem, model_of(problem, point, batch, i))
        expected = slow.mape(found.predicted, [s.estimate for s in studies], errors)
        assert batch.loss("mape")[i] == pytest.approx(expected, rel=1e-12)


# ------------------------------------------------------------------------------------------------- travel and refusals


def test_studies_travel_with_the_problem():
    problem = calibrated(random_problem(31))
    copy = pickle.loads(pickle.dumps(problem))
    assert copy.digest == problem.digest
    for name in ("first", "stop", "row_weights", "estimate", "standard_error", "error_weights"):
        for one in (problem, copy):
            assert not getattr(one.studies, name).flags.writeable
        np.testing.assert_array_equal(getattr(copy.studies, name), getattr(problem.studies, name))


def test_the_digest_knows_every_field_of_the_studies():
    problem = calibrated(random_problem(31))
    base = problem.studies
    variants = [
        {"channels": (("paid_1",), *base.channels[1:])},
        {"scopes": (Scope.IMMEDIATE, *base.scopes[1:])},
        {"first": base.first + np.array([1, 0, 0, 0, 0])},
        {"stop": base.stop - np.array([1, 0, 0, 0, 0])},
        {"row_weights": base.row_weights * 2},
        {"estimate": base.estimate + 1},
        {"standard_error": np.ones(5)},
        {"convention": Convention.ROBYN},
    ]
    assert {name for v in variants for name in v} == {f.name for f in dataclasses.fields(LiftStudies)}
    changed = [dataclasses.replace(problem, studies=dataclasses.replace(base, **v)) for v in variants]
    digests = {problem.digest, dataclasses.replace(problem, studies=None).digest}
    assert len(digests | {p.digest for p in changed}) == len(variants) + 2


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"channels": (("tv",),) * 5}, LabelError, "'tv', which is no medium"),
        ({"channels": ((),) * 5}, LabelError, "names no medium"),
        ({"channels": (("paid_0", "paid_0"),) * 5}, LabelError, "one twice"),
        ({"scopes": ("total",)}, ShapeError, "1 scopes for 5"),
        ({"estimate": np.zeros(5)}, RangeError, "not 0"),
        ({"estimate": np.ones(4)}, ShapeError, "estimate"),
        ({"standard_error": np.zeros(5)}, RangeError, "above 0"),
        ({"standard_error": np.full(5, np.inf)}, RangeError, "above 0"),
        ({"row_weights": np.ones(60)}, ShapeError, "row_weights"),
        ({"row_weights": np.ones((5, 59))}, ShapeError, r"\(5, 60\)"),
        ({"row_weights": -np.ones((5, 60))}, RangeError, "not negative"),
        ({"first": np.zeros(5)}, RangeError, "inside the window"),
        ({"stop": np.full(5, 61)}, RangeError, "inside the window"),
    ],
)
def test_refuses_studies_that_cannot_be_used(fields, error, message):
    problem = calibrated(random_problem(31))
    with pytest.raises(error, match=message):
        dataclasses.replace(problem, studies=dataclasses.replace(problem.studies, **fields))


def test_refuses_no_studies_at_all():
    with pytest.raises(ShapeError, match="at least one"):
        lift_studies([], MONDAYS, MONDAYS + WEEK)
