"""Model files of R Robyn 3.12.1, rebuilt: every number of the file to 1e-9 with its own columns.

Files are made by hand from the golden tables (``robyn_file``). With ten decimals, as R writes them, the same holds for
coefficients, contributions and shares; an adjusted R2 near 0 then shows the rounding of the file (measured: 3e-9). With
Prophet fitted again the greatest differences measured are 4e-5 on a coefficient (trend) and 7e-7 on a ROAS; tolerances
are about 1.5 times that. Provenance: ``golden_data``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mmm_core.transforms import transform_media
from runner.commands.allocate import run as allocate
from runner.commands.allocate import scenario_options
from runner.commands.import_robyn import run as import_robyn
from runner.robyn import names
from runner.robyn.importing import bring, read_inputs
from runner.robyn.reading import read_model
from tests.golden import robyn_names
from tests.golden.golden_data import ORGANIC, PAID, SETS, golden_problem, golden_table, needs_golden
from tests.golden.robyn_file import DEMO, DT_MOD, HOLIDAYS, robyn_tree, unboxed, write_robyn

pytestmark = [
    needs_golden,
    pytest.mark.skipif(
        not DEMO.is_file(), reason="Robyn's demo table (../shared/data) is not on this machine"
    ),
]
QUICK = ["bootstrap.refits=20", "tracking.enabled=false"]


def some_models(draws: str) -> list[str]:
    """A few models of a set; of geo_main also one that R fitted again without an intercept."""
    table = golden_table(f"draws/{draws}_hyper_and_errors")[robyn_names.CANDIDATE].tolist()
    chosen = table[:: max(len(table) // 4, 1)]
    if draws == "geo_main":
        decomposition = golden_table("draws/geo_main_decomp")
        own = decomposition[decomposition[robyn_names.PREDICTOR] == robyn_names.INTERCEPT]
        with_intercept = set(own[own[robyn_names.DECOMPOSITION["coef"]] != 0][robyn_names.CANDIDATE])
        chosen.append(next(candidate for candidate in table if candidate not in with_intercept))
    return chosen


def brought(path: Path, **where: object):
    inputs = read_inputs(read_model(path), path.parent / "runs", **where)
    return inputs, bring(inputs)


@pytest.mark.parametrize("draws", SETS)
def test_with_the_files_own_columns_every_number_agrees(draws, tmp_path):
    for candidate in some_models(draws):
        path = write_robyn(tmp_path, robyn_tree(draws, candidate, digits=None))
        _, found = brought(path, data=str(DEMO), baseline=str(DT_MOD))
        assert not found.comparison.unmatched
        assert found.comparison.worst.relative < 1e-9, (candidate, found.comparison.worst)
        assert len(found.comparison.differences) > 3 * 11
        assert [f.case for f in found.findings].count("robyn-agrees") == 1


@pytest.mark.parametrize("draws", SETS)
def test_ten_decimals_are_enough(draws, tmp_path):
    candidate = some_models(draws)[-1]
    path = write_robyn(tmp_path, robyn_tree(draws, candidate))
    _, found = brought(path, data=str(DEMO), baseline=str(DT_MOD))
    for difference in found.comparison.differences:
        limit = 1e-8 if difference.quantity == "loss" else 1e-9
        assert difference.relative < limit, difference


@pytest.mark.parametrize("data", [None, str(DT_MOD)], ids=["raw data of the file", "dt_mod itself"])
def test_other_ways_to_bring_the_same_columns(data, tmp_path):
    path = write_robyn(tmp_path, robyn_tree("geo_ts", digits=None))
    where = {"data": data} if data else {"baseline": str(DT_MOD)}
    inputs, found = brought(path, **where)
    assert found.comparison.worst.relative < 1e-9
    assert bool(inputs.files) == (data is None)


def test_the_writer_may_leave_scalars_bare(tmp_path):
    tree = robyn_tree("geo_ts", digits=None)
    path = write_robyn(tmp_path, tree)
    path.write_text(json.dumps(unboxed(tree)), encoding="utf-8")
    _, found = brought(path, data=str(DEMO), baseline=str(DT_MOD))
    assert found.comparison.worst.relative < 1e-9


def test_lift_studies_of_the_file_are_judged_as_robyn_does(tmp_path):
    path = write_robyn(tmp_path, robyn_tree("calib", digits=None))
    inputs, found = brought(path, data=str(DEMO), baseline=str(DT_MOD))
    mape = next(d for d in found.comparison.differences if d.name == "mape")
    assert mape.theirs > 1
    assert mape.relative < 1e-9
    assert inputs.spec.calibration.convention == "robyn"
    assert [r.channel for r in inputs.studies.records][:2] == ["facebook", "tv"]


def test_lift_studies_are_used_on_dt_mod_too(tmp_path):
    # There the outcome is dep_var, and the exposure in currency stands for the spend.
    path = write_robyn(tmp_path, robyn_tree("calib", digits=None))
    inputs, found = brought(path, data=str(DT_MOD))
    mape = next(d for d in found.comparison.differences if d.name == "mape")
    assert mape.theirs > 1
    assert mape.relative < 1e-9
    assert [r.channel for r in inputs.studies.records][:2] == ["facebook", "tv"]


def test_prophet_fitted_again_is_measured_and_told(tmp_path):
    path = write_robyn(tmp_path, robyn_tree("geo_ts"))
    _, found = brought(path, data=str(DEMO), holidays=str(HOLIDAYS))
    comparison = found.comparison
    assert 1e-7 < comparison.worst.relative < 6e-5
    assert comparison.worst_efficiency[1] < 1e-6
    told = next(f for f in found.findings if f.case == "robyn-baseline-refitted")
    assert told.status == "info"
    assert "No ROAS moves by more than" in told.details
    means = {column.name: column for column in comparison.columns}
    assert set(means) >= {"trend", "season", "holiday"}
    trend = means["trend"]
    expected = golden_table("inputs/dt_mod_exposure")["trend"][6:163].mean()
    assert trend.theirs == pytest.approx(expected, rel=1e-8)
    assert abs(trend.ours - trend.theirs) < 40


def test_the_files_own_roas_is_explained(tmp_path):
    path = write_robyn(tmp_path, robyn_tree("geo_main"))
    _, found = brought(path, data=str(DEMO), baseline=str(DT_MOD))
    told = next(f for f in found.findings if f.case == "robyn-performance-all-rows")
    for channel in ("tv", "ooh", "print", "facebook", "search"):
        assert channel in told.details


def test_curves_of_versions_before_3_12_are_the_same(tmp_path):
    # A model of 3.12 written as 3.11 would: gamma such that (1 - g) min + g max is the inflexion.
    tree = robyn_tree("geo_ts", digits=None)
    values = tree["ExportedModel"]["hyper_values"]
    problem = golden_problem("geo_ts")
    point = np.array(
        [values.get(name, values.get(f"{name}s", [0.5]))[0] for name in problem.hyperparameter_names]
    )
    transform = transform_media(problem, point)
    low, high = transform.adstocked.min(axis=1), transform.adstocked.max(axis=1)
    assert (low > 0).any()
    for m, medium in enumerate((*PAID, *ORGANIC)):
        values[names.parameter_name(medium, "gamma")] = [
            (transform.inflexion[m] - low[m]) / (high[m] - low[m])
        ]
    tree["InputCollect"]["version"] = ["Robyn (stable) v3.11.1 [R-4.4.0]"]
    _, found = brought(write_robyn(tmp_path, tree), data=str(DEMO), baseline=str(DT_MOD))
    assert found.comparison.worst.relative < 1e-9
    assert "robyn-old-inflexion" in [f.case for f in found.findings]


def test_a_development_version_is_read_by_what_it_did(tmp_path):
    tree = robyn_tree("geo_ts", digits=None)
    tree["InputCollect"]["version"] = ["Robyn (dev) v3.11.1.9007 [R-4.4.0]"]
    _, found = brought(write_robyn(tmp_path, tree), data=str(DEMO), baseline=str(DT_MOD))
    assert found.comparison.worst.relative < 1e-9


def test_a_file_without_the_zero_penalty_is_noticed(tmp_path):
    draws = golden_table("draws/wpdf_decomp")
    shares = draws[draws[robyn_names.PREDICTOR].isin(PAID)]
    zero = shares[shares[robyn_names.DECOMPOSITION["effect_share"]].abs() < 5e-5]
    candidate = str(zero[robyn_names.CANDIDATE].iloc[0])
    n_zero = int((zero[robyn_names.CANDIDATE] == candidate).sum())
    tree = robyn_tree("wpdf", candidate, digits=None)
    tree["ExportedModel"]["errors"][0]["decomp.rssd"] /= 1 + n_zero / len(PAID)
    inputs, found = brought(write_robyn(tmp_path, tree), data=str(DEMO), baseline=str(DT_MOD))
    assert found.comparison.worst.relative < 1e-9
    assert not found.rebuilt.spec.search.rssd_zero_penalty
    assert inputs.spec.search.rssd_zero_penalty


def test_the_run_folder_can_be_planned_with(tmp_path, monkeypatch):
    monkeypatch.setattr("runner.orchestrate.write_report", lambda folder: None)
    path = write_robyn(tmp_path, robyn_tree("geo_main"))
    imported = import_robyn(
        path, data=str(DEMO), baseline=str(DT_MOD), runs=tmp_path / "runs", overrides=QUICK
    )
    folder = imported.folder
    assert folder.manifest()["status"] == "done"
    assert folder.manifest()["origin"]["model"] == imported.solution == "1_1_1"
    spec = folder.spec()
    assert [c.name for c in spec.channels] == ["tv", "ooh", "print", "facebook", "search"]
    # The ranges that were searched, for a refresh to narrow; not the model's own values.
    assert spec.hyperparameters["tv"]["theta"] == (0.3, 0.8)
    assert spec.baseline.components == ("trend", "season", "holiday")
    plans = allocate(
        folder.path,
        scenario=scenario_options(
            name="more",
            bounds=None,
            start=None,
            end=None,
            last=None,
            goal="max_response",
            carryover="plan",
            total_budget=13e6,
        ),
    )
    assert plans.plans.ensemble.status == "solved"
    # Today's response is the file's own decomposition.
    summary = json.loads(path.read_text())["ExportedModel"]["summary"]
    paid = sum(row["decompAgg"] for row in summary if row["variable"] in PAID)
    assert plans.plans.ensemble.initial.total_response == pytest.approx(paid, rel=1e-8)
