"""Every compiled formula of the model, in one file.

One file on purpose: numba's on-disk cache knows only when the file of a function changed, not when a function it calls
did. Kernels in several files would go on running stale machine code after an edit.

Kernels trust their arguments: arrays are C-contiguous float64 of the right shape, values are in range. The public
modules (``adstock``, ``saturation``, ``ridge``, ``evaluate``, ``bootstrap``) check once and call these. Loops are
written out, without BLAS, so that the order of every sum, and with it the last bit of every result, is the same on
every machine; ``fastmath`` is off for the same reason.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

GEOMETRIC, WEIBULL_CDF, WEIBULL_PDF = 0, 1, 2
NON_NEGATIVE, UNCONSTRAINED, NO_INTERCEPT = 0, 1, 2
OK, MAX_SWEEPS, ALL_MEDIA_ZERO = 0, 1, 2
GLMNET, EXACT = 0, 1

# glmnet's own defaults, which decide where its coordinate descent stops (and so which numbers it gives).
THRESHOLD = 1e-7
SWEEP_LIMIT = 100_000

# The exact ridge: sweeps that find most of its active bounds, steps of the active set allowed per column, and what
# counts as 0: a slope (in the largest slope at the start) and a pivot (in its diagonal).
HEAD_START = 4
STEPS_PER_COLUMN = 50
FLAT = 1e-13
SMALLEST_PIVOT = 1e-14

# Columns of the ``losses`` output of ``evaluate_batch``.
(
    NRMSE,
    NRMSE_TRAIN,
    NRMSE_VAL,
    NRMSE_TEST,
    DECOMP_RSSD,
    MAPE,
    RSQ_TRAIN,
    RSQ_VAL,
    RSQ_TEST,
    INTERCEPT,
) = range(10)
N_LOSSES = 10


# ---------------------------------------------------------------------------------------------------------- adstock


@njit(cache=True, nogil=True)
def geometric(x, theta, out):
    carried = 0.0
    for t in range(x.shape[0]):
        carried = x[t] + theta * carried
        out[t] = carried


@njit(cache=True, nogil=True)
def weibull_scale_in_periods(n, scale):
    # Type-7 quantile of 1..n, rounded half to even as R and numpy do.
    return np.round(1.0 + (n - 1) * scale)


@njit(cache=True, nogil=True)
def weibull_weights(kind, n, shape, scale, out):
    """Weight of an exposure 0, 1, .. n - 1 periods after it."""
    for k in range(n):
        out[k] = 0.0
    out[0] = 1.0
    if shape == 0.0 or scale == 0.0:
        return
    s = weibull_scale_in_periods(n, scale)
    if kind == WEIBULL_CDF:
        weight = 1.0
        for k in range(1, n):
            weight *= math.exp(-((k / s) ** shape))
            if weight == 0.0:
                break
            out[k] = weight
        return
    low, high = math.inf, -math.inf
    for k in range(n):
        z = (k + 1) / s
        density = (shape / s) * z ** (shape - 1.0) * math.exp(-(z**shape))
        out[k] = density
        low = min(low, density)
        high = max(high, density)
    for k in range(n):
        if high == low:
            out[k] = 1.0 if k == 0 else 0.0
        else:
            out[k] = (out[k] - low) / (high - low)


@njit(cache=True, nogil=True)
def convolve(x, weights, out):
    n = x.shape[0]
    for t in range(n):
        out[t] = 0.0
    for t in range(n):
        if x[t] != 0.0:
            for k in range(n - t):
                out[t + k] += weights[k] * x[t]


@njit(cache=True, nogil=True)
def adstock_in_series(kind, x, n_series, first, second, weights, out):
    """Adstock of x, a piece of a series of n_series periods (Weibull scales are shares of its length), into ``out``.

    Nothing is carried in before the piece. Returns the weight of the exposure's own period.
    """
    if kind == GEOMETRIC:
        geometric(x, first, out)
        return 1.0
    weibull_weights(kind, n_series, first, second, weights)
    convolve(x, weights, out)
    return weights[0]


@njit(cache=True, nogil=True)
def adstock(kind, x, first, second, weights, out):
    """Adstock of one whole series into ``out``; returns the weight of the exposure's own period."""
    return adstock_in_series(kind, x, x.shape[0], first, second, weights, out)


