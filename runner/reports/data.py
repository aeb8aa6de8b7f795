"""What a report shows, read from the run folder once; what is not there is None and stays so.

Numbers are those of the tables. What no table holds (the split of a window, adstock weights, a shared plan seen by one
model) is computed by ``mmm_core`` from the design and the candidates on disk, never kept from the run itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.allocator import ResponseSurface, efficiency
from mmm_core.decomposition import decompose
from mmm_core.errors import UserError
from mmm_core.evaluate import split_rows
from mmm_core.response import Carryover, Flighting, Horizon, channel_responses
from mmm_core.transforms import channel_curves
from mmm_core.types import (
    LOSS_COLUMNS,
    CandidateBatch,
    ChannelCurve,
    Decomposition,
    FittedModel,
    FloatArray,
    ModelProblem,
    Role,
)
from runner.dataset import MediaPanel
from runner.facts import CURVE_MULTIPLIERS
from runner.journal import batch_from_table, efficiencies, model_from_batch
from runner.reports.theme import Names, palette
from runner.run_folder import RunFolder
from runner.spec import ExperimentSpec, ScenarioSpec
from runner.summary import ENSEMBLE
from runner.tables import read_table

if TYPE_CHECKING:
    import pyarrow as pa

PLAN_CURVE_POINTS = 41
SOLVED = "solved"


@dataclass(frozen=True)
class Bar:
    """An interval around an estimate: from ``lower`` to ``upper`` at ``level``, resting on ``n`` draws or models."""

    estimate: float
    lower: float
    upper: float
    level: float
    n: int

    @property
    def is_known(self) -> bool:
        """Whether both ends are numbers (an end may be infinite: a CPA without effect)."""
        return not (math.isnan(self.lower) or math.isnan(self.upper))


@dataclass(frozen=True, eq=False)
class Curve:
    """A response curve of one channel in one model, per period; a band of NaN is none."""

    multipliers: FloatArray
    spend: FloatArray
    response: FloatArray
    marginal: FloatArray
    lower: FloatArray
    upper: FloatArray

    @property
    def today(self) -> int:
        """Position of the historical spend."""
        return int(np.argmin(np.abs(self.multipliers - 1)))

    @property
    def has_band(self) -> bool:
        """Whether it has a sampling interval."""
        return bool(np.isfinite(self.lower).all() and np.isfinite(self.upper).all())


@dataclass(frozen=True, eq=False)
class ModelView:
    """One selected model and everything its one-pager shows.

    Attributes:
        losses: by their names. contributions: (K,) over the window. effect_shares, efficiencies: (P,).
        n_train, n_val: rows of the window. curves: of the media, in their order. responses: of the paid channels.
        intervals: (kind, quantity, name) -> interval.
    """

    model: FittedModel
    cluster: int
    error_score: float
    losses: Mapping[str, float]
    contributions: FloatArray
    effect_shares: FloatArray
    efficiencies: FloatArray
    n_train: int
    n_val: int
    decomposition: Decomposition
    curves: tuple[ChannelCurve, ...]
    responses: Mapping[str, Curve]
    intervals: Mapping[tuple[str, str, str], Bar]

    @property
    def candidate(self) -> str:
        """Its name."""
        return self.model.candidate

    @property
    def total(self) -> float:
        """Fitted outcome over the window."""
        return float(self.decomposition.fitted.sum())

    def parts(self) -> list[tuple[str, slice]]:
        """Non-empty parts of the split: (name, rows of the window)."""
        ends = [0, self.n_train, self.n_train + self.n_val, len(self.decomposition.fitted)]
        spans = zip(("train", "val", "test"), ends[:-1], ends[1:], strict=True)
        return [(name, slice(first, last)) for name, first, last in spans if last > first]


@dataclass(frozen=True, eq=False)
class PlanView:
    """A plan as its table has it; NaN after the change where there is none."""

    candidate: str
    columns: Mapping[str, Any]
    metric: str

    @property
    def status(self) -> str:
        """solved, infeasible or not_converged."""
        return str(self.columns["status"][0])

    @property
    def is_answer(self) -> bool:
        """Whether it has spends to show."""
        return bool(np.isfinite(self["optimised_spend"]).all())

    @property
    def n_periods(self) -> int:
        """Periods of the horizon."""
        return int(self.columns["n_periods"][0])

    @property
    def start(self) -> str:
        """First day of the first period."""
        return str(self.columns["start"][0])

    @property
    def end(self) -> str:
        """First day of the last period."""
        return str(self.columns["end"][0])

    def __getitem__(self, column: str) -> FloatArray:
        return np.asarray(self.columns[column], dtype=np.float64)

    def total(self, column: str) -> float:
        """Sum over the channels."""
        return float(self[column].sum())

    @property
    def lift(self) -> float:
        """Response after over response before, less 1."""
        before = self.total("initial_response")
        return self.total("optimised_response") / before - 1 if before > 0 else math.nan


@dataclass(frozen=True, eq=False)
class ScenarioView:
    """One scenario: the shared plan, each model's own, and what single models think of the shared one.

    Attributes:
        asked: its spec, None if it was asked later than the run.
        shared: plan for the mean of the models, None if its stage did not finish.
        own: candidate -> plan. message: a sentence on the shared plan, "" if none is known. notes: on channels.
        seen: candidate -> change of response that the shared plan brings if this model is right.
        spends: (P, S) per horizon. curves: candidate, or ENSEMBLE -> (P, S) response over the horizon.
    """

    name: str
    asked: ScenarioSpec | None
    shared: PlanView | None
    own: Mapping[str, PlanView]
    message: str
    notes: tuple[str, ...]
    seen: Mapping[str, float]
    spends: FloatArray
    curves: Mapping[str, FloatArray]


@dataclass(frozen=True, eq=False)
class RunData:
    """A run as the report needs it. Tables that the run has not got are None."""

    folder: RunFolder
    manifest: Mapping[str, Any]
    spec: ExperimentSpec
    panel: MediaPanel
    problem: ModelProblem
    models: tuple[ModelView, ...]
    scenarios: tuple[ScenarioView, ...]
    intervals: pa.Table | None
    curves: pa.Table | None
    convergence: pa.Table | None
    pareto: pa.Table | None
    clusters: pa.Table | None
    calibration: pa.Table | None
    moved: pa.Table | None
    findings: Sequence[Mapping[str, Any]] | None
    timings: Mapping[str, Any] | None

    @property
    def metric(self) -> str:
        """roas or cpa."""
        return self.problem.outcome_kind.efficiency

    @property
    def frequency(self) -> str:
        """daily, weekly or monthly."""
        return str(self.panel.frequency)

    @property
    def window(self) -> tuple[str, str]:
        """First and last date of the modelling window."""
        return str(self.problem.dates[self.problem.start]), str(self.problem.dates[self.problem.stop - 1])

    @cached_property
    def colours(self) -> dict[str, str]:
        """Medium -> colour, by its place among the media, so the same on every picture."""
        return dict(zip(self.problem.media, palette(len(self.problem.media)), strict=True))

    @cached_property
    def names(self) -> Names:
        """What pictures call the design columns."""
        return Names.of(self.problem.columns)

    @property
    def no_interval(self) -> str:
        """Why there are no sampling intervals: the end of a key of words."""
        return "refits" if self.spec.bootstrap.refits == 0 else "intervals"

    @property
    def has_intervals(self) -> bool:
        """Whether any model has a sampling interval."""
        return any(kind == "sampling" for view in self.models for kind, _, _ in view.intervals)


def load_run(folder: RunFolder) -> RunData:
    """Everything a report shows of a run folder.

    Raises:
        UserError: the folder is none (see RunFolder.open).
    """
    spec = folder.spec()
    panel = folder.panel(spec)
    problem = folder.problem(spec, panel)
    clusters, intervals = _optional(folder, "clusters"), _optional(folder, "intervals")
    curves = _optional(folder, "response_curves")
    models = _models(folder, problem, clusters, intervals, curves)
    return RunData(
        folder=folder,
        manifest=folder.manifest(),
        spec=spec,
        panel=panel,
        problem=problem,
        models=models,
        scenarios=_scenarios(folder, spec, problem, [view.model for view in models]),
        intervals=intervals,
        curves=curves,
        convergence=_optional(folder, "convergence"),
        pareto=_optional(folder, "pareto"),
        clusters=clusters,
        calibration=_optional(folder, "calibration"),
        moved=_optional(folder, "refresh"),
        findings=_optional_json(folder, "findings"),
        timings=_optional_json(folder, "timings"),
    )


def _optional(folder: RunFolder, name: str) -> pa.Table | None:
    try:
        return folder.table(name)
    except UserError:
        return None


def _optional_json(folder: RunFolder, name: str) -> Any:
    try:
        return folder.json(name)
    except (FileNotFoundError, json.JSONDecodeError):
        return None


# -------------------------------------------------------------------------------------------------------------- models


def _models(
    folder: RunFolder,
    problem: ModelProblem,
    clusters: pa.Table | None,
    intervals: pa.Table | None,
    curves: pa.Table | None,
) -> tuple[ModelView, ...]:
    if clusters is None:
        return ()
    chosen = {row["candidate"]: row for row in clusters.to_pylist() if row["is_selected"]}
    candidates = [c for c in folder.selected() if c in chosen]
    rows = candidate_rows(folder.path, candidates)
    if rows is None:
        return ()
    found = {name: i for i, name in enumerate(rows["candidate"].to_pylist())}
    batch = batch_from_table(problem, rows)
    bars, drawn = _bars(intervals), _curves(curves)
    return tuple(
        _model(problem, batch, found[c], c, chosen[c], bars.get(c, {}), drawn.get(c, {}))
        for c in candidates
        if c in found
    )


def candidate_rows(path: Path, candidates: Sequence[str]) -> pa.Table | None:
    """The rows of some candidates, None if no trial was written."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(candidates, pa.string())
    parts = [
        table.filter(pc.is_in(table["candidate"], wanted)) for table in map(read_table, trial_files(path))
    ]
    return pa.concat_tables(parts) if parts else None


