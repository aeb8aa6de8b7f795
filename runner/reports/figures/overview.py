"""Pictures of the run as a whole: efficiencies over the models, convergence, the cloud of candidates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mmm_core.types import FloatArray
from runner.reports import theme
from runner.reports.data import RunData, trial_files
from runner.reports.figures.shares import axis_limit, draw_bar
from runner.reports.sheet import Box, Sheet, label_width, rows_axis, short_ticks
from runner.reports.words import say

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

WIDTH = 9.6
CLOUD_QUANTILE = 0.9  # of all candidates' losses; what lies beyond is not looked at by the selection either


# ---------------------------------------------------------------------------------------------- efficiency over models


def efficiency_overview(run: RunData) -> Sheet:
    """Every channel's ROAS or CPA in every selected model, with sampling intervals; the best model thick."""
    channels, n_models = run.problem.paid, len(run.models)
    labels = [run.names[channel] for channel in channels]
    row = max(0.34, 0.16 + 0.075 * n_models)
    sheet = Sheet(WIDTH, 0.75 + row * len(channels))
    room = label_width(labels, 10) + 0.1
    ax = sheet.axes(Box(room, 0.12, WIDTH - room - 0.3, row * len(channels)))
    rows_axis(ax, labels, 10)
    bars = {
        (view.candidate, channel): view.intervals.get(("sampling", run.metric, channel))
        for view in run.models
        for channel in channels
    }
    limit = axis_limit([value for view in run.models for value in view.efficiencies])
    ends = [bar.lower for bar in bars.values() if bar and math.isfinite(bar.lower)]
    ends += [float(value) for view in run.models for value in view.efficiencies]
    right = _right_end(run, limit)
    ax.set_xlim(max(min([0.0, *ends]), -limit) - 0.01 * right, right)
    for i, view in enumerate(run.models):
        offset = 0.0 if n_models == 1 else 0.62 * (i / (n_models - 1) - 0.5)
        for p, channel in enumerate(channels):
            colour = run.colours[channel] if i == 0 else theme.tint(run.colours[channel], 0.45)
            draw_bar(ax, p + offset, bars[view.candidate, channel], colour, 2.4 if i == 0 else 1.1, limit)
            value = float(view.efficiencies[p])
            if math.isfinite(value) and value <= limit:
                size = 7 if i == 0 else 4.5
                ax.plot(
                    [value],
                    [p + offset],
                    marker="o",
                    color=colour,
                    markersize=size,
                    markeredgecolor="white",
                    zorder=4,
                )
    short_ticks(ax.xaxis, 6)
    ax.set_xlabel(say("overview.axis", metric=say(run.metric)), fontsize=10)
    ax.tick_params(axis="x", labelsize=9.5)
    return sheet


def _right_end(run: RunData, limit: float) -> float:
    """No further than the longest interval, so that short ones are not drawn on an empty axis."""
    ends = [
        bar.upper
        for view in run.models
        for (kind, quantity, _), bar in view.intervals.items()
        if _is_own(run, kind, quantity)
    ]
    ends += [float(value) for view in run.models for value in view.efficiencies]
    known = [end for end in ends if math.isfinite(end)]
    is_open = len(known) < len(ends)
    return limit if is_open or not known else min(limit, 1.06 * max(known)) or 1.0


def _is_own(run: RunData, kind: str, quantity: str) -> bool:
    return kind == "sampling" and quantity == run.metric


# --------------------------------------------------------------------------------------------------------- convergence


def convergence_figure(table: pa.Table) -> Sheet:
    """Median and spread of each loss over the search, with what the median has to fall below."""
    rows = table.to_pylist()
    losses = list(dict.fromkeys(row["loss"] for row in rows))
    sheet = Sheet(WIDTH, 3.1)
    boxes = Box(0.75, 0.5, WIDTH - 0.95, 2.05).columns(*[1.0] * len(losses), gap=0.8)
    for box, loss in zip(boxes, losses, strict=True):
        own = [row for row in rows if row["loss"] == loss]
        key = "convergence.yes" if own[-1]["is_converged"] else "convergence.no"
        colour = theme.GOOD if own[-1]["is_converged"] else theme.BAD
        sheet.text(box.x, 0.12, say(key, loss=say(f"loss.{loss}")), 11, weight="bold", color=colour)
        _draw_convergence(sheet.axes(box), own)
    return sheet


