"""Fronts and scores as a student would write them: peel, count, scale; plain loops over lists."""

from __future__ import annotations

import math


def fronts(x, y):
    """Front number of each point; copies all take the lowest number of their group."""
    remaining = sorted(range(len(x)), key=lambda i: (x[i], y[i]))
    number = [0] * len(x)
    level = 0
    while remaining:
        level += 1
        lowest, rest = math.inf, []
        for i in remaining:
            if y[i] < lowest:
                number[i] = level
                lowest = y[i]
            else:
                rest.append(i)
        remaining = rest
    return [min(number[j] for j in range(len(x)) if (x[j], y[j]) == (x[i], y[i])) for i in range(len(x))]


def dominates(a, b):
    """Whether point a is nowhere worse than b and somewhere better."""
    return a != b and a[0] <= b[0] and a[1] <= b[1]


def type7_quantile(values, probability):
    ordered = sorted(values)
    h = (len(ordered) - 1) * probability
    low = math.floor(h)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (h - low) * (ordered[high] - ordered[low])


def error_scores(losses, weights=(1, 1, 1)):
    """losses: three lists."""
    scaled = []
    for loss in losses:
        low, high = min(loss), max(loss)
        scaled.append([(v - low) / (high - low) if high > low else v for v in loss])
    shares = [w / sum(weights) for w in weights]
    return [
        math.sqrt(sum((w * column[i]) ** 2 for w, column in zip(shares, scaled, strict=True)))
        for i in range(len(losses[0]))
    ]
