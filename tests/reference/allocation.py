"""Responses and plans as a student would compute them: adstock anew for every spend, every plan of a grid."""

from __future__ import annotations

import itertools
import math

from tests.reference.candidate import adstock, hill


def planned_exposure(exposure, spend, rows, planned, flighting):
    """Exposures of all periods when those of ``rows`` cost ``planned`` instead of what they did."""
    start, stop = rows
    spent, exposed = sum(spend[start:stop]), sum(exposure[start:stop])
    changed = list(exposure)
    for t in range(start, stop):
        flat = exposed / (stop - start)
        changed[t] = (exposure[t] if flighting == "historical" else flat) * planned / spent
    return changed


def response(exposure, rows, kind, parameters, alpha, inflexion, coef):
    """KPI of the periods of ``rows`` with these exposures of all periods."""
    carried, _ = adstock(kind, exposure, parameters)
    return sum(coef * hill(z, alpha, inflexion) for z in carried[slice(*rows)])


def mean_carryover(exposure, window, kind, parameters):
    """Mean over the window of adstock less its immediate part."""
    carried, own_weight = adstock(kind, exposure, parameters)
    start, stop = window
    return sum(carried[t] - own_weight * exposure[t] for t in range(start, stop)) / (stop - start)


def best_plan_on_grid(functions, lower, upper, budget, n_points):
    """(spends, response) of the best plan that spends the budget, the last channel taking what the others leave."""
    axes = [
        [low + (high - low) * i / (n_points - 1) for i in range(n_points)]
        for low, high in zip(lower[:-1], upper[:-1], strict=True)
    ]
    best, best_response = None, -math.inf
    for others in itertools.product(*axes):
        plan = (*others, budget - sum(others))
        if lower[-1] <= plan[-1] <= upper[-1]:
            total = sum(f(x) for f, x in zip(functions, plan, strict=True))
            if total > best_response:
                best, best_response = plan, total
    return best, best_response


def best_efficient_plan_on_grid(functions, lower, upper, rate, n_points):
    """(spends, response) of the best plan of the grid whose response is at least rate * spend."""
    axes = [
        [low + (high - low) * i / (n_points - 1) for i in range(n_points)]
        for low, high in zip(lower, upper, strict=True)
    ]
    best, best_response = None, -math.inf
    for plan in itertools.product(*axes):
        total = sum(f(x) for f, x in zip(functions, plan, strict=True))
        if total >= rate * sum(plan) and total > best_response:
            best, best_response = plan, total
    return best, best_response


def plans_of_grid(functions, lower, upper, n_points):
    """(spend, response) of every plan of a grid."""
    axes = [
        [(x, f(x)) for x in (low + (high - low) * i / (n_points - 1) for i in range(n_points))]
        for f, low, high in zip(functions, lower, upper, strict=True)
    ]
    for plan in itertools.product(*axes):
        yield sum(x for x, _ in plan), sum(y for _, y in plan)


def least_spend_on_grid(functions, lower, upper, wanted, n_points):
    """Spend of the cheapest plan of the grid whose response is at least the wanted one."""
    plans = plans_of_grid(functions, lower, upper, n_points)
    return min(spend for spend, response in plans if response >= wanted)


def largest_net_on_grid(functions, lower, upper, rate, n_points):
    """Largest response less rate * spend of a plan of the grid."""
    return max(
        response - rate * spend for spend, response in plans_of_grid(functions, lower, upper, n_points)
    )
