"""How an exposure goes on working after its own period."""

from __future__ import annotations

import numpy as np

from mmm_core import _kernels
from mmm_core.errors import RangeError, ShapeError
from mmm_core.types import Adstock, FloatArray

KIND_CODES = {
    Adstock.GEOMETRIC: _kernels.GEOMETRIC,
    Adstock.WEIBULL_CDF: _kernels.WEIBULL_CDF,
    Adstock.WEIBULL_PDF: _kernels.WEIBULL_PDF,
}


def _checked(exposure: FloatArray) -> FloatArray:
    values = np.ascontiguousarray(exposure, dtype=np.float64)
    if values.ndim != 1:
        raise ShapeError(f"exposure must be one-dimensional, has shape {values.shape}")
    if not np.isfinite(values).all() or (values < 0).any():
        raise RangeError("exposure must be finite and not negative")
    return values


def geometric(exposure: FloatArray, theta: float) -> FloatArray:
    """Carry each period's exposure forward at a constant rate.

    out[t] = exposure[t] + theta * out[t - 1]; nothing is carried in before the first period.

    Args:
        exposure: shape (T,), float64, in the channel's unit per period, finite and >= 0.
        theta: part that survives one period, unitless, 0 <= theta < 1.
    Returns:
        Adstocked exposure, shape (T,), same unit; not normalised, so totals grow.
    Raises:
        ShapeError: exposure is not one-dimensional. RangeError: a value is outside its range.
    Source: Robyn 3.12.1, transformation.R, adstock_geometric. Jin et al. (2017) normalise; we do not.
    """
    return apply(Adstock.GEOMETRIC, exposure, (theta,))


def weibull_cdf(exposure: FloatArray, shape: float, scale: float) -> FloatArray:
    """Carry exposure forward with the running product of Weibull survival probabilities.

    w[0] = 1, w[k] = prod_{i<=k} exp(-(i/s)^shape), s = round(1 + (T - 1) * scale); out[t] = sum_k w[k] exposure[t - k].

    Args:
        exposure: shape (T,), finite and >= 0.
        shape: unitless, 0 <= shape < 20; 0 means no carryover.
        scale: quantile of the T periods, 0 <= scale <= 1; 0 means no carryover.
    Returns:
        Adstocked exposure, shape (T,).
    Raises:
        ShapeError, RangeError: as in geometric.
    Source: Robyn 3.12.1, transformation.R, adstock_weibull (type "cdf").
    """
    return apply(Adstock.WEIBULL_CDF, exposure, (shape, scale))


def weibull_pdf(exposure: FloatArray, shape: float, scale: float) -> FloatArray:
    """Carry exposure forward with a Weibull density, min-max scaled over the T periods, which can peak later.

    d[k] = density(k + 1; shape, s), s as in weibull_cdf; w = (d - min d) / (max d - min d).

    Args:
        exposure: shape (T,), finite and >= 0.
        shape: unitless, 0 <= shape < 20; 0 means no carryover.
        scale: quantile of the T periods, 0 <= scale <= 1; 0 means no carryover.
    Returns:
        Adstocked exposure, shape (T,); its own period's weight can be 0.
    Raises:
        ShapeError, RangeError: as in geometric.
    Source: Robyn 3.12.1, transformation.R, adstock_weibull (type "pdf").
    """
    return apply(Adstock.WEIBULL_PDF, exposure, (shape, scale))


def check_parameters(kind: Adstock, parameters: tuple[float, ...]) -> tuple[float, float]:
    """The two numbers kernels take, or RangeError."""
    if len(parameters) != len(kind.parameters):
        raise ShapeError(f"{kind} adstock takes {kind.parameters}, got {len(parameters)} numbers")
    if kind is Adstock.GEOMETRIC:
        if not 0 <= parameters[0] < 1:
            raise RangeError(f"theta must be in [0, 1), is {parameters[0]}")
        return float(parameters[0]), 0.0
    shape, scale = parameters
    if not 0 <= shape < 20:
        raise RangeError(f"shape must be in [0, 20), is {shape}")
    if not 0 <= scale <= 1:
        raise RangeError(f"scale must be in [0, 1], is {scale}")
    return float(shape), float(scale)


