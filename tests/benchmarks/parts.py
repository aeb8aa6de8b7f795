"""Where the time of a candidate goes: its steps one by one, over the same hyperparameters as the whole.

Each step is the kernel that the evaluation calls, called from Python; what the call itself costs, measured on an empty
kernel with the same arguments, is taken off. The steps have to sum to the whole within the noise: the row ``rest``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numba import njit

from mmm_core import _kernels
from mmm_core.adstock import KIND_CODES
from mmm_core.evaluate import (
    INTERCEPT_CODES,
    SOLVER_CODES,
    evaluate_candidates,
    media_parameters,
    penalty_factors,
    split_rows,
)
from mmm_core.types import FloatArray, ModelProblem
from tests.benchmarks.timing import Row, row, seconds_of
from tests.reference.problems import random_hyperparameters

CANDIDATES = 300

# A step: a kernel and its arguments for candidate c.
Step = tuple[Any, Callable[[int], tuple[Any, ...]]]


@njit
def empty(*arguments):
    """What it costs to call a kernel from Python and come back."""


class Steps:
    """The steps of the evaluation on one problem, with work arrays as ``_kernels.evaluate_batch`` has them."""

    def __init__(self, problem: ModelProblem, points: FloatArray) -> None:
        k, n_media, w = len(problem.columns), len(problem.media), problem.n_window
        self.problem = problem
        self.kind = KIND_CODES[problem.adstock]
        self.media = media_parameters(problem, points)
        self.n_train, self.n_val = split_rows(
            problem, points[:, problem.hyperparameter_names.index("train_size")]
        )
        self.penalty = problem.penalty_of(points[:, problem.hyperparameter_names.index("lambda_hp")])
        self.factors = penalty_factors(problem, points)
        self.y = problem.outcome[problem.window]
        self.x = np.ascontiguousarray(problem.design[:, problem.window].T)
        self.mean, self.scale, self.z = np.empty(k), np.empty(k), np.empty((_kernels.rows_in_fours(w), k))
        self.covariance, self.products = np.empty((k, k)), np.empty((k, k))
        self.correlation, self.work, self.active = np.empty(k), np.empty((5, k)), np.empty(k, dtype=np.int64)
        self.coef, self.contribution, self.fitted = np.empty(k), np.empty(k), np.empty(w)
        self.inflexion, self.own_weight = np.empty(n_media), np.empty(n_media)
        self.adstocked, self.saturated, self.hill_work = np.empty((n_media, w)), np.empty(w), np.empty((2, w))
        self.weights, self.series = np.empty((4, problem.n_periods)), np.empty(problem.n_periods)
        self.loss, self.shares = np.empty(_kernels.N_LOSSES), np.empty(problem.n_paid)
        self.low, self.high = problem.lower.copy(), problem.upper.copy()

    def transform(self, c: int) -> tuple[Any, ...]:
        """Adstock and Hill of all media, into x."""
        p = self.problem
        return (
            self.kind, p.design, p.first_media, p.start, p.stop, self.media[c], self.weights, self.series,
            self.hill_work, self.saturated, self.x, self.inflexion, self.adstocked, self.own_weight,
        )  # fmt: skip

    def hill(self, c: int, m: int) -> tuple[Any, ...]:
        """Hill of one medium."""
        return self.adstocked[m], self.media[c, m, 0], self.inflexion[m], self.hill_work, self.saturated

    def solve(self, c: int) -> tuple[Any, ...]:
        """Coefficients from the sufficient statistics."""
        p = self.problem
        return (
            SOLVER_CODES[p.solver], INTERCEPT_CODES[p.intercept], self.mean, self.scale, self.y_mean, self.y_sd,
            self.covariance, self.correlation, self.penalty[c], self.factors[c], self.low, self.high, self.work,
            self.products, self.active, self.coef,
        )  # fmt: skip

    def run(self, c: int) -> dict[str, float]:
        """Seconds of every step of candidate c, in the order of the evaluation, whose results each leaves behind."""
        n = int(self.n_train[c])
        p = self.problem
        took = {"adstock": net(_kernels.transform_media, self.transform(c))}
        hills = [net(_kernels.hill_series, self.hill(c, m)) for m in range(len(p.media))]
        took["Hill"] = sum(hills)
        took["adstock"] -= sum(hills)
        _kernels.bound_trend(self.x, n, p.trend_column, self.low, self.high)
        took["moments"] = net(_kernels.moments, (self.x, self.y, n, self.mean, self.scale))
        self.y_mean, self.y_sd = _kernels.moments(self.x, self.y, n, self.mean, self.scale)
        took["moments"] += net(_kernels.standardise, (self.x, n, self.mean, self.scale, self.z))
        took["Gram matrix"] = net(_kernels.gram, (self.z, n, self.covariance))
        took["Gram matrix"] += net(_kernels.correlations, (self.z, self.y, n, self.y_mean, self.correlation))
        took["descent"] = net(_kernels.solve_with_intercept_rule, self.solve(c))
        intercept, _, df = _kernels.solve_with_intercept_rule(*self.solve(c))
        apart = (self.x, self.coef, intercept, self.contribution, self.fitted)
        took["decomposition and losses"] = net(_kernels.take_apart, apart)
        fit = (self.y, self.fitted, n, int(self.n_val[c]), len(self.coef), df, self.loss)
        took["decomposition and losses"] += net(_kernels.fit_of_parts, fit)
        rssd = (self.contribution, p.first_media, p.n_paid, p.spend_share, p.zero_penalty, self.shares)
        took["decomposition and losses"] += net(_kernels.decomp_rssd, rssd)
        return took


def net(kernel: Any, arguments: tuple[Any, ...], calls: int = 5) -> float:
    """Seconds of a kernel, without those of the call: the best of a few, since each lasts a microsecond."""
    return max(_best(kernel, arguments, calls) - _best(empty, arguments, calls), 0.0)


def _best(kernel: Any, arguments: tuple[Any, ...], calls: int) -> float:
    found = []
    for _ in range(calls):
        began = time.perf_counter()
        kernel(*arguments)
        found.append(time.perf_counter() - began)
    return min(found)


def parts(problem: ModelProblem, repeats: int, candidates: int = CANDIDATES) -> Iterator[Row]:
    """The steps of the evaluation, and what they leave over of the whole."""
    points = random_hyperparameters(problem, 3, candidates)
    steps = Steps(problem, points)
    steps.run(0)  # compiles
    found = [
        {name: sum(took[name] for took in runs) for name in runs[0]}
        for runs in ([steps.run(c) for c in range(candidates)] for _ in range(max(3, repeats // 2)))
    ]
    subject = f"one of weekly, {problem.adstock}"
    many = np.tile(points, (5, 1))
    seconds = seconds_of(lambda: evaluate_candidates(problem, many), repeats)
    whole = row("parts", subject, "whole", "µs per candidate", seconds, n=len(many))
    yield whole
    rows = [
        row(
            "parts",
            subject,
            name,
            "µs per candidate",
            [f[name] for f in found],
            n=candidates,
            reference=whole,
        )
        for name in found[0]
    ]
    yield from rows
    rest = (whole.median or 0.0) - sum(entry.median or 0.0 for entry in rows)
    part = rest / (whole.median or 1.0)
    yield replace(
        rows[0],
        way="rest",
        median=rest,
        low=rest,
        high=rest,
        ratio=part,
        check="calls, reading of the design, noise",
    )
