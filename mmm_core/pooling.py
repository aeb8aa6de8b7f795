"""Partial pooling: what several markets tell about one channel together, and how far each is to be believed alone.

Normal random-effects model of one channel's estimates y_i with known standard errors s_i in k markets:

    y_i = t_i + e_i,   e_i ~ N(0, s_i^2)        what a market's own data leave open
    t_i ~ N(mean, tau^2)                         how markets truly differ

With weights w_i = 1 / (s_i^2 + tau^2) the mean is sum(w_i y_i) / sum(w_i), and a market's pooled estimate

    t_i* = mean + (1 - B_i) (y_i - mean),   B_i = s_i^2 / (s_i^2 + tau^2)

goes from the raw one towards the mean by its shrinkage weight B_i: far where its data say little beside how much
markets differ, hardly where they say much. Its variance, the mean being estimated too, is

    (1 - B_i) s_i^2 + B_i^2 / sum(w)

How much markets differ, tau, is itself uncertain with a handful of markets. So by default all tau are averaged over,
each by its restricted likelihood (a uniform prior on tau, which needs k >= 3): the pooled estimate is the mean over tau
of the above, its variance the mean of the variances plus the variance of the means. Taking the single most likely tau^2
instead (restricted maximum likelihood, or DerSimonian and Laird's moments) gives about the same estimates but intervals
that hold the truth too rarely, since a tau^2 of 0 is then taken for certain; docs/portfolio.md has the numbers.

Sources: DerSimonian and Laird (1986), Controlled Clinical Trials 7; Viechtbauer (2005), Journal of Educational and
Behavioral Statistics 30 (REML by Fisher scoring); Gelman (2006), Bayesian Analysis 1 (uniform tau); Gelman et al.,
Bayesian Data Analysis, 3rd ed., section 5.4 (averaging over tau).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from mmm_core.errors import RangeError, ShapeError
from mmm_core.types import FloatArray

Method = Literal["integrated", "reml", "dl"]
# Two markets say next to nothing about how markets differ.
FEWEST = 3
_STEPS, _PRECISION = 200, 1e-10
# Values of tau that are averaged over, evenly spaced.
_GRID = 400


@dataclass(frozen=True, eq=False)
class Pooled:
    """What k markets say together.

    Attributes:
        mean, mean_error: of the population of markets, and its standard error.
        tau: standard deviation between markets, in the unit of the estimates; the median where all are averaged over.
        i_squared: part of the estimates' variance that is true difference, 0 to 1 (Higgins and Thompson 2002).
        q: Cochran's heterogeneity statistic, chi-squared with k - 1 degrees of freedom where markets do not differ.
        estimates: (k,) pooled. errors: (k,) their standard errors. weights: (k,) shrinkage B_i, 0 = as it was.
    """

    mean: float
    mean_error: float
    tau: float
    i_squared: float
    q: float
    estimates: FloatArray
    errors: FloatArray
    weights: FloatArray

    def interval(self, level: float) -> tuple[FloatArray, FloatArray]:
        """Lower and upper ends, (k,) each, of the pooled estimates' normal intervals."""
        reach = NormalDist().inv_cdf((1 + level) / 2)
        return self.estimates - reach * self.errors, self.estimates + reach * self.errors


def pool(values: FloatArray, errors: FloatArray, method: Method = "integrated") -> Pooled:
    """Shrink estimates towards their common mean, as far as their own errors and their differences ask for.

    Args:
        values: (k,) estimates of one quantity, k >= 3, in any unit; logarithms for a ratio such as ROAS.
        errors: (k,) their standard errors, > 0, in the same unit.
        method: how tau is dealt with: "integrated" averages over it, "reml" and "dl" (moments) take one value.
    Raises:
        ShapeError: not two vectors of one length. RangeError: fewer than 3, a value that is not finite, an error <= 0.
    """
    if values.ndim != 1 or values.shape != errors.shape:
        raise ShapeError(f"expected two vectors of one length, got {values.shape} and {errors.shape}")
    if len(values) < FEWEST:
        raise RangeError(f"{len(values)} estimates; at least {FEWEST} are needed to tell how they differ")
    if not (np.isfinite(values).all() and np.isfinite(errors).all() and (errors > 0).all()):
        raise RangeError("estimates must be finite and their errors finite and above 0")
    variances = errors**2
    if method == "integrated":
        taus = _taus(values, variances)
        shares = _likelihoods(values, variances, taus)
    else:
        tau2 = _moments(values, variances) if method == "dl" else _reml(values, variances)
        taus, shares = np.array([np.sqrt(tau2)]), np.ones(1)
    return _averaged(values, variances, taus, shares)


