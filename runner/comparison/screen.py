"""A comparison for the terminal: readable without colour and in a pipe."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from runner.comparison.differences import Comparison, Row, label
from runner.comparison.words import sentences, verdict, with_error
from runner.reports.theme import amount, number, signed_percent
from runner.terminal import console

SHOWN_KEYS = 20
LONGEST = 44


def print_comparison(comparison: Comparison) -> None:
    """The words first, then the numbers."""
    out = console()

    def say(line: str) -> None:
        out.print(line, markup=False, soft_wrap=True)

    def show(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        if not rows:
            return
        say(title)
        table = Table()
        for position, head in enumerate(heads):
            table.add_column(Text(head), justify="right" if position else "left")
        for row in rows:
            table.add_row(
                *(Text(cell if len(cell) <= LONGEST else f"{cell[: LONGEST - 1]}…") for cell in row)
            )
        out.print(table)

    for name, run in zip(comparison.labels, comparison.runs, strict=True):
        say(f"{name}  {run.manifest['run_id']}  ({', '.join(model['candidate'] for model in run.models)})")
    for sentence in sentences(comparison):
        say(f"· {sentence}")
    labels = list(comparison.labels)
    show("Spec", ["key", *labels], _spec(comparison))
    show("Losses of the best model", ["loss", *labels], _losses(comparison))
    for metric in ("roas", "cpa"):
        title = f"{metric.upper()}: mean of the selected models ± its standard error"
        show(title, ["channel", *_heads(labels)], [_cells(row) for row in comparison.of(metric)])
    title = "Contribution per period: mean of the selected models ± its standard error"
    rows = [_cells(row) for row in comparison.of("contribution_per_period")]
    show(title, ["component", *_heads(labels)], rows)
    show("Plans: change of response, budget", ["scenario", *labels], _plans(comparison))


def _heads(labels: Sequence[str]) -> list[str]:
    """The first run alone, the others each with what changed."""
    return [labels[0], *(head for name in labels[1:] for head in (name, f"{name} to A"))]


def _cells(row: Row) -> list[str]:
    cells = [row.name, with_error(row, row.estimates[0])]
    for estimate, change in zip(row.estimates[1:], row.changes[1:], strict=True):
        told = ""
        if change is not None:
            told = " ".join(
                filter(None, [signed_percent(change.relative, 0), verdict(change, label(row.first))])
            )
        cells += [with_error(row, estimate), told]
    return cells


def _spec(comparison: Comparison) -> list[list[str]]:
    rows = [[one.key, *("-" if value is None else value for value in one.values)] for one in comparison.spec]
    more = len(rows) - SHOWN_KEYS
    empty = [""] * len(comparison.runs)
    return rows[:SHOWN_KEYS] + ([[f"and {more} more keys (--json)", *empty]] if more > 0 else [])


def _losses(comparison: Comparison) -> list[list[str]]:
    return [
        [name, *(number(value, 4) for value in values)]
        for name, values in comparison.losses.items()
        if any(value for value in values)
    ]


def _plans(comparison: Comparison) -> list[list[str]]:
    def cell(plan: object) -> str:
        if not isinstance(plan, dict):
            return "-"
        if plan["lift"] is None:
            return str(plan["status"])
        return f"{signed_percent(plan['lift'])}, {amount(plan['optimised_spend'])}"

    return [[row.scenario, *map(cell, row.plans)] for row in comparison.plans]
