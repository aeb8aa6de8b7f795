"""A whole candidate as a student would write it: loops over lists, one formula after another, nothing precomputed.

The order is the method's own: adstock on all rows, cut to the window, Hill, split, ridge, decomposition, losses.
The ridge has its own slow twin in ``ridge``.
"""

from __future__ import annotations

import math

from tests.reference.ridge import bounded_ridge

# ---------------------------------------------------------------------------------------------------------- adstock


def geometric(exposure, theta):
    """out[t] = x[t] + theta * x[t-1] + theta^2 * x[t-2] + ..."""
    return [sum(theta**lag * exposure[t - lag] for lag in range(t + 1)) for t in range(len(exposure))]


def scale_in_periods(n, scale):
    """Type-7 quantile of 1..n, rounded half to even."""
    return round(1 + (n - 1) * scale)


def weibull_cdf_weights(n, shape, scale):
    """w[0] = 1; w[k] = product over i = 1..k of the probability to survive i periods."""
    if shape == 0 or scale == 0:
        return [1.0] + [0.0] * (n - 1)
    s = scale_in_periods(n, scale)
    survival = [math.exp(-((k / s) ** shape)) for k in range(n)]
    survival[0] = 1.0
    return [math.prod(survival[: k + 1]) for k in range(n)]


def weibull_pdf_weights(n, shape, scale):
    """Density at 1..n, scaled so that the smallest becomes 0 and the largest 1."""
    only_now = [1.0] + [0.0] * (n - 1)
    if shape == 0 or scale == 0:
        return only_now
    s = scale_in_periods(n, scale)
    density = [shape / s * (k / s) ** (shape - 1) * math.exp(-((k / s) ** shape)) for k in range(1, n + 1)]
    low, high = min(density), max(density)
    return only_now if high == low else [(d - low) / (high - low) for d in density]


def carry(exposure, weights):
    """out[t] = sum over lags of weights[lag] * exposure[t - lag]."""
    return [sum(weights[lag] * exposure[t - lag] for lag in range(t + 1)) for t in range(len(exposure))]


def adstock(kind, exposure, parameters):
    """(adstocked exposure, weight of the own period); parameters are (theta,) or (shape, scale)."""
    if kind == "geometric":
        return geometric(exposure, *parameters), 1.0
    weights_of = {"weibull_cdf": weibull_cdf_weights, "weibull_pdf": weibull_pdf_weights}[kind]
    weights = weights_of(len(exposure), *parameters)
    return carry(exposure, weights), weights[0]


# ------------------------------------------------------------------------------------------------------- saturation


def hill(z, alpha, inflexion):
    """z^alpha / (z^alpha + inflexion^alpha)."""
    return z**alpha / (z**alpha + inflexion**alpha) if z > 0 else 0.0


def saturate(adstocked, alpha, gamma):
    """(saturated, inflexion): the inflexion is a share gamma of the largest value."""
    inflexion = gamma * max(adstocked)
    return [hill(z, alpha, inflexion) for z in adstocked], inflexion


# ---------------------------------------------------------------------------------------------------- split and lambda


def split(n_window, train_size):
    """(rows that train, rows that validate); the rest tests."""
    if train_size == 1:
        return n_window, 0
    return math.floor(1 + (n_window - 1) * train_size), math.floor((1 - train_size) / 2 * n_window)


def lambda_range(columns, outcome):
    """(lambda_min, lambda_max) from the raw columns over all rows."""
    n, largest = len(outcome), 0.0
    for column in columns:
        if max(column) > min(column):
            mean = sum(column) / n
            sd = math.sqrt(sum((v - mean) ** 2 for v in column) / n)
            product = sum((v - mean) / sd * y for v, y in zip(column, outcome, strict=True))
            largest = max(largest, abs(product))
    top = 0.1 * largest / (0.001 * n)
    return 0.0001 * top, top


# ----------------------------------------------------------------------------------------------------------- losses


def nrmse(actual, fitted):
    """Root mean squared error over the range of the actual values."""
    mse = sum((a - f) ** 2 for a, f in zip(actual, fitted, strict=True)) / len(actual)
    spread = max(actual) - min(actual)
    return math.sqrt(mse) / spread if spread > 0 else math.inf


