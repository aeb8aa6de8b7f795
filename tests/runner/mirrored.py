"""Small run folders made by the real code, stores to mirror them to, and one way to read any tracker back."""

from __future__ import annotations

import atexit
import functools
import logging
import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mmm_core.evaluate import evaluate_candidates
from mmm_core.intervals import Interval, IntervalKind
from mmm_core.types import LOSS_COLUMNS, CandidateBatch
from runner.dataset import load_panel
from runner.findings import Finding, Severity
from runner.journal import candidate_label, efficiencies, model_from_batch, write_trial
from runner.model_files import model_record, write_model
from runner.problem import build_problem
from runner.refits import Uncertainty
from runner.run_folder import RunFolder
from runner.space import search_space
from runner.spec import ExperimentSpec, decode
from runner.tables import table_of, write_json, write_table, write_text
from runner.tracking.base import Tracker, TrackingFailed
from runner.tracking.memory_tracker import MemoryTracker
from runner.tracking.mlflow_tracker import MlflowTracker, Store, choose_store

N_TRIALS, N_CANDIDATES = 2, 40


# ------------------------------------------------------------------------------------------------------- run folders


def make_spec(
    folder: Path, channels: Sequence[str] = ("tv", "search"), further: int = 0, **keys: Any
) -> ExperimentSpec:
    """A spec and its table of 60 weeks, or more for ``further`` columns of context beside the price."""
    periods = 60 + 2 * further
    rng = np.random.default_rng(7)
    weeks = pd.date_range("2023-01-02", periods=periods, freq="7D").strftime("%Y-%m-%d")
    spends = {f"{channel}_spend": rng.gamma(2.0, 500.0, periods).round(2) for channel in channels}
    price = rng.normal(10, 1, periods).round(3)
    outcome = (
        5000
        - 100 * price
        + sum(20 * np.sqrt(spend) for spend in spends.values())
        + rng.normal(0, 50, periods)
    )
    others = {f"context {i}": rng.normal(size=periods).round(3) for i in range(further)}
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "weekly.csv"
    columns = {"date": weeks, "revenue": outcome, "price": price, **spends, **others}
    pd.DataFrame(columns).to_csv(data, index=False)
    tree: dict[str, Any] = {
        "name": "small",
        "data": {"path": str(data), "date": "date"},
        "outcome": {"column": "revenue"},
        "channels": [{"name": channel, "spend": f"{channel}_spend"} for channel in channels],
        "context": ["price", *others],
        "baseline": "none",
        "search": {"trials": N_TRIALS, "iterations": N_CANDIDATES},
    }
    return decode({**tree, **keys}, "test")


def make_run(
    runs: Path,
    channels: Sequence[str] = ("tv", "search"),
    n: int = N_CANDIDATES,
    further: int = 0,
    **keys: Any,
) -> RunFolder:
    """A finished run without a search: random candidates, of which the best of each trial are selected.

    One candidate has an infinite DecompRSSD, as candidates without effect have.
    """
    spec = make_spec(runs.parent / "data", channels, further, **keys)
    panel = load_panel(spec)
    problem = build_problem(spec, panel)[0]
    folder = RunFolder.create(runs, spec, panel, problem)
    space = search_space(spec, problem)
    rows, selected = [], []
    for trial in range(1, N_TRIALS + 1):
        unit = np.random.default_rng(trial).random((n, space.dimension))
        batch = _with_infinity(evaluate_candidates(problem, space.hyperparameters(unit)))
        write_trial(folder.path, problem, trial, batch)
        best = int(np.argmin(batch.loss("nrmse")))
        candidate = candidate_label(trial, best + 1)
        facts = {"trial": trial, "iteration": best + 1, "cluster": trial, "error_score": 0.1 * trial}
        record = model_record(
            spec,
            panel,
            problem,
            batch[best : best + 1],
            model_from_batch(batch, best, candidate),
            facts,
            Uncertainty(tuple(_interval(candidate, channel) for channel in channels), pa.table({})),
        )
        write_model(folder.path / "models" / f"{candidate}.json", record)
        (folder.path / "report").mkdir(exist_ok=True)
        for kind in ("png", "pdf"):
            (folder.path / "report" / f"{candidate}.{kind}").write_bytes(f"%{kind} {candidate}".encode())
        plan = table_of([{"channel": channel, "optimised_spend": 1.0} for channel in channels])
        write_table(folder.path / "scenarios" / "same-budget" / f"{candidate}.parquet", plan)
        rows.append(
            {"candidate": candidate, "cluster": trial, "error_score": 0.1 * trial, "is_selected": True}
        )
        roas = dict(zip(channels, efficiencies(problem, batch.contributions)[best].tolist(), strict=True))
        losses = dict(zip(LOSS_COLUMNS[:-1], batch.losses[best, :-1].tolist(), strict=True))
        selected.append(
            {"candidate": candidate, "cluster": trial, "error_score": 0.1 * trial, **losses, "roas": roas}
        )
    write_table(folder.path / "clusters.parquet", table_of(rows))
    front = [{"candidate": row["candidate"], "front": 1 + i} for i, row in enumerate(rows)]
    write_table(folder.path / "pareto.parquet", table_of(front))
    write_text(folder.path / "report" / "index.html", "<html></html>")
    folder.write_findings([Finding("rows-per-column", Severity.WARNING, "few rows")])
    folder.set_status("done")
    write_json(folder.path / "timings.json", {"total": 12.5})
    summary = {
        "run_id": folder.run_id,
        "candidates": N_TRIALS * n,
        "candidates_per_second": 1e4,
        "seconds": 12.5,
    }
    write_json(folder.path / "summary.json", {**summary, "selected": selected})
    return folder


