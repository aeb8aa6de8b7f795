"""A candidate from end to end: known truths come back, and the slow twin agrees on random and awkward problems."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mmm_core import _kernels
from mmm_core.errors import RangeError, ShapeError
from mmm_core.evaluate import evaluate_candidates, split_rows
from mmm_core.transforms import design_matrix
from mmm_core.types import FIT_STATUSES, LOSS_COLUMNS, Adstock, FitStatus, InterceptRule
from tests.reference import candidate as slow
from tests.reference.problems import random_hyperparameters, random_problem

CLOSE = dict(rtol=1e-10, atol=1e-10)


def point(problem, values):
    return dict(zip(problem.hyperparameter_names, values.tolist(), strict=True))


def assert_agrees(problem, hyperparameters, penalty=None):
    """The kernel and the slow twin give the same candidates; returns the kernel's."""
    batch = evaluate_candidates(problem, hyperparameters, penalty)
    for i, values in enumerate(hyperparameters):
        twin = slow.candidate(problem, point(problem, values), None if penalty is None else float(penalty[i]))
        expected = [twin["losses"][name] for name in LOSS_COLUMNS]
        np.testing.assert_allclose(batch.losses[i], expected, **CLOSE, err_msg=str(LOSS_COLUMNS))
        # Relative to the largest: an almost cancelled sum has no relative accuracy of its own.
        for name in ("coefs", "contributions", "effect_shares"):
            ours, theirs = getattr(batch, name)[i], np.array(twin[name])
            np.testing.assert_allclose(
                ours, theirs, rtol=1e-10, atol=1e-10 * np.abs(theirs).max(), err_msg=name
            )
        assert batch.penalty[i] == pytest.approx(twin["penalty"], rel=1e-12)
        assert FIT_STATUSES[batch.statuses[i]] == twin["status"]
    return batch


def changed(problem, **fields):
    return dataclasses.replace(problem, **fields)


def with_column(problem, name, values):
    design = problem.design.copy()
    design[problem.columns.index(name)] = values
    return changed(problem, design=design)


# ------------------------------------------------------------------------------------------------------ known truths


def test_finds_the_coefficients_that_made_the_outcome():
    problem = random_problem(11, n_periods=300, noise=0.0, time_series_validation=False)
    truth = random_hyperparameters(problem, 11)  # the curves that random_problem drew its outcome with
    batch = evaluate_candidates(problem, truth, penalty=np.zeros(1))
    expected = [1.0, 1.0, 1.0, 50.0, 50.0, 50.0, 50.0]
    # Not exact: the descent stops where glmnet does, at 1e-7 of the variance.
    np.testing.assert_allclose(batch.coefs[0], expected, rtol=0.01)
    assert batch.loss("intercept")[0] == pytest.approx(100, rel=0.01)
    assert batch.loss("nrmse")[0] < 1e-3
    assert batch.loss("rsq_train")[0] > 0.999


def test_finds_the_shares_that_made_the_outcome():
    problem = random_problem(12, n_periods=300, noise=0.0, time_series_validation=False)
    truth = random_hyperparameters(problem, 12)
    batch = evaluate_candidates(problem, truth, penalty=np.zeros(1))
    effects = 50 * design_matrix(problem, truth[0])[:, 3:6].sum(axis=0)
    shares = effects / effects.sum()
    np.testing.assert_allclose(batch.effect_shares[0], shares, rtol=0.01)
    assert batch.loss("decomp_rssd")[0] == pytest.approx(
        np.linalg.norm(shares - problem.spend_share), abs=0.005
    )


def test_a_heavy_penalty_leaves_the_mean():
    problem = random_problem(13, time_series_validation=False)
    batch = evaluate_candidates(problem, random_hyperparameters(problem, 1), penalty=np.array([1e12]))
    assert np.abs(batch.coefs).max() < 1e-5
    assert batch.loss("intercept")[0] == pytest.approx(problem.outcome[problem.window].mean(), rel=1e-6)


