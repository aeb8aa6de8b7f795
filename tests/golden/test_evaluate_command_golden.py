"""``mmm evaluate`` on a spec of Robyn's demo: every candidate of every golden set, calibrated ones too, to 1e-9.

The table is Robyn's own dt_mod (Prophet's columns given as ``precomputed``) with the raw spends of the demo beside it.
Provenance of the numbers: ``golden_data``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from runner.commands.evaluate import run as evaluate
from runner.tables import read_table
from tests.golden import robyn_names
from tests.golden.golden_data import (
    BASELINE,
    CONTEXT,
    ORGANIC,
    PAID,
    PAID_SPENDS,
    SETS,
    golden_table,
    needs_golden,
)

pytestmark = needs_golden
CLOSE = dict(rtol=1e-9, atol=0)
# Our names of the channels are their spends' without a suffix; everything else keeps its own.
CHANNELS = dict(zip(PAID, ("tv", "ooh", "print", "facebook", "search"), strict=True))


def write_inputs(folder: Path, draws: str) -> Path:
    """Table, studies and spec of a set; the path of the spec."""
    table = golden_table("inputs/dt_mod_exposure").rename(columns={"dep_var": "revenue"})
    spends = golden_table("inputs/dt_mod_spend")
    for spend in PAID_SPENDS:
        table[spend] = spends[spend]
    table.to_csv(folder / "dt_mod.csv", index=False)
    changes = SETS[draws]
    spec = {
        "name": draws,
        "data": {"path": "dt_mod.csv", "date": "ds"},
        "outcome": {"column": "revenue", "kind": "revenue"},
        "window": {"start": "2016-01-04", "end": "2018-12-31"},
        "channels": [
            {
                "name": CHANNELS[modelled],
                "spend": spend,
                **({"exposure": modelled} if modelled != spend else {}),
            }
            for modelled, spend in zip(PAID, PAID_SPENDS, strict=True)
        ],
        "organic": list(ORGANIC),
        "context": list(CONTEXT),
        "baseline": {"precomputed": list(BASELINE)},
        "adstock": changes.get("adstock", "geometric"),
        "validation": {"time_series": changes.get("time_series_validation", False)},
        "penalty_factors": changes.get("penalty_factors", False),
        "intercept": changes.get("intercept", "non_negative"),
    }
    if draws == "calib":
        golden_table("inputs/calib_calibration_input").to_csv(folder / "studies.csv", index=False)
        spec["calibration"] = {"path": "studies.csv", "convention": "robyn"}
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def our_name(name: str) -> str:
    """``tv_S_thetas`` as ``tv_theta``."""
    predictor, _, parameter = name.rpartition("_")
    predictor = CHANNELS.get(predictor, predictor)
    return f"{predictor}_{parameter if parameter == 'penalty' else parameter.removesuffix('s')}"


def candidates_of(draws: str) -> pd.DataFrame:
    """The hyperparameters of a set under our names."""
    robyn = golden_table(f"draws/{draws}_hyper_and_errors")
    media = {
        f"{m}_{p}" for m in (*PAID, *ORGANIC) for p in ("alphas", "gammas", "thetas", "shapes", "scales")
    }
    wanted = [c for c in robyn.columns if c in media or c.endswith("_penalty")]
    renamed = robyn[wanted].rename(columns=our_name)
    return renamed.assign(train_size=robyn["train_size"], lambda_hp=robyn["lambda_hp"])


@pytest.mark.parametrize("draws", SETS)
def test_the_command_gives_robyns_numbers(draws, tmp_path):
    candidates_of(draws).to_csv(tmp_path / "candidates.csv", index=False)
    evaluate(
        write_inputs(tmp_path, draws), candidates=tmp_path / "candidates.csv", out=tmp_path / "out.parquet"
    )
    found = read_table(tmp_path / "out.parquet").to_pandas()
    robyn = golden_table(f"draws/{draws}_hyper_and_errors")
    for ours, theirs in robyn_names.LOSSES.items():
        np.testing.assert_allclose(found[ours], robyn[theirs].astype(float), **CLOSE, err_msg=ours)
    np.testing.assert_allclose(found["lambda"], robyn[robyn_names.PENALTY], **CLOSE)
    decomposition = golden_table(f"draws/{draws}_decomp").pivot(
        index=robyn_names.CANDIDATE, columns=robyn_names.PREDICTOR
    )
    for quantity in ("coef", "contribution"):
        table = decomposition[robyn_names.DECOMPOSITION[quantity]].reindex(robyn[robyn_names.CANDIDATE])
        for predictor in (*BASELINE, *CONTEXT, *PAID, *ORGANIC):
            own = f"{quantity}_{CHANNELS.get(predictor, predictor)}"
            expected = table[predictor].fillna(0.0) if predictor in table else 0.0
            np.testing.assert_allclose(found[own], expected, **CLOSE, err_msg=own)