# ------------------------------------------------------------------------------------------------------- saturation


@njit(cache=True, nogil=True)
def hill(z, alpha, inflexion):
    """z^alpha / (z^alpha + inflexion^alpha), written so that neither end overflows."""
    if z <= 0.0:
        return 0.0
    return 1.0 / (1.0 + (inflexion / z) ** alpha)


@njit(cache=True, nogil=True)
def hill_series(z, alpha, inflexion, out):
    for t in range(z.shape[0]):
        out[t] = hill(z[t], alpha, inflexion)


@njit(cache=True, nogil=True)
def largest(z):
    top = 0.0
    for t in range(z.shape[0]):
        top = max(top, z[t])
    return top


# ------------------------------------------------------------------------------------------------------------ ridge


@njit(cache=True, nogil=True)
def moments(x, y, n, mean, scale):
    """Mean and standard deviation (divisor n) of each column over the first n rows; scale 0 marks a constant column.

    Returns the mean and the standard deviation of y over the same rows; a constant y has exactly 0.
    """
    k = x.shape[1]
    for j in range(k):
        mean[j] = 0.0
        scale[j] = 0.0
    for t in range(n):
        for j in range(k):
            mean[j] += x[t, j]
    for j in range(k):
        mean[j] /= n
    for t in range(n):
        for j in range(k):
            d = x[t, j] - mean[j]
            scale[j] += d * d
    for j in range(k):
        scale[j] = math.sqrt(scale[j] / n)
        constant = True
        for t in range(1, n):
            if x[t, j] != x[0, j]:
                constant = False
                break
        if constant:
            scale[j] = 0.0
    y_mean, constant = 0.0, True
    for t in range(n):
        y_mean += y[t]
        if y[t] != y[0]:
            constant = False
    if constant:
        return y[0], 0.0
    y_mean /= n
    y_var = 0.0
    for t in range(n):
        d = y[t] - y_mean
        y_var += d * d
    return y_mean, math.sqrt(y_var / n)


@njit(cache=True, nogil=True)
def gram(x, n, mean, scale, row, out):
    """Correlation matrix of the columns over the first n rows (zeros for constant columns)."""
    k = x.shape[1]
    for i in range(k):
        for j in range(k):
            out[i, j] = 0.0
    for t in range(n):
        for j in range(k):
            row[j] = (x[t, j] - mean[j]) / scale[j] if scale[j] > 0.0 else 0.0
        for i in range(k):
            z = row[i]
            if z != 0.0:
                for j in range(i, k):
                    out[i, j] += z * row[j]
    for i in range(k):
        for j in range(i, k):
            out[i, j] /= n
            out[j, i] = out[i, j]


@njit(cache=True, nogil=True)
def correlations(x, y, n, mean, scale, y_mean, out):
    """mean of standardised column times centred y, in y's unit."""
    k = x.shape[1]
    for j in range(k):
        out[j] = 0.0
    for t in range(n):
        r = y[t] - y_mean
        for j in range(k):
            out[j] += (x[t, j] - mean[j]) * r
    for j in range(k):
        out[j] = out[j] / scale[j] / n if scale[j] > 0.0 else 0.0


@njit(cache=True, nogil=True)
def update(j, quadratic, penalty, low, high, products, gradient, coef):
    """One coordinate step of the bounded ridge; returns quadratic[j] * step^2, what glmnet's stopping rule looks at."""
    target = (gradient[j] + quadratic[j] * coef[j]) / (quadratic[j] + penalty[j])
    new = min(max(target, low[j]), high[j])
    step = new - coef[j]
    if step == 0.0:
        return 0.0
    coef[j] = new
    for i in range(gradient.shape[0]):
        gradient[i] -= step * products[j, i]
    return quadratic[j] * step * step


