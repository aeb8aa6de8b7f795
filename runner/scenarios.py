"""Questions of the spec to the allocator: checked against the data before the search, answered after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from mmm_core.allocator import (
    Bounds,
    BudgetRule,
    MaxResponse,
    Plan,
    Scenario,
    TargetEfficiency,
    TargetOutcome,
    allocate,
    budget_limits,
)
from mmm_core.errors import UserError
from mmm_core.response import Carryover, Flighting, Horizon, historical_spends, outcome_without_paid
from mmm_core.types import FittedModel, ModelProblem
from runner.dataset import MediaPanel
from runner.problem import assemble_problem, modelled_media
from runner.seeds import Branch, as_integer, seed_at
from runner.spec import ExperimentSpec, HorizonSpec, ScenarioSpec

# Budgets within this part of a limit are taken to meet it: sums of decimals are not exact.
TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class ScenarioPlans:
    """One scenario answered: by every model for itself, and by their mean."""

    scenario: ScenarioSpec
    models: dict[str, Plan]
    ensemble: Plan


def horizon_of(scenario: str, horizon: HorizonSpec, problem: ModelProblem) -> Horizon:
    """Rows of the data that a plan is for; default the modelling window.

    Raises:
        UserError: the horizon holds no period of the data, or reaches outside.
    """
    where = f"scenarios.{scenario}.horizon"
    if horizon.last is not None:
        if horizon.last > problem.n_window:
            raise UserError(f"{where}.last: {horizon.last} periods, but the window has {problem.n_window}")
        return Horizon.last(problem, horizon.last)
    first, last = problem.dates[0], problem.dates[-1]
    end_of_data = last + (last - problem.dates[-2])
    start = _day(horizon.start, problem.dates[problem.start])
    end = _day(horizon.end, problem.dates[problem.stop - 1])
    if not first <= start <= end < end_of_data:
        raise UserError(
            f"{where}: {start} to {end} is not inside the data ({first} to {last}); move it inside"
        )
    return Horizon.between(problem, str(start), str(end))


def _day(asked: date | None, default: np.datetime64) -> np.datetime64:
    return default if asked is None else np.datetime64(asked, "D")


def bounds_of(spec: ExperimentSpec, scenario: ScenarioSpec) -> Bounds:
    """The allocator's bounds of a scenario.

    Raises:
        UserError: bounds by channel leave one out and name no default.
    """
    bounds = scenario.resolved_bounds
    if isinstance(bounds, tuple):
        return Bounds(default=bounds)
    missing = [channel.name for channel in spec.channels if channel.name not in bounds]
    if missing and "default" not in bounds:
        raise UserError(
            f"scenarios.{scenario.name}.bounds: the channel {missing[0]!r} has none; add it, or default: [low, high]"
        )
    own = {channel: pair for channel, pair in bounds.items() if channel != "default"}
    return Bounds(default=bounds.get("default"), channels=own)


def goal_of(scenario: ScenarioSpec, rest: float = 0.0) -> Scenario:
    """The allocator's word for a scenario's goal; ``rest`` is what of the outcome does not come from paid channels."""
    if scenario.goal != "max_response":
        assert scenario.target is not None  # the spec saw to it
        if scenario.goal == "target_outcome":
            return TargetOutcome(scenario.target, rest)
        return TargetEfficiency(scenario.target, marginal=scenario.measure == "marginal")
    return MaxResponse(scenario.total_budget, scenario.budget_per_period, BudgetRule(scenario.constraint))


def check_scenarios(spec: ExperimentSpec, panel: MediaPanel) -> None:
    """Refuse, before anything is computed, a scenario that no plan can meet.

    Raises:
        UserError: horizon outside the data, a channel without bounds, or bounds that cannot hold the budget.
    """
    problem = assemble_problem(spec, panel, modelled_media(spec, panel)[0])
    for scenario in spec.scenarios:
        check_scenario(spec, scenario, problem)


def check_scenario(spec: ExperimentSpec, scenario: ScenarioSpec, problem: ModelProblem) -> None:
    """As ``check_scenarios``, for one; the problem needs its media only."""
    horizon = horizon_of(scenario.name, scenario.horizon, problem)
    bounds = bounds_of(spec, scenario)
    if scenario.goal != "max_response":
        return
    least, most = budget_limits(
        problem, scenario.goal, horizon=horizon, bounds=bounds, carryover=Carryover(scenario.carryover)
    )
    budget = scenario.total_budget
    if scenario.budget_per_period is not None:
        budget = scenario.budget_per_period * horizon.n_periods
    if budget is None:
        budget = float(historical_spends(problem, horizon, Carryover(scenario.carryover))[0].sum())
    too_much = budget > most * (1 + TOLERANCE) and scenario.constraint == "equal"
    if budget < least * (1 - TOLERANCE) or too_much:
        nearest = most if too_much else least
        raise UserError(
            f"scenarios.{scenario.name}: a budget of {budget:,.0f} cannot be spent within the bounds, which hold "
            f"{least:,.0f} to {most:,.0f}; the nearest feasible budget is {nearest:,.0f}, or widen the bounds"
        )


def solve_scenario(
    spec: ExperimentSpec, scenario: ScenarioSpec, problem: ModelProblem, models: Sequence[FittedModel]
) -> ScenarioPlans:
    """Plans of one scenario, for every model and for the mean response of all.

    A target outcome is that of the whole horizon: what a model decomposes as baseline, context and organic media comes
    anyway, the paid channels bring the rest; for the ensemble it is the mean of both.

    Args:
        spec: for the seed. scenario: one of its own or one made up later.
        problem: the data. models: the selected ones.
    """
    horizon = horizon_of(scenario.name, scenario.horizon, problem)

    rests = {model.candidate: outcome_without_paid(problem, model, horizon) for model in models}

    def plan(members: Sequence[FittedModel]) -> Plan:
        return allocate(
            problem,
            members,
            goal_of(scenario, sum(rests[model.candidate] for model in members) / len(members)),
            horizon=horizon,
            bounds=bounds_of(spec, scenario),
            carryover=Carryover(scenario.carryover),
            flighting=Flighting(scenario.flighting),
            seed=as_integer(seed_at(spec.search.seed, Branch.PLANS)),
        )

    return ScenarioPlans(scenario, {model.candidate: plan([model]) for model in models}, plan(models))
