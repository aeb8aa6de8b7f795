"""Nevergrad's optimizers, multi-objective, as Robyn drives them."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mmm_core.errors import ShapeError, UserError
from mmm_core.types import FloatArray
from runner.search.base import SearchFailed
from runner.seeds import as_integer

# These work with the pinned numpy in two objectives from two dimensions on, and take points to start from: a run
# need not try them out first.
PROVEN = frozenset(
    {
        "TwoPointsDE",
        "DE",
        "OnePointDE",
        "RotationInvariantDE",
        "CMA",
        "DiagonalCMA",
        "PSO",
        "OnePlusOne",
        "RandomSearch",
        "NGOpt",
    }
)
PROBE_ASKS = 120
USUAL = "TwoPointsDE is the usual choice"


class NevergradSearcher:
    """One Nevergrad optimizer over the unit cube.

    Before the first ask it is told a reference point (1, 1) and the weights of the objectives, as Robyn does; the
    number of workers it is made for is the batch size of the spec, never the number of cores. Candidates are told in
    the order asked: the order changes what DE does next. Points to start from come out of the first asks, as they are,
    and go into the optimizer's population like its own.

    Raises:
        UserError: the optimizer is unknown, or cannot do what is asked of it.
        SearchFailed: it fails on the way.
    Source: Robyn 3.12.1, model.R, robyn_mmm.
    """

    def __init__(
        self,
        optimizer: str,
        *,
        dimension: int,
        budget: int,
        batch_size: int,
        seed: np.random.SeedSequence,
        objective_weights: tuple[float, ...] | None = None,
        n_objectives: int = 2,
        start: FloatArray | None = None,
    ) -> None:
        self._name = optimizer
        self._dimension = dimension
        self._asked: list[Any] = []
        self._random = _GlobalRandom(as_integer(seed))
        if dimension == 0:
            return
        import nevergrad as ng

        make = registered(optimizer, batch_size)
        with self._inside():
            parametrization = ng.p.Array(shape=(dimension,), lower=0.0, upper=1.0)
            parametrization.random_state = np.random.RandomState(as_integer(seed))
            self._optimizer = make(parametrization, budget=budget, num_workers=min(batch_size, budget))
            self._optimizer.tell(ng.p.MultiobjectiveReference(), [1.0] * n_objectives)
            for point in () if start is None else start[::-1]:  # the last suggested is asked first
                self._optimizer.suggest(point)
        self._weigh(objective_weights or (1.0,) * n_objectives)

    def _weigh(self, weights: tuple[float, ...]) -> None:
        if hasattr(self._optimizer, "set_objective_weights"):
            self._optimizer.set_objective_weights(np.asarray(weights))
        elif len(set(weights)) > 1:
            raise UserError(
                f"search.objective_weights: {self._name} cannot weigh objectives; remove them or choose an optimizer "
                "of the DE family, such as TwoPointsDE"
            )

    def ask(self, n: int) -> FloatArray:
        """(n, D) points in [0, 1]."""
        if self._dimension == 0:
            return np.zeros((n, 0))
        with self._inside():
            self._asked = [self._optimizer.ask() for _ in range(n)]
        return np.array([candidate.value for candidate in self._asked])

    def tell(self, points: FloatArray, losses: FloatArray) -> None:
        """(n, D) points of the last ask, in its order, with their (n, objectives) losses."""
        if self._dimension == 0:
            return
        if len(points) != len(self._asked):
            raise ShapeError(f"{len(points)} points are told, {len(self._asked)} were asked")
        with self._inside():
            for candidate, values in zip(self._asked, losses.tolist(), strict=True):
                self._optimizer.tell(candidate, values)

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Nevergrad at work: its advice unheard, its draws our own, its failures named."""
        with warnings.catch_warnings(), self._random:
            warnings.simplefilter("ignore")
            try:
                yield
            except Exception as error:  # whatever an optimizer of the registry may raise
                if type(error).__name__ == "TellNotAskedNotSupportedError":
                    raise SearchFailed(
                        f"search.warm_start: {self._name} takes no points but its own; remove it, or choose another "
                        "search.optimizer, such as TwoPointsDE"
                    ) from error
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise SearchFailed(
                    f"search.optimizer: {self._name} fails here ({reason}); {USUAL}"
                ) from error


class _GlobalRandom:
    """The global generators of numpy and of Python, in a state of our own for as long as the block lasts.

    Some forty optimizers of the registry (its log-normal mutations, CMA with learning) draw from them instead of from
    the generator they are given; so they would depend on everything else that a process does.
    """

    def __init__(self, seed: int) -> None:
        self._numpy: Any = np.random.RandomState(seed).get_state()
        self._python: Any = random.Random(seed).getstate()

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *error: object) -> None:
        self._swap()

    def _swap(self) -> None:
        outside = np.random.get_state(), random.getstate()  # noqa: NPY002 - put back, never drawn from
        np.random.set_state(self._numpy)  # noqa: NPY002
        random.setstate(self._python)
        self._numpy, self._python = outside


def registered(name: str, batch_size: int = 1) -> Any:
    """An optimizer of Nevergrad's registry.

    Raises:
        UserError: there is none of this name (near ones are told), or it asks for one candidate at a time.
    """
    import difflib

    import nevergrad as ng

    if name not in ng.optimizers.registry:
        close = difflib.get_close_matches(name, list(ng.optimizers.registry), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else USUAL
        raise UserError(f"search.optimizer: Nevergrad has no optimizer {name!r}; {hint}")
    optimizer = ng.optimizers.registry[name]
    if batch_size > 1 and getattr(optimizer, "no_parallelization", False):
        raise UserError(
            f"search.optimizer: {name} asks for one candidate at a time; set search.batch_size: 1, or choose another "
            "such as TwoPointsDE"
        )
    return optimizer


def check_optimizer(
    name: str,
    dimension: int,
    batch_size: int,
    objective_weights: tuple[float, ...] | None = None,
    n_objectives: int = 2,
    start: FloatArray | None = None,
) -> None:
    """Try an optimizer on a small problem of several objectives before a search relies on it.

    Raises:
        UserError: it is unknown, or fails here (several need packages that are not installed, or one objective only).
    """
    is_plain = len(set(objective_weights or ())) <= 1
    if dimension == 0 or (name in PROVEN and dimension > 1 and is_plain):
        return
    try:
        searcher = NevergradSearcher(
            name,
            dimension=dimension,
            budget=PROBE_ASKS,
            batch_size=batch_size,
            seed=np.random.SeedSequence(0),
            objective_weights=objective_weights,
            n_objectives=n_objectives,
            start=start,
        )
        for _ in range(0, PROBE_ASKS, batch_size):
            points = searcher.ask(batch_size)
            aims = np.linspace(0.0, 1.0, n_objectives)
            searcher.tell(points, np.column_stack([((points - aim) ** 2).mean(axis=1) for aim in aims]))
    except SearchFailed as error:
        raise UserError(str(error)) from error
