"""Plans by channel and period: every plan of a grid as the judge, the decomposition as the measure."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from mmm_core.allocator import Bounds, allocate
from mmm_core.errors import ShapeError, UserError
from mmm_core.flight import FlightSurface, lay_ground
from mmm_core.goals import BudgetRule, MaxResponse, PlanStatus, TargetEfficiency, TargetOutcome
from mmm_core.planning import Brought, Cells, Laying, PlanRules, mean_of_models, plan_flight, plan_limits
from mmm_core.response import Horizon, contributions
from mmm_core.types import Adstock, FittedModel
from tests.reference.problems import random_hyperparameters, random_problem

YEAR = 20
GOALS = [MaxResponse(), TargetEfficiency(1.0), TargetEfficiency(1.0, marginal=True), TargetOutcome(1.0)]


def model_of(problem, seed=0, alphas=None, zero=()):
    coefs = np.random.default_rng(seed).uniform(1e3, 1e4, len(problem.columns))
    coefs[[problem.columns.index(channel) for channel in zero]] = 0
    hyperparameters = random_hyperparameters(problem, seed)[0]
    if alphas is not None:
        at = [i for i, name in enumerate(problem.hyperparameter_names) if name.endswith("alpha")]
        hyperparameters[at] = np.resize(alphas, len(at))
    return FittedModel(f"1_{seed + 1}", hyperparameters, 1.0, 0.0, coefs)


def world(seed=3, adstock="geometric", horizon=None, n_models=1, alphas=None, n_paid=3):
    problem = random_problem(seed, adstock=adstock, n_paid=n_paid, time_series_validation=False)
    models = [model_of(problem, 10 * seed + i, alphas) for i in range(n_models)]
    return problem, models, lay_ground(problem, horizon or Horizon(60, 70), YEAR)


def reference_value(ground, models, with_tail=True):
    surface = FlightSurface.of(ground, models, with_tail)
    return float(surface.values(ground.reference).sum())


def scaled(goal, ground, models, factor):
    """The goal with its target in proportion to what the reference brings."""
    value = reference_value(ground, models, not isinstance(goal, TargetOutcome))
    if isinstance(goal, TargetOutcome):
        return TargetOutcome(factor * value)
    if isinstance(goal, TargetEfficiency):
        return TargetEfficiency(factor * value / ground.reference.sum(), goal.marginal)
    return goal


class TestKeptAndConstant:
    @pytest.mark.parametrize("adstock", list(Adstock))
    def test_nothing_changed_is_the_decomposition(self, adstock):
        problem, models, ground = world(adstock=adstock, horizon=Horizon(20, 41))
        plan = plan_flight(ground, models, MaxResponse(), PlanRules(bounds=(1, 1)))
        np.testing.assert_allclose(plan.spends, problem.spend[:, 20:41], rtol=1e-12)
        found = Brought.by(plan.surface, plan.spends).total[0, :, :21]
        first = problem.first_media
        expected = contributions(problem, models[0], Horizon(20, 41))[first : first + 3]
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        assert plan.status is PlanStatus.SOLVED

    def test_without_a_tail_to_count_it_is_the_allocators_plan(self):
        # Up to the end of the data a TargetOutcome counts the horizon alone, as the allocator does.
        problem, models, ground = world(horizon=Horizon(30, 60), alphas=[0.7, 1.0])
        base = Brought.by(FlightSurface.of(ground, models), ground.reference).carried.sum()
        target = 1.1 * reference_value(ground, models, with_tail=False)
        plan = plan_flight(ground, models, TargetOutcome(target), PlanRules(bounds=(0, 3)))
        other = allocate(
            problem, models, TargetOutcome(target + base), horizon=Horizon(30, 60), bounds=(0, 3)
        )
        np.testing.assert_allclose(plan.spends.sum(axis=1), other.optimised.spend, rtol=1e-4)

    @pytest.mark.parametrize("laying", [Laying.KEPT, Laying.CONSTANT])
    def test_money_is_laid_by_the_shape(self, laying):
        _, models, ground = world()
        plan = plan_flight(ground, models, MaxResponse(), PlanRules(laying, (0.2, 3)))
        money = plan.spends.sum(axis=1, keepdims=True)
        shape = ground.shape if laying is Laying.KEPT else np.full_like(ground.shape, 0.1)
        np.testing.assert_allclose(plan.spends, money * shape, rtol=1e-12)
        assert money.sum() == pytest.approx(ground.reference.sum())
        assert plan.status is PlanStatus.SOLVED
        np.testing.assert_allclose(plan.limits.lower.sum(axis=1), 0.2 * ground.unit)
        np.testing.assert_allclose(plan.limits.upper.sum(axis=1), 3 * ground.unit)

    @pytest.mark.parametrize("laying", [Laying.KEPT, Laying.CONSTANT])
    @pytest.mark.parametrize("goal", GOALS, ids=lambda goal: f"{goal.goal}{getattr(goal, 'marginal', '')}")
    @pytest.mark.parametrize("seed", range(3))
    def test_no_plan_of_a_grid_is_better(self, seed, goal, laying):
        _, models, ground = world(seed, list(Adstock)[seed], n_models=1 + seed % 2, alphas=[4.0, 0.6, 2.0])
        goal = scaled(goal, ground, models, 0.8)
        plan = plan_flight(ground, models, goal, PlanRules(laying, (0.1, 2)))
        surface = FlightSurface.of(ground, models, not isinstance(goal, TargetOutcome))
        shape = ground.shape if laying is Laying.KEPT else np.full_like(ground.shape, 0.1)
        money = np.linspace(0.1 * ground.unit, 2 * ground.unit, 25, axis=1)
        values = np.array([surface.values(shape * money[:, [s]]) for s in range(25)]).T
        judge(plan, surface, goal, money, values)


def judge(plan, surface, goal, money, values):
    """The plan held against every combination of each channel's (P, S) amounts and their values."""
    spent = sum(np.meshgrid(*money, indexing="ij")).ravel()
    brought = sum(np.meshgrid(*values, indexing="ij")).ravel()
    found, cost = float(surface.values(plan.spends).sum()), float(plan.spends.sum())
    assert plan.status is PlanStatus.SOLVED, plan.message
    if isinstance(goal, TargetOutcome):
        assert found >= goal.response * (1 - 1e-9)
        assert cost <= spent[brought >= goal.response].min() * (1 + 1e-9)
    elif isinstance(goal, MaxResponse):
        assert cost == pytest.approx(plan.answer.total_budget, rel=1e-9)
        assert found >= brought[spent <= cost].max() * (1 - 1e-9)
    elif goal.marginal:
        best = (brought - goal.target * spent).max()
        assert found - goal.target * cost >= best - 1e-9 * abs(found)
    else:
        assert found >= goal.target * cost * (1 - 1e-9)
        assert found >= brought[brought >= goal.target * spent].max() * (1 - 1e-9)


