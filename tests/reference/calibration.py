"""Lift studies as a student would check them: days counted one by one, media switched off and on again.

A study is a ``mmm_core.calibration.LiftStudy``; the problem is one of ``mmm_core`` and periods are given by their last
days. The candidate itself has its slow twin in ``candidate``.
"""

from __future__ import annotations

import numpy as np

from tests.reference.candidate import adstock, hill, saturate

DAY = np.timedelta64(1, "D")


def days_of(first, last):
    """Every day from first to last, both included."""
    return [first + i * DAY for i in range((last - first) // DAY + 1)]


def row_weights(study, dates, last_days):
    """Share of each period's days that lie in the study."""
    inside = set(days_of(study.start, study.end))
    periods = [days_of(*period) for period in zip(dates, last_days, strict=True)]
    return [sum(day in inside for day in period) / len(period) for period in periods]


def robyn_rows(study, dates):
    """Positions of the dates in the study, with the one before where the study does not start on a date."""
    rows = [t for t, day in enumerate(dates) if study.start <= day <= study.end]
    return rows if study.start in list(dates) else [rows[0] - 1, *rows]


def medium(problem, hyperparameters, name):
    """(raw exposure, adstock parameters, alpha, inflexion) of one medium."""
    raw = problem.design[problem.columns.index(name)].tolist()
    parameters = [hyperparameters[f"{name}_{p}"] for p in problem.adstock.parameters]
    carried = adstock(str(problem.adstock), raw, parameters)[0][problem.start : problem.stop]
    alpha = hyperparameters[f"{name}_alpha"]
    return raw, parameters, alpha, saturate(carried, alpha, hyperparameters[f"{name}_gamma"])[1]


def correct(problem, hyperparameters, coefs, study, last_days):
    """Prediction in the correct convention; coefs by name. Immediate: what is missing when the media are off."""
    weights = row_weights(study, problem.dates, last_days)
    rows = [t for t, weight in enumerate(weights) if weight > 0]
    total = 0.0
    for name in study.channels:
        raw, parameters, alpha, inflexion = medium(problem, hyperparameters, name)
        switched_off = [0.0 if t in rows else x for t, x in enumerate(raw)]
        on = adstock(str(problem.adstock), raw, parameters)[0]
        off = adstock(str(problem.adstock), switched_off, parameters)[0]
        for t in rows:
            effect = hill(on[t], alpha, inflexion)
            if study.scope == "immediate":
                effect -= hill(off[t], alpha, inflexion)
            total += weights[t] * coefs[name] * effect
    return total


def robyn(problem, hyperparameters, coefs, study):
    """Prediction in Robyn's convention: adstock of the study's rows alone, days as differences of dates."""
    rows = robyn_rows(study, problem.dates)
    total = 0.0
    for name in study.channels:
        raw, parameters, alpha, inflexion = medium(problem, hyperparameters, name)
        whole = adstock(str(problem.adstock), raw, parameters)[0]
        own = adstock(str(problem.adstock), [raw[t] for t in rows], parameters)[0]
        for i, t in enumerate(rows):
            effect = hill(whole[t], alpha, inflexion)
            if study.scope == "immediate":
                effect -= hill(max(whole[t] - own[i], 0.0), alpha, inflexion)
            total += coefs[name] * effect
    between = (problem.dates[rows[-1]] - problem.dates[rows[0]]) // DAY
    return total / between * ((study.end - study.start) // DAY)


def mape(predicted, estimates, standard_errors):
    """Mean of the percentage errors, each weighted by |estimate| / standard error where that is known."""
    known = [abs(e) / se for e, se in zip(estimates, standard_errors, strict=True) if se == se]
    middle = float(np.median(known)) if known else 1.0
    weights = [abs(e) / se if se == se else middle for e, se in zip(estimates, standard_errors, strict=True)]
    errors = [abs(p - e) / abs(e) for p, e in zip(predicted, estimates, strict=True)]
    return sum(w * e for w, e in zip(weights, errors, strict=True)) / sum(weights)