def trial_files(path: Path) -> list[Path]:
    """The journals of a run folder, in the order of the trials."""
    return sorted((path / "candidates").glob("trial-*.parquet"))


def _model(
    problem: ModelProblem,
    batch: CandidateBatch,
    row: int,
    candidate: str,
    facts: Mapping[str, Any],
    bars: Mapping[tuple[str, str, str], Bar],
    drawn: Mapping[str, Curve],
) -> ModelView:
    model = model_from_batch(batch, row, candidate)
    train_size = model.hyperparameters[[problem.hyperparameter_names.index("train_size")]]
    n_train, n_val = split_rows(problem, train_size)
    return ModelView(
        model=model,
        cluster=facts["cluster"],
        error_score=facts["error_score"],
        losses=dict(zip(LOSS_COLUMNS, batch.losses[row].tolist(), strict=True)),
        contributions=batch.contributions[row],
        effect_shares=batch.effect_shares[row],
        efficiencies=efficiencies(problem, batch.contributions[row : row + 1])[0],
        n_train=int(n_train[0]),
        n_val=int(n_val[0]),
        decomposition=decompose(problem, model),
        curves=channel_curves(problem, model),
        responses=drawn or _own_curves(problem, model),
        intervals=bars,
    )


def _bars(intervals: pa.Table | None) -> dict[str, dict[tuple[str, str, str], Bar]]:
    bars: dict[str, dict[tuple[str, str, str], Bar]] = {}
    for row in intervals.to_pylist() if intervals is not None else []:
        estimate, lower, upper = (
            math.nan if row[k] is None else row[k] for k in ("estimate", "lower", "upper")
        )
        key = row["kind"], row["quantity"], row["name"]
        bars.setdefault(row["candidate"], {})[key] = Bar(estimate, lower, upper, row["level"], row["n"])
    return bars