class TestFree:
    @pytest.mark.parametrize("goal", GOALS, ids=lambda goal: f"{goal.goal}{getattr(goal, 'marginal', '')}")
    @pytest.mark.parametrize("seed", range(3))
    def test_no_plan_of_a_grid_is_better(self, seed, goal):
        adstock = list(Adstock)[seed]
        _, models, ground = world(
            seed, adstock, Horizon(60, 63), n_models=1 + seed % 2, alphas=[4.0, 0.6, 2.0], n_paid=2
        )
        goal = scaled(goal, ground, models, 0.8)
        rules = PlanRules(Laying.FREE, (0.1, 2))
        plan = plan_flight(ground, models, goal, rules)
        surface = FlightSurface.of(ground, models, not isinstance(goal, TargetOutcome))
        limits = plan_limits(ground, goal.goal, rules)
        levels = np.linspace(0, 1, 9)
        cells = np.array(list(itertools.product(levels, repeat=3)))
        sides = []
        for p in range(2):
            spends = np.minimum(limits.upper[p], limits.most[p]) * cells
            sums = spends.sum(axis=1)
            sides.append(spends[(sums >= limits.least[p]) & (sums <= limits.most[p])])
        n = min(map(len, sides))
        values = [np.zeros(len(side)) for side in sides]
        for p, side in enumerate(sides):
            for i, row in enumerate(side):
                plan_of_one = np.zeros_like(ground.reference)
                plan_of_one[p] = row
                values[p][i] = surface.values(plan_of_one)[p]
        assert n > 20
        judge(plan, surface, goal, [side.sum(axis=1) for side in sides], values)

    @pytest.mark.parametrize("seed", range(2))
    def test_no_worse_than_the_kept_and_the_constant_plan(self, seed):
        _, models, ground = world(seed, list(Adstock)[seed % 3], n_models=2)
        values = {}
        for laying in Laying:
            plan = plan_flight(ground, models, MaxResponse(), PlanRules(laying, (0.5, 1.5)))
            values[laying] = float(plan.surface.values(plan.spends).sum())
        assert values[Laying.FREE] >= max(values.values()) * (1 - 1e-12)

    def test_stays_within_every_limit(self):
        _, models, ground = world(n_models=2)
        cells = Cells.none(3, 10)
        cells.fixed[0, 2], cells.lower[1, 4], cells.upper[2, 5] = 500.0, 300.0, 10.0
        bounds = Bounds((0.5, 1.5), amounts={"paid_2": (4000.0, 4000.0)})
        plan = plan_flight(ground, models, MaxResponse(), PlanRules(Laying.FREE, bounds, cells=cells))
        spends, limits = plan.spends, plan.limits
        assert plan.status is PlanStatus.SOLVED
        assert (spends >= limits.lower).all()
        assert (spends <= limits.upper).all()
        assert spends[0, 2] == 500
        assert spends[1, 4] >= 300
        assert spends[2, 5] <= 10
        assert spends[2].sum() == pytest.approx(4000)
        assert (spends.sum(axis=1) <= limits.most * (1 + 1e-12)).all()
        assert (spends.sum(axis=1) >= limits.least * (1 - 1e-12)).all()
        assert spends.sum() == pytest.approx(ground.reference.sum(), rel=1e-12)

    def test_the_same_seed_gives_the_same_bytes(self):
        _, models, ground = world(horizon=Horizon(60, 65), alphas=[3.0], n_paid=2)
        plans = [plan_flight(ground, models, MaxResponse(), PlanRules(Laying.FREE), seed=5) for _ in range(2)]
        assert plans[0].spends.tobytes() == plans[1].spends.tobytes()

    def test_period_bounds_are_multiples_of_the_period(self):
        _, models, ground = world()
        rules = PlanRules(Laying.FREE, (0.5, 2), period_bounds=Bounds(channels={"paid_1": (0.8, 1.2)}))
        plan = plan_flight(ground, models, MaxResponse(), rules)
        assert (plan.spends[1] >= 0.8 * ground.reference[1] * (1 - 1e-12)).all()
        assert (plan.spends[1] <= 1.2 * ground.reference[1] * (1 + 1e-12)).all()


