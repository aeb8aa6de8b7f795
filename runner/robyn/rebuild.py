"""A model of Robyn's evaluated again: the same columns, hyperparameters and penalty, our own fit.

What differs between versions of Robyn is told by the version that the file names, and undone where it can be:

    Hill inflexion  from 3.12 on gamma * max(a), before (1 - gamma) * min(a) + gamma * max(a), a = adstocked exposure in
                    the window. An old gamma is converted into the one that has the same inflexion, so the model is the
                    same to rounding. Development versions are somewhere between: the file's coefficients decide.
    zero penalty    DecompRSSD is inflated by the share of channels without effect from 3.10 on, unless switched off;
                    the file does not say so, its DecompRSSD does.

Source: robyn-method sections 8, 11, 13, 26.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmm_core.errors import RangeError, UserError
from mmm_core.evaluate import evaluate_candidates
from mmm_core.limits import parameter_of
from mmm_core.transforms import transform_media
from mmm_core.types import CandidateBatch, FloatArray, ModelProblem
from runner.dataset import MediaPanel
from runner.findings import Finding, Severity
from runner.problem import (
    assemble_problem,
    check_names,
    check_rows,
    context_columns,
    design_columns,
    modelled_media,
)
from runner.robyn import names
from runner.robyn.reading import RobynModel
from runner.spec import ExperimentSpec
from runner.studies import Studies

# From this version on the inflexion is gamma * max; the bounds of Prophet's coefficients are [0, 1] from the second.
NEW_INFLEXION = (3, 12)
PROPHET_BOUNDS = (3, 10)
# Numbers closer than this are those of one formula.
SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """A model on our side.

    Attributes:
        spec, problem: what it belongs to; the zero penalty is the file's.
        batch: the one model, evaluated.
        findings: what had to be converted, and what the data lack.
    """

    spec: ExperimentSpec
    problem: ModelProblem
    batch: CandidateBatch
    findings: tuple[Finding, ...]


def rebuild(
    model: RobynModel,
    labels: Mapping[str, str],
    spec: ExperimentSpec,
    panel: MediaPanel,
    studies: Studies | None,
    baseline: Mapping[str, FloatArray] | None,
) -> Rebuilt:
    """Evaluate the file's hyperparameters and penalty on the data.

    Args:
        model: the file. labels: predictor by Robyn's name -> our column. spec, panel, studies: as read.
        baseline: columns to take instead of asking Prophet.
    Raises:
        UserError: Prophet fails, a hyperparameter is not legal, or a penalty factor is missing.
    """
    design, findings = _design(spec, panel, labels, baseline)
    problem = assemble_problem(spec, panel, design, studies)
    check_names(problem)
    findings += list(studies.findings) if studies is not None else []
    point = _point(model, labels, problem)
    batch = _evaluated(model, problem, point)
    if _may_have_old_inflexion(model):
        old = _with_new_gammas(problem, point)
        as_old = _evaluated(model, problem, old)
        if _distance(model, labels, problem, as_old) <= _distance(model, labels, problem, batch):
            findings.append(_about_inflexion(model, problem, point, old))
            point, batch = old, as_old
    if _lacks_zero_penalty(model, problem, point, batch):
        search = spec.search.model_copy(update={"rssd_zero_penalty": False})
        spec = spec.model_copy(update={"search": search})
        problem = replace(problem, zero_penalty=False)
        batch = _evaluated(model, problem, point)
    return Rebuilt(
        _holding(spec, problem, point),
        problem,
        batch,
        (*findings, *_about_rows(spec, problem), *_about_version(model), *_about_length(model, problem)),
    )


def _design(
    spec: ExperimentSpec,
    panel: MediaPanel,
    labels: Mapping[str, str],
    baseline: Mapping[str, FloatArray] | None,
) -> tuple[dict[str, FloatArray], list[Finding]]:
    """The K columns before adstock; with a baseline of the file's own Prophet is not asked."""
    if baseline is None:
        return design_columns(spec, panel)
    media, findings = modelled_media(spec, panel)
    given = {labels[name]: values for name, values in baseline.items()}
    columns: dict[str, FloatArray] = {str(name): given[name] for name in spec.baseline.components}
    for column, context in context_columns(spec, panel).items():
        columns[column] = given[column] if column in given else panel.numeric[context.column]
    return columns | media, findings


def _point(model: RobynModel, labels: Mapping[str, str], problem: ModelProblem) -> FloatArray:
    """(H,) the file's hyperparameters in our order; lambda_hp is what the penalty is in our range of penalties."""
    ours = {"train_size": model.train_size, "lambda_hp": _lambda_hp(model, problem)}
    singular = {plural: parameter for parameter, plural in names.PARAMETERS.items()} | {"penalty": "penalty"}
    for name, value in model.values.items():
        predictor, _, parameter = name.rpartition("_")
        if parameter in singular:
            ours[f"{labels.get(predictor, predictor)}_{singular[parameter]}"] = value
    for name in problem.hyperparameter_names:
        if name not in ours:
            raise UserError(
                f"{model.path}: ExportedModel.hyper_values has nothing for {name}, which the model needs"
            )
    return np.array([ours[name] for name in problem.hyperparameter_names])


def _lambda_hp(model: RobynModel, problem: ModelProblem) -> float:
    """Only shown: the penalty itself is kept, and on other data it may lie outside the range."""
    low, high = problem.lambda_range
    return float(np.clip((model.penalty - low) / (high - low), 0.0, 1.0))


def _evaluated(model: RobynModel, problem: ModelProblem, point: FloatArray) -> CandidateBatch:
    try:
        return evaluate_candidates(problem, point[np.newaxis, :], np.array([model.penalty]))
    except RangeError as error:
        told = str(error).removeprefix("row 1: ")
        raise UserError(f"{model.path}: ExportedModel.hyper_values: {told}") from None


