"""What every searcher does, whichever optimizer is behind it: our own, and Nevergrad's families, one name of each."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mmm_core.errors import ShapeError, UserError
from mmm_core.evolution import TwoPointsEvolution
from runner.search.base import WORST_LOSS, Searcher, SearchFailed
from runner.search.nevergrad_searcher import NevergradSearcher, check_optimizer

# The last two draw from the global generators of numpy and Python.
COMPILED = "compiled"
NAMES = (
    COMPILED,
    "TwoPointsDE",
    "DE",
    "CMA",
    "PSO",
    "OnePlusOne",
    "RandomSearch",
    "NGOpt",
    "CMALn",
    "LognormalDiscreteOnePlusOne",
)
DIMENSION, BATCH = 5, 10


def make(name: str, *, seed: int = 1, dimension: int = DIMENSION, budget: int = 60, **keys) -> Searcher:
    if name == COMPILED:
        keys["weights"] = keys.pop("objective_weights", None)
        return TwoPointsEvolution(dimension, batch_size=BATCH, seed=np.random.SeedSequence(seed), **keys)
    return NevergradSearcher(
        name, dimension=dimension, budget=budget, batch_size=BATCH, seed=np.random.SeedSequence(seed), **keys
    )


def losses_of(points: np.ndarray) -> np.ndarray:
    """Two objectives with optima in opposite corners."""
    return np.column_stack([(points**2).mean(axis=1), ((points - 1) ** 2).mean(axis=1)])


def path(searcher: Searcher, batches: int = 6, losses=losses_of) -> np.ndarray:
    """All points of a search, in the order asked."""
    asked = []
    for _ in range(batches):
        points = searcher.ask(BATCH)
        searcher.tell(points, losses(points))
        asked.append(points)
    return np.concatenate(asked)


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return request.param


def test_points_lie_in_the_unit_cube(name):
    points = path(make(name))
    assert points.shape == (6 * BATCH, DIMENSION)
    assert points.dtype == np.float64
    assert ((points >= 0) & (points <= 1)).all()


def test_the_seed_decides_and_nothing_else_does(name):
    np.random.seed(1)  # noqa: NPY002 - what a searcher must not depend on
    random.seed(1)
    first = path(make(name))
    np.random.seed(2)  # noqa: NPY002
    random.seed(2)
    expected = np.random.random(), random.random()  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    random.seed(2)
    assert path(make(name)).tobytes() == first.tobytes()
    assert (np.random.random(), random.random()) == expected  # noqa: NPY002 - and what it must leave alone
    assert path(make(name, seed=2)).tobytes() != first.tobytes()


def test_two_searchers_at_once_do_not_disturb_each_other(name):
    alone = path(make(name))
    one, other = make(name), make(name, seed=9)
    asked = []
    for _ in range(6):
        points = one.ask(BATCH)
        path(other, batches=1)
        one.tell(points, losses_of(points))
        asked.append(points)
    assert np.concatenate(asked).tobytes() == alone.tobytes()


def test_points_without_a_value_stop_nothing(name):
    def nothing_works(points):
        return np.full((len(points), 2), WORST_LOSS)

    def half_works(points):
        return np.where(points[:, :1] > 0.5, WORST_LOSS, losses_of(points))

    for losses in (nothing_works, half_works):
        points = path(make(name), losses=losses)
        assert np.isfinite(points).all()


def test_the_last_batch_may_be_smaller_and_the_batch_larger_than_the_budget(name):
    searcher = make(name, budget=4)
    points = searcher.ask(4)
    searcher.tell(points, losses_of(points))
    assert points.shape == (4, DIMENSION)
    searcher = make(name, budget=13)
    path(searcher, batches=1)
    assert searcher.ask(3).shape == (3, DIMENSION)


def test_nothing_to_search_is_no_search(name):
    searcher = make(name, dimension=0)
    points = searcher.ask(7)
    assert points.shape == (7, 0)
    searcher.tell(points, np.ones((7, 2)))


def test_three_objectives(name):
    def three(points):
        return np.column_stack([losses_of(points), points[:, 0]])

    assert path(make(name, n_objectives=3), losses=three).shape == (60, DIMENSION)


def test_points_to_start_from_are_asked_first_as_they_are(name):
    start = np.random.default_rng(3).random((14, DIMENSION))
    start[0], start[1] = 0.0, 1.0
    points = path(make(name, start=start))
    np.testing.assert_array_equal(points[:14], start)
    assert ((points >= 0) & (points <= 1)).all()
    # Nevergrad names its points at random; what follows them must not hang on these names.
    assert path(make(name, start=start)).tobytes() == points.tobytes()


@pytest.fixture(params=[COMPILED, "TwoPointsDE"])
def two_points(request) -> str:
    return request.param


def test_what_comes_after_a_good_start_is_better(two_points):
    def losses(points):
        """Two optima, close to each other."""
        return np.column_stack([((points - c) ** 2).mean(axis=1) for c in (0.5, 0.55)])

    near, far = (
        losses(path(make(two_points, budget=200, start=start), batches=20, losses=losses)[30:])
        for start in (np.full((3, DIMENSION), 0.5), None)
    )
    assert near.sum(axis=1).mean() < far.sum(axis=1).mean()


def test_as_many_points_to_start_from_as_a_population_has_repeat_too(two_points):
    for batch_of_start in (30, 25):
        start = np.random.default_rng(4).random((batch_of_start, DIMENSION))
        first, again = (path(make(two_points, start=start), batches=8) for _ in range(2))
        assert first.tobytes() == again.tobytes()


def test_an_optimizer_that_takes_no_points_says_so():
    with pytest.raises(UserError, match=r"search.warm_start: EDA takes no points but its own"):
        check_optimizer("EDA", DIMENSION, BATCH, start=np.full((1, DIMENSION), 0.5))
    check_optimizer("EDA", DIMENSION, BATCH)


def test_every_point_asked_is_told(two_points):
    searcher = make(two_points)
    searcher.ask(BATCH)
    with pytest.raises(ShapeError, match="3 points are told, 10 were asked"):
        searcher.tell(np.zeros((3, DIMENSION)), np.zeros((3, 2)))


def test_the_search_comes_closer(two_points):
    points = path(make(two_points, budget=600), batches=60, losses=lambda x: losses_of(x) * [1, 0])
    distances = losses_of(points)[:, 0]
    assert distances[-100:].mean() < 0.2 * distances[:100].mean()


def test_weights_of_the_objectives_lead_the_search(two_points):
    first, second = (
        path(make(two_points, budget=600, objective_weights=weights), batches=60)[-100:]
        for weights in ((1.0, 0.0), (0.0, 1.0))
    )
    assert losses_of(first)[:, 0].mean() < losses_of(second)[:, 0].mean()
    assert path(make("DE", objective_weights=(1.0, 1.0))).tobytes() == path(make("DE")).tobytes()


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("TwoPointDE", 5, 30), "Nevergrad has no optimizer 'TwoPointDE'; did you mean TwoPointsDE or"),
        (("xyzzy", 5, 30), "Nevergrad has no optimizer 'xyzzy'; TwoPointsDE is the usual choice"),
        (
            ("Cobyla", 5, 30),
            "Cobyla asks for one candidate at a time; set search.batch_size: 1, or choose another",
        ),
        (("pysot", 5, 1), "search.optimizer: pysot fails here"),
        (("MixES", 5, 30), "search.optimizer: MixES fails here"),
        (("CMA", 5, 30, (1.0, 2.0)), "search.objective_weights: CMA cannot weigh objectives"),
    ],
)
def test_optimizers_that_do_not_work_are_refused_in_one_sentence(wrong, message):
    with pytest.raises(UserError) as caught:
        check_optimizer(*wrong)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "right",
    [
        ("Cobyla", 5, 1),
        ("TwoPointsDE", 5, 30, (1.0, 2.0)),
        ("TwoPointsDE", 0, 30),
        ("DE", 4, 30, (1.0, 1.0, 2.0), 3),
    ],
)
def test_optimizers_that_work_are_taken(right):
    check_optimizer(*right)


def test_a_failure_on_the_way_is_a_sentence():
    searcher = make("TwoPointsDE")
    points = searcher.ask(BATCH)
    with pytest.raises(
        SearchFailed, match=r"search.optimizer: TwoPointsDE fails here \(.*TwoPointsDE is the usual"
    ):
        searcher.tell(points, np.ones((BATCH, 5)))
