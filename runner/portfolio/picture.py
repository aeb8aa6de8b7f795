"""One channel in all markets: raw estimates with their intervals, and the pooled ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.reports.html import Markup, tag
from runner.reports.theme import number, palette

# Geometry, in the picture's own units.
WIDTH, LEFT, RIGHT, TOP, LINE = 860, 200, 60, 34, 24
LONGEST_NAME = 26
# An upper end so many times the largest estimate is cut: one uncertain market must not flatten all others.
LONGEST_INTERVAL = 2.0


def market_picture(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """A line for each market, largest estimate first; numbers stand in the table below it."""
    known = [row for row in rows if row["estimate"] is not None]
    if not known:
        return Markup("")
    ordered = sorted(known, key=lambda row: -row["estimate"])
    top = _top(ordered)
    height = TOP + LINE * len(ordered) + 4
    parts = [*_legend(any(row["pooled"] is not None for row in ordered)), *_axis(top, height)]
    raw, pooled = palette(2)
    for i, row in enumerate(ordered):
        parts += _market(row, TOP + LINE * i + LINE / 2, top, raw, pooled)
    label = f"{rows[0]['metric'].upper()} of {rows[0]['channel']} by model, with intervals"
    return tag("svg", *parts, viewBox=f"0 0 {WIDTH} {height}", width="100%", role="img", aria_label=label)


def _top(rows: Sequence[Mapping[str, Any]]) -> float:
    largest = max(row["estimate"] for row in rows)
    ends = [row[key] for row in rows for key in ("upper", "pooled_upper") if row[key] is not None]
    return min(max([largest, *ends]), LONGEST_INTERVAL * largest) or 1.0


def _x(value: float, top: float) -> float:
    return LEFT + min(max(value, 0.0), top) / top * (WIDTH - LEFT - RIGHT)


def _market(row: Mapping[str, Any], y: float, top: float, raw: str, pooled: str) -> Iterator[Markup]:
    """A name, and in their colours the raw and the pooled estimate."""
    name = row["model"] if len(row["model"]) <= LONGEST_NAME else f"{row['model'][: LONGEST_NAME - 1]}…"
    told = tag("title", f"{row['model']}: {number(row['estimate'])}")
    yield tag("text", name, x=0, y=f"{y + 4:.1f}", font_size=13, fill="currentColor")
    yield from _estimate(row["estimate"], row["lower"], row["upper"], raw, y - 4, top, told)
    if row["pooled"] is not None:
        title = tag("title", f"{row['model']}, pooled: {number(row['pooled'])}")
        yield from _estimate(
            row["pooled"], row["pooled_lower"], row["pooled_upper"], pooled, y + 4, top, title
        )


def _estimate(
    value: float,
    lower: float | None,
    upper: float | None,
    colour: str,
    y: float,
    top: float,
    title: Markup,
) -> Iterator[Markup]:
    if lower is not None and upper is not None:
        ends = {"x1": f"{_x(lower, top):.1f}", "x2": f"{_x(upper, top):.1f}"}
        yield tag("line", title, **ends, y1=f"{y:.1f}", y2=f"{y:.1f}", stroke=colour, stroke_width=2)
        if upper > top:  # it goes on
            yield tag("path", title, d=f"M{_x(top, top):.1f} {y - 4:.1f}l7 4l-7 4z", fill=colour)
    yield tag("circle", title, cx=f"{_x(value, top):.1f}", cy=f"{y:.1f}", r=4, fill=colour)


def _axis(top: float, height: float) -> Iterator[Markup]:
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = f"{_x(part * top, top):.1f}"
        yield tag("line", x1=x, x2=x, y1=TOP - 6, y2=height, stroke="currentColor", opacity=0.15)
        yield tag(
            "text",
            number(part * top),
            x=x,
            y=TOP - 10,
            font_size=11,
            fill="currentColor",
            text_anchor="middle",
        )


def _legend(has_pooled: bool) -> Iterator[Markup]:
    names = ("raw", "pooled") if has_pooled else ("raw",)
    for i, (name, colour) in enumerate(zip(names, palette(2), strict=False)):
        yield tag("circle", cx=6 + 70 * i, cy=10, r=4.5, fill=colour)
        yield tag("text", name, x=15 + 70 * i, y=14, font_size=13, fill="currentColor")
