"""Projection, linear bound and climb: held against a linear programme, a slow projection and SLSQP."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from mmm_core.spectral import Region, climb


@st.composite
def regions(draw):
    """Region of 1 to 4 groups of 1 to 5 cells, with closed cells and tight groups among them."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    p, n = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    lower = rng.uniform(0, 1, (p, n)) * (rng.random((p, n)) < draw(st.sampled_from([0.0, 0.5])))
    upper = lower + rng.uniform(0, 3, (p, n)) * (rng.random((p, n)) < draw(st.sampled_from([0.7, 1.0])))
    span = (upper - lower).sum(axis=1)
    least = lower.sum(axis=1) + draw(st.sampled_from([0.0, 0.3])) * span
    most = upper.sum(axis=1) - draw(st.sampled_from([0.0, 0.3])) * span
    region = Region.of(lower, upper, least, most)
    part = draw(st.floats(0, 1))
    total = region.low + part * (region.high - region.low)
    kind = draw(st.sampled_from(["free", "equal", "at most"]))
    if kind == "equal":
        region = region.with_total(total, total)
    elif kind == "at most":
        region = region.with_total(0.0, total)
    return region, rng


def is_allowed(region, x, slack=1e-9):
    sums = x.sum(axis=1)
    return (
        (x >= region.lower - slack).all()
        and (x <= region.upper + slack).all()
        and (sums >= region.least - slack).all()
        and (sums <= region.most + slack).all()
        and region.low - slack <= x.sum() <= region.high + slack
    )


def corner(region, slopes):
    """The best point of a linear function, by a linear programme."""
    p, n = slopes.shape
    groups = np.kron(np.eye(p), np.ones(n))
    rows = np.vstack([groups, -groups, np.ones(p * n), -np.ones(p * n)])
    sides = np.concatenate([region.most, -region.least, [region.high], [-region.low]])
    bounds = list(zip(region.lower.ravel(), region.upper.ravel(), strict=True))
    return linprog(-slopes.ravel(), A_ub=rows, b_ub=sides + 1e-12, bounds=bounds).x.reshape(p, n)


@given(regions())
def test_the_projection_is_the_nearest_allowed_point(case):
    region, rng = case
    point = rng.normal(1, 3, region.lower.shape)
    weight = rng.uniform(0.1, 10, (len(point), 1)) * np.ones_like(point)
    x = region.project(point, weight)
    assert is_allowed(region, x)
    # The way on to any other allowed point leads away from the point: (x - point) / weight . (other - x) >= 0.
    slopes = -(x - point) / weight
    assert (slopes * (corner(region, slopes) - x)).sum() <= 1e-7 * (1 + np.abs(slopes).sum())


@given(regions())
def test_allowed_points_stay(case):
    region, rng = case
    x = corner(region, rng.normal(size=region.lower.shape))
    other = corner(region, rng.normal(size=region.lower.shape))
    middle = (x + other) / 2
    np.testing.assert_allclose(region.project(middle, np.ones_like(middle)), middle, atol=1e-8)


@given(regions())
def test_the_best_linear_value_is_that_of_a_linear_programme(case):
    region, rng = case
    slopes = rng.normal(0.3, 1, region.lower.shape)
    assert region.best_linear(slopes) == pytest.approx((slopes * corner(region, slopes)).sum(), abs=1e-6)


def hills(rng, p, n):
    """sum of height * z / (z + half) of moving sums z of the cells, and its gradient; concave."""
    height, half = rng.uniform(1, 5, (p, 1)), rng.uniform(0.5, 4, (p, 1))
    kernel = np.array([1.0, 0.6, 0.3])

    def function(x):
        z = np.array([np.convolve(row, kernel) for row in x])
        back = height * half / (z + half) ** 2
        slopes = np.array([np.convolve(row, kernel[::-1])[2 : 2 + n] for row in back])
        return float((height * z / (z + half)).sum()), slopes

    return function


@pytest.mark.parametrize("seed", range(6))
def test_a_climb_ends_where_slsqp_does(seed):
    rng = np.random.default_rng(seed)
    p, n = 3, 4
    function = hills(rng, p, n)
    region = Region.of(np.zeros((p, n)), np.full((p, n), 3.0), np.full(p, 1.0), np.array([4.0, 6.0, 12.0]))
    region = region.with_total(9.0, 9.0)
    found = climb(function, region, rng.uniform(0, 3, (p, n)), 1e-10, 2000)
    groups = np.kron(np.eye(p), np.ones(n))
    slow = minimize(
        lambda x: -function(x.reshape(p, n))[0],
        region.project(np.ones((p, n)), np.ones((p, n))).ravel(),
        jac=lambda x: -function(x.reshape(p, n))[1].ravel(),
        method="SLSQP",
        bounds=[(0, 3)] * (p * n),
        constraints=[
            {"type": "eq", "fun": lambda x: x.sum() - 9},
            {"type": "ineq", "fun": lambda x: groups @ x - region.least},
            {"type": "ineq", "fun": lambda x: region.most - groups @ x},
        ],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert is_allowed(region, found.x)
    assert found.value >= -slow.fun * (1 - 1e-9)
    assert found.value <= -slow.fun * (1 + 1e-6)
    # Concave: no point is better by more than the gap.
    assert -slow.fun <= found.value + found.gap + 1e-9
    assert found.gap <= 1e-7 * found.value


def test_a_climb_is_never_below_its_start():
    rng = np.random.default_rng(3)
    function = hills(rng, 2, 5)
    region = Region.of(np.zeros((2, 5)), np.ones((2, 5)), np.zeros(2), np.full(2, 5.0)).with_total(4, 4)
    start = region.project(rng.random((2, 5)), np.ones((2, 5)))
    for steps in (1, 2, 5):
        assert climb(function, region, start, 0.0, steps).value >= function(start)[0]


def test_nothing_to_decide():
    fixed = np.array([[1.0, 2.0], [0.0, 3.0]])
    region = Region.of(fixed, fixed, np.zeros(2), np.full(2, 9.0))
    assert (region.low, region.high) == (6, 6)
    end = climb(lambda x: (float(x.sum()), np.ones_like(x)), region, np.zeros((2, 2)), 1e-9, 10)
    np.testing.assert_array_equal(end.x, fixed)
    assert end.gap == 0
