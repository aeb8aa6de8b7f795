"""Has the search settled, loss by loss: medians and spreads over successive stretches of iterations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmm_core.errors import ShapeError
from mmm_core.types import FloatArray, IntArray

N_BINS = 20
# The first bins, whose mean spread is the yardstick, and how many such spreads the median has to fall (Robyn's).
FIRST_BINS = 3
SPREADS = 2.0


@dataclass(frozen=True)
class ConvergenceBin:
    """One loss in one stretch of iterations.

    The fields from ``first_median`` on are the same for a whole loss, but for is_median_below and is_sd_below, which
    compare this bin.
    """

    loss: str
    bin: int
    first_iteration: int
    last_iteration: int
    n: int
    median: float
    sd: float
    first_median: float
    first_sd_mean: float
    last_median: float
    last_sd: float
    median_threshold: float
    is_median_below: bool
    is_sd_below: bool
    is_converged: bool


@dataclass(frozen=True)
class ConvergenceVerdict:
    """The answer for one loss, and the sentence that says why."""

    loss: str
    is_converged: bool
    sentence: str


@dataclass(frozen=True)
class Convergence:
    """Bins of every loss that has values (rows of convergence.parquet) and one verdict per loss."""

    bins: tuple[ConvergenceBin, ...]
    verdicts: tuple[ConvergenceVerdict, ...]

    @property
    def is_converged(self) -> bool:
        """Whether every loss with a verdict has converged (and there is one)."""
        return bool(self.verdicts) and all(v.is_converged for v in self.verdicts)


def measure_convergence(iteration: IntArray, losses: Mapping[str, FloatArray]) -> Convergence:
    """Judge whether the losses have come down and calmed down.

    Iterations 1..I (I = the largest) are cut into 20 stretches of equal width, (b-1) I/20 < i <= b I/20, all trials
    pooled. Per stretch the median and the standard deviation (divisor n - 1) of a loss. With s = mean sd of the first
    three stretches, a loss has converged if in the last one sd < s and median < |median of the first one - 2 s|.

    Args:
        iteration: shape (N,), place of each candidate in its trial, from 1.
        losses: name -> shape (N,), in the order the result shall have. Values that are not finite and > 0 do not
            count, so a loss without any (mape without calibration) gives no row and no verdict.
    Returns:
        Convergence. Stretches without values have no row; with fewer than two values sd is NaN and nothing converges.
    Raises:
        ShapeError: lengths differ.
    Source: Robyn 3.12.1, convergence.R, robyn_converge. Difference: Robyn renumbers a trial's iterations after values
    were dropped, here a stretch always means the same iterations.
    """
    iteration = np.asarray(iteration, dtype=np.int64)
    bins: list[ConvergenceBin] = []
    verdicts: list[ConvergenceVerdict] = []
    for loss, values in losses.items():
        values = np.asarray(values, dtype=np.float64)
        if values.shape != iteration.shape:
            raise ShapeError(f"{loss} has shape {values.shape}, iteration {iteration.shape}")
        counted = np.isfinite(values) & (values > 0)
        if counted.any():
            rows = _bins_of_loss(loss, iteration, values, counted)
            bins.extend(rows)
            verdicts.append(_verdict(rows))
    return Convergence(tuple(bins), tuple(verdicts))


def _bins_of_loss(
    loss: str, iteration: IntArray, values: FloatArray, counted: NDArray[np.bool_]
) -> list[ConvergenceBin]:
    last = int(iteration.max())
    # Whole numbers, so that an iteration on an edge cannot fall on the wrong side of it by rounding.
    place = -(-iteration * N_BINS // last)
    members = {b: np.sort(values[counted & (place == b)]) for b in range(1, N_BINS + 1)}
    members = {b: v for b, v in members.items() if len(v)}
    medians = [float(np.median(v)) for v in members.values()]
    spreads = [float(v.std(ddof=1)) if len(v) > 1 else float("nan") for v in members.values()]
    spread_scale = float(np.mean(spreads[:FIRST_BINS]))
    threshold = abs(abs(medians[0]) - SPREADS * spread_scale)
    return [
        ConvergenceBin(
            loss=loss,
            bin=b,
            first_iteration=(b - 1) * last // N_BINS + 1,
            last_iteration=b * last // N_BINS,
            n=len(v),
            median=median,
            sd=spread,
            first_median=medians[0],
            first_sd_mean=spread_scale,
            last_median=medians[-1],
            last_sd=spreads[-1],
            median_threshold=threshold,
            is_median_below=median < threshold,
            is_sd_below=spread < spread_scale,
            is_converged=medians[-1] < threshold and spreads[-1] < spread_scale,
        )
        for (b, v), median, spread in zip(members.items(), medians, spreads, strict=True)
    ]


def _verdict(rows: list[ConvergenceBin]) -> ConvergenceVerdict:
    last = rows[-1]
    if not np.isfinite((last.last_sd, last.first_sd_mean)).all():
        sentence = (
            f"{last.loss} cannot be judged: too few candidates in the first or last stretch of iterations"
        )
        return ConvergenceVerdict(last.loss, False, sentence)
    spread = _comparison("sd", last.last_sd, last.first_sd_mean, "of the first")
    median = _comparison("median", last.last_median, last.median_threshold, "wanted")
    has = "has" if last.is_converged else "has not"
    sentence = (
        f"{last.loss} {has} converged: in the last {1 / N_BINS:.0%} of iterations {spread} and {median}"
    )
    return ConvergenceVerdict(last.loss, last.is_converged, sentence)


def _comparison(name: str, value: float, limit: float, meaning: str) -> str:
    sign = "<" if value < limit else ">="
    return f"{name} {value:.3g} {sign} {limit:.3g} {meaning}"