@njit(cache=True, nogil=True)
def coordinate_descent(quadratic, penalty, low, high, products, gradient, active, coef):
    """glmnet's coordinate descent from zero, stopping where glmnet stops. Returns OK or MAX_SWEEPS.

    gradient enters as Z'r / n for coef = 0 and is kept up to date. Columns with quadratic 0 are skipped.
    """
    k = coef.shape[0]
    n_active = 0
    for j in range(k):
        coef[j] = 0.0
    is_active = np.zeros(k, dtype=np.bool_)
    sweeps = 0
    while sweeps < SWEEP_LIMIT:
        change = 0.0
        sweeps += 1
        for j in range(k):
            if quadratic[j] > 0.0:
                moved = update(j, quadratic, penalty, low, high, products, gradient, coef)
                if moved > 0.0 and not is_active[j]:
                    is_active[j] = True
                    active[n_active] = j
                    n_active += 1
                change = max(change, moved)
        if change < THRESHOLD:
            return OK
        while sweeps < SWEEP_LIMIT:
            change = 0.0
            sweeps += 1
            for a in range(n_active):
                change = max(
                    change, update(active[a], quadratic, penalty, low, high, products, gradient, coef)
                )
            if change < THRESHOLD:
                break
    return MAX_SWEEPS


@njit(cache=True, nogil=True)
def slopes(penalty, products, right, coef, slope):
    """right - (products + penalty) coef: the downward slope of the objective along each coordinate."""
    for j in range(coef.shape[0]):
        s = right[j] - penalty[j] * coef[j]
        for i in range(coef.shape[0]):
            s -= products[j, i] * coef[i]
        slope[j] = s


@njit(cache=True, nogil=True)
def newton_step(is_free, penalty, products, slope, factor, step):
    """Solve (products + penalty) step = slope for the free coordinates, by Cholesky; 0 elsewhere.

    A column that repeats those before it, and bears no penalty, gets 0: its slope vanishes with theirs.
    """
    k = slope.shape[0]
    for j in range(k):
        step[j] = 0.0
        if not is_free[j]:
            continue
        diagonal = products[j, j] + penalty[j]
        pivot = diagonal
        for c in range(j):
            if is_free[c]:
                pivot -= factor[j, c] * factor[j, c]
        pivot = math.sqrt(pivot) if pivot > SMALLEST_PIVOT * diagonal else 0.0
        factor[j, j] = pivot
        for i in range(j + 1, k):
            factor[i, j] = 0.0
            if is_free[i] and pivot > 0.0:
                s = products[i, j]
                for c in range(j):
                    if is_free[c]:
                        s -= factor[i, c] * factor[j, c]
                factor[i, j] = s / pivot
        s = slope[j]
        for c in range(j):
            if is_free[c]:
                s -= factor[j, c] * step[c]
        step[j] = s / pivot if pivot > 0.0 else 0.0
    for j in range(k - 1, -1, -1):
        if is_free[j] and factor[j, j] > 0.0:
            s = step[j]
            for i in range(j + 1, k):
                if is_free[i]:
                    s -= factor[i, j] * step[i]
            step[j] = s / factor[j, j]


@njit(cache=True, nogil=True)
def step_to_first_bound(is_free, step, low, high, coef):
    """Add the step, or as much of it as the bounds allow; who is stopped stays there. Returns whether one was."""
    length, first = 1.0, -1
    for j in range(coef.shape[0]):
        if is_free[j] and step[j] != 0.0:
            bound = high[j] if step[j] > 0.0 else low[j]
            allowed = (bound - coef[j]) / step[j]
            if allowed < length:
                length, first = max(allowed, 0.0), j
    for j in range(coef.shape[0]):
        if is_free[j]:
            coef[j] = min(max(coef[j] + length * step[j], low[j]), high[j])
    if first < 0:
        return False
    coef[first] = high[first] if step[first] > 0.0 else low[first]
    is_free[first] = False
    return True


