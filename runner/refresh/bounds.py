"""Ranges around the model before, in which a refresh searches."""

from __future__ import annotations

from collections.abc import Mapping

from mmm_core.limits import LIMITS, parameter_of

# A bound that may not be reached itself, such as theta < 1, is kept this far off, in parts of the legal range.
MARGIN = 1e-6


def narrowed(name: str, bounds: tuple[float, float], value: float, freedom: float) -> tuple[float, float]:
    """[low, high] around a value: at most ``freedom`` of the first range to either side, inside it.

        searched:  [max(low, h - f (high - low)), min(high, h + f (high - low))]
        fixed:     [h (1 - f), h (1 + f)], inside the legal limits

    Args:
        name: of the hyperparameter. bounds: of the first run; equal where it was fixed.
        value: h, of the model before. freedom: f, in (0, 1].
    Source: Robyn 3.12.1, refresh.R, refresh_hyps. There a fixed value can leave its legal limits.
    """
    low, high = bounds
    if high > low:
        value, reach = min(max(value, low), high), freedom * (high - low)
        return max(low, value - reach), min(high, value + reach)
    least, most = _legal(name)
    return max(least, value * (1 - freedom)), min(most, value * (1 + freedom))


def _legal(name: str) -> tuple[float, float]:
    low, low_allowed, high, high_allowed = LIMITS[parameter_of(name)]
    margin = MARGIN * (high - low)
    return low if low_allowed else low + margin, high if high_allowed else high - margin


def narrowed_ranges(
    bounds: Mapping[str, tuple[float, float]], values: Mapping[str, float], freedom: float
) -> dict[str, tuple[float, float]]:
    """``narrowed`` for every hyperparameter of the model before that had a range."""
    return {
        name: narrowed(name, bounds[name], value, freedom) for name, value in values.items() if name in bounds
    }
