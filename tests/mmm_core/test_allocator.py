from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmm_core import separable
from mmm_core.allocator import (
    Bounds,
    BudgetRule,
    MaxResponse,
    PlanStatus,
    ResponseSurface,
    TargetEfficiency,
    TargetOutcome,
    allocate,
    budget_limits,
    plan_response,
)
from mmm_core.decomposition import decompose
from mmm_core.errors import ShapeError, UserError
from mmm_core.response import Carryover, Flighting, Horizon, channel_responses
from mmm_core.types import Adstock, FittedModel, ModelProblem
from tests.reference import allocation as slow
from tests.reference.problems import random_hyperparameters, random_problem

PART = Horizon(20, 41)


def model_of(problem, seed=0, zero=()):
    coefs = np.random.default_rng(seed).uniform(1e4, 1e6, len(problem.columns))
    coefs[[problem.columns.index(channel) for channel in zero]] = 0
    return FittedModel(f"1_{seed + 1}", random_hyperparameters(problem, seed)[0], 1.0, 0.0, coefs)


@pytest.fixture
def problem():
    return random_problem(3, time_series_validation=False)


@pytest.fixture
def model(problem):
    return model_of(problem)


def constant_problem(halves, coefs, spends, n=8, kind="revenue"):
    """Channels without carryover, with alpha = 1 and constant spends: response = n * coef * s / (s + half)."""
    p = len(halves)
    spend = np.repeat(np.array(spends, dtype=float)[:, np.newaxis], n, axis=1)
    spend[:, 0] = np.array(halves) / 0.5  # the largest exposure of the window, for gamma = 0.5
    problem = ModelProblem(
        dates=np.datetime64("2024-01-01") + 7 * np.arange(n),
        outcome=np.arange(n) + 1.0,
        columns=[f"ch{i}" for i in range(p)],
        roles=["paid"] * p,
        design=spend,
        spend=spend,
        lower=np.zeros(p),
        upper=np.full(p, np.inf),
        start=0,
        stop=n,
        outcome_kind=kind,
    )
    values = {"alpha": 1.0, "gamma": 0.5, "theta": 0.0, "train_size": 1.0, "lambda_hp": 0.0}
    hyperparameters = [
        values[name.split("_", 1)[-1] if "ch" in name else name] for name in problem.hyperparameter_names
    ]
    return problem, FittedModel("1_1", np.array(hyperparameters), 1.0, 0.0, np.array(coefs, dtype=float))


# Rows 1.. of a constant problem, where spends are constant.
FLAT = Horizon(1, 8)


class TestPlantedOptimum:
    def test_two_channels_in_closed_form(self):
        # The marginals coef * half / (s + half)^2 are equal where s + half is in proportion to sqrt(coef * half).
        halves, coefs = np.array([40.0, 90.0]), np.array([300.0, 200.0])
        problem, model = constant_problem(halves, coefs, [20.0, 40.0])
        plan = allocate(problem, model, MaxResponse(), horizon=FLAT, bounds=(0, 5))
        root = np.sqrt(coefs * halves)
        per_period = root / root.sum() * (60 + halves.sum()) - halves
        np.testing.assert_allclose(plan.optimised.spend, 7 * per_period, rtol=1e-6)
        expected = 7 * coefs * per_period / (per_period + halves)
        np.testing.assert_allclose(plan.optimised.response, expected, rtol=1e-6)
        assert plan.status is PlanStatus.SOLVED
        assert plan.total_budget == pytest.approx(7 * 60)

    def test_target_roas_in_closed_form(self):
        # coef / (s + half) = target
        problem, model = constant_problem([40.0], [300.0], [20.0])
        plan = allocate(problem, model, TargetEfficiency(3.0), horizon=FLAT)
        np.testing.assert_allclose(plan.optimised.spend, [7 * (300 / 3 - 40)], rtol=1e-8)
        assert plan.optimised.total_efficiency == pytest.approx(3.0)

    def test_target_cpa_in_closed_form(self):
        problem, model = constant_problem([40.0], [300.0], [20.0], kind="conversion")
        plan = allocate(problem, model, TargetEfficiency(1 / 3), horizon=FLAT)
        np.testing.assert_allclose(plan.optimised.spend, [7 * (300 / 3 - 40)], rtol=1e-8)
        assert plan.optimised.total_efficiency == pytest.approx(1 / 3)
        assert "CPA of 0.3333 (at most 0.3333 asked)" in plan.message

    def test_two_equal_s_curves_are_not_fed_alike(self):
        problem, model = constant_problem([40.0, 40.0], [300.0, 300.0], [15.0, 15.0])
        alphas = [i for i, name in enumerate(problem.hyperparameter_names) if name.endswith("alpha")]
        model.hyperparameters[alphas] = 4.0
        plan = allocate(problem, model, MaxResponse(), horizon=FLAT, bounds=(0, 2))
        np.testing.assert_allclose(sorted(plan.optimised.spend), [0, 210], atol=1e-4)
        assert plan.lift > 1