@njit(cache=True, nogil=True)
def free_the_steepest(quadratic, low, high, slope, flat, is_free, coef):
    """Let go the bound that holds the objective back most. Returns whether any does."""
    steepest, which = flat, -1
    for j in range(coef.shape[0]):
        if quadratic[j] > 0.0 and not is_free[j] and low[j] < high[j]:
            inwards = slope[j] if coef[j] == low[j] else -slope[j]
            if inwards > steepest:
                steepest, which = inwards, j
    if which >= 0:
        is_free[which] = True
    return which >= 0


@njit(cache=True, nogil=True)
def descend_exactly(quadratic, penalty, low, high, products, gradient, coef):
    """The very minimum of the bounded ridge, by an active set. Returns OK, or MAX_SWEEPS if rounding made it cycle.

    gradient enters as Z'r / n. A few sweeps from zero find most of the bounds that are active; then Newton steps on the
    coordinates between their bounds, stopped by the first bound in the way, and the bound that costs most let go.
    """
    k = coef.shape[0]
    right, slope, step = gradient.copy(), np.empty(k), np.empty(k)
    factor, is_free = np.empty((k, k)), np.zeros(k, dtype=np.bool_)
    flat = 0.0
    for j in range(k):
        coef[j] = 0.0
        flat = max(flat, FLAT * abs(right[j]))
    for _ in range(HEAD_START):
        for j in range(k):
            if quadratic[j] > 0.0:
                update(j, quadratic, penalty, low, high, products, gradient, coef)
    for j in range(k):
        is_free[j] = quadratic[j] > 0.0 and low[j] < coef[j] < high[j]
    for _ in range(STEPS_PER_COLUMN * k):
        slopes(penalty, products, right, coef, slope)
        newton_step(is_free, penalty, products, slope, factor, step)
        if step_to_first_bound(is_free, step, low, high, coef):
            continue
        slopes(penalty, products, right, coef, slope)
        if not free_the_steepest(quadratic, low, high, slope, flat, is_free, coef):
            return OK
    return MAX_SWEEPS


@njit(cache=True, nogil=True)
def solve_standardised(
    solver,
    with_intercept,
    mean,
    scale,
    y_mean,
    y_sd,
    covariance,
    correlation,
    ridge_penalty,
    penalty,
    lower,
    upper,
    work,
    products,
    active,
    coef,
):
    """Bounded ridge from sufficient statistics; coef in original units. Returns (intercept, status).

    With an intercept the columns are centred; without one they are divided by the *centred* standard deviation but
    not centred, and y is scaled by its root mean square, as glmnet does.
    """
    k = coef.shape[0]
    y_scale = y_sd if with_intercept else math.sqrt(y_sd * y_sd + y_mean * y_mean)
    if y_scale == 0.0:
        # Nothing to explain. glmnet refuses such a y; here one bad candidate must not stop its batch.
        for j in range(k):
            coef[j] = 0.0
        return y_mean, OK
    quadratic, weight, low, high, gradient = work[0], work[1], work[2], work[3], work[4]
    total_penalty = 0.0
    for j in range(k):
        total_penalty += penalty[j]
    for j in range(k):
        constant = scale[j] == 0.0
        ratio = 0.0 if constant or with_intercept else mean[j] / scale[j]
        quadratic[j] = 0.0 if constant else 1.0 + ratio * ratio
        # glmnet rescales penalty factors to sum to the number of columns, and divides lambda by the scale of y.
        weight[j] = ridge_penalty / y_scale * penalty[j] * k / total_penalty if total_penalty > 0.0 else 0.0
        low[j] = lower[j] * scale[j] / y_scale if not constant else 0.0
        high[j] = upper[j] * scale[j] / y_scale if not constant else 0.0
        gradient[j] = (correlation[j] + ratio * y_mean) / y_scale
        for i in range(k):
            shift = 0.0
            if not with_intercept and ratio != 0.0 and scale[i] > 0.0:
                shift = ratio * mean[i] / scale[i]
            products[j, i] = covariance[j, i] + shift
    if solver == EXACT:
        status = descend_exactly(quadratic, weight, low, high, products, gradient, coef)
    else:
        status = coordinate_descent(quadratic, weight, low, high, products, gradient, active, coef)
    intercept = y_mean if with_intercept else 0.0
    for j in range(k):
        coef[j] = coef[j] * y_scale / scale[j] if scale[j] > 0.0 else 0.0
        if with_intercept:
            intercept -= mean[j] * coef[j]
    return intercept, status


