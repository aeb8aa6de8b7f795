"""The best point of a sum of functions of one variable each, under one condition that couples them.

    maximise  sum_p f_p(x_p)                   with  lower <= x <= upper   and   Budget: sum x = B (or <= B),
                                                                            or   Efficiency: sum f >= rate * sum x;
    maximise  sum_p f_p(x_p) - rate * sum x    with  lower <= x <= upper         (Price);
    minimise  sum x                            with  lower <= x <= upper   and   Reach: sum_p f_p(x_p) >= value.

The functions are smooth but not concave (an S-shaped curve is convex at first), so a local solver alone can end in
a local optimum. Being separable, the problem has good global starts that cost little: the path along the concave
envelopes of the functions (which also bounds from above what any plan can reach) and a dynamic programme on a grid.
Those, the caller's starts and some random ones are polished by SLSQP with exact slopes until one is seen to be a
global optimum, and the best is kept. With a price nothing is coupled and every variable is searched for itself.
Nothing here knows what the numbers mean.

Axes: P variables, S points of a grid, V vertices of the path.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Protocol

import numpy as np

from mmm_core.types import FloatArray, IntArray

# Points of a variable's range at which its function is tabulated; the small ones are for functions that are
# infinitely steep at their lower end.
GRID = np.concatenate([[0.0], 10.0 ** np.arange(-6, -2), np.linspace(0.0, 1.0, 161)[1:]])
DYNAMIC_STEPS = 160
N_RANDOM_STARTS = 3

# Parts of a variable's range: nearer to an end than this counts as at the end.
AT_BOUND = 1e-6
# Relative violation of the coupling constraint that is rounding, not a violation.
FEASIBLE = 1e-9
# Gain, relative to the value, below which a point counts as no better on a grid, and as none at all.
GLOBAL = 1e-9
ROUNDING = 1e-13
# SLSQP can stop early on a flat top, its picture of the curvature being poor there; restarted, it goes on. So the
# starts are polished coarsely, which decides between them in half the time, and the best of them to the end.
SLSQP_OPTIONS = {"maxiter": 200}
COARSE, FINE = 1e-10, 1e-14
UNPOLISHED = 1e-7
RESTARTS = 2


class Surface(Protocol):
    """P functions of one variable each, on (P,) points or on (P, S) grids."""

    def values(self, x: FloatArray) -> FloatArray:
        """f_p(x_p), in the shape of x."""
        ...

    def slopes(self, x: FloatArray) -> FloatArray:
        """f_p'(x_p), in the shape of x; may be infinite at an end of the range."""
        ...


@dataclass(frozen=True)
class Budget:
    """sum x = total, or sum x <= total."""

    total: float
    is_equal: bool = True


@dataclass(frozen=True)
class Efficiency:
    """sum f(x) >= rate * sum x, with rate > 0."""

    rate: float

    def margin(self, x: FloatArray, values: FloatArray) -> float:
        """What is left of the value after the rate has been earned."""
        return float(values.sum() - self.rate * x.sum())


@dataclass(frozen=True)
class Reach:
    """sum f(x) >= value, by as little sum x as possible."""

    value: float


@dataclass(frozen=True)
class Price:
    """Every unit of sum x costs ``rate`` of the value; there is no constraint."""

    rate: float


Constraint = Budget | Efficiency | Reach | Price


def objective(constraint: Constraint, x: FloatArray, values: FloatArray) -> float:
    """What is to be as large as possible at a point that fulfils the constraint."""
    if isinstance(constraint, Reach):
        return -float(x.sum())
    if isinstance(constraint, Price):
        return float(values.sum() - constraint.rate * x.sum())
    return float(values.sum())


