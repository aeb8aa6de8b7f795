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


def kept_on_disk(**options):
    """A decorator that compiles and keeps the machine code for the next process: beside this file, or in the user's own
    cache where the installation cannot be written, or, where there is neither, not at all.
    """

    def decorate(function):
        try:
            return njit(cache=True, **options)(function)
        except (
            RuntimeError
        ):  # numba found no place to keep it; a temporary folder that others know would be unsafe
            return njit(**options)(function)

    return decorate


# error_model: division by zero gives what IEEE says. Python's way, an exception, is a branch in every loop that
# divides, and keeps the compiler from working on several elements at once.
kernel = kept_on_disk(nogil=True, error_model="numpy")
# For the body of a loop: in its place before the compiler looks for what it can do in vectors.
inlined = kept_on_disk(nogil=True, error_model="numpy", inline="always")

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


# ---------------------------------------------------------------------------------------------- powers and exponentials


# Natural logarithm and exponential as polynomials, after FreeBSD's e_log.c and e_exp.c: to about one unit in the last
# place, without branches and without calls, so that the compiler works on 4 or 8 elements at a time (the library's pow
# is half of all time otherwise), and with the same bits on every machine, which libraries do not promise.
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
LOG_EVEN = (3.999999999940941908e-01, 2.222219843214978396e-01, 1.531383769920937332e-01)
LOG_ODD = (
    6.666666666666735130e-01,
    2.857142874366239149e-01,
    1.818357216161805012e-01,
    1.479819860511658591e-01,
)
EXP = (
    1.66666666666666019037e-01,
    -2.77777777770155933842e-03,
    6.61375632143793436117e-05,
    -1.65339022054652515390e-06,
    4.13813679705723846039e-08,
)
MANTISSA_BITS = np.uint64(52)
EXPONENT_BIAS = np.uint64(1023)
ONE = np.uint64(1023 << 52)
# Bits of sqrt(1/2) less those of 1, so that mantissas come to lie in [sqrt(1/2), sqrt(2)).
TO_SQRT_HALF = np.uint64((0x3FE6A09E667F3BCD - (1023 << 52)) % (1 << 64))
# A whole number below 2^52 laid into the mantissa of 2^52 is that number plus 2^52.
TWO_52, BITS_OF_TWO_52 = 4503599627370496.0, np.uint64(0x4330000000000000)
# Adding it rounds to a whole number, which then stands in the lowest bits.
ROUNDER = 6755399441055744.0
# exp of more is beyond what the sum with 1 can tell from 0 or infinity.
LARGEST_POWER = 700.0


@inlined
def exponential(y):
    """e^y = 2^k r: (r, ROUNDER + k); a y beyond LARGEST_POWER counts as that."""
    y = -LARGEST_POWER if y < -LARGEST_POWER else y  # noqa: FURB136 - min and max are not done in vectors
    y = LARGEST_POWER if y > LARGEST_POWER else y  # noqa: FURB136
    rounded = y * 1.44269504088896338700 + ROUNDER
    k = rounded - ROUNDER
    high, low = y - k * LN2_HIGH, k * LN2_LOW
    r = high - low
    q = r * r
    c = r - q * (EXP[0] + q * (EXP[1] + q * (EXP[2] + q * (EXP[3] + q * EXP[4]))))
    return 1.0 - ((low - (r * c) / (2.0 - c)) - high), rounded


@kernel
def split_exponents(bits, mantissas, exponents):
    """x = 2^k m with m in [sqrt(1/2), sqrt(2)), all as bits: of m, and of k + 1023 + 2^52 as a double."""
    for t in range(bits.shape[0]):
        k = (bits[t] - TO_SQRT_HALF) >> MANTISSA_BITS
        mantissas[t] = bits[t] - (k << MANTISSA_BITS) + ONE
        exponents[t] = k | BITS_OF_TWO_52