@njit(cache=True, nogil=True)
def solve_with_intercept_rule(
    solver,
    intercept_rule,
    mean,
    scale,
    y_mean,
    y_sd,
    covariance,
    correlation,
    ridge_penalty,
    penalty,
    lower,
    upper,
    work,
    products,
    active,
    coef,
):
    """As solve_standardised, with the fit repeated without intercept where the rule asks for it.

    Returns (intercept, status, degrees of freedom of the intercept).
    """
    if intercept_rule != NO_INTERCEPT:
        intercept, status = solve_standardised(
            solver, True, mean, scale, y_mean, y_sd, covariance, correlation, ridge_penalty,
            penalty, lower, upper, work, products, active, coef,
        )  # fmt: skip
        if intercept_rule == UNCONSTRAINED or intercept >= 0.0:
            return intercept, status, 1
    intercept, status = solve_standardised(
        solver, False, mean, scale, y_mean, y_sd, covariance, correlation, ridge_penalty,
        penalty, lower, upper, work, products, active, coef,
    )  # fmt: skip
    return intercept, status, 0


@njit(cache=True, nogil=True)
def bound_trend(x, n, trend_column, lower, upper):
    """Robyn's exception: a trend that sums to a negative value over the training rows has coefficient in [-1, 0]."""
    if trend_column < 0:
        return
    total = 0.0
    for t in range(n):
        total += x[t, trend_column]
    lower[trend_column] = -1.0 if total < 0.0 else 0.0
    upper[trend_column] = 0.0 if total < 0.0 else 1.0


@njit(cache=True, nogil=True)
def refit_batch(
    x,
    outcomes,
    n,
    ridge_penalty,
    penalty,
    lower,
    upper,
    trend_column,
    solver,
    intercept_rule,
    coefs,
    intercepts,
    statuses,
):
    """The same rows fitted to many outcomes: coefs (B, K), intercepts (B,), statuses (B,) are filled."""
    k = x.shape[1]
    mean, scale, row = np.empty(k), np.empty(k), np.empty(k)
    covariance, products = np.empty((k, k)), np.empty((k, k))
    correlation, work = np.empty(k), np.empty((5, k))
    active = np.empty(k, dtype=np.int64)
    low, high = lower.copy(), upper.copy()
    bound_trend(x, n, trend_column, low, high)
    moments(x, outcomes[0], n, mean, scale)
    gram(x, n, mean, scale, row, covariance)
    for b in range(outcomes.shape[0]):
        y_mean, y_sd = moments(x[:n, :0], outcomes[b], n, row, row)
        correlations(x, outcomes[b], n, mean, scale, y_mean, correlation)
        intercepts[b], statuses[b], _ = solve_with_intercept_rule(
            solver, intercept_rule, mean, scale, y_mean, y_sd, covariance, correlation, ridge_penalty,
            penalty, low, high, work, products, active, coefs[b],
        )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- metrics


