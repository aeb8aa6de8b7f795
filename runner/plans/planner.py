"""From a run and a question to a plan in the run folder: solve, forecast, bound, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from mmm_core.errors import UserError
from mmm_core.flight import FlightSurface, Ground, lay_ground
from mmm_core.goals import ROUNDING, MaxResponse, number
from mmm_core.planning import Brought, FlightPlan, Laying, PlanRules, mean_of_models, plan_flight, plan_limits
from mmm_core.types import FittedModel, ModelProblem
from runner.dataset import MediaPanel
from runner.findings import Finding, Severity
from runner.latest import find_run
from runner.model_files import read_record
from runner.plans.calendar import Calendar, calendar_of
from runner.plans.outcome import TREND, Draws, Outcome, Units, draw, expected, n_draws, rest_of
from runner.plans.request import PlanRequest, read_cells
from runner.plans.to_come import ToCome, look_ahead
from runner.plans.writing import check_name, write_plan
from runner.run_folder import RunFolder
from runner.seeds import Branch, as_integer, seed_at
from runner.spec import ExperimentSpec

ENSEMBLE = "ensemble"


@dataclass(frozen=True, eq=False)
class Planned:
    """One plan: that of a model, or of the mean of all.

    Attributes:
        plan: the core's answer. models: that it rests on. draws: their uncertainty; none without a plan.
        brought, reference: what plan and reference bring. units: the plan's, of coefficients of 1.
        outcome: what is to be expected; None without a plan.
    """

    plan: FlightPlan
    models: tuple[FittedModel, ...]
    draws: tuple[Draws, ...]
    brought: Brought | None
    reference: Brought
    units: Units | None
    outcome: Outcome | None


@dataclass(frozen=True, eq=False)
class PlanResult:
    """A question answered.

    Attributes:
        folder: of the run. name: of the plan. request: the question.
        spec, panel, ground, calendar: what it stands on.
        plans: candidate (and ensemble) to its plan.
        findings: what was noticed.
    """

    folder: RunFolder
    name: str
    request: PlanRequest
    spec: ExperimentSpec
    panel: MediaPanel
    ground: Ground
    calendar: Calendar
    plans: Mapping[str, Planned]
    findings: tuple[Finding, ...]

    @property
    def path(self) -> Path:
        """Where the plan lies."""
        return self.folder.path / "plans" / self.name

    @property
    def ensemble(self) -> Planned:
        """The plan of the mean of the models."""
        return self.plans[ENSEMBLE]

    def as_record(self) -> dict[str, Any]:
        """``plan.json`` as plain data."""
        from runner.plans.writing import plan_record

        return plan_record(self)


def plan(
    run: str | Path,
    start: date | str,
    end: date | str,
    *,
    runs: str | Path = "runs",
    **question: Any,
) -> PlanResult:
    """Plan dates to come (or past, or both) with a run's selected models, and keep the plan in its ``plans/``.

    Args:
        run: a run folder, or a spec file for its newest run. start, end: first and last day of the plan.
        runs: where runs of a spec file are looked for.
        **question: see ``PlanRequest``.
    Returns:
        PlanResult; look at the plans' status first.
    Raises:
        UserError: something asked for cannot be had; one sentence.
    """
    request = PlanRequest(start=_day("--from", start), end=_day("--to", end), **question)
    return answer(find_run(run, runs), request)


def _day(option: str, value: date | str) -> date:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise UserError(f"{option} {value}: expected a date like 2025-01-06 (year, month, day)") from None


def answer(folder: RunFolder, request: PlanRequest) -> PlanResult:
    """Answer a question with the models of a run folder, and write the plan.

    Raises:
        UserError: as ``plan``.
    """
    check_name(folder, request.plan_name)
    spec = folder.spec()
    panel = folder.panel(spec)
    problem = folder.problem(spec, panel)
    models = _models(folder, request.candidates)
    calendar = calendar_of(panel, request.start, request.end)
    cells, noticed = read_cells(request.table, problem.paid, calendar)
    rules = request.rules(problem.paid, cells)
    ground = lay_ground(problem, calendar.horizon, calendar.year)
    _check_budget(request, ground, rules)
    n = n_draws(spec.bootstrap.refits)
    seed = seed_at(spec.search.seed, Branch.PLANS, TREND)
    ahead = look_ahead(spec, panel, problem, calendar, request.context, n, seed)
    work = _Work(spec, problem, ground, calendar, ahead, request, rules, _places(folder, models))
    plans = {model.candidate: work.plan((model,)) for model in models}
    plans[ENSEMBLE] = work.plan(tuple(models))
    findings = (*ground_findings(spec, request, ground), *calendar.findings, *noticed, *ahead.findings)
    result = PlanResult(folder, request.plan_name, request, spec, panel, ground, calendar, plans, findings)
    write_plan(result)
    return result


def _models(folder: RunFolder, candidates: Sequence[str]) -> list[FittedModel]:
    models = folder.models()
    known = [model.candidate for model in models]
    for candidate in candidates:
        if candidate not in known:
            raise UserError(
                f"{folder.path}: {candidate!r} is not a selected model; there are {', '.join(known)}"
            )
    return [model for model in models if not candidates or model.candidate in candidates]


def _places(folder: RunFolder, models: Sequence[FittedModel]) -> dict[str, tuple[int, int]]:
    """Trial and iteration of the models, which choose the seeds of their refits."""
    records = {m.candidate: read_record(folder.path / "models" / f"{m.candidate}.json") for m in models}
    return {name: (int(record["trial"]), int(record["iteration"])) for name, record in records.items()}


def _check_budget(request: PlanRequest, ground: Ground, rules: PlanRules) -> None:
    """Refuse, before anything is fitted, a budget that the limits cannot hold."""
    limits = plan_limits(ground, request.goal, rules)
    if request.goal != MaxResponse.goal:
        return
    budget = float(ground.reference.sum()) if request.budget is None else request.budget
    least, most = float(limits.least.sum()), float(limits.most.sum())
    nearest = max(budget, least) if request.at_most else min(max(budget, least), most)
    if abs(nearest - budget) > ROUNDING * max(budget, nearest):
        own = "--budget" if request.budget is not None else "the reference spend of"
        raise UserError(
            f"{own} {number(budget)} cannot be spent within the limits, which hold {number(least)} to {number(most)}; "
            f"the nearest feasible budget is {number(nearest)}, or widen --bounds"
        )


def ground_findings(spec: ExperimentSpec, request: PlanRequest, ground: Ground) -> tuple[Finding, ...]:
    """What the ground of a plan, the question and the run's settings have to say."""
    found = [Finding("plan-channel", Severity.INFO, f"{note}.") for note in ground.notes]
    if not spec.bootstrap.refits:
        details = "The run has no bootstrap refits: intervals hold the noise of outcomes, but not that of coefficients."
        found.append(Finding("plan-no-refits", Severity.WARNING, details, "Run with bootstrap.refits."))
    if request.flighting == Laying.FREE and request.free_reach is None and not request.period_bounds:
        found.append(
            Finding(
                "plan-free-flighting",
                Severity.WARNING,
                "A free flighting without limits trusts the shape of every curve: on simulated panels it promised "
                "by far more than the kept one and truly brought less.",
                "Leave --reach out, compare with --flighting kept, or hold periods with --period-bounds.",
            )
        )
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Work:
    """All that a plan of some models needs."""

    spec: ExperimentSpec
    problem: ModelProblem
    ground: Ground
    calendar: Calendar
    ahead: ToCome
    request: PlanRequest
    rules: PlanRules
    places: Mapping[str, tuple[int, int]]

    def plan(self, models: tuple[FittedModel, ...]) -> Planned:
        """The plan of some models, and what comes of it."""
        horizon = self.calendar.horizon
        rests = [rest_of(self.problem, model, horizon, self.ahead) for model in models]
        surface = FlightSurface.of(self.ground, models)
        reference = Brought.by(surface, self.ground.reference)
        carried = float(mean_of_models(reference.carried).sum())
        rest = sum(float(own.total.sum()) for own in rests) / len(rests) + carried
        seed = as_integer(seed_at(self.spec.search.seed, Branch.PLANS))
        found = plan_flight(self.ground, models, self.request.scenario(rest), self.rules, seed=seed)
        if not found.is_feasible:
            return Planned(found, models, (), None, reference, None, None)
        draws = tuple(self._drawn(model) for model in models)
        units = Units.by(self.ground, models, found.spends)
        unchanged = Units.by(self.ground, models, self.ground.reference)
        level = self.spec.bootstrap.level
        outcome = expected(self.problem, models, rests, draws, units, unchanged, level)
        return Planned(found, models, draws, Brought.by(surface, found.spends), reference, units, outcome)

    def _drawn(self, model: FittedModel) -> Draws:
        return draw(
            self.problem,
            model,
            self.places[model.candidate],
            self.calendar.horizon,
            self.ahead,
            year=self.calendar.year,
            refits=self.spec.bootstrap.refits,
            seed=self.spec.search.seed,
        )
