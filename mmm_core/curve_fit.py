"""What a curve of cumulative spend and response, such as reach from a media plan, says about alpha and gamma.

**The curve.** A flight of L periods spends s, evenly; its exposure, adstocked from nothing, is g[l] * s / L in its l-th
period, g[l] = sum of the first l adstock weights, and what the flight brings is

    response(s) = coef * 1/L * sum_l hill(g[l] * s / L; alpha, inflexion)

With L = 1 that is coef * hill(s). alpha has no unit and is the model's own. The inflexion is an adstocked exposure of
one period, in currency, and it is the inflexion, not gamma, that a curve and a model share: a curve's gamma would be a
share of its last spend, a model's is one of the largest adstocked exposure of its window,

    gamma = inflexion / max over the window of adstock(exposure)

which moves with the adstock. So the curve is fitted for every adstock on a grid over the ranges searched, and the
bounds of gamma hold for all of them.

**The bounds.** For each (alpha, inflexion) the best coef is known in closed form, which leaves a sum of squares R. The
region R <= R_min * (1 + 2 / (m - 3) * F(level; 2, m - 3)) is the profile-likelihood region of the pair; the bounds are
its ends, and never nearer to the best fit than a factor of 1.2. m is the number of points, but errors of cumulative
curves follow one another: with lag-1 correlation r of the residuals, m = n (1 - r) / (1 + r), at least 5.

Robyn (calibration.R, robyn_calibrate) takes the middle half of the values that a random search happened to visit, which
says how the search went, and takes the curve's gamma over as the model's: ``robyn_bounds``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mmm_core.adstock import apply, weights
from mmm_core.errors import RangeError, ShapeError
from mmm_core.types import Adstock, FloatArray

# Inside the legal limits, which exclude their ends; beyond these a curve is a step or a straight line.
ALPHA = (0.05, 9.9)
GAMMA = (0.001, 1.0)
# Inflexions looked at, as shares of the largest exposure of the curve. Beyond 10 no curve shows where it will bend.
SMALLEST_INFLEXION, LARGEST_INFLEXION = 0.001, 10.0
LEVEL = 0.95
NARROWEST = 1.2
FEWEST_POINTS = 4
FEWEST_INDEPENDENT = 5.0
PARAMETERS = 3
GRID = 25
ZOOMS = 3
STARTS = 3
# Adstocks on the grid, per parameter: theta alone, or shape and scale.
ADSTOCKS = {1: 7, 2: 4}
# Exposures of a long flight are told apart up to this many levels.
LEVELS = 8


class Shape(StrEnum):
    """What is known of a curve before it is fitted: concave has alpha <= 1, s has alpha >= 1."""

    ANY = "any"
    CONCAVE = "concave"
    S = "s"

    @property
    def alpha(self) -> tuple[float, float]:
        """The alphas of this shape."""
        return (1.0 if self is Shape.S else ALPHA[0], 1.0 if self is Shape.CONCAVE else ALPHA[1])


@dataclass(frozen=True, eq=False)
class CurveFit:
    """coef * mean of Hill curves, fitted to n points.

    Attributes:
        alpha, inflexion, coef: the best fit. fitted: (n,) its values.
        r2: part of the variance it explains.
        alpha_range, inflexion_range: profile-likelihood region at LEVEL, not narrower than NARROWEST.
    """

    alpha: float
    inflexion: float
    coef: float
    fitted: FloatArray
    r2: float
    alpha_range: tuple[float, float]
    inflexion_range: tuple[float, float]


@dataclass(frozen=True, eq=False)
class CurveBounds:
    """What a curve says about a model's alpha and gamma.

    Attributes:
        fit: for the middle of the adstocks searched. gamma: its inflexion as the model counts it, not cut.
        alpha_range: bounds for alpha. gamma_range: bounds for gamma for all adstocks, before they are cut to (0, 1].
    """

    fit: CurveFit
    gamma: float
    alpha_range: tuple[float, float]
    gamma_range: tuple[float, float]


# ------------------------------------------------------------------------------------------------------------- fitting


@dataclass(frozen=True, eq=False)
class _Flight:
    """The points of a curve that say something, and the exposures behind them: share[i] of the flight at level[i]."""

    spend: FloatArray  # (n,) > 0, per period
    response: FloatArray  # (n,)
    level: FloatArray  # (G,)
    share: FloatArray  # (G,)
    furthest: float  # largest inflexion in largest exposures

    @property
    def largest(self) -> float:
        return float(self.spend[-1] * self.level.max())

    def curve(self, alpha: FloatArray, inflexion: FloatArray) -> FloatArray:
        """Mean of the Hill curves; alpha and inflexion of one shape, the points along a last axis."""
        a, i = alpha[..., np.newaxis], inflexion[..., np.newaxis]
        total = np.zeros((*alpha.shape, len(self.spend)))
        for level, share in zip(self.level, self.share, strict=True):
            # A high power of a small exposure is beyond a double; its Hill is 0 all the same.
            with np.errstate(over="ignore"):
                total += share / (1.0 + (i / (level * self.spend)) ** a)
        return total

    def project(self, alpha: FloatArray, inflexion: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(coef, sum of squares) for each (alpha, inflexion), with the coef that is best for it."""
        h = self.curve(alpha, inflexion)
        norm = (h * h).sum(axis=-1)
        coef = np.where(norm > 0, (h * self.response).sum(axis=-1) / np.where(norm > 0, norm, 1.0), 0.0)
        coef = np.maximum(coef, 0.0)
        return coef, ((self.response - coef[..., np.newaxis] * h) ** 2).sum(axis=-1)


