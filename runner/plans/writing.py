"""A plan on disk: ``plans/<name>/`` in the run folder, all of it or nothing."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.errors import UserError
from mmm_core.goals import efficiency
from mmm_core.planning import Brought, mean_of_models
from mmm_core.types import FloatArray, OutcomeKind
from runner.findings import as_records
from runner.plans.outcome import Outcome, response_band
from runner.problem import cost_per_exposure
from runner.tables import to_plain, write_json, write_table

if TYPE_CHECKING:
    import pyarrow as pa

    from runner.plans.planner import Planned, PlanResult
    from runner.run_folder import RunFolder

FORMAT = 1
LONGEST_NAME = 100


def check_name(folder: RunFolder, name: str) -> None:
    """Refuse a name that no folder can have, or that a plan has already.

    Raises:
        UserError: such a name.
    """
    if (
        not re.fullmatch(r"[\w][\w .+-]*", name)
        or name.endswith((".", " "))
        or len(name.encode()) > LONGEST_NAME
    ):
        raise UserError(
            f"--name {name[:40]}: becomes a folder; use up to {LONGEST_NAME} letters, digits, space, dot, plus, minus "
            "and underscore"
        )
    if (folder.path / "plans" / name).exists():
        raise UserError(f"--name {name}: the run has a plan of this name; choose another one")


def write_plan(result: PlanResult) -> None:
    """``plan.parquet``, ``plan.csv``, ``outcome.parquet`` and ``plan.json``.

    Raises:
        UserError: the folder cannot be written, or a plan of this name has appeared meanwhile.
    """
    plans = result.path.parent
    try:
        plans.mkdir(exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".", dir=plans))
    except OSError as error:
        raise UserError(f"{plans}: cannot be written ({error.strerror}); check its permissions") from error
    try:
        table = plan_table(result)
        write_table(beside / "plan.parquet", table)
        write_table(beside / "outcome.parquet", outcome_table(result))
        _write_csv(beside / "plan.csv", table)
        write_json(beside / "plan.json", plan_record(result))
        beside.chmod(0o755)
        beside.rename(result.path)
    except OSError as error:
        raise UserError(
            f"{result.path}: cannot be written ({error.strerror}); choose another --name"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write_csv(path: Path, table: pa.Table) -> None:
    import pyarrow.csv as pc

    pc.write_csv(table, path)


# -------------------------------------------------------------------------------------------------------------- tables


def plan_table(result: PlanResult) -> pa.Table:
    """A row a model, channel and period."""
    import pyarrow as pa

    return pa.concat_tables([_plan_rows(result, name, own) for name, own in result.plans.items()])


def _plan_rows(result: PlanResult, name: str, own: Planned) -> pa.Table:
    import pyarrow as pa

    channels, dates = result.ground.problem.paid, result.calendar.planned
    p, n = result.ground.reference.shape
    nothing = np.full((p, n), np.nan)
    spends = own.plan.spends
    response = carried = lower = upper = marginal = nothing
    if own.brought is not None and own.units is not None:
        response = mean_of_models(own.brought.total[:, :, :n])
        carried = mean_of_models(own.brought.carried_in[:, :, :n])
        marginal = own.plan.surface.marginal(spends)
        if result.spec.bootstrap.refits:
            units = own.units.total[:, :, :n]
            lower, upper = response_band(own.draws, units, result.spec.bootstrap.level)
    values = {
        "spend": spends,
        "exposure": spends * result.ground.rate / _currency_per_exposure(result)[:, np.newaxis],
        "lower_bound": own.plan.limits.lower,
        "upper_bound": own.plan.limits.upper,
        "response": response,
        "response_lower": lower,
        "response_upper": upper,
        "carried_in": carried,
        "marginal_response": marginal,
        "reference_spend": result.ground.reference,
    }
    return pa.table(
        {
            "date": pa.array(np.tile(dates, p)),
            "channel": pa.array(np.repeat(channels, n).tolist()),
            "model": pa.array([name] * (p * n)),
            **{column: _numbers(table) for column, table in values.items()},
        }
    )


def _numbers(values: FloatArray) -> pa.Array:
    """Numbers in a row; NaN is no number."""
    import pyarrow as pa

    flat = np.asarray(values, dtype=np.float64).ravel()
    return pa.array(flat, mask=np.isnan(flat))


def _currency_per_exposure(result: PlanResult) -> FloatArray:
    """(P,) what one unit of the data's own exposure column costs; 1 where spend itself is modelled."""
    panel, window = result.panel, slice(result.panel.start, result.panel.stop)
    return np.array(
        [
            1.0
            if channel.exposure is None
            else cost_per_exposure(panel.numeric[channel.spend], panel.numeric[channel.exposure], window)
            for channel in result.spec.channels
        ]
    )


def outcome_table(result: PlanResult) -> pa.Table:
    """A row a model and period."""
    import pyarrow as pa

    parts = []
    for name, own in result.plans.items():
        if own.outcome is None:
            continue
        found = own.outcome
        columns = ("baseline", "context", "organic", "media", "carried_in", "outcome", "lower", "upper")
        parts.append(
            pa.table(
                {
                    "date": pa.array(result.calendar.planned),
                    "model": pa.array([name] * result.calendar.horizon.n_periods),
                    **{column: pa.array(getattr(found, column)) for column in columns},
                    "reference_outcome": pa.array(found.reference),
                }
            )
        )
    nobody = pa.table({"date": pa.array([], pa.date32()), "model": pa.array([], pa.string())})
    return pa.concat_tables(parts) if parts else nobody


# ------------------------------------------------------------------------------------------------------------- record


