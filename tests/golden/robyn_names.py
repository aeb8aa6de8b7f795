"""Robyn 3.12.1's own column names beside ours; they stand nowhere else in the tests."""

from __future__ import annotations

CANDIDATE = "solID"
PREDICTOR = "rn"
INTERCEPT = "(Intercept)"
PENALTY = "lambda"
LARGEST_PENALTY = "lambda_max"
SMALLEST_PENALTY_RATIO = "lambda_min_ratio"

# ours: Robyn's, in DRAWS_hyper_and_errors
LOSSES = {
    "nrmse": "nrmse",
    "nrmse_train": "nrmse_train",
    "nrmse_val": "nrmse_val",
    "nrmse_test": "nrmse_test",
    "decomp_rssd": "decomp.rssd",
    "mape": "mape",
    "rsq_train": "rsq_train",
    "rsq_val": "rsq_val",
    "rsq_test": "rsq_test",
}

# ours: Robyn's, in DRAWS_decomp
DECOMPOSITION = {
    "coef": "coef",
    "contribution": "xDecompAgg",
    "effect_share": "effect_share",
    "spend_share": "spend_share",
    "total_spend": "total_spend",
}

# ours: Robyn's, in its calibration input and in DRAWS_lift
STUDY = {
    "channel": "channel_selected",
    "start": "liftStartDate",
    "end": "liftEndDate",
    "estimate": "liftAbs",
    "scope": "calibration_scope",
    "media": "liftMedia",
    "predicted": "decompAbsScaled",
    "total": "decompAbsTotalScaled",
    "error": "mape_lift",
}


def inflexion(medium: str) -> str:
    """Column of a medium's inflexion."""
    return f"{medium}_inflexion"
