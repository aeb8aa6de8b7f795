"""What the spec says about the selection reaches it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mmm_core.types import LOSS_COLUMNS
from runner.dataset import panel_from_table
from runner.pool import Pool
from runner.problem import build_problem
from runner.search.base import run_trial
from runner.search.engine import search_job
from runner.select import select
from runner.spec import decode
from tests.runner.small import change, small_spec, small_table


@pytest.mark.parametrize("part", [0.1, 0.4, 1.0])
def test_only_the_asked_part_of_the_candidates_closest_to_the_studies_is_kept(part):
    spec = decode(
        change(small_spec(), selection={"calibration_constraint": part, "min_candidates": 1000}), "s.yaml"
    )
    problem, _ = build_problem(spec, panel_from_table(spec, small_table(), "t"))
    batch = next(iter(run_trial(search_job(spec, problem), 1)))
    losses = batch.losses.copy()
    losses[:, LOSS_COLUMNS.index("mape")] = np.random.default_rng(1).permutation(len(batch)) / len(batch)
    selection = select(spec, problem, Pool.of_batches([dataclasses.replace(batch, losses=losses)]))
    kept = selection.pooled.loss("mape")
    assert kept.max() <= part
    assert len(kept) >= 0.7 * part * len(batch)  # the worst tenth of each other loss goes as well
