"""What a candidate predicts for a lift study, and how far that is from what the study found.

A study moved the exposure of one medium (or of several together) from one day to another and measured what that
brought. A candidate says the same of its own decomposition. With the rows t of the study, a weight w[t] for each, and
for a medium of the study the coefficient b, the curve hill, the adstocked exposure a[t] and the weights of its adstock:

    total      sum_t w[t] * b * hill(a[t])
    immediate  sum_t w[t] * b * (hill(a[t]) - hill(h[t])),   h[t] = sum over rows s before the study of weight[t-s] x[s]

summed over the media of the study. h is what earlier exposures carry into the study: the immediate part is what would
be missing had the medium been off in the rows of the study, which is what a switched-off region shows. It counts the
carryover from one row of the study to a later one, and nothing after the study. (``Decomposition.immediate`` is another
quantity: the part of each period's own exposure.)

The loss is the mean of |predicted - estimate| / |estimate|, studies weighted by ``LiftStudies.error_weights``.

Two conventions of days:

    correct  w[t] is the share of the period's days that lie in the study, first and last day included; h is made with
             the adstock of the whole series. A study may be shorter than a period.
    robyn    rows are the dates in the study, and the one before where the study does not start on a date; every
             w[t] = (end - start) / (date of the last row - date of the first row), in days; the Weibull scale is a
             share of the study's rows instead of all rows; standard errors are not used. A study of one row has no
             answer: its divisor is 0.

Source: Robyn 3.12.1, calibration.R, lift_calibration, for the second; S studies, other axes as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmm_core import _kernels
from mmm_core.adstock import KIND_CODES
from mmm_core.errors import RangeError
from mmm_core.evaluate import kernel_studies, media_parameters
from mmm_core.transforms import design_matrix, transform_media
from mmm_core.types import Convention, DateArray, FittedModel, FloatArray, LiftStudies, ModelProblem, Scope


@dataclass(frozen=True)
class LiftStudy:
    """One experiment and what it found.

    Attributes:
        channels: the media it moved together. start, end: its first and its last day.
        estimate: outcome that it found, in the outcome's unit, over its whole length; not 0.
        scope: whether that is all that the media brought in its days, or only what its own exposures did.
        standard_error: of the estimate, in the same unit; NaN if not known.
    """

    channels: tuple[str, ...]
    start: np.datetime64
    end: np.datetime64
    estimate: float
    scope: Scope
    standard_error: float = float("nan")


@dataclass(frozen=True, eq=False)
class StudyPredictions:
    """What one model says of each study, in the outcome's unit, and the relative error of that."""

    predicted: FloatArray  # (S,) in the study's own scope
    total: FloatArray  # (S,) as if every scope were total
    error: FloatArray  # (S,) |predicted - estimate| / |estimate|


def study_rows(
    study: LiftStudy, dates: DateArray, last_days: DateArray, convention: Convention
) -> tuple[int, int, FloatArray]:
    """Rows [first, stop) that a study touches, and the (T,) weight of every row of the data, 0 outside.

    Args:
        study: its days count. dates, last_days: (T,) first and last day of each period. convention: see the module.
    Raises:
        RangeError: no row of the data lies in the study; in Robyn's convention, fewer than two.
    """
    days = (np.minimum(last_days, study.end) - np.maximum(dates, study.start)).astype(np.int64) + 1
    lengths = (last_days - dates).astype(np.int64) + 1
    weights: FloatArray = np.maximum(days, 0) / lengths
    rows = np.flatnonzero(weights)
    if len(rows) == 0:
        raise RangeError(f"the data have no row from {study.start} to {study.end}")
    first, stop = int(rows[0]), int(rows[-1]) + 1
    if convention is Convention.CORRECT:
        return first, stop, weights
    # A row that holds the start but not on its date is the row before the first date of the study.
    between = int((dates[stop - 1] - dates[first]).astype(np.int64))
    if between == 0:
        raise RangeError(f"from {study.start} to {study.end} is one row, which Robyn's convention cannot use")
    constant = int((study.end - study.start).astype(np.int64)) / between
    return first, stop, np.where(weights > 0, constant, 0.0)


def lift_studies(
    studies: Sequence[LiftStudy],
    dates: DateArray,
    last_days: DateArray,
    convention: Convention = Convention.CORRECT,
) -> LiftStudies:
    """Studies as the arrays of a problem.

    Args:
        studies: at least one. dates, last_days: (T,) first and last day of each period. convention: see the module.
    Raises:
        RangeError: as ``study_rows``, or an estimate or standard error that cannot be used.
        ShapeError: no study.
    """
    rows = [study_rows(study, dates, last_days, convention) for study in studies]
    return LiftStudies(
        channels=tuple(study.channels for study in studies),
        scopes=tuple(study.scope for study in studies),
        first=np.array([first for first, _, _ in rows]),
        stop=np.array([stop for _, stop, _ in rows]),
        row_weights=np.array([weights for _, _, weights in rows]),
        estimate=np.array([study.estimate for study in studies]),
        standard_error=np.array([study.standard_error for study in studies]),
        convention=convention,
    )


def predict(problem: ModelProblem, model: FittedModel) -> StudyPredictions:
    """What a model predicts for the lift studies of its problem: the numbers that ``evaluate_candidates`` judges by.

    Args:
        problem: the data, with or without studies. model: one evaluated candidate of it.
    """
    studies = kernel_studies(problem)
    predicted = _predicted(problem, model, studies)
    total = _predicted(problem, model, studies._replace(is_immediate=np.zeros_like(studies.is_immediate)))
    return StudyPredictions(predicted, total, np.abs(predicted - studies.estimate) / np.abs(studies.estimate))


def _predicted(problem: ModelProblem, model: FittedModel, studies: _kernels.Studies) -> FloatArray:
    transform = transform_media(problem, model.hyperparameters)
    predicted = np.empty(len(studies.estimate))
    _kernels.predict_studies(
        KIND_CODES[problem.adstock],
        problem.design,
        problem.first_media,
        problem.start,
        media_parameters(problem, model.hyperparameters[np.newaxis, :])[0],
        model.coefs,
        design_matrix(problem, model.hyperparameters),
        transform.inflexion,
        transform.adstocked,
        studies,
        np.empty((4, problem.n_periods)),
        np.empty(problem.n_window),
        predicted,
    )
    return predicted