@kernel
def powers(alpha, mantissas, exponents):
    """x^alpha = 2^k r of x as ``split_exponents`` left it: r into mantissas, ROUNDER + k into exponents."""
    for t in range(mantissas.shape[0]):
        f = mantissas[t] - 1.0
        s = f / (2.0 + f)
        z = s * s
        w = z * z
        even = w * (LOG_EVEN[0] + w * (LOG_EVEN[1] + w * LOG_EVEN[2]))
        odd = z * (LOG_ODD[0] + w * (LOG_ODD[1] + w * (LOG_ODD[2] + w * LOG_ODD[3])))
        half = 0.5 * f * f
        k = exponents[t] - (TWO_52 + 1023.0)
        log = s * (half + (even + odd)) + k * LN2_LOW - half + f + k * LN2_HIGH

        mantissas[t], exponents[t] = exponential(alpha * log)


@kernel
def join_exponents(bits):
    """ROUNDER + k as doubles' bits becomes 2^k."""
    for t in range(bits.shape[0]):
        bits[t] = (bits[t] + EXPONENT_BIAS) << MANTISSA_BITS


@kernel
def power_series(x, alpha, mantissas, exponents, out):
    """x^alpha of x > 0 into out, which may be x; mantissas and exponents, of the same length, are overwritten."""
    bits = exponents.view(np.uint64)
    split_exponents(x.view(np.uint64), mantissas.view(np.uint64), bits)
    powers(alpha, mantissas, exponents)
    join_exponents(bits)
    for t in range(x.shape[0]):
        out[t] = mantissas[t] * exponents[t]


@kernel
def decay_series(x, mantissas, exponents, out):
    """e^-x of x >= 0 into out, which may be x; 0 from LARGEST_POWER on."""
    for t in range(x.shape[0]):
        mantissas[t], exponents[t] = exponential(-x[t])
    join_exponents(exponents.view(np.uint64))
    for t in range(x.shape[0]):
        decayed = mantissas[t] * exponents[t]
        out[t] = decayed if x[t] < LARGEST_POWER else 0.0


# ---------------------------------------------------------------------------------------------------------- adstock


@kernel
def geometric(x, theta, out):
    carried = 0.0
    for t in range(x.shape[0]):
        carried = x[t] + theta * carried
        out[t] = carried


@kernel
def geometric_in_window(x, theta, start, stop, out):
    """``geometric`` of four series at once, cut to rows [start, stop); theta and the series' first rows have 4 entries.

    Each value waits for the one before it: alone, a series leaves the processor idle three quarters of the time.
    """
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    out0, out1, out2, out3 = out[0], out[1], out[2], out[3]
    theta0, theta1, theta2, theta3 = theta[0], theta[1], theta[2], theta[3]
    carried0 = carried1 = carried2 = carried3 = 0.0
    for t in range(start):
        carried0 = x0[t] + theta0 * carried0
        carried1 = x1[t] + theta1 * carried1
        carried2 = x2[t] + theta2 * carried2
        carried3 = x3[t] + theta3 * carried3
    for t in range(start, stop):
        carried0 = x0[t] + theta0 * carried0
        carried1 = x1[t] + theta1 * carried1
        carried2 = x2[t] + theta2 * carried2
        carried3 = x3[t] + theta3 * carried3
        out0[t - start] = carried0
        out1[t - start] = carried1
        out2[t - start] = carried2
        out3[t - start] = carried3


@kernel
def weibull_scale_in_periods(n, scale):
    # Type-7 quantile of 1..n, rounded half to even as R and numpy do.
    return np.round(1.0 + (n - 1) * scale)


