"""Contributions of the components, one on top of the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mmm_core.types import Role
from runner.reports import theme
from runner.reports.data import ModelView, RunData, roles_of
from runner.reports.sheet import Box, Sheet, beside, label_width, row_font, rows_axis, short_ticks
from runner.reports.words import say

ROLE_COLOURS = {Role.BASELINE: theme.BASELINE, Role.CONTEXT: theme.CONTEXT}
LABEL_ROOM = 0.24  # part of the axis kept free for the numbers beside the bars


class Step(NamedTuple):
    """One bar of the waterfall."""

    label: str
    value: float
    colour: str


def waterfall_steps(run: RunData, view: ModelView) -> list[Step]:
    """Intercept, baseline and context, then media; within each group the largest first."""
    roles, total = roles_of(run.problem), dict(zip(run.problem.columns, view.contributions, strict=True))
    base = [name for name in run.problem.columns if roles[name] in ROLE_COLOURS]
    media = [name for name in run.problem.columns if roles[name] not in ROLE_COLOURS]
    intercept = view.model.intercept * len(view.decomposition.fitted)
    steps = [Step(say("intercept"), intercept, theme.INTERCEPT)] if intercept else []
    for group in (base, media):
        for name in sorted(group, key=lambda name: -total[name]):
            colour = run.colours.get(name) or ROLE_COLOURS[roles[name]]
            steps.append(Step(run.names[name], float(total[name]), colour))
    return steps


def draw_waterfall(sheet: Sheet, box: Box, run: RunData, view: ModelView) -> None:
    """The waterfall, its numbers in a column at the right."""
    steps = waterfall_steps(run, view)
    labels = [*(step.label for step in steps), say("waterfall.total")]
    subtitle = say("waterfall.subtitle", outcome=theme.elide(run.spec.outcome.column, 30))
    size = row_font(box.height - 0.9, len(labels))
    ax = sheet.panel(box, say("waterfall.title"), subtitle, left=label_width(labels, size), right=1.35)
    rows_axis(ax, labels, size)
    edges = np.concatenate([[0.0], np.cumsum([step.value for step in steps])])
    for row, step in enumerate(steps):
        ax.barh(
            row,
            step.value,
            left=edges[row],
            height=0.68,
            color=step.colour,
            hatch="////" if step.value < 0 else None,
        )
        ax.plot([edges[row + 1]] * 2, [row, row + 1], color=theme.FAINT, linewidth=0.7)
    ax.barh(len(steps), edges[-1], height=0.68, color=theme.INK)
    ax.axvline(0, color=theme.FAINT, linewidth=0.8)
    short_ticks(ax.xaxis)
    for row, value in enumerate([*(step.value for step in steps), edges[-1]]):
        share = theme.percent(value / edges[-1]) if edges[-1] else theme.percent(None)
        beside(ax, row, theme.number(value), 46, size)
        beside(ax, row, share, 96, size, color=theme.MUTED)