def _with_infinity(batch: CandidateBatch) -> CandidateBatch:
    losses = batch.losses.copy()
    losses[3, LOSS_COLUMNS.index("decomp_rssd")] = np.inf
    return replace(batch, losses=losses)


def _interval(candidate: str, channel: str) -> Interval:
    return Interval(candidate, IntervalKind.SAMPLING, "roas", channel, 1.0, 0.5, 1.5, 0.9, 100)


def copy_run(folder: RunFolder, runs: Path) -> RunFolder:
    """The same run in another folder of runs, to change it."""
    return RunFolder(Path(shutil.copytree(folder.path, runs / folder.run_id)))


# ------------------------------------------------------------------------------------------------------------ stores


@functools.cache
def _template() -> Path:
    """An empty MLflow store; making one takes seconds, copying one does not."""
    directory = Path(tempfile.mkdtemp(prefix="mmm-test-store-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    MlflowTracker(choose_store(directory, f"sqlite:///{directory}/mlflow.db")).close()
    return directory / "mlflow.db"


def empty_store(runs: Path) -> Store:
    """A store beside the runs, with its schema, empty."""
    runs.mkdir(parents=True, exist_ok=True)
    shutil.copy(_template(), runs / "mlflow.db")
    return choose_store(runs, f"sqlite:///{runs}/mlflow.db")


# ------------------------------------------------------------------------------------------------------- reading back


@dataclass(frozen=True)
class Picture:
    """All that can be read back of a run; ids of runs are replaced by their names."""

    name: str
    parent: str | None
    params: dict[str, str]
    tags: dict[str, str]
    histories: dict[str, list[tuple[int, float, int]]]
    latest: dict[str, float]
    files: dict[str, bytes]
    datasets: list[tuple[str, str]]
    status: str
    span: tuple[int, int | None]
    models: list[tuple[str, str]]  # name and digest of what was logged from it


def picture(
    tracker: Tracker, histories: Sequence[str] | None = None, only: str | None = None
) -> dict[str, Picture]:
    """Every run of the open experiment by its handle, or one; with all histories, or those of these metrics."""
    if isinstance(tracker, MemoryTracker):
        return _memory_picture(tracker)
    assert isinstance(tracker, MlflowTracker)
    return _mlflow_picture(tracker, histories, only)


def by_name(pictures: dict[str, Picture]) -> dict[str, Picture]:
    """The same by the names of the runs, which must differ."""
    named = {one.name: one for one in pictures.values()}
    assert len(named) == len(pictures)
    return named


def runs_in(store: Store) -> int:
    """How many runs an SQLite store holds."""
    assert store.database is not None
    with closing(sqlite3.connect(store.database, timeout=20)) as connection:
        return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])