@kernel
def weibull_weights(kind, n, shape, scale, weights):
    """Weight of an exposure 0, 1, .. n - 1 periods after it, into the first of the rows of weights (4, n or more).

    Returns the number of weights up to the last that is not 0.
    """
    out, z, mantissas, exponents = weights[0, :n], weights[1, :n], weights[2, :n], weights[3, :n]
    for k in range(n):
        out[k] = 0.0
    out[0] = 1.0
    if shape == 0.0 or scale == 0.0:
        return 1
    s = weibull_scale_in_periods(n, scale)
    for k in range(n):
        z[k] = (k + 1) / s
    power_series(z, shape, mantissas, exponents, out)
    if kind == WEIBULL_CDF:
        decay_series(out, mantissas, exponents, z)
        weight = 1.0
        out[0] = 1.0
        for k in range(1, n):
            weight *= z[k - 1]
            out[k] = weight
    else:
        for k in range(n):
            z[k] = (shape / s) * (out[k] / z[k])
        decay_series(out, mantissas, exponents, out)
        for k in range(n):
            out[k] *= z[k]
        min_max_scale(out)
    last = n
    while out[last - 1] == 0.0:
        last -= 1
    return last


@kernel
def min_max_scale(values):
    """(values - min) / (max - min) in place; where all are equal the first is 1, the others 0."""
    low, high = math.inf, -math.inf
    for k in range(values.shape[0]):
        low = min(low, values[k])
        high = max(high, values[k])
    for k in range(values.shape[0]):
        values[k] = (values[k] - low) / (high - low) if high > low else 0.0
    if high == low:
        values[0] = 1.0


@kernel
def convolve(x, weights, out):
    """out[t] = sum_k weights[k] x[t - k], summed from the first x on; what lies beyond the weights has weight 0.

    Four x at a time where all of them reach, so that a value of out is fetched and put back once for four products.
    """
    n, n_lags = x.shape[0], weights.shape[0]
    for t in range(n):
        out[t] = 0.0
    in_fours = n // 4 * 4 if n_lags >= 4 else 0
    for t in range(0, in_fours, 4):
        x0, x1, x2, x3 = x[t], x[t + 1], x[t + 2], x[t + 3]
        if x0 == 0.0 and x1 == 0.0 and x2 == 0.0 and x3 == 0.0:
            continue
        reach = min(n - t, n_lags) - 3
        out[t] += weights[0] * x0
        out[t + 1] = (out[t + 1] + weights[1] * x0) + weights[0] * x1
        out[t + 2] = ((out[t + 2] + weights[2] * x0) + weights[1] * x1) + weights[0] * x2
        w0, w1, w2 = weights[3 : 3 + reach], weights[2 : 2 + reach], weights[1 : 1 + reach]
        part = out[t + 3 : t + 3 + reach]
        for k in range(reach):
            part[k] = (((part[k] + w0[k] * x0) + w1[k] * x1) + w2[k] * x2) + weights[k] * x3
        for i in range(t + n_lags, min(n, t + n_lags + 3)):
            for j in range(i - n_lags + 1, t + 4):
                out[i] += weights[i - j] * x[j]
    for t in range(in_fours, n):
        for k in range(min(n - t, n_lags)):
            out[t + k] += weights[k] * x[t]


@kernel
def adstock_in_series(kind, x, n_series, first, second, weights, out):
    """Adstock of x, a piece of a series of n_series periods (Weibull scales are shares of its length), into ``out``.

    weights (4, n_series or more) is overwritten. Nothing is carried in before the piece. Returns the weight of the
    exposure's own period.
    """
    if kind == GEOMETRIC:
        geometric(x, first, out)
        return 1.0
    n_lags = weibull_weights(kind, n_series, first, second, weights)
    convolve(x, weights[0, :n_lags], out)
    return weights[0, 0]


@kernel
def adstock(kind, x, first, second, weights, out):
    """Adstock of one whole series into ``out``; returns the weight of the exposure's own period."""
    return adstock_in_series(kind, x, x.shape[0], first, second, weights, out)


# ------------------------------------------------------------------------------------------------------- saturation


@kernel
def hill(z, alpha, inflexion):
    """z^alpha / (z^alpha + inflexion^alpha), written so that neither end overflows."""
    if z <= 0.0:
        return 0.0
    return 1.0 / (1.0 + (inflexion / z) ** alpha)


