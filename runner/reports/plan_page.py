"""One page about one plan."""

from __future__ import annotations

from collections.abc import Sequence

from runner.reports import theme
from runner.reports.data import PlanView, RunData, ScenarioView
from runner.reports.figures.curves import Grid
from runner.reports.figures.plans import (
    STATUS_COLOURS,
    TABLE_ROW,
    draw_channels,
    draw_notes,
    draw_plan_curves,
    draw_totals,
    draw_views,
)
from runner.reports.sheet import GAP, MARGIN, ROW, TITLE_HEIGHT, WIDTH, Box, Sheet, fit
from runner.reports.words import DEFAULT, day, say, spoken

HEAD = 1.5
MOST_NOTES = 12


def plan_page(run: RunData, view: ScenarioView) -> Sheet | None:
    """The sheet of a scenario; None where its stage did not finish."""
    shared = view.shared
    if shared is None:
        return None
    inner = WIDTH - 2 * MARGIN
    grid = Grid.of(run.problem.n_paid, inner)
    notes = [_short(run, note) for note in view.notes[:MOST_NOTES]]
    if len(view.notes) > MOST_NOTES:
        notes.append(say("plan.notes.more", n=len(view.notes) - MOST_NOTES))
    heights = [
        max(2.2, TITLE_HEIGHT + 0.3 + TABLE_ROW * (1 + len(view.own))),
        max(2.9, 1.2 + 1.2 * ROW * run.problem.n_paid),
        grid.height,
    ]
    title = say("plan.title", scenario=theme.elide(theme.printable(view.name), 60))
    sheet = Sheet(WIDTH, MARGIN + HEAD + sum(heights) + GAP * 3 + 0.2 * len(notes), title)
    _head(sheet, run, view, shared)
    y, boxes = MARGIN + HEAD, []
    for height in heights:
        boxes.append(Box(MARGIN, y, inner, height))
        y += height + GAP
    left, right = boxes[0].columns(0.64, 0.36, gap=0.8)
    draw_totals(sheet, left, run, view, shared)
    if view.seen:
        draw_views(sheet, right, view)
    draw_channels(sheet, boxes[1], run, shared)
    draw_plan_curves(sheet, boxes[2], run, view, shared, grid)
    draw_notes(sheet, MARGIN, y - 0.2, inner, notes)
    return sheet


def _short(run: RunData, note: str) -> str:
    """A note with the names of channels as sentences say them, so that a long name leaves room for what is noted."""
    for channel in run.problem.paid:
        if len(channel) > theme.MAX_NAME:
            note = note.replace(channel, theme.called(channel))
    return theme.printable(note)


def _head(sheet: Sheet, run: RunData, view: ScenarioView, shared: PlanView) -> None:
    inner = WIDTH - 2 * MARGIN
    colour = STATUS_COLOURS[shared.status]
    sheet.text(MARGIN, MARGIN - 0.1, fit(sheet.title, inner, 24, bold=True), 24, weight="bold")
    sheet.text(
        MARGIN,
        MARGIN + 0.42,
        fit("  ·  ".join(asked_of(run, view, shared)), inner, 11),
        11,
        color=theme.MUTED,
    )
    message = outcome_of(view, shared)
    sheet.swatch(MARGIN, MARGIN + 0.76, colour, 0.14)
    sheet.text(
        MARGIN + 0.22,
        MARGIN + 0.74,
        fit(message, inner - 0.22, 11, bold=True),
        11,
        color=colour,
        weight="bold",
    )
    sheet.line(MARGIN + HEAD - 0.35, MARGIN, inner)


def asked_of(run: RunData, view: ScenarioView, shared: PlanView) -> list[str]:
    """What a scenario asks for: goal, horizon, bounds, carryover, flighting."""
    many = say(f"{run.frequency}.many")
    horizon = say("plan.horizon", start=day(shared.start), end=day(shared.end), n=shared.n_periods, many=many)
    carryover = say(f"plan.carryover.{shared.columns['carryover'][0]}")
    flighting = say(f"plan.flighting.{shared.columns['flighting'][0]}", many=many)
    return [goal_of(view, shared, run.metric), horizon, *_bounds(shared), carryover, flighting]


def goal_of(view: ScenarioView, shared: PlanView, metric: str) -> str:
    """The goal of a scenario in words."""
    asked = view.asked
    if asked is None:
        return say(f"plan.goal.other.{shared.columns['goal'][0]}")
    if asked.goal == "target_outcome":
        return say("plan.goal.outcome", target=theme.amount(asked.target))
    if asked.goal == "target_efficiency":
        return say(f"plan.goal.{asked.measure}.{metric}", target=theme.number(asked.target))
    rule = say("plan.rule.at_most") if asked.constraint == "at_most" else ""
    if asked.total_budget is None and asked.budget_per_period is None:
        return say("plan.goal.max_response.own", rule=rule)
    per_period = (asked.budget_per_period or 0.0) * shared.n_periods
    budget = per_period if asked.total_budget is None else asked.total_budget
    return say("plan.goal.max_response", budget=theme.amount(budget), rule=rule)


def _bounds(shared: PlanView) -> Sequence[str]:
    """Bounds as multiples of today's spend, of the channels that spend today."""
    rows = shared["initial_spend"] > 0
    if not rows.any():
        return ()
    low = shared["lower_spend"][rows] / shared["initial_spend"][rows]
    high = shared["upper_spend"][rows] / shared["initial_spend"][rows]
    alike = float(low.max() - low.min()) < 1e-9 and float(high.max() - high.min()) < 1e-9
    key = "plan.bounds" if alike else "plan.bounds.own"
    return (say(key, low=f"{low.min():.3g}", high=f"{high.max():.3g}"),)


def outcome_of(view: ScenarioView, shared: PlanView) -> str:
    """The sentence on how the plan ended: the allocator's own, which is English, or what its table says."""
    if view.message and spoken() == DEFAULT:
        return theme.printable(view.message)
    if shared.status == "infeasible":
        low, high = (theme.amount(shared.total(f"{end}_spend")) for end in ("lower", "upper"))
        return say("plan.infeasible", low=low, high=high)
    if shared.status == "not_converged":
        return say("plan.not_converged")
    response = theme.amount(shared.total("optimised_response"))
    return say("plan.solved", response=response, lift=theme.signed_percent(shared.lift))
