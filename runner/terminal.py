"""Results for the eyes, on the output stream: readable without colour and in a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from runner.findings import Severity
from runner.run_folder import RunFolder

if TYPE_CHECKING:
    from mmm_core.allocator import Plan
    from runner.commands.allocate import Allocation
    from runner.commands.validate import ValidationResult
    from runner.robyn.importing import Imported

MARKS = {Severity.INFO: "·", Severity.WARNING: "!", Severity.PROBLEM: "!!"}
SHOWN_FINDINGS = 8
# A pipe has no width: nothing is wrapped there, and a table is as wide as its columns.
PIPE_WIDTH = 10_000
LONGEST_NAME = 32


def console() -> Console:
    """The output stream; wide enough in a pipe that no table is cut."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def say(out: Console, line: str) -> None:
    """One line as it is: no markup in it, no line break that a copied path would not survive."""
    out.print(line, markup=False, soft_wrap=True)


def print_validation(path: str, result: ValidationResult) -> None:
    """What a valid spec is about."""
    out = console()
    panel = result.panel
    window = panel.dates[panel.start : panel.stop]
    say(out, f"{path}: valid")
    say(
        out,
        f"  {len(panel.dates)} {panel.frequency} rows, window of {len(window)}: {window[0]} to {window[-1]}",
    )
    say(out, f"  {len(result.spec.channels)} paid channels, {len(result.spec.organic)} organic")
    _print_findings(out, [(f.status, f.details, f.recommendation) for f in result.findings])


def print_run(folder: RunFolder) -> None:
    """The selected models, the plans and where everything is."""
    out = console()
    summary = folder.json("summary")
    metric = "roas" if summary["outcome_kind"] == "revenue" else "cpa"
    _print_models(out, summary["selected"], metric)
    for name, entry in summary["plans"].items():
        _print_plan_summary(out, folder, name, entry, metric)
    findings = [(Severity(f["status"]), f["details"], f["recommendation"]) for f in folder.json("findings")]
    _print_findings(out, findings)
    seconds = folder.json("timings")["total"]
    rate = summary["candidates_per_second"]
    n = summary["candidates"]
    say(out, f"{n:,} candidate{'s' * (n != 1)}, {rate:,.0f} a second; {seconds:.1f} s in all")
    say(out, f"report: {folder.path / 'report' / 'index.html'}")
    say_tracking(out, folder)
    say(out, f"run folder: {folder.path}")


def say_tracking(out: Console, folder: RunFolder) -> None:
    """Where MLflow is and, unless it is complete, how far; a failure is among the findings of a run."""
    from runner.tracking.beside import State, read_standing

    standing = read_standing(folder)
    if standing is None or standing.state in (State.FAILED, State.STOPPED):
        return
    rest = "" if standing.state is State.DONE else f"; to have it at once: mmm track {folder.path}"
    say(out, standing.sentence + rest)


def print_refresh(folder: RunFolder) -> None:
    """What moved, channel by channel, and the run that it is."""
    out = console()
    told = folder.json("summary")["refresh"]
    rows = [row for row in folder.table("refresh").to_pylist() if row["quantity"] in ("roas", "cpa")]
    say(
        out,
        f"Refresh {told['depth']} with {told['periods']} new periods, model {told['candidate']} of {told['run']}",
    )
    metric = rows[0]["quantity"].upper()
    header = ["channel", f"{metric} before", "now", "change", "standard errors", "mostly by"]
    print_table(out, header, [_moved(row) for row in rows])
    print_run(folder)


def _moved(row: dict[str, Any]) -> list[str]:
    before, after = row["previous"], row["new"]
    counted = row["standardised_change"]
    change = "-" if before is None or after is None else _percent(after, before, 1)
    errors = "-" if counted is None else f"{counted:+.1f}"
    return [
        row["component"],
        decimals(before),
        decimals(after),
        change,
        errors,
        row["reason"].replace("_", " ") or "-",
    ]


def print_import(imported: Imported) -> None:
    """How well a model of Robyn's was met, and the run that it became."""
    out = console()
    comparison = imported.comparison
    worst, (channel, moved) = comparison.worst, comparison.worst_efficiency
    say(
        out,
        f"{imported.version}, model {imported.solution}: {'the same' if comparison.agrees else 'not quite the same'} "
        f"here; no {comparison.unit.upper()} differs by more than {moved:.1g} of itself ({channel}), no number of the "
        f"file by more than {worst.relative:.1g} ({worst.quantity} of {worst.name})",
    )
    print_run(imported.folder)