def rows_in(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All that is kept of runs, by their names; they must differ, and none be deleted."""
    tables = {
        "runs": "'', status, start_time, end_time, lifecycle_stage, deleted_time",
        "tags": "key, CASE WHEN key = 'mlflow.parentRunId' THEN (SELECT name FROM runs WHERE run_uuid = value) "
        "ELSE value END",
        "params": "key, value",
        "metrics": "key, step, value, timestamp, is_nan",
        "latest_metrics": "key, step, value, timestamp, is_nan",
    }
    assert store.database is not None
    with closing(sqlite3.connect(store.database)) as connection:
        found = {
            table: sorted(
                connection.execute(f"SELECT r.name, {columns} FROM {table} JOIN runs r USING (run_uuid)")
                if table != "runs"
                else connection.execute(f"SELECT name, {columns} FROM runs")
            )
            for table, columns in tables.items()
        }
    names = [name for name, *_ in found["runs"]]
    assert len(names) == len(set(names))
    return found


def _plain_tags(tags: dict[str, str]) -> dict[str, str]:
    own = ("mlflow.parentRunId", "mlflow.runName", "mlflow.user")
    return {key: value for key, value in tags.items() if key not in own}


def _memory_picture(tracker: MemoryTracker) -> dict[str, Picture]:
    runs = tracker.runs
    return {
        handle: Picture(
            run.name,
            runs[run.tags["mlflow.parentRunId"]].name if "mlflow.parentRunId" in run.tags else None,
            run.params,
            _plain_tags(run.tags),
            {key: sorted(points) for key, points in run.histories.items()},
            run.metrics,
            run.files,
            [(dataset.name, dataset.digest) for dataset in run.datasets],
            str(run.status),
            (run.started, run.ended),
            [(one.model.name, one.model.digest) for one in tracker.kept.values() if one.run == handle],
        )
        for handle, run in runs.items()
    }


def _mlflow_picture(
    tracker: MlflowTracker, keys: Sequence[str] | None, only: str | None
) -> dict[str, Picture]:
    with quiet_mlflow():
        names = {run.handle: run.tags["mlflow.runName"] for run in tracker.find({})}
        wanted = names if only is None else [only]
        return {handle: _mlflow_run(tracker, handle, names, keys) for handle in wanted}


def _mlflow_run(
    tracker: MlflowTracker, handle: str, names: dict[str, str], keys: Sequence[str] | None
) -> Picture:
    client = tracker.client
    run = client.get_run(handle)
    histories = {key: client.get_metric_history(handle, key) for key in keys or run.data.metrics}
    parent = run.data.tags.get("mlflow.parentRunId")
    return Picture(
        run.info.run_name,
        names[parent] if parent else None,
        run.data.params,
        _plain_tags(run.data.tags),
        {key: sorted((m.step, m.value, m.timestamp) for m in history) for key, history in histories.items()},
        run.data.metrics,
        dict(_files(client, handle)),
        [(i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs],
        run.info.status,
        (run.info.start_time, run.info.end_time),
        [
            (model.name, model.tags["mmm.digest"])
            for model in client.search_logged_models([run.info.experiment_id])
            if model.source_run_id == handle
        ],
    )


def _files(client: Any, handle: str, folder: str | None = None) -> Iterator[tuple[str, bytes]]:
    for item in client.list_artifacts(handle, folder):
        if item.is_dir:
            yield from _files(client, handle, item.path)
        else:
            with tempfile.TemporaryDirectory() as directory:
                yield item.path, Path(client.download_artifacts(handle, item.path, directory)).read_bytes()


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """MLflow's own client warns and logs at will."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        yield


# ----------------------------------------------------------------------------------------------------------- failing


class FailingTracker(MemoryTracker):
    """Works for so many calls, then fails every one, as a server that has died does."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.left = calls

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name not in (
            "open",
            "describe",
            "find",
            "start",
            "log",
            "log_series",
            "log_files",
            "log_dataset",
            "models",
            "log_model",
            "delete_model",
            "finish",
            "delete",
        ):
            return value

        def call(*args: Any, **keys: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise TrackingFailed("the server has died")
            return value(*args, **keys)

        return call


TrackerFactory = Callable[[Path], Tracker]


def memory_tracker(_runs: Path) -> Tracker:
    """A tracker in memory."""
    return MemoryTracker()


def mlflow_tracker(runs: Path) -> Tracker:
    """A tracker on an SQLite store of its own."""
    return MlflowTracker(empty_store(runs))
