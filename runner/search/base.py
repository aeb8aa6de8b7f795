"""The contract of a searcher, and the loop of one trial."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from mmm_core.evaluate import evaluate_candidates
from mmm_core.evolution import TwoPointsEvolution
from mmm_core.types import CandidateBatch, FloatArray, ModelProblem
from runner.seeds import Branch, seed_at
from runner.space import SearchSpace

# Results go home in blocks: small enough for a lively display, large enough that a transfer costs nothing beside them.
BATCHES_PER_BLOCK = {"compiled": 100, "nevergrad": 10}
# Optimizers cannot calculate with infinity; every finite loss is far below this.
WORST_LOSS = 1e6


class SearchFailed(Exception):
    """An optimizer raised while it was asked or told; the message is a sentence for the user."""


class Searcher(Protocol):
    """Ask for points of the unit cube, tell what they were worth, in the order asked."""

    def ask(self, n: int) -> FloatArray:
        """(n, D) points in [0, 1]."""
        ...

    def tell(self, points: FloatArray, losses: FloatArray) -> None:
        """(n, D) points as asked and their (n, 2 or 3) losses, all finite, smaller is better."""
        ...


@dataclass(frozen=True, eq=False)
class SearchJob:
    """All a worker needs for any trial of one search; shared once.

    ``start``, (S, D), are points of the unit cube that every trial asks first.
    """

    problem: ModelProblem
    space: SearchSpace
    engine: Literal["compiled", "nevergrad"]
    optimizer: str
    iterations: int
    batch_size: int
    seed: int
    objective_weights: tuple[float, ...] | None
    start: FloatArray


def objectives(batch: CandidateBatch, names: Sequence[str]) -> FloatArray:
    """(N, len(names)) what the search minimises, ``ModelProblem.objectives``; infinities replaced by WORST_LOSS."""
    losses = np.column_stack([batch.loss(name) for name in names])
    losses[~np.isfinite(losses)] = WORST_LOSS
    return losses


def open_searcher(job: SearchJob, trial: int) -> Searcher:
    """The engine of a search, in the state that a trial begins with."""
    seed = seed_at(job.seed, Branch.SEARCH, trial)
    n_objectives = len(job.problem.objectives)
    if job.engine == "compiled":
        return TwoPointsEvolution(
            job.space.dimension,
            batch_size=job.batch_size,
            seed=seed,
            weights=job.objective_weights,
            n_objectives=n_objectives,
            start=job.start,
        )
    from runner.search.nevergrad_searcher import NevergradSearcher

    return NevergradSearcher(
        job.optimizer,
        dimension=job.space.dimension,
        budget=job.iterations,
        batch_size=job.batch_size,
        seed=seed,
        objective_weights=job.objective_weights,
        n_objectives=n_objectives,
        start=job.start,
    )


def run_trial(job: SearchJob, trial: int) -> Iterator[CandidateBatch]:
    """One independent search, as blocks of evaluated candidates in the order asked.

    A pure function of (job, trial): it may run twice, anywhere, and yields the same blocks.

    Args:
        job: problem, space and settings.
        trial: from 1; chooses the seed.
    """
    searcher = open_searcher(job, trial)
    block: list[CandidateBatch] = []
    done = 0
    while done < job.iterations:
        points = searcher.ask(min(job.batch_size, job.iterations - done))
        batch = evaluate_candidates(job.problem, job.space.hyperparameters(points))
        searcher.tell(points, objectives(batch, job.problem.objectives))
        block.append(batch)
        done += len(batch)
        if len(block) == BATCHES_PER_BLOCK[job.engine] or done == job.iterations:
            yield CandidateBatch.concatenate(block)
            block = []