@kernel
def hill_series(z, alpha, inflexion, work, out):
    """``hill`` of a whole series; work (2, n) is overwritten. Agrees with it to a few units in the last place."""
    for t in range(z.shape[0]):
        out[t] = inflexion / z[t]
    power_series(out, alpha, work[0], work[1], out)
    for t in range(z.shape[0]):
        share = 1.0 / (1.0 + out[t])
        out[t] = share if z[t] > 0.0 else 0.0


@kernel
def largest(z):
    n = z.shape[0]
    top0 = top1 = top2 = top3 = 0.0
    for t in range(0, n - 3, 4):
        top0, top1 = max(top0, z[t]), max(top1, z[t + 1])
        top2, top3 = max(top2, z[t + 2]), max(top3, z[t + 3])
    for t in range(n // 4 * 4, n):
        top0 = max(top0, z[t])
    return max(top0, top1, top2, top3)


# ------------------------------------------------------------------------------------------------------------ ridge


@kernel
def moments(x, y, n, mean, scale):
    """Mean and standard deviation (divisor n) of each column over the first n rows; scale 0 marks a constant column.

    Returns the mean and the standard deviation of y over the same rows; a constant y has exactly 0.
    """
    k = x.shape[1]
    for j in range(k):
        mean[j] = 0.0
        scale[j] = 0.0
    in_fours = n // 4 * 4
    for t in range(0, in_fours, 4):
        x0, x1, x2, x3 = x[t], x[t + 1], x[t + 2], x[t + 3]
        for j in range(k):
            mean[j] += (x0[j] + x1[j]) + (x2[j] + x3[j])
    for t in range(in_fours, n):
        for j in range(k):
            mean[j] += x[t, j]
    for j in range(k):
        mean[j] /= n
    for t in range(0, in_fours, 4):
        x0, x1, x2, x3 = x[t], x[t + 1], x[t + 2], x[t + 3]
        for j in range(k):
            d0, d1, d2, d3 = x0[j] - mean[j], x1[j] - mean[j], x2[j] - mean[j], x3[j] - mean[j]
            scale[j] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)
    for t in range(in_fours, n):
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


@kernel
def rows_in_fours(n):
    """n rounded up to a multiple of 4. Sums over rows take four at a time, in a fixed order: one row at a time a sum
    waits for the one before it.
    """
    return (n + 3) // 4 * 4


@kernel
def standardise(x, n, mean, scale, z):
    """(x - mean) / scale of the first n rows into z, rows up to ``rows_in_fours(n)`` and constant columns 0."""
    k = x.shape[1]
    unit = np.empty(k)
    for j in range(k):
        unit[j] = 1.0 / scale[j] if scale[j] > 0.0 else 0.0
    for t in range(n):
        row, source = z[t], x[t]
        for j in range(k):
            row[j] = (source[j] - mean[j]) * unit[j]
    for t in range(n, rows_in_fours(n)):
        z[t] = 0.0


@kernel
def gram(z, n, out):
    """Z'Z / n of n standardised rows: the correlation matrix of the columns."""
    k = z.shape[1]
    for i in range(k):
        for j in range(k):
            out[i, j] = 0.0
    for t in range(0, rows_in_fours(n), 4):
        z0, z1, z2, z3 = z[t], z[t + 1], z[t + 2], z[t + 3]
        for i in range(k):
            a0, a1, a2, a3, row = z0[i], z1[i], z2[i], z3[i], out[i]
            # The whole row, though it is symmetric: half of it is slower than all of it in vectors.
            for j in range(k):
                row[j] += (a0 * z0[j] + a1 * z1[j]) + (a2 * z2[j] + a3 * z3[j])
    for i in range(k):
        for j in range(k):
            out[i, j] /= n


