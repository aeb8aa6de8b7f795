"""How long media go on working: adstock, and the split of what they brought."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.adstock import weights
from mmm_core.types import Adstock, ChannelCurve, FloatArray
from runner.reports import theme
from runner.reports.data import ModelView, RunData
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

# Weights below this part of the peak are not worth showing.
FADED = 0.02


def half_life(theta: float) -> float:
    """Periods after which half of an exposure's weight is left under geometric adstock: log(1/2) / log(theta)."""
    return math.log(0.5) / math.log(theta) if theta > 0 else 0.0


def draw_adstock(sheet: Sheet, box: Box, run: RunData, view: ModelView) -> None:
    """Theta bars with half-lives, or the decay curve of every medium."""
    labels = [run.names[medium] for medium in run.problem.media]
    size = row_font(box.height - 1.1, len(labels))
    kind = "geometric" if run.problem.adstock is Adstock.GEOMETRIC else "weibull"
    words = {"one": say(f"{run.frequency}.one"), "many": say(f"{run.frequency}.many")}
    ax = sheet.panel(
        box,
        say("adstock.title"),
        say(f"adstock.subtitle.{kind}", **words),
        left=label_width(labels, size),
        right=1.55,
        bottom=0.55,
    )
    rows_axis(ax, labels, size)
    if kind == "geometric":
        _draw_thetas(ax, run, view, size)
    else:
        _draw_decays(ax, run, view, size)
    ax.set_xlabel(say(f"adstock.axis.{kind}", **words), fontsize=8.5)


def _draw_thetas(ax: Axes, run: RunData, view: ModelView, size: float) -> None:
    for row, curve in enumerate(view.curves):
        theta = curve.adstock_parameters[0]
        ax.barh(row, theta, height=0.62, color=run.colours[curve.channel])
        life = half_life(theta)
        text = say("adstock.halflife", time=f"{life:.1f}", many=say(f"{run.frequency}.many"))
        if life < 0.05:
            text = say("adstock.instant")
        ax.annotate(
            f"{theta:.2f}", (theta, row), (4, 0), textcoords="offset points", va="center", fontsize=size
        )
        beside(ax, row, text, 109, 0.9 * size, color=theme.MUTED)
    ax.set_xlim(0, 1.05)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])


def decay(curve: ChannelCurve, n_periods: int) -> FloatArray:
    """Weights of an exposure by periods since, scaled to a peak of 1."""
    w = weights(curve.adstock, curve.adstock_parameters, n_periods)
    peak = float(w.max())
    return w / peak if peak > 0 else w


def _draw_decays(ax: Axes, run: RunData, view: ModelView, size: float) -> None:
    decays = [decay(curve, run.problem.n_periods) for curve in view.curves]
    last = max(4, *(int(np.flatnonzero(w >= FADED).max(initial=0)) + 1 for w in decays))
    for row, (curve, w) in enumerate(zip(view.curves, decays, strict=True)):
        lags, height = np.arange(min(last + 1, len(w))), 0.86
        top = row + 0.4 - height * w[: len(lags)]
        colour = run.colours[curve.channel]
        ax.fill_between(lags, row + 0.4, top, color=colour, alpha=0.35, linewidth=0)
        ax.plot(lags, top, color=colour, linewidth=1.4)
        beside(ax, row, _half_of(w, run.frequency), 109, 0.9 * size, color=theme.MUTED)
    ax.set_xlim(0, last)
    short_ticks(ax.xaxis, 6)


def _half_of(w: FloatArray, frequency: str) -> str:
    """Within how many periods half of the whole weight has worked; the own period counts as one."""
    if w[1:].max(initial=0.0) < FADED:
        return say("adstock.instant")
    cumulated = np.cumsum(w)
    within = int(np.searchsorted(cumulated, cumulated[-1] / 2)) + 1
    return say("adstock.half", time=within, many=say(f"{frequency}.{'one' if within == 1 else 'many'}"))


def draw_carryover(sheet: Sheet, box: Box, run: RunData, view: ModelView) -> None:
    """Immediate (full) and carried-over (pale) part of every medium's contribution."""
    labels = [run.names[medium] for medium in run.problem.media]
    size = row_font(box.height - 1.1, len(labels))
    ax = sheet.panel(
        box,
        say("carryover.title"),
        say("carryover.subtitle"),
        left=label_width(labels, size),
        right=0.5,
        bottom=0.55,
    )
    rows_axis(ax, labels, size)
    immediate = view.decomposition.immediate.sum(axis=1)
    carryover = view.decomposition.carryover.sum(axis=1)
    for row, medium in enumerate(run.problem.media):
        total = immediate[row] + carryover[row]
        if total == 0:
            ax.annotate(
                say("carryover.none"),
                (0, row),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=size,
            )
            continue
        now, later = immediate[row] / total, carryover[row] / total
        colour = run.colours[medium]
        ax.barh(row, now, height=0.62, color=colour)
        ax.barh(
            row, later, left=now, height=0.62, color=theme.tint(colour, 0.62), hatch="////", edgecolor="white"
        )
        beside(ax, row, theme.percent(later, 0), 34, size)
    ax.set_xlim(0, 1)
    percent_ticks(ax.xaxis)
    sheet.legend(box.x + box.width, box.y + box.height - 0.2, _handles(), anchor="upper right")


def _handles() -> list[Any]:
    from matplotlib.patches import Patch

    return [
        Patch(color=theme.MUTED, label=say("carryover.immediate")),
        Patch(
            facecolor=theme.tint(theme.MUTED, 0.62),
            hatch="////",
            edgecolor="white",
            label=say("carryover.carryover"),
        ),
    ]
