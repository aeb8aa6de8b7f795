"""Panels of a plan: totals, what single models think of it, and every channel before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.types import FloatArray
from runner.reports import theme
from runner.reports.data import PlanView, RunData, ScenarioView, total_efficiency
from runner.reports.figures.curves import Grid, cell_axes
from runner.reports.figures.shares import REACH
from runner.reports.sheet import (
    TITLE_HEIGHT,
    Box,
    Sheet,
    beside,
    fit,
    label_width,
    row_font,
    rows_axis,
    short_ticks,
)
from runner.reports.words import say
from runner.summary import ENSEMBLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STATUS_COLOURS = {"solved": theme.GOOD, "infeasible": theme.BAD, "not_converged": "#9A5B00"}
TABLE_ROW = 0.27
# Right edges of the columns after the first two, as parts of the table's width.
EDGES = (0.42, 0.53, 0.66, 0.77, 0.87, 0.96, 1.05)


def draw_totals(sheet: Sheet, box: Box, run: RunData, view: ScenarioView, shared: PlanView) -> None:
    """Totals of the shared plan and of each model's own, as a table."""
    sheet.heading(
        box, say("plan.totals.title"), say("plan.totals.subtitle" if shared.is_answer else "plan.totals.none")
    )
    y, width = box.y + TITLE_HEIGHT + 0.05, box.width / EDGES[-1]
    second = box.x + 0.195 * width
    today, planned = say("plan.today"), say("plan.planned")
    spend, response, metric = say("plan.head.spend"), say("plan.head.response"), say(run.metric)
    heads = [
        f"{spend} {today}",
        planned,
        f"{response} {today}",
        planned,
        say("plan.head.change"),
        metric,
        planned,
    ]
    sheet.text(box.x, y, say("plan.head.model"), 9, color=theme.MUTED)
    sheet.text(second, y, say("plan.head.status"), 9, color=theme.MUTED)
    for edge, head in zip(EDGES, heads, strict=True):
        sheet.text(box.x + edge * width, y, head, 9, color=theme.MUTED, ha="right")
    for row, (name, plan) in enumerate([(say("plan.ensemble"), shared), *view.own.items()], start=1):
        top, weight = y + TABLE_ROW * row, "bold" if row == 1 else "normal"
        sheet.text(box.x, top, name, 10, weight=weight)
        sheet.text(second, top, say(f"plan.status.{plan.status}"), 10, color=STATUS_COLOURS[plan.status])
        for edge, value in zip(EDGES, totals(run, plan), strict=True):
            sheet.text(box.x + edge * width, top, value, 10, ha="right", weight=weight)


def totals(run: RunData, plan: PlanView) -> list[str]:
    """Spend and response, today and planned, the change of response, and ROAS or CPA today and planned."""
    after = [
        theme.total(plan.total("optimised_spend")),
        theme.total(plan.total("optimised_response")),
        theme.signed_percent(plan.lift),
        theme.number(total_efficiency(run.problem, plan, "optimised")),
    ]
    if not plan.is_answer:
        after = [say("nothing")] * 4
    before = [theme.total(plan.total(f"initial_{what}")) for what in ("spend", "response")]
    today = theme.number(total_efficiency(run.problem, plan, "initial"))
    return [before[0], after[0], before[1], after[1], after[2], today, after[3]]


def draw_views(sheet: Sheet, box: Box, view: ScenarioView) -> None:
    """Change of response that the shared plan brings in each model, over what its own plan would bring."""
    labels = list(view.seen)
    size = row_font(box.height - 0.95, len(labels))
    ax = sheet.panel(
        box, say("plan.views.title"), say("plan.views.subtitle"), left=label_width(labels, size), right=0.65
    )
    rows_axis(ax, labels, size)
    for row, (candidate, lift) in enumerate(view.seen.items()):
        own = view.own[candidate]
        if own.is_answer:
            ax.barh(row, own.lift, height=0.72, color=theme.GRID)
        ax.barh(row, lift, height=0.4, color=theme.GOOD if lift >= 0 else theme.BAD)
        beside(ax, row, theme.signed_percent(lift), 45, size, weight="bold")
    ax.axvline(0, color=theme.INK, linewidth=0.8)
    _percent_axis(ax)


def _percent_axis(ax: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=2))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{theme.tick(value * 100)}%"))


# ------------------------------------------------------------------------------------------------- channel by channel


def draw_channels(sheet: Sheet, box: Box, run: RunData, shared: PlanView) -> None:
    """Spend with its bounds, response, marginal response and efficiency of every channel, today and planned."""
    labels = [run.names[channel] for channel in run.problem.paid]
    size = row_font(box.height - 1.1, len(labels))
    outcome, one = theme.elide(run.spec.outcome.column, 30), say(f"{run.frequency}.one")
    room = label_width(labels, size)
    spend, *others = box.inside(left=room).columns(0.34, 0.24, 0.21, 0.21, gap=0.35)
    n = shared.n_periods
    panels = [
        ("spend", Box(box.x, box.y, spend.width + room, box.height), shared, 1 / n),
        ("response", others[0], shared, 1 / n),
        ("marginal", others[1], shared, 1.0),
        ("efficiency", others[2], shared, 1.0),
    ]
    for name, place, plan, scale in panels:
        column = run.metric if name == "efficiency" else name
        title = say(f"plan.{name}.title", metric=say(run.metric))
        ax = sheet.panel(
            place,
            title,
            say(f"plan.{name}.subtitle", outcome=outcome, one=one),
            left=room if name == "spend" else 0,
            right=0.62,
        )
        rows_axis(ax, labels if name == "spend" else [""] * len(labels), size)
        limit = math.inf
        if name == "spend":
            _draw_bounds(ax, plan, scale)
        if name == "efficiency" and run.metric == "cpa":
            limit = REACH * total_efficiency(run.problem, plan, "initial")
        before, after = scale * plan[f"initial_{column}"], scale * plan[f"optimised_{column}"]
        _draw_change(ax, before, after, [run.colours[c] for c in run.problem.paid], size, limit)
    sheet.legend(box.x, box.y + box.height - 0.12, _handles(shared))