class TestOptimality:
    @pytest.mark.parametrize("carryover", list(Carryover))
    @pytest.mark.parametrize("adstock", list(Adstock))
    def test_marginals_are_equal_inside_the_bounds(self, adstock, carryover):
        problem = random_problem(8, adstock=adstock, n_paid=5, time_series_validation=False)
        plan = allocate(problem, model_of(problem), MaxResponse(), bounds=(0.2, 3), carryover=carryover)
        x, marginal = plan.optimised.spend, plan.optimised.marginal
        margin = 1e-6 * (plan.upper - plan.lower)
        inside = (x > plan.lower + margin) & (x < plan.upper - margin)
        assert plan.status is PlanStatus.SOLVED
        assert inside.any()
        price = marginal[inside].mean()
        np.testing.assert_allclose(marginal[inside], price, rtol=1e-5)
        assert (marginal[x <= plan.lower + margin] <= price * (1 + 1e-5)).all()
        assert (marginal[x >= plan.upper - margin] >= price * (1 - 1e-5)).all()

    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("flighting", list(Flighting))
    def test_no_plan_of_a_grid_is_better(self, seed, flighting):
        problem = random_problem(seed, time_series_validation=False)
        model = model_of(problem, seed)
        plan = allocate(problem, model, MaxResponse(), horizon=PART, bounds=(0, 3), flighting=flighting)
        functions = [r.response for r in channel_responses(problem, model, PART, flighting=flighting)]
        _, best = slow.best_plan_on_grid(functions, plan.lower, plan.upper, plan.total_budget, 25)
        assert plan.optimised.total_response >= best * (1 - 1e-12)

    @pytest.mark.parametrize("part", [0.7, 1.2])
    @pytest.mark.parametrize("seed", range(2))
    def test_no_plan_of_a_grid_is_better_on_target(self, seed, part):
        problem = random_problem(seed, time_series_validation=False)
        model = model_of(problem, seed)
        responses = channel_responses(problem, model)
        initial = sum(r.response(r.initial_spend) for r in responses) / problem.total_spend.sum()
        plan = allocate(problem, model, TargetEfficiency(part * initial), bounds=(0.1, 3))
        _, best = slow.best_efficient_plan_on_grid(
            [r.response for r in responses], plan.lower, plan.upper, part * initial, 12
        )
        assert plan.status is PlanStatus.SOLVED
        assert plan.optimised.total_response >= best * (1 - 1e-12)
        assert plan.optimised.total_efficiency >= part * initial * (1 - 1e-9)

    def test_upper_bound_is_not_reached_by_any_plan(self, problem, model):
        plan = allocate(problem, model, MaxResponse(), bounds=(0, 3))
        assert plan.initial.total_response < plan.optimised.total_response <= plan.upper_bound

    def test_an_unfinished_search_says_so(self, monkeypatch):
        monkeypatch.setattr(separable, "SLSQP_OPTIONS", {"maxiter": 1})
        problem, model = constant_problem([40.0, 90.0], [300.0, 200.0], [20.0, 40.0])
        plan = allocate(problem, model, MaxResponse(), horizon=FLAT, bounds=(0, 5))
        assert plan.status is PlanStatus.NOT_CONVERGED
        assert plan.message.startswith("not converged: ")
        assert np.isfinite(plan.lift)


