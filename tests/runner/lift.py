"""A simulated panel with known truth, and specs on it that ask for calibration."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mmm_core.simulate import SimulationSettings, simulate_panel
from runner.dataset import panel_from_table
from runner.spec import decode

SIMULATED = simulate_panel(SimulationSettings(seed=1, channels=4, correlation=0.6, noise=0.08))
TRUTH = SIMULATED.truth
PATH = "studies.csv"
# A study of six whole weeks.
GOOD = {"channel": "ooh", "start": "2022-03-07", "end": "2022-04-17", "estimate": "90000", "scope": "total"}


def data_table():
    """The simulated panel with its true baseline as columns, so that Prophet is not needed."""
    parts = {name: np.array(values) for name, values in TRUTH["components"].items()}
    columns = {name: values for name, values in SIMULATED.columns.items() if name != "events"}
    baseline = {
        "trend": parts["trend"],
        "season": parts["season"],
        "special": parts["holiday"] + parts["events"],
    }
    return pd.DataFrame({"date": [str(d) for d in SIMULATED.dates], **columns, **baseline})


def spec_tree(**changes):
    channels = [
        {"name": name, "spend": known["spend_column"], "exposure": known["exposure_column"]}
        for name, known in TRUTH["channels"].items()
    ]
    return {
        "name": "calibrated",
        "data": {"path": "data.csv", "date": "date"},
        "outcome": {"column": "revenue"},
        "window": {"start": TRUTH["window"]["start"]},
        "channels": channels,
        "organic": ["newsletter"],
        "context": ["competitor_sales", "price"],
        "baseline": {"precomputed": ["trend", "season", "special"]},
        "calibration": {"path": PATH},
        **changes,
    }


def spec_of(**changes):
    return decode(spec_tree(**changes), "spec.yaml")


def panel_of(spec):
    return panel_from_table(spec, data_table(), "data.csv")