@njit(cache=True, nogil=True)
def fit_of_part(y, fitted, first, last, n_train, n_columns, df_intercept):
    """(NRMSE, adjusted R2) over rows first..last-1; NaN for an empty part.

    The adjustment uses the number of TRAINING rows for every part, as Robyn does.
    """
    n = last - first
    if n <= 0:
        return math.nan, math.nan
    mean, low, high, sse = 0.0, math.inf, -math.inf, 0.0
    for t in range(first, last):
        mean += y[t]
        low = min(low, y[t])
        high = max(high, y[t])
        d = y[t] - fitted[t]
        sse += d * d
    mean /= n
    sst = 0.0
    for t in range(first, last):
        d = y[t] - mean
        sst += d * d
    nrmse = math.sqrt(sse / n) / (high - low) if high > low else math.inf
    freedom = n_train - n_columns - 1
    if sst == 0.0 or freedom == 0:
        return nrmse, math.nan
    return nrmse, 1.0 - sse / sst * (n_train - df_intercept) / freedom


@njit(cache=True, nogil=True)
def fit_of_parts(y, fitted, n_train, n_val, n_columns, df_intercept, loss):
    """NRMSE and adjusted R2 of training, validation and test rows, and the NRMSE that the search minimises."""
    n_window = y.shape[0]
    last_val = n_train + n_val
    # Without a split every row trains, and there is no test part.
    last_test = n_window if n_train < n_window else last_val
    loss[NRMSE_TRAIN], loss[RSQ_TRAIN] = fit_of_part(y, fitted, 0, n_train, n_train, n_columns, df_intercept)
    loss[NRMSE_VAL], loss[RSQ_VAL] = fit_of_part(
        y, fitted, n_train, last_val, n_train, n_columns, df_intercept
    )
    loss[NRMSE_TEST], loss[RSQ_TEST] = fit_of_part(
        y, fitted, last_val, last_test, n_train, n_columns, df_intercept
    )
    loss[NRMSE] = loss[NRMSE_VAL] if n_val > 0 else loss[NRMSE_TRAIN]


@njit(cache=True, nogil=True)
def take_apart(x, coef, intercept, contribution, fitted):
    """contribution (K,): sum of each column's part over the rows; fitted (W,): intercept plus all parts of a row."""
    for j in range(coef.shape[0]):
        contribution[j] = 0.0
    for t in range(x.shape[0]):
        prediction = intercept
        for j in range(coef.shape[0]):
            part = x[t, j] * coef[j]
            contribution[j] += part
            prediction += part
        fitted[t] = prediction


@njit(cache=True, nogil=True)
def decomp_rssd(contribution, first_paid, n_paid, spend_share, zero_penalty, effect_share):
    """Root of summed squared (effect share - spend share); infinite when no paid channel has any effect."""
    total = 0.0
    for i in range(n_paid):
        total += contribution[first_paid + i]
    if total == 0.0:
        for i in range(n_paid):
            effect_share[i] = 0.0
        return math.inf
    squares, zeros = 0.0, 0
    for i in range(n_paid):
        share = contribution[first_paid + i] / total
        effect_share[i] = share
        d = share - spend_share[i]
        squares += d * d
        if np.round(share * 1e4) == 0.0:
            zeros += 1
    rssd = math.sqrt(squares)
    return rssd * (1.0 + zeros / n_paid) if zero_penalty else rssd


class Reference(NamedTuple):
    """The model before a refresh as kernels take it, see ``types.ReferenceShares``; without one, arrays of length 0.

    roas and spend are in units of each channel's scale, so that contribution / spend - roas counts scales; of length 0
    where paid media are compared by their shares.
    """

    shares: NDArray[np.float64]  # (K + 1,)
    other_weight: float  # 1 / (1 - new periods / W)
    roas: NDArray[np.float64]  # (P,)
    spend: NDArray[np.float64]  # (P,)


# Where the change of one channel's ROAS counts no further, in units of its scale.
LARGEST_CHANGE = 10.0