@kernel
def correlations(z, y, n, y_mean, out):
    """Z'(y - mean) / n of n standardised rows, in y's unit."""
    k = z.shape[1]
    for j in range(k):
        out[j] = 0.0
    in_fours = n // 4 * 4
    for t in range(0, in_fours, 4):
        z0, z1, z2, z3 = z[t], z[t + 1], z[t + 2], z[t + 3]
        r0, r1, r2, r3 = y[t] - y_mean, y[t + 1] - y_mean, y[t + 2] - y_mean, y[t + 3] - y_mean
        for j in range(k):
            out[j] += (z0[j] * r0 + z1[j] * r1) + (z2[j] * r2 + z3[j] * r3)
    for t in range(in_fours, n):
        r = y[t] - y_mean
        for j in range(k):
            out[j] += z[t, j] * r
    for j in range(k):
        out[j] /= n


@kernel
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


@kernel
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


@kernel
def slopes(penalty, products, right, coef, slope):
    """right - (products + penalty) coef: the downward slope of the objective along each coordinate."""
    for j in range(coef.shape[0]):
        s = right[j] - penalty[j] * coef[j]
        for i in range(coef.shape[0]):
            s -= products[j, i] * coef[i]
        slope[j] = s


@kernel
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


@kernel
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


@kernel
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


@kernel
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


@kernel
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


@kernel
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


@kernel
def bound_trend(x, n, trend_column, lower, upper):
    """Robyn's exception: a trend that sums to a negative value over the training rows has coefficient in [-1, 0]."""
    if trend_column < 0:
        return
    total = 0.0
    for t in range(n):
        total += x[t, trend_column]
    lower[trend_column] = -1.0 if total < 0.0 else 0.0
    upper[trend_column] = 0.0 if total < 0.0 else 1.0


@kernel
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
    mean, scale, nothing = np.empty(k), np.empty(k), np.empty(0)
    z = np.empty((rows_in_fours(n), k))
    covariance, products = np.empty((k, k)), np.empty((k, k))
    correlation, work = np.empty(k), np.empty((5, k))
    active = np.empty(k, dtype=np.int64)
    low, high = lower.copy(), upper.copy()
    bound_trend(x, n, trend_column, low, high)
    moments(x, outcomes[0], n, mean, scale)
    standardise(x, n, mean, scale, z)
    gram(z, n, covariance)
    for b in range(outcomes.shape[0]):
        y_mean, y_sd = moments(x[:n, :0], outcomes[b], n, nothing, nothing)
        correlations(z, outcomes[b], n, y_mean, correlation)
        intercepts[b], statuses[b], _ = solve_with_intercept_rule(
            solver, intercept_rule, mean, scale, y_mean, y_sd, covariance, correlation, ridge_penalty,
            penalty, low, high, work, products, active, coefs[b],
        )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- metrics


@kernel
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


@kernel
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


@kernel
def take_apart(x, coef, intercept, contribution, fitted):
    """contribution (K,): sum of each column's part over the rows; fitted (W,): intercept plus all parts of a row."""
    n, k = x.shape
    for j in range(k):
        contribution[j] = 0.0
    in_fours = n // 4 * 4
    for t in range(0, in_fours, 4):
        x0, x1, x2, x3 = x[t], x[t + 1], x[t + 2], x[t + 3]
        fitted0 = fitted1 = fitted2 = fitted3 = intercept
        for j in range(k):
            b = coef[j]
            part0, part1, part2, part3 = x0[j] * b, x1[j] * b, x2[j] * b, x3[j] * b
            contribution[j] += (part0 + part1) + (part2 + part3)
            fitted0 += part0
            fitted1 += part1
            fitted2 += part2
            fitted3 += part3
        fitted[t], fitted[t + 1], fitted[t + 2], fitted[t + 3] = fitted0, fitted1, fitted2, fitted3
    for t in range(in_fours, n):
        fitted[t] = intercept
        for j in range(k):
            part = x[t, j] * coef[j]
            contribution[j] += part
            fitted[t] += part