def violation(constraint: Constraint, x: FloatArray, values: FloatArray) -> float:
    """By how much a point breaks the constraint, relative to the budget or to the value that is asked for."""
    total = float(x.sum())
    if isinstance(constraint, Price):
        return 0.0
    if isinstance(constraint, Reach):
        missing, scale = max(0.0, constraint.value - float(values.sum())), abs(constraint.value)
    elif isinstance(constraint, Efficiency):
        missing, scale = max(0.0, -constraint.margin(x, values)), constraint.rate * total
    else:
        difference = total - constraint.total
        missing = abs(difference) if constraint.is_equal else max(0.0, difference)
        scale = constraint.total
    return missing / scale if missing > 0 and scale > 0 else missing


@dataclass(frozen=True, eq=False)
class Solution:
    """The best point found."""

    x: FloatArray  # (P,)
    value: float
    violation: float  # of the coupling constraint, relative
    stationarity: float  # of the optimality conditions, relative to the steepest slope; 0 at an optimum
    # No feasible point (with Reach and Price: none with as much sum x) is above it, up to the resolution of the grid.
    upper_bound: float


@dataclass(frozen=True, eq=False)
class Box:
    """A surface on lower <= x <= upper, with its table on a grid of each variable's range."""

    surface: Surface
    lower: FloatArray
    upper: FloatArray

    @cached_property
    def span(self) -> FloatArray:
        """(P,) upper - lower."""
        return self.upper - self.lower

    @cached_property
    def grid(self) -> FloatArray:
        """(P, S) points."""
        points: FloatArray = self.lower[:, np.newaxis] + self.span[:, np.newaxis] * GRID
        return points

    @cached_property
    def table(self) -> FloatArray:
        """(P, S) values at the points."""
        return self.surface.values(self.grid)

    @cached_property
    def path(self) -> Path:
        """The way along the concave envelopes."""
        return Path.along(self.grid, self.table)

    def clip(self, x: FloatArray) -> FloatArray:
        """The nearest point of the box."""
        return np.clip(x, self.lower, self.upper)

    def with_total(self, x: FloatArray, total: float) -> FloatArray:
        """A point of the box whose sum is total: the difference is shared in proportion to the room left."""
        x = self.clip(x)
        missing = total - float(x.sum())
        if missing > 0:
            room = self.upper - x
            return self.clip(x + room * min(1.0, missing / room.sum())) if room.any() else x
        room = x - self.lower
        left = total - float(self.lower.sum())
        # Written from the lower end, so that a total next to it is met without cancellation.
        return self.clip(self.lower + room * max(0.0, left / room.sum())) if room.any() else x

    def usable_slopes(self, x: FloatArray) -> FloatArray:
        """(P,) slopes at x, for the lower end those just inside.

        A concave function can be infinitely steep at its lower end, or so nearly (1e70 was seen) that no solver can
        work with it; a millionth of the range further in it is steep, but sane.
        """
        return self.surface.slopes(np.maximum(x, self.lower + AT_BOUND * self.span))


# ---------------------------------------------------------------------------------------------------- global starts