class TestPaused:
    def test_a_channel_without_spend_in_the_reference_may_stay_without(self):
        _, models, ground = world()
        reference = ground.reference.copy()
        reference[1] = 0.0
        unit = ground.unit.copy()
        unit[1] = 500.0
        ground = replace(ground, reference=reference, unit=unit)
        limits = plan_limits(ground, "max_response", PlanRules(bounds=(0.7, 1.5)))
        assert limits.least[1] == 0
        assert limits.most[1] == 750
        assert plan_flight(ground, models, MaxResponse(), PlanRules(bounds=(0.7, 1.5))).is_feasible
        asked = Bounds((0.7, 1.5), channels={"paid_1": (0.5, 2.0)})
        assert plan_limits(ground, "max_response", PlanRules(bounds=asked)).least[1] == 250


class TestReach:
    @pytest.mark.parametrize("goal", GOALS, ids=lambda goal: f"{goal.goal}{getattr(goal, 'marginal', '')}")
    def test_periods_stay_near_the_kept_plan_and_bring_no_less(self, goal):
        _, models, ground = world(n_models=2)
        goal = scaled(goal, ground, models, 0.8)
        kept = plan_flight(ground, models, goal, PlanRules(Laying.KEPT, (0.3, 2)))
        free = plan_flight(ground, models, goal, PlanRules(Laying.FREE, (0.3, 2), reach=0.3))
        assert kept.status is free.status is PlanStatus.SOLVED
        assert (free.spends >= 0.7 * kept.spends * (1 - 1e-9)).all()
        assert (free.spends <= 1.3 * kept.spends * (1 + 1e-9)).all()
        assert (np.abs(free.spends - kept.spends) > 0.05 * kept.spends).any()
        spent, brought = (
            np.array([plan.spends.sum(), free.surface.values(plan.spends).sum()]) for plan in (kept, free)
        )
        if isinstance(goal, TargetOutcome):
            assert brought[0] <= spent[0] * (1 + 1e-9)
        elif getattr(goal, "marginal", False):
            assert brought[1] - goal.target * brought[0] >= spent[1] - goal.target * spent[0]
        else:
            assert brought[1] >= spent[1] * (1 - 1e-9)

    def test_a_budget_in_reach_of_free_periods_only_is_spent_and_told(self):
        _, models, ground = world()
        cells = Cells.none(3, 10)
        cells.upper[:, 0] = 0.5 * ground.reference[:, 0]  # the kept flighting then spends half of everything
        goal = MaxResponse(0.9 * float(ground.reference.sum()))
        rules = [PlanRules(laying, (0.1, 2), cells=cells, reach=0.3) for laying in (Laying.KEPT, Laying.FREE)]
        kept, free = (plan_flight(ground, models, goal, own) for own in rules)
        assert kept.status is PlanStatus.INFEASIBLE
        assert free.status is PlanStatus.SOLVED
        assert "no kept plan to stay near" in " ".join(free.notes)

    def test_no_reach_is_the_kept_plan(self):
        _, models, ground = world()
        kept, free = (
            plan_flight(ground, models, MaxResponse(), PlanRules(laying, (0.5, 1.5), reach=0.0))
            for laying in (Laying.KEPT, Laying.FREE)
        )
        np.testing.assert_allclose(free.spends, kept.spends, rtol=1e-9)


