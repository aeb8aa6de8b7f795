"""Actual against fitted, and what is left over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmm_core.types import FloatArray
from runner.reports import theme
from runner.reports.data import ModelView, RunData
from runner.reports.sheet import TITLE_HEIGHT, Box, Sheet, short_ticks
from runner.reports.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHADES = {"val": theme.SHADE_VALIDATION, "test": theme.SHADE_TEST}
NARROW = 0.11  # parts of the split below this share of the window have no room for a word lying down


def residuals(run: RunData, view: ModelView) -> FloatArray:
    """(W,) actual less fitted."""
    left: FloatArray = run.problem.outcome[run.problem.window] - view.decomposition.fitted
    return left


def rmse(values: FloatArray) -> float:
    """Root mean square."""
    return float(np.sqrt((values**2).mean()))


def draw_fit(sheet: Sheet, box: Box, run: RunData, view: ModelView) -> None:
    """Both series above, residuals below, the split behind both."""
    whole = view.parts()[0][1].stop == run.problem.n_window
    key = "fit.subtitle.all" if whole else "fit.subtitle"
    outcome = theme.elide(run.spec.outcome.column, 30)
    sheet.heading(box, say("fit.title"), say(key, outcome=outcome, one=say(f"{run.frequency}.one")))
    inner = box.inside(left=0.55, top=TITLE_HEIGHT + 0.2, bottom=0.3)
    upper = sheet.axes(Box(inner.x, inner.y, inner.width, inner.height * 0.68))
    lower = sheet.axes(
        Box(inner.x, inner.y + inner.height * 0.74, inner.width, inner.height * 0.26), sharex=upper
    )
    dates = run.problem.dates[run.problem.window]
    _draw_series(upper, run, view)
    _draw_residuals(lower, dates, residuals(run, view))
    for name, rows in view.parts():
        _mark_part(upper, lower, dates, name, rows)
    upper.tick_params(labelbottom=False)


def _draw_series(ax: Axes, run: RunData, view: ModelView) -> None:
    dates = run.problem.dates[run.problem.window]
    actual = run.problem.outcome[run.problem.window]
    ax.plot(dates, actual, color=theme.FAINT, linewidth=2.2, label=say("fit.actual"))
    ax.plot(dates, view.decomposition.fitted, color=theme.INK, linewidth=1.2, label=say("fit.fitted"))
    ax.set_xlim(dates[0], dates[-1])
    ax.grid(axis="y")
    short_ticks(ax.yaxis, 5)
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.06), ncols=2, borderaxespad=0, handlelength=1.6)


def _draw_residuals(ax: Axes, dates: np.ndarray, left: FloatArray) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    ax.vlines(dates, 0, left, color=theme.MUTED, linewidth=1.0)
    ax.axhline(0, color=theme.INK, linewidth=0.8)
    short_ticks(ax.yaxis, 3)
    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]
    ax.set_ylabel(say("fit.residual"), fontsize=8)


def _mark_part(upper: Axes, lower: Axes, dates: np.ndarray, name: str, rows: slice) -> None:
    """Shade a part of the split from halfway before its first row, and name it."""
    first = dates[rows.start]
    last = dates[min(rows.stop, len(dates) - 1)]
    if name in SHADES:
        for ax in (upper, lower):
            ax.axvspan(first, last, color=SHADES[name], linewidth=0, zorder=0)
    is_narrow = rows.stop - rows.start < NARROW * len(dates)
    upper.annotate(
        say(name),
        (first, 1),
        (3, -3 if is_narrow else 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        rotation=-90 if is_narrow else 0,
        va="top" if is_narrow else "bottom",
        fontsize=8.5,
        color=theme.SPLIT_COLOURS[name],
        weight="bold",
    )


def draw_residual_scatter(sheet: Sheet, box: Box, run: RunData, view: ModelView) -> None:
    """Residuals against fitted values, a colour and a mark for each part of the split."""
    ax = sheet.panel(box, say("residuals.title"), say("residuals.subtitle"), left=0.55, bottom=0.55)
    left = residuals(run, view)
    for (name, rows), mark in zip(view.parts(), "os^", strict=False):
        error = theme.number(rmse(left[rows]))
        ax.scatter(
            view.decomposition.fitted[rows],
            left[rows],
            s=16,
            marker=mark,
            color=theme.SPLIT_COLOURS[name],
            alpha=0.75,
            linewidth=0,
            label=say("fit.rmse", part=say(name), rmse=error),
        )
    ax.axhline(0, color=theme.INK, linewidth=0.8)
    ax.grid(axis="both")
    short_ticks(ax.xaxis)
    short_ticks(ax.yaxis)
    outcome = theme.elide(run.spec.outcome.column, 30)
    ax.set_xlabel(say("residuals.axis", outcome=outcome, one=say(f"{run.frequency}.one")), fontsize=8.5)
    # Above the highest point, so that no point is hidden.
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.3 * (high - low))
    ax.legend(loc="upper left", borderaxespad=0.2, handletextpad=0.2)