@kernel
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


@kernel
def roas_change(contribution, first_paid, n_paid, reference):
    """Mean square over paid media of the change of contribution per spend, in units of each channel's scale."""
    squares = 0.0
    for i in range(n_paid):
        d = contribution[first_paid + i] / reference.spend[i] - reference.roas[i]
        squares += d * d / (1.0 + (d / LARGEST_CHANGE) ** 2)
    return squares / n_paid


@kernel
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


@kernel
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


@kernel
def study_error(predicted, studies):
    """Weighted mean of |predicted - estimate| / |estimate|; 0 without studies."""
    error = 0.0
    for s in range(predicted.shape[0]):
        estimate = studies.estimate[s]
        error += studies.error_weights[s] * abs(predicted[s] - estimate) / abs(estimate)
    return error


# --------------------------------------------------------------------------------------------------------- candidate


@kernel
def transform_media(
    kind,
    design,
    first_media,
    start,
    stop,
    media,
    weights,
    series,
    work,
    saturated,
    x,
    inflexion,
    adstocked,
    own_weight,
):
    """Adstock on all rows, cut to the window, Hill; into the media columns of x.

    media (M, 4) holds alpha, gamma, then theta or (shape, scale). design (K, T) is the raw table by column.
    """
    n_window, n_media = stop - start, media.shape[0]
    at_once = n_media // 4 * 4 if kind == GEOMETRIC else 0
    for m in range(0, at_once, 4):
        raw = design[first_media + m : first_media + m + 4]
        geometric_in_window(raw, media[m : m + 4, 2], start, stop, adstocked[m : m + 4])
        own_weight[m : m + 4] = 1.0
    for m in range(at_once, n_media):
        own_weight[m] = adstock(kind, design[first_media + m], media[m, 2], media[m, 3], weights, series)
        adstocked[m] = series[start:stop]
    for m in range(n_media):
        inflexion[m] = media[m, 1] * largest(adstocked[m])
        hill_series(adstocked[m], media[m, 0], inflexion[m], work, saturated)
        for t in range(n_window):
            x[t, first_media + m] = saturated[t]


@kernel
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
    mean, scale, z = np.empty(k), np.empty(k), np.empty((rows_in_fours(n_window), k))
    covariance, products = np.empty((k, k)), np.empty((k, k))
    correlation, work = np.empty(k), np.empty((5, k))
    active = np.empty(k, dtype=np.int64)
    low, high = lower.copy(), upper.copy()
    weights, series, fitted = np.empty((4, n_rows)), np.empty(n_rows), np.empty(n_window)
    inflexion, own_weight = np.empty(n_media), np.empty(n_media)
    adstocked, saturated, hill_work = (
        np.empty((n_media, n_window)),
        np.empty(n_window),
        np.empty((2, n_window)),
    )
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
            hill_work,
            saturated,
            x,
            inflexion,
            adstocked,
            own_weight,
        )
        n = n_train[c]
        bound_trend(x, n, trend_column, low, high)
        y_mean, y_sd = moments(x, y, n, mean, scale)
        standardise(x, n, mean, scale, z)
        gram(z, n, covariance)
        correlations(z, y, n, y_mean, correlation)
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


# ------------------------------------------------------------------------------------------------------------ search


@kernel
def bounce(position):
    """A position outside [0, 1] thrown back from the border that it crossed; from far away it sticks to the other."""
    if position < 0.0:
        return min(-position, 1.0)
    if position > 1.0:
        return max(2.0 - position, 0.0)
    return position


@kernel
def two_of(n, first, second):
    """Two different numbers below n from two uniform ones."""
    a = min(int(first * n), n - 1)
    b = min(int(second * (n - 1)), n - 2)
    return a, b + 1 if b >= a else b