# ------------------------------------------------------------------------------------------------------------ slow twin


@pytest.mark.parametrize("adstock", Adstock)
@pytest.mark.parametrize("intercept", InterceptRule)
@pytest.mark.parametrize("penalty_factors", [False, True])
@pytest.mark.parametrize("validation", [False, True])
def test_agrees_with_the_slow_twin(adstock, intercept, penalty_factors, validation):
    problem = random_problem(
        21,
        adstock=adstock,
        intercept=intercept,
        penalty_factors=penalty_factors,
        time_series_validation=validation,
    )
    assert_agrees(problem, random_hyperparameters(problem, 22, 8))


def test_refits_without_an_intercept_where_it_would_be_negative():
    problem = random_problem(23, level=-60.0, time_series_validation=False)
    points = random_hyperparameters(problem, 24, 30)
    batch = assert_agrees(problem, points)
    free = evaluate_candidates(changed(problem, intercept=InterceptRule.UNCONSTRAINED), points)
    negative = free.loss("intercept") < 0
    assert negative.any()
    assert (batch.loss("intercept")[negative] == 0).all()
    np.testing.assert_array_equal(batch.coefs[~negative], free.coefs[~negative])


def test_a_falling_trend_gets_a_falling_bound():
    problem = random_problem(25)
    falling = with_column(problem, "trend", -problem.design[0] - 1.0)
    batch = assert_agrees(falling, random_hyperparameters(falling, 26, 5))
    assert (batch.coefs[:, 0] <= 0).all()


def test_the_sign_of_the_trend_is_that_of_the_training_rows():
    problem = random_problem(25, level=0.0)
    turning = with_column(problem, "trend", np.where(np.arange(60) < 40, -1.0, 100.0))
    turning = changed(turning, outcome=problem.outcome - 30 * (np.arange(60) < 25))
    points = random_hyperparameters(turning, 27, 6)
    points[:, turning.hyperparameter_names.index("train_size")] = [0.5, 0.55, 0.6, 0.9, 0.95, 1.0]
    assert_agrees(turning, points)


# -------------------------------------------------------------------------------------------------------- awkward input


def test_a_channel_that_was_never_on():
    problem = with_column(random_problem(31), "paid_1", 0.0)
    batch = assert_agrees(problem, random_hyperparameters(problem, 32, 5))
    assert (batch.coefs[:, 4] == 0).all()
    assert (batch.effect_shares[:, 1] == 0).all()


def test_a_channel_that_stopped_before_the_window():
    exposure = np.zeros(60)
    exposure[:3] = 500.0
    problem = with_column(random_problem(33), "paid_0", exposure)
    assert_agrees(problem, random_hyperparameters(problem, 34, 5))


@pytest.mark.parametrize("name", ["season", "context_0", "paid_2", "organic_0"])
@pytest.mark.parametrize("value", [0.0, 0.1, 7e8])
def test_a_constant_column(name, value):
    problem = with_column(random_problem(35), name, value)
    batch = assert_agrees(problem, random_hyperparameters(problem, 36, 5))
    if name in ("season", "context_0"):
        assert (batch.coefs[:, problem.columns.index(name)] == 0).all()


def test_a_column_that_is_constant_while_training():
    event = np.zeros(60)
    event[55:] = 1.0
    problem = with_column(random_problem(37), "context_0", event)
    batch = assert_agrees(problem, random_hyperparameters(problem, 38, 5))
    assert (batch.coefs[:, 2] == 0).all()


def test_one_column_twice():
    problem = random_problem(39)
    problem = with_column(problem, "season", problem.design[2])
    assert_agrees(problem, random_hyperparameters(problem, 40, 5))


@pytest.mark.parametrize("window", [(0, 60), (0, 20), (40, 60), (10, 14), (0, 12)])
@pytest.mark.parametrize("validation", [False, True])
def test_windows_at_the_ends_and_tiny_ones(window, validation):
    problem = random_problem(41, window=window, time_series_validation=validation)
    assert_agrees(problem, random_hyperparameters(problem, 42, 5))


