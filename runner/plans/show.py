"""A plan for the eyes, on the output stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from runner.findings import Severity
from runner.terminal import MARKS, console

if TYPE_CHECKING:
    from rich.console import Console

    from runner.plans.planner import PlanResult


def print_plan(result: PlanResult) -> None:
    """The plan of the ensemble channel by channel, the models in a line each, and what was assumed."""
    out = console()
    record = result.as_record()
    metric = str(result.ground.problem.outcome_kind.efficiency)
    _say(out, f"Plan {record['name']}: {record['start']} to {record['end']}, {record['periods']} periods, "
              f"{record['flighting']} flighting")  # fmt: skip
    plans = record["plans"]
    shared = plans["ensemble"]
    _say(out, f"mean of the models: {shared['message']}")
    if "totals" in shared:
        _print_channels(out, shared, metric)
        _print_totals(out, shared["totals"], record["level"], metric)
    for name, own in plans.items():
        if name != "ensemble":
            _say(out, f"  model {name}: {own['message']}")
    for note in shared["notes"]:
        _say(out, f"  {note}")
    for finding in record["findings"]:
        _say(
            out,
            f"{MARKS[Severity(finding['status'])]} {finding['details']} {finding['recommendation']}".rstrip(),
        )
    _say(out, f"plan: {result.path}")


def _print_channels(out: Console, plan: dict[str, Any], metric: str) -> None:
    table = Table()
    header = (
        "channel",
        "reference",
        "planned",
        "change",
        "response",
        "after its end",
        metric,
        f"marginal {metric}",
    )
    for position, name in enumerate(header):
        table.add_column(name, justify="right" if position else "left")
    rows = plan["channels"]
    for row in rows:
        table.add_row(
            Text(row["channel"]),
            _amount(row["reference_spend"]),
            _amount(row["spend"]),
            _change(row["spend"], row["reference_spend"]),
            _amount(row["response"]),
            _amount(row["response_after"]),
            _ratio(row[metric]),
            _ratio(row[f"marginal_{metric}"]),
        )
    totals = plan["totals"]
    spent = sum(row["reference_spend"] for row in rows)
    table.add_row(
        "total",
        _amount(spent),
        _amount(totals["spend"]),
        _change(totals["spend"], spent),
        _amount(totals["response"]),
        _amount(totals["response_after"]),
        _ratio(totals[metric]),
        "",
    )
    out.print(table)


def _print_totals(out: Console, totals: dict[str, Any], level: float, metric: str) -> None:
    sure = f"{level:.0%} interval"
    lower, upper = totals["outcome_lower"], totals["outcome_upper"]
    _say(
        out,
        f"expected outcome {_amount(totals['outcome'])} ({sure} {_amount(lower)} to {_amount(upper)}), with the "
        f"reference spends {_amount(totals['reference_outcome'])}",
    )
    _say(
        out,
        f"gain over the reference {_amount(totals['gain'])} ({sure} {_amount(totals['gain_lower'])} to "
        f"{_amount(totals['gain_upper'])}), what comes after the plan's end included",
    )
    _say(
        out,
        f"carried in from before {_amount(totals['carried_in'])}; {metric.upper()} as the decomposition counts, of "
        f"these dates alone, {_ratio(totals[f'{metric}_within'])}",
    )


def _say(out: Console, line: str) -> None:
    out.print(line, markup=False, soft_wrap=True)


def _amount(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _change(after: float, before: float) -> str:
    if not before:
        return "new" if after else "-"
    text = f"{after / before - 1:+.0%}"
    return text[1:] if float(text[:-1]) == 0 else text
