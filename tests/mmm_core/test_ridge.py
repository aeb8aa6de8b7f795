"""The bounded ridge on data whose answer is known, by its optimality conditions, and against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmm_core.errors import RangeError, ShapeError
from mmm_core.ridge import fit_bounded_ridge
from mmm_core.types import FitStatus, InterceptRule
from tests.reference.ridge import bounded_ridge

FREE = math.inf
# glmnet stops when no step moves the fit by more than sqrt(1e-7) standard deviations of y.
STOP = math.sqrt(1e-7)


def make_data(seed: int, n: int = 80, k: int = 5, correlation: float = 0.3, noise: float = 0.3):
    """x with one common factor, coefficients of several signs and sizes, y = 3 + x b + noise."""
    rng = np.random.default_rng(seed)
    x = np.sqrt(1 - correlation) * rng.normal(size=(n, k)) + np.sqrt(correlation) * rng.normal(size=(n, 1))
    x = x * rng.uniform(0.5, 20, k) + rng.uniform(-5, 5, k)
    b = rng.normal(size=k)
    signal = x @ b
    return x, 3 + signal + noise * signal.std() * rng.normal(size=n), b


def orthogonal_data(seed: int, n: int = 64, k: int = 4):
    """Centred columns that are exactly uncorrelated: one sweep solves them, so glmnet's early stop plays no part."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(np.column_stack([np.ones(n), rng.normal(size=(n, k))]))[0][:, 1:]
    x = basis * rng.uniform(1, 30, k) + rng.uniform(-3, 3, k)
    return x, rng.normal(size=n) + x @ rng.normal(size=k)


def gradient(x, y, fit, penalty, factors=None):
    """d objective / d b_j of the documented objective, in standardised units; 0 or pushing outwards at a bound."""
    k = x.shape[1]
    factors = np.ones(k) if factors is None else np.asarray(factors)
    q = factors * k / factors.sum()
    s = x.std(axis=0)
    ys = y.std() if fit.intercept != 0 else np.sqrt((y**2).mean())
    residual = y - fit.intercept - x @ fit.coefs
    return (-(x * residual[:, np.newaxis]).mean(axis=0) / s + penalty / ys * q * s * fit.coefs) / ys


def assert_kkt(x, y, fit, penalty, lower, upper, tolerance, factors=None):
    g = gradient(x, y, fit, penalty, factors)
    assert ((fit.coefs >= lower) & (fit.coefs <= upper)).all()
    inside = (fit.coefs > lower) & (fit.coefs < upper)
    assert np.abs(g[inside]).max(initial=0) < tolerance
    assert (g[fit.coefs == lower] > -tolerance).all()
    assert (g[fit.coefs == upper] < tolerance).all()


