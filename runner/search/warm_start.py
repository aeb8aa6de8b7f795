"""Points to ask first: the selected models of an earlier run, written into the spec of the next.

They are names and values, so that the earlier run may have other data, channels or ranges: what the new search knows by
the same name is taken, cut to its range; what it does not know is left out, and what is missing stands in the middle of
its range. A penalty means the same lambda as a share of the data's largest lambda, whatever the two runs' scales.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmm_core.errors import UserError
from mmm_core.types import PenaltyScale
from runner.findings import Finding, Severity
from runner.model_files import read_record
from runner.run_folder import RunFolder
from runner.spec import ExperimentSpec

# Optimizers keep a first population of 30 and more; points beyond it would crowd one another out in no fixed order.
MOST = 30


def read_start(path: str | Path, spec: ExperimentSpec) -> tuple[tuple[dict[str, float], ...], list[Finding]]:
    """The selected models of a run as points for ``search.start``, best error score first.

    Call it after curves have become ranges: points are cut to the ranges of ``spec``.

    Args:
        path: an earlier run's folder. spec: of the new run.
    Returns:
        (points, what was noticed: how many there are, and values that had to be cut or left out).
    Raises:
        UserError: it is no run, has no selected models, or shares no hyperparameter with the spec.
    """
    folder = RunFolder.open(path)
    scale = PenaltyScale(folder.spec().search.penalty_scale)
    points, cut, unknown = [], set(), set()
    for candidate in folder.selected()[:MOST]:
        given = _rescaled(_hyperparameters(folder, candidate), scale, spec)
        point, beyond = _within(spec, given)
        points.append(point)
        cut |= beyond
        unknown |= given.keys() - point.keys()
    if not any(points):
        raise UserError(
            f"search.warm_start: {path} has no hyperparameter that this spec searches; channels are matched by their "
            "names, so give them the same ones, or remove warm_start"
        )
    return tuple(points), _findings(folder, len(points), sorted(cut), sorted(unknown))


def _hyperparameters(folder: RunFolder, candidate: str) -> dict[str, float]:
    path = folder.path / "models" / f"{candidate}.json"
    if not path.is_file():
        raise UserError(f"{path}: the run has no such model; its stage did not finish, run it again")
    return {name: float(value) for name, value in read_record(path)["hyperparameters"].items()}


def _rescaled(point: dict[str, float], scale: PenaltyScale, spec: ExperimentSpec) -> dict[str, float]:
    ours = PenaltyScale(spec.search.penalty_scale)
    return {name: ours.of(value, scale) if name == "lambda_hp" else value for name, value in point.items()}


def _within(spec: ExperimentSpec, point: Mapping[str, float]) -> tuple[dict[str, float], set[str]]:
    """(the part of a point that the spec searches, inside its ranges; names of the values that lay outside)."""
    known = [name for name in _hyperparameter_names(spec) if name in point]
    ranges = spec.ranges(known)
    searched = [name for name in known if ranges[name][0] < ranges[name][1]]
    inside = {name: min(max(point[name], ranges[name][0]), ranges[name][1]) for name in searched}
    return inside, {name for name in searched if inside[name] != point[name]}


def _hyperparameter_names(spec: ExperimentSpec) -> list[str]:
    """What the spec itself can name, before there is a problem: penalties of a factor's dummies are not among them."""
    parameters = ("alpha", "gamma", *spec.adstock.parameters)
    names = [f"{medium}_{parameter}" for medium in spec.media_names for parameter in parameters]
    if spec.penalty_factors:
        baseline = (*spec.baseline.components, *spec.baseline.precomputed)
        columns = (*baseline, *(context.name for context in spec.context), *spec.media_names)
        names += [f"{column}_penalty" for column in columns]
    return [*names, "train_size", "lambda_hp"]


def _findings(folder: RunFolder, n: int, cut: list[str], unknown: list[str]) -> list[Finding]:
    found = [
        Finding(
            "warm-start",
            Severity.INFO,
            f"Every trial begins with the {n} selected models of {folder.run_id}.",
        )
    ]
    if cut:
        found.append(
            Finding(
                "warm-start-outside",
                Severity.WARNING,
                f"Models of {folder.run_id} lie outside the ranges searched here and were moved to their ends: "
                f"{', '.join(cut)}.",
                "Widen these ranges if the earlier models were good.",
            )
        )
    if unknown:
        found.append(
            Finding(
                "warm-start-unused",
                Severity.INFO,
                f"Not searched here, so not taken over from {folder.run_id}: {', '.join(unknown)}.",
            )
        )
    return found