def _draw_bounds(ax: Axes, plan: PlanView, scale: float) -> None:
    lower, upper = scale * plan["lower_spend"], scale * plan["upper_spend"]
    ax.barh(range(len(lower)), upper - lower, left=lower, height=0.56, color=theme.GRID)


def _draw_change(
    ax: Axes, before: FloatArray, after: FloatArray, colours: Sequence[str], size: float, limit: float
) -> None:
    """A ring for today, a dot for the plan, a line between them, and the change in per cent."""
    for row, (today, planned, colour) in enumerate(zip(before, after, colours, strict=True)):
        known = math.isfinite(today) and today <= limit
        if math.isfinite(planned) and planned <= limit:
            if known:
                ax.plot([today, planned], [row, row], color=colour, linewidth=2)
            ax.plot(
                [planned], [row], marker="o", color=colour, markersize=8, markeredgecolor="white", zorder=4
            )
        if known:
            ax.plot([today], [row], marker="o", zorder=5, **ring(colour))
        if math.isfinite(planned):
            beside(ax, row, change(today, planned), 43, size)
    low, high = ax.dataLim.x0, ax.dataLim.x1
    # Room for the marks, which are wider than their points.
    room = 0.05 * (high - min(low, 0.0)) or 1.0
    ax.set_xlim(min(low, 0.0) - room / 2, high + room)
    short_ticks(ax.xaxis, 4)


def ring(colour: str) -> dict[str, Any]:
    """The mark of today's spend."""
    return {"markersize": 6.5, "markerfacecolor": "white", "markeredgecolor": colour, "markeredgewidth": 1.6}


def change(before: float, after: float) -> str:
    """From one amount to another in per cent."""
    if not math.isfinite(before) or before == 0:
        return say("nothing") if before == after or not math.isfinite(before) else say("plans.new")
    return theme.signed_percent(after / before - 1, 0)


def _handles(plan: PlanView) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Line2D([], [], marker="o", linestyle="none", label=say("plan.today"), **ring(theme.MUTED))
    ]
    if plan.is_answer:
        dot = Line2D(
            [], [], marker="o", linestyle="none", markersize=8, color=theme.MUTED, label=say("plan.planned")
        )
        handles.append(dot)
    return [*handles, Patch(color=theme.GRID, label=say("plan.limits"))]


# ----------------------------------------------------------------------------------------------------------- the curves


def draw_plan_curves(
    sheet: Sheet, box: Box, run: RunData, view: ScenarioView, shared: PlanView, grid: Grid
) -> None:
    """Every paid channel's response over the horizon, of the mean and of each model, with both spends."""
    words = {"outcome": theme.elide(run.spec.outcome.column, 30), "one": say(f"{run.frequency}.one")}
    sheet.heading(box, say("plan.curves.title"), say("plan.curves.subtitle", **words))
    n = shared.n_periods
    for p, (cell, channel) in enumerate(
        zip(grid.cells(box, run.problem.n_paid), run.problem.paid, strict=True)
    ):
        colour = run.colours[channel]
        ax = cell_axes(sheet, cell, run.names[channel], colour, [_spends(shared, p)])
        spends = view.spends[p] / n
        ax.axvspan(
            shared["lower_spend"][p] / n,
            shared["upper_spend"][p] / n,
            color=theme.GRID,
            alpha=0.7,
            linewidth=0,
            zorder=0,
        )
        for candidate, responses in view.curves.items():
            width = 2.0 if candidate == ENSEMBLE else 0.7
            line = colour if candidate == ENSEMBLE else theme.tint(colour, 0.35)
            ax.plot(spends, responses[p] / n, color=line, linewidth=width)
        _mark(ax, shared, p, colour)
        ax.set_xlim(0, float(spends[-1]))
        high = max(float(np.max(responses[p])) for responses in view.curves.values()) / n
        low = min(0.0, *(float(np.min(responses[p])) for responses in view.curves.values())) / n
        ax.set_ylim(low, 1.06 * high if high > low else 1.0)


def _spends(plan: PlanView, p: int) -> str:
    before, after = plan["initial_spend"][p] / plan.n_periods, plan["optimised_spend"][p] / plan.n_periods
    told = f"{say('plan.today')} {theme.number(before)}"
    return f"{told}, {say('plan.planned')} {theme.number(after)}" if math.isfinite(after) else told


def _mark(ax: Axes, plan: PlanView, p: int, colour: str) -> None:
    n = plan.n_periods
    if plan.is_answer:
        at = plan["optimised_spend"][p] / n, plan["optimised_response"][p] / n
        ax.plot(*([v] for v in at), marker="o", color=colour, markersize=8, markeredgecolor="white", zorder=4)
    at = plan["initial_spend"][p] / n, plan["initial_response"][p] / n
    ax.plot(*([v] for v in at), marker="o", zorder=5, **ring(colour))


def draw_notes(sheet: Sheet, x: float, y: float, width: float, notes: Sequence[str]) -> None:
    """One line a note."""
    for i, note in enumerate(notes):
        sheet.text(x, y + 0.2 * i, fit(note, width, 9), 9, color=theme.MUTED)