def plan_record(result: PlanResult) -> dict[str, Any]:
    """``plan.json`` as plain data."""
    asked, calendar = result.request, result.calendar
    record = {
        "format": FORMAT,
        "run_id": result.folder.run_id,
        "name": result.name,
        "goal": asked.goal,
        "target": asked.target,
        "measure": "marginal" if asked.marginal else "average",
        "budget": asked.budget,
        "at_most": asked.at_most,
        "flighting": asked.flighting,
        "start": str(calendar.planned[0]),
        "end": str(calendar.planned[-1]),
        "periods": calendar.horizon.n_periods,
        "periods_in_data": result.ground.n_past,
        "frequency": str(calendar.frequency),
        "level": result.spec.bootstrap.level,
        "bounds": {name: list(pair) for name, pair in asked.bounds.items()},
        "period_bounds": {name: list(pair) for name, pair in asked.period_bounds.items()},
        "reach": asked.free_reach,
        "fixed": dict(asked.fixed),
        "plans": {name: _record_of(result, own) for name, own in result.plans.items()},
        "findings": as_records(result.findings),
    }
    plain: dict[str, Any] = to_plain(record)
    return plain


def _record_of(result: PlanResult, own: Planned) -> dict[str, Any]:
    answer = own.plan.answer
    record: dict[str, Any] = {
        "status": str(own.plan.status),
        "message": own.plan.message,
        "notes": [note for note in own.plan.notes if note not in result.ground.notes],
        "periods_after": own.plan.surface.n_tail,
        "nearest_budget": answer.nearest_budget,
        "best_efficiency": answer.best_efficiency,
        "best_outcome": answer.best_outcome,
    }
    kind = result.ground.problem.outcome_kind
    reference = mean_of_models(own.reference.inside), mean_of_models(own.reference.after)
    spend = float(result.ground.reference.sum())
    record["reference"] = {
        "spend": spend,
        "response": float(reference[0].sum()),
        "response_after": float(reference[1].sum()),
        kind.efficiency: float(efficiency(kind, spend, float((reference[0] + reference[1]).sum()))),
    }
    if own.brought is None or own.outcome is None:
        return record
    record["totals"] = _totals(own, own.brought, own.outcome, kind)
    record["channels"] = channel_rows(result, own)
    return record


def _totals(own: Planned, brought: Brought, found: Outcome, kind: OutcomeKind) -> dict[str, Any]:
    """Totals of a plan: money, response by when it comes, both efficiencies, and the outcome with its interval."""
    spend = float(own.plan.spends.sum())
    parts = (brought.inside, brought.after, brought.carried)
    inside, after, carried = (float(mean_of_models(part).sum()) for part in parts)
    before = float(mean_of_models(own.reference.inside + own.reference.after).sum())
    metric = kind.efficiency
    return {
        "spend": spend,
        "response": inside,
        "response_after": after,
        "carried_in": carried,
        metric: float(efficiency(kind, spend, inside + after)),
        f"{metric}_within": float(efficiency(kind, spend, inside + carried)),
        "gain": inside + after - before,
        "gain_lower": found.gain[0],
        "gain_upper": found.gain[1],
        "lift": (inside + after) / before - 1 if before > 0 else None,
        "outcome": float(found.outcome.sum()),
        "outcome_lower": found.total[0],
        "outcome_upper": found.total[1],
        "reference_outcome": float(found.reference.sum()),
    }


def channel_rows(result: PlanResult, own: Planned) -> list[dict[str, Any]]:
    """A row a channel: what it spends, and what that brings when; over the horizon and after it."""
    assert own.brought is not None
    assert own.units is not None
    kind = result.ground.problem.outcome_kind
    inside, after = mean_of_models(own.brought.inside), mean_of_models(own.brought.after)
    carried = mean_of_models(own.brought.carried)
    spends, reference = own.plan.spends.sum(axis=1), result.ground.reference.sum(axis=1)
    own_response = inside + after
    lower = upper = np.full(len(spends), np.nan)
    if result.spec.bootstrap.refits:
        units = (own.units.total - own.units.carried_in).sum(axis=2, keepdims=True)
        lower, upper = (side[:, 0] for side in response_band(own.draws, units, result.spec.bootstrap.level))
    before = mean_of_models(own.reference.inside + own.reference.after)
    last = last_unit(own.plan.spends, own.plan.surface.marginal(own.plan.spends))
    with np.errstate(divide="ignore"):
        marginal = last if kind is OutcomeKind.REVENUE else 1.0 / last
    metric = kind.efficiency
    return [
        {
            "channel": channel,
            "reference_spend": reference[p],
            "spend": spends[p],
            "lower_spend": own.plan.limits.least[p],
            "upper_spend": own.plan.limits.most[p],
            "response": inside[p],
            "response_after": after[p],
            "response_lower": lower[p],
            "response_upper": upper[p],
            "carried_in": carried[p],
            metric: float(efficiency(kind, spends[p], own_response[p])),
            f"reference_{metric}": float(efficiency(kind, reference[p], before[p])),
            f"marginal_{metric}": marginal[p],
        }
        for p, channel in enumerate(result.ground.problem.paid)
    ]


def last_unit(spends: FloatArray, marginal: FloatArray) -> FloatArray:
    """(P,) what one more unit of a channel's money brings, laid as its money is; its best period where it has none."""
    totals = spends.sum(axis=1)
    safe = np.where(np.isfinite(marginal), marginal, 0.0)
    laid = (safe * spends).sum(axis=1) / np.where(totals > 0, totals, 1.0)
    last: FloatArray = np.where(totals > 0, laid, safe.max(axis=1))
    return last