def fit_curve(
    spend: FloatArray,
    response: FloatArray,
    *,
    shape: Shape = Shape.ANY,
    gains: Sequence[float] = (1.0,),
    furthest: float = LARGEST_INFLEXION,
) -> CurveFit:
    """Fit the curve of a flight, see the top of the module.

    Args:
        spend: shape (n,), cumulative, currency, ascending, >= 0; at least 4 points above 0.
        response: shape (n,), cumulative, any unit, >= 0, not all 0.
        shape: what is known of it.
        gains: g, shape (L,): adstocked exposure per unit of spend in each period of the flight, >= 0, not all 0.
        furthest: largest inflexion looked at, in largest exposures of the curve.
    Returns:
        CurveFit; its inflexion is an adstocked exposure of one period.
    Raises:
        ShapeError, RangeError: the points are no such curve.
    """
    x, y = _checked(spend, response)
    level, share = _levels(np.asarray(gains, dtype=np.float64))
    flight = _Flight(x[x > 0] / len(gains), y[x > 0], level, share, furthest)
    alpha, inflexion = _best(flight, Shape(shape))
    coef, squares = (float(v) for v in flight.project(np.array(alpha), np.array(inflexion)))
    region = _region(flight, Shape(shape), (alpha, inflexion), squares)
    fitted = np.zeros(len(x))
    fitted[x > 0] = coef * flight.curve(np.array(alpha), np.array(inflexion))
    variance = float(((y - y.mean()) ** 2).sum())
    return CurveFit(
        alpha=alpha,
        inflexion=inflexion,
        coef=coef,
        fitted=fitted,
        r2=1 - squares / variance if variance > 0 else 0.0,
        alpha_range=_widened(alpha, region[0], Shape(shape).alpha),
        inflexion_range=_widened(inflexion, region[1], (0.0, np.inf)),
    )


