"""Nevergrad's optimizers, multi-objective, as Robyn drives them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mmm_core.errors import ShapeError, UserError
from mmm_core.types import FloatArray
from runner.search.base import SearchFailed
from runner.seeds import as_integer

# These work with the pinned numpy in two objectives: tested, so a run need not try them out first.
PROVEN = frozenset(
    {
        "TwoPointsDE",
        "DE",
        "OnePointDE",
        "RotInvDE",
        "CMA",
        "DiagonalCMA",
        "PSO",
        "OnePlusOne",
        "RandomSearch",
        "NGOpt",
    }
)
PROBE_ASKS = 120


class NevergradSearcher:
    """One Nevergrad optimizer over the unit cube.

    Before the first ask it is told a reference point (1, 1) and the weights of the objectives, as Robyn does; the
    number of workers it is made for is the batch size of the spec, never the number of cores. Candidates are told in
    the order asked: the order changes what DE does next.

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
    ) -> None:
        self._name = optimizer
        self._dimension = dimension
        self._asked: list[Any] = []
        if dimension == 0:
            return
        with _quiet():
            import nevergrad as ng

            parametrization = ng.p.Array(shape=(dimension,), lower=0.0, upper=1.0)
            parametrization.random_state = np.random.RandomState(as_integer(seed))
            make = registered(optimizer)
            self._optimizer = make(parametrization, budget=budget, num_workers=min(batch_size, budget))
            self._optimizer.tell(ng.p.MultiobjectiveReference(), [1.0] * n_objectives)
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
        with _quiet(), self._named_failure():
            self._asked = [self._optimizer.ask() for _ in range(n)]
        return np.array([candidate.value for candidate in self._asked])

    def tell(self, points: FloatArray, losses: FloatArray) -> None:
        """(n, D) points of the last ask, in its order, with their (n, objectives) losses."""
        if self._dimension == 0:
            return
        if len(points) != len(self._asked):
            raise ShapeError(f"{len(points)} points are told, {len(self._asked)} were asked")
        with _quiet(), self._named_failure():
            for candidate, values in zip(self._asked, losses.tolist(), strict=True):
                self._optimizer.tell(candidate, values)

    @contextmanager
    def _named_failure(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever an optimizer of the registry may raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise SearchFailed(
                f"search.optimizer: {self._name} failed on this problem ({reason}); TwoPointsDE is the usual choice"
            ) from error


class _quiet(warnings.catch_warnings):  # noqa: N801 - used as a statement
    """Nevergrad's advice about its own settings is not for our users."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")


def registered(name: str) -> Any:
    """An optimizer class of Nevergrad's registry; UserError with near names if there is none."""
    import difflib

    import nevergrad as ng

    if name not in ng.optimizers.registry:
        close = difflib.get_close_matches(name, list(ng.optimizers.registry), n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "TwoPointsDE is the usual choice"
        raise UserError(f"search.optimizer: Nevergrad has no optimizer {name!r}; {hint}")
    return ng.optimizers.registry[name]


def check_optimizer(name: str, dimension: int, batch_size: int) -> None:
    """Try an optimizer on a small problem of two objectives before a search relies on it.

    Raises:
        UserError: it is unknown, or fails here (several need packages that are not installed, or one objective only).
    """
    if name in PROVEN or dimension == 0:
        return
    seed = np.random.SeedSequence(0)
    try:
        searcher = NevergradSearcher(
            name, dimension=dimension, budget=PROBE_ASKS, batch_size=batch_size, seed=seed
        )
        for _ in range(0, PROBE_ASKS, batch_size):
            points = searcher.ask(batch_size)
            searcher.tell(
                points, np.column_stack([(points**2).mean(axis=1), ((points - 1) ** 2).mean(axis=1)])
            )
    except UserError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"search.optimizer: {name} does not work here ({reason}); TwoPointsDE is the usual choice"
        ) from error