@njit(cache=True, nogil=True)
def roas_change(contribution, first_paid, n_paid, reference):
    """Mean square over paid media of the change of contribution per spend, in units of each channel's scale."""
    squares = 0.0
    for i in range(n_paid):
        d = contribution[first_paid + i] / reference.spend[i] - reference.roas[i]
        squares += d * d / (1.0 + (d / LARGEST_CHANGE) ** 2)
    return squares / n_paid


@njit(cache=True, nogil=True)
def distance_to_reference(contribution, intercept, first_paid, n_paid, reference):
    """M + Q / (1 - new periods / W), see ``types.ReferenceShares``; infinite where contributions sum to 0.

    contribution (K,) and intercept are sums over the window.
    """
    k = contribution.shape[0]
    total = intercept
    for j in range(k):
        total += contribution[j]
    if total == 0.0:
        return math.inf
    d = intercept / total - reference.shares[0]
    others, paid = d * d, 0.0
    for j in range(k):
        d = contribution[j] / total - reference.shares[j + 1]
        if first_paid <= j < first_paid + n_paid:
            paid += d * d
        else:
            others += d * d
    media = paid / n_paid
    if reference.roas.shape[0] > 0:
        media = roas_change(contribution, first_paid, n_paid, reference)
    return math.sqrt(media) + math.sqrt(others / (k + 1 - n_paid)) * reference.other_weight


# ------------------------------------------------------------------------------------------------------- calibration


class Studies(NamedTuple):
    """Lift studies as kernels take them; without any, arrays of length 0.

    is_series_of_its_own: Weibull scales are shares of the study's rows (as in Robyn), not of all rows.
    """

    is_about: NDArray[np.bool_]  # (S, M)
    is_immediate: NDArray[np.bool_]  # (S,)
    first: NDArray[np.int64]  # (S,) rows [first, stop) of the data
    stop: NDArray[np.int64]
    row_weights: NDArray[np.float64]  # (S, T)
    estimate: NDArray[np.float64]  # (S,)
    error_weights: NDArray[np.float64]  # (S,)
    is_series_of_its_own: bool


@njit(cache=True, nogil=True)
def predict_studies(
    kind, design, first_media, start, media, coef, x, inflexion, adstocked, studies, weights, own, predicted
):
    """What one candidate says that each lift study should have found, into ``predicted`` (S,).

    x (W, K) holds the saturated media, adstocked (M, W) what went into their curves, media (M, 4) their parameters.
    The formulas are in the head of ``calibration``.
    """
    for s in range(studies.estimate.shape[0]):
        first, stop = studies.first[s], studies.stop[s]
        n_series = stop - first if studies.is_series_of_its_own else design.shape[1]
        total = 0.0
        for m in range(media.shape[0]):
            j = first_media + m
            if not studies.is_about[s, m] or coef[j] == 0.0:
                continue
            if studies.is_immediate[s]:
                adstock_in_series(
                    kind, design[j, first:stop], n_series, media[m, 2], media[m, 3], weights, own
                )
            for t in range(first, stop):
                effect = x[t - start, j]
                if studies.is_immediate[s]:
                    # Rounding can leave a tiny negative difference where nothing was carried in.
                    carried = max(adstocked[m, t - start] - own[t - first], 0.0)
                    effect -= hill(carried, media[m, 0], inflexion[m])
                total += studies.row_weights[s, t] * coef[j] * effect
        predicted[s] = total


@njit(cache=True, nogil=True)
def study_error(predicted, studies):
    """Weighted mean of |predicted - estimate| / |estimate|; 0 without studies."""
    error = 0.0
    for s in range(predicted.shape[0]):
        estimate = studies.estimate[s]
        error += studies.error_weights[s] * abs(predicted[s] - estimate) / abs(estimate)
    return error


# --------------------------------------------------------------------------------------------------------- candidate