@pytest.mark.parametrize("penalty", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_kkt_exactly_where_one_sweep_solves(seed, penalty):
    x, y = orthogonal_data(seed)
    lower, upper = np.array([-FREE, 0, -0.5, -FREE]), np.array([FREE, FREE, 0.5, 0])
    factors = [1.0, 2.0, 0.5, 0.0]
    fit = fit_bounded_ridge(x, y, penalty, lower, upper, factors, InterceptRule.UNCONSTRAINED)
    assert_kkt(x, y, fit, penalty, lower, upper, 1e-12, factors)


@pytest.mark.parametrize("rule", list(InterceptRule))
@pytest.mark.parametrize("seed", range(4))
def test_kkt_with_correlated_columns_as_far_as_glmnet_goes(seed, rule):
    x, y, _ = make_data(seed)
    lower, upper = np.array([0, -FREE, 0, -1, -FREE]), np.array([FREE, 0, 1, FREE, FREE])
    fit = fit_bounded_ridge(x, y, 0.05 * y.std(), lower, upper, intercept=rule)
    # The last sweep moved no coefficient by more than STOP; its neighbours' gradients moved by as much at most.
    assert_kkt(x, y, fit, 0.05 * y.std(), lower, upper, x.shape[1] * STOP * 10)


def test_bounds_hold_where_the_truth_lies_beyond_them():
    x, y = orthogonal_data(3, k=3)
    y = 1 + x @ np.array([2.0, -2.0, 0.3])
    fit = fit_bounded_ridge(x, y, 0.0, np.array([0, 0, 0]), np.array([1, FREE, 1]), intercept="unconstrained")
    np.testing.assert_allclose(fit.coefs, [1.0, 0.0, 0.3], atol=1e-12)
    assert fit.df == 3  # two columns and the intercept


@pytest.mark.parametrize("seed", range(5))
def test_least_squares_without_penalty_and_bounds(seed):
    x, y, _ = make_data(seed, correlation=0.1)
    free = np.full(5, FREE)
    fit = fit_bounded_ridge(x, y, 0.0, -free, free, intercept=InterceptRule.UNCONSTRAINED)
    exact = np.linalg.lstsq(np.column_stack([np.ones(len(y)), x]), y, rcond=None)[0]
    np.testing.assert_allclose(fit.coefs * x.std(axis=0), exact[1:] * x.std(axis=0), atol=10 * STOP * y.std())
    np.testing.assert_allclose(
        fit.intercept + x @ fit.coefs, exact[0] + x @ exact[1:], atol=10 * STOP * y.std()
    )


def test_planted_coefficients_are_recovered_without_noise():
    x, _ = orthogonal_data(8)
    b = np.array([0.5, 1.5, -2.0, 0.0])
    free = np.full(4, FREE)
    fit = fit_bounded_ridge(x, 7 + x @ b, 0.0, -free, free)
    np.testing.assert_allclose(fit.coefs, b, atol=1e-12)
    assert fit.intercept == pytest.approx(7)
    assert fit.status is FitStatus.OK


def test_ridge_shrinks_an_uncorrelated_column_by_its_formula():
    x, y = orthogonal_data(5)
    free, penalty = np.full(4, FREE), 0.7
    fit = fit_bounded_ridge(x, y, penalty, -free, free, intercept=InterceptRule.UNCONSTRAINED)
    unpenalised = fit_bounded_ridge(x, y, 0.0, -free, free, intercept=InterceptRule.UNCONSTRAINED)
    np.testing.assert_allclose(fit.coefs, unpenalised.coefs / (1 + penalty / y.std()), rtol=1e-12)


@pytest.mark.parametrize("rule", ["non_negative", "unconstrained", "none"])
@pytest.mark.parametrize("penalty", [0.0, 0.01, 1.0])
def test_equals_the_plain_loops(rule, penalty):
    for seed in range(6):
        x, y, _ = make_data(seed, n=40, correlation=0.6)
        y = y - 30 * (seed % 2)  # half of them want a negative intercept
        x[:, 2] = 4.0
        lower, upper = np.array([0, -FREE, 0, -0.2, 0]), np.array([1, FREE, 1, 0.4, FREE])
        factors = np.array([1, 0.5, 1, 0.1, 3.0])
        fit = fit_bounded_ridge(x, y, penalty, lower, upper, factors, rule)
        coefs, intercept = bounded_ridge(
            x.tolist(), y.tolist(), penalty, lower.tolist(), upper.tolist(), factors.tolist(), rule
        )
        np.testing.assert_allclose(fit.coefs, coefs, rtol=1e-12, atol=1e-12 * np.abs(coefs).max())
        assert fit.intercept == pytest.approx(intercept, rel=1e-12, abs=1e-10)


def test_a_negative_intercept_is_fitted_again_without_one():
    x, y = orthogonal_data(1)
    x = x - x.mean(axis=0) + 5
    y = x.sum(axis=1) - 100
    free = np.full(4, FREE)
    with_one = fit_bounded_ridge(x, y, 0.1, -free, free, intercept="unconstrained")
    without = fit_bounded_ridge(x, y, 0.1, -free, free, intercept="none")
    fit = fit_bounded_ridge(x, y, 0.1, -free, free)
    assert with_one.intercept < 0
    assert with_one.df == without.df + 1
    assert fit.intercept == 0.0
    np.testing.assert_array_equal(fit.coefs, without.coefs)


def test_without_intercept_y_is_scaled_by_its_root_mean_square():
    # One column, so the minimum is known in closed form: ((xy) / n) / ((xx) / n + penalty * s^2 / ys).
    x, y = np.array([[1.0], [2.0], [4.0], [5.0]]), np.array([3.0, 5.0, 9.0, 12.0])
    penalty, ys, s = 0.8, np.sqrt((y**2).mean()), x.std()
    expected = (x[:, 0] * y).mean() / ((x**2).mean() + penalty / ys * s**2)
    fit = fit_bounded_ridge(x, y, penalty, np.array([-FREE]), np.array([FREE]), intercept="none")
    assert fit.coefs[0] == pytest.approx(expected, rel=1e-9)
    assert fit.df == 1


def test_a_constant_column_gets_nothing():
    x, y, _ = make_data(2)
    x[:, [1, 3]] = [0.0, 1.7]
    free = np.full(5, FREE)
    for rule in InterceptRule:
        fit = fit_bounded_ridge(x, y, 0.1, -free, free, intercept=rule)
        assert fit.coefs[1] == fit.coefs[3] == 0.0
        assert np.isfinite(fit.coefs).all()


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.bool_])
def test_integers_equal_floats(dtype):
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 2 if dtype is np.bool_ else 50, (30, 3)).astype(dtype), rng.integers(0, 90, 30)
    low, high = np.array([0, 0, 0]), np.array([FREE, FREE, FREE])
    whole = fit_bounded_ridge(x, y, 1, low, high)
    floats = fit_bounded_ridge(x.astype(float), y.astype(float), 1.0, low, high)
    np.testing.assert_array_equal(whole.coefs, floats.coefs)
    assert whole.intercept == floats.intercept


