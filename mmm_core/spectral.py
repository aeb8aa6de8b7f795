"""Maximise a smooth function of money by group and period, under limits of every cell, of every group and of the total.

    maximise  f(x)   with   lower <= x[p, t] <= upper,   least[p] <= sum_t x[p, t] <= most[p],   low <= sum x <= high

by spectral projected gradients without monotony (Birgin, Martínez & Raydan 2000): steps along the true gradient, as
long as the curvature met last suggests (Barzilai & Borwein 1988), brought back by an exact projection. Lengths are
measured cell by cell in the inverse of the function's own curvature, anew after some steps: without that the flat and
the steep parts of saturating curves make the way up ten times longer, or endless. The projection
onto these nested limits is a search for one price for the total and one for each group, along piecewise linear
functions whose breakpoints are sorted. How far a point is from a stationary one is told in the function's own unit:
the **gap** is the most that any other allowed point could gain if the function were as linear as it is at this one; for
a concave function no point is better by more.

Nothing here knows what the numbers mean. Axes: P groups, L periods.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mmm_core.types import FloatArray

# Values that a step is compared with: it may fall below the last one, but not below all of these.
MEMORY = 8
# Part of the gain that the slope promises which a step must bring.
ENOUGH = 1e-4
CHECK_EVERY = 10
# Steps with one measure of length, and how far cells may differ in it from their median.
MEASURE_EVERY, SPREAD = 50, 1e4
LONGEST, SHORTEST = 1e10, 1e-10

Function = Callable[[FloatArray], tuple[float, FloatArray]]
Curvature = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class Region:
    """Nested limits.

    Attributes:
        lower, upper: (P, L) of every cell. least, most: (P,) of every group's sum.
        low, high: of the total; equal for a budget that must be spent.
    """

    lower: FloatArray
    upper: FloatArray
    least: FloatArray
    most: FloatArray
    low: float
    high: float

    @classmethod
    def of(cls, lower: FloatArray, upper: FloatArray, least: FloatArray, most: FloatArray) -> Region:
        """Limits without one for the total; those of groups are made as tight as their cells make them."""
        least, most = np.maximum(least, lower.sum(axis=1)), np.minimum(most, upper.sum(axis=1))
        return cls(lower, upper, least, most, float(least.sum()), float(most.sum()))

    def with_total(self, low: float, high: float) -> Region:
        """The same with a total in [low, high], as far as the groups can hold it."""
        floor, ceiling = float(self.least.sum()), float(self.most.sum())
        bounds = (min(max(value, floor), ceiling) for value in (low, high))
        return Region(self.lower, self.upper, self.least, self.most, *bounds)

    def project(self, point: FloatArray, weight: FloatArray) -> FloatArray:
        """(P, L) the allowed point nearest to another: argmin sum (x - point)^2 / weight.

        x = clip(point - weight * price), with a group's price that of the total unless its own limits ask for another.
        """
        enter, leave = (point - self.upper) / weight, (point - self.lower) / weight
        falls = [_Fall.of(*row) for row in zip(enter, leave, weight, self.upper.sum(axis=1), strict=True)]
        dearest = np.array([fall.price_of(least) for fall, least in zip(falls, self.least, strict=True)])
        cheapest = np.array([fall.price_of(most) for fall, most in zip(falls, self.most, strict=True)])
        prices = np.clip(self._price(point, weight, enter, leave, cheapest, dearest), cheapest, dearest)
        nearest: FloatArray = np.clip(point - weight * prices[:, np.newaxis], self.lower, self.upper)
        return nearest

    def _price(
        self,
        point: FloatArray,
        weight: FloatArray,
        enter: FloatArray,
        leave: FloatArray,
        cheapest: FloatArray,
        dearest: FloatArray,
    ) -> float:
        """The price of the total: 0 where the total's limits do not bind."""

        def total(price: float) -> float:
            prices = np.clip(price, cheapest, dearest)[:, np.newaxis]
            return float(np.clip(point - weight * prices, self.lower, self.upper).sum())

        free = total(0.0)
        if self.low <= free <= self.high:
            return 0.0
        begin, end = (
            np.clip(side, cheapest[:, np.newaxis], dearest[:, np.newaxis]) for side in (enter, leave)
        )
        fall = _Fall.of(begin.ravel(), end.ravel(), weight.ravel(), float(self.most.sum()))
        return fall.price_of(self.high if free > self.high else self.low)

    def settle(self, x: FloatArray) -> FloatArray:
        """A point that is allowed but for rounding, with its total just right."""
        total = float(x.sum())
        wanted = min(max(total, self.low), self.high)
        room = self.upper - x if wanted > total else x - self.lower
        # Groups at a limit of their own stay there.
        sums = x.sum(axis=1)
        held = self.most - sums if wanted > total else sums - self.least
        room = np.where((held > 1e-9 * np.maximum(sums, 1e-300))[:, np.newaxis], room, 0.0)
        whole = float(room.sum())
        if wanted == total or whole <= 0:
            return x
        return np.clip(x + room * ((wanted - total) / whole), self.lower, self.upper)

    def best_linear(self, slopes: FloatArray) -> float:
        """The largest sum of slopes * x over the allowed points: the steepest cells are filled first."""
        order = np.argsort(-slopes, axis=1, kind="stable")
        room = np.take_along_axis(self.upper - self.lower, order, axis=1)
        ranked = np.take_along_axis(slopes, order, axis=1)
        before = np.cumsum(room, axis=1) - room
        base = self.lower.sum(axis=1)[:, np.newaxis]
        must = np.clip(self.least[:, np.newaxis] - base - before, 0.0, room)
        may = np.clip(self.most[:, np.newaxis] - base - before, 0.0, room) - must
        value = float((slopes * self.lower).sum() + (ranked * must).sum())
        spent = float(self.lower.sum() + must.sum())
        flat = np.argsort(-ranked, axis=None, kind="stable")
        steep, room = ranked.ravel()[flat], may.ravel()[flat]
        before = spent + np.cumsum(room) - room
        # What the total must hold is filled whatever it brings, beyond that only what gains.
        needed = np.clip(self.low - before, 0.0, room)
        wanted = np.where(steep > 0, np.clip(self.high - before, 0.0, room), needed)
        return value + float((steep * wanted).sum())