class TestBeforeAndAfter:
    def test_before_is_the_decomposition(self, problem, model):
        plan = allocate(problem, model, MaxResponse())
        contributions = decompose(problem, model).contributions.sum(axis=1)
        first = problem.first_media
        np.testing.assert_allclose(plan.initial.response, contributions[first : first + 3], rtol=1e-12)
        np.testing.assert_allclose(plan.initial.spend, problem.total_spend, rtol=1e-12)

    def test_after_is_the_same_function(self, problem, model):
        plan = allocate(problem, model, MaxResponse(), horizon=PART)
        again = plan_response(problem, model, plan.optimised.spend, PART)
        np.testing.assert_array_equal(again.response, plan.optimised.response)
        np.testing.assert_array_equal(again.marginal, plan.optimised.marginal)
        gained = plan.optimised.total_response / plan.initial.total_response
        assert plan.lift == pytest.approx(gained - 1)

    def test_efficiencies(self, problem, model):
        point = plan_response(problem, model, {"paid_0": 0.0, "paid_1": 50.0, "paid_2": 200.0})
        assert np.isnan(point.efficiency[0])
        np.testing.assert_allclose(point.efficiency[1:], point.response[1:] / point.spend[1:])
        assert point.total_efficiency == pytest.approx(point.response.sum() / 250)
        conversions = replace(problem, outcome_kind="conversion")
        cpa = plan_response(conversions, model_of(problem, zero=["paid_1"]), np.array([0.0, 50.0, 200.0]))
        assert cpa.efficiency[1] == np.inf
        assert cpa.efficiency[2] == pytest.approx(200 / cpa.response[2])

    def test_table(self, problem, model):
        plan = allocate(problem, model, MaxResponse(), horizon=PART)
        table = plan.table("same budget")
        assert {len(column) for column in table.values()} == {3}
        assert table["channel"] == list(problem.paid)
        assert table["scenario"][0] == "same budget"
        assert table["optimised_roas"] == plan.optimised.efficiency.tolist()
        assert (table["start"][0], table["end"][0], table["n_periods"][0]) == ("2021-05-24", "2021-10-11", 21)
        assert (table["goal"][0], table["status"][0]) == ("max_response", "solved")
        assert list(table)[:5] == [
            "channel",
            "initial_spend",
            "lower_spend",
            "upper_spend",
            "optimised_spend",
        ]
        conversions = allocate(replace(problem, outcome_kind="conversion"), model, MaxResponse())
        assert "initial_cpa" in conversions.table()

    @pytest.mark.parametrize("spends", [{"paid_0": 1.0}, {"tv": 1.0, "paid_1": 1.0, "paid_2": 1.0}])
    def test_a_plan_names_every_channel(self, problem, model, spends):
        with pytest.raises(UserError, match="must name each of paid_0, paid_1, paid_2"):
            plan_response(problem, model, spends)

    def test_a_plan_is_made_of_amounts(self, problem, model):
        with pytest.raises(UserError, match="numbers >= 0"):
            plan_response(problem, model, np.array([1.0, -1.0, 2.0]))
        with pytest.raises(ShapeError):
            plan_response(problem, model, np.ones(2))


class TestBudget:
    def test_default_is_what_was_spent_in_the_horizon(self, problem, model):
        plan = allocate(problem, model, MaxResponse(), horizon=PART)
        assert plan.total_budget == pytest.approx(problem.spend[:, PART.rows].sum())
        assert plan.optimised.total_spend == pytest.approx(plan.total_budget, rel=1e-12)

    def test_per_period_is_the_same_as_for_the_horizon(self, problem, model):
        budget = float(problem.spend[:, PART.rows].sum()) * 1.2
        of_horizon = allocate(problem, model, MaxResponse(total_budget=budget), horizon=PART)
        per_period = allocate(problem, model, MaxResponse(budget_per_period=budget / 21), horizon=PART)
        np.testing.assert_allclose(of_horizon.optimised.spend, per_period.optimised.spend, rtol=1e-9)

    @pytest.mark.parametrize(("part", "nearest"), [(0.2, 0.5), (7.0, 2.0)])
    def test_one_that_the_bounds_cannot_hold(self, problem, model, part, nearest):
        spent = float(problem.total_spend.sum())
        plan = allocate(problem, model, MaxResponse(part * spent), bounds=(0.5, 2))
        assert plan.status is PlanStatus.INFEASIBLE
        assert plan.nearest_budget == pytest.approx(nearest * spent)
        assert f"the nearest feasible budget is {nearest * spent:,.0f}" in plan.message
        for values in (plan.optimised.spend, plan.optimised.response, plan.optimised.marginal):
            assert np.isnan(values).all()
        assert np.isnan([plan.lift, plan.upper_bound, plan.optimised.total_efficiency]).all()
        assert np.isfinite(plan.initial.response).all()

    def test_limits_are_known_without_a_model(self, problem, model):
        bounds = Bounds((0.5, 2), {"paid_1": (1, 1)})
        low, high = budget_limits(problem, horizon=PART, bounds=bounds)
        for budget, status in ((low, "solved"), (high, "solved"), (0.999 * low, "infeasible")):
            assert allocate(problem, model, MaxResponse(budget), horizon=PART, bounds=bounds).status == status

    def test_at_most(self, problem, model):
        spent = float(problem.total_spend.sum())
        rule = BudgetRule.AT_MOST
        plan = allocate(problem, model, MaxResponse(7 * spent, rule=rule), bounds=(0.5, 2))
        np.testing.assert_allclose(plan.optimised.spend, plan.upper)
        assert plan.status is PlanStatus.SOLVED
        too_little = allocate(problem, model, MaxResponse(0.2 * spent, rule=rule), bounds=(0.5, 2))
        assert too_little.status is PlanStatus.INFEASIBLE
        assert too_little.nearest_budget == pytest.approx(0.5 * spent)

    def test_refusals(self):
        with pytest.raises(UserError, match="not both"):
            MaxResponse(1.0, 2.0)
        with pytest.raises(UserError, match="total_budget must be a number >= 0, is nan"):
            MaxResponse(float("nan"))
        with pytest.raises(UserError, match="above 0"):
            TargetEfficiency(0.0)


