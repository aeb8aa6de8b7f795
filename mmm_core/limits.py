"""Legal range of every hyperparameter, in one table for specs, candidates and messages.

Source: Robyn 3.12.1, inputs.R, hyper_limits.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# parameter: (low, low is allowed, high, high is allowed)
LIMITS = {
    "alpha": (0.0, False, 10.0, False),
    "gamma": (0.0, False, 1.0, True),
    "theta": (0.0, True, 1.0, False),
    "shape": (0.0, True, 20.0, False),
    "scale": (0.0, True, 1.0, True),
    "train_size": (0.1, False, 1.0, True),
    "lambda_hp": (0.0, True, 1.0, True),
    "penalty": (0.0, True, 1.0, True),
}


def parameter_of(name: str) -> str:
    """The kind of a hyperparameter: ``tv_theta`` is a theta, ``lambda_hp`` itself."""
    return name if name in LIMITS else name.rpartition("_")[2]


def within_limits(parameter: str, value: float) -> bool:
    """Whether a value is legal for this kind of hyperparameter."""
    low, low_allowed, high, high_allowed = LIMITS[parameter]
    above = value >= low if low_allowed else value > low
    below = value <= high if high_allowed else value < high
    return above and below


@lru_cache(maxsize=64)
def legal_ranges(names: tuple[str, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The smallest and the largest legal value of each of H hyperparameters, shape (H,): what is not allowed is the
    neighbouring number.
    """
    limits = [LIMITS[parameter_of(name)] for name in names]
    smallest = [low if allowed else math.nextafter(low, math.inf) for low, allowed, _, _ in limits]
    largest = [high if allowed else math.nextafter(high, -math.inf) for _, _, high, allowed in limits]
    return np.array(smallest), np.array(largest)


def describe_limits(parameter: str) -> str:
    """The legal range in words, for messages: ``0 <= theta < 1``."""
    low, low_allowed, high, high_allowed = LIMITS[parameter]
    return f"{low:g} {'<=' if low_allowed else '<'} {parameter} {'<=' if high_allowed else '<'} {high:g}"
