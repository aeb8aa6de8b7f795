"""What a refresh moved, on the page: the line of runs, each channel before and after, and the parts of its change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.refresh.changes import PARTS, PER_PERIOD
from runner.reports import theme
from runner.reports.data import RunData
from runner.reports.html import Markup, bullets, join, table, tag
from runner.reports.words import day, say


def moved_section(run: RunData) -> Markup:
    """The section of a refresh; of any other run there is none."""
    refresh = run.spec.refresh
    assert refresh is not None  # the caller saw to it
    lead = say(
        "moved.lead",
        candidate=refresh.candidate,
        before=refresh.run,
        periods=refresh.periods,
        many=say(f"{run.frequency}.{'one' if refresh.periods == 1 else 'many'}"),
        start=day(refresh.previous.start),
        end=day(refresh.previous.end),
    )
    parts = [tag("h2", say("moved.title")), tag("p", lead, class_="lead")]
    if run.moved is None:
        return join([*parts, tag("p", say("missing.moved"), class_="missing")])
    rows = run.moved.to_pylist()
    metric = run.metric
    paid = [row for row in rows if row["quantity"] == metric]
    every = [row for row in rows if row["quantity"] == PER_PERIOD]
    parts.append(_table(paid, say("moved.channels", metric=say(metric))))
    parts.append(_table(every, say("moved.components", one=say(f"{run.frequency}.one"))))
    parts.append(tag("p", say("moved.parts"), class_="note"))
    parts.append(bullets([f"{say(f'moved.{part}')}: {say(f'moved.{part}.means')}" for part in PARTS]))
    if refresh.depth > 1:
        parts.append(tag("p", say("moved.lineage", runs=" → ".join((*refresh.lineage, run.folder.run_id)))))
    return join(parts)


def _table(rows: Sequence[Mapping[str, Any]], caption: str) -> Markup:
    heads = [
        say("head.component"),
        say("head.before"),
        say("head.now"),
        say("head.change"),
        say("head.errors"),
    ]
    heads += [say(f"moved.{part}") for part in PARTS]
    return table(heads, [_cells(row) for row in rows], caption=caption)


def _cells(row: Mapping[str, Any]) -> list[object]:
    errors = row["standardised_change"]
    counted: object = say("nothing") if errors is None else f"{errors:+.1f}".replace("-", "−")
    if row["is_beyond_uncertainty"]:
        counted = tag("strong", counted)
    return [
        theme.printable(row["component"]),
        theme.number(row["previous"]),
        theme.number(row["new"]),
        _signed(row["change"]),
        counted,
        *(_part(row, part) for part in PARTS),
    ]


def _part(row: Mapping[str, Any], part: str) -> object:
    told = _signed(row[part])
    return tag("strong", told) if row["reason"] == part else told


def _signed(value: float | None) -> str:
    text = theme.number(value)
    return f"+{text}" if value is not None and value > 0 else text