class _Fall(NamedTuple):
    """The sum of clip(point - weight * price) as a function of the price: it falls, piecewise linearly."""

    prices: FloatArray  # breakpoints, increasing
    sums: FloatArray  # at them, decreasing

    @classmethod
    def of(cls, enter: FloatArray, leave: FloatArray, weight: FloatArray, top: float) -> _Fall:
        """Of cells that begin to fall at the price ``enter`` and stop at ``leave``; before the first the sum is top."""
        prices = np.concatenate([enter, leave])
        changes = np.concatenate([-weight, weight])
        order = np.argsort(prices, kind="stable")
        prices, slopes = prices[order], np.cumsum(changes[order])
        sums = top + np.concatenate([[0.0], np.cumsum(slopes[:-1] * np.diff(prices))])
        return cls(prices, np.minimum.accumulate(sums))

    def price_of(self, wanted: float) -> float:
        """A price at which the sum is the wanted one (the nearest that it can be)."""
        return float(np.interp(-wanted, -self.sums, self.prices))


class Climb(NamedTuple):
    """Where a climb ended."""

    x: FloatArray
    value: float
    gap: float  # see the top of the module; in the unit of the value
    n_steps: int


def climb(
    function: Function,
    region: Region,
    start: FloatArray,
    tolerance: float,
    max_steps: int,
    curvature: Curvature | None = None,
) -> Climb:
    """The best point met on the way up from a start.

    Args:
        function: value and gradient at an allowed point.
        region: the limits. start: (P, L), brought into the region first.
        tolerance: gap, relative to the value, that ends the climb. max_steps: ends it too.
        curvature: about |d2 value / d cell2| of every cell at a point; by default that of a power function.
    Returns:
        Climb; the value is no less than that of the start.
    """
    x = region.settle(region.project(start, np.ones_like(start)))
    value, slopes = function(x)
    best = Climb(x, value, _gap(region, x, slopes), 0)
    steps = 0
    while steps < max_steps and best.gap > tolerance * abs(best.value):
        weight = _weights(region, best.x, function(best.x)[1], curvature)
        found = _stretch(function, region, best, weight, tolerance, min(MEASURE_EVERY, max_steps - steps))
        steps += found.n_steps
        is_stuck = found.n_steps < MEASURE_EVERY and found.value <= best.value
        best = found
        if is_stuck:
            break
    return best._replace(n_steps=steps)


