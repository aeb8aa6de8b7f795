"""Budget plans of R Robyn 3.12.1 for model 1_624_1, in its convention of carryover.

Totals and responses per channel to 1e-6 relative, spends to 1e-4 of the budget (a spend moves far along a flat top
before the response shows it). Where Robyn sat in a worse local optimum ours may be better, never worse. Measured: 4e-14
on totals, 8e-7 on one channel's response, where Robyn stopped early. Provenance: ``golden_data``.
"""

from __future__ import annotations

import numpy as np
import pytest

from mmm_core.allocator import MaxResponse, PlanStatus, ResponseSurface, allocate, plan_response
from mmm_core.response import Carryover, Horizon, channel_responses
from tests.golden.golden_data import golden_model, golden_table, needs_golden

SCENARIOS = ["default", "demo1", "dates_budget", "last10", "ineq", "keepzero"]
# Suffixes of Robyn's columns: bounds as given, and stretched by its multiplier.
SOLVES = {"bounded": ("", ""), "unbounded": ("_unb", "Unbound")}
CLOSE = dict(rtol=1e-6, atol=0)

pytestmark = needs_golden


@pytest.fixture(name="model", scope="module")
def problem_and_model():
    return golden_model()


def robyn_plan(problem, scenario):
    table = golden_table(f"allocator/geo_main_1_624_1_max_{scenario}")
    return table.set_index("channels").loc[list(problem.paid)]


def asked(problem, robyn, suffix=""):
    """(budget per period, keywords of allocate) of a table of Robyn's."""
    bounds = {
        c: (robyn.loc[c, f"constr_low{suffix}"], robyn.loc[c, f"constr_up{suffix}"]) for c in problem.paid
    }
    horizon = Horizon.between(problem, robyn["date_min"].iloc[0], robyn["date_max"].iloc[0])
    keywords = {"horizon": horizon, "bounds": bounds, "carryover": Carryover.HISTORICAL}
    return float(robyn["total_budget_unit"].iloc[0]), keywords


@pytest.mark.parametrize("solve", SOLVES)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_plan(model, scenario, solve):
    problem, fitted = model
    bounds, suffix = SOLVES[solve]
    robyn = robyn_plan(problem, scenario)
    budget, keywords = asked(problem, robyn, bounds)
    rule = "at_most" if scenario == "ineq" else "equal"
    plan = allocate(problem, fitted, MaxResponse(budget_per_period=budget, rule=rule), **keywords)
    n = plan.horizon.n_periods
    assert plan.status is PlanStatus.SOLVED
    expected = robyn[f"optmResponseUnit{suffix}"].to_numpy()
    np.testing.assert_allclose(plan.optimised.total_response / n, expected.sum(), **CLOSE)
    np.testing.assert_allclose(plan.optimised.response / n, expected, **CLOSE)
    spends = robyn[f"optmSpendUnit{suffix}"].to_numpy()
    np.testing.assert_allclose(plan.optimised.spend / n, spends, rtol=0, atol=1e-4 * budget)
    assert plan.lift == pytest.approx(robyn[f"optmResponseUnitTotalLift{suffix}"].iloc[0], rel=1e-6)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_initial_plan_and_bounds(model, scenario):
    problem, fitted = model
    robyn = robyn_plan(problem, scenario)
    budget, keywords = asked(problem, robyn)
    plan = allocate(problem, fitted, MaxResponse(budget_per_period=budget), **keywords)
    n = plan.horizon.n_periods
    np.testing.assert_allclose(plan.initial.spend / n, robyn["initSpendUnit"], rtol=1e-12)
    np.testing.assert_allclose(plan.initial.response / n, robyn["initResponseUnit"], rtol=1e-12)
    np.testing.assert_allclose(plan.initial.efficiency, robyn["initRoiUnit"], rtol=1e-12)
    np.testing.assert_allclose(plan.lower / n, robyn["constr_low_abs"], rtol=1e-12)
    np.testing.assert_allclose(plan.upper / n, robyn["constr_up_abs"], rtol=1e-12)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_response_to_one_more(model, scenario):
    problem, fitted = model
    robyn = robyn_plan(problem, scenario)
    _, keywords = asked(problem, robyn)
    horizon = keywords["horizon"]
    n = horizon.n_periods
    surface = ResponseSurface.of(problem, fitted, horizon, Carryover.HISTORICAL)
    for spend, marginal in (
        ("initSpendUnit", "initResponseMargUnit"),
        ("optmSpendUnit", "optmResponseMargUnit"),
    ):
        x = robyn[spend].to_numpy()
        one_more = (surface.values((x + 1) * n) - surface.values(x * n)) / n
        np.testing.assert_allclose(one_more, robyn[marginal], rtol=1e-8)


@pytest.mark.parametrize("suffix", ["", "_unb"])
def test_a_budget_that_the_bounds_cannot_hold_is_no_solution(model, suffix):
    problem, fitted = model
    robyn = robyn_plan(problem, "demo2_last10_budget")
    budget, keywords = asked(problem, robyn, suffix)
    plan = allocate(problem, fitted, MaxResponse(budget_per_period=budget), **keywords)
    assert plan.status is PlanStatus.INFEASIBLE
    largest = 10 * robyn[f"constr_up{suffix}_abs"].sum()
    assert plan.nearest_budget == pytest.approx(largest, rel=1e-12)
    assert f"the nearest feasible budget is {largest:,.0f}" in plan.message
    assert np.isnan(plan.optimised.spend).all()


def test_carryover_points(model):
    # Robyn's points lie at spend plus carryover; without spend only the carryover is left.
    problem, fitted = model
    points = golden_table("allocator/geo_main_1_624_1_max_default_points")
    carried = points[points["type"] == "Carryover"].set_index("channel").loc[list(problem.paid)]
    for response, (_, point) in zip(
        channel_responses(problem, fitted, carryover=Carryover.HISTORICAL), carried.iterrows(), strict=True
    ):
        np.testing.assert_allclose(response.offset, point["spend_point"], rtol=1e-9)
        np.testing.assert_allclose(response.response(0.0) / 157, point["response_point"], rtol=1e-9)


def test_robyns_convention_promises_more_than_its_plan_brings(model):
    # By the same model, once the carryover is that of the planned spend: 46 % where Robyn reports 64 %.
    problem, fitted = model
    _, keywords = asked(problem, robyn_plan(problem, "default"))
    promised = allocate(problem, fitted, MaxResponse(), **keywords)
    keywords["carryover"] = Carryover.PLAN
    ours = allocate(problem, fitted, MaxResponse(), **keywords)
    brought = plan_response(problem, fitted, promised.optimised.spend)
    lift = brought.total_response / ours.initial.total_response - 1
    assert lift <= ours.lift * (1 + 1e-9)
    assert lift < promised.lift - 0.1