class TestTarget:
    def test_out_of_reach_names_the_best_attainable(self, problem, model):
        plan = allocate(problem, model, TargetEfficiency(1e9), bounds=(0.1, 10))
        assert plan.status is PlanStatus.INFEASIBLE
        assert np.isnan(plan.optimised.spend).all()
        best = plan.best_efficiency
        assert allocate(problem, model, TargetEfficiency(0.9999 * best), bounds=(0.1, 10)).status == "solved"
        assert (
            allocate(problem, model, TargetEfficiency(1.0001 * best), bounds=(0.1, 10)).status == "infeasible"
        )

    def test_cpa_out_of_reach(self, problem, model):
        conversions = replace(problem, outcome_kind="conversion")
        plan = allocate(conversions, model, TargetEfficiency(1e-9))
        assert "a CPA of 1e-09 is out of reach" in plan.message
        near = allocate(conversions, model, TargetEfficiency(1.0001 * plan.best_efficiency))
        assert near.status is PlanStatus.SOLVED

    def test_without_any_effect(self, problem):
        silent = model_of(problem, zero=problem.paid)
        assert allocate(problem, silent, TargetEfficiency(1.0)).best_efficiency == 0
        conversions = replace(problem, outcome_kind="conversion")
        plan = allocate(conversions, silent, TargetEfficiency(1.0))
        assert "allow no spend that brings response" in plan.message
        assert plan.best_efficiency is None

    def test_an_easy_target_takes_all_that_the_bounds_allow(self, problem, model):
        plan = allocate(problem, model, TargetEfficiency(1e-6), bounds=(0.5, 2))
        np.testing.assert_allclose(plan.optimised.spend, plan.upper)
        assert plan.status is PlanStatus.SOLVED

    def test_default_bounds_are_wide(self, problem, model):
        plan = allocate(problem, model, TargetEfficiency(1.0))
        np.testing.assert_allclose(plan.lower, 0.1 * plan.initial.spend)
        np.testing.assert_allclose(plan.upper, 10 * plan.initial.spend)