def test_memory_order_does_not_matter():
    x, y, _ = make_data(6)
    free = np.full(5, FREE)
    a = fit_bounded_ridge(np.asfortranarray(x), y[::1], 0.1, -free, free)
    b = fit_bounded_ridge(np.ascontiguousarray(x), np.repeat(y, 2)[::2], 0.1, -free, free)
    np.testing.assert_array_equal(a.coefs, b.coefs)


def test_a_descent_that_does_not_end_says_so():
    # Two columns that differ by a thousandth and an outcome that is their difference: a hundred thousand sweeps creep.
    rng = np.random.default_rng(0)
    first, second = np.linalg.qr(rng.normal(size=(50, 2)) - rng.normal(size=(50, 2)).mean(axis=0))[0].T
    x = np.column_stack([first, first + 1.5e-3 * second])
    free = np.full(2, FREE)
    fit = fit_bounded_ridge(x, x[:, 1] - x[:, 0], 0.0, -free, free, intercept="unconstrained")
    assert fit.status is FitStatus.MAX_SWEEPS
    assert np.isfinite(fit.coefs).all()


def test_a_constant_outcome_leaves_nothing_to_explain():
    x, _, _ = make_data(0)
    free = np.full(5, FREE)
    for rule, level in (("non_negative", 4.0), ("unconstrained", -4.0), ("none", 0.0)):
        fit = fit_bounded_ridge(x, np.full(80, level), 0.1, -free, free, intercept=rule)
        assert not fit.coefs.any()
        assert fit.intercept == level
    # A negative level may not become the intercept, so columns have to explain it.
    fit = fit_bounded_ridge(x + 10, np.full(80, -4.0), 0.1, -free, free)
    assert fit.intercept == 0
    assert fit.coefs.any()


def test_penalty_factors_are_relative():
    x, y, _ = make_data(7)
    free = np.full(5, FREE)
    one = fit_bounded_ridge(x, y, 0.3, -free, free)
    same = fit_bounded_ridge(x, y, 0.3, -free, free, np.full(5, 0.25))
    np.testing.assert_allclose(one.coefs, same.coefs, rtol=1e-12)
    without = fit_bounded_ridge(x, y, 0.3, -free, free, np.zeros(5))
    np.testing.assert_array_equal(without.coefs, fit_bounded_ridge(x, y, 0.0, -free, free).coefs)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"x": np.ones(3)}, ShapeError),
        ({"x": np.zeros((0, 2)), "y": np.zeros(0)}, ShapeError),
        ({"y": np.ones(4)}, ShapeError),
        ({"lower": np.zeros(3)}, ShapeError),
        ({"penalty_factors": np.ones(1)}, ShapeError),
        ({"x": np.array([[1.0, np.nan]] * 3)}, RangeError),
        ({"y": np.array([1.0, np.inf, 2.0])}, RangeError),
        ({"lower": np.array([1.0, 0.0])}, RangeError),
        ({"upper": np.array([1.0, -1.0])}, RangeError),
        ({"lower": np.array([np.nan, 0.0])}, RangeError),
        ({"penalty": -1.0}, RangeError),
        ({"penalty": np.inf}, RangeError),
        ({"penalty_factors": np.array([1.0, -1.0])}, RangeError),
    ],
)
def test_arguments_are_checked(change, error):
    arguments = {
        "x": np.array([[1.0, 2.0], [2.0, 1.0], [4.0, 4.0]]),
        "y": np.array([1.0, 2.0, 3.0]),
        "penalty": 0.1,
        "lower": np.zeros(2),
        "upper": np.ones(2),
    }
    with pytest.raises(error):
        fit_bounded_ridge(**(arguments | change))
