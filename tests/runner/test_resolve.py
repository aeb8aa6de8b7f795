"""Curves and warm starts end up in the run's own spec, which needs no other file than its data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import runner
from mmm_core.errors import UserError
from runner.run_folder import RunFolder
from tests.runner.small import write_small

SEARCH = {"trials": 1, "iterations": 60, "seed": 7}


@pytest.fixture(autouse=True)
def without_report(monkeypatch):
    monkeypatch.setattr("runner.orchestrate.write_report", lambda folder: None)


def run(folder: Path, **changes) -> RunFolder:
    folder.mkdir(exist_ok=True)
    return runner.run(write_small(folder, **{"search": SEARCH, **changes}), runs=folder / "runs")


def curve(folder: Path, spend: float) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    total = np.linspace(0, spend, 20)
    reach = 1e6 * total**1.5 / (total**1.5 + (0.4 * spend) ** 1.5)
    pd.DataFrame({"spend_cumulated": total, "response_cumulated": reach}).to_csv(
        folder / "c.csv", index=False
    )
    return {"channel": "tv", "path": str(folder / "c.csv")}


def test_a_curve_becomes_ranges_of_the_spec_and_a_table(tmp_path):
    entry = curve(tmp_path / "run", 3000.0)
    found = run(tmp_path / "run", curves=[entry], hyperparameters={"tv": {"theta": [0.1, 0.4]}})
    spec = found.spec()
    assert spec.curves == ()
    low, high = spec.hyperparameters["tv"]["alpha"]
    assert low <= 1.5 <= high
    assert spec.hyperparameters["tv"]["theta"] == (0.1, 0.4)
    assert set(found.table("curve_calibration")["channel"].to_pylist()) == {"tv"}
    searched = np.concatenate([found.table("candidates/trial-01")["tv_alpha"].to_numpy()])
    assert low <= searched.min() <= searched.max() <= high
    assert "curve-calibration" in [finding["case"] for finding in found.json("findings")]


def test_a_warm_start_asks_the_models_of_the_earlier_run_first(tmp_path):
    earlier = run(tmp_path / "a")
    later = run(tmp_path / "b", search={**SEARCH, "seed": 8, "warm_start": str(earlier.path)})
    spec = later.spec()
    assert spec.search.warm_start is None
    first = later.table("candidates/trial-01").slice(0, len(earlier.selected())).to_pandas()
    names = [f"tv_{p}" for p in ("alpha", "gamma", "theta")]
    models = [earlier.json(f"models/{candidate}")["hyperparameters"] for candidate in earlier.selected()]
    expected = [[model[name] for name in names] for model in models]
    np.testing.assert_allclose(first[names].to_numpy(), expected, rtol=1e-9)
    assert len(spec.search.start) == len(models)


def test_what_cannot_be_used_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match="no such run folder"):
        run(tmp_path / "a", search={**SEARCH, "warm_start": "nowhere"})
    with pytest.raises(UserError, match=r"c\.csv"):
        run(tmp_path / "a", curves=[{"channel": "tv", "path": "c.csv"}])
    spec = write_small(tmp_path / "a", curves=[{"channel": "tv", "path": "c.csv"}])
    with pytest.raises(UserError, match=r"c\.csv"):
        runner.validate(spec)
    assert not (tmp_path / "a" / "runs").exists()
