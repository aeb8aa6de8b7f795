"""Intervals of the selected models: bootstrap refits fanned over a backend, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.base import Backend
from mmm_core.bootstrap import BootstrapDraws, bootstrap_draws, draw_ranges, intervals, response_band
from mmm_core.intervals import Interval
from mmm_core.response import response_curve
from mmm_core.types import FittedModel, ModelProblem
from runner.facts import CURVE_MULTIPLIERS
from runner.seeds import Branch, seed_at
from runner.select import Selection
from runner.spec import ExperimentSpec
from runner.tables import table_of

if TYPE_CHECKING:
    import pyarrow as pa

# Draws of one task: about a tenth of a second of work at demo size, so that a task's own cost does not show.
DRAWS_PER_TASK = 20_000
INTERVAL_COLUMNS = ("candidate", "kind", "quantity", "name", "estimate", "lower", "upper", "level", "n")


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Intervals of all kinds beside the selected models, and their response curves with bands."""

    intervals: tuple[Interval, ...]
    curves: pa.Table

    def of(self, candidate: str, quantity: str, name: str, kind: str = "sampling") -> Interval | None:
        """One interval, None where there is none."""
        for row in self.intervals:
            if (row.candidate, row.quantity, row.name, str(row.kind)) == (candidate, quantity, name, kind):
                return row
        return None


@dataclass(frozen=True, eq=False)
class RefitJob:
    """What every refit task needs; shared once. ``places`` are (trial, iteration), which choose the seeds."""

    problem: ModelProblem
    models: tuple[FittedModel, ...]
    places: tuple[tuple[int, int], ...]
    seed: int


def draw_task(job: RefitJob, task: tuple[int, int, int]) -> BootstrapDraws:
    """Draws first..last-1 of one model; ``task`` is (position of the model, first, last)."""
    position, first, last = task
    seed = seed_at(job.seed, Branch.REFITS, *job.places[position])
    return bootstrap_draws(job.problem, job.models[position], seed, first, last)


def bootstrap_models(
    spec: ExperimentSpec, problem: ModelProblem, selection: Selection, backend: Backend
) -> list[BootstrapDraws]:
    """All draws of all selected models, in their order; however they are cut into tasks, they are the same."""
    places = tuple((facts["trial"], facts["iteration"]) for facts in selection.facts)
    job = RefitJob(problem, tuple(selection.models), places, spec.search.seed)
    ranges = draw_ranges(spec.bootstrap.refits, DRAWS_PER_TASK)
    tasks = [(position, first, last) for position in range(len(job.models)) for first, last in ranges]
    parts = backend.map(draw_task, tasks, shared=backend.share(job))
    by_model: list[list[BootstrapDraws]] = [[] for _ in job.models]
    for (position, _, _), part in zip(tasks, parts, strict=True):
        by_model[position].append(part)
    return [BootstrapDraws.concatenate(own) for own in by_model]


def refit_models(
    spec: ExperimentSpec, problem: ModelProblem, selection: Selection, backend: Backend
) -> Uncertainty:
    """Bootstrap the selected models and derive intervals and curves; without refits the curves have no band.

    Args:
        spec: number of refits, level, seed. problem: the data. selection: the models. backend: where.
    """
    sampling: list[Interval] = []
    if spec.bootstrap.refits:
        draws = bootstrap_models(spec, problem, selection, backend)
        for model, own in zip(selection.models, draws, strict=True):
            sampling += intervals(problem, model, own, spec.bootstrap.level)
    found = (*sampling, *selection.spread)
    return Uncertainty(found, curves_table(problem, selection.models, sampling))


def curves_table(
    problem: ModelProblem, models: Sequence[FittedModel], sampling: Sequence[Interval]
) -> pa.Table:
    """``response_curves.parquet``: mean response per period where the historical flighting is multiplied."""
    import pyarrow as pa

    coefs = {(i.candidate, i.name): i for i in sampling if i.quantity == "coef"}
    parts = [
        _curve_rows(problem, model, channel, coefs.get((model.candidate, channel)))
        for model in models
        for channel in problem.paid
    ]
    return pa.concat_tables(parts)


def _curve_rows(
    problem: ModelProblem, model: FittedModel, channel: str, interval: Interval | None
) -> pa.Table:
    import pyarrow as pa

    n = len(CURVE_MULTIPLIERS)
    curve = response_curve(problem, model, channel, CURVE_MULTIPLIERS)
    lower = upper = np.full(n, np.nan)
    if interval is not None:
        # The curve of a coefficient of 1: a channel without effect still has a band.
        unit = replace(model, coefs=np.ones_like(model.coefs))
        lower, upper = response_band(
            interval, response_curve(problem, unit, channel, CURVE_MULTIPLIERS).response
        )
    mask = np.full(n, interval is None)
    return pa.table(
        {
            "candidate": [model.candidate] * n,
            "channel": [channel] * n,
            "multiplier": curve.multipliers,
            "spend": curve.spend,
            "response": curve.response,
            "marginal_response": curve.marginal,
            "lower": pa.array(lower, mask=mask),
            "upper": pa.array(upper, mask=mask),
        }
    )


def intervals_table(rows: Sequence[Interval]) -> pa.Table:
    """``intervals.parquet``."""
    records: list[dict[str, Any]] = [{**asdict(row), "kind": str(row.kind)} for row in rows]
    return table_of(records, INTERVAL_COLUMNS)