@dataclass(frozen=True, eq=False)
class Path:
    """Points from lower to upper, always raising the variable whose concave envelope is steepest.

    At every total the envelopes' sum along this path is the largest that it can be, so it bounds the functions' own
    sum. At a vertex every variable stands where its envelope touches its function, and the bound is attained.
    """

    points: FloatArray  # (V, P)
    totals: FloatArray  # (V,) sum of the point, increasing
    values: FloatArray  # (V,) sum of the envelopes

    @classmethod
    def along(cls, grid: FloatArray, table: FloatArray) -> Path:
        """The path of the functions tabulated on (P, S) grids."""
        steps: list[tuple[float, int, float, float]] = []
        for p, (x, y) in enumerate(zip(grid, table, strict=True)):
            if x[0] == x[-1]:
                continue
            hull = upper_hull(x, y)
            dx, dy = np.diff(x[hull]), np.diff(y[hull])
            steps += [(b / a, p, a, b) for a, b in zip(dx.tolist(), dy.tolist(), strict=True)]
        steps.sort(key=lambda step: -step[0])
        moves = np.zeros((len(steps) + 1, len(grid)))
        moves[0] = grid[:, 0]
        for i, (_, p, dx_step, _) in enumerate(steps):
            moves[i + 1, p] = dx_step
        points = np.cumsum(moves, axis=0)
        values = np.cumsum([table[:, 0].sum(), *(step[3] for step in steps)])
        return cls(points, points.sum(axis=1), values)

    def at_total(self, total: float) -> FloatArray:
        """(P,) the point of the path with this sum."""
        return np.array([np.interp(total, self.totals, column) for column in self.points.T])

    @cached_property
    def top(self) -> int:
        """Vertex of the largest value."""
        return int(np.argmax(self.values))

    def best_total(self, constraint: Constraint) -> float:
        """Total at which the path is best under the constraint (at which it is nearest to it, if none fulfils it)."""
        if isinstance(constraint, Budget):
            useful = np.inf if constraint.is_equal else float(self.totals[self.top])
            return min(constraint.total, useful)
        if isinstance(constraint, Price):
            return float(self.totals[int(np.argmax(self.values - constraint.rate * self.totals))])
        if isinstance(constraint, Reach):
            rising = slice(self.top + 1)
            return float(np.interp(constraint.value, self.values[rising], self.totals[rising]))
        margin = self.values - constraint.rate * self.totals
        fulfilled = np.flatnonzero(margin[: self.top + 1] >= 0)
        if len(fulfilled) == 0:
            return float(self.totals[int(np.argmax(margin))])
        last = int(fulfilled[-1])
        if last == self.top:
            return float(self.totals[last])
        part = margin[last] / (margin[last] - margin[last + 1])
        return float(self.totals[last] + part * (self.totals[last + 1] - self.totals[last]))

    def price(self, total: float) -> float:
        """Value of the last unit of the total."""
        if len(self.totals) < 2:
            return 0.0
        step = int(np.clip(np.searchsorted(self.totals, total), 1, len(self.totals) - 1))
        return float(np.diff(self.values)[step - 1] / np.diff(self.totals)[step - 1])

    def reaches(self, rate: float) -> bool:
        """Whether a vertex with a spend or a value above 0 has a value of at least rate * total."""
        earned = (self.values >= rate * self.totals) & ((self.totals > 0) | (self.values > 0))
        return bool(earned.any())

    def bound(self, constraint: Constraint, total: float) -> float:
        """Largest sum of the functions that any point under the constraint (of this total) can have."""
        if isinstance(constraint, Budget | Efficiency):
            total = self.best_total(constraint)
        return float(np.interp(total, self.totals, self.values))


def upper_hull(x: FloatArray, y: FloatArray) -> list[int]:
    """Positions of the vertices of the least concave function above the points; x increasing."""
    hull: list[int] = []
    xs, ys = x.tolist(), y.tolist()
    for i in range(len(xs)):
        while len(hull) >= 2:
            a, b = hull[-2], hull[-1]
            if (ys[b] - ys[a]) * (xs[i] - xs[a]) > (ys[i] - ys[a]) * (xs[b] - xs[a]):
                break
            hull.pop()
        hull.append(i)
    return hull


