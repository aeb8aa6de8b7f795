"""Runs, models and plans as objects: their tables are those of the run folder, and their HTML is safe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmm_core.errors import UserError
from runner import allocate, evaluate, load_run
from tests.docs.workplace import make_workplace
from tests.runner.command import ROOT

NOTEBOOK = ROOT / "experiments" / "quickstart.ipynb"


@pytest.fixture
def opened(small_run):
    return load_run(small_run)


def test_a_run_is_opened_by_folder_path_or_itself(small_run, opened):
    assert load_run(small_run.path).folder.path == small_run.path
    assert Path(opened) == small_run.path
    assert [model.candidate for model in opened.models] == small_run.selected()
    assert opened.summary["run_id"] == small_run.run_id
    with pytest.raises(UserError, match="no such run folder"):
        load_run(small_run.path / "nothing")


def test_a_model_says_what_the_tables_say(small_run, opened):
    best = opened.model()
    rows = opened.candidates.set_index("candidate").loc[best.candidate]
    assert best.losses["nrmse"] == pytest.approx(rows["nrmse"])
    assert best.hyperparameters["tv_theta"] == pytest.approx(rows["tv_theta"])
    assert best.hyperparameters["lambda"] == pytest.approx(rows["lambda"])
    channels = best.channels
    for name in channels.index:
        assert channels.loc[name, "contribution"] == pytest.approx(rows[f"contribution_{name}"])
        assert channels.loc[name, "roas"] == pytest.approx(rows[f"roas_{name}"])
        assert channels.loc[name, "contribution"] / channels.loc[name, "spend"] == pytest.approx(
            rows[f"roas_{name}"]
        )
    parts = best.contributions
    np.testing.assert_allclose(parts.drop(columns="fitted").sum(axis=1), parts["fitted"])
    curves = best.response_curves
    assert set(curves["channel"]) == set(channels.index)


def test_a_model_that_was_not_selected_is_refused(opened):
    with pytest.raises(UserError, match="is not a selected model"):
        opened.model("9_999")


def test_tables_and_findings_are_frames(opened):
    assert {"case", "details"} <= set(opened.findings)
    assert "candidate" in opened.table("pareto")
    assert len(opened.candidates) == opened.summary["candidates"]


def test_plans_before_and_after_asking(opened):
    assert set(opened.plans) == {"same-budget", "more", "out-of-reach"}
    assert opened.plans["out-of-reach"].status == "infeasible"
    told = allocate(opened, scenario={"name": "a-bit-more", "total_budget": 120_000, "bounds": [0.5, 2]})
    plan = opened.plans["a-bit-more"]
    assert plan.status == "solved"
    assert plan.channels["optimised_spend"].sum() == pytest.approx(120_000, rel=1e-6)
    assert plan.lift == pytest.approx(told.as_record()["plans"]["ensemble"]["optimised_response"]
                                      / told.as_record()["plans"]["ensemble"]["initial_response"] - 1)  # fmt: skip
    assert told._repr_html_() == plan._repr_html_()
    with pytest.raises(UserError, match="goal"):
        allocate(opened, scenario={"name": "x", "goal": "win"})


def test_a_model_is_evaluated_again_to_its_own_numbers(opened, tmp_path):
    best = opened.model()
    point = pd.DataFrame([best.hyperparameters]).drop(columns="lambda_hp")
    point.to_csv(tmp_path / "point.csv", index=False)
    row = evaluate(opened, candidates=tmp_path / "point.csv").to_pandas().iloc[0]
    assert row["nrmse"] == pytest.approx(best.losses["nrmse"], rel=1e-9)


def test_everything_shows_itself_and_escapes(small_run, opened):
    for shown in (opened, small_run, opened.model(), *opened.plans.values()):
        html = shown._repr_html_()
        assert html.startswith("<div>")
        assert "nan" not in html.lower()
        assert repr(shown)
    assert "<script" not in opened._repr_html_()


def test_pictures_are_png_and_can_be_saved(opened, tmp_path):
    picture = opened.model().plot_waterfall()
    assert picture._repr_png_().startswith(b"\x89PNG")
    assert picture.save(tmp_path / "fit.pdf").read_bytes().startswith(b"%PDF")
    for drawn in (
        opened.model().plot_curves(),
        opened.plot_efficiency(),
        opened.plot_convergence(),
        opened.plot_pareto(),
    ):
        assert drawn._repr_png_().startswith(b"\x89PNG")


def test_the_shipped_notebook_has_no_outputs():
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own sockets and loops
def test_the_shipped_notebook_runs(tmp_path):
    import nbformat
    from nbclient import NotebookClient

    make_workplace(tmp_path)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    kinds = {
        kind
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    }
    assert {"text/html", "image/png"} <= kinds
