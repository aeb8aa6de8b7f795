"""Panels built so that exactly one reason holds for a medium without effect; the numbers agree with scipy's solver."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from mmm_core.bootstrap import n_train_rows
from mmm_core.decomposition import decompose
from mmm_core.evaluate import evaluate_candidates
from mmm_core.transforms import design_matrix
from mmm_core.types import FittedModel, Solver
from mmm_core.zero_effect import Flatness, ZeroReason, without_effect, zero_effects
from tests.reference.problems import random_hyperparameters, random_problem
from tests.reference.silent import CONTEXT, NOISE, OTHER, SEARCH, TV, N, curve, model_on


def the_reason(problem, model, medium):
    (found,) = [zero for zero in zero_effects(problem, model) if zero.medium == medium]
    return found


def sums(problem, model):
    return design_matrix(problem, model.hyperparameters).sum(axis=0)


# --------------------------------------------------------------------------------------------------------- each reason


def test_its_effect_would_be_negative():
    (tv, tv_in), (search, search_in) = curve(TV), curve(SEARCH)
    outcome = 200 + 80 * tv - 30 * search + 3 * CONTEXT + 0.1 * NOISE
    problem, model = model_on({"tv": tv_in, "search": search_in}, outcome)
    zero = the_reason(problem, model, "search")
    assert zero.reason is ZeroReason.BOUND
    assert zero.free_effect == pytest.approx(-30 * search.sum(), rel=0.01)
    assert zero.slope < -0.1
    assert (zero.effect, zero.exact_effect, zero.unpenalised_effect) == (0, 0, 0)
    assert zero.r2 < 0.2
    assert zero.partners == ()


def test_a_negative_sign_is_a_bound_too():
    (tv, tv_in), (search, search_in) = curve(TV), curve(SEARCH)
    outcome = 200 + 80 * tv + 30 * search + 0.1 * NOISE
    problem, model = model_on({"tv": tv_in, "search": search_in}, outcome)
    problem = dataclasses.replace(
        problem, lower=np.array([-np.inf, 0, -np.inf]), upper=np.array([np.inf, np.inf, 0])
    )
    batch = evaluate_candidates(problem, model.hyperparameters[np.newaxis], np.array([1e-9]))
    model = dataclasses.replace(model, coefs=batch.coefs[0], intercept=float(batch.loss("intercept")[0]))
    zero = the_reason(problem, model, "search")
    assert zero.reason is ZeroReason.BOUND
    assert zero.free_effect == pytest.approx(30 * search.sum(), rel=0.01)
    assert zero.slope > 0.1


@pytest.mark.parametrize(
    ("flatness", "exposure", "point"),
    [
        (Flatness.NO_EXPOSURE, np.where(np.arange(N) < 80, 0.0, SEARCH), {}),
        (Flatness.CONSTANT_EXPOSURE, np.where(np.arange(N) < 80, 2.0, SEARCH), {}),
        (Flatness.SATURATED, 50 + SEARCH, {"search_alpha": 9.9, "search_gamma": 0.01}),
        (Flatness.BELOW_THE_CURVE, np.where(np.arange(N) < 80, 1e-40 * SEARCH, SEARCH), {"search_alpha": 9.9}),
    ],
)  # fmt: skip
def test_it_does_not_vary(flatness, exposure, point):
    tv, tv_in = curve(TV)
    outcome = 200 + 80 * tv + 0.1 * NOISE
    problem, model = model_on({"tv": tv_in, "search": exposure}, outcome, point=point, train_size=0.6)
    zero = the_reason(problem, model, "search")
    assert (zero.reason, zero.flatness) == (ZeroReason.NO_VARIATION, flatness)
    assert zero.effect == 0
    saturated = design_matrix(problem, model.hyperparameters)[: n_train_rows(problem, model), 2]
    np.testing.assert_allclose(saturated, zero.level, rtol=1e-9)


def test_another_column_says_the_same():
    """What is left of search beside tv pulls the other way; without tv search would have tv's effect."""
    tv, tv_in = curve(TV)
    search, search_in = curve(TV + 0.05 * TV.mean() * np.random.default_rng(5).random(N))
    own = search - np.polyval(np.polyfit(tv, search, 1), tv)
    outcome = 200 + 80 * tv - 20 * own + 0.01 * NOISE
    problem, model = model_on({"tv": tv_in, "search": search_in, "other": curve(OTHER)[1]}, outcome)
    zero = the_reason(problem, model, "search")
    assert zero.reason is ZeroReason.COLLINEAR
    assert zero.partners == ("tv",)
    assert zero.r2 > 0.99
    assert zero.partners_r2 == pytest.approx(np.corrcoef(tv, search)[0, 1] ** 2)
    assert zero.alone_effect == pytest.approx(80 * tv.sum(), rel=0.1)
    assert zero.joint_effect == pytest.approx(model.coefs[1] * tv.sum())
    assert zero.free_effect < 0


