"""What holds for every adstock, whatever its numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmm_core.adstock import apply, weights
from mmm_core.types import Adstock

EXPOSURES = arrays(float, st.integers(1, 40), elements=st.one_of(st.just(0.0), st.floats(1e-6, 1e9)))


@st.composite
def carriers(draw):
    kind = draw(st.sampled_from(Adstock))
    if kind is Adstock.GEOMETRIC:
        return kind, (draw(st.floats(0, 0.999)),)
    return kind, (draw(st.floats(0, 19.9)), draw(st.floats(0, 1)))


def close(actual, expected):
    scale = np.max(np.abs(expected), initial=1e-300)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12 * scale)


@given(carriers(), st.data(), st.floats(0, 1e3))
def test_linear(carrier, data, factor):
    x = data.draw(EXPOSURES)
    y = data.draw(arrays(float, x.shape, elements=st.floats(0, 1e9)))
    close(apply(*swap(carrier, factor * x + y)), factor * apply(*swap(carrier, x)) + apply(*swap(carrier, y)))


@given(carriers(), st.data())
def test_causal(carrier, data):
    x = data.draw(EXPOSURES)
    t = data.draw(st.integers(0, len(x) - 1))
    changed = x.copy()
    changed[t:] = 12345.0
    np.testing.assert_array_equal(apply(*swap(carrier, x))[:t], apply(*swap(carrier, changed))[:t])


@given(carriers(), EXPOSURES)
def test_not_negative_and_finite(carrier, x):
    out = apply(*swap(carrier, x))
    assert np.isfinite(out).all()
    assert (out >= 0).all()


@given(carriers(), EXPOSURES)
def test_a_convolution_with_its_weights(carrier, x):
    kind, parameters = carrier
    w = weights(kind, parameters, len(x))
    close(apply(kind, x, parameters), np.convolve(x, w)[: len(x)])


@given(carriers(), st.integers(1, 60))
def test_no_weight_exceeds_one(carrier, n):
    w = weights(*carrier, n)
    assert ((w >= 0) & (w <= 1)).all()


@given(carriers(), EXPOSURES, st.integers(1, 10))
def test_geometric_forgets_where_the_series_began(carrier, x, pad):
    kind, parameters = carrier
    if kind is not Adstock.GEOMETRIC:
        return  # the scale of the others is a quantile of the length, so a longer series is another curve
    np.testing.assert_array_equal(
        apply(kind, np.concatenate([np.zeros(pad), x]), parameters)[pad:], apply(kind, x, parameters)
    )


@given(st.floats(0, 19.9), st.floats(0, 1))
def test_cdf_weights_only_fall(shape, scale):
    w = weights(Adstock.WEIBULL_CDF, (shape, scale), 50)
    assert w[0] == 1
    assert (np.diff(w) <= 0).all()


def swap(carrier, exposure):
    kind, parameters = carrier
    return kind, exposure, parameters