class TestAnswers:
    @pytest.mark.parametrize("laying", list(Laying))
    def test_a_budget_that_the_bounds_cannot_hold(self, laying):
        _, models, ground = world()
        plan = plan_flight(ground, models, MaxResponse(1e9), PlanRules(laying, (0.5, 1.5)))
        assert plan.status is PlanStatus.INFEASIBLE
        assert plan.answer.nearest_budget == pytest.approx(1.5 * ground.unit.sum())
        assert np.isnan(plan.spends).all()

    @pytest.mark.parametrize("laying", list(Laying))
    def test_targets_out_of_reach_name_the_nearest(self, laying):
        _, models, ground = world(horizon=Horizon(60, 64), alphas=[1.0, 0.8], n_paid=2)
        rules = PlanRules(laying, (0.1, 2))
        plan = plan_flight(ground, models, TargetOutcome(1e12, rest=5.0), rules)
        assert plan.status is PlanStatus.INFEASIBLE
        assert 5 < plan.answer.best_outcome < 1e12
        for marginal in (False, True):
            plan = plan_flight(ground, models, TargetEfficiency(1e9, marginal), rules)
            best = plan.answer.best_efficiency
            assert plan.status is PlanStatus.INFEASIBLE
            near = plan_flight(ground, models, TargetEfficiency(0.99 * best, marginal), rules)
            assert near.status is PlanStatus.SOLVED, (marginal, near.message)

    def test_at_most_leaves_over_what_nothing_needs(self):
        problem, _, ground = world()
        silent = model_of(problem, zero=problem.paid)
        for laying in Laying:
            rule = BudgetRule.AT_MOST
            plan = plan_flight(ground, silent, MaxResponse(rule=rule), PlanRules(laying, (0.5, 1.5)))
            assert plan.status is PlanStatus.SOLVED
            assert np.isfinite(plan.spends).all()

    def test_what_comes_after_is_told_apart(self):
        _, models, ground = world(n_models=2)
        plan = plan_flight(ground, models, MaxResponse(), PlanRules(bounds=(0.5, 2)))
        brought = Brought.by(plan.surface, plan.spends)
        own = mean_of_models(brought.inside + brought.after)
        np.testing.assert_allclose(own, plan.surface.values(plan.spends), rtol=1e-9)
        assert (mean_of_models(brought.after) > 0).any()
        whole = mean_of_models(brought.inside + brought.carried)
        np.testing.assert_allclose(whole, mean_of_models(brought.total[:, :, :10].sum(axis=2)), rtol=1e-12)