def _stretch(
    function: Function, region: Region, start: Climb, weight: FloatArray, tolerance: float, max_steps: int
) -> Climb:
    """A part of a climb, with one measure of length."""
    x = start.x
    value, slopes = function(x)
    best, recent, step = (value, x, slopes), [value], 1.0
    steps = 0
    for steps in range(1, max_steps + 1):
        if steps % CHECK_EVERY == 0 and _gap(region, best[1], best[2]) <= tolerance * abs(best[0]):
            break
        way = region.settle(region.project(x + step * weight * slopes, weight)) - x
        found = _along(function, x, way, value, slopes, min(recent))
        if found is None:
            # A step that came of the curvature may have been far too short or long; one of the usual length tells.
            if step == 1.0:
                break
            step = 1.0
            continue
        further, value, ahead = found
        step = _spectral_step(further - x, slopes - ahead, weight)
        x, slopes = further, ahead
        recent = [*recent[-MEMORY + 1 :], value]
        best = max(best, (value, x, slopes), key=lambda entry: entry[0])
    return Climb(best[1], best[0], _gap(region, best[1], best[2]), steps)


def _gap(region: Region, x: FloatArray, slopes: FloatArray) -> float:
    return max(region.best_linear(slopes) - float((slopes * x).sum()), 0.0)


def _weights(region: Region, x: FloatArray, slopes: FloatArray, curvature: Curvature | None) -> FloatArray:
    """(P, L) what a unit of slope moves a cell by in a step of length 1: Newton's step, cell by cell."""
    if curvature is None:
        usual = np.maximum(x.mean(axis=1, keepdims=True), 0.1 * region.most[:, np.newaxis] / x.shape[1])
        safe = np.where(usual > 0, usual, 1.0)
        curved = np.abs(slopes).mean(axis=1, keepdims=True) / safe * np.ones_like(x)
    else:
        curved = curvature(x)
    known = curved[(curved > 0) & np.isfinite(curved)]
    middle = float(np.median(known)) if known.size else 1.0
    weight: FloatArray = 1.0 / np.clip(np.nan_to_num(curved), middle / SPREAD, middle * SPREAD)
    return weight


def _along(
    function: Function, x: FloatArray, way: FloatArray, value: float, slopes: FloatArray, floor: float
) -> tuple[FloatArray, float, FloatArray] | None:
    """The first point along the way that gains enough over the floor; None where rounding is all that is left."""
    promised = float((slopes * way).sum())
    if promised <= 1e-15 * abs(value):
        return None
    part = 1.0
    while part > 1e-10:
        further = x + part * way
        reached, ahead = function(further)
        if reached >= floor + ENOUGH * part * promised:
            return further, reached, ahead
        # The top of the parabola through both ends.
        curved = 2 * (part * promised + value - reached)
        top = part * part * promised / curved if curved > 0 else part / 2
        part = min(max(top, 0.1 * part), 0.5 * part)
    return None


def _spectral_step(moved: FloatArray, flattened: FloatArray, weight: FloatArray) -> float:
    curvature = float((moved * flattened).sum())
    length = float((moved * moved / weight).sum())
    if curvature <= 0:
        return LONGEST if length == 0 else 100.0
    return min(max(length / curvature, SHORTEST), LONGEST)
