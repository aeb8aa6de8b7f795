"""Models as MLflow keeps them: loaded, registered and served they say what the run folder says."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from runner.run_folder import RunFolder
from runner.scoring import Scorer, scoring_files
from runner.tables import write_text
from runner.tracking.mirror import mirror_to
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store
from tests.runner.mirrored import empty_store, quiet_mlflow

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def logged(small_run_original, tmp_path_factory):
    """A run folder and MLflow's client of the store beside it; three models, nothing else of interest."""
    import shutil

    runs = tmp_path_factory.mktemp("logged") / "runs"
    store = empty_store(runs)
    folder = RunFolder(Path(shutil.copytree(small_run_original.path, runs / small_run_original.run_id)))
    text = (folder.path / "spec.yaml").read_text(encoding="utf-8")
    write_text(folder.path / "spec.yaml", text.replace("candidates: pareto", "candidates: selected"))
    mirror_to(folder)
    tracker = MlflowTracker(choose_store(runs))
    tracker.open(folder.spec().experiment)
    yield folder, tracker, store
    tracker.close()


@contextmanager
def mlflow_at(uri: str):
    """MLflow's global state set for a while."""
    import mlflow

    with quiet_mlflow(), pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow sets it, and the patch takes it back
        patch.delenv("MLFLOW_REGISTRY_URI", raising=False)
        try:
            mlflow.set_tracking_uri(uri)
            mlflow.set_registry_uri(uri)
            yield mlflow
        finally:
            mlflow.set_tracking_uri(None)
            mlflow.set_registry_uri(None)
            for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
                os.environ.pop(name, None)


def contributions(folder, candidate):
    table = folder.table("contributions").to_pandas()
    own = table[table["candidate"] == candidate]
    return own.pivot(index="date", columns="component", values="contribution")


def test_every_selected_model_is_logged_with_its_run(logged):
    folder, tracker, _ = logged
    with quiet_mlflow():
        models = tracker.client.search_logged_models([tracker._experiment])
    assert {model.tags["candidate"] for model in models} == set(folder.selected())
    for model in models:
        run = tracker.client.get_run(model.source_run_id)
        assert (run.data.tags["selected"], run.info.run_name) == ("true", model.tags["candidate"])
        assert str(model.status) == "READY"
        assert model.params == run.data.params
        assert {m.key: m.value for m in model.metrics} == run.data.metrics
        assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]


def test_a_loaded_model_says_what_the_run_folder_says(logged):
    folder, tracker, store = logged
    for candidate in folder.selected():
        with mlflow_at(store.uri) as mlflow:
            model = mlflow.pyfunc.load_model(model_uri(tracker, candidate))
            expected = contributions(folder, candidate)
            dates = [str(day) for day in expected.index]
            found = model.predict(pd.DataFrame({"date": dates}))
            for component in expected:
                np.testing.assert_allclose(found[component], expected[component], rtol=1e-9)
            # dates of pandas and whole numbers are taken as well
            days = pd.DataFrame({"date": pd.to_datetime(dates), "tv": 0})
            assert (model.predict(days)["tv"] <= found["tv"]).all()
            plan = model.predict(pd.DataFrame({"tv": [10_000]}), params={"what": "response"})
        scorer = Scorer.of(scoring_files(folder, candidate), "model")
        same = scorer.predict(pd.DataFrame({"tv": [10_000.0]}), {"what": "response"})
        np.testing.assert_allclose(plan.to_numpy(), same.to_numpy(), rtol=1e-12)


def model_uri(tracker, candidate) -> str:
    found = tracker.models({"candidate": candidate})
    return f"models:/{found[0].handle}"


def test_a_model_is_code_and_data_and_names_what_it_needs(logged):
    folder, tracker, store = logged
    candidate = folder.selected()[0]
    with mlflow_at(store.uri) as mlflow:
        path = Path(mlflow.artifacts.download_artifacts(model_uri(tracker, candidate)))
        model = mlflow.pyfunc.load_model(str(path))
    names = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    assert {"MLmodel", "marketing_mix_model.py", "input_example.json", "requirements.txt"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))]
    needed = (path / "requirements.txt").read_text().split()
    assert [line.split("==")[0] for line in needed] == ["mlflow", "mmm-runner"]
    schema = model.metadata.signature
    assert {"date", "tv", "web", "mail", "price"} <= set(schema.inputs.input_names())
    assert {param.name for param in schema.params} >= {"what", "start", "end", "carryover", "flighting"}
    assert len(model.predict(model.input_example)) == len(model.input_example) > 1


def test_a_model_can_be_registered_and_loaded_by_its_name(logged):
    folder, tracker, store = logged
    candidate = folder.selected()[0]
    with mlflow_at(store.uri) as mlflow:
        version = mlflow.register_model(model_uri(tracker, candidate), "chosen")
        model = mlflow.pyfunc.load_model(f"models:/chosen/{version.version}")
        date = str(contributions(folder, candidate).index[-1])
        assert model.predict(pd.DataFrame({"date": [date]}))["date"].tolist() == [date]


def test_logging_the_same_model_again_changes_nothing(logged):
    folder, tracker, _ = logged
    before = tracker.models({"mmm.run_id": folder.run_id})
    assert len(mirror_to(folder).unchanged) == 3 + len(folder.selected())
    assert tracker.models({"mmm.run_id": folder.run_id}) == before


def test_a_model_whose_files_changed_is_replaced(logged):
    folder, tracker, _ = logged
    candidate = folder.selected()[-1]
    path = folder.path / "models" / f"{candidate}.json"
    text = path.read_text(encoding="utf-8")
    (before,) = tracker.models({"mmm.name": candidate})
    write_text(path, text.replace('"format": 1,', '"format": 1,\n  "note": "x",'))
    mirror_to(folder)
    (after,) = tracker.models({"mmm.name": candidate})
    assert (after.handle != before.handle, after.run == before.run) == (True, True)
    write_text(path, text)


@pytest.mark.integration
def test_a_served_model_answers_over_http(logged):
    folder, tracker, store = logged
    candidate = folder.selected()[0]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model_uri(tracker, candidate)]
    words += ["--env-manager", "local", "--port", str(port), "--host", "127.0.0.1", "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "MLFLOW_TRACKING_URI": store.uri}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            expected = contributions(folder, candidate)
            dates = [str(day) for day in expected.index[-3:]]
            body = {
                "dataframe_records": [{"date": day} for day in dates],
                "params": {"what": "decomposition"},
            }
            answer = ask(f"http://127.0.0.1:{port}/invocations", body)
            for row, day in zip(answer["predictions"], expected.index[-3:], strict=True):
                assert row["tv"] == pytest.approx(expected.loc[day, "tv"], rel=1e-9)
            plan = {"dataframe_records": [{"tv": 10000}], "params": {"what": "response"}}
            assert ask(f"http://127.0.0.1:{port}/invocations", plan)["predictions"][0]["response"] > 0
        finally:
            server.terminate()


def ask(url: str, body: dict, seconds: float = 120.0):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