def adjusted_r2(actual, fitted, n_train, n_columns, df_intercept):
    """Adjusted with the number of TRAINING rows, whatever part the rows are from."""
    mean = sum(actual) / len(actual)
    sse = sum((a - f) ** 2 for a, f in zip(actual, fitted, strict=True))
    sst = sum((a - mean) ** 2 for a in actual)
    freedom = n_train - n_columns - 1
    if sst == 0 or freedom == 0:
        return math.nan
    return 1 - sse / sst * (n_train - df_intercept) / freedom


def decomp_rssd(contributions, spends, zero_penalty):
    """(DecompRSSD, effect shares) of the paid channels."""
    effect, spend = sum(contributions), sum(spends)
    if effect == 0:
        return math.inf, [0.0] * len(contributions)
    shares = [c / effect for c in contributions]
    distance = math.sqrt(sum((e - s / spend) ** 2 for e, s in zip(shares, spends, strict=True)))
    zeros = sum(round(e, 4) == 0 for e in shares) / len(shares)
    return distance * (1 + zeros) if zero_penalty else distance, shares


def distance_to_reference(names, roles, contributions, intercept, spends, n_window, reference):
    """How far a refreshed model moved; contributions by column, all sums over the window."""
    total = intercept + sum(contributions)
    if total == 0:
        return math.inf
    before = dict(zip(["intercept", *names], reference.shares.tolist(), strict=True))
    moved = {"intercept": intercept / total - before["intercept"]}
    for name, contribution in zip(names, contributions, strict=True):
        moved[name] = contribution / total - before[name]
    paid = [name for name, role in zip(names, roles, strict=True) if role == "paid"]
    others = [moved[name] ** 2 for name in moved if name not in paid]
    changes = [moved[name] for name in paid]
    if reference.loss == "stable":
        changes = []
        for p, name in enumerate(paid):
            roas = contributions[names.index(name)] / spends[p]
            d = (roas - reference.roas[p]) / reference.scale[p]
            changes.append(d / math.sqrt(1 + (d / 10) ** 2))
    media = math.sqrt(sum(change**2 for change in changes) / len(changes))
    rest = math.sqrt(sum(others) / len(others))
    return media + rest / (1 - reference.periods / n_window)


# --------------------------------------------------------------------------------------------------------- candidate


def fit(rows, y, penalty, lower, upper, factors, rule):
    """(coefs, intercept, degrees of freedom of the intercept) by the intercept rule."""
    if sum(factors) == 0:  # nothing is penalised, so there is nothing to rescale
        penalty, factors = 0.0, [1.0] * len(factors)
    if rule != "none":
        if max(y) == min(y):  # nothing to explain
            coefs, intercept = [0.0] * len(lower), y[0]
        else:
            coefs, intercept = bounded_ridge(rows, y, penalty, lower, upper, factors, "unconstrained")
        if rule == "unconstrained" or intercept >= 0:
            return coefs, intercept, 1
    if not any(y):
        return [0.0] * len(lower), 0.0, 0
    coefs, intercept = bounded_ridge(rows, y, penalty, lower, upper, factors, "none")
    return coefs, intercept, 0


def transform(problem, hyperparameters):
    """(columns over the window with media saturated, {medium: (adstocked, own weight, inflexion)})."""
    columns, media = [], {}
    for name, role, raw in zip(problem.columns, problem.roles, problem.design.tolist(), strict=True):
        series = raw
        if role in ("paid", "organic"):
            parameters = [hyperparameters[f"{name}_{p}"] for p in problem.adstock.parameters]
            series, own_weight = adstock(str(problem.adstock), raw, parameters)
        series = series[problem.start : problem.stop]
        if role in ("paid", "organic"):
            adstocked = series
            alpha, gamma = hyperparameters[f"{name}_alpha"], hyperparameters[f"{name}_gamma"]
            series, inflexion = saturate(adstocked, alpha, gamma)
            media[name] = adstocked, own_weight, inflexion
        columns.append(series)
    return columns, media


