"""Hill curve: its fixed points, the slow twin, its slope against differences, and both ends of the number line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm_core import _kernels
from mmm_core.errors import RangeError
from mmm_core.saturation import derivative_of, hill, hill_derivative, inflexion, second_derivative_of
from tests.reference import candidate as slow

ALPHAS = [0.1, 0.5, 1.0, 1.7, 3.0, 9.9]


def test_inflexion_is_a_share_of_the_largest_exposure():
    assert inflexion(np.array([1.0, 8.0, 3.0]), 0.25) == 2.0


@pytest.mark.parametrize("alpha", ALPHAS)
def test_is_nothing_at_zero_and_half_at_the_inflexion(alpha):
    np.testing.assert_array_equal(hill(np.array([0.0, 7.0]), alpha, 7.0), [0.0, 0.5])


@pytest.mark.parametrize("alpha", ALPHAS)
def test_agrees_with_the_slow_twin(alpha):
    z = np.concatenate([[0.0], np.logspace(-3, 8, 60)])
    np.testing.assert_allclose(
        hill(z, alpha, 321.0), [slow.hill(v, alpha, 321.0) for v in z.tolist()], rtol=1e-13
    )


@pytest.mark.parametrize("alpha", ALPHAS)
def test_slope_agrees_with_differences(alpha):
    z = np.linspace(10, 2000, 40)
    step = 1e-4 * z
    difference = (hill(z + step, alpha, 400.0) - hill(z - step, alpha, 400.0)) / (2 * step)
    np.testing.assert_allclose(hill_derivative(z, alpha, 400.0), difference, rtol=1e-5)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_curvature_agrees_with_differences(alpha):
    z = np.linspace(10, 2000, 40)
    step = 1e-4 * z
    difference = hill_derivative(z + step, alpha, 400.0) - hill_derivative(z - step, alpha, 400.0)
    curved = second_derivative_of(hill(z, alpha, 400.0), z, alpha)
    np.testing.assert_allclose(curved, difference / (2 * step), rtol=1e-4, atol=1e-6 * np.abs(curved).max())


def test_slopes_of_several_curves_at_once():
    alphas, halves = np.array([[0.5], [1.0], [2.0]]), np.array([[4.0], [5.0], [6.0]])
    z = np.array([[0.0, 3.0, 7.0]] * 3)
    rows = [hill(row, a, h) for row, a, h in zip(z, alphas[:, 0], halves[:, 0], strict=True)]
    expected = [hill_derivative(row, a, h) for row, a, h in zip(z, alphas[:, 0], halves[:, 0], strict=True)]
    np.testing.assert_array_equal(derivative_of(np.array(rows), z, alphas, halves), expected)


@pytest.mark.parametrize(("alpha", "slope"), [(0.5, np.inf), (1.0, 0.25), (2.0, 0.0)])
def test_slope_at_zero(alpha, slope):
    assert hill_derivative(np.array([0.0]), alpha, 4.0)[0] == slope


def test_extremes_neither_overflow_nor_turn_into_nan():
    z = np.array([5e-324, 1e-300, 1e300, 1.7e308])
    for alpha in ALPHAS:
        for half in (1e-200, 1.0, 1e200):
            saturated = hill(z, alpha, half)
            assert np.isfinite(saturated).all()
            assert ((saturated >= 0) & (saturated <= 1)).all()


def test_keeps_the_shape_and_takes_integers():
    z = np.arange(12).reshape(3, 4)
    out = hill(z, 2.0, 5.0)
    assert out.shape == (3, 4)
    np.testing.assert_array_equal(out, hill(z.astype(float), 2.0, 5.0))


@pytest.mark.parametrize(
    ("alpha", "half", "named"), [(0, 1, "alpha"), (-1, 1, "alpha"), (np.nan, 1, "alpha")]
)
def test_refuses_an_alpha_that_is_not_positive(alpha, half, named):
    with pytest.raises(RangeError, match=named):
        hill(np.ones(2), alpha, half)


@pytest.mark.parametrize("half", [0.0, -1.0, np.nan])
def test_refuses_an_inflexion_that_is_not_positive(half):
    with pytest.raises(RangeError, match="inflexion"):
        hill_derivative(np.ones(2), 1.0, half)


@pytest.mark.parametrize("gamma", [0.0, 1.1, np.nan])
def test_refuses_a_gamma_outside_its_range(gamma):
    with pytest.raises(RangeError, match="gamma"):
        inflexion(np.ones(2), gamma)


@given(
    alpha=st.floats(0.01, 10.0),
    inflexion=st.floats(1e-9, 1e9),
    z=st.lists(st.one_of(st.just(0.0), st.floats(1e-12, 1e12)), min_size=1, max_size=20),
)
def test_the_curve_of_a_series_is_that_of_its_values(alpha, inflexion, z):
    """The kernel for a series has logarithm and exponential of its own; the one for a value has the library's."""
    expected = [_kernels.hill(value, alpha, inflexion) for value in z]
    # The error of a power grows with its exponent, which is at most alpha * log(1e21).
    np.testing.assert_allclose(hill(np.array(z), alpha, inflexion), expected, rtol=2e-13, atol=1e-300)


def test_the_curve_of_a_series_that_is_nothing_but_zeros_is_zero():
    assert (hill(np.zeros(5), 0.5, 1.0) == 0).all()
    out = np.empty(3)
    _kernels.hill_series(np.array([0.0, 0.0, 1.0]), 0.7, 0.0, np.empty((2, 3)), out)
    np.testing.assert_array_equal(out, [0.0, 0.0, 1.0])
