"""The run in brief: ``summary.json``, and the plans' tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmm_core.allocator import Plan, PlanStatus
from mmm_core.types import LOSS_COLUMNS, ModelProblem
from runner.findings import Finding, Severity
from runner.journal import efficiencies
from runner.run_folder import RunFolder
from runner.scenarios import ScenarioPlans
from runner.select import Selection
from runner.spec import ExperimentSpec
from runner.tables import write_table

ENSEMBLE = "ensemble"


def write_plans(folder: RunFolder, plans: ScenarioPlans) -> None:
    """``scenarios/<scenario>/<candidate>.parquet`` and ``ensemble.parquet``."""
    for name, plan in [*plans.models.items(), (ENSEMBLE, plans.ensemble)]:
        write_table(plan_path(folder, plans.scenario.name, name), plan_table(plans.scenario.name, plan))


def plan_path(folder: RunFolder, scenario: str, name: str) -> Any:
    """Where the plan of a candidate (or of the ensemble) lies."""
    return folder.path / "scenarios" / scenario / f"{name}.parquet"


def plan_table(scenario: str, plan: Plan) -> Any:
    """A plan as a table, a row a channel."""
    import pyarrow as pa

    return pa.table(plan.table(scenario))


def plan_record(plan: Plan) -> dict[str, Any]:
    """A plan's totals as plain data."""
    metric = plan.initial.outcome_kind.efficiency
    return {
        "goal": plan.scenario.goal,
        "status": str(plan.status),
        "message": plan.message,
        "notes": list(plan.notes),
        "start": plan.start,
        "end": plan.end,
        "periods": plan.horizon.n_periods,
        "carryover": str(plan.carryover),
        "flighting": str(plan.flighting),
        "initial_spend": plan.initial.total_spend,
        "optimised_spend": plan.optimised.total_spend,
        "initial_response": plan.initial.total_response,
        "optimised_response": plan.optimised.total_response,
        f"initial_{metric}": plan.initial.total_efficiency,
        f"optimised_{metric}": plan.optimised.total_efficiency,
        "lift": plan.lift,
        "nearest_budget": plan.nearest_budget,
        "best_efficiency": plan.best_efficiency,
        "best_outcome": plan.best_outcome,
    }


def summarise(
    spec: ExperimentSpec,
    problem: ModelProblem,
    folder: RunFolder,
    selection: Selection,
    plans: Sequence[ScenarioPlans],
    findings: Sequence[Finding],
) -> dict[str, Any]:
    """The content of ``summary.json``."""
    return {
        "run_id": folder.run_id,
        "experiment": spec.experiment,
        "status": folder.manifest()["status"],
        "outcome_kind": str(problem.outcome_kind),
        **({"refresh": spec.refresh.facts} if spec.refresh else {}),
        "candidates": len(selection.pareto.front),
        "converged": {verdict.loss: verdict.is_converged for verdict in selection.convergence.verdicts},
        "selected": [_selected(problem, selection, row) for row in range(len(selection.models))],
        "plans": {
            entry.scenario.name: {
                "goal": entry.scenario.goal,
                ENSEMBLE: {
                    **plan_record(entry.ensemble),
                    "file": f"scenarios/{entry.scenario.name}/{ENSEMBLE}.parquet",
                },
                "models": {
                    candidate: {"status": str(plan.status), "lift": plan.lift}
                    for candidate, plan in entry.models.items()
                },
            }
            for entry in plans
        },
        "findings": {str(severity): sum(f.status is severity for f in findings) for severity in Severity},
    }


def _selected(problem: ModelProblem, selection: Selection, row: int) -> dict[str, Any]:
    losses = dict(zip(LOSS_COLUMNS, selection.batch.losses[row].tolist(), strict=True))
    del losses["intercept"]
    efficiency = efficiencies(problem, selection.batch.contributions[row : row + 1])[0]
    return {
        "candidate": selection.models[row].candidate,
        "cluster": selection.facts[row]["cluster"],
        "error_score": selection.facts[row]["error_score"],
        **losses,
        problem.outcome_kind.efficiency: dict(zip(problem.paid, efficiency.tolist(), strict=True)),
    }


def is_usable(plan: Plan) -> bool:
    """Whether a plan is an answer and not only a status."""
    return plan.status is PlanStatus.SOLVED and bool(np.isfinite(plan.optimised.total_spend))
