"""What an uncertain number looks like: one row per number, and the quantiles it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from mmm_core.errors import RangeError, ShapeError
from mmm_core.types import FloatArray

# Two or fewer models have no spread worth a number.
SMALLEST_SPREAD = 3


class IntervalKind(StrEnum):
    """What an interval speaks of."""

    SAMPLING = "sampling"  # block bootstrap of one model, its hyperparameters given
    CLUSTER = "cluster"  # spread over the models of one cluster; no statement about the data's noise


@dataclass(frozen=True)
class Interval:
    """An estimate and what lies around it; a row of intervals.parquet.

    The estimate may lie outside: an interval says where the truth may be, and a shrunken or bounded estimate is not in
    the middle of that.
    """

    candidate: str
    kind: IntervalKind
    quantity: str  # "coef" | "contribution" | "roas" | "cpa"
    name: str  # design column, channel, or "intercept"
    estimate: float
    lower: float
    upper: float
    level: float
    n: int  # draws or models it rests on


def quantile(values: FloatArray, probability: float) -> float:
    """Type-7 quantile (R's and numpy's default) that stays defined when values are infinite.

    h = (n - 1) * probability; between the two neighbouring order statistics the value is interpolated linearly, but an
    infinite neighbour is taken only when h is past the finite one: numpy answers NaN between two infinities.

    Args:
        values: shape (n,), n >= 1; NaN counts as +infinity.
        probability: in [0, 1].
    Raises:
        ShapeError: no values. RangeError: probability outside [0, 1].
    """
    if len(values) == 0:
        raise ShapeError("a quantile needs at least one value")
    if not 0 <= probability <= 1:
        raise RangeError(f"probability is {probability:g}, expected 0 <= probability <= 1")
    ordered = np.sort(np.where(np.isnan(values), np.inf, values))
    position = (len(ordered) - 1) * probability
    below = int(position)
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    if position == below or low == high:
        return low
    return (
        float(np.quantile(ordered, probability))
        if np.isfinite((low, high)).all()
        else max(low, high, key=abs)
    )


def check_level(level: float) -> float:
    """The level itself if it is one, 0 < level < 1; RangeError otherwise."""
    if not 0 < level < 1:
        raise RangeError(f"level is {level:g}, expected 0 < level < 1")
    return level


def spread(values: FloatArray, level: float) -> tuple[float, float] | None:
    """Where the central part of some values lies: how much models disagree, not how uncertain the data are.

    Type-7 quantiles at (1 - level) / 2 and 1 - (1 - level) / 2. With fewer than 2 / (1 - level) values (20 for 0.9)
    no value lies beyond such a quantile, and the range from smallest to largest stands instead.

    Args:
        values: shape (n,); infinities count, NaN do not.
        level: in (0, 1).
    Returns:
        (lower, upper), or None for fewer than three values.
    Raises:
        RangeError: level outside (0, 1).
    Source: replaces Robyn's mean -/+ t * sd of the models of a cluster (clusters.R, confidence_calcs), which is also a
    spread though shown as a confidence interval, supposes symmetry and repeats a neighbour's for small clusters.
    """
    tail = (1 - check_level(level)) / 2
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if len(known) < SMALLEST_SPREAD:
        return None
    if len(known) * tail < 1 - 1e-9:
        return float(known.min()), float(known.max())
    return quantile(known, tail), quantile(known, 1 - tail)
