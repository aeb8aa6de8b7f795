"""What holds for any regression. Units change by powers of two, so that rounding, and with it the stop, is equal."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmm_core.ridge import fit_bounded_ridge
from mmm_core.types import InterceptRule
from tests.reference.ridge import bounded_ridge

powers = st.integers(-20, 20).map(lambda e: 2.0**e)
rules = st.sampled_from(list(InterceptRule))


@st.composite
def regressions(draw):
    """(x, y, penalty, lower, upper, factors) with correlated columns, some of them sparse, bounded or constant."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n, k = draw(st.integers(5, 40)), draw(st.integers(1, 5))
    x = rng.gamma(1.5, 1, (n, k)) * (rng.random((n, k)) < draw(st.sampled_from([0.5, 1.0])))
    x += draw(st.sampled_from([0.0, 0.5])) * x[:, :1]
    if draw(st.booleans()):
        x[:, -1] = 2.0
    y = draw(st.sampled_from([-20.0, 0.0, 50.0])) + x @ rng.normal(size=k) + rng.normal(size=n)
    lower = np.where(rng.random(k) < 0.5, 0.0, -np.inf)
    upper = np.where(rng.random(k) < 0.3, rng.random(k), np.inf)
    return x, y, draw(st.sampled_from([0.0, 0.05, 1.0, 30.0])), lower, upper, rng.uniform(0.1, 1, k)


@given(regressions(), rules)
def test_equals_the_plain_loops(data, rule):
    fit = fit_bounded_ridge(*data, rule)
    coefs, intercept = bounded_ridge(*(a if isinstance(a, float) else a.tolist() for a in data), str(rule))
    scale = max(1.0, np.abs(coefs).max(initial=0), abs(intercept))
    np.testing.assert_allclose(fit.coefs, coefs, atol=1e-12 * scale, rtol=1e-12)
    np.testing.assert_allclose(fit.intercept, intercept, atol=1e-11 * scale)


@given(regressions(), rules, powers)
def test_the_unit_of_the_outcome_passes_through(data, rule, unit):
    x, y, penalty, lower, upper, factors = data
    one = fit_bounded_ridge(x, y, penalty, lower, upper, factors, rule)
    other = fit_bounded_ridge(x, unit * y, unit * penalty, unit * lower, unit * upper, factors, rule)
    np.testing.assert_array_equal(other.coefs, unit * one.coefs)
    assert other.intercept == unit * one.intercept


@given(regressions(), rules, powers)
def test_the_unit_of_the_columns_cancels(data, rule, unit):
    x, y, penalty, lower, upper, factors = data
    one = fit_bounded_ridge(x, y, penalty, lower, upper, factors, rule)
    other = fit_bounded_ridge(unit * x, y, penalty, lower / unit, upper / unit, factors, rule)
    np.testing.assert_array_equal(other.coefs, one.coefs / unit)
    assert other.intercept == one.intercept


@given(regressions(), rules)
def test_coefficients_keep_their_bounds_and_the_intercept_its_rule(data, rule):
    x, y, penalty, lower, upper, factors = data
    fit = fit_bounded_ridge(x, y, penalty, lower, upper, factors, rule)
    slack = 1e-12 * np.where(np.isfinite(upper), upper, 1)  # scaling to standard deviations and back rounds
    assert ((fit.coefs >= lower) & (fit.coefs <= upper + slack)).all()
    assert rule is not InterceptRule.NON_NEGATIVE or fit.intercept >= 0
    assert rule is not InterceptRule.NONE or fit.intercept == 0
    assert fit.df == np.count_nonzero(fit.coefs) + (fit.intercept != 0)


@given(regressions())
def test_more_penalty_never_fits_the_training_rows_better(data):
    x, y, _, lower, upper, factors = data
    errors = []
    for penalty in (0.0, 0.1, 1.0, 10.0):
        fit = fit_bounded_ridge(x, y, penalty, lower, upper, factors, InterceptRule.UNCONSTRAINED)
        errors.append(((y - fit.intercept - x @ fit.coefs) ** 2).mean())
    # The early stop leaves each fit within a small part of the variance of y.
    assert (np.diff(errors) > -1e-3 * y.var()).all()
