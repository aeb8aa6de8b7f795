"""The spec of a refresh: that of the run before, its window moved, its ranges narrowed, the model before in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmm_core.types import ModelProblem
from runner.refresh.bounds import narrowed_ranges
from runner.refresh.reference import hyperparameters_now
from runner.refresh.rows import Move
from runner.spec import ExperimentSpec, PreviousSpec, RefreshSpec, apply_override, decode

# Robyn's defaults of robyn_refresh.
ITERATIONS, TRIALS = 1000, 3
# How far a hyperparameter may move in one refresh, in parts of its first range. Robyn's is the part of the window that
# is new; with more room the search finds models that fit better and are closer to the one before (docs/refresh.md).
FREEDOM = 0.2


@dataclass(frozen=True)
class Wish:
    """How to refresh.

    Attributes:
        robyn: Robyn's loss, weights, ranges and choice of the model, instead of ours.
        freedom: how far hyperparameters may move, in parts of their first range; None for the default.
        overrides: key=value of the new spec.
    """

    robyn: bool = False
    freedom: float | None = None
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Before:
    """The run before: where it is in the line of runs, its spec, and the model of it that is refreshed."""

    run: str
    spec: ExperimentSpec
    problem: ModelProblem
    candidate: str
    model: PreviousSpec


def refreshed_spec(before: Before, data: str, n_rows: int, move: Move, wish: Wish) -> ExperimentSpec:
    """The complete spec of the refresh; it does not need the run before.

    Args:
        before: the run and its model. data: path of the new table. n_rows: of it.
        move: the new window. wish: how to refresh.
    Raises:
        UserError: an override that cannot be, or a spec that does not hold together.
    """
    refresh = _refresh(before, move, wish)
    tree = before.spec.resolved()
    tree["data"]["path"] = data if "://" in data else str(Path(data).absolute())
    tree["window"] = {"start": str(move.start), "end": str(move.end)}
    values = _centre(before, refresh, n_rows)
    tree["hyperparameters"] = nested_ranges(
        before.spec, narrowed_ranges(refresh.bounds, values, refresh.freedom)
    )
    tree["curves"] = []  # the ranges that they gave are among the bounds
    tree["search"] |= _search(before.spec, values, wish)
    tree["refresh"] = refresh.model_dump(mode="json")
    for override in wish.overrides:
        apply_override(tree, override)
    return decode(tree, f"refresh of {before.run}")


def _refresh(before: Before, move: Move, wish: Wish) -> RefreshSpec:
    earlier = before.spec.refresh
    default = move.periods / move.n_window if wish.robyn else FREEDOM
    return RefreshSpec(
        run=before.run,
        candidate=before.candidate,
        lineage=(*(earlier.lineage if earlier else ()), before.run),
        periods=move.periods,
        loss="robyn" if wish.robyn else "stable",
        winner="closest" if wish.robyn else "evidence",
        freedom=default if wish.freedom is None else wish.freedom,
        bounds=earlier.bounds if earlier else _first_bounds(before),
        previous=before.model,
    )


def _first_bounds(before: Before) -> dict[str, tuple[float, float]]:
    bounds = before.spec.ranges(before.problem.hyperparameter_names)
    if not before.spec.validation.time_series:
        del bounds["train_size"]
    return bounds


def _centre(before: Before, refresh: RefreshSpec, n_rows: int) -> dict[str, float]:
    """Hyperparameters that the ranges are narrowed around; Robyn's lambda_hp leaves out the smallest lambda."""
    values = hyperparameters_now(before.spec, refresh, n_rows)
    if refresh.loss == "robyn":
        lambda_min, lambda_max = before.problem.lambda_range
        values["lambda_hp"] = min(before.model.penalty / (lambda_max - lambda_min), 1.0)
    return values


def _search(spec: ExperimentSpec, values: Mapping[str, float], wish: Wish) -> dict[str, Any]:
    keys: dict[str, Any] = {"iterations": ITERATIONS, "trials": TRIALS, "warm_start": None, "start": []}
    if wish.robyn:
        keys["objective_weights"] = [0.0, 1.0] if spec.calibration is None else [0.0, 1.0, 1.0]
    else:
        keys["start"] = [dict(values)]
    return keys


def nested_ranges(
    spec: ExperimentSpec, ranges: Mapping[str, Sequence[float]]
) -> dict[str, dict[str, list[float]] | list[float]]:
    """Ranges by full name as a spec writes them: a medium's under its name."""
    owners = {
        f"{medium}_{parameter}": (medium, parameter)
        for medium in spec.media_names
        for parameter in ("alpha", "gamma", *spec.adstock.parameters, "penalty")
    }
    tree: dict[str, Any] = {}
    for name, (low, high) in ranges.items():
        if name in owners:
            medium, parameter = owners[name]
            tree.setdefault(medium, {})[parameter] = [low, high]
        else:
            tree[name] = [low, high]
    return tree