def bounds(problem, train_rows):
    """(lower, upper): as given, but a trend that sums to less than nothing over the training rows may only fall."""
    lower, upper = problem.lower.tolist(), problem.upper.tolist()
    for j, (name, role) in enumerate(zip(problem.columns, problem.roles, strict=True)):
        if name == "trend" and role == "baseline":
            falls = sum(row[j] for row in train_rows) < 0
            lower[j], upper[j] = (-1.0, 0.0) if falls else (0.0, 1.0)
    return lower, upper


def losses_by_part(y, fitted, n_train, n_val, n_columns, df_intercept):
    """nrmse and rsq of train, val and test; NaN for a part without rows."""
    n_test = len(y) - n_train - n_val if n_train < len(y) else 0
    losses, first = {}, 0
    for part, rows in (("train", n_train), ("val", n_val), ("test", n_test)):
        a, f = y[first : first + rows], fitted[first : first + rows]
        losses[f"nrmse_{part}"] = nrmse(a, f) if a else math.nan
        losses[f"rsq_{part}"] = adjusted_r2(a, f, n_train, n_columns, df_intercept) if a else math.nan
        first += rows
    losses["nrmse"] = losses["nrmse_val"] if n_val > 0 else losses["nrmse_train"]
    return losses


def carryover(problem, hyperparameters, coefs, media):
    """What the exposure carried over from earlier periods would bring alone, on the steep part of the curve."""
    out = {}
    for name, raw, coef in zip(problem.columns, problem.design.tolist(), coefs, strict=True):
        if name in media:
            adstocked, own_weight, inflexion = media[name]
            carried = [
                max(a - own_weight * x, 0.0)
                for a, x in zip(adstocked, raw[problem.start : problem.stop], strict=True)
            ]
            out[name] = [coef * hill(z, hyperparameters[f"{name}_alpha"], inflexion) for z in carried]
    return out


def candidate(problem, hyperparameters, penalty=None):
    """Everything about one candidate, as a dict; hyperparameters by name, the problem as in ``mmm_core``."""
    columns, media = transform(problem, hyperparameters)
    rows = [list(row) for row in zip(*columns, strict=True)]
    y = problem.outcome.tolist()[problem.start : problem.stop]
    n_train, n_val = split(len(y), hyperparameters["train_size"])
    if penalty is None:
        low, high = lambda_range(problem.design.tolist(), problem.outcome.tolist())
        penalty = low + (high - low) * hyperparameters["lambda_hp"]
    factors = [
        hyperparameters[f"{name}_penalty"] if problem.penalty_factors else 1.0 for name in problem.columns
    ]
    coefs, intercept, df_intercept = fit(
        rows[:n_train],
        y[:n_train],
        penalty,
        *bounds(problem, rows[:n_train]),
        factors,
        str(problem.intercept),
    )
    fitted = [intercept + sum(x * b for x, b in zip(row, coefs, strict=True)) for row in rows]
    by_period = [[x * b for x in column] for column, b in zip(columns, coefs, strict=True)]
    contributions = [sum(series) for series in by_period]
    spends = [sum(spend[problem.start : problem.stop]) for spend in problem.spend.tolist()]
    rssd, effect_shares = decomp_rssd(
        [c for c, role in zip(contributions, problem.roles, strict=True) if role == "paid"],
        spends,
        problem.zero_penalty,
    )
    status = "all_media_zero" if math.isinf(rssd) else "ok"
    if problem.reference is not None:
        rssd = distance_to_reference(
            list(problem.columns),
            problem.roles,
            contributions,
            intercept * len(y),
            spends,
            len(y),
            problem.reference,
        )
    return {
        "penalty": penalty,
        "losses": losses_by_part(y, fitted, n_train, n_val, len(coefs), df_intercept)
        | {"decomp_rssd": rssd, "mape": 0.0, "intercept": intercept},
        "coefs": coefs,
        "contributions": contributions,
        "effect_shares": effect_shares,
        "status": status,
        "fitted": fitted,
        "by_period": by_period,
        "carryover": carryover(problem, hyperparameters, coefs, media),
    }
