"""A search that begins where an earlier run ended: as good from its first batch, whatever the two runs share."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from mmm_core.errors import UserError
from mmm_core.types import PenaltyScale
from runner.dataset import panel_from_table
from runner.problem import build_problem
from runner.search.base import SearchJob, run_trial
from runner.search.engine import search_job
from runner.search.warm_start import read_start
from runner.spec import ExperimentSpec, decode
from tests.runner.small import change, small_spec, small_table

SHORT = {"trials": 2, "iterations": 35, "batch_size": 10, "seed": 99}


def spec_with(points=(), **changes) -> ExperimentSpec:
    tree = change(small_spec(), **{"search": SHORT, **changes})
    return decode(change(tree, search__start=[dict(point) for point in points]), "s.yaml")


def warm(run, **changes) -> SearchJob:
    points, _ = read_start(run.path, spec_with(**changes))
    return job_of(spec_with(points, **changes))


def job_of(spec: ExperimentSpec) -> SearchJob:
    return search_job(spec, build_problem(spec, panel_from_table(spec, small_table(), "t"))[0])


def test_the_first_candidates_are_the_earlier_winners_to_the_last_bit(small_run_original):
    job = warm(small_run_original)
    winners = small_run_original.models()
    for trial in (1, 2):
        first = next(iter(run_trial(job, trial)))
        for row, model in enumerate(winners):
            np.testing.assert_array_equal(first.hyperparameters[row], model.hyperparameters)
            np.testing.assert_array_equal(first.coefs[row], model.coefs)


def test_a_warm_search_is_never_behind_the_earlier_winners(small_run_original):
    summary = small_run_original.json("summary")
    found = next(iter(run_trial(warm(small_run_original), 1)))
    cold = next(iter(run_trial(job_of(spec_with()), 1)))
    for loss in ("nrmse", "decomp_rssd"):
        best = min(model[loss] for model in summary["selected"])
        assert found.loss(loss)[:10].min() <= best < cold.loss(loss)[:10].min()


def test_what_follows_repeats(small_run_original):
    job = warm(small_run_original)
    first, again = (next(iter(run_trial(job, 1))) for _ in range(2))
    assert first.hyperparameters.tobytes() == again.hyperparameters.tobytes()
    other = next(iter(run_trial(job, 2)))
    n = len(job.start)
    assert not np.isclose(first.hyperparameters[n:], other.hyperparameters[n:]).all(axis=1).any()


def test_a_search_shorter_than_its_start_asks_the_best_of_it(small_run_original):
    job = warm(small_run_original, search={**SHORT, "iterations": 2, "batch_size": 1})
    (block,) = run_trial(job, 1)
    assert len(job.start) > 2
    np.testing.assert_array_equal(block.hyperparameters[0], small_run_original.models()[0].hyperparameters)


def test_a_spec_without_a_start_searches_as_ever():
    job = job_of(spec_with())
    assert job.start.shape == (0, job.space.dimension)


def test_values_outside_the_new_ranges_go_to_their_ends_and_are_told(small_run_original):
    narrow = {"tv": {"theta": [0.39, 0.41], "alpha": 1.0}}
    points, findings = read_start(small_run_original.path, spec_with(hyperparameters=narrow))
    assert {point["tv_theta"] for point in points} <= {0.39, 0.41}
    assert "tv_alpha" not in points[0]  # fixed, so not searched
    assert [finding.case for finding in findings] == ["warm-start", "warm-start-outside", "warm-start-unused"]
    assert "moved to their ends: tv_theta." in findings[1].details
    job = warm(small_run_original, hyperparameters=narrow)
    first = next(iter(run_trial(job, 1))).hyperparameters[: len(points)]
    names = job.problem.hyperparameter_names
    assert set(first[:, names.index("tv_theta")]) <= {0.39, 0.41}
    assert (first[:, names.index("tv_alpha")] == 1.0).all()


def test_what_the_new_spec_does_not_know_is_left_out_and_what_is_new_stands_in_the_middle(small_run_original):
    changes = {"organic": [{"name": "letters", "column": "mails"}], "penalty_factors": True}
    points, findings = read_start(small_run_original.path, spec_with(**changes))
    assert findings[-1].case == "warm-start-unused"
    assert "mail_alpha, mail_gamma, mail_theta" in findings[-1].details
    job = job_of(spec_with(points, **changes))
    first = next(iter(run_trial(job, 1))).hyperparameters[0]
    values = dict(zip(job.problem.hyperparameter_names, first, strict=True))
    assert values["letters_theta"] == pytest.approx(0.4)
    assert values["price_penalty"] == pytest.approx(0.5)
    assert values["tv_theta"] == points[0]["tv_theta"]


def test_a_penalty_keeps_its_lambda_on_another_scale(small_run_original):
    log = {**SHORT, "penalty_scale": "log"}
    points, _ = read_start(small_run_original.path, spec_with(search=log))
    job = job_of(spec_with(points, search=log))
    first = next(iter(run_trial(job, 1)))
    winners = small_run_original.models()
    np.testing.assert_allclose(first.penalty[: len(winners)], [m.penalty for m in winners], rtol=1e-8)


@pytest.mark.parametrize("value", [0.0, 1e-6, 0.02, 0.5, 1.0])
def test_places_on_the_two_scales_are_one_to_one(value):
    log, linear = PenaltyScale.LOG, PenaltyScale.LINEAR
    assert log.of(log.of(value, linear), log) == log.of(value, linear)
    assert linear.of(log.of(value, linear), log) == pytest.approx(value, abs=1e-15, rel=1e-12)
    problem = job_of(spec_with()).problem
    other = job_of(spec_with(search={**SHORT, "penalty_scale": "log"})).problem
    expected = problem.penalty_of(np.array(value))
    assert other.penalty_of(np.array(log.of(value, linear))) == pytest.approx(expected, rel=1e-12)


def test_refuses_what_is_no_earlier_run(small_run_original, small_run, tmp_path):
    with pytest.raises(UserError, match="there is no such run folder"):
        read_start(tmp_path / "none", spec_with())
    other = spec_with(
        channels=[{"name": "tele", "spend": "tv_cost"}],
        organic=[],
        validation={"time_series": False},
        hyperparameters={"lambda_hp": 0.1},
    )
    with pytest.raises(UserError, match="channels are matched by their names"):
        read_start(small_run_original.path, other)
    shutil.rmtree(small_run.path / "models")
    with pytest.raises(UserError, match=r"models/\d_\d+\.json: the run has no such model"):
        read_start(small_run.path, spec_with())
