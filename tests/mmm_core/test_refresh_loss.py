"""How far a refreshed model moved from the one before: known distances come back, and the slow twin agrees."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from mmm_core import _kernels
from mmm_core.errors import RangeError, ShapeError
from mmm_core.evaluate import evaluate_candidates
from mmm_core.types import CandidateBatch, FitStatus, ModelProblem, ReferenceShares, RefreshLoss
from tests.mmm_core.test_evaluate import assert_agrees
from tests.reference.problems import random_hyperparameters, random_problem

PROBLEM = random_problem(81, n_paid=3, n_organic=1, n_context=1)
POINTS = random_hyperparameters(PROBLEM, 82, 6)


def shares_of(problem: ModelProblem, batch: CandidateBatch, row: int) -> np.ndarray:
    parts = np.append(batch.loss("intercept")[row] * problem.n_window, batch.contributions[row])
    return parts / parts.sum()


def refreshed(problem: ModelProblem, **fields) -> ModelProblem:
    usual = {"shares": np.full(len(problem.columns) + 1, 0.1), "periods": 4}
    return dataclasses.replace(problem, reference=ReferenceShares(**(usual | fields)))


def stable(batch: CandidateBatch, row: int, scale: float = 1.0) -> dict:
    roas = batch.contributions[row, 3:6] / PROBLEM.total_spend
    return {
        "loss": "stable",
        "shares": shares_of(PROBLEM, batch, row),
        "roas": roas,
        "scale": np.full(3, scale),
    }


@pytest.mark.parametrize("periods", [1, 4, 54])
def test_agrees_with_the_slow_twin(periods):
    shares = np.random.default_rng(1).normal(0.1, 0.1, len(PROBLEM.columns) + 1)
    assert_agrees(refreshed(PROBLEM, shares=shares, periods=periods), POINTS)
    roas, scale = np.array([0.0, 1e-3, 0.02]), np.array([1e-3, 1e-6, 1.0])
    assert_agrees(
        refreshed(PROBLEM, shares=shares, periods=periods, loss="stable", roas=roas, scale=scale), POINTS
    )


def test_a_model_that_did_not_move_has_no_distance():
    plain = evaluate_candidates(PROBLEM, POINTS)
    for fields in ({"shares": shares_of(PROBLEM, plain, 2)}, stable(plain, 2)):
        again = evaluate_candidates(refreshed(PROBLEM, **fields), POINTS)
        assert again.loss("decomp_rssd")[2] == pytest.approx(0, abs=1e-14)
        assert (np.delete(again.loss("decomp_rssd"), 2) > 1e-4).all()


def test_nothing_else_of_a_candidate_changes():
    plain = evaluate_candidates(PROBLEM, POINTS)
    again = evaluate_candidates(refreshed(PROBLEM), POINTS)
    for name in ("coefs", "contributions", "effect_shares", "statuses", "penalty"):
        np.testing.assert_array_equal(getattr(again, name), getattr(plain, name))
    np.testing.assert_array_equal(np.delete(again.losses, 4, axis=1), np.delete(plain.losses, 4, axis=1))


def test_a_planted_move_is_measured():
    plain = evaluate_candidates(PROBLEM, POINTS[:1])
    shares = shares_of(PROBLEM, plain, 0)
    # One of 3 paid media moved by 0.03, and of the 5 other rows the intercept by 0.05.
    moved = shares - [0.05, 0, 0, 0, 0.03, 0, 0, 0]
    found = evaluate_candidates(refreshed(PROBLEM, shares=moved, periods=11), POINTS[:1])
    expected = 0.03 / np.sqrt(3) + 0.05 / np.sqrt(5) / (1 - 11 / 55)
    assert found.loss("decomp_rssd")[0] == pytest.approx(expected, rel=1e-12)


def test_a_planted_change_of_roas_is_measured_in_scales_and_cannot_run_away():
    plain = evaluate_candidates(PROBLEM, POINTS[:1])
    fields = stable(plain, 0)
    for scales, counts in ((0.5, 0.5 / np.sqrt(1 + 0.0025)), (-1e6, 10.0)):
        fields["scale"] = np.array([1.0, 0.25, 1.0])
        fields["roas"] = plain.contributions[0, 3:6] / PROBLEM.total_spend - [0, scales * 0.25, 0]
        found = evaluate_candidates(refreshed(PROBLEM, **fields), POINTS[:1]).loss("decomp_rssd")[0]
        assert found == pytest.approx(counts / np.sqrt(3), rel=1e-9)


def test_channels_without_effect_cost_nothing_of_their_own():
    harmful = random_problem(83, effect=-50.0)
    batch = evaluate_candidates(refreshed(harmful), random_hyperparameters(harmful, 84, 20))
    silent = batch.statuses == list(FitStatus).index(FitStatus.ALL_MEDIA_ZERO)
    assert silent.any()
    assert np.isfinite(batch.loss("decomp_rssd")).all()
    assert_agrees(refreshed(harmful), random_hyperparameters(harmful, 84, 3))


def test_a_reference_needs_no_second_kernel():
    evaluate_candidates(PROBLEM, POINTS)
    before = len(_kernels.evaluate_batch.signatures)
    evaluate_candidates(pickle.loads(pickle.dumps(refreshed(PROBLEM))), POINTS)
    evaluate_candidates(refreshed(PROBLEM, **stable(evaluate_candidates(PROBLEM, POINTS), 0)), POINTS)
    assert len(_kernels.evaluate_batch.signatures) == before


def test_the_digest_knows_the_reference_but_not_that_there_could_be_one():
    digests = {PROBLEM.digest, refreshed(PROBLEM).digest, refreshed(PROBLEM, periods=5).digest}
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"shares": np.zeros(8)[:7]}, ShapeError, r"shares has shape \(7,\), expected \(8,\)"),
        ({"shares": np.full(8, np.nan)}, RangeError, "shares of the model before must be finite"),
        ({"periods": 0}, RangeError, "adds 0 periods"),
        ({"periods": 55}, RangeError, "adds 55 periods to a window of 55"),
        ({"loss": "stable"}, ShapeError, r"roas has shape \(0,\), expected \(3,\)"),
        ({"roas": np.zeros(3)}, ShapeError, "expected the same"),
        ({"roas": np.ones(3), "scale": np.zeros(3)}, RangeError, "above 0"),
    ],
)
def test_refuses_what_is_no_model_before(change, error, message):
    with pytest.raises(error, match=message):
        refreshed(PROBLEM, **change)


def test_the_scale_of_a_channel_is_its_standard_error_where_it_has_one():
    roas = np.array([2.0, 4.0, 0.0])
    reference = ReferenceShares.stable(np.zeros(8), 4, roas, np.array([0.5, 0.0, np.nan]))
    assert reference.loss is RefreshLoss.STABLE
    np.testing.assert_array_equal(reference.scale, [0.5, 4.0, 2.0])
    with pytest.raises(RangeError):
        ReferenceShares.stable(np.zeros(8), 4, np.zeros(3), np.zeros(3))


def test_words_are_taken_for_losses():
    assert ReferenceShares(np.zeros(3), 2, "stable").loss is RefreshLoss.STABLE
    with pytest.raises(ValueError, match="calm"):
        ReferenceShares(np.zeros(3), 2, "calm")
