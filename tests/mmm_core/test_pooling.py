"""Partial pooling: by its formulas, by its extremes, and nearer the truth on panels where that is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from mmm_core.errors import RangeError, ShapeError
from mmm_core.pooling import pool


def panel(spread: float, k: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(truth, estimates, errors) of k markets whose truths differ by ``spread``."""
    rng = np.random.default_rng(seed)
    errors = rng.uniform(0.1, 0.5, k)
    truth = 1 + spread * rng.standard_normal(k)
    return truth, truth + errors * rng.standard_normal(k), errors


def test_one_tau_is_the_plain_formula():
    _, values, errors = panel(0.4)
    pooled = pool(values, errors, "dl")
    w = 1 / (errors**2 + pooled.tau**2)
    mean = (w * values).sum() / w.sum()
    shrink = errors**2 * w
    assert pooled.mean == pytest.approx(mean)
    np.testing.assert_allclose(pooled.weights, shrink)
    np.testing.assert_allclose(pooled.estimates, shrink * mean + (1 - shrink) * values)
    np.testing.assert_allclose(pooled.errors, np.sqrt((1 - shrink) * errors**2 + shrink**2 / w.sum()))
    np.testing.assert_allclose(pooled.mean_error, 1 / np.sqrt(w.sum()))


def test_moments_by_hand():
    """DerSimonian and Laird with equal errors: tau^2 is the variance of the estimates less that of their errors."""
    values, errors = np.array([1.0, 2.0, 4.0, 5.0]), np.full(4, 0.5)
    pooled = pool(values, errors, "dl")
    assert pooled.tau**2 == pytest.approx(values.var(ddof=1) - 0.25)
    assert pooled.q == pytest.approx(((values - 3) ** 2).sum() / 0.25)
    assert pooled.i_squared == pytest.approx(1 - 3 / 40)


@pytest.mark.parametrize("seed", range(20))
def test_reml_is_the_maximum_of_the_restricted_likelihood(seed):
    _, values, errors = panel(0.3, seed=seed)

    def minus_log_likelihood(tau: float) -> float:
        w = 1 / (errors**2 + tau**2)
        mean = (w * values).sum() / w.sum()
        return -0.5 * (np.log(w).sum() - np.log(w.sum()) - (w * (values - mean) ** 2).sum())

    best = minimize_scalar(minus_log_likelihood, bounds=(0, 3), method="bounded", options={"xatol": 1e-9})
    found = pool(values, errors, "reml").tau
    assert minus_log_likelihood(found) <= best.fun + 1e-7


def test_averaging_over_tau_is_the_posterior_by_a_finer_grid():
    _, values, errors = panel(0.3, seed=4)
    taus = np.linspace(1e-4, 12, 60_000)[:, np.newaxis]
    w = 1 / (errors**2 + taus**2)
    means = (w * values).sum(axis=1) / w.sum(axis=1)
    logs = 0.5 * (np.log(w).sum(axis=1) - np.log(w.sum(axis=1)))
    logs -= 0.5 * (w * (values - means[:, np.newaxis]) ** 2).sum(axis=1)
    share = np.exp(logs - logs.max())
    share /= share.sum()
    shrink = errors**2 * w
    each = shrink * means[:, np.newaxis] + (1 - shrink) * values
    pooled = pool(values, errors)
    np.testing.assert_allclose(pooled.estimates, share @ each, rtol=2e-3)
    np.testing.assert_allclose(pooled.mean, share @ means, rtol=2e-3)
    assert pooled.tau == pytest.approx(taus[np.searchsorted(np.cumsum(share), 0.5), 0], rel=0.02)


@pytest.mark.parametrize("method", ["integrated", "reml", "dl"])
def test_markets_that_differ_far_beyond_their_errors_stay_as_they_are(method):
    values, errors = np.array([1.0, 5.0, 9.0, 20.0]), np.full(4, 0.01)
    pooled = pool(values, errors, method)
    np.testing.assert_allclose(pooled.estimates, values, atol=0.01)
    assert pooled.weights.max() < 0.01
    assert pooled.i_squared > 0.99


@pytest.mark.parametrize("method", ["reml", "dl"])
def test_markets_that_differ_less_than_their_errors_become_one(method):
    values, errors = np.array([1.0, 1.01, 0.99, 1.0]), np.array([0.5, 0.6, 0.4, 1.0])
    pooled = pool(values, errors, method)
    assert pooled.tau == 0
    np.testing.assert_allclose(pooled.weights, 1)
    assert np.ptp(pooled.estimates) == pytest.approx(0)


def test_an_uncertain_market_borrows_more_and_none_leaves_the_range():
    _, values, errors = panel(0.3, seed=2)
    errors[0] = 3.0
    pooled = pool(values, errors)
    assert pooled.weights.argmax() == 0
    order = np.argsort(errors)
    assert (np.diff(pooled.weights[order]) >= 0).all()
    assert (pooled.estimates >= values.min()).all()
    assert (pooled.estimates <= values.max()).all()


def test_order_and_unit_of_the_markets_do_not_matter():
    _, values, errors = panel(0.3)
    pooled, turned = pool(values, errors), pool(values[::-1], errors[::-1])
    np.testing.assert_allclose(turned.estimates[::-1], pooled.estimates)
    scaled = pool(1000 * values, 1000 * errors)
    np.testing.assert_allclose(scaled.estimates, 1000 * pooled.estimates, rtol=1e-9)
    np.testing.assert_allclose(scaled.weights, pooled.weights, rtol=1e-9)


@pytest.mark.parametrize(("spread", "gain"), [(0.0, 0.5), (0.2, 0.75), (0.5, 0.95)])
def test_pooled_is_nearer_the_truth_than_raw_and_its_intervals_hold_it(spread, gain):
    raw, pooled, holds = [], [], []
    for seed in range(100):
        truth, values, errors = panel(spread, seed=seed)
        found = pool(values, errors)
        low, high = found.interval(0.9)
        raw.append(values - truth)
        pooled.append(found.estimates - truth)
        holds.append((low <= truth) & (truth <= high))
    errors_of = [float(np.sqrt(np.mean(np.square(one)))) for one in (raw, pooled)]
    assert errors_of[1] < gain * errors_of[0]
    assert np.mean(holds) > 0.86


@pytest.mark.parametrize(
    ("values", "errors", "error"),
    [
        ([1.0, 2.0], [1.0, 1.0], RangeError),
        ([1.0, 2.0, 3.0], [1.0, 0.0, 1.0], RangeError),
        ([1.0, np.inf, 3.0], [1.0, 1.0, 1.0], RangeError),
        ([1.0, 2.0, 3.0], [1.0, 1.0], ShapeError),
    ],
)
def test_what_cannot_be_pooled_is_refused(values, errors, error):
    with pytest.raises(error):
        pool(np.array(values), np.array(errors))