def dynamic_programme(box: Box, constraint: Constraint) -> FloatArray:
    """(P,) about the best point of the box, by Bellman's recursion over the variables.

    The state is the total, in equal steps. A variable takes a point of its own grid, which counts as the nearest number
    of steps; the difference is charged at the path's price. So a variable whose whole range is less than a step is
    still placed well, where plain rounding to steps would leave it at its lower end.
    """
    floor, most = float(box.lower.sum()), float(box.upper.sum())
    if isinstance(constraint, Budget):
        most = min(most, constraint.total)
    if isinstance(constraint, Reach):
        # A vertex attains its value, so that no more than the first one that suffices is ever needed.
        enough = np.flatnonzero(box.path.values >= constraint.value)
        most = min(most, float(box.path.totals[enough[0]])) if len(enough) else most
    step = (most - floor) / DYNAMIC_STEPS
    if step <= np.finfo(float).eps * float(box.span.max()):
        return box.lower.copy()
    price = box.path.price(box.path.best_total(constraint))
    best = np.full(DYNAMIC_STEPS + 1, -np.inf)
    best[0] = 0.0
    tables = []
    for p in range(len(box.lower)):
        points, gains = _gains_by_steps(box, p, step, price)
        n = len(gains) - 1
        padded = np.concatenate([np.full(n, -np.inf), best])
        # options[s, j]: n - j steps for p and s - (n - j) for those before it.
        options = np.lib.stride_tricks.sliding_window_view(padded, n + 1) + gains[::-1]
        pick = np.argmax(options, axis=1)
        tables.append((points, n - pick))
        best = options[np.arange(DYNAMIC_STEPS + 1), pick]
    return _traced(tables, _best_state(best, floor, step, constraint))


def _gains_by_steps(box: Box, p: int, step: float, price: float) -> tuple[FloatArray, FloatArray]:
    """By number of steps: the point that counts as so many and gains most, and its value less the price's charge."""
    whole = box.lower[p] + step * np.arange(int(min(DYNAMIC_STEPS, box.span[p] / step)) + 1)
    points = np.concatenate([box.grid[p], whole])
    values = np.concatenate([box.table[p], np.interp(whole, box.grid[p], box.table[p])])
    steps = np.rint((points - box.lower[p]) / step).astype(np.int64)
    net = values - price * (points - box.lower[p] - step * steps)
    order = np.lexsort((net, steps))
    order = order[steps[order] <= DYNAMIC_STEPS]
    last = np.flatnonzero(np.diff(steps[order], append=-1))
    chosen = order[last]
    return points[chosen], net[chosen]


def _best_state(best: FloatArray, floor: float, step: float, constraint: Constraint) -> int:
    """Number of steps spent in all at which the programme's value is best under the constraint."""
    if isinstance(constraint, Budget):
        if constraint.is_equal:
            return int(np.flatnonzero(np.isfinite(best))[-1])
        return int(np.argmax(best))
    if isinstance(constraint, Reach):
        enough = np.flatnonzero(best >= constraint.value)
        return int(enough[0]) if len(enough) else int(np.argmax(best))
    margin = best - constraint.rate * (floor + step * np.arange(len(best)))
    if (margin < 0).all():
        return int(np.argmax(margin))
    return int(np.argmax(np.where(margin >= 0, best, -np.inf)))


def _traced(tables: list[tuple[FloatArray, IntArray]], state: int) -> FloatArray:
    """The point that led to a state, the last variable first."""
    x = np.zeros(len(tables))
    for p in range(len(tables) - 1, -1, -1):
        points, choices = tables[p]
        steps = int(choices[state])
        x[p] = points[steps]
        state -= steps
    return x


# ------------------------------------------------------------------------------------------------------ local polish


