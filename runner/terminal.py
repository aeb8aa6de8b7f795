"""Results for the eyes, on the output stream: readable without colour and in a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from runner.findings import Severity
from runner.run_folder import RunFolder

if TYPE_CHECKING:
    from mmm_core.allocator import Plan
    from runner.commands.allocate import Allocation
    from runner.commands.validate import ValidationResult

MARKS = {Severity.INFO: "·", Severity.WARNING: "!", Severity.PROBLEM: "!!"}
SHOWN_FINDINGS = 8


def console() -> Console:
    """The output stream; wide enough in a pipe that no table is cut."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=120)


def print_validation(path: str, result: ValidationResult) -> None:
    """What a valid spec is about."""
    out = console()
    panel = result.panel
    window = panel.dates[panel.start : panel.stop]
    out.print(f"{path}: valid", markup=False)
    out.print(
        f"  {len(panel.dates)} {panel.frequency} rows, window of {len(window)}: {window[0]} to {window[-1]}"
    )
    out.print(
        f"  {len(result.spec.channels)} paid channels, {len(result.spec.organic)} organic", markup=False
    )
    _print_findings(out, [(f.status, f.details, f.recommendation) for f in result.findings])


def print_run(folder: RunFolder) -> None:
    """The selected models, the plans and where everything is."""
    out = console()
    summary = folder.json("summary")
    metric = (summary["outcome_kind"] == "revenue" and "roas") or "cpa"
    _print_models(out, summary["selected"], metric)
    for name, entry in summary["plans"].items():
        _print_plan_summary(out, folder, name, entry, metric)
    findings = [(Severity(f["status"]), f["details"], f["recommendation"]) for f in folder.json("findings")]
    _print_findings(out, findings)
    timings = folder.json("timings")
    out.print(
        f"{summary['candidates']:,} candidates, {summary['candidates_per_second']:,.0f} a second; "
        f"{timings['total']:.1f} s in all"
    )
    out.print(f"report: {folder.path / 'report' / 'index.html'}", soft_wrap=True, markup=False)
    out.print(f"run folder: {folder.path}", soft_wrap=True, markup=False)


def _print_models(out: Console, selected: Sequence[dict[str, Any]], metric: str) -> None:
    channels = list(selected[0][metric]) if selected else []
    table = Table(title=f"Selected models, best first ({metric.upper()} by channel)", title_justify="left")
    for column in ("model", "cluster", "nrmse", "rssd", *channels):
        table.add_column(column, justify="left" if column == "model" else "right")
    for model in selected:
        values = [_number(model[metric][channel]) for channel in channels]
        table.add_row(
            model["candidate"],
            str(model["cluster"]),
            f"{model['nrmse']:.4f}",
            f"{model['decomp_rssd']:.4f}",
            *values,
        )
    out.print(table)


def _print_plan_summary(
    out: Console, folder: RunFolder, name: str, entry: dict[str, Any], metric: str
) -> None:
    ensemble = entry["ensemble"]
    heading = f"Plan {name}, mean of the selected models, {ensemble['start']} to {ensemble['end']}"
    if ensemble["status"] != "solved":
        out.print(f"{heading}: {ensemble['status']}. {ensemble['message']}", markup=False)
        return
    rows = folder.table(f"scenarios/{name}/ensemble").to_pylist()
    _print_channels(out, f"{heading}: response {ensemble['lift']:+.1%}", rows, metric)


def _print_channels(out: Console, title: str, rows: Sequence[dict[str, Any]], metric: str) -> None:
    table = Table(title=title, title_justify="left")
    for column in ("channel", "spend today", "planned", "change", f"{metric} today", f"{metric} planned"):
        table.add_column(column, justify="left" if column == "channel" else "right")
    for row in rows:
        before, after = row["initial_spend"], row["optimised_spend"]
        change = f"{after / before - 1:+.0%}" if before else "new"
        efficiency = (_number(row[f"initial_{metric}"]), _number(row[f"optimised_{metric}"]))
        table.add_row(row["channel"], f"{before:,.0f}", f"{after:,.0f}", change, *efficiency)
    spent = [sum(row[key] for row in rows) for key in ("initial_spend", "optimised_spend")]
    table.add_row("total", f"{spent[0]:,.0f}", f"{spent[1]:,.0f}", f"{spent[1] / spent[0] - 1:+.0%}", "", "")
    out.print(table)


def print_plans(result: Allocation) -> None:
    """Plans of one scenario: the ensemble in full, the models in a line each."""
    out = console()
    plans = result.plans
    _print_plan(out, plans.scenario.name, "mean of the models", plans.ensemble)
    for candidate, plan in plans.models.items():
        told = f"response {plan.lift:+.1%}" if plan.status == "solved" else plan.message
        out.print(f"  model {candidate}: {plan.status}, {told}", markup=False)
    for note in plans.ensemble.notes:
        out.print(f"  {note}", markup=False)
    out.print(
        f"plans: {result.folder.path / 'scenarios' / plans.scenario.name}", soft_wrap=True, markup=False
    )


def _print_plan(out: Console, scenario: str, whose: str, plan: Plan) -> None:
    heading = f"Plan {scenario}, {whose}, {plan.start} to {plan.end}"
    if plan.status != "solved":
        out.print(f"{heading}: {plan.status}. {plan.message}", markup=False)
        return
    columns = plan.table(scenario)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    metric = plan.initial.outcome_kind.efficiency
    _print_channels(out, f"{heading}: response {plan.lift:+.1%}", rows, metric)


def _print_findings(out: Console, findings: Sequence[tuple[Severity, str, str]]) -> None:
    ordered = sorted(findings, key=lambda f: list(MARKS).index(f[0]), reverse=True)
    for severity, details, recommendation in ordered[:SHOWN_FINDINGS]:
        out.print(f"{MARKS[severity]} {details} {recommendation}".rstrip(), markup=False, soft_wrap=True)
    if len(ordered) > SHOWN_FINDINGS:
        out.print(f"· and {len(ordered) - SHOWN_FINDINGS} more findings in the report", markup=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"
