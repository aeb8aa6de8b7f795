"""Adstock: hand-made numbers, the slow twin on random and awkward series, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from mmm_core import _kernels, adstock
from mmm_core.errors import RangeError, ShapeError
from mmm_core.types import Adstock
from tests.reference import candidate as slow

SERIES = {
    "random": np.random.default_rng(1).gamma(1.5, 100, 52),
    "flighted": np.where(np.arange(52) % 9 < 2, 1000.0, 0.0),
    "all zero": np.zeros(52),
    "one period": np.array([3.0]),
    "first period only": np.eye(20)[0] * 7,
    "last period only": np.eye(20)[-1] * 7,
    "huge and tiny": np.array([1e12, 1e-12, 0.0, 1e-300, 5.0]),
}
PARAMETERS = [
    (Adstock.GEOMETRIC, (0.0,)),
    (Adstock.GEOMETRIC, (0.45,)),
    (Adstock.GEOMETRIC, (0.999,)),
    *(
        (kind, parameters)
        for kind in (Adstock.WEIBULL_CDF, Adstock.WEIBULL_PDF)
        for parameters in [
            (0.0, 0.3),
            (2.0, 0.0),
            (0.4, 0.05),
            (1.0, 0.1),
            (3.0, 0.2),
            (19.9, 1.0),
            (8.0, 0.005),
        ]
    ),
]


def test_geometric_by_hand():
    np.testing.assert_array_equal(adstock.geometric(np.array([8.0, 0, 4, 0, 0]), 0.5), [8, 4, 6, 3, 1.5])


def test_weibull_cdf_by_hand():
    # Five periods, scale 0.25: s = round(1 + 4 * 0.25) = 2. Survival exp(-k/2), multiplied up: 1, e^-.5, e^-1.5, ...
    expected = np.exp([0, -0.5, -1.5, -3.0, -5.0])
    np.testing.assert_allclose(adstock.weibull_cdf(np.eye(5)[0], 1.0, 0.25), expected, rtol=1e-15)


def test_weibull_pdf_peaks_where_its_density_does():
    # Shape 2 and s = 11 periods: the mode of the density is 11 * sqrt(1/2) = 7.8, so the 8th period carries most.
    response = adstock.weibull_pdf(np.eye(41)[0], 2.0, 0.25)
    assert response.argmax() == 7
    assert response.max() == 1.0
    assert response.min() == 0.0


def test_scale_is_rounded_half_to_even():
    # 1 + 3 * 0.5 = 2.5 becomes 2, not 3.
    even = adstock.weibull_cdf(np.eye(4)[0], 1.0, 0.5)
    np.testing.assert_allclose(even, np.exp([0, -0.5, -1.5, -3.0]), rtol=1e-15)


@pytest.mark.parametrize("series", SERIES, ids=str)
@pytest.mark.parametrize(("kind", "parameters"), PARAMETERS, ids=str)
def test_agrees_with_the_slow_twin(kind, parameters, series):
    exposure = SERIES[series]
    expected, own_weight = slow.adstock(str(kind), exposure.tolist(), parameters)
    np.testing.assert_allclose(adstock.apply(kind, exposure, parameters), expected, rtol=1e-12, atol=1e-290)
    assert adstock.weights(kind, parameters, len(exposure))[0] == pytest.approx(
        own_weight, rel=1e-12, abs=1e-290
    )


@pytest.mark.parametrize("kind", [Adstock.WEIBULL_CDF, Adstock.WEIBULL_PDF])
@pytest.mark.parametrize("parameters", [(0.0, 0.3), (2.0, 0.0)])
def test_shape_or_scale_of_zero_carries_nothing_over(kind, parameters):
    exposure = SERIES["random"]
    np.testing.assert_array_equal(adstock.apply(kind, exposure, parameters), exposure)


@pytest.mark.parametrize(("kind", "parameters"), PARAMETERS, ids=str)
def test_integers_give_the_numbers_of_floats(kind, parameters):
    exposure = np.random.default_rng(2).integers(0, 2**40, 30)
    np.testing.assert_array_equal(
        adstock.apply(kind, exposure, parameters), adstock.apply(kind, exposure.astype(float), parameters)
    )


def test_neither_changes_nor_returns_its_argument():
    exposure = SERIES["random"].copy()
    out = adstock.geometric(exposure, 0.0)
    assert out is not exposure
    assert not np.shares_memory(out, exposure)
    np.testing.assert_array_equal(exposure, SERIES["random"])


def test_takes_read_only_and_strided_arrays():
    table = np.random.default_rng(3).gamma(1, 1, (30, 4))
    table.flags.writeable = False
    np.testing.assert_array_equal(
        adstock.geometric(table[:, 2], 0.3), adstock.geometric(table[:, 2].copy(), 0.3)
    )


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_refuses_exposures_that_are_no_exposures(bad):
    with pytest.raises(RangeError, match="finite and not negative"):
        adstock.geometric(np.array([1.0, bad]), 0.3)


def test_refuses_tables():
    with pytest.raises(ShapeError, match="one-dimensional"):
        adstock.geometric(np.ones((3, 2)), 0.3)


@pytest.mark.parametrize(
    ("kind", "parameters", "named"),
    [
        (Adstock.GEOMETRIC, (1.0,), "theta"),
        (Adstock.GEOMETRIC, (-0.1,), "theta"),
        (Adstock.GEOMETRIC, (np.nan,), "theta"),
        (Adstock.WEIBULL_CDF, (20.0, 0.1), "shape"),
        (Adstock.WEIBULL_PDF, (-1.0, 0.1), "shape"),
        (Adstock.WEIBULL_PDF, (1.0, 1.1), "scale"),
        (Adstock.WEIBULL_CDF, (1.0, np.nan), "scale"),
    ],
)
def test_refuses_parameters_outside_their_range(kind, parameters, named):
    with pytest.raises(RangeError, match=named):
        adstock.apply(kind, np.ones(3), parameters)


@pytest.mark.parametrize(
    ("kind", "parameters"), [(Adstock.GEOMETRIC, (0.1, 0.2)), (Adstock.WEIBULL_CDF, (0.1,))]
)
def test_refuses_the_wrong_number_of_parameters(kind, parameters):
    with pytest.raises(ShapeError, match=str(len(parameters))):
        adstock.apply(kind, np.ones(3), parameters)


class TestBeyondTheTable:
    """A model made on T periods goes on with its own weights when the series becomes longer."""

    WEIBULL = (
        (Adstock.WEIBULL_CDF, (0.7, 0.05)),
        (Adstock.WEIBULL_CDF, (2.0, 0.4)),
        (Adstock.WEIBULL_CDF, (1.3, 0.0001)),
        (Adstock.WEIBULL_PDF, (0.7, 0.05)),
        (Adstock.WEIBULL_PDF, (2.5, 0.3)),
        (Adstock.WEIBULL_PDF, (3.0, 1.0)),
        (Adstock.WEIBULL_PDF, (9.0, 0.9)),
    )

    @pytest.mark.parametrize(("kind", "parameters"), [(Adstock.GEOMETRIC, (0.6,)), *WEIBULL])
    def test_up_to_its_end_they_are_the_very_weights(self, kind, parameters):
        own = adstock.weights(kind, parameters, 40)
        for n_lags in (1, 17, 40, 41, 95):
            longer = adstock.lag_weights(kind, parameters, 40, n_lags)
            np.testing.assert_array_equal(longer[:40], own[:n_lags])
            assert longer.shape == (n_lags,)

    @pytest.mark.parametrize(("kind", "parameters"), WEIBULL)
    def test_the_formula_goes_on_with_the_scale_of_the_table(self, kind, parameters):
        shape, scale = parameters
        s = np.round(1 + 39 * scale)
        k = np.arange(120)
        if kind is Adstock.WEIBULL_CDF:
            expected = np.cumprod(np.where(k > 0, np.exp(-((k / s) ** shape)), 1.0))
        else:
            z = (k + 1) / s
            density = shape / s * z ** (shape - 1) * np.exp(-(z**shape))
            low, high = density[:40].min(), density[:40].max()
            expected = np.maximum((density - low) / (high - low), 0)
        longer = adstock.lag_weights(kind, parameters, 40, 120)
        np.testing.assert_allclose(longer, expected, rtol=1e-9, atol=1e-13)

    @pytest.mark.parametrize(("kind", "parameters"), [(Adstock.GEOMETRIC, (0.6,)), *WEIBULL])
    def test_a_longer_series_begins_as_the_table_did(self, kind, parameters):
        exposure = np.random.default_rng(1).gamma(2, 100, 70)
        carried = adstock.carry(kind, exposure, parameters, 40)
        np.testing.assert_array_equal(carried[:40], adstock.apply(kind, exposure[:40], parameters))
        by_hand = np.convolve(exposure, adstock.lag_weights(kind, parameters, 40, 70))[:70]
        np.testing.assert_allclose(carried, by_hand, rtol=1e-12)

    @pytest.mark.parametrize(("kind", "parameters"), WEIBULL)
    def test_nothing_is_left_after_the_memory(self, kind, parameters):
        last = adstock.memory(kind, parameters, 40)
        lagged = adstock.lag_weights(kind, parameters, 40, last + 200)
        assert lagged[last] > 0
        assert (lagged[last + 1 :] <= 1e-12 * lagged.max()).all()

    def test_geometric_memory_ends_where_a_millionth_is_left(self):
        for theta in (0.1, 0.5, 0.8, 0.99):
            last = adstock.memory(Adstock.GEOMETRIC, (theta,), 40)
            assert theta**last >= 1e-6 > theta ** (last + 1)
        assert adstock.memory(Adstock.GEOMETRIC, (0.0,), 40) == 0

    @pytest.mark.parametrize("parameters", [(0.0, 0.5), (2.0, 0.0)])
    def test_without_carryover_there_is_none_later(self, parameters):
        for kind in (Adstock.WEIBULL_CDF, Adstock.WEIBULL_PDF):
            assert adstock.lag_weights(kind, parameters, 10, 30).tolist() == [1.0] + [0.0] * 29
            assert adstock.memory(kind, parameters, 10) == 0


@pytest.mark.parametrize(("start", "stop"), [(0, 50), (7, 50), (7, 8)])
def test_four_series_at_once_are_each_of_them_alone(start, stop):
    rng = np.random.default_rng(3)
    x, theta = rng.gamma(1.0, 5.0, (4, 50)), rng.uniform(0, 0.95, 4)
    out = np.empty((4, stop - start))
    _kernels.geometric_in_window(x, theta, start, stop, out)
    alone = np.array([adstock.apply(Adstock.GEOMETRIC, x[i], (theta[i],)) for i in range(4)])
    np.testing.assert_array_equal(out, alone[:, start:stop])
