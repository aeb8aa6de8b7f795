"""After a warm-up nothing is left to compile for a run."""

from __future__ import annotations

from mmm_core import _kernels
from mmm_core.evaluate import evaluate_candidates
from mmm_core.warm_up import warm_up
from tests.reference.problems import random_hyperparameters, random_problem


def test_a_run_finds_every_kernel_compiled():
    warm_up()
    kernels = (_kernels.evaluate_batch, _kernels.refit_batch, _kernels.transform_media, _kernels.hill_series)
    before = [len(kernel.signatures) for kernel in kernels]
    problem = random_problem(1)
    evaluate_candidates(problem, random_hyperparameters(problem, 1, 3))
    assert all(before)
    assert [len(kernel.signatures) for kernel in kernels] == before