def test_as_many_rows_as_the_adjustment_divides_by():
    # n_train - K - 1 = 0: the adjusted R2 does not exist.
    problem = random_problem(43, window=(20, 28), time_series_validation=False)
    assert len(problem.columns) == 7
    batch = assert_agrees(problem, random_hyperparameters(problem, 44, 3))
    assert np.isnan(batch.loss("rsq_train")).all()


def test_training_on_everything_leaves_nothing_to_validate():
    problem = random_problem(45)
    points = random_hyperparameters(problem, 46, 4)
    points[:, problem.hyperparameter_names.index("train_size")] = 1.0
    batch = assert_agrees(problem, points)
    for part in ("val", "test"):
        assert np.isnan(batch.loss(f"nrmse_{part}")).all()
        assert np.isnan(batch.loss(f"rsq_{part}")).all()
    np.testing.assert_array_equal(batch.loss("nrmse"), batch.loss("nrmse_train"))
    without = evaluate_candidates(changed(problem, time_series_validation=False), points)
    np.testing.assert_array_equal(batch.losses, without.losses)


@pytest.mark.parametrize("zero_penalty", [False, True])
def test_media_that_only_harm_end_as_a_status_not_as_an_error(zero_penalty):
    problem = random_problem(47, level=500.0, effect=-50.0, zero_penalty=zero_penalty)
    batch = assert_agrees(problem, random_hyperparameters(problem, 48, 5))
    lost = batch.statuses == FIT_STATUSES.index(FitStatus.ALL_MEDIA_ZERO)
    assert lost.any()
    assert np.isinf(batch.loss("decomp_rssd")[lost]).all()
    assert (batch.effect_shares[lost] == 0).all()
    assert np.isfinite(batch.loss("nrmse")).all()


def test_the_zero_penalty_counts_channels_without_effect():
    problem = random_problem(49)
    # A channel that anticorrelates with the outcome gets a coefficient of 0.
    harmful = with_column(problem, "paid_0", np.maximum(problem.outcome.max() - problem.outcome, 0))
    points = random_hyperparameters(harmful, 50, 10)
    with_penalty = assert_agrees(harmful, points)
    without = evaluate_candidates(changed(harmful, zero_penalty=False), points)
    zeros = (np.round(with_penalty.effect_shares, 4) == 0).sum(axis=1)
    assert (zeros == 1).any()
    np.testing.assert_allclose(
        with_penalty.loss("decomp_rssd"), without.loss("decomp_rssd") * (1 + zeros / 3), rtol=1e-14
    )


@pytest.mark.parametrize("value", [0.0, 3.5, -3.5])
@pytest.mark.parametrize("intercept", InterceptRule)
def test_an_outcome_that_never_changes(intercept, value):
    problem = changed(random_problem(51, intercept=intercept), outcome=np.full(60, value))
    assert_agrees(problem, random_hyperparameters(problem, 52, 3))


def test_a_single_training_row():
    problem = random_problem(53, window=(30, 35))
    points = random_hyperparameters(problem, 54, 3)
    points[:, problem.hyperparameter_names.index("train_size")] = 0.11
    batch = assert_agrees(problem, points)
    assert (batch.coefs == 0).all()
    assert (batch.statuses == FIT_STATUSES.index(FitStatus.ALL_MEDIA_ZERO)).all()


def test_penalty_factors_that_are_all_zero():
    problem = random_problem(55, penalty_factors=True)
    points = random_hyperparameters(problem, 56, 3)
    points[:, -len(problem.columns) :] = 0.0
    assert_agrees(problem, points)


