"""Why a medium has no effect in a model: a reason, and the numbers that it rests on.

A coefficient of a bounded ridge is 0, or next to it, for few reasons. Each is asked by fitting the model's own training
rows again, exactly (``Solver.EXACT``), with one thing changed; the first that answers is the reason:

    no_variation  the column does not vary over the training rows: no exposure there, the same exposure in every row, or
                  a curve that is flat where the exposures lie
    early_stop    the minimum of the same objective gives it an effect; glmnet stopped before it
    collinear     other columns explain R2 >= 0.8 of it, and without the few that explain it best it has an effect
    penalty       without the penalty it has an effect: the ridge takes it, or takes what would reveal it
    bound         without its sign bound its effect would be of the sign that is not allowed
    small         none of these: the training rows hold next to no effect of it

An effect is what a column brings over the window, coef * sum of the column; none is one that DecompRSSD counts as none,
a share of the paid media's effect that rounds to 0 at four decimals (an organic medium's is compared with the effect of
all media). To be named as what a medium would have, an effect must be a share of at least 1 %: less is noise more often
than not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mmm_core.bootstrap import coefficient_bounds, fitted_values, n_train_rows
from mmm_core.evaluate import penalty_factors
from mmm_core.ridge import fit_bounded_ridge
from mmm_core.transforms import design_matrix
from mmm_core.types import FittedModel, FloatArray, InterceptRule, ModelProblem, Solver

# A share below it counts as none: rounding to 4 decimals, as DecompRSSD's penalty does.
NO_SHARE = 0.5e-4
# What a medium would have is worth naming from here on.
WORTH_NAMING = 0.01
# A variance inflation of 5.
COLLINEAR_R2 = 0.8
MOST_PARTNERS = 3
# Columns are named until they explain this part of what all of them explain.
ENOUGH = 0.95
# Values closer to one another than this, relative to the largest, differ by rounding only.
ROUNDING = 1e-9


class ZeroReason(StrEnum):
    """Why a medium has no effect, see the top of the module."""

    NO_VARIATION = "no_variation"
    EARLY_STOP = "early_stop"
    COLLINEAR = "collinear"
    PENALTY = "penalty"
    BOUND = "bound"
    SMALL = "small"


class Flatness(StrEnum):
    """What makes a column the same in every training row."""

    NO_EXPOSURE = "no_exposure"
    CONSTANT_EXPOSURE = "constant_exposure"
    SATURATED = "saturated"
    BELOW_THE_CURVE = "below_the_curve"


@dataclass(frozen=True)
class ZeroEffect:
    """One medium without effect in one model. Effects are sums over the window, in the outcome's unit.

    Attributes:
        medium, candidate: which. reason: see the top of the module.
        effect: in the model itself; 0 or next to it.
        slope: of the fit in the coefficient, at the model: correlation of the standardised column with the residuals of
            the training rows, over sd(y). Below 0 a positive coefficient would make the fit worse (KKT).
        free_effect: without its own sign bound. exact_effect: at the minimum of the same objective.
        unpenalised_effect: with lambda = 0. alone_effect: without the partners.
        r2: part of the column's variance over the training rows that all other columns explain.
        partners: columns that explain most of that, the best first; empty where r2 is below 0.8.
        partners_r2: what they explain. joint_effect: theirs and the medium's together, in the model.
        flatness: what makes the column constant, None where it varies. level: the constant, NaN where it varies.
    """

    medium: str
    candidate: str
    reason: ZeroReason
    effect: float
    slope: float = math.nan
    free_effect: float = math.nan
    exact_effect: float = math.nan
    unpenalised_effect: float = math.nan
    alone_effect: float = math.nan
    r2: float = math.nan
    partners: tuple[str, ...] = ()
    partners_r2: float = math.nan
    joint_effect: float = math.nan
    flatness: Flatness | None = None
    level: float = math.nan

    @property
    def shrinkage(self) -> float:
        """Part of the unpenalised effect that the penalty takes; NaN where there is no such effect."""
        return 1 - self.effect / self.unpenalised_effect if self.unpenalised_effect else math.nan


def without_effect(problem: ModelProblem, contributions: FloatArray) -> NDArray[np.bool_]:
    """(M,) whether each medium brings nothing, by the contributions (K,) of one model over the window."""
    return _shares(problem, contributions) < NO_SHARE


def _shares(problem: ModelProblem, contributions: FloatArray) -> FloatArray:
    """(M,) size of each medium's effect: among the paid ones, an organic one's among all media; 0 where all are 0."""
    effects = np.abs(contributions[problem.first_media :])
    paid = np.arange(len(effects)) < problem.n_paid
    # Against the sum of sizes, so that effects of both signs cannot cancel.
    wholes = np.where(paid, effects[paid].sum(), effects.sum())
    shares: FloatArray = np.divide(effects, wholes, out=np.zeros_like(effects), where=wholes > 0)
    return shares


def zero_effects(problem: ModelProblem, model: FittedModel) -> tuple[ZeroEffect, ...]:
    """Every medium without effect in a model, in the order of the media, and why.

    Args:
        problem: the data. model: one evaluated candidate of it, or one that was brought along.
    """
    bench = _Bench.of(problem, model)
    contributions = model.coefs * bench.sums
    silent = np.flatnonzero(without_effect(problem, contributions))
    return tuple(bench.explain(problem.first_media + int(m)) for m in silent)


@dataclass(frozen=True, eq=False)
class _Bench:
    """A model's training rows, to be fitted again with one thing changed.

    x: (n, K), y: (n,), lower, upper, factors: (K,); sums: (K,) of the columns over the window.
    """

    problem: ModelProblem
    model: FittedModel
    x: FloatArray
    y: FloatArray
    lower: FloatArray
    upper: FloatArray
    factors: FloatArray
    sums: FloatArray

    @classmethod
    def of(cls, problem: ModelProblem, model: FittedModel) -> _Bench:
        n = n_train_rows(problem, model)
        window = design_matrix(problem, model.hyperparameters)
        lower, upper = coefficient_bounds(problem, window[:n])
        factors = penalty_factors(problem, model.hyperparameters[np.newaxis, :])[0]
        y = problem.outcome[problem.window][:n]
        return cls(problem, model, window[:n], y, lower, upper, factors, window.sum(axis=0))

    def explain(self, j: int) -> ZeroEffect:
        """The reason of column j, with its numbers."""
        medium, effect = self.problem.columns[j], float(self.model.coefs[j] * self.sums[j])
        flatness = self._flatness(j)
        if flatness is not None:
            level, reason = float(self.x[0, j]), ZeroReason.NO_VARIATION
            return ZeroEffect(medium, self.model.candidate, reason, effect, flatness=flatness, level=level)
        r2, partners, partners_r2 = self._partners(j)
        exact, unpenalised = self._refit(), self._refit(penalty=0.0)
        alone = self._refit(without=partners) if partners else np.full_like(exact, math.nan)
        free = self._refit(free=j)
        together = [j, *partners]
        return ZeroEffect(
            medium,
            self.model.candidate,
            self._reason(j, exact, alone, unpenalised, free),
            effect,
            slope=self._slope(j),
            free_effect=float(free[j]),
            exact_effect=float(exact[j]),
            unpenalised_effect=float(unpenalised[j]),
            alone_effect=float(alone[j]),
            r2=r2,
            partners=tuple(self.problem.columns[k] for k in partners),
            partners_r2=partners_r2,
            joint_effect=float((self.model.coefs * self.sums)[together].sum()),
        )

    def _reason(
        self, j: int, exact: FloatArray, alone: FloatArray, unpenalised: FloatArray, free: FloatArray
    ) -> ZeroReason:
        for reason, effects in (
            (ZeroReason.EARLY_STOP, exact),
            (ZeroReason.COLLINEAR, alone),
            (ZeroReason.PENALTY, unpenalised),
        ):
            if self._is_worth_naming(j, effects):
                return reason
        is_on_bound = exact[j] == 0 and free[j] != 0
        return ZeroReason.BOUND if is_on_bound else ZeroReason.SMALL

    def _is_worth_naming(self, j: int, effects: FloatArray) -> bool:
        share = _shares(self.problem, effects)[j - self.problem.first_media]
        return bool(share >= WORTH_NAMING)

    # ------------------------------------------------------------------------------------------------------- numbers

    def _refit(
        self, *, penalty: float | None = None, free: int | None = None, without: Sequence[int] = ()
    ) -> FloatArray:
        """(K,) effects at the exact minimum, with another penalty, a column without bounds, or without some columns."""
        lower, upper = self.lower.copy(), self.upper.copy()
        if free is not None:
            lower[free], upper[free] = -np.inf, np.inf
        lower[list(without)] = upper[list(without)] = 0.0
        fit = fit_bounded_ridge(
            self.x,
            self.y,
            float(self.model.penalty) if penalty is None else penalty,
            lower,
            upper,
            self.factors,
            self.problem.intercept,
            Solver.EXACT,
        )
        effects: FloatArray = fit.coefs * self.sums
        return effects

    def _slope(self, j: int) -> float:
        residuals = self.y - fitted_values(self.x, self.model)
        centred = self.model.intercept != 0
        column = self.x[:, j] - (self.x[:, j].mean() if centred else 0.0)
        y_scale = self.y.std() if centred else math.sqrt(float((self.y**2).mean()))
        return float((column * residuals).mean() / (self.x[:, j].std() * y_scale))

    def _flatness(self, j: int) -> Flatness | None:
        column = self.x[:, j]
        if not _is_constant(column):
            return None
        rows = slice(self.problem.start, self.problem.start + len(column))
        exposure = self.problem.design[j, rows]
        if not exposure.any():
            return Flatness.NO_EXPOSURE
        if _is_constant(exposure):
            return Flatness.CONSTANT_EXPOSURE
        return Flatness.SATURATED if column[0] > 0.5 else Flatness.BELOW_THE_CURVE

    def _partners(self, j: int) -> tuple[float, tuple[int, ...], float]:
        """(R2 on all other columns, the few that explain most of it where that is much, what those explain)."""
        others = [k for k in range(self.x.shape[1]) if k != j and not _is_constant(self.x[:, k])]
        r2 = self._explained(j, others)
        if r2 < COLLINEAR_R2:
            return r2, (), math.nan
        chosen: tuple[int, ...] = ()
        reached = 0.0
        while len(chosen) < MOST_PARTNERS and reached < ENOUGH * r2:
            left = [k for k in others if k not in chosen]
            found = [self._explained(j, [*chosen, k]) for k in left]
            best = int(np.argmax(found))
            chosen, reached = (*chosen, left[best]), found[best]
        return r2, chosen, reached

    def _explained(self, j: int, others: Sequence[int]) -> float:
        """R2 of column j on others, by plain least squares with an intercept."""
        if not others:
            return 0.0
        x, y = self.x[:, list(others)], self.x[:, j]
        free = np.full(len(others), np.inf)
        rule = InterceptRule.UNCONSTRAINED
        fit = fit_bounded_ridge(x, y, 0.0, -free, free, intercept=rule, solver=Solver.EXACT)
        residuals = y - fit.intercept - (x * fit.coefs).sum(axis=1)
        return 1 - float((residuals**2).sum() / ((y - y.mean()) ** 2).sum())


def _is_constant(values: FloatArray) -> bool:
    return bool(values.max() - values.min() <= ROUNDING * np.abs(values).max())
