"""Fronts, cuts and scores on points whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from mmm_core.errors import RangeError, ShapeError
from mmm_core.pareto import candidate_mask, error_scores, fronts, select_fronts
from tests.reference import pareto as slow


def staircase(n_fronts: int, per_front: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points on n_fronts parallel staircases, shuffled, and the front each lies on."""
    place = np.tile(np.arange(per_front), n_fronts)
    front = np.repeat(np.arange(1, n_fronts + 1), per_front)
    x, y = 1.0 + place + 0.01 * front, 1.0 + per_front - place + 0.01 * front
    order = np.random.default_rng(0).permutation(len(x))
    return x[order], y[order], front[order]


def test_planted_fronts_are_found():
    x, y, front = staircase(6, 9)
    np.testing.assert_array_equal(fronts(x, y), front)


def test_fronts_equal_the_slow_twin_with_ties_and_copies():
    rng = np.random.default_rng(1)
    for size in (1, 2, 7, 60):
        x, y = rng.integers(0, 12, (2, size)) / 4
        assert fronts(x, y).tolist() == slow.fronts(x.tolist(), y.tolist())


def test_copies_share_the_lowest_front_and_still_stand_in_the_way():
    # (1, 1) twice: the second copy is peeled with front 2, so what both dominate comes third.
    assert fronts(np.array([1.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0])).tolist() == [1, 1, 3]


def test_a_point_without_finite_losses_is_on_no_front():
    x, y = np.array([1.0, np.inf, 2.0, np.nan]), np.array([1.0, 0.0, np.inf, 0.0])
    assert fronts(x, y).tolist() == [1, 0, 0, 0]


def test_no_points_no_fronts():
    assert fronts(np.zeros(0), np.zeros(0)).tolist() == []


def test_a_hundred_thousand_points_on_one_chain():
    x = np.arange(100_000.0)
    np.testing.assert_array_equal(fronts(x, x), np.arange(1, 100_001))


def test_mask_cuts_the_worst_tenth_of_each_loss_and_keeps_ties():
    nrmse, rssd = np.arange(1.0, 12.0), np.ones(11)
    # The 90 % quantile of 1..11 is 10; all rssd tie with their quantile.
    np.testing.assert_array_equal(candidate_mask(nrmse, rssd, np.zeros(11)), nrmse <= 10)


def test_mask_keeps_the_share_of_mape_that_the_constraint_names():
    mape = np.arange(101.0)
    mask = candidate_mask(np.ones(101), np.ones(101), mape, calibration_constraint=0.05)
    np.testing.assert_array_equal(mask, mape <= 5)


def test_mask_equals_quantiles_of_the_slow_twin():
    rng = np.random.default_rng(2)
    nrmse, rssd, mape = rng.random((3, 57))
    expected = (
        (nrmse <= slow.type7_quantile(nrmse, 0.9))
        & (rssd <= slow.type7_quantile(rssd, 0.9))
        & (mape <= slow.type7_quantile(mape, 0.1))
    )
    np.testing.assert_array_equal(candidate_mask(nrmse, rssd, mape), expected)


def test_infinite_losses_are_never_selected_even_when_most_are():
    nrmse, rssd = np.linspace(0.1, 0.2, 20), np.full(20, np.inf)
    rssd[:5] = 0.5
    selection = select_fronts(nrmse, rssd, np.zeros(20))
    assert selection.rows.tolist() == [0, 1, 2, 3, 4]
    assert selection.is_short


def test_auto_takes_the_fewest_fronts_that_hold_enough():
    x, y, front = staircase(10, 20)
    selection = select_fronts(x, y, np.zeros(200), min_candidates=40)
    held = np.bincount(selection.front, minlength=4)
    assert selection.n_selected == held[1:].sum() >= 40
    assert held[1 : selection.n_fronts].sum() < 40
    assert not selection.is_short
    np.testing.assert_array_equal(selection.front[selection.rows], front[selection.rows])


def test_auto_with_too_few_candidates_takes_all_and_says_so():
    x, y, _ = staircase(3, 20)
    selection = select_fronts(x, y, np.zeros(60))
    assert selection.is_short
    assert selection.n_selected == selection.n_candidates == candidate_mask(x, y, np.zeros(60)).sum()


def test_exactly_enough_candidates_is_not_short():
    x, y, _ = staircase(3, 20)
    n = int(candidate_mask(x, y, np.zeros(60)).sum())
    assert not select_fronts(x, y, np.zeros(60), min_candidates=n).is_short
    assert select_fronts(x, y, np.zeros(60), min_candidates=n + 1).is_short


def test_a_number_of_fronts_is_taken_as_it_is_and_bounded_by_what_exists():
    x, y, _ = staircase(5, 20)
    assert select_fronts(x, y, np.zeros(100), wanted=2).n_fronts == 2
    assert select_fronts(x, y, np.zeros(100), wanted=50).n_fronts <= 5


@pytest.mark.parametrize("losses", [np.full(4, np.inf), np.zeros(0)])
def test_nothing_to_select_is_an_answer_not_an_error(losses):
    selection = select_fronts(losses, losses, np.zeros(len(losses)))
    assert (selection.n_fronts, selection.n_selected, selection.is_short) == (0, 0, True)


def test_scores_equal_the_slow_twin():
    losses = np.random.default_rng(3).random((3, 30))
    np.testing.assert_allclose(error_scores(*losses), slow.error_scores(losses.tolist()), rtol=1e-14)
    weighted = error_scores(*losses, weights=(2, 1, 0.5))
    np.testing.assert_allclose(weighted, slow.error_scores(losses.tolist(), (2, 1, 0.5)), rtol=1e-14)


def test_the_best_of_everything_scores_zero_and_the_worst_the_norm_of_the_weights():
    scores = error_scores(np.array([1.0, 2.0]), np.array([3.0, 5.0]), np.array([0.0, 7.0]))
    np.testing.assert_allclose(scores, [0.0, np.sqrt(3) / 3])


def test_an_infinite_loss_scores_as_the_largest_finite_one():
    rssd = np.array([1.0, 2.0, np.inf])
    scores = error_scores(np.zeros(3), rssd, np.zeros(3))
    assert scores[2] == scores[1] > scores[0]
    assert np.isfinite(error_scores(np.full(3, np.inf), rssd, np.full(3, np.nan))).all()


@pytest.mark.parametrize("weights", [(0, 0, 0), (-1, 1, 1), (1, np.inf, 1), (1, 1)])
def test_unusable_weights_are_refused(weights):
    with pytest.raises(RangeError, match="weights"):
        error_scores(np.ones(2), np.ones(2), np.ones(2), weights)


def test_lengths_and_numbers_are_checked():
    with pytest.raises(ShapeError):
        fronts(np.ones(2), np.ones(3))
    with pytest.raises(RangeError):
        candidate_mask(np.ones(2), np.ones(2), np.ones(2), calibration_constraint=0)
    with pytest.raises(RangeError):
        select_fronts(np.ones(2), np.ones(2), np.ones(2), wanted=0)