@njit(cache=True, nogil=True)
def transform_media(
    kind, design, first_media, start, stop, media, weights, series, x, inflexion, adstocked, own_weight
):
    """Adstock on all rows, cut to the window, Hill; into the media columns of x.

    media (M, 4) holds alpha, gamma, then theta or (shape, scale). design (K, T) is the raw table by column.
    """
    n_window = stop - start
    for m in range(media.shape[0]):
        own_weight[m] = adstock(kind, design[first_media + m], media[m, 2], media[m, 3], weights, series)
        window = series[start:stop]
        inflexion[m] = media[m, 1] * largest(window)
        for t in range(n_window):
            adstocked[m, t] = window[t]
            x[t, first_media + m] = hill(window[t], media[m, 0], inflexion[m])


@njit(cache=True, nogil=True)
def evaluate_batch(
    kind,
    solver,
    intercept_rule,
    zero_penalty,
    outcome,
    design,
    first_media,
    n_paid,
    spend_share,
    start,
    stop,
    lower,
    upper,
    trend_column,
    media,
    n_train,
    n_val,
    ridge_penalty,
    penalty,
    studies,
    reference,
    losses,
    coefs,
    contributions,
    effect_shares,
    statuses,
):
    """Everything about N candidates: see ``evaluate.evaluate_candidates`` for the meaning of the outputs.

    outcome (T,), design (K, T); media (N, M, 4), n_train and n_val (N,), ridge_penalty (N,), penalty (N, K);
    filled: losses (N, N_LOSSES), coefs and contributions (N, K), effect_shares (N, P), statuses (N,).
    """
    k, n_rows = design.shape
    n_window = stop - start
    n_media = media.shape[1]
    y = outcome[start:stop]
    x = np.empty((n_window, k))
    for j in range(first_media):
        for t in range(n_window):
            x[t, j] = design[j, start + t]
    mean, scale, row = np.empty(k), np.empty(k), np.empty(k)
    covariance, products = np.empty((k, k)), np.empty((k, k))
    correlation, work = np.empty(k), np.empty((5, k))
    active = np.empty(k, dtype=np.int64)
    low, high = lower.copy(), upper.copy()
    weights, series, fitted = np.empty(n_rows), np.empty(n_rows), np.empty(n_window)
    inflexion, own_weight = np.empty(n_media), np.empty(n_media)
    adstocked = np.empty((n_media, n_window))
    own, predicted = np.empty(n_window), np.empty(studies.estimate.shape[0])

    for c in range(media.shape[0]):
        transform_media(
            kind,
            design,
            first_media,
            start,
            stop,
            media[c],
            weights,
            series,
            x,
            inflexion,
            adstocked,
            own_weight,
        )
        n = n_train[c]
        bound_trend(x, n, trend_column, low, high)
        y_mean, y_sd = moments(x, y, n, mean, scale)
        gram(x, n, mean, scale, row, covariance)
        correlations(x, y, n, mean, scale, y_mean, correlation)
        intercept, status, df_intercept = solve_with_intercept_rule(
            solver, intercept_rule, mean, scale, y_mean, y_sd, covariance, correlation, ridge_penalty[c],
            penalty[c], low, high, work, products, active, coefs[c],
        )  # fmt: skip

        take_apart(x, coefs[c], intercept, contributions[c], fitted)

        loss = losses[c]
        fit_of_parts(y, fitted, n, n_val[c], k, df_intercept, loss)
        loss[DECOMP_RSSD] = decomp_rssd(
            contributions[c], first_media, n_paid, spend_share, zero_penalty, effect_shares[c]
        )
        predict_studies(
            kind, design, first_media, start, media[c], coefs[c], x, inflexion, adstocked, studies, weights, own,
            predicted,
        )  # fmt: skip
        loss[MAPE] = study_error(predicted, studies)
        loss[INTERCEPT] = intercept
        statuses[c] = ALL_MEDIA_ZERO if status == OK and math.isinf(loss[DECOMP_RSSD]) else status
        if reference.shares.shape[0] > 0:
            loss[DECOMP_RSSD] = distance_to_reference(
                contributions[c], intercept * n_window, first_media, n_paid, reference
            )