def _taus(values: FloatArray, variances: FloatArray) -> FloatArray:
    """(G,) from near 0 to where the likelihood is nothing any more, in the middle of G equal cells."""
    largest = 6 * values.std() + 3 * np.sqrt(variances.mean())
    taus: FloatArray = (np.arange(_GRID) + 0.5) / _GRID * largest
    return taus


def _likelihoods(values: FloatArray, variances: FloatArray, taus: FloatArray) -> FloatArray:
    """(G,) restricted likelihoods, to a sum of 1."""
    logs = _log_likelihoods(values, variances, taus**2)
    likelihoods = np.exp(logs - logs.max())
    shares: FloatArray = likelihoods / likelihoods.sum()
    return shares


def _averaged(values: FloatArray, variances: FloatArray, taus: FloatArray, shares: FloatArray) -> Pooled:
    """Means over (G,) values of tau with their (G,) shares; one value is the plain formula."""
    w = 1.0 / (variances + taus[:, np.newaxis] ** 2)  # (G, k)
    totals = w.sum(axis=1)
    means = (w @ values) / totals
    shrinkage = variances * w
    estimates = means[:, np.newaxis] + (1 - shrinkage) * (values - means[:, np.newaxis])
    spreads = (1 - shrinkage) * variances + shrinkage**2 / totals[:, np.newaxis]
    mean, estimate = float(shares @ means), shares @ estimates
    fixed = 1.0 / variances
    q = float(fixed @ (values - fixed @ values / fixed.sum()) ** 2)
    return Pooled(
        mean=mean,
        mean_error=float(np.sqrt(shares @ (1 / totals) + shares @ (means - mean) ** 2)),
        tau=float(taus[np.searchsorted(np.cumsum(shares), 0.5)]),
        i_squared=max(0.0, 1 - (len(values) - 1) / q) if q > 0 else 0.0,
        q=q,
        estimates=estimate,
        errors=np.sqrt(shares @ spreads + shares @ (estimates - estimate) ** 2),
        weights=shares @ shrinkage,
    )


def _moments(values: FloatArray, variances: FloatArray) -> float:
    """tau^2 = max(0, (Q - (k - 1)) / (sum(v) - sum(v^2) / sum(v))) with v_i = 1 / s_i^2."""
    fixed = 1.0 / variances
    q = float(fixed @ (values - fixed @ values / fixed.sum()) ** 2)
    scale = float(fixed.sum() - (fixed**2).sum() / fixed.sum())
    return max(0.0, (q - (len(values) - 1)) / scale)


def _reml(values: FloatArray, variances: FloatArray) -> float:
    """Fisher scoring on the restricted likelihood from the moments, tau^2 >= 0.

    With P = W - W 1 1' W / sum(w):  tau^2 += (y' P P y - tr P) / tr(P P), halved while the likelihood falls.
    """
    tau2 = _moments(values, variances)
    for _ in range(_STEPS):
        step = _score(values, variances, tau2)
        before, part = _restricted_likelihood(values, variances, tau2), 1.0
        while part > _PRECISION:
            new = max(0.0, tau2 + part * step)
            if _restricted_likelihood(values, variances, new) >= before:
                break
            part /= 2
        else:
            return tau2
        if abs(new - tau2) <= _PRECISION * (tau2 + variances.min()):
            return new
        tau2 = new
    return tau2


def _score(values: FloatArray, variances: FloatArray, tau2: float) -> float:
    w = 1.0 / (variances + tau2)
    total = w.sum()
    centred = values - w @ values / total
    gradient = float((w**2) @ centred**2 - (total - (w**2).sum() / total))
    return gradient / _information(w)


def _information(w: FloatArray) -> float:
    """tr(P P) = sum(w^2) - 2 sum(w^3) / sum(w) + (sum(w^2) / sum(w))^2, twice the Fisher information of tau^2."""
    total = w.sum()
    return float((w**2).sum() - 2 * (w**3).sum() / total + ((w**2).sum() / total) ** 2)


def _restricted_likelihood(values: FloatArray, variances: FloatArray, tau2: float) -> float:
    return float(_log_likelihoods(values, variances, np.array([tau2]))[0])


def _log_likelihoods(values: FloatArray, variances: FloatArray, tau2s: FloatArray) -> FloatArray:
    """(G,) -1/2 (sum log(s_i^2 + tau^2) + log sum(w) + sum w (y - mean)^2), constants left out."""
    w = 1.0 / (variances + tau2s[:, np.newaxis])
    totals = w.sum(axis=1)
    means = (w @ values) / totals
    distances = (w * (values - means[:, np.newaxis]) ** 2).sum(axis=1)
    logs: FloatArray = 0.5 * (np.log(w).sum(axis=1) - np.log(totals) - distances)
    return logs
