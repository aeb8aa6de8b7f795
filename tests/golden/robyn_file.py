"""Model files as ``robyn_write`` of R Robyn 3.12.1 writes them, made by hand from its golden tables.

Layout: robyn-method section 23. Every scalar is an array of one, numbers have ten decimals, unknown ones are left out.
Values are those of R: hyperparameters, penalty, coefficients, contributions and losses of the draws, the raw data of
the demo. ``performance``, ``mean_spend`` and ``mean_response`` are Robyn's own, wrong ones (section 21, 5).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from tests.golden import robyn_names
from tests.golden.golden_data import (
    COLUMNS,
    CONTEXT,
    GOLDEN,
    ORGANIC,
    PAID,
    PAID_SPENDS,
    SETS,
    WINDOW,
    golden_table,
)

DATA = GOLDEN.parents[1] / "data"
DEMO, HOLIDAYS = DATA / "dt_simulated_weekly.csv", DATA / "dt_prophet_holidays.csv"
DT_MOD = GOLDEN / "inputs" / "dt_mod_exposure.csv"
RANGES = {"alphas": [0.5, 3], "gammas": [0.3, 1], "shapes": [0.0001, 10], "scales": [0, 0.1]}
THETAS = {
    "facebook_I": [0, 0.3],
    "print_S": [0.1, 0.4],
    "tv_S": [0.3, 0.8],
    "search_clicks_P": [0, 0.3],
    "ooh_S": [0.1, 0.4],
    "newsletter": [0.1, 0.4],
}


def rounded(value: Any, digits: int | None) -> Any:
    """Plain JSON as R would write it: so many decimals (None for all), nothing where nothing is known."""
    if isinstance(value, dict):
        known = {k: v for k, v in value.items() if not (isinstance(v, float) and math.isnan(v))}
        return {k: rounded(v, digits) for k, v in known.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v, digits) for v in value]
    if isinstance(value, float):
        return float(value) if digits is None else round(float(value), digits)
    return value.item() if hasattr(value, "item") else value


def demo_rows() -> list[dict[str, Any]]:
    """Extras.raw_data of the demo."""
    return pd.read_csv(DEMO, keep_default_na=False).to_dict("records")


def hyper_ranges(adstock: str, media: tuple[str, ...], *, is_validated: bool) -> dict[str, Any]:
    names = ("alphas", "gammas", *(("thetas",) if adstock == "geometric" else ("shapes", "scales")))
    ranges = {f"{m}_{name}": THETAS[m] if name == "thetas" else RANGES[name] for m in media for name in names}
    return {**ranges, **({"train_size": [0.5, 0.8]} if is_validated else {})}


def robyn_tree(draws: str, candidate: str | None = None, digits: int | None = 10) -> dict[str, Any]:
    """The file of one model of a golden set as plain data, with R's ten decimals or all of them."""
    changes = SETS[draws]
    table = golden_table(f"draws/{draws}_hyper_and_errors").set_index(robyn_names.CANDIDATE)
    candidate = candidate or str(table.index[0])
    row = table.loc[candidate]
    decomposition = golden_table(f"draws/{draws}_decomp")
    decomposition = decomposition[decomposition[robyn_names.CANDIDATE] == candidate].set_index(
        robyn_names.PREDICTOR
    )
    adstock = changes.get("adstock", "geometric")
    is_validated = changes.get("time_series_validation", False)
    ranges = hyper_ranges(adstock, (*PAID, *ORGANIC), is_validated=is_validated)
    hyper = [name for name in table.columns if name in ranges or name.endswith("_penalty")]
    names = sorted([*hyper, "lambda", "train_size"])
    return rounded(
        {
            "InputCollect": input_collect(draws, adstock, ranges),
            "ModelsCollect": {
                "ts_validation": [is_validated],
                "train_timestamp": ["2025-07-10 10:11:12"],
                "export_timestamp": ["2025-07-10 10:21:12"],
                "run_time": ["1.21 min"],
                "total_iters": [700],
                "conv_msg": ["DECOMP.RSSD NOT converged", "NRMSE converged"],
                "n_clusters": [3],
                "calibration_constraint": [0.1],
                "cores": [1],
                "iterations": [700],
                "trials": [1],
                "intercept": [True],
                "intercept_sign": [changes.get("intercept", "non_negative")],
                "nevergrad_algo": ["TwoPointsDE"],
                "add_penalty_factor": [changes.get("penalty_factors", False)],
                "seed": [123],
                "pareto_fronts": [3],
                "hyper_fixed": [False],
                "plot_folder": ["~/Desktop/Robyn_202507101011_init/"],
            },
            "ExportedModel": {
                "select_model": [candidate],
                "performance": [{"solID": candidate, "metric": "ROAS", "performance": 18.08}],
                "summary": summary(decomposition),
                "errors": [{theirs: float(row[theirs]) for theirs in robyn_names.LOSSES.values()}],
                "hyper_values": {name: [float(row[name])] for name in names},
                "hyper_updated": {**ranges, "lambda": [0, 1]},
                "clusters": {"data": [{"solID": candidate, "cluster": 2, "n": 31}]},
            },
            "Extras": {"raw_data": demo_rows()},
        },
        digits,
    )


