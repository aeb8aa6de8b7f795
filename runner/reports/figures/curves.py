"""Small multiples of response curves: one for every paid channel, each on its own scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.reports import theme
from runner.reports.data import Curve, ModelView, RunData
from runner.reports.sheet import TITLE_HEIGHT, Box, Sheet, fit, short_ticks
from runner.reports.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL_HEIGHT = 2.3  # inches, with its own two lines of heading
CELL_WIDTH = 2.35  # at least


@dataclass(frozen=True)
class Grid:
    """How many cells stand beside and above one another."""

    columns: int
    rows: int

    @classmethod
    def of(cls, n: int, width: float) -> Grid:
        """For n cells in a width: as many columns as have room, rows filled evenly."""
        most = max(1, int(width / CELL_WIDTH))
        rows = math.ceil(n / most)
        return cls(math.ceil(n / rows), rows)

    @property
    def height(self) -> float:
        """Inches, the heading of the whole included."""
        return TITLE_HEIGHT + self.rows * CELL_HEIGHT

    def cells(self, box: Box, n: int) -> list[Box]:
        """The n cells of a box, row by row."""
        width = box.width / self.columns
        top = box.y + TITLE_HEIGHT
        return [
            Box(box.x + i % self.columns * width, top + i // self.columns * CELL_HEIGHT, width, CELL_HEIGHT)
            for i in range(n)
        ]


def cell_axes(sheet: Sheet, cell: Box, name: str, colour: str, lines: list[str]) -> Axes:
    """Axes of one cell below its name and up to two lines of text."""
    width = cell.width - 0.3
    sheet.swatch(cell.x, cell.y + 0.015, colour)
    sheet.text(cell.x + 0.17, cell.y, fit(name, width - 0.17, 9.5), 9.5, weight="bold")
    for i, line in enumerate(lines):
        sheet.text(cell.x, cell.y + 0.2 + 0.15 * i, fit(line, width, 7.8), 7.8, color=theme.MUTED)
    ax = sheet.axes(cell.inside(left=0.5, top=0.26 + 0.15 * len(lines), right=0.3, bottom=0.42))
    ax.grid(axis="both")
    short_ticks(ax.xaxis, 4)
    short_ticks(ax.yaxis, 4)
    ax.tick_params(labelsize=7.5)
    return ax


def draw_curves(sheet: Sheet, box: Box, run: RunData, view: ModelView, grid: Grid) -> None:
    """Every paid channel's curve with today's point and the sampling interval."""
    words = {"outcome": theme.elide(run.spec.outcome.column, 30), "one": say(f"{run.frequency}.one")}
    sheet.heading(box, say("curves.title"), f"{say('curves.subtitle', **words)}; {_about_band(run, view)}")
    for cell, channel in zip(grid.cells(box, run.problem.n_paid), run.problem.paid, strict=True):
        curve = view.responses.get(channel)
        if curve is not None:
            _draw_curve(sheet, cell, run.names[channel], run.colours[channel], curve)


def _about_band(run: RunData, view: ModelView) -> str:
    if any(curve.has_band for curve in view.responses.values()):
        return say("curves.band", level=theme.percent(run.spec.bootstrap.level, 0))
    reason = "refits" if run.no_interval == "refits" else "curves"
    return say("curves.band.none", reason=say(f"missing.reason.{reason}"))


def _draw_curve(sheet: Sheet, cell: Box, name: str, colour: str, curve: Curve) -> None:
    i = curve.today
    spend, response = float(curve.spend[i]), float(curve.response[i])
    lines = [
        say("curves.today", spend=theme.number(spend), response=theme.number(response)),
        say("curves.marginal", marginal=theme.number(float(curve.marginal[i]))),
    ]
    if not curve.response.any():
        lines[1] = say("curves.flat")
    ax = cell_axes(sheet, cell, name, colour, lines)
    if curve.has_band:
        ax.fill_between(curve.spend, curve.lower, curve.upper, color=colour, alpha=0.18, linewidth=0)
    ax.plot(curve.spend, curve.response, color=colour, linewidth=1.8)
    ax.plot(
        [spend, spend, 0], [0, response, response], color=theme.FAINT, linewidth=0.8, linestyle=(0, (3, 2))
    )
    ax.plot([spend], [response], marker="o", color=colour, markersize=7, markeredgecolor="white", zorder=4)
    ax.set_xlim(0, float(curve.spend[-1]) or 1.0)
    high = float(curve.upper.max() if curve.has_band else curve.response.max())
    low = min(0.0, float(curve.lower.min() if curve.has_band else curve.response.min()))
    ax.set_ylim(low, 1.06 * high if high > low else 1.0)
