"""Quantiles that survive infinities, and spreads that say when there is none."""

from __future__ import annotations

import numpy as np
import pytest

from mmm_core.errors import RangeError, ShapeError
from mmm_core.intervals import check_level, quantile, spread


@pytest.mark.parametrize("probability", [0, 0.05, 0.1, 0.25, 0.5, 0.9, 1])
def test_quantile_is_numpys_on_finite_values(probability):
    values = np.random.default_rng(0).normal(size=33)
    assert quantile(values, probability) == np.quantile(values, probability)


def test_quantile_between_infinities_is_infinite_not_nan():
    values = np.array([1.0, 2.0, np.inf, np.inf, np.inf])
    assert quantile(values, 0.25) == 2.0
    assert quantile(values, 0.3) == np.inf
    assert quantile(values, 0.9) == np.inf
    assert quantile(np.array([np.nan, 1.0]), 1.0) == np.inf


def test_quantile_checks_its_arguments():
    with pytest.raises(ShapeError):
        quantile(np.zeros(0), 0.5)
    with pytest.raises(RangeError):
        quantile(np.ones(3), 1.5)


def test_few_values_give_their_range_and_many_give_quantiles():
    assert spread(np.array([3.0, 1.0, 2.0]), 0.9) == (1.0, 3.0)
    many = np.arange(101.0)
    assert spread(many, 0.9) == pytest.approx((5.0, 95.0))
    # 20 values are just enough for 0.9: a twentieth lies beyond.
    lower, upper = spread(np.arange(20.0), 0.9)
    assert (lower, upper) == pytest.approx((0.95, 18.05))
    assert spread(np.arange(19.0), 0.9) == (0.0, 18.0)


def test_one_or_two_values_have_no_spread():
    assert spread(np.array([1.0, 2.0]), 0.9) is None
    assert spread(np.array([1.0, np.nan, 2.0]), 0.9) is None


def test_an_infinite_cpa_stays_infinite():
    assert spread(np.array([1.0, 2.0, np.inf]), 0.9) == (1.0, np.inf)


@pytest.mark.parametrize("level", [0, 1, -0.1, np.nan])
def test_a_level_is_between_0_and_1(level):
    with pytest.raises(RangeError):
        check_level(level)