def input_collect(draws: str, adstock: str, ranges: dict[str, Any]) -> dict[str, Any]:
    studies = golden_table("inputs/calib_calibration_input").to_dict("records") if draws == "calib" else {}
    return {
        "date_var": ["DATE"],
        "dayInterval": [7],
        "intervalType": ["week"],
        "dep_var": ["revenue"],
        "dep_var_type": ["revenue"],
        "prophet_vars": ["trend", "season", "holiday"],
        "prophet_signs": ["default"] * 3,
        "prophet_country": ["DE"],
        "context_vars": list(CONTEXT),
        "context_signs": ["default"] * 2,
        "paid_media_vars": list(PAID),
        "paid_media_signs": ["positive"] * 5,
        "paid_media_spends": list(PAID_SPENDS),
        "paid_media_selected": list(PAID),
        "exposure_vars": ["facebook_I", "search_clicks_P"],
        "organic_vars": list(ORGANIC),
        "organic_signs": ["positive"],
        "all_media": [*PAID, *ORGANIC],
        "all_ind_vars": list(COLUMNS),
        "factor_vars": ["events"],
        "unused_vars": [],
        "window_start": ["2016-01-04"],
        "rollingWindowStartWhich": [WINDOW[0] + 1],
        "window_end": ["2018-12-31"],
        "rollingWindowEndWhich": [WINDOW[1]],
        "rollingWindowLength": [157],
        "totalObservations": [208],
        "refreshAddedStart": ["2016-01-04"],
        "adstock": [adstock],
        "hyperparameters": ranges,
        "calibration_input": studies,
        "custom_params": [],
        "version": ["Robyn (stable) v3.12.1 [R-4.2.2]"],
    }


def summary(decomposition: pd.DataFrame) -> list[dict[str, Any]]:
    """ExportedModel.summary; what is divided by all rows there is divided by all rows here."""
    spends = pd.read_csv(DEMO)[list(PAID_SPENDS)].sum()
    rows = []
    for predictor in ("(Intercept)", *COLUMNS):
        if predictor not in decomposition.index:
            continue
        own = decomposition.loc[predictor]
        row = {
            "variable": predictor,
            "coef": float(own["coef"]),
            "decompPer": float(own["xDecompPerc"]),
            "decompAgg": float(own["xDecompAgg"]),
        }
        if predictor in PAID:
            spend = float(spends[PAID_SPENDS[PAID.index(predictor)]])
            row |= {
                "performance": row["decompAgg"] / spend,
                "mean_response": row["decompAgg"] / 208,
                "mean_spend": spend / 208,
            }
        rows.append(row)
    return rows


def write_robyn(folder: Path, tree: dict[str, Any]) -> Path:
    """The file under the name that Robyn gives it."""
    name = tree["ExportedModel"]["select_model"][0] if "ExportedModel" in tree else "inputs"
    path = folder / f"RobynModel-{name}.json"
    path.write_text(json.dumps(tree, indent=2), encoding="utf-8")
    return path


def unboxed(value: Any) -> Any:
    """The same file by a writer that leaves scalars bare (jsonlite's auto_unbox)."""
    if isinstance(value, dict):
        return {key: unboxed(entry) for key, entry in value.items()}
    if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], dict):
        return value[0]
    return [unboxed(entry) for entry in value] if isinstance(value, list) else value