class TestMarginalTarget:
    def test_roas_in_closed_form(self):
        # coef * half / (s + half)^2 = target
        problem, model = constant_problem([40.0, 90.0], [300.0, 200.0], [20.0, 40.0])
        plan = allocate(problem, model, TargetEfficiency(0.5, marginal=True), horizon=FLAT)
        root = np.sqrt(np.array([300.0 * 40, 200.0 * 90]) / 0.5) - [40, 90]
        np.testing.assert_allclose(plan.optimised.spend, 7 * root, rtol=1e-8)
        np.testing.assert_allclose(plan.optimised.marginal, 0.5, rtol=1e-8)
        assert plan.status is PlanStatus.SOLVED
        assert "a marginal ROAS of 0.5 (at least 0.5 asked) brings" in plan.message

    def test_cpa_in_closed_form(self):
        problem, model = constant_problem([40.0, 90.0], [300.0, 200.0], [20.0, 40.0], kind="conversion")
        plan = allocate(problem, model, TargetEfficiency(2.0, marginal=True), horizon=FLAT)
        np.testing.assert_allclose(plan.optimised.marginal, 0.5, rtol=1e-8)
        assert "a marginal CPA of 2 (at most 2 asked) brings" in plan.message

    def test_spends_less_than_the_same_target_for_the_mean(self, problem, model):
        rate = 0.8 * plan_response(problem, model, problem.total_spend).total_efficiency
        spends = [
            allocate(problem, model, TargetEfficiency(rate, m), bounds=(0, 200)).optimised
            for m in (True, False)
        ]
        assert spends[0].total_spend < spends[1].total_spend
        assert spends[0].total_efficiency > spends[1].total_efficiency == pytest.approx(rate)

    @pytest.mark.parametrize("seed", range(4))
    def test_no_plan_of_a_grid_gains_more(self, seed):
        problem, models, lower, upper, functions = s_shaped_ensemble(seed)
        rate = [0.3, 0.7, 1.0, 0.5][seed] * initial_efficiency(problem, models)
        plan = allocate(problem, models, TargetEfficiency(rate, marginal=True), bounds=(lower, upper))
        found = plan.optimised.total_response - rate * plan.optimised.total_spend
        best = slow.largest_net_on_grid(functions, plan.lower, plan.upper, rate, 14)
        assert plan.status is PlanStatus.SOLVED
        assert found >= best - 1e-12 * abs(best)

    def test_out_of_reach_names_the_best_attainable(self, problem, model):
        plan = allocate(problem, model, TargetEfficiency(1e9, marginal=True), bounds=(0.1, 10))
        assert plan.status is PlanStatus.INFEASIBLE
        assert "a marginal ROAS of 1,000,000,000 is out of reach within the bounds; the best" in plan.message
        for part, status in ((0.9999, "solved"), (1.0, "solved"), (1.0001, "infeasible")):
            target = TargetEfficiency(part * plan.best_efficiency, marginal=True)
            assert allocate(problem, model, target, bounds=(0.1, 10)).status == status

    def test_channels_held_by_their_lower_bounds_are_named(self):
        problem, model = constant_problem([40.0, 90.0], [300.0, 1.0], [20.0, 40.0])
        plan = allocate(
            problem, model, TargetEfficiency(0.5, marginal=True), horizon=FLAT, bounds=Bounds((0.5, 9))
        )
        assert plan.optimised.spend[1] == plan.lower[1]
        assert plan.notes == ("ch1 is held at its lower bound, where its marginal ROAS is 0.007438",)


class TestTargetOutcome:
    def test_in_closed_form(self):
        # Least money: equal marginals, so s + half in proportion to sqrt(coef * half); response = the wanted one.
        problem, model = constant_problem([40.0, 90.0], [300.0, 200.0], [20.0, 40.0])
        budget = allocate(problem, model, MaxResponse(), horizon=FLAT, bounds=(0, 5)).optimised
        wanted = budget.total_response
        plan = allocate(problem, model, TargetOutcome(wanted + 1e4, rest=1e4), horizon=FLAT, bounds=(0, 5))
        np.testing.assert_allclose(plan.optimised.spend, budget.spend, rtol=1e-6)
        assert plan.optimised.total_response == pytest.approx(wanted, rel=1e-9)
        assert plan.optimised.total_response >= wanted * (1 - 1e-12)
        assert plan.status is PlanStatus.SOLVED
        assert plan.message.startswith("solved: an outcome of 11,312 (11,312 asked) takes 420, which brings")

    @pytest.mark.parametrize("part", [0.02, 0.5, 0.98])
    @pytest.mark.parametrize("seed", range(4))
    def test_no_plan_of_a_grid_is_cheaper(self, seed, part):
        problem, models, lower, upper, functions = s_shaped_ensemble(seed)
        least, most = (
            sum(float(f(x * problem.total_spend[p])) for p, f in enumerate(functions)) for x in (lower, upper)
        )
        wanted = least + part * (most - least)
        plan = allocate(problem, models, TargetOutcome(wanted), bounds=(lower, upper))
        best = slow.least_spend_on_grid(functions, plan.lower, plan.upper, wanted, 14)
        assert plan.status is PlanStatus.SOLVED
        assert plan.optimised.total_spend <= best * (1 + 1e-9)
        assert plan.optimised.total_response == pytest.approx(wanted, rel=1e-9)

    def test_out_of_reach_names_the_largest(self, problem, model):
        plan = allocate(problem, model, TargetOutcome(1e12, rest=1e6), bounds=(0.5, 2))
        most = plan_response(problem, model, 2 * problem.total_spend).total_response
        assert plan.status is PlanStatus.INFEASIBLE
        assert np.isnan(plan.optimised.spend).all()
        assert plan.best_outcome == pytest.approx(1e6 + most)
        assert f"out of reach within the bounds; the largest is {1e6 + most:,.0f}" in plan.message
        at_the_top = TargetOutcome(plan.best_outcome, rest=1e6)
        np.testing.assert_allclose(
            allocate(problem, model, at_the_top, bounds=(0.5, 2)).optimised.spend, plan.upper, rtol=1e-5
        )

    def test_what_comes_anyway_takes_no_more_than_the_bounds_force(self, problem, model):
        plan = allocate(problem, model, TargetOutcome(100.0, rest=200.0), bounds=(0.5, 2))
        np.testing.assert_array_equal(plan.optimised.spend, plan.lower)
        assert plan.status is PlanStatus.SOLVED

    def test_harmful_channels_are_left_alone(self):
        problem, model = constant_problem([40.0, 90.0], [300.0, -50.0], [20.0, 40.0])
        plan = allocate(problem, model, TargetOutcome(500.0), horizon=FLAT, bounds=(0, 5))
        assert plan.status is PlanStatus.SOLVED
        assert plan.optimised.spend[1] == 0
        assert plan.optimised.total_response == pytest.approx(500)

    def test_refusals(self):
        with pytest.raises(UserError, match="above 0"):
            TargetOutcome(0.0)
        with pytest.raises(UserError, match="without paid channels must be a number"):
            TargetOutcome(1.0, rest=float("inf"))


