"""Curves made from known parameters: the fit finds them, and the bounds hold them whatever the flight and the noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmm_core.adstock import apply, weights
from mmm_core.curve_fit import (
    ALPHA,
    NARROWEST,
    CurveBounds,
    Shape,
    curve_bounds,
    fit_curve,
    robyn_bounds,
)
from mmm_core.errors import RangeError, ShapeError
from mmm_core.types import Adstock
from tests.reference.candidate import adstock, hill

WINDOW = slice(10, 104)


def plain_curve(spends, alpha, inflexion, coef):
    return np.array([coef * hill(s, alpha, inflexion) for s in spends])


def flight_response(spend, periods, kind, parameters, n_rows, alpha, inflexion, coef):
    """The response in a flight, as the model itself would give it: a series with nothing but the flight."""
    series = [spend / periods] * periods + [0.0] * (n_rows - periods)
    adstocked, _ = adstock(kind, series, parameters)
    return coef * sum(hill(a, alpha, inflexion) for a in adstocked[:periods]) / periods


def exposure_of(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.gamma(1.5, 1000, 104) * (rng.random(104) > 0.3)


def bounds_hold(bounds: CurveBounds, alpha: float, gamma: float) -> bool:
    (a, b), (c, d) = bounds.alpha_range, bounds.gamma_range
    return a <= alpha <= b and c <= gamma <= d


# ------------------------------------------------------------------------------------------------------- known truths


@pytest.mark.parametrize("alpha", [0.4, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("coef", [1e-3, 7e6])
def test_finds_the_curve_that_made_the_points(alpha, gamma, coef):
    spend = np.linspace(0, 80_000, 25)
    fit = fit_curve(spend, plain_curve(spend, alpha, gamma * 80_000, coef))
    assert fit.alpha == pytest.approx(alpha, rel=1e-5)
    assert fit.inflexion == pytest.approx(gamma * 80_000, rel=1e-5)
    assert fit.coef == pytest.approx(coef, rel=1e-5)
    assert fit.r2 == pytest.approx(1, abs=1e-9)
    assert fit.fitted[0] == 0
    # Even a perfect fit bounds no closer than this: the curve of a plan is not the curve of the outcome.
    assert fit.alpha_range == pytest.approx((alpha / NARROWEST, alpha * NARROWEST), rel=1e-4)


def test_an_inflexion_beyond_the_last_point_is_found_too():
    spend = np.linspace(1, 1000, 30)
    fit = fit_curve(spend, plain_curve(spend, 1.5, 2500.0, 10.0))
    assert fit.inflexion == pytest.approx(2500, rel=1e-3)
    capped = robyn_bounds(spend, plain_curve(spend, 1.5, 2500.0, 10.0))
    assert capped.gamma == pytest.approx(1.0, rel=1e-6)


def test_the_best_fit_is_the_least_of_a_fine_grid():
    rng = np.random.default_rng(3)
    spend = np.sort(rng.uniform(10, 5000, 12))
    response = plain_curve(spend, 1.3, 1500.0, 40.0) + rng.normal(0, 2, 12)
    fit = fit_curve(spend, np.maximum(response, 0))
    ours = ((np.maximum(response, 0) - fit.fitted) ** 2).sum()
    for alpha in np.linspace(0.3, 4, 60):
        for inflexion in np.linspace(200, 20_000, 100):
            h = plain_curve(spend, alpha, inflexion, 1.0)
            coef = h @ np.maximum(response, 0) / (h @ h)
            assert ours <= ((np.maximum(response, 0) - coef * h) ** 2).sum() + 1e-9


@pytest.mark.parametrize(
    ("kind", "true", "ranges"),
    [
        (Adstock.GEOMETRIC, (0.55,), [(0.1, 0.8)]),
        (Adstock.WEIBULL_CDF, (1.2, 0.04), [(0.5, 2.0), (0.0, 0.1)]),
        (Adstock.WEIBULL_PDF, (2.5, 0.02), [(1.0, 4.0), (0.01, 0.04)]),
    ],
)
@pytest.mark.parametrize("periods", [1, 4])
def test_bounds_hold_the_truth_of_every_adstock(kind, true, ranges, periods):
    if periods == 1 and weights(kind, true, 104)[0] < 0.05:
        pytest.skip("a medium that does not act in its own period shows nothing in a flight of one")
    exposure, alpha, gamma = exposure_of(1), 1.4, 0.6
    inflexion = gamma * apply(kind, exposure, true)[WINDOW].max()
    spend = np.linspace(0, 1.2 * exposure.max() * periods, 13)
    response = [
        flight_response(s, periods, str(kind), true, 104, alpha, inflexion, 9e5) for s in spend.tolist()
    ]
    bounds = curve_bounds(spend, np.array(response), exposure, WINDOW, kind, ranges, periods=periods)
    assert bounds_hold(bounds, alpha, gamma)
    assert bounds.alpha_range[1] / bounds.alpha_range[0] < 3


def test_a_flight_of_several_periods_read_as_one_is_wrong_by_as_much():
    exposure, theta, alpha, gamma, periods = exposure_of(2), 0.4, 1.4, 0.5, 6
    inflexion = gamma * apply(Adstock.GEOMETRIC, exposure, (theta,))[WINDOW].max()
    spend = np.linspace(0, exposure.max() * periods, 20)
    response = np.array(
        [
            flight_response(s, periods, "geometric", (theta,), 104, alpha, inflexion, 1.0)
            for s in spend.tolist()
        ]
    )
    told, wrong = (
        curve_bounds(spend, response, exposure, WINDOW, Adstock.GEOMETRIC, [(theta, theta)], periods=n).gamma
        for n in (periods, 1)
    )
    assert told == pytest.approx(gamma, rel=1e-4)
    assert wrong > 2 * gamma


def test_a_curve_of_one_period_bounds_gamma_for_every_theta():
    exposure = exposure_of(3)
    spend = np.linspace(0, exposure.max(), 15)
    response = plain_curve(spend, 1.2, 1000.0, 5.0)
    low, high = 0.0, 0.7
    bounds = curve_bounds(spend, response, exposure, WINDOW, Adstock.GEOMETRIC, [(low, high)])
    for theta in np.linspace(low, high, 15):
        gamma = 1000.0 / apply(Adstock.GEOMETRIC, exposure, (theta,))[WINDOW].max()
        assert bounds.gamma_range[0] * NARROWEST * 0.999 <= gamma <= bounds.gamma_range[1] / NARROWEST * 1.001


@pytest.mark.parametrize(("noise", "walks"), [(0.02, False), (0.05, False), (0.03, True)])
@pytest.mark.parametrize("n", [6, 15])
def test_bounds_hold_the_truth_as_often_as_they_say(n, noise, walks):
    rng = np.random.default_rng([n, int(1000 * noise)])
    held, wide = [], []
    for _ in range(12):
        alpha, gamma = rng.uniform(0.5, 3), rng.uniform(0.3, 1)
        exposure = exposure_of(int(rng.integers(1000)))
        inflexion = gamma * exposure[WINDOW].max()
        spend = np.linspace(0, exposure.max() * rng.uniform(0.7, 1.5), n + 1)
        truth = plain_curve(spend, alpha, inflexion, 5000.0)
        error = rng.normal(size=n + 1)
        error = np.cumsum(error) / math.sqrt(n) if walks else error
        response = np.maximum(truth + noise * truth.max() * error * (spend > 0), 0)
        bounds = curve_bounds(spend, response, exposure, WINDOW, Adstock.GEOMETRIC, [(0.0, 0.0)])
        held.append(bounds_hold(bounds, alpha, gamma))
        wide.append(bounds.alpha_range[1] / bounds.alpha_range[0])
    assert np.mean(held) >= 0.9
    assert np.median(wide) < 10  # and say something


# ---------------------------------------------------------------------------------------------------------- properties


@st.composite
def curves(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.integers(4, 20))
    spend = np.sort(rng.uniform(0.01, 1, n)).cumsum() * 10.0 ** draw(st.integers(-3, 8))
    response = rng.random(n).cumsum() * 10.0 ** draw(st.integers(-6, 9))
    return spend, response


@settings(max_examples=20)
@given(curves(), st.sampled_from(list(Shape)))
def test_ranges_are_legal_ordered_and_hold_the_fit(curve, shape):
    fit = fit_curve(*curve, shape=shape)
    assert shape.alpha[0] * (1 - 1e-9) <= fit.alpha_range[0] <= fit.alpha * (1 + 1e-9)
    assert fit.alpha * (1 - 1e-9) <= fit.alpha_range[1] <= shape.alpha[1] * (1 + 1e-9)
    assert 0 < fit.inflexion_range[0] <= fit.inflexion / NARROWEST * (1 + 1e-9)
    assert fit.inflexion * NARROWEST * (1 - 1e-9) <= fit.inflexion_range[1] < math.inf
    assert fit.coef >= 0
    assert 0 < ALPHA[0] < ALPHA[1] < 10


@settings(max_examples=10)
@given(curves(), st.integers(-8, 8), st.integers(-8, 8))
def test_units_cancel(curve, a, b):
    spend, response = curve
    one, other = fit_curve(spend, response), fit_curve(spend * 2.0**a, response * 2.0**b)
    assert other.r2 == pytest.approx(one.r2, abs=1e-6)
    np.testing.assert_allclose(other.fitted, one.fitted * 2.0**b, rtol=1e-3, atol=1e-3 * other.fitted.max())


def test_the_same_points_give_the_same_bits():
    spend = np.linspace(0, 100, 9)
    response = np.sqrt(spend)
    first, again = (curve_bounds(spend, response, exposure_of(4), WINDOW, Adstock.GEOMETRIC, [(0, 0.8)], periods=3)
                    for _ in range(2))  # fmt: skip
    assert first.gamma_range == again.gamma_range
    assert first.fit.fitted.tobytes() == again.fit.fitted.tobytes()


# ------------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("spend", "response", "error", "message"),
    [
        ([1, 2, 3, 4], [1, 2, 3], ShapeError, "expected"),
        ([1, 2, 2, 4], [1, 2, 3, 4], RangeError, "ascend"),
        ([-1, 2, 3, 4], [1, 2, 3, 4], RangeError, "not negative"),
        ([1, 2, 3, 4], [1, -2, 3, 4], RangeError, "not negative"),
        ([1, 2, 3, 4], [1, np.nan, 3, 4], RangeError, "finite"),
        ([0, 1, 2, 3], [0, 2, 3, 4], RangeError, "4 points with spend above 0, has 3"),
        ([0, 1, 2, 3, 4], [9, 0, 0, 0, 0], RangeError, "0 everywhere"),
    ],
)
def test_refuses_what_is_no_curve(spend, response, error, message):
    with pytest.raises(error, match=message):
        fit_curve(np.array(spend, dtype=float), np.array(response, dtype=float))


def test_refuses_flights_that_cannot_be():
    spend = np.arange(1.0, 6.0)
    for gains in ([], [0.0], [np.nan], [-1.0, 2.0]):
        with pytest.raises(RangeError, match="gains"):
            fit_curve(spend, spend, gains=gains)
    for periods in (0, 105):
        with pytest.raises(RangeError, match=f"flight of {periods} periods"):
            curve_bounds(spend, spend, exposure_of(1), WINDOW, Adstock.GEOMETRIC, [(0, 0.5)], periods=periods)
    with pytest.raises(RangeError, match="no adstock"):
        curve_bounds(spend, spend, np.zeros(104), WINDOW, Adstock.GEOMETRIC, [(0, 0.5)])