def apply(kind: Adstock, exposure: FloatArray, parameters: tuple[float, ...]) -> FloatArray:
    """Adstock by name: parameters are (theta,) or (shape, scale). Shapes, ranges and errors as in the named ones."""
    values = _checked(exposure)
    first, second = check_parameters(kind, parameters)
    out, weights = np.empty_like(values), np.empty((4, len(values)))
    _kernels.adstock(KIND_CODES[kind], values, first, second, weights, out)
    return out


def weights(kind: Adstock, parameters: tuple[float, ...], n_periods: int) -> FloatArray:
    """Weight of an exposure 0, 1, .. n_periods - 1 periods later, shape (n_periods,).

    The response to a unit impulse: apply(kind, x)[t] = sum_k weights[k] x[t - k]. For the Weibull kinds the scale is a
    quantile of n_periods, so the weights depend on the length of the series they are used on.
    """
    impulse = np.zeros(n_periods)
    impulse[0] = 1.0
    return apply(kind, impulse, parameters)


# A geometric exposure that has decayed to this part of itself counts as gone; Weibull weights end of themselves, or
# fall so fast that the finer limit costs nothing.
GONE, GONE_WEIBULL = 1e-6, 1e-12


def lag_weights(kind: Adstock, parameters: tuple[float, ...], n_table: int, n_lags: int) -> FloatArray:
    """Weight of an exposure 0, 1, .. n_lags - 1 periods later, in a model whose table has n_table periods.

    Up to n_table these are the model's own weights. Beyond it the same formula goes on with the model's own scale in
    periods, s = round(1 + (n_table - 1) * scale), whatever the length of the series: a model does not change because
    time goes on. A density (weibull_pdf) keeps the minimum and the maximum of the table's periods and counts as 0 once
    it has fallen below that minimum.

    Args:
        kind, parameters: of the adstock. n_table: T, periods that the model was made on. n_lags: how many, >= 1.
    Returns:
        (n_lags,) weights >= 0.
    Raises:
        ShapeError, RangeError: as in geometric.
    """
    if kind is Adstock.GEOMETRIC or n_lags <= n_table:
        return weights(kind, parameters, max(n_lags, n_table))[:n_lags].copy()
    shape, scale = check_parameters(kind, parameters)
    own = weights(kind, parameters, n_table)
    if shape == 0 or scale == 0 or n_table == 1:
        return np.concatenate([own, np.zeros(n_lags - n_table)])
    periods = float(_kernels.weibull_scale_in_periods(n_table, scale))
    # The scale that means as many periods in a table of n_lags; 0 would mean no carryover.
    longer = weights(kind, (shape, max((periods - 1) / (n_lags - 1), 1e-12)), n_lags)
    beyond = longer[n_table:]
    if kind is Adstock.WEIBULL_PDF:
        low, high = float(longer[:n_table].min()), float(longer[:n_table].max())
        beyond = np.maximum((beyond - low) / (high - low), 0.0) if high > low else np.zeros_like(beyond)
    return np.concatenate([own, beyond])


def memory(kind: Adstock, parameters: tuple[float, ...], n_table: int) -> int:
    """Periods after its own in which an exposure still works.

    Args:
        kind, parameters, n_table: as in lag_weights.
    Returns:
        The last lag whose weight is at least GONE (geometric), or above GONE_WEIBULL of the largest weight.
    """
    if kind is Adstock.GEOMETRIC:
        theta, _ = check_parameters(kind, parameters)
        return int(np.floor(np.log(GONE) / np.log(theta))) if theta > 0 else 0
    n_lags = n_table
    while True:
        lagged = lag_weights(kind, parameters, n_table, n_lags)
        if lagged[-1] <= GONE_WEIBULL * lagged.max():
            return int(np.flatnonzero(lagged > GONE_WEIBULL * lagged.max())[-1])
        n_lags *= 2


def carry(kind: Adstock, exposure: FloatArray, parameters: tuple[float, ...], n_table: int) -> FloatArray:
    """Adstock of a series that may be longer or shorter than the table of the model, with the weights of that table.

    Args:
        kind, parameters, n_table: as in lag_weights. exposure: (T',) finite and >= 0, from the table's first period on.
    Returns:
        (T',) adstocked exposure; up to the table's end the very numbers of ``apply``.
    Raises:
        ShapeError, RangeError: as in geometric.
    """
    values = _checked(exposure)
    if kind is Adstock.GEOMETRIC:
        return apply(kind, values, parameters)
    out = np.empty_like(values)
    _kernels.convolve(values, lag_weights(kind, parameters, n_table, len(values)), out)
    return out
