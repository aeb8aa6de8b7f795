"""Compile every kernel once, so that numba's cache on disk has them and no run waits for the compiler.

    python -m mmm_core.warm_up

takes about half a minute the first time and less than one second when the cache is there.
"""

from __future__ import annotations

import numpy as np

from mmm_core.bootstrap import bootstrap_model
from mmm_core.decomposition import decompose
from mmm_core.evaluate import evaluate_candidates
from mmm_core.evolution import POPULATION, TwoPointsEvolution
from mmm_core.pareto import fronts
from mmm_core.response import response_curve
from mmm_core.types import Adstock, FittedModel, ModelProblem, Role

N_PERIODS = 40


def tiny_problem(adstock: Adstock) -> ModelProblem:
    """Two channels and a trend over 40 weeks: as small as a problem can be that runs through everything."""
    rng = np.random.default_rng(0)
    spend = rng.gamma(2.0, 100.0, (2, N_PERIODS))
    trend = np.linspace(1.0, 2.0, N_PERIODS)
    return ModelProblem(
        dates=np.datetime64("2024-01-01") + 7 * np.arange(N_PERIODS),
        outcome=1000.0 * trend + spend.sum(axis=0) + rng.normal(0.0, 20.0, N_PERIODS),
        columns=("trend", "a", "b"),
        roles=(Role.BASELINE, Role.PAID, Role.PAID),
        design=np.vstack([1000.0 * trend, spend]),
        spend=spend,
        lower=np.zeros(3),
        upper=np.array([1.0, np.inf, np.inf]),
        start=0,
        stop=N_PERIODS,
        adstock=adstock,
    )


def warm_up() -> None:
    """Run every compiled function once, with arguments of the types that a run uses."""
    for adstock in Adstock:
        problem = tiny_problem(adstock)
        row = np.full((1, len(problem.hyperparameter_names)), 0.5)
        row[0, problem.hyperparameter_names.index("train_size")] = 1.0
        batch = evaluate_candidates(problem, row)
        model = FittedModel("0_1", row[0], float(batch.penalty[0]), 0.0, batch.coefs[0])
        decompose(problem, model)
        bootstrap_model(problem, model, 2, np.random.SeedSequence(0))
        response_curve(problem, model, "a", np.ones(1))
    losses = np.array([0.0, 1.0])
    fronts(losses, losses)
    evolve()


def evolve() -> None:
    """A search through everything that it compiles: children of a first population, and what became of them."""
    search = TwoPointsEvolution(2, batch_size=POPULATION, seed=np.random.SeedSequence(0))
    for _ in range(2):
        points = search.ask(POPULATION)
        search.tell(points, points.copy())


if __name__ == "__main__":
    warm_up()