def _checked(spend: FloatArray, response: FloatArray) -> tuple[FloatArray, FloatArray]:
    x, y = np.asarray(spend, dtype=np.float64), np.asarray(response, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ShapeError(f"spend has shape {x.shape} and response {y.shape}, expected (n,) both")
    if not (np.isfinite(x).all() and np.isfinite(y).all()) or (x < 0).any() or (y < 0).any():
        raise RangeError("spend and response of a curve must be finite and not negative")
    if (np.diff(x) <= 0).any():
        raise RangeError("spend of a curve must ascend")
    if (x > 0).sum() < FEWEST_POINTS:
        raise RangeError(f"a curve needs {FEWEST_POINTS} points with spend above 0, has {(x > 0).sum()}")
    if not y[x > 0].any():
        raise RangeError("the response of a curve is 0 everywhere")
    return x, y


def _levels(gains: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A long flight's gains as a few levels with the share of periods at each: the sum over periods, shortened."""
    if gains.ndim != 1 or not np.isfinite(gains).all() or (gains < 0).any() or not gains.any():
        raise RangeError("gains of a flight must be finite and not negative, and one of them above 0")
    acting = np.sort(gains[gains > 0])  # a Weibull density may begin at 0
    parts = np.array_split(acting, min(len(acting), LEVELS))
    return np.array([part.mean() for part in parts]), np.array([len(part) / len(gains) for part in parts])


def _grid(low: float, high: float, n: int = GRID) -> FloatArray:
    return np.exp(np.linspace(np.log(low), np.log(high), n))


def _domain(flight: _Flight, shape: Shape) -> tuple[tuple[float, float], tuple[float, float]]:
    return shape.alpha, (SMALLEST_INFLEXION * flight.largest, flight.furthest * flight.largest)


def _best(flight: _Flight, shape: Shape) -> tuple[float, float]:
    """(alpha, inflexion) of the least squares: from the best local minima of a grid, each followed down."""
    from scipy.optimize import least_squares

    domain = _domain(flight, shape)
    alphas, inflexions = (_grid(*ends) for ends in domain)
    _, squares = flight.project(*np.meshgrid(alphas, inflexions, indexing="ij"))
    unit = float(np.abs(flight.response).max())

    def residuals(logs: FloatArray) -> FloatArray:
        alpha, inflexion = np.exp(logs)
        coef, _ = flight.project(np.array(alpha), np.array(inflexion))
        out: FloatArray = (flight.response - coef * flight.curve(np.array(alpha), np.array(inflexion))) / unit
        return out

    low, high = np.log(np.array(domain)).T
    found = []
    for a, i in _local_minima(squares)[:STARTS]:
        start = np.clip(np.log([alphas[a], inflexions[i]]), low + 1e-9, high - 1e-9)
        end = least_squares(residuals, start, bounds=(low, high), xtol=1e-14, ftol=1e-14, gtol=1e-14)
        found.append((float(end.cost), float(np.exp(end.x[0])), float(np.exp(end.x[1]))))
    return min(found)[1:]


def _local_minima(squares: FloatArray) -> list[tuple[int, int]]:
    """Cells of a grid that none of their neighbours is below, best first."""
    padded = np.pad(squares, 1, constant_values=np.inf)
    rows, columns = squares.shape
    neighbours = [
        padded[1 + i : 1 + i + rows, 1 + j : 1 + j + columns]
        for i, j in product((-1, 0, 1), repeat=2)
        if (i, j) != (0, 0)
    ]
    cells = np.argwhere(squares <= np.min(neighbours, axis=0))
    order = np.argsort(squares[cells[:, 0], cells[:, 1]], kind="stable")
    return [(int(a), int(i)) for a, i in cells[order]]


# -------------------------------------------------------------------------------------------------------------- region


def _region(
    flight: _Flight, shape: Shape, best: tuple[float, float], squares: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ends of the profile-likelihood region in alpha and in inflexion."""
    limit = squares * _ratio(flight, best)
    domain = _domain(flight, shape)
    ends = []
    for d in (0, 1):
        own = domain[d]
        for _ in range(ZOOMS):
            grid = np.unique(np.append(_grid(*own), best[d]))
            inside: NDArray[np.bool_] = _profile(flight, grid, domain[1 - d], is_alpha=d == 0) <= limit
            inside[np.searchsorted(grid, best[d])] = True
            own = _cells_around(grid, inside)
        ends.append(own)
    return ends[0], ends[1]


def _profile(
    flight: _Flight, values: FloatArray, others: tuple[float, float], *, is_alpha: bool
) -> FloatArray:
    """Least squares for each value of one parameter, over the other: by a grid, and finer ones around its minimum.

    Alpha and inflexion make a narrow valley, which a grid over both would step across.
    """
    low, high = np.full(len(values), np.log(others[0])), np.full(len(values), np.log(others[1]))
    steps = np.linspace(0.0, 1.0, GRID)
    for _ in range(ZOOMS + 1):
        grid = np.exp(low[:, np.newaxis] + steps * (high - low)[:, np.newaxis])
        own = np.broadcast_to(values[:, np.newaxis], grid.shape)
        _, squares = flight.project(own, grid) if is_alpha else flight.project(grid, own)
        at = squares.argmin(axis=1)
        rows = np.arange(len(values))
        low = np.log(grid[rows, np.maximum(at - 1, 0)])
        high = np.log(grid[rows, np.minimum(at + 1, GRID - 1)])
    least: FloatArray = squares.min(axis=1)
    return least


def _cells_around(grid: FloatArray, inside: NDArray[np.bool_]) -> tuple[float, float]:
    """The ends of what is inside, a cell further out on either side: the region may reach into it."""
    places = np.flatnonzero(inside)
    return float(grid[max(places[0] - 1, 0)]), float(grid[min(places[-1] + 1, len(grid) - 1)])


def _ratio(flight: _Flight, best: tuple[float, float]) -> float:
    """R at the edge of the region in R_min: 1 + 2 / (m - 3) * F(level; 2, m - 3)."""
    from scipy.special import fdtri

    coef, _ = flight.project(np.array(best[0]), np.array(best[1]))
    residual = flight.response - coef * flight.curve(np.array(best[0]), np.array(best[1]))
    n, power = len(residual), float((residual**2).sum())
    follows = float((residual[1:] * residual[:-1]).sum()) / power if power > 0 else 0.0
    follows = min(max(follows, 0.0), 0.99)
    m = min(n, max(n * (1 - follows) / (1 + follows), FEWEST_INDEPENDENT))
    freedom = m - PARAMETERS
    return 1 + 2 / freedom * float(fdtri(2, freedom, LEVEL))


def _widened(best: float, region: tuple[float, float], limits: tuple[float, float]) -> tuple[float, float]:
    low = max(min(region[0], best / NARROWEST), limits[0])
    return low, min(max(region[1], best * NARROWEST), limits[1])


# -------------------------------------------------------------------------------------------------------------- bounds


def curve_bounds(
    spend: FloatArray,
    response: FloatArray,
    exposure: FloatArray,
    window: slice,
    adstock: Adstock,
    ranges: Sequence[tuple[float, float]],
    *,
    periods: int = 1,
    shape: Shape = Shape.ANY,
) -> CurveBounds:
    """Bounds for a medium's alpha and gamma from a curve in its own currency.

    Args:
        spend, response, shape: see ``fit_curve``.
        exposure: shape (T,), the medium as it enters adstock. window: rows of the modelling window.
        adstock: kind. ranges: [low, high] of each of its parameters, in the order of ``adstock.parameters``.
        periods: L, how many periods the spend of the curve is spread over, 1 <= L <= T.
    Returns:
        CurveBounds; gamma_range is not cut to (0, 1], so that a curve of another currency shows.
    Raises:
        ShapeError, RangeError: no such curve, or L outside its range.
    """
    if not 1 <= periods <= len(exposure):
        raise RangeError(f"a flight of {periods} periods does not fit into {len(exposure)} rows")
    found: list[tuple[CurveFit, float]] = []
    fits: dict[tuple[float, ...], CurveFit] = {}  # in a flight of one period all adstocks are alike
    for parameters in _adstocks(ranges):
        gains = np.cumsum(weights(adstock, parameters, len(exposure))[:periods])
        largest = float(apply(adstock, exposure, parameters)[window].max())
        if (
            gains[0] > 0 and largest > 0
        ):  # a Weibull density may begin at 0, then nothing is known of its flight
            key = tuple(gains.tolist())
            fits[key] = fits.get(key) or fit_curve(spend, response, shape=shape, gains=key)
            found.append((fits[key], largest))
    if not found:
        raise RangeError("no adstock of these ranges acts within the flight of the curve")
    fit, largest = found[len(found) // 2]
    return CurveBounds(
        fit=fit,
        gamma=fit.inflexion / largest,
        alpha_range=_envelope([fit.alpha_range for fit, _ in found]),
        gamma_range=_envelope([(f.inflexion_range[0] / m, f.inflexion_range[1] / m) for f, m in found]),
    )


def robyn_bounds(spend: FloatArray, response: FloatArray, *, shape: Shape = Shape.ANY) -> CurveBounds:
    """Bounds as Robyn reads a curve: gamma is a share of the curve's last spend and taken over as it is.

    Right where the last spend is what the medium's largest adstocked exposure is. Arguments as in ``fit_curve``.
    """
    fit = fit_curve(spend, response, shape=shape, furthest=1.0)
    last = float(np.asarray(spend)[-1])
    low, high = fit.inflexion_range
    return CurveBounds(fit, fit.inflexion / last, fit.alpha_range, (low / last, high / last))


def _adstocks(ranges: Sequence[tuple[float, float]]) -> list[tuple[float, ...]]:
    """A grid over the ranges searched, both ends in it; a fixed parameter has one value."""
    n = ADSTOCKS[len(ranges)]
    return list(product(*(np.unique(np.linspace(low, high, n)).tolist() for low, high in ranges)))


def _envelope(ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in ranges), max(high for _, high in ranges)