def test_two_columns_together_say_the_same():
    tv, tv_in = curve(TV)
    other, other_in = curve(OTHER)
    search, search_in = curve(tv + other + 0.01 * np.random.default_rng(5).random(N))
    own = search - np.column_stack([tv, other, np.ones(N)]) @ np.linalg.lstsq(
        np.column_stack([tv, other, np.ones(N)]), search, rcond=None
    )[0]  # fmt: skip
    outcome = 200 + 60 * tv + 60 * other - 50 * own + 0.001 * NOISE
    problem, model = model_on({"tv": tv_in, "other": other_in, "search": search_in}, outcome, solver="exact")
    zero = the_reason(problem, model, "search")
    assert zero.reason is ZeroReason.COLLINEAR
    assert sorted(zero.partners) == ["other", "tv"]
    assert zero.alone_effect == pytest.approx(60 * (tv + other).sum(), rel=0.1)


def test_a_copy_of_another_column():
    tv, tv_in = curve(TV)
    problem, model = model_on({"tv": tv_in, "copy": tv_in}, 200 + 80 * tv + 0.1 * NOISE, penalty=0.0)
    found = zero_effects(problem, model)
    assert [zero.medium for zero in found] == ["copy"]
    assert found[0].partners == ("tv",)
    assert found[0].r2 == pytest.approx(1)
    assert found[0].alone_effect == pytest.approx(80 * tv.sum(), rel=0.01)


def test_the_penalty_takes_what_would_reveal_it():
    """Weather lowers sales and comes with search; shrunk, it no longer explains why sales are low with much search."""
    (tv, tv_in), (search, search_in) = curve(TV), curve(SEARCH)
    weather = (search - search.mean()) / search.std() + 0.9 * CONTEXT
    outcome = 200 + 80 * tv + 25 * search - 12 * weather + 0.1 * NOISE
    problem, model = model_on({"tv": tv_in, "search": search_in}, outcome, context=weather, penalty=100.0)
    zero = the_reason(problem, model, "search")
    assert zero.reason is ZeroReason.PENALTY
    assert zero.unpenalised_effect == pytest.approx(25 * search.sum(), rel=0.02)
    assert zero.shrinkage == 1
    assert zero.r2 < 0.8
    assert zero.slope < 0


def test_a_penalty_factor_takes_it():
    (tv, tv_in), (search, search_in) = curve(TV), curve(SEARCH)
    outcome = 200 + 80 * tv + 40 * search + 0.1 * NOISE
    point = {"tv_penalty": 0.0, "weather_penalty": 0.0, "search_penalty": 1.0}
    problem, model = model_on(
        {"tv": tv_in, "search": search_in}, outcome, point=point, penalty=1e6, penalty_factors=True
    )
    zero = the_reason(problem, model, "search")
    assert zero.reason is ZeroReason.PENALTY
    assert 0 < zero.effect < 1e-4 * zero.unpenalised_effect
    assert zero.unpenalised_effect == pytest.approx(40 * search.sum(), rel=0.01)
    assert 0.999 < zero.shrinkage < 1


def stopped_early():
    """Two columns nearly alike, of which the second is the true one; glmnet stops with the first."""
    for seed in range(400):
        own = np.random.default_rng(seed)
        base = own.gamma(1.5, 1, N) + 1
        (_, first_in), (second, second_in) = curve(base), curve(base + 0.005 * own.normal(size=N))
        outcome = 200 + 60 * second + 0.02 * own.normal(size=N)
        problem, model = model_on({"first": first_in, "second": second_in}, outcome, penalty=1e-6)
        if zero_effects(problem, model):
            return problem, model
    raise AssertionError("glmnet never stopped early")


