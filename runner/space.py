"""Named bounds in a fixed order: unit cube to hyperparameters and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmm_core.errors import ShapeError, UserError
from mmm_core.types import FloatArray, IntArray, ModelProblem
from runner.spec import ExperimentSpec

# Robyn rounds what Nevergrad proposes to this many significant digits before it is used.
SIGNIFICANT_DIGITS = 10
SMALLEST_MAGNITUDE = -290


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """[low, high] of every hyperparameter of a problem; equal bounds are fixed and not searched.

    Attributes:
        names: H hyperparameters, in the problem's order.
        low, high: (H,) bounds.
    """

    names: tuple[str, ...]
    low: FloatArray
    high: FloatArray

    @cached_property
    def searched(self) -> IntArray:
        """Positions of the D searched hyperparameters."""
        return np.flatnonzero(self.high > self.low)

    @property
    def dimension(self) -> int:
        """D."""
        return len(self.searched)

    def hyperparameters(self, unit: FloatArray) -> FloatArray:
        """low + v * (high - low) with v rounded to 10 significant digits.

        Args:
            unit: shape (N, D), in [0, 1].
        Returns:
            (N, H) matrix, fixed ones filled in.
        Raises:
            ShapeError: not D columns.
        """
        if unit.ndim != 2 or unit.shape[1] != self.dimension:
            raise ShapeError(f"unit has shape {unit.shape}, expected (N, {self.dimension})")
        out = np.empty((len(unit), len(self.low)))
        out[:] = self.low
        low, high = self.low[self.searched], self.high[self.searched]
        out[:, self.searched] = low + round_significant(np.clip(unit, 0.0, 1.0)) * (high - low)
        return out

    def start(self, points: Sequence[Mapping[str, float]]) -> FloatArray:
        """Named points as positions, shape (N, D): missing values stand in the middle, others inside the bounds.

        Args:
            points: hyperparameter -> value; names that are not searched are passed over.
        """
        middle = (self.low + self.high) / 2
        rows = [
            [point.get(name, value) for name, value in zip(self.names, middle, strict=True)]
            for point in points
        ]
        return np.clip(self.unit(np.array(rows).reshape(len(points), len(self.names))), 0.0, 1.0)

    def unit(self, hyperparameters: FloatArray) -> FloatArray:
        """The inverse, shape (N, D): where in their bounds the searched hyperparameters lie."""
        low, high = self.low[self.searched], self.high[self.searched]
        position: FloatArray = (hyperparameters[:, self.searched] - low) / (high - low)
        return position


def round_significant(values: FloatArray, digits: int = SIGNIFICANT_DIGITS) -> FloatArray:
    """Round to significant decimal digits; zeros stay, and below 1e-290 all becomes zero by and by."""
    magnitude = np.floor(np.log10(np.where(values == 0, 1.0, np.abs(values))))
    magnitude = np.maximum(magnitude, SMALLEST_MAGNITUDE)  # 10 to the power below must stay finite
    scale = 10.0 ** (digits - 1 - magnitude)
    rounded: FloatArray = np.round(values * scale) / scale
    return rounded


def search_space(spec: ExperimentSpec, problem: ModelProblem) -> SearchSpace:
    """The space of a spec, defaults filled in.

    Raises:
        UserError: a hyperparameter of the spec does not fit the problem.
    """
    names = problem.hyperparameter_names
    for key in spec.hyperparameters:
        if key.endswith("_penalty") and key not in names:
            raise UserError(
                f"hyperparameters.{key}: the design has no such column; it has {', '.join(problem.columns)}"
            )
    ranges = spec.ranges(names)
    low = np.array([ranges[name][0] for name in names])
    high = np.array([ranges[name][1] for name in names])
    return SearchSpace(names, low, high)