def _print_models(out: Console, selected: Sequence[dict[str, Any]], metric: str) -> None:
    channels = list(selected[0][metric]) if selected else []
    rows = [
        [
            model["candidate"],
            str(model["cluster"]),
            f"{model['nrmse']:.4f}",
            f"{model['decomp_rssd']:.4f}",
            *(decimals(model[metric][channel]) for channel in channels),
        ]
        for model in selected
    ]
    say(out, f"Selected models, best first ({metric.upper()} by channel)")
    print_table(out, ["model", "cluster", "nrmse", "rssd", *channels], rows)


def _print_plan_summary(
    out: Console, folder: RunFolder, name: str, entry: dict[str, Any], metric: str
) -> None:
    ensemble = entry["ensemble"]
    _print_plan_heading(out, name, "mean of the selected models", ensemble)
    if ensemble["status"] != "infeasible":
        _print_channels(out, folder.table(f"scenarios/{name}/ensemble").to_pylist(), metric)


def _print_plan_heading(out: Console, scenario: str, whose: str, plan: dict[str, Any]) -> None:
    told = plan["message"]
    if plan["status"] == "solved":
        told = f"response {_percent(plan['optimised_response'], plan['initial_response'], 1)}"
        if plan.get("goal") == "target_outcome":
            told += f", spend {_percent(plan['optimised_spend'], plan['initial_spend'], 1)}"
    say(out, f"Plan {scenario}, {whose}, {plan['start']} to {plan['end']}: {told}")


def _print_channels(out: Console, rows: Sequence[dict[str, Any]], metric: str) -> None:
    header = ["channel", "spend today", "planned", "change", f"{metric} today", f"{metric} planned"]
    cells = []
    for row in rows:
        before, after = row["initial_spend"], row["optimised_spend"]
        efficiency = (decimals(row[f"initial_{metric}"]), decimals(row[f"optimised_{metric}"]))
        cells.append(
            [row["channel"], f"{before:,.0f}", f"{after:,.0f}", _percent(after, before), *efficiency]
        )
    before, after = (sum(row[key] for row in rows) for key in ("initial_spend", "optimised_spend"))
    cells.append(["total", f"{before:,.0f}", f"{after:,.0f}", _percent(after, before), "", ""])
    print_table(out, header, cells)


def print_table(out: Console, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose first column is text and whose others are numbers; names are never taken for markup."""
    table = Table()
    for position, name in enumerate(header):
        table.add_column(Text(_short(name)), justify="right" if position else "left")
    for row in rows:
        table.add_row(Text(_short(row[0])), *row[1:])
    out.print(table)


def print_plans(result: Allocation) -> None:
    """Plans of one scenario: the ensemble in full, the models in a line each."""
    out = console()
    plans = result.plans
    record = result.as_record()["plans"]
    _print_plan_heading(out, plans.scenario.name, "mean of the models", record["ensemble"])
    if plans.ensemble.status != "infeasible":
        _print_channels(out, _rows(plans.ensemble, plans.scenario.name), _metric(plans.ensemble))
    for candidate, plan in plans.models.items():
        told = plan.message
        if plan.status == "solved":
            told = f"response {_percent(plan.optimised.total_response, plan.initial.total_response, 1)}"
        say(out, f"  model {candidate}: {told}")
    for note in plans.ensemble.notes:
        say(out, f"  {note}")
    say(out, f"plans: {result.folder.path / 'scenarios' / plans.scenario.name}")


def _rows(plan: Plan, scenario: str) -> list[dict[str, Any]]:
    columns = plan.table(scenario)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _metric(plan: Plan) -> str:
    return plan.initial.outcome_kind.efficiency


def _print_findings(out: Console, findings: Sequence[tuple[Severity, str, str]]) -> None:
    ordered = sorted(findings, key=lambda f: list(MARKS).index(f[0]), reverse=True)
    for severity, details, recommendation in ordered[:SHOWN_FINDINGS]:
        say(out, f"{MARKS[severity]} {details} {recommendation}".rstrip())
    if len(ordered) > SHOWN_FINDINGS:
        say(out, f"· and {len(ordered) - SHOWN_FINDINGS} more findings in the report")


def decimals(value: float | None, digits: int = 2) -> str:
    """A number for a table, a dash where there is none."""
    return "-" if value is None or not np.isfinite(value) else f"{value:,.{digits}f}"


def _percent(after: float, before: float, digits: int = 0) -> str:
    """The change in per cent, with a sign unless it rounds to nothing."""
    if not before:
        return "new" if after else "-"
    text = f"{after / before - 1:+.{digits}%}"
    return text[1:] if float(text[:-1]) == 0 else text


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