def _curves(table: pa.Table | None) -> dict[str, dict[str, Curve]]:
    rows: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in table.to_pylist() if table is not None else []:
        rows.setdefault((row["candidate"], row["channel"]), []).append(row)
    keys = ("multiplier", "spend", "response", "marginal_response", "lower", "upper")
    curves: dict[str, dict[str, Curve]] = {}
    for (candidate, channel), points in rows.items():
        columns = [np.array([p[key] for p in points], dtype=np.float64) for key in keys]
        curves.setdefault(candidate, {})[channel] = Curve(*columns)
    return curves


def _own_curves(problem: ModelProblem, model: FittedModel) -> dict[str, Curve]:
    """The same curves without bands, for a run whose refits did not finish."""
    curves = {}
    none = np.full(len(CURVE_MULTIPLIERS), math.nan)
    for response in channel_responses(problem, model):
        spend, n = CURVE_MULTIPLIERS * response.reference_spend, response.n_periods
        values = response.response(spend) / n, response.marginal(spend)
        curves[response.channel] = Curve(CURVE_MULTIPLIERS, spend / n, *values, none, none)
    return curves


# ----------------------------------------------------------------------------------------------------------- scenarios


def _scenarios(
    folder: RunFolder, spec: ExperimentSpec, problem: ModelProblem, models: Sequence[FittedModel]
) -> tuple[ScenarioView, ...]:
    asked = {scenario.name: scenario for scenario in spec.scenarios}
    written = sorted(path.name for path in (folder.path / "scenarios").glob("*") if path.is_dir())
    told = (_optional_json(folder, "summary") or {}).get("plans", {})
    return tuple(
        _scenario(folder, name, asked.get(name), told.get(name, {}).get(ENSEMBLE, {}), problem, models)
        for name in [*asked, *(name for name in written if name not in asked)]
    )


