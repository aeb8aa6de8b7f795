"""What holds for every Hill curve."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmm_core.saturation import hill, hill_derivative, inflexion

EXPOSURES = arrays(float, st.integers(1, 40), elements=st.one_of(st.just(0.0), st.floats(1e-3, 1e9)))
ALPHA = st.floats(0.05, 9.9)
HALF = st.floats(1e-2, 1e8)


@given(EXPOSURES, ALPHA, HALF)
def test_never_falls(z, alpha, half):
    assert (np.diff(hill(np.sort(z), alpha, half)) >= 0).all()


@given(EXPOSURES, ALPHA, st.floats(0.01, 1))
def test_stays_below_one_on_the_series_it_was_scaled_by(z, alpha, gamma):
    half = inflexion(z, gamma)
    if half > 0:
        saturated = hill(z, alpha, half)
        assert ((saturated >= 0) & (saturated <= 1)).all()
        # The top of the curve is reached only beyond the reach of doubles: gamma^-alpha must not drown the 1.
        if gamma**-alpha < 1e15:
            assert (saturated < 1).all()
        np.testing.assert_allclose(saturated.max(), 1 / (1 + gamma**alpha), rtol=1e-12)


@given(EXPOSURES, ALPHA, HALF, st.floats(1e-3, 1e3))
def test_does_not_depend_on_the_unit(z, alpha, half, unit):
    np.testing.assert_allclose(
        hill(unit * z, alpha, unit * half), hill(z, alpha, half), rtol=1e-12, atol=1e-300
    )


@given(st.floats(1e-3, 1e9), ALPHA, HALF)
def test_is_symmetric_about_its_half_on_a_logarithmic_scale(z, alpha, half):
    pair = hill(np.array([z, half * (half / z)]), alpha, half)
    assert abs(pair.sum() - 1) < 1e-12


@given(EXPOSURES, ALPHA, HALF)
def test_slope_is_not_negative(z, alpha, half):
    slope = hill_derivative(z, alpha, half)
    assert (slope >= 0).all()
    assert np.isfinite(slope[z > 0]).all()