def test_integer_tables_give_the_numbers_of_floats():
    problem = random_problem(57)
    fields = {name: np.round(getattr(problem, name)) for name in ("outcome", "design", "spend")}
    floats = changed(problem, **fields)
    integers = changed(problem, **{name: values.astype(np.int32) for name, values in fields.items()})
    points = random_hyperparameters(problem, 58, 5)
    np.testing.assert_array_equal(
        evaluate_candidates(floats, points).losses, evaluate_candidates(integers, points).losses
    )
    assert_agrees(integers, points)


# -------------------------------------------------------------------------------------------------- batches and penalty


def test_the_penalty_can_be_given_as_it_is():
    problem = random_problem(61)
    points = random_hyperparameters(problem, 62, 4)
    asked = evaluate_candidates(problem, points)
    points[:, problem.hyperparameter_names.index("lambda_hp")] = (
        0.5  # not used when the penalty itself is given
    )
    again = assert_agrees(problem, points, asked.penalty)
    np.testing.assert_array_equal(again.losses, asked.losses)


def test_an_empty_batch():
    problem = random_problem(63)
    batch = evaluate_candidates(problem, np.empty((0, len(problem.hyperparameter_names))))
    assert len(batch) == 0
    assert batch.losses.shape == (0, len(LOSS_COLUMNS))


def test_a_batch_is_compiled_once():
    problem = random_problem(64)
    points = random_hyperparameters(problem, 65, 3)
    evaluate_candidates(problem, points)
    before = len(_kernels.evaluate_batch.signatures)
    points.flags.writeable = False
    evaluate_candidates(problem, points)
    evaluate_candidates(problem, np.asfortranarray(points))
    evaluate_candidates(problem, points[:1])
    assert len(_kernels.evaluate_batch.signatures) == before


def test_read_only_penalties_are_compiled_once():
    problem = random_problem(64, penalty_factors=True)
    points = random_hyperparameters(problem, 65, 1)
    penalty = evaluate_candidates(problem, points).penalty
    before = len(_kernels.evaluate_batch.signatures)
    points.flags.writeable = penalty.flags.writeable = False
    evaluate_candidates(problem, points, penalty)
    assert len(_kernels.evaluate_batch.signatures) == before


def test_the_split_of_the_window():
    problem = random_problem(66, window=(0, 50))
    n_train, n_val = split_rows(problem, np.array([0.5, 0.8, 0.999, 1.0]))
    np.testing.assert_array_equal(n_train, [25, 40, 49, 50])
    np.testing.assert_array_equal(n_val, [12, 4, 0, 0])


# ------------------------------------------------------------------------------------------------------ what is refused


def test_refuses_a_matrix_of_another_width():
    problem = random_problem(67)
    with pytest.raises(ShapeError, match=rf"\(N, {len(problem.hyperparameter_names)}\)"):
        evaluate_candidates(problem, np.ones((2, 3)))
    with pytest.raises(ShapeError):
        evaluate_candidates(problem, random_hyperparameters(problem, 1)[0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("paid_0_alpha", 0.0),
        ("paid_0_alpha", 10.0),
        ("paid_1_gamma", 0.0),
        ("organic_0_gamma", 1.01),
        ("paid_2_theta", 1.0),
        ("paid_2_theta", -0.01),
        ("train_size", 0.1),
        ("lambda_hp", 1.1),
        ("season_penalty", -0.1),
        ("lambda_hp", np.nan),
    ],
)
def test_names_row_and_column_of_an_illegal_value(name, value):
    problem = random_problem(68, penalty_factors=True)
    points = random_hyperparameters(problem, 69, 3)
    points[1, problem.hyperparameter_names.index(name)] = value
    with pytest.raises(RangeError, match=f"row 2: {name} is {value:g}"):
        evaluate_candidates(problem, points)


def test_refuses_a_split_without_validation():
    problem = random_problem(70, time_series_validation=False)
    points = random_hyperparameters(problem, 71)
    points[0, problem.hyperparameter_names.index("train_size")] = 0.7
    with pytest.raises(RangeError, match="time-series validation"):
        evaluate_candidates(problem, points)
