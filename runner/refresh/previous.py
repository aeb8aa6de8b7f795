"""The model before, written out as the spec of a refresh holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from statistics import NormalDist
from typing import Any

from mmm_core.bootstrap import bootstrap_model, intervals
from mmm_core.errors import UserError
from mmm_core.transforms import channel_curves, design_matrix
from mmm_core.types import FittedModel, ModelProblem
from runner.dataset import MediaPanel
from runner.model_files import read_model
from runner.problem import cost_per_exposure
from runner.run_folder import RunFolder
from runner.seeds import Branch, seed_at
from runner.spec import ChannelSpec, ExperimentSpec, PreviousComponent, PreviousMedium, PreviousSpec

# Refits for the standard errors of a run that has none.
REFITS, LEVEL = 200, 0.9

Ends = Mapping[str, tuple[float, float]]  # component -> interval of its contribution


def choose_candidate(folder: RunFolder, candidate: str | None) -> str:
    """The model to refresh: the one asked for, or the best selected one.

    Raises:
        UserError: it is none of the selected models.
    """
    known = folder.selected()
    if candidate is None:
        return known[0]
    if candidate not in known:
        raise UserError(f"{folder.path}: {candidate!r} is not a selected model; there are {', '.join(known)}")
    return candidate


def previous_model(
    folder: RunFolder, spec: ExperimentSpec, panel: MediaPanel, candidate: str
) -> tuple[PreviousSpec, ModelProblem]:
    """A selected model of a run, and the problem that it was fitted to.

    Sampling intervals are those of the run; where it has none, the model is refitted here.
    """
    problem = folder.problem(spec, panel)
    model = read_model(folder.path / "models" / f"{candidate}.json")
    rows = [row for row in folder.table("intervals").to_pylist() if row["candidate"] == candidate]
    ends, level = _known_ends(rows), spec.bootstrap.level
    if not ends:
        ends, level = sampled_ends(problem, model, spec.search.seed), LEVEL
    return describe(spec, panel, problem, model, ends, level), problem


def _known_ends(rows: Sequence[Mapping[str, Any]]) -> Ends:
    wanted = [row for row in rows if (row["kind"], row["quantity"]) == ("sampling", "contribution")]
    return {row["name"]: (row["lower"], row["upper"]) for row in wanted}


def sampled_ends(problem: ModelProblem, model: FittedModel, seed: int) -> Ends:
    """Intervals of the contributions at LEVEL, from REFITS refits."""
    draws = bootstrap_model(problem, model, REFITS, seed_at(seed, Branch.REFITS))
    found = intervals(problem, model, draws, LEVEL)
    return {row.name: (row.lower, row.upper) for row in found if row.quantity == "contribution"}


def describe(
    spec: ExperimentSpec,
    panel: MediaPanel,
    problem: ModelProblem,
    model: FittedModel,
    ends: Ends,
    level: float,
) -> PreviousSpec:
    """A fitted model as a refresh needs it.

    Args:
        spec, panel, problem: what it was fitted to. model: itself.
        ends: intervals of the contributions. level: of these.
    """
    totals = model.coefs * design_matrix(problem, model.hyperparameters).sum(axis=0)
    brought = {"intercept": model.intercept * problem.n_window}
    brought |= dict(zip(problem.columns, totals.tolist(), strict=True))
    coefs = {"intercept": model.intercept, **dict(zip(problem.columns, model.coefs.tolist(), strict=True))}
    names = problem.hyperparameter_names
    return PreviousSpec(
        start=_day(problem, problem.start),
        end=_day(problem, problem.stop - 1),
        rows=problem.n_periods,
        periods=problem.n_window,
        level=level,
        penalty=model.penalty,
        hyperparameters=dict(zip(names, model.hyperparameters.tolist(), strict=True)),
        components={name: _component(coefs[name], total, ends.get(name)) for name, total in brought.items()},
        media=_media(spec, panel, problem, model, ends, level),
    )


def _media(
    spec: ExperimentSpec,
    panel: MediaPanel,
    problem: ModelProblem,
    model: FittedModel,
    ends: Ends,
    level: float,
) -> dict[str, PreviousMedium]:
    z = NormalDist().inv_cdf(0.5 + level / 2)
    inflexions = {curve.channel: curve.inflexion for curve in channel_curves(problem, model)}
    media = {organic.name: PreviousMedium(inflexion=inflexions[organic.name]) for organic in spec.organic}
    for channel, total in zip(spec.channels, problem.total_spend, strict=True):
        spend = float(total)
        lower, upper = ends.get(channel.name, (None, None))
        error = None if lower is None or upper is None else (upper - lower) / (2 * z * spend)
        media[channel.name] = PreviousMedium(
            inflexion=inflexions[channel.name],
            rate=_rate(panel, problem, channel),
            spend=spend,
            standard_error=error,
        )
    return media


def _component(coef: float, contribution: float, ends: tuple[float, float] | None) -> PreviousComponent:
    lower, upper = ends or (None, None)
    return PreviousComponent(coef=coef, contribution=float(contribution), lower=lower, upper=upper)


def _rate(panel: MediaPanel, problem: ModelProblem, channel: ChannelSpec) -> float:
    if channel.exposure is None:
        return 1.0
    return cost_per_exposure(panel.numeric[channel.spend], panel.numeric[channel.exposure], problem.window)


def _day(problem: ModelProblem, row: int) -> date:
    day: date = problem.dates[row].astype(date)
    return day
