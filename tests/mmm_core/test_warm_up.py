"""After a warm-up nothing is left to compile for a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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


def in_another_process(*words: str, **variables: str) -> dict[str, Any]:
    """What ``tests.mmm_core.kernel_cache`` found."""
    command = [sys.executable, "-m", "tests.mmm_core.kernel_cache", *words]
    process = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env={**os.environ, **variables},
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return found


@pytest.mark.integration
def test_after_a_warm_up_no_run_compiles_anything(tmp_path):
    """By the counters of numba itself: whole runs, in a process that has only the files of the one before."""
    cache = str(tmp_path / "cache")
    first = in_another_process("warm-up", NUMBA_CACHE_DIR=cache)
    assert set(first["compiled"]) >= {"evaluate_batch", "refit_batch", "propose", "adstock"}
    found = in_another_process("run", str(tmp_path), NUMBA_CACHE_DIR=cache)
    assert found["compiled"] == []
    assert found["loaded"] > 0


def test_where_machine_code_cannot_be_kept_it_is_made_anew():
    assert in_another_process("nowhere")["loaded"] == 0
