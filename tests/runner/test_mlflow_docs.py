"""What docs/mlflow.md says about MLflow is true: its searches run, and its names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runner.tables import read_table
from runner.tracking.contents import KINDS, history_names
from runner.tracking.mirror import mirror_to
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store
from tests.runner.mirrored import empty_store, make_run, quiet_mlflow

TEXT = (Path(__file__).parents[2] / "docs" / "mlflow.md").read_text(encoding="utf-8")
FILTERS = re.search(r"```filters\n(.*?)```", TEXT, re.DOTALL)[1].splitlines()


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    """A run folder and what a search in its experiment finds."""
    runs = tmp_path_factory.mktemp("docs") / "runs"
    folder = make_run(runs)
    empty_store(runs)
    mirror_to(folder)
    tracker = MlflowTracker(choose_store(runs))
    with quiet_mlflow():
        experiment = tracker.client.get_experiment_by_name("small").experiment_id
    yield folder, tracker.client, experiment
    tracker.close()


@pytest.mark.parametrize("words", FILTERS)
def test_every_search_runs(mirrored, words):
    _, client, experiment = mirrored
    with quiet_mlflow():
        found = client.search_runs([experiment], words)
    by_metric = re.findall(r"metrics\.(\w+) ([<>]) ([\d.]+)", words)
    for run in found:
        for name, sign, limit in by_metric:
            assert (run.data.metrics[name] < float(limit)) == (sign == "<")
    if not by_metric and "converged" not in words:
        assert found, words


def test_the_search_for_good_models_finds_just_those(mirrored):
    folder, client, experiment = mirrored
    words = 'metrics.decomp_rssd < 0.1 and tags.selected = "true"'
    assert words in FILTERS
    rows = [
        row
        for path in sorted(folder.path.glob("candidates/*.parquet"))
        for row in read_table(path).to_pylist()
        if row["candidate"] in folder.selected()
    ]
    for limit in (0.1, 0.5, 10.0):
        expected = {row["candidate"] for row in rows if row["decomp_rssd"] < limit}
        with quiet_mlflow():
            found = client.search_runs([experiment], words.replace("0.1", str(limit)))
        assert {run.info.run_name for run in found} == expected
    assert expected  # the widest limit finds some


def test_names_in_the_text_are_names_in_mlflow(mirrored):
    folder, client, experiment = mirrored
    with quiet_mlflow():
        runs = client.search_runs([experiment])
    kinds = {run.data.tags["mmm.kind"] for run in runs}
    assert {f"| `{kind}` |" in TEXT for kind in KINDS} == {True}
    assert kinds <= set(KINDS)
    shown = {re.sub(r"_(tv|search)", "_<channel>", name) for name in history_names(folder.spec())}
    for name in shown | {"best_nrmse", "best_decomp_rssd", "roas_<channel>_lower"}:
        assert f"`{name}`" in TEXT, name
    tags = {tag for run in runs for tag in run.data.tags}
    for tag in (
        "selected",
        "front",
        "cluster",
        "candidate",
        "best_candidate",
        "mmm.data_digest",
        "mmm.status",
    ):
        assert tag in tags
        assert tag in TEXT