def _draw_convergence(ax: Axes, rows: list[dict[str, Any]]) -> None:
    at = np.array([(row["first_iteration"] + row["last_iteration"]) / 2 for row in rows])
    median = np.array([row["median"] for row in rows])
    sd = np.nan_to_num(np.array([row["sd"] for row in rows], dtype=np.float64))
    ax.fill_between(
        at, np.maximum(median - sd, 0), median + sd, color=theme.BASELINE, alpha=0.35, linewidth=0
    )
    ax.plot(at, median, color=theme.INK, linewidth=1.6)
    threshold = rows[-1]["median_threshold"]
    top = float((median + sd).max())
    # Without a spread in the first stretches there is nothing to fall below.
    if threshold is not None and math.isfinite(threshold):
        ax.axhline(threshold, color=theme.BAD, linewidth=1, linestyle=(0, (4, 3)))
        ax.annotate(
            say("convergence.threshold"),
            (1, threshold),
            (0, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
            color=theme.BAD,
        )
        top = max(top, threshold)
    ax.set_ylim(0, 1.12 * top or 1.0)
    ax.set_xlim(0, rows[-1]["last_iteration"])
    ax.grid(axis="y")
    short_ticks(ax.xaxis)
    short_ticks(ax.yaxis)
    ax.set_xlabel(say("convergence.axis"), fontsize=9)


# --------------------------------------------------------------------------------------------------------------- cloud


class Cloud(NamedTuple):
    """Finite losses of the candidates and their place in the search, 0 to 1; and how many candidates there are."""

    n_candidates: int
    nrmse: FloatArray
    decomp_rssd: FloatArray
    place: FloatArray

    @classmethod
    def of(cls, run: RunData) -> Cloud | None:
        """From the journals; None if there is none."""
        import pyarrow.parquet as pq

        names = ["iteration", "nrmse", "decomp_rssd"]
        tables = [pq.ParquetFile(path).read(columns=names) for path in trial_files(run.folder.path)]
        if not tables:
            return None
        columns = [np.concatenate([t[name].to_numpy() for t in tables]).astype(np.float64) for name in names]
        known = np.isfinite(columns[1]) & np.isfinite(columns[2])
        place = columns[0][known] / float(columns[0].max(initial=1.0))
        return cls(len(known), columns[1][known], columns[2][known], place)

    def limits(self, others: FloatArray) -> tuple[float, float]:
        """Where the two axes end: most of the candidates and all of the others, rows (nrmse, decomp_rssd), inside."""
        ends = []
        for values, kept in zip((self.nrmse, self.decomp_rssd), others, strict=True):
            quantile = float(np.quantile(values, CLOUD_QUANTILE)) if len(values) else 1.0
            ends.append(1.05 * max(quantile, *kept) if len(kept) else quantile)
        # One channel has the share 1 of both spend and effect, so its Decomp.RSSD is 0 everywhere.
        return ends[0] or 1.0, ends[1] or 1.0

    def hidden(self, limits: tuple[float, float]) -> int:
        """How many lie outside."""
        return int(((self.nrmse > limits[0]) | (self.decomp_rssd > limits[1])).sum())


def kept_losses(run: RunData) -> FloatArray:
    """(2, n) NRMSE and Decomp.RSSD of the candidates on the fronts kept."""
    if run.pareto is None:
        return np.empty((2, 0))
    return np.array([run.pareto[name].to_numpy() for name in ("nrmse", "decomp_rssd")], dtype=np.float64)


def cloud_figure(run: RunData, cloud: Cloud, limits: tuple[float, float]) -> Sheet:
    """All candidates, the fronts kept, and the selected ones under the number of their cluster."""
    sheet = Sheet(WIDTH, 5.6)
    ax = sheet.axes(Box(0.75, 0.15, WIDTH - 1.0, 4.65))
    shown = (cloud.nrmse <= limits[0]) & (cloud.decomp_rssd <= limits[1])
    ax.scatter(
        cloud.nrmse[shown],
        cloud.decomp_rssd[shown],
        c=cloud.place[shown],
        s=7,
        cmap="cividis_r",
        alpha=0.5,
        linewidth=0,
    )
    _draw_fronts(ax, run)
    for view in run.models:
        ax.annotate(
            str(view.cluster),
            (view.losses["nrmse"], view.losses["decomp_rssd"]),
            ha="center",
            va="center",
            fontsize=9,
            weight="bold",
            color="white",
            bbox={"boxstyle": "circle,pad=0.25", "facecolor": theme.BAD, "edgecolor": "white"},
            zorder=6,
        )
    ax.set_xlim(float(np.min(cloud.nrmse, initial=limits[0])) * 0.97, limits[0])
    ax.set_ylim(-0.02 * limits[1], limits[1])
    ax.grid()
    short_ticks(ax.xaxis, 7)
    short_ticks(ax.yaxis, 6)
    ax.set_xlabel(say("cloud.x"), fontsize=10)
    ax.set_ylabel(say("cloud.y"), fontsize=10)
    _cloud_legend(sheet, ax)
    return sheet


def _draw_fronts(ax: Axes, run: RunData) -> None:
    if run.pareto is None:
        return
    fronts = run.pareto["front"].to_numpy()
    x, y = kept_losses(run)
    rest = fronts > 1
    ax.scatter(x[rest], y[rest], s=18, facecolor="none", edgecolor=theme.INK, linewidth=0.6, zorder=3)
    first = np.flatnonzero(fronts == 1)
    first = first[np.argsort(x[first], kind="stable")]
    ax.plot(
        x[first],
        y[first],
        color=theme.INK,
        linewidth=1.4,
        marker="o",
        markersize=4,
        zorder=4,
        drawstyle="steps-post",
    )


def _cloud_legend(sheet: Sheet, ax: Axes) -> None:
    from matplotlib.lines import Line2D

    plain: dict[str, Any] = {"linestyle": "none", "marker": "o"}
    handles = [
        Line2D([], [], color=theme.INK, linewidth=1.4, marker="o", markersize=4, label=say("cloud.front")),
        Line2D(
            [],
            [],
            **plain,
            markersize=5,
            markerfacecolor="none",
            markeredgecolor=theme.INK,
            label=say("cloud.kept"),
        ),
        Line2D([], [], **plain, markersize=10, color=theme.BAD, label=say("cloud.selected")),
    ]
    ax.legend(
        handles=handles, loc="upper right", fontsize=9, frameon=True, framealpha=0.9, edgecolor=theme.GRID
    )
    bar = sheet.axes(Box(WIDTH - 3.6, 5.22, 2.2, 0.12))
    bar.imshow(np.linspace(0, 1, 64)[np.newaxis], cmap="cividis_r", aspect="auto", extent=(0, 1, 0, 1))
    bar.set_axis_off()
    words = {"va": "center", "color": theme.MUTED}
    sheet.text(WIDTH - 3.7, 5.28, f"{say('cloud.iteration')}: {say('cloud.early')}", 8.5, ha="right", **words)
    sheet.text(WIDTH - 1.3, 5.28, say("cloud.late"), 8.5, **words)
