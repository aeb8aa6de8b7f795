"""A comparison as one HTML page that needs nothing beside it: no script, no picture, no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runner.comparison.differences import Comparison, Row, label
from runner.comparison.facts import Estimate
from runner.comparison.words import QUANTITIES, sentences, verdict, with_error
from runner.reports.frame import whole_page
from runner.reports.html import Markup, bullets, join, table, tag, void
from runner.reports.theme import amount, number, palette, percent, signed_percent

# Geometry of the pictures, in their own units.
WIDTH, LINE, LEFT, RIGHT, TOP = 860, 15, 190, 40, 26


def comparison_html(comparison: Comparison) -> str:
    """The whole page; whatever stands in a run is escaped."""
    names = [run.manifest["run_id"] for run in comparison.runs]
    sections = [
        _head(comparison),
        tag("h2", "What differs"),
        tag("div", bullets(sentences(comparison)), class_="answer"),
        *_quantities(comparison),
        tag("h2", "Losses of the best model"),
        table(["loss", *comparison.labels], _losses(comparison)),
        tag("h2", "Plans"),
        _plan_table(comparison),
        tag("h2", "Spec"),
        table(["key", *comparison.labels], _spec(comparison), left=len(comparison.runs) + 1),
        tag("h2", "Data"),
        table(["", *comparison.labels], _data(comparison), left=len(comparison.runs) + 1),
        tag("h2", "How this is judged"),
        tag("p", _method(comparison)),
    ]
    return whole_page(f"Comparison of {' and '.join(names)}", tag("main", *sections))


def _head(comparison: Comparison) -> Markup:
    rows = [
        [
            name,
            run.manifest["run_id"],
            run.spec.outcome.column,
            ", ".join(model["candidate"] for model in run.models),
            run.manifest["versions"]["mmm-runner"],
        ]
        for name, run in zip(comparison.labels, comparison.runs, strict=True)
    ]
    heads = ["run", "folder", "outcome", "selected models, best first", "version"]
    return join([tag("h1", "Runs beside one another"), table(heads, rows, left=len(heads))])


def _method(comparison: Comparison) -> str:
    return (
        "A number is the mean of a run's selected models. Its standard error joins what the data leave open (the "
        "sampling intervals of the bootstrap) and what the choice of the model does (the spread among the selected "
        f"models). A change is beyond uncertainty where it exceeds the {comparison.level:.0%} range of the difference "
        "of two independent numbers. Runs on the same data are not independent, so that small true changes may count "
        "as noise; a wrong adstock or curve is in no interval."
    )


def _quantities(comparison: Comparison) -> list[Markup]:
    parts = []
    for quantity, title in QUANTITIES.items():
        rows = comparison.of(quantity)
        if not any(estimate for row in rows for estimate in row.estimates):
            continue
        heads = ["", comparison.labels[0]]
        for name in comparison.labels[1:]:
            heads += [name, "change", ""]
        parts += [
            tag("h2", title[0].upper() + title[1:]),
            _picture(comparison, rows),
            table(heads, _cells(rows)),
        ]
    return parts


def _cells(rows: Sequence[Row]) -> list[list[object]]:
    found = []
    for row in rows:
        against = label(row.first)
        cells: list[object] = [row.name, with_error(row, row.estimates[0])]
        for estimate, change in zip(row.estimates[1:], row.changes[1:], strict=True):
            moved = "" if change is None else signed_percent(change.relative, 0)
            is_beyond = change is not None and change.is_beyond_uncertainty
            told = tag("strong", verdict(change, against)) if is_beyond else verdict(change, against)
            cells += [with_error(row, estimate), moved, told]
        found.append(cells)
    return found


def _losses(comparison: Comparison) -> list[list[object]]:
    return [
        [name, *(number(value, 4) for value in values)]
        for name, values in comparison.losses.items()
        if any(value for value in values)
    ]


def _plan_table(comparison: Comparison) -> Markup:
    def cell(plan: object) -> str:
        if not isinstance(plan, dict):
            return "–"
        if plan["lift"] is None:
            return str(plan["status"])
        return f"{signed_percent(plan['lift'])} for {amount(plan['optimised_spend'])}"

    heads = ["scenario", *comparison.labels, *(f"moved in {name}" for name in comparison.labels[1:])]
    rows = [
        [row.scenario, *map(cell, row.plans), *(percent(moved) for moved in row.moved[1:])]
        for row in comparison.plans
    ]
    return table(heads, rows)


def _spec(comparison: Comparison) -> list[list[object]]:
    return [
        [_in_parts(one.key), *("–" if value is None else _anywhere(value) for value in one.values)]
        for one in comparison.spec
    ]


def _in_parts(key: str) -> Markup:
    """A key that is broken at its dots, if at all."""
    parts = key.replace(".", ".\0").split("\0")
    pieces = [piece for part in parts for piece in (part, void("wbr"))][:-1]
    return tag("span", *pieces, style="overflow-wrap: normal")


def _anywhere(value: str) -> Markup:
    """A value that may be long, such as a path."""
    return tag("span", value, style="overflow-wrap: anywhere")


def _data(comparison: Comparison) -> list[list[object]]:
    def changed(column: str, i: int) -> str:
        n, largest = comparison.data[i].changed.get(column, (0, None))
        return "" if not n else f"{n} rows" + ("" if largest is None else f", up to {percent(largest)}")

    data = comparison.data
    columns = dict.fromkeys(column for one in data for column in one.changed)
    return [
        ["digest", *(run.manifest["data_digest"][:16] for run in comparison.runs)],
        ["rows", *(f"{one.rows}, {one.first} to {one.last}" for one in data)],
        ["window", *(" to ".join(one.window) for one in data)],
        ["rows not in A", *(str(one.added_rows) for one in data)],
        ["rows of A missing", *(str(one.removed_rows) for one in data)],
        ["columns not in A", *(", ".join(one.added_columns) for one in data)],
        ["columns of A missing", *(", ".join(one.removed_columns) for one in data)],
        *([f"changed: {column}", *(changed(column, i) for i in range(len(data)))] for column in columns),
    ]


# ----------------------------------------------------------------------------------------------------------- a picture


def _picture(comparison: Comparison, rows: Sequence[Row]) -> Markup:
    """Estimates with their standard errors, a line a run, grouped by name; numbers stand in the table below it."""
    ends = [end for row in rows for estimate in row.estimates for end in _ends(estimate)]
    if not ends:
        return Markup("")
    low, high = min(0.0, *ends), max(0.0, *ends)
    scale = (WIDTH - LEFT - RIGHT) / ((high - low) or 1.0)
    colours = palette(len(comparison.runs))
    group = LINE * len(comparison.runs) + 8
    height = TOP + group * len(rows) + 6
    parts = [_legend(comparison.labels, colours, rows), _zero(LEFT - low * scale, height)]
    for place, row in enumerate(rows):
        y = TOP + place * group
        parts.append(tag("text", _short(row.name), x=0, y=y + group / 2, font_size=13, fill="currentColor"))
        for i, estimate in enumerate(row.estimates):
            if estimate is not None and estimate.value is not None:
                at = y + LINE * i + LINE / 2
                parts += _mark(row, estimate, colours[i], at, lambda value: LEFT + (value - low) * scale)
    return tag(
        "svg",
        *parts,
        viewBox=f"0 0 {WIDTH} {height}",
        width="100%",
        role="img",
        aria_label="Estimates with standard errors by run",
    )


def _ends(estimate: Estimate | None) -> list[float]:
    if estimate is None or estimate.value is None:
        return []
    error = estimate.error or 0.0
    return [estimate.value - error, estimate.value + error]


def _mark(
    row: Row, estimate: Estimate, colour: str, y: float, x_of: Callable[[float], float]
) -> list[Markup]:
    value, error = estimate.value or 0.0, estimate.error or 0.0
    title = tag("title", f"{row.name}: {with_error(row, estimate)}")
    line = tag(
        "line",
        title,
        x1=f"{x_of(value - error):.1f}",
        x2=f"{x_of(value + error):.1f}",
        y1=f"{y:.1f}",
        y2=f"{y:.1f}",
        stroke=colour,
        stroke_width=3,
    )
    dot = tag("circle", title, cx=f"{x_of(value):.1f}", cy=f"{y:.1f}", r=4.5, fill=colour)
    return [line, dot]


def _legend(labels: Sequence[str], colours: Sequence[str], rows: Sequence[Row]) -> Markup:
    """The runs that are in the picture: one judged by CPA is not among the ROAS."""
    parts = []
    has_it = [any(row.estimates[i] for row in rows) for i in range(len(labels))]
    shown = [
        pair for pair, is_there in zip(zip(labels, colours, strict=True), has_it, strict=True) if is_there
    ]
    for i, (name, colour) in enumerate(shown):
        parts.append(tag("circle", cx=LEFT + 60 * i, cy=10, r=4.5, fill=colour))
        parts.append(tag("text", name, x=LEFT + 60 * i + 9, y=14, font_size=13, fill="currentColor"))
    return join(parts)


def _zero(x: float, height: float) -> Markup:
    return tag(
        "line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=TOP - 4, y2=height, stroke="currentColor", opacity=0.3
    )


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"
