"""Curve calibration: cumulative curves of spend and response become bounds for alpha and gamma, see ``curve_fit``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.curve_fit import (
    FEWEST_POINTS,
    GAMMA,
    CurveBounds,
    Shape,
    curve_bounds,
    robyn_bounds,
)
from mmm_core.errors import RangeError, UserError
from mmm_core.types import FloatArray
from runner.dataset import MediaPanel
from runner.findings import Finding, Severity
from runner.problem import modelled_media
from runner.source import Source, near_name, read_table
from runner.spec import CurveSpec, ExperimentSpec
from runner.tables import table_of

if TYPE_CHECKING:
    import pyarrow as pa

# Below this part of its variance a curve is not what the fit takes it for.
GOOD_R2 = 0.95
COLUMNS = (
    "channel", "curve", "spend", "response", "fitted", "alpha", "gamma", "inflexion", "coef", "alpha_lower",
    "alpha_upper", "gamma_lower", "gamma_upper", "r2",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class CurveCalibration:
    """What the curves of a spec come to.

    Attributes:
        bounds: channel -> {"alpha": (low, high), "gamma": (low, high)}, legal ranges for ``hyperparameters``.
        findings: what was noticed. table: ``curve_calibration.parquet``, a row for each point of each curve.
    """

    bounds: dict[str, dict[str, tuple[float, float]]]
    findings: list[Finding]
    table: pa.Table


@dataclass(frozen=True, eq=False)
class _Curve:
    """One curve as read; ``number`` is its place in the spec, from 1."""

    spec: CurveSpec
    number: int
    spend: FloatArray
    response: FloatArray


def calibrate_curves(spec: ExperimentSpec, panel: MediaPanel) -> CurveCalibration:
    """Read and fit the curves of a spec; several of one channel together give the widest bounds.

    Args:
        spec: curves, and the adstock whose ranges decide what an inflexion is as a gamma. panel: its data.
    Raises:
        UserError: a table cannot be used (file and row are named), or a curve is not of the channel's currency.
    """
    media, _ = modelled_media(spec, panel)
    each: dict[str, list[dict[str, tuple[float, float]]]] = {}
    findings: list[Finding] = []
    rows: list[dict[str, Any]] = []
    for position, entry in enumerate(spec.curves):
        curve = _Curve(entry, position + 1, *read_curve(entry, f"curves[{position}]"))
        found = _fit(spec, panel, curve, media[entry.channel])
        bounds = _legal(curve, found)
        each.setdefault(entry.channel, []).append(bounds)
        findings += _findings(curve, found, bounds)
        rows += _rows(curve, found, bounds)
    merged = {channel: _widest(several) for channel, several in each.items()}
    return CurveCalibration(merged, findings, table_of(rows, COLUMNS))


# ------------------------------------------------------------------------------------------------------------- reading


def read_curve(entry: CurveSpec, where: str) -> tuple[FloatArray, FloatArray]:
    """(spend, response), both (n,), of one curve.

    Args:
        entry: file, columns and rows. where: how messages call it, such as ``curves[0]``.
    Raises:
        UserError: there is no such file, column or row, or the numbers are no curve.
    """
    source = Source.of(
        entry.path, read_table(entry.path, f"correct {where}.path", row_per="point of the curve")
    )
    for key, name in {f"{where}.spend": entry.spend, f"{where}.response": entry.response}.items():
        if name not in source.table:
            hint = near_name(name, [str(column) for column in source.table.columns])
            raise UserError(f"{entry.path}: there is no column {name!r} ({key}); {hint}")
    source = source.where(entry.where, f"{where}.where")
    spend = source.numbers(entry.spend, "fill it or delete the row")
    response = source.numbers(entry.response, "fill it or delete the row")
    _check_points(source, entry, where, spend, response)
    return spend, response


def _check_points(
    source: Source, entry: CurveSpec, where: str, spend: FloatArray, response: FloatArray
) -> None:
    for column, values in ((entry.spend, spend), (entry.response, response)):
        for i in np.flatnonzero(values < 0):
            raise source.fail(column, f"is {values[i]:g}, expected a total that is not negative", int(i))
    for i in np.flatnonzero(np.diff(spend) <= 0) + 1:
        problem = (
            f"is {spend[i]:g} after {spend[i - 1]:g}, expected cumulative spend that rises; sort the rows"
        )
        raise source.fail(
            entry.spend, f"{problem}, or choose one curve of several with {where}.where", int(i)
        )
    n = int((spend > 0).sum())
    if n < FEWEST_POINTS:
        raise UserError(
            f"{entry.path}: the curve has {n} rows with spend above 0, at least {FEWEST_POINTS} are needed; add points "
            f"or correct {where}.where"
        )
    if not response[spend > 0].any():
        raise source.fail(
            entry.response, "is 0 in every row; a curve without response bounds nothing, remove it"
        )


# ------------------------------------------------------------------------------------------------------------- fitting


def _fit(spec: ExperimentSpec, panel: MediaPanel, curve: _Curve, exposure: FloatArray) -> CurveBounds:
    entry, shape = curve.spec, Shape(curve.spec.shape)
    if entry.periods == "robyn":
        return robyn_bounds(curve.spend, curve.response, shape=shape)
    if entry.periods > len(exposure):
        raise UserError(
            f"curves[{curve.number - 1}].periods: {entry.periods} periods of spend, but the data have {len(exposure)} "
            "rows; give the number of the data's periods that the curve's spend is spread over"
        )
    names = [f"{entry.channel}_{parameter}" for parameter in spec.adstock.parameters]
    ranges = spec.ranges(names)
    window = slice(panel.start, panel.stop)
    try:
        return curve_bounds(
            curve.spend,
            curve.response,
            exposure,
            window,
            spec.adstock,
            [ranges[name] for name in names],
            periods=entry.periods,
            shape=shape,
        )
    except RangeError as error:
        raise UserError(f"curves[{curve.number - 1}]: {error}; give it more periods") from error


def _legal(curve: _Curve, found: CurveBounds) -> dict[str, tuple[float, float]]:
    low, high = found.gamma_range
    if low > GAMMA[1] or high < GAMMA[0]:
        side = "above" if low > GAMMA[1] else "far below"
        raise UserError(
            f"curves[{curve.number - 1}]: {curve.spec.path} bends at {found.gamma:.3g} times the largest adstocked "
            f"exposure of {curve.spec.channel}, {side} what it was ever seen at; give the periods that the curve's "
            "spend is spread over, the spend in the currency of the data, or periods: robyn to read it as Robyn does"
        )
    gamma = (max(_down(low), GAMMA[0]), min(_up(high), GAMMA[1]))
    limits = Shape(curve.spec.shape).alpha
    alpha = (max(_down(found.alpha_range[0]), limits[0]), min(_up(found.alpha_range[1]), limits[1]))
    return {"alpha": alpha, "gamma": gamma}


def _down(value: float) -> float:
    """Three significant digits, for a spec that reads well; outwards, so that no bound is lost."""
    unit = 10.0 ** (np.floor(np.log10(value)) - 2)
    return float(f"{np.floor(value / unit) * unit:.3g}")


def _up(value: float) -> float:
    unit = 10.0 ** (np.floor(np.log10(value)) - 2)
    return float(f"{np.ceil(value / unit) * unit:.3g}")


def _widest(several: Sequence[dict[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    return {
        parameter: (min(b[parameter][0] for b in several), max(b[parameter][1] for b in several))
        for parameter in ("alpha", "gamma")
    }


# ------------------------------------------------------------------------------------------------------------- telling


def _findings(curve: _Curve, found: CurveBounds, bounds: Mapping[str, tuple[float, float]]) -> list[Finding]:
    channel, path = curve.spec.channel, PurePath(curve.spec.path).name
    (a, b), (c, d) = bounds["alpha"], bounds["gamma"]
    told = [
        Finding(
            "curve-calibration",
            Severity.INFO,
            f"{channel}: alpha {a:g} to {b:g} and gamma {c:g} to {d:g} from {len(curve.spend)} points of {path}.",
        )
    ]
    if found.fit.r2 < GOOD_R2:
        told.append(
            Finding(
                "curve-fit",
                Severity.WARNING,
                f"A Hill curve explains only {found.fit.r2:.0%} of the curve of {channel} in {path}.",
                "Look at curve_calibration.parquet; a shape or other rows may suit better.",
            )
        )
    if found.gamma_range[1] > GAMMA[1]:
        told.append(
            Finding(
                "curve-beyond",
                Severity.WARNING if found.gamma > GAMMA[1] else Severity.INFO,
                f"The curve of {channel} may bend at {found.gamma_range[1]:.3g} times the largest adstocked exposure; "
                "its range is cut at 1.",
                "Check the currency of the curve and its periods." if found.gamma > GAMMA[1] else "",
            )
        )
    return told


def _rows(
    curve: _Curve, found: CurveBounds, bounds: Mapping[str, tuple[float, float]]
) -> list[dict[str, Any]]:
    of_curve = {
        "alpha": found.fit.alpha,
        "gamma": found.gamma,
        "inflexion": found.fit.inflexion,
        "coef": found.fit.coef,
        **{f"{name}_lower": low for name, (low, _) in bounds.items()},
        **{f"{name}_upper": high for name, (_, high) in bounds.items()},
        "r2": found.fit.r2,
    }
    points = zip(curve.spend.tolist(), curve.response.tolist(), found.fit.fitted.tolist(), strict=True)
    return [
        {
            "channel": curve.spec.channel,
            "curve": curve.number,
            "spend": spend,
            "response": response,
            "fitted": fitted,
            **of_curve,
        }
        for spend, response, fitted in points
    ]