class _Scaled:
    """The problem in y = (x - lower) / span and units of ``unit``; a point asked about twice is evaluated once."""

    def __init__(self, box: Box, unit: float) -> None:
        self.box, self.unit = box, unit
        self._value: tuple[bytes, float] = (b"", 0.0)
        self._slopes: tuple[bytes, FloatArray] = (b"", np.empty(0))

    def x(self, y: FloatArray) -> FloatArray:
        return self.box.lower + self.box.span * np.clip(y, 0.0, 1.0)

    def value(self, y: FloatArray) -> float:
        key = y.tobytes()
        if key != self._value[0]:
            self._value = key, float(self.box.surface.values(self.x(y)).sum()) / self.unit
        return self._value[1]

    def slopes(self, y: FloatArray) -> FloatArray:
        key = y.tobytes()
        if key != self._slopes[0]:
            self._slopes = key, self.box.usable_slopes(self.x(y)) * self.box.span / self.unit
        return self._slopes[1]

    def cost(self, constraint: Constraint) -> tuple[Any, Any]:
        """What SLSQP makes small, and its gradient."""
        if isinstance(constraint, Reach):
            weights = self.box.span / self.box.span.sum()
            return lambda y: float((weights * y).sum()), lambda _: weights
        return lambda y: -self.value(y), lambda y: -self.slopes(y)

    def constraint(self, constraint: Budget | Efficiency | Reach) -> dict[str, Any]:
        """What SLSQP keeps at 0 (eq) or above (ineq)."""
        if isinstance(constraint, Reach):
            wanted = constraint.value / self.unit
            return {"type": "ineq", "fun": lambda y: self.value(y) - wanted, "jac": self.slopes}
        if isinstance(constraint, Budget):
            scale = 1.0 / max(constraint.total, float(self.box.span.max()))
            weights = -self.box.span * scale
            return {
                "type": "eq" if constraint.is_equal else "ineq",
                "fun": lambda y: (constraint.total - float(self.x(y).sum())) * scale,
                "jac": lambda _: weights,
            }
        rate = constraint.rate / self.unit
        return {
            "type": "ineq",
            "fun": lambda y: self.value(y) - rate * float(self.x(y).sum()),
            "jac": lambda y: self.slopes(y) - rate * self.box.span,
        }


def polish(
    box: Box, constraint: Budget | Efficiency | Reach, start: FloatArray, tolerance: float
) -> FloatArray:
    """(P,) the local optimum that SLSQP reaches from a start, to a tolerance of the scaled value."""
    from scipy.optimize import minimize

    if not box.span.any():
        return start
    scaled = _Scaled(box, float(np.abs(box.table).max(axis=1).sum()) or 1.0)
    cost, gradient = scaled.cost(constraint)
    with warnings.catch_warnings():
        # Steps that leave the box by rounding are clipped by scipy, which says so.
        warnings.filterwarnings("ignore", "Values in x were outside bounds", RuntimeWarning)
        found = minimize(
            cost,
            (start - box.lower) / np.where(box.span > 0, box.span, 1.0),
            jac=gradient,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * len(start),
            constraints=[scaled.constraint(constraint)],
            options={**SLSQP_OPTIONS, "ftol": tolerance},
        )
    if not np.isfinite(found.x).all():
        return start
    return box.clip(scaled.x(found.x))


# --------------------------------------------------------------------------------------------------------- the whole


def maximise(box: Box, constraint: Constraint, starts: Sequence[FloatArray] = (), seed: int = 0) -> Solution:
    """The best point that several starts lead to (with Reach the smallest, see the top of the module).

    Args:
        box: P functions and their ranges, finite, lower <= upper.
        constraint: one that some point of the box fulfils.
        starts: points to start from besides the own ones. They are brought into the box and onto the budget (or the
            value to be reached); the result is no worse than any of them that fulfils the constraint then.
        seed: of the random starts; the same arguments give the same result.
    Returns:
        Solution. Its violation and stationarity say whether it is feasible and locally optimal, its distance from the
        upper bound how much a better one could gain at most.
    """
    if isinstance(constraint, Price):
        return _best(box, constraint, [_largest_net(box, constraint.rate)])
    begin = _distinct([_prepared(box, constraint, x) for x in _starts(box, constraint, starts, seed)])
    ends: list[FloatArray] = []
    with _blas_threads().limit(limits=1, user_api="blas"):
        for start in begin:
            ends.append(_prepared(box, constraint, polish(box, constraint, start, COARSE)))
            if is_global(box, constraint, ends[-1]):
                break
        return _finished(box, constraint, _best(box, constraint, [*begin, *ends]))


