"""Questions of the spec to the allocator: checked against the data first, answered by models and their mean."""

from __future__ import annotations

import numpy as np
import pytest

from mmm_core.allocator import BudgetRule, MaxResponse, TargetEfficiency, TargetOutcome
from mmm_core.errors import UserError
from runner.dataset import panel_from_table
from runner.problem import build_problem
from runner.scenarios import bounds_of, check_scenarios, goal_of, horizon_of, solve_scenario
from runner.spec import HorizonSpec, ScenarioSpec, decode
from tests.runner.small import change, small_spec, small_table


def world(*scenarios, table=None):
    spec = decode(change(small_spec(), scenarios=list(scenarios)), "s.yaml")
    panel = panel_from_table(spec, small_table() if table is None else table, "t")
    return spec, panel, build_problem(spec, panel)[0]


def refusal(scenario, table=None) -> str:
    spec, panel, _ = world({"name": "plan", **scenario}, table=table)
    with pytest.raises(UserError) as caught:
        check_scenarios(spec, panel)
    return str(caught.value)


def test_the_horizon_is_the_window_unless_told():
    _, _, problem = world()
    for asked, expected in [
        ({}, (5, 104)),
        ({"last": 10}, (94, 104)),
        ({"start": "2023-01-02"}, (52, 104)),
        ({"start": "2022-12-28", "end": "2023-01-20"}, (52, 55)),
        ({"start": "2022-01-03", "end": "2022-01-03"}, (0, 1)),
        ({"end": "2023-12-31"}, (5, 104)),
    ]:
        horizon = horizon_of("plan", HorizonSpec(**asked), problem)
        assert (horizon.start, horizon.stop) == expected


@pytest.mark.parametrize(
    ("horizon", "message"),
    [
        ({"last": 100}, "scenarios.plan.horizon.last: 100 periods, but the window has 99"),
        ({"start": "2021-12-31"}, "is not inside the data (2022-01-03 to 2023-12-25); move it inside"),
        ({"end": "2024-01-02"}, "is not inside the data"),
        ({"start": "2022-01-04", "end": "2022-01-05"}, "no period of the data"),
    ],
)
def test_horizons_outside_the_data(horizon, message):
    assert message in refusal({"horizon": horizon})


def test_bounds_by_channel_or_for_all():
    spec, *_ = world()
    assert bounds_of(spec, ScenarioSpec(name="a")).default == (0.7, 1.5)
    assert bounds_of(spec, ScenarioSpec(name="a", goal="target_efficiency", target=1)).default == (0.1, 3.0)
    mixed = bounds_of(spec, ScenarioSpec(name="a", bounds={"tv": (0, 1), "default": (0.5, 2)}))
    assert (mixed.default, dict(mixed.channels)) == ((0.5, 2.0), {"tv": (0.0, 1.0)})
    every = bounds_of(spec, ScenarioSpec(name="a", bounds={"tv": (0, 1), "web": (1, 1)}))
    assert every.default is None
    with pytest.raises(UserError, match="the channel 'web' has none; add it, or default"):
        bounds_of(spec, ScenarioSpec(name="a", bounds={"tv": (0, 1)}))


def test_goals_become_the_allocators():
    assert goal_of(ScenarioSpec(name="a", total_budget=5, constraint="at_most")) == MaxResponse(
        5.0, None, BudgetRule.AT_MOST
    )
    assert goal_of(ScenarioSpec(name="a", goal="target_efficiency", target=3)) == TargetEfficiency(3.0)
    marginal = ScenarioSpec(name="a", goal="target_efficiency", target=3, measure="marginal")
    assert goal_of(marginal) == TargetEfficiency(3.0, marginal=True)
    assert goal_of(ScenarioSpec(name="a", goal="target_outcome", target=3), rest=1.0) == TargetOutcome(
        3.0, 1.0
    )


TOTAL = small_table().loc[5:, ["tv_cost", "web_cost"]].to_numpy().sum()


@pytest.mark.parametrize(
    ("scenario", "nearest"),
    [
        ({"total_budget": 2 * TOTAL}, 1.5 * TOTAL),
        ({"total_budget": 0}, 0.7 * TOTAL),
        ({"budget_per_period": TOTAL / 99 * 0.6, "constraint": "at_most"}, 0.7 * TOTAL),
        ({"bounds": [0, 0.5]}, 0.5 * TOTAL),
        ({"bounds": [1.1, 2]}, 1.1 * TOTAL),
    ],
)
def test_budgets_that_the_bounds_cannot_hold(scenario, nearest):
    message = refusal(scenario)
    assert message.startswith("scenarios.plan: a budget of ")
    assert f"the nearest feasible budget is {nearest:,.0f}, or widen the bounds" in message


@pytest.mark.parametrize(
    "scenario",
    [
        {"total_budget": 1.5 * TOTAL},
        {"total_budget": 0.7 * TOTAL},
        {"total_budget": 9 * TOTAL, "constraint": "at_most"},
        {"bounds": [1, 1]},
        {"goal": "target_efficiency", "target": 1e9},
    ],
)
def test_budgets_on_the_border_and_targets_are_left_to_the_allocator(scenario):
    spec, panel, _ = world({"name": "plan", **scenario})
    check_scenarios(spec, panel)


def test_a_channel_that_is_silent_in_the_horizon_is_bounded_by_its_window_mean():
    table = small_table()
    table.loc[96:, "tv_cost"] = 0
    assert "a budget of" in refusal({"horizon": {"last": 8}, "bounds": [0.9, 1.1]}, table)
    spec, panel, _ = world({"name": "p", "horizon": {"last": 8}, "bounds": [0, 1.1]}, table=table)
    check_scenarios(spec, panel)


def test_plans_are_of_every_model_and_of_their_mean(small_run):
    spec = small_run.spec()
    problem = small_run.problem(spec, small_run.panel(spec))
    models = small_run.models()
    plans = solve_scenario(spec, ScenarioSpec(name="plan", total_budget=100_000), problem, models)
    assert list(plans.models) == [model.candidate for model in models]
    for plan in (*plans.models.values(), plans.ensemble):
        assert plan.status == "solved"
        assert plan.optimised.spend.sum() == pytest.approx(100_000)
    mean = np.mean([plan.initial.response for plan in plans.models.values()], axis=0)
    np.testing.assert_allclose(plans.ensemble.initial.response, mean, rtol=1e-12)