@kernel
def propose(parents, population, n_population, is_on_front, front, n_front, weight, chance, out):
    """Children of ``parents`` (N,), rows of population (P, D), into out (N, D): see ``evolution.TwoPointsEvolution``.

    front (F, D) holds n_front points, chance (N, 6) uniform numbers.
    """
    dimension = population.shape[1]
    for c in range(parents.shape[0]):
        parent = population[parents[c]]
        if n_front > 2:
            a, b = two_of(n_front, chance[c, 0], chance[c, 1])
            one, other = front[a], front[b]
        else:
            a, b = two_of(n_population, chance[c, 0], chance[c, 1])
            one, other = population[a], population[b]
        best = parent
        if n_front > 0 and not is_on_front[parents[c]]:
            best = front[min(int(chance[c, 2] * n_front), n_front - 1)]
        first, last = two_of(dimension + 1, chance[c, 3], chance[c, 4])
        if first > last:
            first, last = last, first
        is_inside = chance[c, 5] < 0.5 or (first == 0 and last == dimension)
        for d in range(dimension):
            out[c, d] = parent[d]
            if (first <= d < last) == is_inside:
                out[c, d] = bounce(parent[d] + weight * (one[d] - other[d]) + weight * (best[d] - parent[d]))


@kernel
def enter_front(point, losses, front, front_losses, n_front):
    """Add a point to the front unless another is as good in every loss; those it beats leave. Returns (size, entered).

    front (F, D) and front_losses (F, L) have room for one more.
    """
    kept, n_losses = 0, losses.shape[0]
    for i in range(n_front):
        is_no_better, is_no_worse = True, True
        for j in range(n_losses):
            is_no_better &= losses[j] >= front_losses[i, j]
            is_no_worse &= losses[j] <= front_losses[i, j]
        if is_no_better:  # then it beats nobody, and nobody has left
            return n_front, False
        if not is_no_worse:
            front[kept], front_losses[kept] = front[i], front_losses[i]
            kept += 1
    front[kept], front_losses[kept] = point, losses
    return kept + 1, True


@kernel
def succeed(
    parents, points, losses, weights, chance, population, population_losses, front, front_losses, n_front
):
    """Children (N, D) with their losses take their parents' places, in order. Returns the size of the front.

    A child replaces its parent with the probability that is the weight of the losses in which it is better, weights
    (L,) summing to 1; a point without losses yet (infinite) is always replaced.
    """
    for c in range(parents.shape[0]):
        n_front, _ = enter_front(points[c], losses[c], front, front_losses, n_front)
        parent, better = parents[c], 0.0
        for j in range(weights.shape[0]):
            if losses[c, j] < population_losses[parent, j]:
                better += weights[j]
        if chance[c] < better:
            population[parent], population_losses[parent] = points[c], losses[c]
    return n_front


@kernel
def mark_front(population_losses, front_losses, n_front, is_on_front):
    """Which members of the population are on the front: the front has their losses."""
    for i in range(population_losses.shape[0]):
        is_on_front[i] = False
        for f in range(n_front):
            same = True
            for j in range(population_losses.shape[1]):
                same &= population_losses[i, j] == front_losses[f, j]
            if same:
                is_on_front[i] = True
                break


# ------------------------------------------------------------------------------------------------------------ fronts


@kernel
def rank_fronts(x, y, newest, front):
    """Front number, from 1, of points sorted by x, then y; newest (N,) is overwritten. See ``pareto.fronts``."""
    n_fronts = 0
    for i in range(x.shape[0]):
        low, high = 0, n_fronts
        while low < high:
            middle = (low + high) // 2
            if y[i] < newest[middle]:
                high = middle
            else:
                low = middle + 1
        newest[low] = y[i]
        n_fronts = max(n_fronts, low + 1)
        # Copies follow one another and the first of them lies on the lowest front.
        is_copy = i > 0 and x[i] == x[i - 1] and y[i] == y[i - 1]
        front[i] = front[i - 1] if is_copy else low + 1
