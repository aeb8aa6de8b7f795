"""Searches that were made to settle, or not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mmm_core.convergence import N_BINS, measure_convergence
from mmm_core.errors import ShapeError


def search(n_trials: int, n_iterations: int, level, sd, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Iterations and losses of trials whose loss at progress p in [0, 1] is level(p) + sd(p) * normal."""
    rng = np.random.default_rng(seed)
    iteration = np.tile(np.arange(1, n_iterations + 1), n_trials)
    progress = iteration / n_iterations
    return iteration, level(progress) + sd(progress) * rng.normal(size=len(iteration))


def test_a_loss_that_falls_and_calms_has_converged():
    iteration, loss = search(3, 400, lambda p: 1 - 0.9 * p, lambda p: 0.05 * (1.1 - p))
    found = measure_convergence(iteration, {"nrmse": loss})
    assert found.is_converged
    assert found.verdicts[0].sentence.startswith("nrmse has converged: in the last 5% of iterations sd ")


def test_a_loss_that_never_moves_has_not():
    iteration, loss = search(3, 400, lambda p: 1 + 0 * p, lambda p: 0.05 + 0 * p)
    found = measure_convergence(iteration, {"nrmse": loss})
    assert not found.is_converged
    assert "nrmse has not converged" in found.verdicts[0].sentence
    assert ">=" in found.verdicts[0].sentence


def test_a_loss_that_falls_but_grows_wilder_has_not():
    iteration, loss = search(3, 400, lambda p: 5 - 4 * p, lambda p: 0.01 + 0.1 * p)
    last = measure_convergence(iteration, {"decomp_rssd": loss}).bins[-1]
    assert last.is_median_below
    assert not last.is_sd_below
    assert not last.is_converged


def test_bins_hold_each_iteration_once_with_all_trials_in_it():
    iteration, loss = search(4, 100, lambda p: 2 - p, lambda p: 0.01 + 0 * p)
    bins = measure_convergence(iteration, {"nrmse": loss}).bins
    assert [b.bin for b in bins] == list(range(1, N_BINS + 1))
    assert [(b.first_iteration, b.last_iteration) for b in bins] == [
        (5 * i + 1, 5 * i + 5) for i in range(N_BINS)
    ]
    assert {b.n for b in bins} == {20}
    members = loss[(iteration > 5) & (iteration <= 10)]
    assert bins[1].median == np.median(members)
    assert bins[1].sd == pytest.approx(members.std(ddof=1), rel=1e-14)


def test_thresholds_follow_their_formula():
    iteration, loss = search(2, 200, lambda p: 2 - p, lambda p: 0.1 + 0 * p)
    bins = measure_convergence(iteration, {"nrmse": loss}).bins
    scale = np.mean([b.sd for b in bins[:3]])
    assert bins[0].first_sd_mean == pytest.approx(scale)
    assert bins[0].median_threshold == pytest.approx(abs(bins[0].median - 2 * scale))
    assert bins[7].is_median_below == (bins[7].median < bins[0].median_threshold)


def test_iterations_that_do_not_divide_by_twenty():
    iteration, loss = search(2, 33, lambda p: 2 - p, lambda p: 0.1 + 0 * p)
    bins = measure_convergence(iteration, {"nrmse": loss}).bins
    assert sum(b.n for b in bins) == 66
    edges = [(b.first_iteration, b.last_iteration) for b in bins]
    assert edges[0][0] == 1
    assert edges[-1][1] == 33
    assert all(a[1] + 1 == b[0] for a, b in pairwise(edges))


def test_values_that_are_not_positive_and_finite_do_not_count():
    iteration, loss = search(2, 100, lambda p: 2 - p, lambda p: 0.01 + 0 * p)
    holes = loss.copy()
    holes[::7] = np.inf
    holes[1::7] = np.nan
    bins = measure_convergence(iteration, {"decomp_rssd": holes}).bins
    assert sum(b.n for b in bins) == int(np.isfinite(holes).sum())
    assert all(np.isfinite(b.median) for b in bins)


def test_a_loss_without_values_has_no_rows_and_no_verdict():
    iteration, loss = search(2, 100, lambda p: 2 - p, lambda p: 0.01 + 0 * p)
    found = measure_convergence(iteration, {"nrmse": loss, "mape": np.zeros(200)})
    assert {b.loss for b in found.bins} == {"nrmse"}
    assert [v.loss for v in found.verdicts] == ["nrmse"]
    nothing = measure_convergence(np.zeros(0, dtype=int), {"nrmse": np.zeros(0)})
    assert nothing.bins == nothing.verdicts == ()
    assert not nothing.is_converged


def test_too_few_candidates_cannot_be_judged():
    verdict = measure_convergence(np.arange(1, 9), {"nrmse": np.linspace(1, 0.1, 8)}).verdicts[0]
    assert not verdict.is_converged
    assert verdict.sentence == (
        "nrmse cannot be judged: too few candidates in the first or last stretch of iterations"
    )


def test_order_of_candidates_does_not_matter():
    iteration, loss = search(3, 100, lambda p: 2 - p, lambda p: 0.05 + 0 * p)
    order = np.random.default_rng(5).permutation(len(loss))
    assert measure_convergence(iteration, {"nrmse": loss}) == measure_convergence(
        iteration[order], {"nrmse": loss[order]}
    )


def test_lengths_are_checked():
    with pytest.raises(ShapeError, match="nrmse"):
        measure_convergence(np.arange(1, 4), {"nrmse": np.ones(2)})