def _finished(box: Box, constraint: Budget | Efficiency | Reach, solution: Solution) -> Solution:
    """The solution polished to the end: more stationary, and not worse but for rounding."""
    for _ in range(RESTARTS):
        if solution.stationarity <= UNPOLISHED:
            break
        x = _prepared(box, constraint, polish(box, constraint, solution.x, FINE))
        again = _best(box, constraint, [x])
        before, after = (objective(constraint, s.x, np.array(s.value)) for s in (solution, again))
        is_close = after >= before - ROUNDING * abs(before)
        if again.violation <= FEASIBLE and is_close and again.stationarity < solution.stationarity:
            solution = again
    return solution


@cache
def _blas_threads() -> Any:
    # SLSQP solves its small systems by LAPACK. With threads that is slower (by 10 times with 20 variables on a busy
    # machine), and its last bits would depend on their number.
    import scipy.optimize  # noqa: F401  (loads the library whose threads are to be limited)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _starts(box: Box, constraint: Constraint, given: Sequence[FloatArray], seed: int) -> list[FloatArray]:
    """Points to start from, the most promising first."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    random = box.lower + box.span * rng.random((N_RANDOM_STARTS, len(box.lower)))
    along = box.path.at_total(box.path.best_total(constraint))
    begin = [along, dynamic_programme(box, constraint), *given, box.lower, box.upper, *random]
    if isinstance(constraint, Efficiency):
        # Between two vertices the envelopes promise more than the functions hold; at a vertex they do not.
        earned = box.path.values >= constraint.rate * box.path.totals
        last = np.flatnonzero(earned[: box.path.top + 1])
        begin.insert(1, box.path.points[last[-1] if len(last) else 0])
    return begin


def _prepared(box: Box, constraint: Constraint, x: FloatArray) -> FloatArray:
    """The point in the box, on the budget or the value or, where a short step suffices, back within the efficiency."""
    x = box.clip(x)
    if isinstance(constraint, Budget):
        within = not constraint.is_equal and x.sum() <= constraint.total
        return x if within else box.with_total(x, constraint.total)
    if isinstance(constraint, Reach):
        return _onto_value(box, x, constraint.value)
    if isinstance(constraint, Price):
        return x
    margin = constraint.margin(x, box.surface.values(x))
    if margin >= 0:
        return x
    anchor = box.path.points[int(np.argmax(box.path.values - constraint.rate * box.path.totals))]
    gain = constraint.margin(anchor, box.surface.values(anchor)) - margin
    part = -margin / gain if gain > 0 else 1.0
    return box.clip(x + part * (anchor - x)) if part < 1e-3 else x


def _onto_value(box: Box, x: FloatArray, value: float) -> FloatArray:
    """A point on the way from x to the lower end (or, below the value, to the top) that just has the value."""

    def suffices(point: FloatArray) -> bool:
        return float(box.surface.values(point).sum()) >= value

    if suffices(box.lower):
        return box.lower.copy()
    other, enough = (box.lower, x) if suffices(x) else (x, top(box))
    if not suffices(enough):
        return enough
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if suffices(other + middle * (enough - other)) else (middle, high)
    return box.clip(other + high * (enough - other))


def top(box: Box) -> FloatArray:
    """(P,) the point of the grid where every function is largest."""
    best: FloatArray = box.grid[np.arange(len(box.grid)), np.argmax(box.table, axis=1)]
    return best


def _distinct(points: Sequence[FloatArray]) -> list[FloatArray]:
    """The points in their order, without those that repeat an earlier one."""
    kept: list[FloatArray] = []
    for x in points:
        if not any(np.allclose(x, other, rtol=1e-9, atol=0.0) for other in kept):
            kept.append(x)
    return kept


def _best(box: Box, constraint: Constraint, points: Sequence[FloatArray]) -> Solution:
    values = [box.surface.values(x) for x in points]
    violations = [violation(constraint, x, v) for x, v in zip(points, values, strict=True)]
    totals = [float(v.sum()) for v in values]
    aims = np.array([objective(constraint, x, v) for x, v in zip(points, values, strict=True)])
    feasible = np.array(violations) <= FEASIBLE
    best = int(np.argmax(np.where(feasible, aims, -np.inf)))
    if not feasible.any():
        best = int(np.argmin(violations))
    return Solution(
        x=points[best],
        value=totals[best],
        violation=violations[best],
        stationarity=price_and_stationarity(box, constraint, points[best])[1],
        upper_bound=max(box.path.bound(constraint, float(points[best].sum())), totals[best]),
    )


def is_global(box: Box, constraint: Constraint, x: FloatArray) -> bool:
    """Whether no point of the grid does better, by the sufficient condition of Lagrange.

    At a price of the constraint under which no variable has a better value less price elsewhere in its range, a
    feasible point is a global optimum. Where the envelopes are above the functions there may be no such price, and
    False says nothing.
    """
    values = box.surface.values(x)
    if violation(constraint, x, values) > FEASIBLE:
        return False
    price, _ = price_and_stationarity(box, constraint, x)
    missed = (box.table - price * box.grid).max(axis=1) - (values - price * x)
    return float(np.maximum(missed, 0.0).sum()) <= GLOBAL * float(np.abs(values).sum())


def price_and_stationarity(box: Box, constraint: Constraint, x: FloatArray) -> tuple[float, float]:
    """The constraint's price at a feasible point, and how far that is from the first-order conditions of an optimum.

    At an optimum every variable that can rise has a slope <= price and every one that can fall a slope >= price. The
    price is free on an equality, >= 0 on a budget that is all used and on a value that is just reached, in [0, rate] on
    an efficiency that is just met, the given one with Price, and 0 where the constraint does not bind (with Reach it
    then is beyond all bounds: nothing may stand above its lower end).

    Returns:
        (price, smallest violation of these conditions over all prices, relative to the largest slope).
    """
    slopes = np.where(box.span > 0, box.usable_slopes(x), 0.0)
    can_rise = (box.upper - x > AT_BOUND * box.span) & (box.span > 0)
    can_fall = (x - box.lower > AT_BOUND * box.span) & (box.span > 0)
    low, high = _price_range(box, constraint, x)
    low = max(low, float(slopes[can_rise].max(initial=-np.inf)))
    high = min(high, float(slopes[can_fall].min(initial=np.inf)))
    ends = [end for end in (low, high) if np.isfinite(end)]
    price = sum(ends) / len(ends) if ends else 0.0
    steepest = max(float(np.abs(slopes).max(initial=0.0)), np.finfo(float).tiny)
    return price, min(max(low - high, 0.0), steepest) / steepest if high < low else 0.0


def _price_range(box: Box, constraint: Constraint, x: FloatArray) -> tuple[float, float]:
    if isinstance(constraint, Budget):
        if constraint.is_equal:
            return -np.inf, np.inf
        binding = x.sum() >= constraint.total * (1 - AT_BOUND)
        return 0.0, np.inf if binding else 0.0
    if isinstance(constraint, Price):
        return constraint.rate, constraint.rate
    values = box.surface.values(x)
    if isinstance(constraint, Reach):
        binding = values.sum() <= constraint.value + AT_BOUND * abs(constraint.value)
        return 0.0 if binding else np.inf, np.inf
    binding = constraint.margin(x, values) <= AT_BOUND * float(np.abs(values).sum())
    return 0.0, constraint.rate if binding else 0.0


def best_ratio(box: Box) -> tuple[float, FloatArray]:
    """Largest sum f(x) / sum x over the points with sum x > 0, and one that has it.

    It is infinite where the functions have a value at x = 0 (the ratio grows without end towards it), -inf where every
    sum is 0.
    """
    path = box.path
    if path.totals[0] <= 0 < path.values[0]:
        return np.inf, path.points[0]
    spent = path.totals > 0
    ratios = np.where(spent, path.values / np.where(spent, path.totals, 1.0), -np.inf)
    best = int(np.argmax(ratios))
    return _refined_ratio(box, float(ratios[best]), path.points[best])


def _refined_ratio(box: Box, ratio: float, x: FloatArray) -> tuple[float, FloatArray]:
    # Dinkelbach: the largest ratio is the rate at which the largest sum of f - rate * x is 0; separable.
    for _ in range(20 if np.isfinite(ratio) else 0):
        better = _largest_net(box, ratio)
        total = float(better.sum())
        improved = float(box.surface.values(better).sum()) / total if total > 0 else ratio
        if improved <= ratio * (1 + 1e-12):
            break
        ratio, x = improved, better
    return ratio, x


def best_gain(box: Box) -> float:
    """Largest (f(x) - f(lower)) / (x - lower) of any one variable: the highest price at which any leaves its lower end.

    -inf where no variable has room.
    """
    base = box.table[:, :1]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = (box.table - base) / (box.grid - box.grid[:, :1])
    ratio = float(np.nanmax(ratios[:, 1:], initial=-np.inf, where=box.span[:, np.newaxis] > 0))
    for _ in range(20 if np.isfinite(ratio) else 0):
        x = _largest_net(box, ratio)
        room = x - box.lower
        gains = box.surface.values(x) - base[:, 0]
        improved = float(np.max(gains[room > 0] / room[room > 0], initial=-np.inf))
        if improved <= ratio * (1 + 1e-12):
            break
        ratio = improved
    return ratio


# Closer than this, which of two points is the better one is rounding, and only their slopes know.
ZOOMS = 2
# Local maxima of a variable that are looked at closer: which of them is the largest, a grid may get wrong.
N_PEAKS = 3


def _largest_net(box: Box, rate: float) -> FloatArray:
    """(P,) points where f_p - rate * x_p is largest: the best of the grid, looked at closer. Of equals the larger."""
    # A hair below the rate: at the largest ratio itself spending nothing would tie with the point looked for.
    rate -= 1e-9 * abs(rate)
    best, largest = box.lower, box.table[:, 0] - rate * box.lower
    for peak in _peaks(box.table - rate * box.grid).T:
        x = _closer(box, rate, peak)
        net = box.surface.values(x) - rate * x
        better = (net > largest) | ((net == largest) & (x > best))
        best, largest = np.where(better, x, best), np.where(better, net, largest)
    return best


def _peaks(values: FloatArray) -> IntArray:
    """(P, N_PEAKS) positions of the highest local maxima of each row, the highest first; the last repeated."""
    padded = np.pad(values, ((0, 0), (1, 1)), constant_values=-np.inf)
    is_peak = (values >= padded[:, :-2]) & (values >= padded[:, 2:])
    ranked = np.argsort(-np.where(is_peak, values, -np.inf), axis=1, kind="stable")[:, :N_PEAKS]
    found: IntArray = np.where(np.take_along_axis(is_peak, ranked, axis=1), ranked, ranked[:, :1])
    return found


def _closer(box: Box, rate: float, peak: IntArray) -> FloatArray:
    """(P,) the points beside these positions of the grid where the slope falls to the rate."""
    points, rows = box.grid, np.arange(len(peak))
    for _ in range(ZOOMS):
        low, high = (
            points[rows, np.maximum(peak - 1, 0)],
            points[rows, np.minimum(peak + 1, points.shape[1] - 1)],
        )
        points = low[:, np.newaxis] + (high - low)[:, np.newaxis] * np.linspace(0.0, 1.0, 33)
        peak = np.argmax(box.surface.values(points) - rate * points, axis=1)
    begin, end = points[rows, np.maximum(peak - 1, 0)], points[rows, np.minimum(peak + 1, 32)]
    low, high = begin, end
    for _ in range(40):
        middle = (low + high) / 2
        rising = box.surface.slopes(middle) > rate
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    # A slope that is never above the rate, or never falls to it, ends at an end itself.
    found: FloatArray = np.where(low == begin, begin, np.where(high == end, end, (low + high) / 2))
    return found
