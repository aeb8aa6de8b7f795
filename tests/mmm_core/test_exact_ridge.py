"""The exact solver reaches the minimum: by its optimality conditions, against scipy, and never far from glmnet."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm_core import _kernels
from mmm_core.bootstrap import bootstrap_model
from mmm_core.evaluate import evaluate_candidates
from mmm_core.ridge import fit_bounded_ridge
from mmm_core.transforms import design_matrix
from mmm_core.types import FitStatus, FittedModel, InterceptRule, Solver
from tests.mmm_core.test_ridge import assert_kkt, make_data
from tests.properties.test_ridge_properties import regressions, rules
from tests.reference.problems import random_hyperparameters, random_problem
from tests.reference.ridge import exact_bounded_ridge

FREE = math.inf


def exact(*data, rule=InterceptRule.NON_NEGATIVE):
    return fit_bounded_ridge(*data, rule, Solver.EXACT)


def objective(fit, x, y, penalty, factors):
    """The documented objective, in the scale of y that the fit's own intercept asks for."""
    q = factors * len(factors) / factors.sum()
    ys = y.std() if fit.intercept != 0 else np.sqrt((y**2).mean())
    residual = y - fit.intercept - x @ fit.coefs
    return (residual**2).mean() / 2 + penalty / (2 * ys) * (q * (x.std(axis=0) * fit.coefs) ** 2).sum()


@pytest.mark.parametrize("rule", list(InterceptRule))
@pytest.mark.parametrize("correlation", [0.3, 0.95, 0.999])
@pytest.mark.parametrize("strength", [0.0, 1e-4, 0.05, 3.0])
def test_no_slope_is_left(correlation, strength, rule):
    for seed in range(8):
        x, y, _ = make_data(seed, correlation=correlation)
        lower, upper = np.array([0, -FREE, 0, -FREE, -FREE]), np.array([FREE, 0, 1, FREE, FREE])
        factors = np.array([1.0, 2.0, 0.1, 1.0, 0.0])
        fit = exact(x, y, strength * y.std(), lower, upper, factors, rule=rule)
        assert fit.status is FitStatus.OK
        # Scaling to standard deviations and back leaves a coefficient beside its bound by a rounding error.
        on_bound = np.isclose(fit.coefs, upper, rtol=1e-12)
        snapped = dataclasses.replace(fit, coefs=np.where(on_bound, upper, fit.coefs))
        assert_kkt(x, y, snapped, strength * y.std(), lower, upper, 1e-10, factors)


@given(regressions(), rules)
def test_equals_bounded_least_squares(data, rule):
    fit = exact(*data, rule=rule)
    coefs, intercept = exact_bounded_ridge(*data, str(rule))
    x = data[0]
    # Fitted values: without a penalty and with fewer rows than columns many coefficients give the same.
    ours, theirs = fit.intercept + x @ fit.coefs, intercept + x @ coefs
    np.testing.assert_allclose(ours, theirs, atol=1e-7 * max(1.0, np.abs(data[1]).max()))
    if data[2] > 0:
        np.testing.assert_allclose(fit.coefs, coefs, atol=1e-7 * max(1.0, np.abs(coefs).max()))


@given(regressions(), rules)
def test_is_never_above_where_glmnet_stops(data, rule):
    x, y, penalty, _, _, factors = data
    fit, stopped = exact(*data, rule=rule), fit_bounded_ridge(*data, rule)
    if (fit.intercept == 0) == (stopped.intercept == 0):  # the rule saw the same sign
        ours, theirs = (objective(f, x, y, penalty, factors) for f in (fit, stopped))
        assert ours <= theirs + 1e-12 * (y**2).mean()


@pytest.mark.parametrize("seed", range(5))
def test_planted_coefficients_are_recovered_without_noise(seed):
    x, _, b = make_data(seed, correlation=0.99)
    free = np.full(5, FREE)
    fit = exact(x, 7 + x @ b, 0.0, -free, free, None)
    np.testing.assert_allclose(fit.coefs, b, rtol=1e-9)
    assert fit.intercept == pytest.approx(7, rel=1e-8)


def test_goes_where_glmnet_gives_up():
    # The columns of test_a_descent_that_does_not_end_says_so.
    rng = np.random.default_rng(0)
    first, second = np.linalg.qr(rng.normal(size=(50, 2)) - rng.normal(size=(50, 2)).mean(axis=0))[0].T
    x = np.column_stack([first, first + 1.5e-3 * second])
    free = np.full(2, FREE)
    fit = exact(x, x[:, 1] - x[:, 0], 0.0, -free, free, None, rule=InterceptRule.UNCONSTRAINED)
    assert fit.status is FitStatus.OK
    np.testing.assert_allclose(fit.coefs, [-1, 1], rtol=1e-6)