# ------------------------------------------------------------------------------------------------------------- versions


def _may_have_old_inflexion(model: RobynModel) -> bool:
    version = model.inputs.version
    return version is None or version[:2] < NEW_INFLEXION


def _with_new_gammas(problem: ModelProblem, point: FloatArray) -> FloatArray:
    """Gammas whose inflexion gamma' * max is the old (1 - gamma) * min + gamma * max."""
    adstocked = transform_media(problem, point).adstocked
    low, high = adstocked.min(axis=1), adstocked.max(axis=1)
    converted = point.copy()
    for m, medium in enumerate(problem.media):
        at = problem.hyperparameter_names.index(f"{medium}_gamma")
        if high[m] > 0:
            converted[at] = ((1 - point[at]) * low[m] + point[at] * high[m]) / high[m]
    return converted


def _distance(
    model: RobynModel, labels: Mapping[str, str], problem: ModelProblem, batch: CandidateBatch
) -> float:
    """How far the coefficients are from the file's: the mean of |ours - theirs| / (|ours| + |theirs|)."""
    ours = dict(zip(problem.columns, batch.coefs[0].tolist(), strict=True))
    pairs = [
        (ours[column], model.summary[predictor].coef)
        for predictor, column in labels.items()
        if predictor in model.summary and column in ours
    ]
    parts = [abs(a - b) / (abs(a) + abs(b)) if a or b else 0.0 for a, b in pairs]
    return float(np.mean(parts)) if parts else 0.0


def _about_inflexion(
    model: RobynModel, problem: ModelProblem, before: FloatArray, after: FloatArray
) -> Finding:
    pairs = zip(problem.hyperparameter_names, before.tolist(), after.tolist(), strict=True)
    changes = [
        (name.removesuffix("_gamma"), f"{old:.4g}", f"{new:.4g}") for name, old, new in pairs if old != new
    ]
    moved = [f"{medium} {old} to {new}" for medium, old, new in changes if old != new]
    told = "The smallest exposure of every medium is 0, so the curves are the same as they stand."
    if changes:
        far = ", ".join(moved) or "none by as much as its fourth digit"
        told = f"Gammas were converted so that the curves are the same: {far}."
    return Finding(
        "robyn-old-inflexion",
        Severity.INFO,
        f"{model.inputs.version_text} places the inflexion of a curve between the smallest and the largest exposure, "
        f"versions from 3.12 on and this program at gamma times the largest. {told}",
    )


def _lacks_zero_penalty(
    model: RobynModel, problem: ModelProblem, point: FloatArray, batch: CandidateBatch
) -> bool:
    """Whether the file's DecompRSSD is the one without the zero penalty."""
    theirs, ours = model.errors.get("decomp_rssd", np.nan), float(batch.loss("decomp_rssd")[0])
    if (
        model.inputs.is_refresh
        or not np.isfinite([theirs, ours]).all()
        or abs(ours - theirs) <= SAME * theirs
    ):
        return False
    plain = _evaluated(model, replace(problem, zero_penalty=False), point)
    without = float(plain.loss("decomp_rssd")[0])
    return without != ours and abs(without - theirs) < 0.1 * abs(ours - theirs)


def _holding(spec: ExperimentSpec, problem: ModelProblem, point: FloatArray) -> ExperimentSpec:
    """The spec with every range wide enough for the model's own value, which a conversion may have moved."""
    values = dict(zip(problem.hyperparameter_names, point.tolist(), strict=True))
    widened: dict[str, Any] = {}
    for key, entry in spec.hyperparameters.items():
        if isinstance(entry, dict):
            widened[key] = {name: _around(bounds, values[f"{key}_{name}"]) for name, bounds in entry.items()}
        else:
            widened[key] = _around(entry, values[key])
    return spec.model_copy(update={"hyperparameters": widened})


def _around(bounds: tuple[float, float], value: float) -> tuple[float, float]:
    return min(bounds[0], value), max(bounds[1], value)


# ------------------------------------------------------------------------------------------------------------- findings


def _about_rows(spec: ExperimentSpec, problem: ModelProblem) -> list[Finding]:
    """A model that stands is not refused for its data being short; a new search would be."""
    try:
        return check_rows(spec, problem)
    except UserError as error:
        return [Finding("few-rows", Severity.WARNING, f"A search on these data would be refused: {error}.")]


def _about_version(model: RobynModel) -> list[Finding]:
    version = model.inputs.version
    if version is not None and version[:2] >= PROPHET_BOUNDS:
        return []
    known = model.inputs.version_text if version is None else f"{model.inputs.version_text} is before 3.10"
    return [
        Finding(
            "robyn-version",
            Severity.WARNING,
            f"{known}: coefficients of Prophet's columns are bounded to [0, 1] here, as in Robyn from 3.10 on; earlier "
            "ones are not rebuilt exactly.",
            "Look at what the comparison says before using the model.",
        )
    ]


def _about_length(model: RobynModel, problem: ModelProblem) -> list[Finding]:
    theirs = model.inputs.n_rows
    if theirs is None or theirs == problem.n_periods:
        return []
    parts = ["Prophet's columns"]
    if any(parameter_of(name) == "scale" for name in problem.hyperparameter_names):
        parts.append("the scale of the Weibull adstock")
    return [
        Finding(
            "robyn-other-rows",
            Severity.WARNING,
            f"The model was made on {theirs} rows, the data have {problem.n_periods}: {' and '.join(parts)} depend on "
            "all rows, also those outside the window.",
            "Give the table that the model was made on, and new rows to mmm refresh.",
        )
    ]