def test_glmnet_stopped_before_it():
    problem, model = stopped_early()
    zero = the_reason(problem, model, "second")
    assert zero.reason is ZeroReason.EARLY_STOP
    exact = dataclasses.replace(problem, solver=Solver.EXACT)
    batch = evaluate_candidates(exact, model.hyperparameters[np.newaxis], np.array([model.penalty]))
    assert zero.exact_effect == pytest.approx(batch.contributions[0, 2], rel=1e-9)
    assert zero.exact_effect > 0.5 * batch.contributions[0, 1:].sum()
    assert zero.slope > 0
    # The exact solver leaves no such reason.
    again = dataclasses.replace(model, coefs=batch.coefs[0], intercept=float(batch.loss("intercept")[0]))
    assert "second" not in [z.medium for z in zero_effects(exact, again)]


def test_there_is_next_to_nothing_to_find():
    (tv, tv_in), (search, search_in) = curve(TV), curve(SEARCH)
    outcome = 200 + 80 * tv + 0.002 * search
    problem, model = model_on({"tv": tv_in, "search": search_in}, outcome)
    zero = the_reason(problem, model, "search")
    assert zero.reason is ZeroReason.SMALL
    assert zero.exact_effect == pytest.approx(0.002 * search.sum(), rel=0.05)


# -------------------------------------------------------------------------------------------------- who has no effect


def test_none_is_what_decomp_rssd_counts_as_none():
    problem = random_problem(1)
    first = problem.first_media
    contributions = np.zeros(len(problem.columns))
    contributions[first:] = 1.0, 4e-5, 6e-5, 1e-6
    assert without_effect(problem, contributions).tolist() == [False, True, False, True]
    contributions[first:] = 0.0
    assert without_effect(problem, contributions).all()
    contributions[first:] = 1.0, -1.0, -0.5, 0.5
    assert not without_effect(problem, contributions).any()


def reference_effects(problem, model, *, penalty, free=()):
    """The bounded ridge as a plain bounded least squares, solved by scipy's active set."""
    n = n_train_rows(problem, model)
    window = design_matrix(problem, model.hyperparameters)
    x, y = window[:n], problem.outcome[problem.window][:n]
    scale, mean = x.std(axis=0), x.mean(axis=0)
    z, r = (x - mean) / scale, (y - y.mean()) / y.std()
    strength = np.sqrt(n * penalty / y.std())
    lower, upper = problem.lower * scale / y.std(), problem.upper * scale / y.std()
    lower[list(free)], upper[list(free)] = -np.inf, np.inf
    augmented = np.vstack([z, strength * np.eye(len(scale))])
    found = lsq_linear(
        augmented, np.append(r, np.zeros(len(scale))), (lower, upper), method="bvls", tol=1e-14
    )
    return found.x * y.std() / scale * window.sum(axis=0)


@pytest.mark.parametrize("seed", range(6))
def test_every_silent_medium_has_a_reason_and_scipys_numbers(seed):
    problem = random_problem(seed, effect=-20, intercept="unconstrained", n_periods=90)
    points = random_hyperparameters(problem, seed, 3)
    batch = evaluate_candidates(problem, points)
    seen = 0
    for i in range(3):
        model = FittedModel(
            f"1_{i}", points[i], float(batch.penalty[i]), float(batch.loss("intercept")[i]), batch.coefs[i]
        )
        found = zero_effects(problem, model)
        silent = without_effect(problem, batch.contributions[i])
        assert [zero.medium for zero in found] == [m for m, s in zip(problem.media, silent, strict=True) if s]
        whole = decompose(problem, model).fitted.sum()
        for zero in found:
            j = problem.columns.index(zero.medium)
            exact = reference_effects(problem, model, penalty=model.penalty)[j]
            unpenalised = reference_effects(problem, model, penalty=0)[j]
            free = reference_effects(problem, model, penalty=model.penalty, free=[j])[j]
            assert (zero.exact_effect, zero.unpenalised_effect, zero.free_effect) == pytest.approx(
                (exact, unpenalised, free), rel=1e-6, abs=1e-9 * whole
            )
            assert zero.reason in (ZeroReason.BOUND, ZeroReason.PENALTY, ZeroReason.SMALL)
            seen += 1
    assert seen > 0
