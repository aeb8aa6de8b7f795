"""``mmm allocate``: plans with the models of a run, kept beside the run's own."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmm_core.errors import UserError
from mmm_core.response import Horizon
from runner import allocate
from runner.commands.allocate import scenario_options
from runner.spec import ScenarioSpec
from tests.runner.command import files_below, mmm

NOTHING = dict(name=None, bounds=None, start=None, end=None, last=None, goal="max_response", carryover="plan")


def test_the_same_question_gives_the_plan_of_the_run(small_run):
    scenario = small_run.spec().scenarios[0].model_copy(update={"name": "again"})
    allocate(small_run.path, scenario=scenario)
    for name in (*small_run.selected(), "ensemble"):
        first = small_run.table(f"scenarios/same-budget/{name}").drop_columns(["scenario"])
        again = small_run.table(f"scenarios/again/{name}")
        assert again["scenario"].to_pylist() == ["again", "again"]
        assert again.drop_columns(["scenario"]).equals(first)


def test_doing_nothing_brings_the_decomposition(small_run):
    scenario = ScenarioSpec(name="nothing", bounds=(1.0, 1.0))
    plans = allocate(small_run.path, scenario=scenario).plans
    journal = {row["candidate"]: row for row in json_models(small_run)}
    for candidate, plan in plans.models.items():
        expected = [
            channel["contribution"] for channel in journal[candidate]["channels"] if channel["kind"] == "paid"
        ]
        np.testing.assert_allclose(plan.initial.response, expected, rtol=1e-12)
        np.testing.assert_allclose(plan.optimised.response, expected, rtol=1e-12)


def json_models(run):
    return [run.json(f"models/{candidate}") for candidate in run.selected()]


def test_only_the_models_asked_for(small_run):
    best, other = small_run.selected()[:2]
    plans = allocate(small_run.path, scenario=ScenarioSpec(name="one"), candidates=[best]).plans
    assert list(plans.models) == [best]
    np.testing.assert_array_equal(plans.ensemble.optimised.spend, plans.models[best].optimised.spend)
    assert not (small_run.path / "scenarios" / "one" / f"{other}.parquet").exists()
    with pytest.raises(UserError, match="'9_9' is not a selected model; there are"):
        allocate(small_run.path, scenario=ScenarioSpec(name="one"), candidates=["9_9"])


def test_a_spec_file_means_its_newest_run(small_run, capsys):
    spec, runs = small_run.path.parents[1] / "spec.yaml", small_run.path.parent
    done = mmm(capsys, "allocate", spec, "--runs", runs, "--bounds", "0.5,2", "--bounds", "tv=0.9,1.1")
    assert done.status == 0
    assert done.err == ""
    assert "Plan max-response-plan, mean of the models, 2022-02-07 to 2023-12-25: response" in done.out
    assert f"plans: {small_run.path / 'scenarios' / 'max-response-plan'}" in done.out
    for candidate in small_run.selected():
        assert f"  model {candidate}: response " in done.out
    rows = small_run.table("scenarios/max-response-plan/ensemble").to_pylist()
    change = {row["channel"]: row["optimised_spend"] / row["initial_spend"] for row in rows}
    assert 0.9 - 1e-9 <= change["tv"] <= 1.1 + 1e-9
    assert 0.5 - 1e-9 <= change["web"] <= 2 + 1e-9


def test_json_has_every_plan(small_run, capsys):
    words = [
        "--goal",
        "max_response",
        "--budget",
        100_000,
        "--at-most",
        "--last",
        20,
        "--name",
        "short",
        "--json",
    ]
    printed = json.loads(mmm(capsys, "allocate", small_run.path, *words).out)
    assert printed["scenario"]["constraint"] == "at_most"
    assert printed["scenario"]["horizon"] == {"start": None, "end": None, "last": 20}
    assert list(printed["plans"]) == [*small_run.selected(), "ensemble"]
    ensemble = printed["plans"]["ensemble"]
    assert ensemble["periods"] == 20
    assert sum(ensemble["channels"]["optimised_spend"]) == pytest.approx(ensemble["optimised_spend"])


def test_without_a_solution_the_reason_is_told_once(small_run, capsys):
    done = mmm(capsys, "allocate", small_run.path, "--goal", "target_efficiency", "--target", 1000)
    assert done.status == 0
    heading = next(line for line in done.out.splitlines() if line.startswith("Plan target-efficiency-plan"))
    assert heading.count("infeasible") == 1
    assert "the best attainable is" in heading
    table = small_run.table("scenarios/target-efficiency-plan/ensemble").to_pylist()
    assert {row["status"] for row in table} == {"infeasible"}
    assert all(row["optimised_spend"] is None or np.isnan(row["optimised_spend"]) for row in table)


def test_a_target_outcome_counts_what_comes_without_paid_channels(small_run, capsys):
    rows = small_run.table("contributions").to_pylist()
    best = small_run.selected()[0]
    whole = dict.fromkeys(small_run.selected(), 0.0)
    for row in rows:
        whole[row["candidate"]] += row["contribution"]
    target = 1.01 * whole[best]
    words = ["--goal", "target_outcome", "--target", target, "--name", "out", "--candidate", best, "--json"]
    plan = json.loads(mmm(capsys, "allocate", small_run.path, *words).out)["plans"][best]
    gained = plan["optimised_response"] - plan["initial_response"]
    assert plan["status"] == "solved"
    assert gained == pytest.approx(0.01 * whole[best], rel=1e-6)
    words = ["--goal", "target_outcome", "--target", 10 * target, "--name", "far", "--candidate", best]
    told = mmm(capsys, "allocate", small_run.path, *words).out
    assert "is out of reach within the bounds; the largest is" in told
    far = json.loads(mmm(capsys, "allocate", small_run.path, *words[:4], "--name", "x", "--json").out)
    assert far["plans"]["ensemble"]["best_outcome"] < 10 * target


def test_a_marginal_target_is_met_by_the_last_unit(small_run, capsys):
    words = ["--goal", "target_efficiency", "--target", "0.04", "--marginal", "--bounds", "0,5", "--json"]
    ensemble = json.loads(mmm(capsys, "allocate", small_run.path, *words).out)["plans"]["ensemble"]
    channels = ensemble["channels"]
    inside = [
        marginal
        for marginal, x, upper in zip(
            channels["optimised_marginal"], channels["optimised_spend"], channels["upper_spend"], strict=True
        )
        if 0 < x < upper * 0.999
    ]
    assert ensemble["status"] == "solved"
    assert inside == pytest.approx([0.04] * len(inside))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["--goal", "most"],
            "allocate: goal: expected max_response, target_efficiency or target_outcome, got most",
        ),
        (["--goal", "target_efficiency"], "allocate: goal target_efficiency needs target"),
        (["--goal", "target_outcome"], "allocate: goal target_outcome needs target"),
        (["--marginal"], "allocate: measure marginal belongs to goal target_efficiency"),
        (
            ["--budget", "5", "--budget-per-period", "5"],
            "give either total_budget or budget_per_period, not both",
        ),
        (["--budget", "1e9"], "a budget of 1,000,000,000 cannot be spent within the bounds, which hold"),
        (["--bounds", "0.7"], "--bounds 0.7: expected low,high or channel=low,high, such as 0.7,1.5"),
        (["--bounds", "2,1"], "allocate: bounds.default: lower bound 2 is above upper bound 1; swap them"),
        (["--bounds", "tvv=1,2"], "bounds name tvv, not among the paid channels tv, web"),
        (
            ["--start", "2022-13-01"],
            "allocate: horizon.start: expected a date like 2024-01-29, got '2022-13-01'",
        ),
        (
            ["--start", "2023-01-02", "--end", "2022-01-03"],
            "allocate: horizon: start 2023-01-02 is after end",
        ),
        (["--start", "2030-01-01", "--end", "2030-02-01"], "is not inside the data"),
        (["--last", "500"], "500 periods, but the window has 99"),
        (["--name", "../x"], "allocate: name: '../x' becomes a file name"),
        (
            ["--name", "same-budget"],
            "--name same-budget: the run has a scenario of this name; choose another one",
        ),
        (["--candidate", "1_999"], "'1_999' is not a selected model; there are"),
        (["--flighting", "x"], "allocate: flighting: expected historical or constant, got x"),
    ],
)
def test_questions_that_cannot_be_asked(small_run, capsys, words, expected):
    before = files_below(small_run.path)
    assert expected in mmm(capsys, "allocate", small_run.path, *words).refusal
    assert files_below(small_run.path) == before


def test_a_run_that_stopped_early_has_no_models_to_plan_with(small_run, capsys):
    (small_run.path / "clusters.parquet").unlink()
    refusal = mmm(capsys, "allocate", small_run.path).refusal
    assert "the run has no clusters.parquet; its stage did not finish, run it again" in refusal


def test_flags_become_a_scenario():
    scenario = scenario_options(**NOTHING)
    assert (scenario.name, scenario.bounds, scenario.horizon.last) == ("max-response-plan", None, None)
    assert scenario_options(**{**NOTHING, "carryover": "historical"}).name == "max-response-historical"
    own = scenario_options(**{**NOTHING, "bounds": ["tv=0.5,1"]})
    assert own.bounds == {"default": (0.7, 1.5), "tv": (0.5, 1.0)}
    odd = scenario_options(**{**NOTHING, "bounds": ["a=b=0.5,1"]})
    assert odd.bounds["a=b"] == (0.5, 1.0)


def test_the_historical_convention_is_stated_with_the_plan(small_run):
    scenario = ScenarioSpec(name="robyn", carryover="historical", flighting="constant")
    plans = allocate(small_run.path, scenario=scenario).plans
    assert plans.ensemble.horizon == Horizon(5, 104)
    table = small_run.table("scenarios/robyn/ensemble").to_pylist()
    assert {(row["carryover"], row["flighting"]) for row in table} == {("historical", "constant")}