def s_shaped_ensemble(seed):
    """(problem, models, lower, upper, mean response of each channel); curves flat at first, then steep."""
    problem = random_problem(
        seed, n_periods=40, adstock=list(Adstock)[seed % 3], time_series_validation=False
    )
    models = [model_of(problem, 10 * seed + i) for i in range(1 + seed % 3)]
    for i, model in enumerate(models):
        alphas = [j for j, name in enumerate(problem.hyperparameter_names) if name.endswith("alpha")]
        model.hyperparameters[alphas] = np.roll([3.0, 6.0, 1.0, 0.5], i + seed)[: len(alphas)]
    members = [channel_responses(problem, m) for m in models]

    def mean(p):
        return lambda x: sum(float(m[p].response(x)) for m in members) / len(members)

    lower, upper = [(0.0, 3.0), (0.3, 2.0), (0.0, 1.5), (0.7, 8.0)][seed]
    return problem, models, lower, upper, [mean(p) for p in range(problem.n_paid)]


def initial_efficiency(problem, models):
    return plan_response(problem, models, problem.total_spend).total_efficiency


class TestBounds:
    def test_forms(self, problem, model):
        def limits(bounds):
            plan = allocate(problem, model, MaxResponse(), bounds=bounds)
            return plan.lower / plan.initial.spend, plan.upper / plan.initial.spend

        for bounds in (None, (0.5, 2), [0.5, 2.0], Bounds((0.5, 2))):
            low, high = limits(bounds)
            np.testing.assert_allclose(low, 0.5)
            np.testing.assert_allclose(high, 2.0)
        low, high = limits({"paid_2": (0.9, 1.1)})
        np.testing.assert_allclose(low, [0.5, 0.5, 0.9])
        np.testing.assert_allclose(high, [2.0, 2.0, 1.1])

    def test_amounts_come_before_multiples(self, problem, model):
        bounds = Bounds((0, 3), {"paid_0": (1, 1)}, {"paid_0": (100, 200), "paid_1": (0, 50)})
        plan = allocate(problem, model, MaxResponse(rule="at_most"), bounds=bounds)
        assert (plan.lower[0], plan.upper[0], plan.upper[1]) == (100, 200, 50)
        assert (plan.optimised.spend >= plan.lower).all()
        assert (plan.optimised.spend <= plan.upper).all()

    @pytest.mark.parametrize("pair", [(2, 1), (-1, 1), (0, float("inf")), (float("nan"), 1), (1,)])
    def test_refused(self, pair):
        with pytest.raises(
            UserError, match=r"bounds of tv are .*expected \[low, high\] with 0 <= low <= high"
        ):
            Bounds(channels={"tv": pair})

    def test_unknown_channel(self, problem, model):
        with pytest.raises(UserError, match="bounds name radio, not among the paid channels paid_0"):
            allocate(problem, model, MaxResponse(), bounds={"radio": (1, 2)})


