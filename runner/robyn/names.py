"""Robyn's names beside ours."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mmm_core.types import Adstock, InterceptRule
from runner.spec import RESERVED_NAMES, Sign

INTERCEPT = "(Intercept)"
PENALTY = "_penalty"
# Robyn's own names for date and outcome in the table that it models, dt_mod.
DATE, OUTCOME = "ds", "dep_var"

# ours: Robyn's, in ``<medium>_alphas``
PARAMETERS = {
    "alpha": "alphas",
    "gamma": "gammas",
    "theta": "thetas",
    "shape": "shapes",
    "scale": "scales",
}
ADSTOCKS = {
    "geometric": Adstock.GEOMETRIC,
    "weibull": Adstock.WEIBULL_CDF,  # an old alias
    "weibull_cdf": Adstock.WEIBULL_CDF,
    "weibull_pdf": Adstock.WEIBULL_PDF,
}
SIGNS: dict[str, Sign] = {"default": "free", "positive": "positive", "negative": "negative"}
ROBYN_SIGNS = {ours: theirs for theirs, ours in SIGNS.items()}

# ours: Robyn's, in ``ExportedModel.errors``
LOSSES = {
    "rsq_train": "rsq_train",
    "rsq_val": "rsq_val",
    "rsq_test": "rsq_test",
    "nrmse_train": "nrmse_train",
    "nrmse_val": "nrmse_val",
    "nrmse_test": "nrmse_test",
    "nrmse": "nrmse",
    "decomp_rssd": "decomp.rssd",
    "mape": "mape",
}

# Arguments of R's prophet() that Python's takes too, by Python's name; R writes dots for underscores.
PROPHET_SETTINGS = (
    "growth",
    "changepoints",
    "n_changepoints",
    "changepoint_range",
    "yearly_seasonality",
    "weekly_seasonality",
    "daily_seasonality",
    "seasonality_mode",
    "seasonality_prior_scale",
    "holidays_prior_scale",
    "changepoint_prior_scale",
    "mcmc_samples",
    "interval_width",
    "uncertainty_samples",
)

# What people append to the name of a channel to say that a column is money.
SPEND_SUFFIXES = ("_S", "_s", "_spend", "_Spend", "_spends", "_cost", "_Cost", "_costs")
SOLUTION = re.compile(r"(\d+)_(\d+)(?:_(\d+))?")


def parameter_name(medium: str, parameter: str) -> str:
    """``tv_S_thetas``: Robyn's name of a medium's hyperparameter."""
    return f"{medium}_{PARAMETERS[parameter]}"


def prophet_setting(name: str) -> str | None:
    """Python's name of an argument of R's prophet(); None where Python has none."""
    ours = name.replace(".", "_")
    return ours if ours in PROPHET_SETTINGS else None


def prophet_argument(name: str) -> str:
    """R's name of a setting of Prophet: ``changepoint_prior_scale`` is changepoint.prior.scale."""
    return name.replace("_", ".")


def channel_names(spends: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Names for channels: the spend column without a suffix that only says that it is money.

    A column keeps its whole name where the short one would be reserved, taken, or that of another channel too.

    Args:
        spends: spend columns. taken: names of other components.
    """
    short = [_without_suffix(column) for column in spends]
    refused = {*RESERVED_NAMES, *taken}
    return [
        name
        if name not in refused and short.count(name) == 1 and (name == column or name not in spends)
        else column
        for name, column in zip(short, spends, strict=True)
    ]


def _without_suffix(column: str) -> str:
    for suffix in SPEND_SUFFIXES:
        if column.endswith(suffix) and len(column) > len(suffix):
            return column.removesuffix(suffix)
    return column


def place_of(solution: str) -> tuple[int, int]:
    """(trial, iteration) of a model of Robyn's, ``3_165_9``: trial 3, step 165, worker 9; (1, 1) of another name."""
    found = SOLUTION.fullmatch(solution)
    return (int(found[1]), int(found[2])) if found else (1, 1)


def solution_of(candidate: str) -> str:
    """``3_120_1``: what Robyn would call our candidate 3_120, which one worker of one would have tried."""
    return f"{candidate}_1"


def intercept_rule(has_intercept: bool, sign: str) -> InterceptRule | None:
    """Our rule for Robyn's two arguments; None for a sign that Robyn does not have."""
    if not has_intercept:
        return InterceptRule.NONE
    try:
        return InterceptRule(sign)
    except ValueError:
        return None


def version_of(text: str) -> tuple[int, ...] | None:
    """(3, 12, 1) of ``Robyn (stable) v3.12.1 [R-4.2.2]``; None where there is no version."""
    found = re.search(r"v?(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in found[1].split(".")) if found else None