def _scenario(
    folder: RunFolder,
    name: str,
    asked: ScenarioSpec | None,
    told: Mapping[str, Any],
    problem: ModelProblem,
    models: Sequence[FittedModel],
) -> ScenarioView:
    plans = {c: _plan(folder, name, c, problem) for c in [ENSEMBLE, *(model.candidate for model in models)]}
    shared = plans.pop(ENSEMBLE)
    own = {candidate: plan for candidate, plan in plans.items() if plan is not None}
    members = [model for model in models if model.candidate in own]
    is_told = shared is not None and _is_about(told, shared)
    seen: dict[str, float] = {}
    spends = np.empty((problem.n_paid, 0))
    curves: dict[str, FloatArray] = {}
    if shared is not None and members:
        surface = _surface(problem, members, shared)
        seen = _seen(surface, members, shared)
        spends, curves = _plan_curves(surface, members, shared)
    return ScenarioView(
        name=name,
        asked=asked,
        shared=shared,
        own=own,
        message=str(told.get("message", "")) if is_told else "",
        notes=tuple(told.get("notes", ())) if is_told else (),
        seen=seen,
        spends=spends,
        curves=curves,
    )


def _plan(folder: RunFolder, scenario: str, candidate: str, problem: ModelProblem) -> PlanView | None:
    table = _optional(folder, f"scenarios/{scenario}/{candidate}")
    if table is None:
        return None
    columns = {name: table[name].to_pylist() for name in table.column_names}
    rows = [columns["channel"].index(channel) for channel in problem.paid]
    ordered = {name: [values[row] for row in rows] for name, values in columns.items()}
    return PlanView(candidate, ordered, problem.outcome_kind.efficiency)


def _is_about(told: Mapping[str, Any], plan: PlanView) -> bool:
    """Whether the summary speaks of this very plan: a scenario can be planned again under the same name."""
    if told.get("status") != plan.status:
        return False
    before, after = told.get("initial_spend"), told.get("optimised_spend")
    pairs = [(before, plan.total("initial_spend")), (after, plan.total("optimised_spend"))]
    return all(
        (said is None and math.isnan(found)) or (said is not None and math.isclose(said, found))
        for said, found in pairs
    )


def _surface(problem: ModelProblem, models: Sequence[FittedModel], plan: PlanView) -> ResponseSurface:
    horizon = Horizon.between(problem, plan.start, plan.end)
    carryover = Carryover(str(plan.columns["carryover"][0]))
    return ResponseSurface.of(
        problem, models, horizon, carryover, Flighting(str(plan.columns["flighting"][0]))
    )


def _seen(surface: ResponseSurface, models: Sequence[FittedModel], plan: PlanView) -> dict[str, float]:
    if not plan.is_answer:
        return {}
    seen = {}
    for model, member in zip(models, surface.members, strict=True):
        alone = ResponseSurface((member,))
        before = float(alone.values(plan["initial_spend"]).sum())
        after = float(alone.values(plan["optimised_spend"]).sum())
        seen[model.candidate] = after / before - 1 if before > 0 else math.nan
    return seen


def _plan_curves(
    surface: ResponseSurface, models: Sequence[FittedModel], plan: PlanView
) -> tuple[FloatArray, dict[str, FloatArray]]:
    marks = [plan["initial_spend"], plan["upper_spend"], np.nan_to_num(plan["optimised_spend"])]
    most = 1.15 * np.max(marks, axis=0)
    spends = np.linspace(0.0, 1.0, PLAN_CURVE_POINTS) * np.where(most > 0, most, 1.0)[:, np.newaxis]
    curves = {
        model.candidate: ResponseSurface((member,)).values(spends)
        for model, member in zip(models, surface.members, strict=True)
    }
    curves[ENSEMBLE] = np.mean(list(curves.values()), axis=0)
    return spends, curves


# ----------------------------------------------------------------------------------------------------- derived numbers


def paid_contribution(problem: ModelProblem, view: ModelView) -> float:
    """What the paid channels brought over the window."""
    return float(view.contributions[problem.first_media : problem.first_media + problem.n_paid].sum())


def total_efficiency(problem: ModelProblem, plan: PlanView, when: str) -> float:
    """ROAS or CPA of a plan's channels together, ``when`` is initial or optimised."""
    spend, response = plan.total(f"{when}_spend"), plan.total(f"{when}_response")
    return float(efficiency(problem.outcome_kind, spend, response))


def roles_of(problem: ModelProblem) -> dict[str, Role]:
    """Design column -> role."""
    return dict(zip(problem.columns, problem.roles, strict=True))
