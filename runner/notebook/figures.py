"""Pictures of a whole run for notebooks; the page of the report draws the same facts interactively."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from runner.reports import theme
from runner.reports.data import RunData
from runner.reports.sheet import Box, Sheet

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

WIDTH = 9.0
MARGIN = 0.3
CHANNEL = 0.42  # inches a channel
INTERVAL = "sampling"


def efficiency_sheet(run: RunData) -> Sheet:
    """roas (or cpa) of every channel in every selected model, with the sampling intervals."""
    names = list(run.problem.media[: run.problem.n_paid])
    height = 1.4 + CHANNEL * len(names)
    sheet = Sheet(WIDTH, height)
    title = f"{run.metric.upper()} by channel"
    below = "a point a selected model, best first; bars are sampling intervals"
    ax = sheet.panel(_whole(height), title, below, left=1.3)
    width = 0.7 / max(len(run.models), 1)
    for m, view in enumerate(run.models):
        for p, name in enumerate(names):
            row = p + width * (m - (len(run.models) - 1) / 2)
            bar = view.intervals.get((INTERVAL, run.metric, name))
            if bar is not None and np.isfinite([bar.lower, bar.upper]).all():
                ax.plot([bar.lower, bar.upper], [row, row], color=run.colours[name], linewidth=1.5)
            if np.isfinite(view.efficiencies[p]):
                ax.plot(view.efficiencies[p], row, "o", color=run.colours[name], markersize=4)
    ax.set_yticks(range(len(names)), [theme.printable(name) for name in names])
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    return sheet


def search_sheet(candidates: pd.DataFrame) -> Sheet:
    """The smallest losses so far, iteration by iteration, a line a trial."""
    sheet = Sheet(WIDTH, 3.6)
    boxes = _whole(3.6).columns(0.5, 0.5)
    for box, loss in zip(boxes, ("nrmse", "decomp_rssd"), strict=True):
        ax = sheet.panel(box, loss, "best so far, a line a trial", left=0.45)
        for _, rows in candidates.groupby("trial"):
            best = np.minimum.accumulate(rows[loss].where(np.isfinite(rows[loss]), np.inf))
            ax.plot(rows["iteration"], best, linewidth=1.2)
        ax.set_yscale("log")
    return sheet


def pareto_sheet(candidates: pd.DataFrame, selected: list[str]) -> Sheet:
    """All candidates by their two losses, the selected models named."""
    sheet = Sheet(WIDTH, 5.0)
    ax = sheet.panel(
        _whole(5.0), "Candidates", "lower left is better; named are the selected models", left=0.5
    )
    shown = candidates.loc[
        np.flatnonzero(np.isfinite(candidates[["nrmse", "decomp_rssd"]].to_numpy()).all(axis=1))
    ]
    ax.scatter(shown["nrmse"], shown["decomp_rssd"], s=5, color=theme.MUTED, alpha=0.4, linewidths=0)
    chosen = shown.loc[shown["candidate"].isin(selected)]
    ax.scatter(chosen["nrmse"], chosen["decomp_rssd"], s=36, color=theme.INK, zorder=3)
    for _, row in chosen.iterrows():
        ax.annotate(
            row["candidate"], (row["nrmse"], row["decomp_rssd"]), xytext=(5, 5), textcoords="offset points"
        )
    _most(ax, shown, chosen)
    ax.set_xlabel("nrmse")
    return sheet


def _most(ax: Axes, shown: pd.DataFrame, chosen: pd.DataFrame) -> None:
    """Axes end where most candidates and all selected ones are inside."""
    for loss, limit in (("nrmse", ax.set_xlim), ("decomp_rssd", ax.set_ylim)):
        high = max(float(shown[loss].quantile(0.9)), float(chosen[loss].max()) if len(chosen) else 0.0)
        limit(0.95 * float(shown[loss].min()), 1.1 * high)


def _whole(height: float) -> Box:
    return Box(MARGIN, MARGIN, WIDTH - 2 * MARGIN, height - 2 * MARGIN)
