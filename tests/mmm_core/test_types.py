"""The frozen bundles: what is checked, what cannot be changed, and that a problem survives travel bit for bit."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import pytest

from mmm_core.errors import LabelError, RangeError, ShapeError
from mmm_core.evaluate import evaluate_candidates
from mmm_core.types import (
    FIT_STATUSES,
    LOSS_COLUMNS,
    Adstock,
    CandidateBatch,
    FitStatus,
    InterceptRule,
    OutcomeKind,
    Role,
    read_only,
)
from tests.reference import candidate as slow
from tests.reference.problems import random_hyperparameters, random_problem

PROBLEM = random_problem(1)
ARRAYS = ("dates", "outcome", "design", "spend", "lower", "upper")


def changed(**fields):
    return dataclasses.replace(PROBLEM, **fields)


def test_names_and_positions_of_the_columns():
    problem = random_problem(1, n_paid=2, n_organic=1, n_context=1)
    assert problem.columns == ("trend", "season", "context_0", "paid_0", "paid_1", "organic_0")
    assert problem.first_media == 3
    assert problem.media == ("paid_0", "paid_1", "organic_0")
    assert problem.paid == ("paid_0", "paid_1")
    assert problem.trend_column == 0
    assert (problem.n_periods, problem.n_window, problem.window) == (60, 55, slice(5, 60))


def test_a_context_column_called_trend_is_not_the_trend():
    roles = (Role.BASELINE, Role.CONTEXT, *PROBLEM.roles[2:])
    assert changed(columns=("level", "trend", *PROBLEM.columns[2:]), roles=roles).trend_column == -1


def test_hyperparameters_come_in_the_order_of_the_search_vector():
    problem = random_problem(1, n_paid=1, n_organic=1, n_context=0, penalty_factors=True)
    assert problem.hyperparameter_names == (
        "organic_0_alpha", "organic_0_gamma", "organic_0_theta", "paid_0_alpha", "paid_0_gamma", "paid_0_theta",
        "train_size", "lambda_hp", "trend_penalty", "season_penalty", "paid_0_penalty", "organic_0_penalty",
    )  # fmt: skip
    weibull = random_problem(1, n_paid=1, n_organic=0, adstock=Adstock.WEIBULL_PDF)
    assert weibull.hyperparameter_names == (
        "paid_0_alpha", "paid_0_gamma", "paid_0_scale", "paid_0_shape", "train_size", "lambda_hp",
    )  # fmt: skip


def test_spend_shares_are_those_of_the_window():
    share = PROBLEM.spend_share
    assert share.sum() == pytest.approx(1)
    np.testing.assert_allclose(
        share, PROBLEM.spend[:, 5:].sum(axis=1) / PROBLEM.spend[:, 5:].sum(), rtol=1e-15
    )


def test_lambda_range_agrees_with_the_slow_twin():
    expected = slow.lambda_range(PROBLEM.design.tolist(), PROBLEM.outcome.tolist())
    np.testing.assert_allclose(PROBLEM.lambda_range, expected, rtol=1e-12)


def test_lambda_range_passes_over_a_constant_column():
    design = PROBLEM.design.copy()
    design[1] = 0.1  # its mean is not exactly 0.1, so rounding alone would give it a deviation
    expected = slow.lambda_range(np.delete(design, 1, axis=0).tolist(), PROBLEM.outcome.tolist())
    np.testing.assert_allclose(changed(design=design).lambda_range, expected, rtol=1e-12)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_penalty_and_its_place_in_the_range_are_one_to_one(scale):
    problem = changed(penalty_scale=scale)
    low, high = problem.lambda_range
    places = np.linspace(0, 1, 11)
    np.testing.assert_allclose(problem.penalty_of(np.array([0.0, 1.0])), [low, high], rtol=1e-12)
    np.testing.assert_allclose(problem.lambda_hp_of(problem.penalty_of(places)), places, atol=1e-12)
    np.testing.assert_array_equal(problem.lambda_hp_of(np.array([0.0, low / 2, 2 * high])), [0, 0, 1])


def test_a_log_scale_has_its_middle_where_the_factors_are_equal():
    low, high = PROBLEM.lambda_range
    log = changed(penalty_scale="log")
    assert log.penalty_of(np.array(0.5)) == pytest.approx(np.sqrt(low * high), rel=1e-12)
    assert log.penalty_of(np.array(0.3)) == pytest.approx(low**0.7 * high**0.3, rel=1e-12)
    assert PROBLEM.penalty_of(np.array(0.5)) == pytest.approx((low + high) / 2, rel=1e-12)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_without_any_correlation_every_penalty_is_0(scale):
    flat = changed(outcome=np.zeros(60), penalty_scale=scale)
    assert flat.lambda_range == (0.0, 0.0)
    np.testing.assert_array_equal(flat.penalty_of(np.array([0.0, 0.5, 1.0])), 0.0)
    np.testing.assert_array_equal(flat.lambda_hp_of(np.array([0.0, 7.0])), 0.0)


@pytest.mark.parametrize("name", [*ARRAYS, "total_spend", "spend_share"])
def test_arrays_cannot_be_written(name):
    array = getattr(PROBLEM, name)
    with pytest.raises(ValueError, match="read-only"):
        array[...] = array


def test_fields_cannot_be_set():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PROBLEM.start = 3


def test_keeps_a_copy_of_what_it_is_given():
    outcome = PROBLEM.outcome.copy()
    problem = changed(outcome=outcome)
    outcome[:] = 0
    np.testing.assert_array_equal(problem.outcome, PROBLEM.outcome)


def test_read_only_copies_in_row_order():
    table = np.asfortranarray(np.arange(6).reshape(2, 3))
    copy = read_only(table)
    assert copy.flags.c_contiguous
    assert not copy.flags.writeable
    assert copy.dtype == np.float64
    assert not np.shares_memory(copy, table)


# ------------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("name", ["dates", "design", "spend", "lower", "upper"])
def test_refuses_arrays_that_do_not_fit(name):
    with pytest.raises(ShapeError, match=name):
        changed(**{name: getattr(PROBLEM, name)[:-1]})


def test_refuses_the_wrong_number_of_roles():
    # One paid channel more than there are spends would be noticed by the spend; a missing context column is not.
    with pytest.raises(ShapeError, match="roles"):
        changed(roles=PROBLEM.roles[1:])


def test_refuses_a_column_named_twice():
    with pytest.raises(LabelError, match="duplicate") as caught:
        changed(columns=("trend", "trend", *PROBLEM.columns[2:]))
    assert str(caught.value) == "design columns have duplicate names"


def test_refuses_columns_in_another_order_of_roles():
    with pytest.raises(LabelError, match="order"):
        changed(roles=(Role.CONTEXT, Role.BASELINE, *PROBLEM.roles[2:]))


def test_refuses_a_problem_without_paid_channels():
    with pytest.raises(LabelError, match="paid"):
        changed(roles=[Role.ORGANIC if r is Role.PAID else r for r in PROBLEM.roles], spend=np.empty((0, 60)))


@pytest.mark.parametrize(("start", "stop"), [(-1, 20), (20, 20), (30, 20), (0, 61)])
def test_refuses_a_window_outside_the_data(start, stop):
    with pytest.raises(RangeError, match="window"):
        changed(start=start, stop=stop)


@pytest.mark.parametrize("name", ["outcome", "design", "spend"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_numbers_that_are_not_finite(name, bad):
    values = getattr(PROBLEM, name).copy()
    values.flat[7] = bad
    with pytest.raises(RangeError, match=name):
        changed(**{name: values})


def test_refuses_negative_exposures_but_not_negative_context():
    design = PROBLEM.design.copy()
    assert (design[2] < 0).any()
    design[3, 4] = -1
    with pytest.raises(RangeError, match="negative"):
        changed(design=design)


def test_refuses_words_it_does_not_know():
    with pytest.raises(ValueError, match="exponential"):
        changed(adstock="exponential")


# ------------------------------------------------------------------------------------------------------------- travel


def test_a_pickled_problem_is_the_same_problem():
    copy = pickle.loads(pickle.dumps(PROBLEM, protocol=5))
    assert copy.digest == PROBLEM.digest
    for name in ARRAYS:
        assert not getattr(copy, name).flags.writeable
        np.testing.assert_array_equal(getattr(copy, name), getattr(PROBLEM, name))


def test_a_pickled_problem_gives_bitwise_the_same_results():
    points = random_hyperparameters(PROBLEM, 2, 7)
    PROBLEM.lambda_range  # noqa: B018 - fills the cache: what is cached must not travel nor matter
    here = evaluate_candidates(PROBLEM, points)
    there = evaluate_candidates(pickle.loads(pickle.dumps(PROBLEM)), points)
    for field in dataclasses.fields(here):
        np.testing.assert_array_equal(getattr(here, field.name), getattr(there, field.name))


def test_arrays_out_of_an_object_store_are_taken_without_a_copy():
    buffers = []
    data = pickle.dumps(PROBLEM, protocol=5, buffer_callback=buffers.append)
    copy = pickle.loads(data, buffers=buffers)
    assert np.shares_memory(copy.design, PROBLEM.design)


def test_digest_is_that_of_another_process():
    code = "from tests.reference.problems import random_problem; print(random_problem(1).digest)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == PROBLEM.digest


def test_digest_changes_with_every_field():
    other_columns = ("trend", "seasonal", *PROBLEM.columns[2:])
    bumped = {name: getattr(PROBLEM, name).copy() for name in ARRAYS}
    bumped["dates"] += 1
    for name in ARRAYS[1:]:
        bumped[name].flat[0] += 1
    variants = [
        *({name: value} for name, value in bumped.items()),
        {"columns": other_columns},
        {"roles": (Role.BASELINE, Role.CONTEXT, *PROBLEM.roles[2:])},
        {"start": 6},
        {"stop": 59},
        {"adstock": Adstock.WEIBULL_CDF},
        {"intercept": InterceptRule.NONE},
        {"outcome_kind": OutcomeKind.CONVERSION},
        {"time_series_validation": False},
        {"penalty_factors": True},
        {"zero_penalty": False},
        {"solver": "exact"},
        {"penalty_scale": "log"},
    ]
    covered = {name for variant in variants for name in variant}
    # Lift studies and the model before a refresh are bundles of their own, tested where they are used.
    assert {f.name for f in dataclasses.fields(PROBLEM)} - covered <= {"studies", "reference"}
    digests = {changed(**variant).digest for variant in variants} | {PROBLEM.digest}
    assert len(digests) == len(variants) + 1


def test_digest_does_not_depend_on_the_type_of_the_numbers():
    spend = np.round(PROBLEM.spend)
    assert changed(spend=spend).digest == changed(spend=spend.astype(np.int64)).digest


# ------------------------------------------------------------------------------------------------------------- batches


def test_a_batch_can_be_cut_and_joined():
    batch = evaluate_candidates(PROBLEM, random_hyperparameters(PROBLEM, 3, 6))
    joined = CandidateBatch.concatenate([batch[:2], batch[2:2], batch[[2, 3]], batch[np.array([4, 5])]])
    assert len(joined) == 6
    for field in dataclasses.fields(batch):
        np.testing.assert_array_equal(getattr(joined, field.name), getattr(batch, field.name))


def test_losses_are_found_by_name():
    batch = evaluate_candidates(PROBLEM, random_hyperparameters(PROBLEM, 3, 2))
    np.testing.assert_array_equal(
        batch.loss("decomp_rssd"), batch.losses[:, LOSS_COLUMNS.index("decomp_rssd")]
    )


def test_words_of_the_enumerations():
    assert FIT_STATUSES == (FitStatus.OK, FitStatus.MAX_SWEEPS, FitStatus.ALL_MEDIA_ZERO)
    assert OutcomeKind.REVENUE.efficiency == "roas"
    assert OutcomeKind.CONVERSION.efficiency == "cpa"
    assert Adstock.GEOMETRIC.parameters == ("theta",)
    assert Adstock.WEIBULL_CDF.parameters == Adstock.WEIBULL_PDF.parameters == ("shape", "scale")