class TestSpecialChannels:
    def test_without_effect_gets_its_lower_bound(self, problem):
        plan = allocate(problem, model_of(problem, zero=["paid_1"]), MaxResponse(), bounds=(0.5, 3))
        assert plan.optimised.spend[1] == pytest.approx(plan.lower[1])
        assert plan.notes[0].startswith("paid_1 has coefficient 0 in the model")
        assert plan.status is PlanStatus.SOLVED

    def test_without_effect_can_be_left_out(self, problem):
        model = model_of(problem, zero=["paid_1"])
        plan = allocate(problem, model, MaxResponse(), bounds=(0.5, 3), keep_zero_coefficients=False)
        assert plan.optimised.spend[1] == plan.upper[1] == 0
        assert plan.optimised.total_spend == pytest.approx(problem.total_spend.sum())
        assert "left out" in plan.notes[0]

    def test_an_effect_in_one_model_of_an_ensemble_is_an_effect(self, problem):
        models = [model_of(problem, zero=["paid_1"]), model_of(problem, 1)]
        plan = allocate(problem, models, MaxResponse(), keep_zero_coefficients=False)
        assert plan.notes == ()
        assert plan.upper[1] > 0

    def test_closed_by_its_bounds(self, problem, model):
        plan = allocate(problem, model, MaxResponse(), bounds={"paid_0": (0, 0), "paid_1": (0, 4)})
        assert plan.optimised.spend[0] == 0
        assert plan.notes == ("paid_0 is closed by its bounds and gets no spend",)

    def test_without_spend_in_the_horizon(self, problem, model):
        spend, design = problem.spend.copy(), problem.design.copy()
        spend[0, PART.rows] = design[problem.first_media, PART.rows] = 0
        quiet = replace(problem, spend=spend, design=design)
        plan = allocate(quiet, model, MaxResponse(), horizon=PART, bounds=(0, 2))
        mean = quiet.total_spend[0] / quiet.n_window * 21
        assert plan.initial.spend[0] == 0
        assert plan.upper[0] == pytest.approx(2 * mean)
        assert plan.notes[0].startswith("paid_0 has no spend in the horizon: ")
        assert plan.status is PlanStatus.SOLVED

    def test_nothing_works(self, problem):
        plan = allocate(problem, model_of(problem, zero=problem.paid), MaxResponse())
        assert plan.status is PlanStatus.SOLVED
        assert plan.optimised.total_response == 0
        assert np.isnan(plan.lift)
        assert len(plan.notes) == 3


class TestEnsemble:
    def test_of_one_is_the_model(self, problem, model):
        alone = allocate(problem, model, MaxResponse())
        listed = allocate(problem, [model], MaxResponse())
        assert alone.optimised.spend.tobytes() == listed.optimised.spend.tobytes()
        assert listed.candidates == ("1_1",)

    def test_response_is_the_mean_of_the_models(self, problem):
        models = [model_of(problem, seed) for seed in range(3)]
        spends = problem.total_spend * np.array([0.5, 1.5, 1.0])
        each = [plan_response(problem, m, spends) for m in models]
        together = plan_response(problem, models, spends)
        np.testing.assert_allclose(together.response, np.mean([e.response for e in each], axis=0))
        np.testing.assert_allclose(together.marginal, np.mean([e.marginal for e in each], axis=0))

    @pytest.mark.parametrize("scenario", [MaxResponse(), TargetEfficiency(1.0)])
    def test_no_member_has_a_better_plan_for_all(self, problem, scenario):
        models = [model_of(problem, seed) for seed in range(3)]
        plan = allocate(problem, models, scenario, bounds=(0, 3))
        for model in models:
            own = allocate(problem, model, scenario, bounds=(0, 3)).optimised.spend
            for_all = plan_response(problem, models, own)
            allowed = isinstance(scenario, MaxResponse) or for_all.total_efficiency >= 1
            assert plan.optimised.total_response >= for_all.total_response * (1 - 1e-12) or not allowed

    def test_needs_a_model(self, problem):
        with pytest.raises(ShapeError, match="at least one model"):
            ResponseSurface.of(problem, [])
