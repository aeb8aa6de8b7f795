"""The search of hyperparameters: differential evolution towards a front of several losses, compiled."""

from __future__ import annotations

import numpy as np

from mmm_core import _kernels
from mmm_core.errors import RangeError, ShapeError
from mmm_core.types import FloatArray, IntArray

# Members of the population: Nevergrad's smallest.
POPULATION = 30
# Of both differences in a child.
WEIGHT = 0.8


class TwoPointsEvolution:
    """Two-points differential evolution over the unit cube, for two or three losses.

    A population of max(30, batch) points, the first of them given or uniform. Then in turn each member x has a child

        y = x + 0.8 (a - b) + 0.8 (best - x)      between two random cuts, x outside them, borders bounced at

    with a, b two different points of the front (of the population while the front has two points or fewer) and best = x
    if x is on the front, else any point of the front. The child replaces x with the probability that is the weight of
    the losses in which it is better. The front holds all points seen that no other beats.

    Points come in batches: those of one batch know the population as the last batch left it. The sequence is a pure
    function of seed, batch sizes and losses.

    Args:
        dimension: D. batch_size: most points that are asked at once; belongs to the search, not to the machine.
        seed: of all chance in it. weights: of the losses, default equal. n_objectives: L losses.
        start: (S, D) points to ask first.
    Raises:
        RangeError: weights are negative or all 0. ShapeError: weights or start of the wrong shape.
    Source: the ideas are those of Nevergrad's TwoPointsDE as Robyn 3.12.1 drives it, model.R, robyn_mmm.
    """

    def __init__(
        self,
        dimension: int,
        *,
        batch_size: int,
        seed: np.random.SeedSequence,
        weights: tuple[float, ...] | None = None,
        n_objectives: int = 2,
        start: FloatArray | None = None,
    ) -> None:
        given = np.ones(n_objectives) if weights is None else np.array(weights, dtype=np.float64)
        if given.shape != (n_objectives,):
            raise ShapeError(f"weights have shape {given.shape}, expected ({n_objectives},)")
        if (given < 0).any() or given.sum() == 0:
            raise RangeError("weights of losses must not be negative, nor all 0")
        self._start = np.zeros((0, dimension)) if start is None else np.asarray(start, dtype=np.float64)
        if self._start.ndim != 2 or self._start.shape[1] != dimension:
            raise ShapeError(f"start has shape {self._start.shape}, expected (S, {dimension})")
        n = max(POPULATION, batch_size, len(self._start))
        self._weights = given / given.sum()
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._population = np.zeros((n, dimension))
        self._losses = np.full((n, n_objectives), np.inf)
        self._front = np.empty((n, dimension))
        self._front_losses = np.empty((n, n_objectives))
        self._n_front = 0
        self._asked = 0
        self._parents = np.zeros(0, dtype=np.int64)

    @property
    def front(self) -> tuple[FloatArray, FloatArray]:
        """(F, D) points and (F, L) losses of the front, in no special order."""
        return self._front[: self._n_front].copy(), self._front_losses[: self._n_front].copy()

    def ask(self, n: int) -> FloatArray:
        """(n, D) points in [0, 1]."""
        size, dimension = self._population.shape
        if dimension == 0:
            self._parents = np.zeros(n, dtype=np.int64)
            return np.zeros((n, 0))
        numbers = np.arange(self._asked, self._asked + n)
        self._parents = numbers % size
        self._asked += n
        points = np.empty((n, dimension))
        is_first = numbers < size
        points[is_first] = self._first(numbers[is_first])
        if not is_first.all():
            is_on_front = np.zeros(size, dtype=np.bool_)
            _kernels.mark_front(self._losses, self._front_losses, self._n_front, is_on_front)
            children = np.empty((int((~is_first).sum()), dimension))
            _kernels.propose(
                self._parents[~is_first],
                self._population,
                size,
                is_on_front,
                self._front,
                self._n_front,
                WEIGHT,
                self._random.random((len(children), 6)),
                children,
            )
            points[~is_first] = children
        return points

    def _first(self, numbers: IntArray) -> FloatArray:
        """Points of the first population: given ones, then uniform ones."""
        points = self._random.random((len(numbers), self._population.shape[1]))
        given = numbers < len(self._start)
        points[given] = self._start[numbers[given]]
        return points

    def tell(self, points: FloatArray, losses: FloatArray) -> None:
        """(n, D) points of the last ask, in its order, with their (n, L) losses, all finite."""
        if len(points) != len(self._parents):
            raise ShapeError(f"{len(points)} points are told, {len(self._parents)} were asked")
        self._make_room(len(points))
        self._n_front = _kernels.succeed(
            self._parents,
            np.ascontiguousarray(points),
            np.ascontiguousarray(losses),
            self._weights,
            self._random.random(len(points)),
            self._population,
            self._losses,
            self._front,
            self._front_losses,
            self._n_front,
        )

    def _make_room(self, n: int) -> None:
        missing = self._n_front + n - len(self._front)
        if missing > 0:
            more = max(missing, len(self._front))
            self._front = np.concatenate([self._front, np.empty((more, self._front.shape[1]))])
            self._front_losses = np.concatenate(
                [self._front_losses, np.empty((more, self._front_losses.shape[1]))]
            )
