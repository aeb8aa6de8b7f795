"""After a warm-up nothing is left to compile for a run."""

from __future__ import annotations

import numpy as np

from mmm_core import _kernels
from mmm_core.evaluate import evaluate_candidates
from mmm_core.evolution import TwoPointsEvolution
from mmm_core.pareto import fronts
from mmm_core.warm_up import warm_up
from runner.search.base import objectives
from tests.reference.problems import random_hyperparameters, random_problem


def test_a_run_finds_every_kernel_compiled():
    warm_up()
    kernels = (
        _kernels.evaluate_batch,
        _kernels.refit_batch,
        _kernels.transform_media,
        _kernels.hill_series,
        _kernels.mark_front,
        _kernels.propose,
        _kernels.succeed,
        _kernels.rank_fronts,
    )
    before = [len(kernel.signatures) for kernel in kernels]
    problem = random_problem(1)
    search = TwoPointsEvolution(3, batch_size=20, seed=np.random.SeedSequence(1), start=np.ones((1, 3)))
    for _ in range(4):
        points = search.ask(20)
        batch = evaluate_candidates(problem, random_hyperparameters(problem, 1, 20))
        losses = objectives(batch, ("nrmse", "decomp_rssd"))
        search.tell(points, losses)
        fronts(*losses.T)
    assert all(before)
    assert [len(kernel.signatures) for kernel in kernels] == before
