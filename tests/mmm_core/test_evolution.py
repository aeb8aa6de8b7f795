"""The compiled search: its front against a slow twin, its children inside the box, its steps by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmm_core import _kernels
from mmm_core.errors import RangeError, ShapeError
from mmm_core.evolution import POPULATION, TwoPointsEvolution

DIMENSION = 4


def make(**keys) -> TwoPointsEvolution:
    return TwoPointsEvolution(DIMENSION, **{"batch_size": 10, "seed": np.random.SeedSequence(1), **keys})


def slow_front(losses: np.ndarray) -> list[list[float]]:
    """Losses that no other beats, each once."""
    distinct = {tuple(row) for row in losses.tolist()}

    def is_beaten(row):
        return any(
            other != row and all(o <= r for o, r in zip(other, row, strict=True)) for other in distinct
        )

    return sorted(list(row) for row in distinct if not is_beaten(row))


@pytest.mark.parametrize("n_objectives", [2, 3])
@given(data=st.data())
def test_the_front_holds_all_that_nobody_beats(n_objectives, data):
    # Few different values, so that ties and copies are common.
    losses = data.draw(arrays(float, (40, n_objectives), elements=st.integers(0, 6)))
    searcher = make(n_objectives=n_objectives)
    for first in range(0, 40, 10):
        searcher.tell(searcher.ask(10), losses[first : first + 10].astype(float))
    points, found = searcher.front
    assert len(points) == len(found)
    assert sorted(found.tolist()) == slow_front(losses)


def test_the_front_grows_beyond_the_population():
    searcher = make(n_objectives=2)
    along = np.linspace(0, 1, 200)
    for first in range(0, 200, 10):
        part = along[first : first + 10]
        searcher.tell(searcher.ask(10), np.column_stack([part, 1 - part]))
    assert len(searcher.front[1]) == 200


def test_the_first_population_is_given_points_then_uniform_ones():
    searcher = make(start=np.full((3, DIMENSION), 0.25), batch_size=50)
    points = searcher.ask(50)
    np.testing.assert_array_equal(points[:3], 0.25)
    assert len(np.unique(points[3:], axis=0)) == 47
    assert abs(points[3:].mean() - 0.5) < 0.1


def test_children_differ_from_their_parents_between_two_cuts_only():
    searcher = make(batch_size=POPULATION)
    parents = searcher.ask(POPULATION)
    searcher.tell(parents, np.random.default_rng(0).random((POPULATION, 2)))
    moved = searcher.ask(POPULATION) != parents
    assert moved.any(axis=1).mean() > 0.9
    # Between the cuts or outside them: seen in a circle the moved ones stand together.
    changes = (moved != np.roll(moved, 1, axis=1)).sum(axis=1)
    assert (changes <= 2).all()


@given(st.floats(-10, 10))
def test_borders_throw_back_once(position):
    found = _kernels.bounce(position)
    assert 0 <= found <= 1
    if 0 <= position <= 1:
        assert found == position
    if -1 <= position <= 0:
        assert found == -position


def test_a_child_replaces_its_parent_by_the_weight_of_what_it_is_better_in():
    """A loss of weight 0 replaces nobody; one of weight 1 decides alone."""
    start = np.random.default_rng(0).random((POPULATION, 2))
    for weights, expected in (((1.0, 0.0), 0), ((0.0, 1.0), POPULATION)):
        searcher = make(batch_size=POPULATION, weights=weights)
        searcher.tell(searcher.ask(POPULATION), start)
        children = searcher.ask(POPULATION)
        searcher.tell(children, start + np.array([1.0, -1.0]))
        assert (searcher._population == children).all(axis=1).sum() == expected


def test_one_dimension_is_searched_too():
    searcher = TwoPointsEvolution(1, batch_size=10, seed=np.random.SeedSequence(1))
    for _ in range(20):
        points = searcher.ask(10)
        searcher.tell(points, np.column_stack([(points[:, 0] - 0.3) ** 2, np.zeros(10)]))
    assert abs(searcher.front[0][0, 0] - 0.3) < 0.01


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        ({"weights": (1.0, 1.0, 1.0)}, ShapeError, "weights have shape"),
        ({"weights": (0.0, 0.0)}, RangeError, "not be negative, nor all 0"),
        ({"weights": (-1.0, 2.0)}, RangeError, "not be negative, nor all 0"),
        ({"start": np.zeros((2, 3))}, ShapeError, "start has shape"),
    ],
)
def test_what_makes_no_sense_is_refused(keys, error, message):
    with pytest.raises(error, match=message):
        make(**keys)