class TestLimits:
    def test_fixed_amounts_leave_the_rest_to_the_shape(self):
        _, models, ground = world()
        cells = Cells.none(3, 10)
        cells.fixed[0, :4] = 100.0
        plan = plan_flight(ground, models, MaxResponse(), PlanRules(bounds=(0.5, 2), cells=cells))
        np.testing.assert_array_equal(plan.spends[0, :4], 100)
        rest = plan.spends[0, 4:]
        np.testing.assert_allclose(rest / rest.sum(), ground.shape[0, 4:] / ground.shape[0, 4:].sum())
        assert plan.status is PlanStatus.SOLVED

    def test_all_periods_fixed(self):
        _, models, ground = world()
        cells = Cells.none(3, 10)
        cells.fixed[1] = 50.0
        for laying in Laying:
            plan = plan_flight(ground, models, MaxResponse(), PlanRules(laying, (0, 9), cells=cells))
            np.testing.assert_allclose(plan.spends[1], 50.0)
            assert plan.spends.sum() == pytest.approx(ground.reference.sum())

    def test_amounts_for_periods_come_before_bounds_and_say_so(self):
        _, models, ground = world()
        cells = Cells.none(3, 10)
        cells.fixed[1] = ground.unit[1]
        budget = ground.unit.sum() + 9 * ground.unit[1]
        plan = plan_flight(ground, models, MaxResponse(budget), PlanRules(bounds=(0.5, 40), cells=cells))
        assert plan.notes == ()
        plan = plan_flight(ground, models, MaxResponse(budget), PlanRules(bounds=(0.5, 2), cells=cells))
        assert "come before its bounds" in plan.notes[0]

    def test_a_limit_by_period_holds_the_whole_channel_down(self):
        _, models, ground = world()
        cells = Cells.none(3, 10)
        t = int(ground.shape[0].argmax())
        cells.upper[0, t] = 0.6 * ground.reference[0, t]
        plan = plan_flight(ground, models, MaxResponse(), PlanRules(bounds=(0.5, 2), cells=cells))
        assert plan.spends[0].sum() <= 0.6 * ground.unit[0] * (1 + 1e-9)

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"lower": (0, 3, 5.0), "upper": (0, 3, 4.0)}, "in period 4 of the horizon are 5 to 4"),
            ({"lower": (0, slice(None), 1e6), "upper": (0, 0, 1.0)}, "the limits of paid_0"),
            ({"fixed": (2, 0, -1.0)}, "must be numbers >= 0"),
        ],
    )
    def test_contradictions(self, change, expected):
        _, _, ground = world()
        tables = {name: np.full((3, 10), np.nan) for name in ("fixed", "lower", "upper")}
        for name, (p, t, amount) in change.items():
            tables[name][p, t] = amount
        with pytest.raises(UserError, match=expected):
            plan_limits(ground, "max_response", PlanRules(cells=Cells(**tables)))

    def test_a_shape_that_no_money_brings_within_its_limits(self):
        _, _, ground = world()
        cells = Cells.none(3, 10)
        first, second = np.argsort(-ground.shape[0])[:2]
        cells.lower[0, first], cells.upper[0, second] = 1e6, 1.0
        with pytest.raises(UserError, match=r"do not fit its flighting.*plan it with the free flighting"):
            plan_limits(ground, "max_response", PlanRules(cells=cells))
        assert (
            plan_limits(ground, "max_response", PlanRules(Laying.FREE, cells=Cells.none(3, 10))) is not None
        )

    def test_a_lower_limit_where_the_flighting_is_dark(self):
        _, _, ground = world()
        p, t = np.argwhere(ground.shape == 0)[0]
        cells = Cells.none(3, 10)
        cells.lower[p, t] = 5.0
        with pytest.raises(UserError, match="in a period in which its flighting spends nothing"):
            plan_limits(ground, "max_response", PlanRules(cells=cells))

    def test_an_amount_that_its_periods_cannot_hold(self):
        _, _, ground = world()
        cells = Cells.none(3, 10)
        cells.fixed[0] = 10.0
        bounds = Bounds(amounts={"paid_0": (200.0, 200.0)})
        with pytest.raises(
            UserError, match="paid_0 is fixed at 200 over the horizon, but its periods hold 100 to 100"
        ):
            plan_limits(ground, "max_response", PlanRules(bounds=bounds, cells=cells))

    def test_unknown_channels_and_shapes(self):
        _, _, ground = world()
        with pytest.raises(UserError, match="bounds name radio"):
            plan_limits(ground, "max_response", PlanRules(bounds={"radio": (0, 1)}))
        with pytest.raises(ShapeError):
            Cells(np.zeros((2, 2)), np.zeros((2, 3)), np.zeros((2, 2)))
