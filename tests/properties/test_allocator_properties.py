"""What holds for every plan, whatever the data, the model, the bounds and the budget."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmm_core.allocator import (
    MaxResponse,
    PlanStatus,
    TargetEfficiency,
    TargetOutcome,
    allocate,
    plan_response,
)
from mmm_core.response import Carryover, Flighting, Horizon
from mmm_core.types import Adstock, FittedModel
from tests.reference.problems import random_hyperparameters, random_problem

ROUNDING = 1e-9


@st.composite
def worlds(draw):
    """(problem, model) with awkward ones among them: flat or S-shaped curves, channels without effect."""
    seed = draw(st.integers(0, 200))
    problem = random_problem(
        seed, n_periods=40, adstock=draw(st.sampled_from(list(Adstock))), time_series_validation=False
    )
    hyperparameters = random_hyperparameters(problem, seed)[0]
    for i, name in enumerate(problem.hyperparameter_names):
        if name.endswith("_alpha"):
            hyperparameters[i] = draw(st.sampled_from([0.1, 0.5, 1.0, 2.0, 6.0]))
    coefs = np.random.default_rng(seed).uniform(1, 1e6, len(problem.columns))
    coefs[problem.first_media + draw(st.integers(0, 2))] *= draw(st.sampled_from([0.0, 1e-6, 1.0]))
    return problem, FittedModel("1_1", hyperparameters, 1.0, 0.0, coefs)


@st.composite
def questions(draw):
    """Keywords of allocate."""
    low = draw(st.sampled_from([0.0, 0.3, 1.0]))
    start = draw(st.integers(5, 39))
    return {
        "bounds": (low, low + draw(st.sampled_from([0.0, 0.5, 4.0]))),
        "horizon": Horizon(start, draw(st.integers(start + 1, 40))),
        "carryover": draw(st.sampled_from(list(Carryover))),
        "flighting": draw(st.sampled_from(list(Flighting))),
    }


def within_bounds(plan):
    slack = ROUNDING * plan.upper
    x = plan.optimised.spend
    return ((plan.lower - slack <= x) & (x <= plan.upper + slack)).all()


@given(worlds(), questions(), st.floats(0, 6))
def test_budget_is_spent_within_the_bounds_or_said_to_be_infeasible(world, question, part):
    problem, model = world
    budget = part * float(problem.spend[:, question["horizon"].rows].sum())
    plan = allocate(problem, model, MaxResponse(budget), **question)
    low, high = plan.lower.sum(), plan.upper.sum()
    outside = budget < low * (1 - ROUNDING) or budget > high * (1 + ROUNDING)
    assert (plan.status is PlanStatus.INFEASIBLE) == outside
    if outside:
        assert np.isnan(plan.optimised.spend).all()
        assert plan.nearest_budget == (low if budget < low else high)
    else:
        assert within_bounds(plan)
        np.testing.assert_allclose(plan.optimised.total_spend, budget, rtol=ROUNDING, atol=ROUNDING * high)


@given(worlds(), questions())
def test_no_worse_than_history_where_that_is_allowed(world, question):
    problem, model = world
    plan = allocate(problem, model, MaxResponse(), **question)
    allowed = (plan.lower <= plan.initial.spend) & (plan.initial.spend <= plan.upper)
    if allowed.all():
        assert plan.optimised.total_response >= plan.initial.total_response * (1 - ROUNDING)


@given(worlds(), questions(), st.floats(0.05, 3))
def test_target_is_met_within_the_bounds_or_said_to_be_out_of_reach(world, question, part):
    problem, model = world
    zero = plan_response(problem, model, problem.total_spend).total_efficiency
    if not zero > 0:
        return
    plan = allocate(problem, model, TargetEfficiency(part * zero), **question)
    if plan.status is PlanStatus.INFEASIBLE:
        assert np.isnan(plan.optimised.spend).all()
        assert plan.best_efficiency is None or plan.best_efficiency < part * zero
    else:
        assert within_bounds(plan)
        earned, asked = plan.optimised.total_response, part * zero * plan.optimised.total_spend
        assert earned >= asked * (1 - ROUNDING)


@given(worlds(), questions(), st.floats(0.05, 3))
def test_the_last_unit_earns_a_marginal_target(world, question, part):
    problem, model = world
    zero = plan_response(problem, model, problem.total_spend).total_efficiency
    if not zero > 0:
        return
    rate = part * zero
    plan = allocate(problem, model, TargetEfficiency(rate, marginal=True), **question)
    if plan.status is PlanStatus.INFEASIBLE:
        assert plan.best_efficiency is None or plan.best_efficiency < rate
        return
    assert within_bounds(plan)
    room = 1e-6 * (plan.upper - plan.lower)
    x, slopes = plan.optimised.spend, plan.optimised.marginal
    scale = slopes[np.isfinite(slopes)].max(initial=rate)
    assert (slopes[x > plan.lower + room] >= rate - 1e-4 * scale).all()
    assert (slopes[(x < plan.upper - room) & (x > plan.lower + room)] <= rate + 1e-4 * scale).all()


@given(worlds(), questions(), st.floats(0.01, 1.5))
def test_an_outcome_is_reached_within_the_bounds_or_said_to_be_out_of_reach(world, question, part):
    problem, model = world
    target = part * plan_response(problem, model, problem.total_spend).total_response
    if not target > 0:
        return
    plan = allocate(problem, model, TargetOutcome(target), **question)
    if plan.status is PlanStatus.INFEASIBLE:
        assert plan.best_outcome < target
        return
    assert within_bounds(plan)
    assert plan.optimised.total_response >= target * (1 - ROUNDING)
    # Nothing above the lower bounds is spent without need.
    if not np.allclose(plan.optimised.spend, plan.lower):
        assert plan.optimised.total_response <= target * (1 + ROUNDING)


@given(worlds(), questions(), st.sampled_from([1e-3, 1e3]))
def test_the_unit_of_the_outcome_does_not_matter(world, question, unit):
    problem, model = world
    rescaled = replace(model, coefs=model.coefs * unit)
    plan = allocate(problem, model, MaxResponse(), **question)
    other = allocate(problem, rescaled, MaxResponse(), **question)
    assert plan.status == other.status
    np.testing.assert_allclose(other.optimised.response, plan.optimised.response * unit, rtol=1e-5, atol=1e-6)


@given(worlds(), questions())
def test_more_room_is_never_worse(world, question):
    problem, model = world
    low, high = question["bounds"]
    plan = allocate(problem, model, MaxResponse(), **question)
    wider = allocate(problem, model, MaxResponse(), **{**question, "bounds": (low / 2, high * 2)})
    if plan.status is not PlanStatus.INFEASIBLE:
        assert wider.optimised.total_response >= plan.optimised.total_response * (1 - ROUNDING)
