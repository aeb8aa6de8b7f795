"""The unit cube and the hyperparameters: named bounds in a fixed order, fixed ones filled in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm_core.errors import ShapeError, UserError
from runner.dataset import panel_from_table
from runner.problem import build_problem
from runner.space import SearchSpace, round_significant, search_space
from runner.spec import decode
from tests.runner.small import change, small_spec, small_table

SPACE = SearchSpace(("a", "b", "c"), np.array([0.0, 2.0, 5.0]), np.array([1.0, 2.0, 9.0]))


def space_of(**changes) -> SearchSpace:
    spec = decode(change(small_spec(), **changes), "s.yaml")
    problem, _ = build_problem(spec, panel_from_table(spec, small_table(), "t"))
    return search_space(spec, problem)


def test_fixed_hyperparameters_are_not_searched():
    assert SPACE.dimension == 2
    np.testing.assert_array_equal(
        SPACE.hyperparameters(np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.25]])),
        [[0, 2, 5], [1, 2, 9], [0.5, 2, 6]],
    )


def test_points_outside_are_taken_to_the_border():
    np.testing.assert_array_equal(SPACE.hyperparameters(np.array([[-1e-17, 1 + 1e-9]])), [[0, 2, 9]])


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 1)])
def test_points_of_another_dimension_are_refused(shape):
    with pytest.raises(ShapeError, match=r"expected \(N, 2\)"):
        SPACE.hyperparameters(np.zeros(shape))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5))
def test_there_and_back(points):
    unit = np.array(points)
    values = SPACE.hyperparameters(unit)
    assert ((values >= SPACE.low) & (values <= SPACE.high)).all()
    np.testing.assert_allclose(SPACE.unit(values), unit, atol=1e-9)


@given(st.floats(1e-280, 1e280), st.sampled_from([-1, 1]))
def test_rounding_to_ten_significant_digits(size, sign):
    value = sign * size
    rounded = float(round_significant(np.array([value]))[0])
    assert abs(rounded - value) <= 0.5000001e-9 * abs(value)
    assert rounded == pytest.approx(float(f"{rounded:.9e}"), rel=1e-15)


@pytest.mark.parametrize("tiny", [5e-324, 1e-305, 1e-300])
def test_what_is_next_to_nothing_becomes_nothing(tiny):
    # An optimizer that bounces off a border may ask for such a point; it once became NaN.
    assert SPACE.hyperparameters(np.array([[tiny, tiny]])).tolist() == [[0.0, 2.0, 5.0]]


def test_zero_stays_zero():
    assert round_significant(np.array([0.0, 0.123456789012345])).tolist() == [0.0, 0.123456789]


def test_the_order_is_that_of_the_problem():
    space = space_of(hyperparameters={"tv": {"theta": [0.3, 0.8]}, "web": {"alpha": 1.0}})
    assert space.names == (
        *("mail_alpha", "mail_gamma", "mail_theta", "tv_alpha", "tv_gamma", "tv_theta"),
        *("web_alpha", "web_gamma", "web_theta", "train_size", "lambda_hp"),
    )
    assert dict(zip(space.names, space.low, strict=True))["tv_theta"] == 0.3
    assert space.names.index("web_alpha") not in space.searched
    assert space.dimension == 10


def test_without_validation_the_train_size_is_not_searched():
    assert space_of(validation__time_series=False).dimension == 10


def test_penalties_follow_the_columns():
    space = space_of(
        penalty_factors=True, hyperparameters={"price_penalty": [0.2, 0.4], "tv": {"penalty": 0.5}}
    )
    ranges = dict(zip(space.names, zip(space.low, space.high, strict=True), strict=True))
    assert ranges["price_penalty"] == (0.2, 0.4)
    assert ranges["tv_penalty"] == (0.5, 0.5)
    assert ranges["event_fair_penalty"] == (0.0, 1.0)
    assert space.names[-6:] == tuple(
        f"{c}_penalty" for c in ("price", "event_fair", "event_none", "tv", "web", "mail")
    )


def test_a_penalty_of_no_column_is_refused():
    with pytest.raises(
        UserError, match=r"hyperparameters.season_penalty: the design has no such column; it has price"
    ):
        space_of(penalty_factors=True, hyperparameters={"season_penalty": [0, 1]})