def test_a_column_that_repeats_another():
    x, y, _ = make_data(3)
    x = np.column_stack([x, x[:, 1], 2 * x[:, 1] + 5])
    free = np.full(7, FREE)
    twice = exact(x, y, 0.0, -free, free, None)
    once = exact(x[:, :5], y, 0.0, -free[:5], free[:5], None)
    assert twice.status is FitStatus.OK
    np.testing.assert_allclose(twice.intercept + x @ twice.coefs, once.intercept + x[:, :5] @ once.coefs)
    # A penalty shares the effect out evenly.
    shared = exact(x[:, :6], y, y.std(), -free[:6], free[:6], None)
    assert shared.coefs[1] == pytest.approx(shared.coefs[5], rel=1e-9)


def test_a_constant_outcome_and_constant_columns():
    x, y, _ = make_data(0)
    free = np.full(5, FREE)
    assert not exact(x, np.full(80, 4.0), 0.1, -free, free, None).coefs.any()
    x[:, [1, 3]] = [0.0, 1.7]
    for rule in InterceptRule:
        fit = exact(x, y, 0.1, -free, free, None, rule=rule)
        assert fit.coefs[1] == fit.coefs[3] == 0.0
        assert np.isfinite(fit.coefs).all()


# ---------------------------------------------------------------------------------------------------------- candidates


@pytest.mark.parametrize("intercept", InterceptRule)
@pytest.mark.parametrize("penalty_factors", [False, True])
def test_candidates_are_fitted_exactly(intercept, penalty_factors):
    problem = random_problem(
        91, level=-20.0, intercept=intercept, penalty_factors=penalty_factors, time_series_validation=False
    )
    precise = dataclasses.replace(problem, solver="exact")
    points = random_hyperparameters(problem, 92, 30)
    batch, stopped = evaluate_candidates(precise, points), evaluate_candidates(problem, points)
    assert (batch.statuses == 0).all()
    for i, values in enumerate(points):
        x, y = design_matrix(problem, values), problem.outcome[problem.window]
        factors = values[-len(problem.columns) :] if penalty_factors else np.ones(len(problem.columns))
        data = x, y, float(batch.penalty[i]), problem.lower, problem.upper, factors
        coefs, b0 = exact_bounded_ridge(*data, str(intercept))
        np.testing.assert_allclose(batch.coefs[i], coefs, rtol=1e-7, atol=1e-7 * np.abs(coefs).max())
        assert batch.loss("intercept")[i] == pytest.approx(b0, rel=1e-7, abs=1e-7)
    np.testing.assert_array_equal(batch.penalty, stopped.penalty)
    np.testing.assert_allclose(batch.loss("nrmse"), stopped.loss("nrmse"), atol=1e-4)


def test_refits_are_exact_too():
    problem = dataclasses.replace(random_problem(93, time_series_validation=False), solver="exact")
    points = random_hyperparameters(problem, 94)
    batch = evaluate_candidates(problem, points)
    model = FittedModel(
        "1_1", points[0], float(batch.penalty[0]), float(batch.loss("intercept")[0]), batch.coefs[0]
    )
    silent = dataclasses.replace(problem, outcome=problem.outcome.copy())
    draws = bootstrap_model(silent, model, 5, np.random.SeedSequence(1))
    other = bootstrap_model(
        dataclasses.replace(problem, solver="glmnet"), model, 5, np.random.SeedSequence(1)
    )
    assert (draws.coefs != other.coefs).any()
    np.testing.assert_allclose(draws.coefs, other.coefs, atol=0.02 * np.abs(draws.coefs).max())


def test_the_solver_needs_no_second_kernel():
    problem = random_problem(95)
    points = random_hyperparameters(problem, 96, 2)
    evaluate_candidates(problem, points)
    before = len(_kernels.evaluate_batch.signatures)
    evaluate_candidates(dataclasses.replace(problem, solver="exact"), points)
    assert len(_kernels.evaluate_batch.signatures) == before


@given(st.integers(0, 10_000))
def test_a_candidate_far_out_does_not_stop_the_solver(seed):
    rng = np.random.default_rng(seed)
    problem = random_problem(
        seed % 50,
        n_periods=int(rng.integers(12, 40)),
        solver="exact",
        adstock=["geometric", "weibull_cdf", "weibull_pdf"][seed % 3],
    )
    batch = evaluate_candidates(problem, random_hyperparameters(problem, seed, 5))
    assert (batch.statuses != 1).all()
    assert np.isfinite(batch.coefs).all()
