"""What holds for every candidate of every problem."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmm_core.decomposition import decompose
from mmm_core.evaluate import evaluate_candidates
from mmm_core.transforms import transform_media
from mmm_core.types import LOSS_COLUMNS, Adstock, CandidateBatch, FittedModel, InterceptRule
from tests.reference import candidate as slow
from tests.reference.problems import random_hyperparameters, random_problem

FIELDS = tuple(f.name for f in dataclasses.fields(CandidateBatch))


@st.composite
def problems(draw):
    n_periods = draw(st.integers(24, 70))
    start = draw(st.integers(0, n_periods - 12))
    return random_problem(
        draw(st.integers(0, 2**32 - 1)),
        n_periods=n_periods,
        window=(start, draw(st.integers(start + 12, n_periods))),
        n_paid=draw(st.integers(1, 4)),
        n_organic=draw(st.integers(0, 2)),
        n_context=draw(st.integers(0, 2)),
        adstock=draw(st.sampled_from(Adstock)),
        intercept=draw(st.sampled_from(InterceptRule)),
        time_series_validation=draw(st.booleans()),
        penalty_factors=draw(st.booleans()),
        zero_penalty=draw(st.booleans()),
        level=draw(st.sampled_from([-50.0, 0.0, 100.0, 1e6])),
        effect=draw(st.sampled_from([-50.0, 0.0, 50.0, 5000.0])),
    )


SEEDS = st.integers(0, 2**32 - 1)


def assert_same_bytes(a, b):
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@given(problems(), SEEDS)
def test_one_by_one_in_any_order_is_the_batch(problem, seed):
    points = random_hyperparameters(problem, seed, 5)
    batch = evaluate_candidates(problem, points)
    order = np.random.default_rng(seed).permutation(5)
    assert_same_bytes(evaluate_candidates(problem, points[order]), batch[order])
    singles = [evaluate_candidates(problem, points[i : i + 1]) for i in range(5)]
    assert_same_bytes(CandidateBatch.concatenate(singles), batch)


@given(problems(), SEEDS)
def test_a_pickled_problem_gives_the_same_bytes(problem, seed):
    points = random_hyperparameters(problem, seed, 3)
    assert_same_bytes(
        evaluate_candidates(pickle.loads(pickle.dumps(problem)), points), evaluate_candidates(problem, points)
    )


@given(problems(), SEEDS)
def test_coefficients_keep_their_bounds(problem, seed):
    batch = evaluate_candidates(problem, random_hyperparameters(problem, seed, 3))
    slack = 1e-9 * np.abs(batch.coefs).max(initial=1.0)
    assert (batch.coefs >= problem.lower - slack).all()
    assert (batch.coefs <= problem.upper + slack).all()


@given(problems(), SEEDS)
def test_contributions_and_intercept_sum_to_the_fit(problem, seed):
    points = random_hyperparameters(problem, seed)
    batch = evaluate_candidates(problem, points)
    intercept = float(batch.loss("intercept")[0])
    parts = decompose(
        problem, FittedModel("1_1", points[0], float(batch.penalty[0]), intercept, batch.coefs[0])
    )
    scale = np.abs(parts.contributions).sum() + abs(intercept)
    np.testing.assert_allclose(
        parts.contributions.sum(axis=0) + intercept, parts.fitted, rtol=1e-10, atol=1e-12 * scale
    )
    np.testing.assert_allclose(
        parts.contributions.sum(axis=1), batch.contributions[0], rtol=1e-10, atol=1e-12 * scale
    )
    error = problem.outcome[problem.window] - parts.fitted
    if not problem.time_series_validation:
        spread = np.ptp(problem.outcome[problem.window])
        assert batch.loss("nrmse")[0] == pytest.approx(np.sqrt((error**2).mean()) / spread, rel=1e-9)


@given(problems(), SEEDS)
def test_effect_shares_sum_to_one_or_are_all_zero(problem, seed):
    batch = evaluate_candidates(problem, random_hyperparameters(problem, seed, 4))
    total = batch.effect_shares.sum(axis=1)
    lost = np.isinf(batch.loss("decomp_rssd"))
    np.testing.assert_allclose(total[~lost], 1, rtol=1e-12)
    assert (batch.effect_shares[lost] == 0).all()


@given(problems(), SEEDS, st.sampled_from([2.0**-10, 2.0**7, 2.0**20]))
def test_losses_ignore_the_unit_of_the_outcome(problem, seed, unit):
    # Powers of two, so that scaling is exact and the descent takes the very same steps.
    columns = [
        name if name != "trend" else "level" for name in problem.columns
    ]  # bounds of the trend are absolute
    upper = np.where(problem.upper == 1, np.inf, problem.upper)
    problem = dataclasses.replace(problem, columns=columns, upper=upper)
    points = random_hyperparameters(problem, seed, 3)
    scaled = dataclasses.replace(problem, outcome=problem.outcome * unit)
    a, b = evaluate_candidates(problem, points), evaluate_candidates(scaled, points)
    for name in LOSS_COLUMNS:
        factor = unit if name == "intercept" else 1.0
        np.testing.assert_array_equal(b.loss(name), a.loss(name) * factor, err_msg=name)
    np.testing.assert_array_equal(b.coefs, a.coefs * unit)


@given(problems(), SEEDS, st.sampled_from([2.0**-8, 2.0**10]))
def test_losses_ignore_the_currency_of_the_spend(problem, seed, unit):
    points = random_hyperparameters(problem, seed, 3)
    design = problem.design.copy()
    design[problem.first_media :] *= unit
    scaled = dataclasses.replace(problem, design=design, spend=problem.spend * unit)
    a, b = evaluate_candidates(problem, points), evaluate_candidates(scaled, points)
    np.testing.assert_array_equal(a.losses, b.losses)
    np.testing.assert_array_equal(a.coefs, b.coefs)


@given(problems(), SEEDS)
def test_saturated_media_stay_between_zero_and_one(problem, seed):
    transform = transform_media(problem, random_hyperparameters(problem, seed)[0])
    assert ((transform.saturated >= 0) & (transform.saturated < 1)).all()
    assert (transform.adstocked >= 0).all()


def assert_agrees_with_the_slow_twin(problem, points):
    batch = evaluate_candidates(problem, points)
    for i, values in enumerate(points):
        twin = slow.candidate(problem, dict(zip(problem.hyperparameter_names, values.tolist(), strict=True)))
        expected = [twin["losses"][name] for name in LOSS_COLUMNS]
        np.testing.assert_allclose(batch.losses[i], expected, rtol=1e-8, atol=1e-8, err_msg=str(LOSS_COLUMNS))
        coefs = np.array(twin["coefs"])
        np.testing.assert_allclose(batch.coefs[i], coefs, rtol=1e-8, atol=1e-8 * np.abs(coefs).max())


@given(problems(), SEEDS)
def test_agrees_with_the_slow_twin(problem, seed):
    assert_agrees_with_the_slow_twin(problem, random_hyperparameters(problem, seed, 2))


@pytest.mark.nightly
@settings(max_examples=2000)
@given(problems(), SEEDS)
def test_agrees_with_the_slow_twin_on_many_problems(problem, seed):
    assert_agrees_with_the_slow_twin(problem, random_hyperparameters(problem, seed, 3))
