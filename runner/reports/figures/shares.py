"""What a channel costs against what it brings, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from runner.reports import theme
from runner.reports.data import Bar, ModelView, RunData
from runner.reports.sheet import (
    Box,
    Sheet,
    beside,
    label_width,
    percent_ticks,
    row_font,
    rows_axis,
    short_ticks,
)
from runner.reports.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# An axis ends at this multiple of the largest estimate, or of the median one: what goes on is drawn as an arrow.
REACH, REACH_OF_MEDIAN = 2.5, 8.0
AIR = 1.06


def draw_shares(sheet: Sheet, box: Box, run: RunData, view: ModelView) -> None:
    """Share of spend above share of effect for every paid channel, the efficiency beside them."""
    labels = [run.names[channel] for channel in run.problem.paid]
    size = row_font(box.height - 0.9, len(labels))
    subtitle = say("shares.subtitle", metric=say(run.metric))
    ax = sheet.panel(box, say("shares.title"), subtitle, left=label_width(labels, size), right=0.85)
    rows_axis(ax, labels, size)
    small = min(0.82 * size, 0.36 * 72 * (box.height - 0.9) / len(labels))  # two labels to a row
    for row, channel in enumerate(run.problem.paid):
        spend, effect = float(run.problem.spend_share[row]), float(view.effect_shares[row])
        colour = run.colours[channel]
        ax.barh(row - 0.19, spend, height=0.34, facecolor="none", edgecolor=colour, linewidth=1.1)
        ax.barh(row + 0.19, effect, height=0.34, color=colour)
        for offset, share in ((-0.19, spend), (0.19, effect)):
            ax.annotate(
                theme.percent(share, 0),
                (max(share, 0), row + offset),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=small,
                color=theme.MUTED,
            )
        beside(ax, row, theme.number(float(view.efficiencies[row])), 52, size, weight="bold")
    ax.set_xlim(left=min(0.0, float(view.effect_shares.min())), right=1.12 * ax.dataLim.x1)
    percent_ticks(ax.xaxis)
    _legend(ax, size)
    beside(ax, -0.8, say(run.metric), 52, 8.5, color=theme.MUTED)


def _legend(ax: Axes, size: float) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor="none", edgecolor=theme.MUTED, label=say("shares.spend")),
        Patch(color=theme.MUTED, label=say("shares.effect")),
    ]
    ax.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
        borderaxespad=0.1,
        borderpad=0,
        fontsize=size * 0.9,
    )


def draw_efficiency(sheet: Sheet, box: Box, run: RunData, view: ModelView) -> None:
    """ROAS or CPA with the sampling interval of the model over the spread of its cluster."""
    labels = [run.names[channel] for channel in run.problem.paid]
    size = row_font(box.height - 1.1, len(labels))
    metric = say(run.metric)
    ax = sheet.panel(
        box,
        say("efficiency.title", metric=metric),
        _subtitle(run, view),
        left=label_width(labels, size),
        right=1.72,
        bottom=0.55,
    )
    rows_axis(ax, labels, size)
    bars = [
        [view.intervals.get((kind, run.metric, c)) for c in run.problem.paid]
        for kind in ("sampling", "cluster")
    ]
    known = [bar for row in bars for bar in row if bar is not None and bar.is_known]
    estimates = [*view.efficiencies, *(bar.estimate for bar in known)]
    limit = axis_limit(estimates, [bar.upper for bar in known])
    ends = [*view.efficiencies, *(b.lower for row in bars for b in row if b)]
    low = min([0.0, *(float(end) for end in ends if math.isfinite(end))])
    # A little below zero, so that marks at zero are whole.
    ax.set_xlim(max(low, -limit) - 0.015 * limit, limit)
    for row, channel in enumerate(run.problem.paid):
        draw_bar(ax, row, bars[1][row], theme.GRID, 0.56 * ROW_POINTS / max(1, len(labels)), limit)
        draw_bar(ax, row, bars[0][row], run.colours[channel], 2.2, limit)
        _draw_estimate(ax, row, float(view.efficiencies[row]), run.colours[channel], limit)
        _write(ax, row, float(view.efficiencies[row]), bars[0][row], size)
    short_ticks(ax.xaxis)
    outcome = theme.elide(run.spec.outcome.column, 30)
    ax.set_xlabel(say(f"efficiency.axis.{run.metric}", outcome=outcome), fontsize=8.5)


ROW_POINTS = 150.0  # height of the rows' part of the panel in points, for the width of the grey band


def _subtitle(run: RunData, view: ModelView) -> str:
    own = [
        bar
        for (kind, quantity, _), bar in view.intervals.items()
        if (kind, quantity) == ("sampling", run.metric)
    ]
    like = [
        bar
        for (kind, quantity, _), bar in view.intervals.items()
        if (kind, quantity) == ("cluster", run.metric)
    ]
    sampling = say("efficiency.subtitle.none", reason=say(f"missing.reason.{run.no_interval}"))
    if own:
        sampling = say("efficiency.subtitle", level=theme.percent(own[0].level, 0), n=f"{own[0].n:,}")
    cluster = say("efficiency.cluster.none", cluster=view.cluster)
    if like:
        level = theme.percent(like[0].level, 0)
        cluster = say("efficiency.cluster", level=level, n=like[0].n, cluster=view.cluster)
    return f"{sampling}; {cluster}" if own or like else sampling


def axis_limit(estimates: Sequence[float], uppers: Sequence[float] = ()) -> float:
    """Where an axis of efficiencies ends: a little beyond the farthest end, but never so far that estimates shrink."""
    known = [abs(value) for value in estimates if math.isfinite(value)]
    if not known:
        return 1.0
    farthest = max(*known, *(abs(value) for value in uppers), 0.0)
    of_median = REACH_OF_MEDIAN * float(np.median(known)) or math.inf
    return min(AIR * farthest, REACH * max(known), of_median) or 1.0


def draw_bar(ax: Axes, row: float, bar: Bar | None, colour: str, width: float, limit: float) -> None:
    """A horizontal interval, with an arrow where it goes on beyond the axis."""
    if bar is None or not bar.is_known:
        return
    low, high = max(bar.lower, ax.get_xlim()[0]), min(bar.upper, limit)
    if low < limit:
        ax.plot([low, high], [row, row], color=colour, linewidth=width, solid_capstyle="butt", zorder=2)
    if bar.upper > limit:
        ax.plot([limit * 0.985], [row], marker=">", color=colour, markersize=6, zorder=3, clip_on=False)


def _draw_estimate(ax: Axes, row: int, value: float, colour: str, limit: float) -> None:
    if value <= limit:
        ax.plot([value], [row], marker="o", color=colour, markersize=7, markeredgecolor="white", zorder=4)
    else:
        ax.plot([limit * 0.985], [row], marker=">", color=colour, markersize=6, zorder=3, clip_on=False)


def _write(ax: Axes, row: int, value: float, bar: Bar | None, size: float) -> None:
    beside(ax, row, theme.number(value), 46, size, weight="bold")
    if bar is not None and bar.is_known:
        text = f"{theme.number(bar.lower)} – {theme.number(bar.upper)}"
        beside(ax, row, text, 122, 0.9 * size, color=theme.MUTED)
