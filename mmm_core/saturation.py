"""The Hill curve: diminishing, and at first perhaps growing, returns."""

from __future__ import annotations

import numpy as np

from mmm_core import _kernels
from mmm_core.errors import RangeError
from mmm_core.types import FloatArray


def _check(alpha: float, inflexion: float) -> None:
    if not alpha > 0:
        raise RangeError(f"alpha must be positive, is {alpha}")
    if not inflexion > 0:
        raise RangeError(f"inflexion must be positive, is {inflexion}")


def inflexion(adstocked: FloatArray, gamma: float) -> float:
    """Half-saturation point: gamma * max(adstocked) over the window.

    Args:
        adstocked: shape (W,), finite and >= 0.
        gamma: unitless, 0 < gamma <= 1.
    Returns:
        The exposure at which the Hill curve is one half, in the unit of adstocked.
    Raises:
        RangeError: gamma outside (0, 1].
    Source: Robyn 3.12.1, transformation.R, saturation_hill. Up to 3.11 it was (1 - gamma) * min + gamma * max.
    """
    if not 0 < gamma <= 1:
        raise RangeError(f"gamma must be in (0, 1], is {gamma}")
    return gamma * float(_kernels.largest(np.ascontiguousarray(adstocked, dtype=np.float64)))


def hill(exposure: FloatArray, alpha: float, inflexion: float) -> FloatArray:
    """z^alpha / (z^alpha + inflexion^alpha).

    Args:
        exposure: any shape, adstocked exposure z >= 0.
        alpha: slope, > 0; above 1 the curve is S-shaped.
        inflexion: where the curve is one half, > 0, unit of exposure.
    Returns:
        Saturation in [0, 1), same shape.
    Raises:
        RangeError: alpha or inflexion not positive.
    Source: Robyn 3.12.1, transformation.R, saturation_hill.
    """
    _check(alpha, inflexion)
    z = np.ascontiguousarray(exposure, dtype=np.float64)
    out = np.empty(z.size)
    _kernels.hill_series(z.reshape(-1), alpha, inflexion, np.empty((2, z.size)), out)
    return out.reshape(z.shape)


def hill_derivative(exposure: FloatArray, alpha: float, inflexion: float) -> FloatArray:
    """d hill / dz = alpha * s * (1 - s) / z with s = hill(z).

    At z = 0 the derivative is 1 / inflexion for alpha = 1, 0 for alpha > 1 and infinite for alpha < 1.

    Args:
        exposure, alpha, inflexion: as in hill.
    Returns:
        Slope per unit of exposure, same shape.
    Raises:
        RangeError: alpha or inflexion not positive.
    """
    return derivative_of(hill(exposure, alpha, inflexion), exposure, alpha, inflexion)


def derivative_of(
    saturated: FloatArray, exposure: FloatArray, alpha: FloatArray | float, inflexion: FloatArray | float
) -> FloatArray:
    """``hill_derivative`` where hill(exposure) is known already; parameters may be arrays that broadcast."""
    z = np.asarray(exposure, dtype=np.float64)
    slope: FloatArray = alpha * saturated * (1.0 - saturated) / np.where(z > 0, z, 1.0)
    if (z > 0).all():
        return slope
    at_zero = np.where(
        np.equal(alpha, 1.0), np.divide(1.0, inflexion), np.where(np.greater(alpha, 1.0), 0.0, np.inf)
    )
    return np.where(z > 0, slope, at_zero)


def second_derivative_of(
    saturated: FloatArray, exposure: FloatArray, alpha: FloatArray | float
) -> FloatArray:
    """d2 hill / dz2 = alpha s (1 - s) (alpha (1 - 2 s) - 1) / z^2 where s = hill(z) is known; z > 0."""
    bend = alpha * (1.0 - 2.0 * saturated) - 1.0
    curved: FloatArray = alpha * saturated * (1.0 - saturated) * bend / exposure**2
    return curved
