"""The tracker that writes to MLflow: an SQLite file, a database or a server. The one module that knows mlflow.

MLflow's client is used with explicit run ids and without its global state (no active run, no tracking URI set), so that
the program around it may use MLflow as it likes. It is slow to import (2 to 8 s), so nothing is imported before a
tracker is opened.

What things cost, in CPU time of one core: over HTTP a point of a metric history 70 to 90 us, most of it the server's,
and a run with 40 metrics 24 ms in three calls; in a database that is reached directly 9 us and 2 ms, see ``rows``;
import 2.7 s.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import socket
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies

from runner import __version__
from runner.tables import write_atomically
from runner.tracking.base import (
    ENTITIES_PER_CALL,
    PAIRS_PER_CALL,
    POINTS_PER_CALL,
    DatasetFacts,
    ModelFacts,
    ModelTexts,
    NewRun,
    RunStatus,
    Series,
    TrackedModel,
    TrackedRun,
    TrackingFailed,
    add_one_by_one,
    blocks,
    check_series,
    locked,
    shortened,
    without_password,
)
from runner.tracking.notes import EXPERIMENT_NOTE, NOTE
from runner.tracking.rows import POINTS_PER_TRANSACTION, RUNS_PER_TRANSACTION, Rows

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
# Otherwise MLflow's pages take an experiment for one about chat models.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development", NOTE: EXPERIMENT_NOTE}
# A request may have 1 MB; a character takes at most 6 bytes in JSON.
CHARACTERS_PER_CALL = 100_000
PAGE = 1000
# SQLite sorts runs by a metric by the wrong index until it has counted its tables: 10,000 runs in 10 s, not 0.3 s.
MANY_RUNS = 500

# The user's own settings of these variables win. A server that is gone refuses at once, or does not take a connection
# within CONNECT_SECONDS; one that takes it may be slow, and is given time.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
}
CONNECT_SECONDS = 4.0
LOCK_SECONDS = 5.0
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433, "https": 443, "http": 80}
TALKATIVE = ("mlflow", "alembic", "urllib3")


@dataclass(frozen=True)
class Store:
    """Where MLflow is.

    Attributes:
        uri: MLflow's tracking URI, complete.
        database: path of the SQLite file, None for other stores.
        artifacts: directory for artifacts; None where the server decides.
    """

    uri: str
    database: Path | None = None
    artifacts: Path | None = None

    @property
    def is_server(self) -> bool:
        """Reached over HTTP."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def shown(self) -> str:
        """The store in words for the user: the path of the file, or the URI without its password."""
        return str(self.database) if self.database else without_password(self.uri)


def choose_store(runs: Path, explicit: str | None = None, from_spec: str | None = None) -> Store:
    """The store of runs: what the command says, else the spec, else MLFLOW_TRACKING_URI, else a file beside the runs.

    Args:
        runs: the folder that run folders lie in. explicit: --tracking-uri. from_spec: tracking.uri.
    Returns:
        The store; nothing is opened or made. Relative SQLite paths are relative to the current directory.
    Raises:
        TrackingFailed: MLflow cannot write there.
    """
    uri = explicit or from_spec or os.environ.get("MLFLOW_TRACKING_URI") or None
    if uri is None:
        return _sqlite_store((runs / DATABASE).absolute().resolve())
    if uri.startswith("sqlite:"):
        path = unquote(uri.removeprefix("sqlite:").removeprefix("///"))
        if not path or path == ":memory:" or path.startswith("//"):
            raise TrackingFailed(f"{uri}: expected the path of a file, for example sqlite:///mlflow.db")
        return _sqlite_store(Path(path).absolute().resolve())
    if "://" not in uri and Path(uri).suffix in (".db", ".sqlite", ".sqlite3"):
        return _sqlite_store(Path(uri).absolute().resolve())
    if uri.startswith("file:") or ("://" not in uri and not uri.startswith("databricks")):
        raise TrackingFailed(
            f"{uri}: MLflow no longer writes to plain folders; give the address of a server or an SQLite file such as "
            f"sqlite:///{DATABASE}"
        )
    if re.match(r"(postgresql|mysql|mssql)(\+\w+)?://", uri):
        return Store(uri, artifacts=(runs / ARTIFACTS).absolute().resolve())
    return Store(uri.rstrip("/"))


def _sqlite_store(path: Path) -> Store:
    # The driver unquotes the path, so that a percent or question mark in it has to be quoted.
    return Store(f"sqlite:///{quote(str(path), safe='/ :#&;+=@,~!$()[]')}", path, path.parent / ARTIFACTS)


class MlflowTracker:
    """Runs in MLflow."""

    def __init__(self, store: Store) -> None:
        """Open the store; a new SQLite file gets its schema first.

        Raises:
            TrackingFailed: there is no MLflow there.
        """
        self._store = store
        self._experiment = ""
        self._started = 0
        _check_port(store)
        _import_mlflow()
        with self._calling():
            if store.database is not None:
                create_schema(store)
                _check_file(store.database)
            self._client = _client(store.uri)
            self._sql = _sql_store(store) if store.artifacts else None
            self._rows = rows_of(self._sql)

    @property
    def location(self) -> str:
        """The store in words for the user."""
        return self._store.shown

    @property
    def client(self) -> MlflowClient:
        """MLflow's own client of the store, for reading."""
        return self._client

    def open(self, experiment: str) -> None:
        """Make the experiment unless it exists."""
        with self._calling():
            found = self._client.get_experiment_by_name(experiment)
            if found is None:
                self._experiment = self._create_experiment(experiment)
                return
        if found.lifecycle_stage != "active":
            raise TrackingFailed(
                f"{self.location}: the experiment {experiment!r} was deleted there; restore it (mlflow experiments "
                f"restore --experiment-id {found.experiment_id}) or set another tracking.experiment"
            )
        self._experiment = found.experiment_id

    def _create_experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        artifacts = self._store.artifacts
        # A name of one's own may hold anything; quoted it is one folder, and dots cannot lead out of it.
        folder = quote(name, safe=" ").replace(".", "%2E")
        location = (artifacts / folder).as_uri() if artifacts else None
        try:
            return str(self._client.create_experiment(name, location, EXPERIMENT_TAGS))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = self._client.get_experiment_by_name(name)  # another process was faster
            return str(found.experiment_id) if found else ""

    def describe(self, tags: Mapping[str, str]) -> None:
        """Tags of the experiment itself."""
        with self._calling():
            there = self._client.get_experiment(self._experiment).tags
            for key, value in tags.items():
                if there.get(key) != value:
                    self._client.set_experiment_tag(self._experiment, key, value)

    def find(self, tags: Mapping[str, str]) -> list[TrackedRun]:
        """Runs that carry all these tags."""
        if self._rows is not None:
            with self._calling():
                return self._rows.find(self._experiment, tags)
        conditions = " and ".join(f"tags.`{key}` = {_quoted(value)}" for key, value in tags.items())
        found: list[TrackedRun] = []
        token: str | None = None
        while True:
            with self._calling():
                page = self._client.search_runs(
                    [self._experiment], conditions, max_results=PAGE, page_token=token
                )
            found += [TrackedRun(run.info.run_id, dict(run.data.tags)) for run in page]
            token = page.token
            if not token:
                return sorted(found, key=lambda run: run.handle)

    def start(self, name: str, tags: Mapping[str, str], started: int) -> str:
        """A new run."""
        with self._calling():
            run = self._client.create_run(
                self._experiment, start_time=started, tags=dict(tags), run_name=name
            )
        self._started += 1
        return str(run.info.run_id)

    def add_runs(self, runs: Sequence[NewRun]) -> list[str]:
        """Make, write and close runs; in a database all of them at once or none."""
        if self._rows is None:
            return add_one_by_one(self, runs)
        for run in runs:
            check_series(_single_points(run.metrics))
        with self._calling():
            handles = self._rows.add_runs(self._experiment, runs)
        self._started += len(handles)
        return handles

    @property
    def runs_per_call(self) -> int:
        """How many runs go in best at once: over HTTP each is several calls of its own."""
        return 1 if self._rows is None else RUNS_PER_TRANSACTION

    @property
    def points_per_call(self) -> int:
        """How many points of histories go in best at once."""
        return POINTS_PER_CALL if self._rows is None else POINTS_PER_TRANSACTION

    def log(
        self,
        handle: str,
        *,
        params: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        timestamp: int = 0,
        ending: tuple[RunStatus, int] | None = None,
    ) -> None:
        """Write parameters, single metrics and tags, in as few calls as the limits allow."""
        values = metrics or {}
        single = _single_points(values)
        check_series(single)
        if self._add_rows(
            handle, series=single, params=params, tags=tags, timestamp=timestamp, ending=ending
        ):
            return
        if ending is not None:
            self.finish(handle, *ending)
        self._log_entities(handle, params or {}, values, tags or {}, timestamp)

    def _add_rows(self, handle: str, **what: Any) -> bool:
        if self._rows is None:
            return False
        with self._calling():
            return self._rows.add(handle, **what)

    def _log_entities(
        self,
        handle: str,
        params: Mapping[str, str],
        values: Mapping[str, float],
        tags: Mapping[str, str],
        timestamp: int,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        calls = _Calls()
        for some in _chunks(params):
            calls.add("params", [Param(*pair) for pair in some])
        points = [Metric(key, float(value), timestamp, 0) for key, value in values.items()]
        for start in range(0, len(points), ENTITIES_PER_CALL):
            calls.add("metrics", points[start : start + ENTITIES_PER_CALL])
        for some in _chunks(tags):
            calls.add("tags", [RunTag(*pair) for pair in some])
        with self._calling():
            for call in calls.made:
                self._log_batch(handle, **call)

    def log_series(
        self, handle: str, series: Sequence[Series], timestamp: int, tags: Mapping[str, str] | None = None
    ) -> None:
        """Append to metric histories, then write tags."""
        from mlflow.entities import Metric, RunTag

        check_series(series)
        if self._add_rows(handle, series=series, tags=tags, timestamp=timestamp):
            return
        marks = [RunTag(*pair) for pair in (tags or {}).items()]
        found = list(blocks(series, POINTS_PER_CALL))
        with self._calling(), _collector_paused():
            for block in found:
                points = [
                    Metric(one.key, value, time, step)
                    for one in block
                    for step, value, time in one.points(timestamp)
                ]
                self._log_batch(handle, points, tags=marks if block is found[-1] else [])

    def _log_batch(
        self,
        handle: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Any] = (),
        tags: Sequence[Any] = (),
    ) -> None:
        if self._sql is None:
            self._client.log_batch(handle, metrics=metrics, params=params, tags=tags)
        else:
            self._sql.log_batch(handle, list(metrics), list(params), list(tags))  # type: ignore[no-untyped-call]

    def log_files(self, handle: str, root: Path, files: Sequence[str]) -> None:
        """Store files under their paths below ``root``."""
        if not files:
            return
        # One call for all: each call asks the store for the run again.
        with self._calling(), tempfile.TemporaryDirectory(prefix="mmm-track-") as staging:
            for file in files:
                link = Path(staging) / file
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to((root / file).resolve(strict=True))
            self._client.log_artifacts(handle, staging)

    def log_dataset(self, handle: str, dataset: DatasetFacts) -> None:
        """Name the data; written by hand, since MLflow's own profile of a table costs half a second."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        columns = [{"type": kind, "name": name, "required": True} for name, kind in dataset.columns]
        is_artifact = dataset.context != "training"
        source = f"runs:/{handle}/{dataset.source}" if is_artifact else dataset.source
        entity = Dataset(
            name=dataset.name[:500],
            digest=dataset.digest[:36],
            source_type="local" if "://" not in dataset.source else "external",
            source=json.dumps({"uri": source}),
            schema=json.dumps({"mlflow_colspec": columns}),
            profile=json.dumps({"num_rows": dataset.n_rows, "num_elements": dataset.n_rows * len(columns)}),
        )
        with self._calling():
            tag = InputTag("mlflow.data.context", dataset.context)
            self._client.log_inputs(handle, datasets=[DatasetInput(entity, [tag])])

    def finish(self, handle: str, status: RunStatus, ended: int) -> None:
        """Close the run."""
        with self._calling():
            self._client.set_terminated(handle, str(status), ended)

    def delete(self, handle: str) -> None:
        """Take the run away; MLflow keeps it in its bin until `mlflow gc`."""
        with self._calling():
            self._client.delete_run(handle)

    def models(self, tags: Mapping[str, str]) -> list[TrackedModel]:
        """Logged models that carry all these tags."""
        conditions = " and ".join(f"tags.`{key}` = {_quoted(value)}" for key, value in tags.items())
        found: list[TrackedModel] = []
        token: str | None = None
        while True:
            with self._calling():
                page = self._client.search_logged_models(
                    [self._experiment], conditions, page_token=token, max_results=50
                )
            found += [
                TrackedModel(
                    model.model_id,
                    model.source_run_id or "",
                    model.tags.get("mmm.digest", ""),
                    str(model.status) == "READY",
                )
                for model in page
            ]
            token = page.token
            if not token:
                return sorted(found, key=lambda model: model.handle)

    def log_model(self, handle: str, model: ModelFacts, shown: ModelTexts) -> None:
        """Log a model as code and data, nothing pickled; MLflow's own way needs a global tracking URI."""
        from mlflow.entities import LoggedModelOutput, Metric
        from mlflow.models import Model

        points = [(key, float(value)) for key, value in shown.metrics.items()]
        with self._calling(), tempfile.TemporaryDirectory(prefix="mmm-model-") as staging:
            entry = self._client.create_logged_model(
                self._experiment,
                name=model.name,
                source_run_id=handle,
                tags={**shown.tags, "mmm.digest": model.digest},
                params=dict(shown.params),
                model_type="marketing mix model",
            )
            self._client.log_outputs(handle, [LoggedModelOutput(entry.model_id, step=0)])
            description = Model(
                artifact_path=entry.artifact_location,
                model_uuid=entry.model_id,
                run_id=handle,
                model_id=entry.model_id,
            )
            _save_model(Path(staging), model, description)
            self._client.log_model_artifacts(entry.model_id, str(Path(staging, "model")))
            for start in range(0, len(points), ENTITIES_PER_CALL):
                some = points[start : start + ENTITIES_PER_CALL]
                metrics = [Metric(*pair, shown.timestamp, 0, model_id=entry.model_id) for pair in some]
                self._log_batch(handle, metrics)
            self._client.finalize_logged_model(entry.model_id, "READY")

    def delete_model(self, handle: str) -> None:
        """Take a logged model away."""
        with self._calling():
            self._client.delete_logged_model(handle)

    def close(self) -> None:
        """Let go of the database file, and have it count its tables where many runs are new."""
        if self._sql is not None:
            self._sql.engine.dispose()
        if self._store.database is not None and self._started >= MANY_RUNS:
            with suppress(sqlite3.Error), closing(sqlite3.connect(self._store.database)) as connection:
                connection.execute("ANALYZE")

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Around calls to MLflow: our timeouts, no chatter, foreign errors as one sentence."""
        try:
            with _environment(SETTINGS), _quiet():
                yield
        except TrackingFailed:
            raise
        except Exception as error:  # MLflow, its databases and its transports raise whatever they like
            raise TrackingFailed(f"{self.location}: {self._reason(error)}") from error

    def _reason(self, error: Exception) -> str:
        text = " ".join(str(error).split())
        password = urlsplit(self._store.uri).password
        if password:
            text = text.replace(password, "***").replace(unquote(password), "***")
        if self._store.is_server and re.search("timed? ?out|Max retries|Connection|refused|resolve", text):
            return "no MLflow server answers there; start it, or correct the tracking URI"
        if "out-of-date database schema" in text:
            return f"made by another version of MLflow; bring it up to date with: mlflow db upgrade '{self.location}'"
        return f"MLflow failed ({type(error).__name__}: {shortened(text, 300)})"


def create_schema(store: Store) -> None:
    """Make the SQLite file with MLflow's tables, unless it exists.

    Processes that open a new file together run its migrations at once, fail, and can break it for good. So one at a
    time makes it under a lock, under another name, and the file appears complete or not at all.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path, artifacts = store.database, store.artifacts
    if path is None or artifacts is None or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)

    def migrate(temporary: Path) -> None:
        SqlAlchemyStore(_sqlite_store(temporary).uri, artifacts.as_uri())  # type: ignore[no-untyped-call]

    with locked(path.parent, f"making {path.name}"):
        if not path.exists():
            write_atomically(path, migrate)


def _check_file(path: Path) -> None:
    """Look before MLflow does, which tries ten times over 100 s to open a file that is damaged or locked."""
    try:
        with closing(
            sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=LOCK_SECONDS)
        ) as connection:
            tables = {
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
    except sqlite3.Error as error:
        raise TrackingFailed(f"{path}: the MLflow store cannot be read ({error})") from error
    if "experiments" not in tables:
        raise TrackingFailed(f"{path}: not an MLflow store, or half made; move it away and a new one is made")


def _check_port(store: Store) -> None:
    """The same for a database or a server: one that does not take a connection is not waited for."""
    parts = urlsplit(store.uri)
    port = parts.port or next((port for name, port in PORTS.items() if parts.scheme.startswith(name)), None)
    if parts.hostname is None or port is None or (store.is_server and getproxies().get(parts.scheme)):
        return
    try:
        socket.create_connection((parts.hostname, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or error
        what = "MLflow server" if store.is_server else "database"
        raise TrackingFailed(
            f"{store.shown}: no {what} answers there ({reason}); start it, or correct the tracking URI"
        ) from error


def _import_mlflow() -> None:
    os.environ.setdefault(
        "MLFLOW_DISABLE_TELEMETRY", "true"
    )  # read once, at import; a run tells nobody about itself
    with warnings.catch_warnings():
        # SQLAlchemy calls parts of MLflow's mappers deprecated while it reads them.
        warnings.simplefilter("ignore")
        try:
            import mlflow
            import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
        except ImportError as error:
            raise TrackingFailed(f"MLflow cannot be loaded ({error}); install it again") from error


def _client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


# The code of every logged model; what it computes is ``runner.scoring``, from the files logged beside it.
SERVED = '''\
"""A marketing mix model of mmm-runner: what its components bring, and how it responds to a plan."""

from pathlib import Path

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from runner.scoring import Scorer


class MarketingMixModel(PythonModel):
    def load_context(self, context):
        self.scorer = Scorer.open(Path(context.artifacts["run"]))

    def predict(self, context, model_input: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:
        return self.scorer.predict(model_input, params or {})


set_model(MarketingMixModel())
'''


def _save_model(staging: Path, model: ModelFacts, description: Any) -> None:
    """``staging/model`` in MLflow's format. Requirements are given: to find them out, MLflow starts a process."""
    import pandas as pd
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    run = staging / "run"
    for name, content in model.files.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(content)
    code = staging / "marketing_mix_model.py"
    code.write_text(SERVED, encoding="utf-8")
    # MLflow would refuse whole numbers where a column is said to hold doubles, and dates that are no text; the model
    # itself takes both, and says what it cannot use.
    anything: Any = AnyType  # untyped in MLflow
    columns: list[Any] = [ColSpec(anything(), name, False) for name in model.columns]
    options = [ParamSpec(name, DataType.string, default) for name, default in model.options.items()]
    pyfunc.save_model(
        path=str(staging / "model"),
        python_model=str(code),
        artifacts={"run": str(run)},
        signature=ModelSignature(Schema(columns), params=ParamSchema(options)),
        input_example=(pd.DataFrame(dict(model.example)), dict(model.options)),
        pip_requirements=["mmm-runner" if "unknown" in __version__ else f"mmm-runner=={__version__}"],
        mlflow_model=description,
    )


def _sql_store(store: Store) -> SqlAlchemyStore:
    """MLflow's store of a database, without the client around it; both share one engine."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    artifacts = store.artifacts.as_uri() if store.artifacts else None
    return SqlAlchemyStore(store.uri, artifacts)  # type: ignore[no-untyped-call]


def _quoted(value: str) -> str:
    """A text in MLflow's filter language, which has no escapes: only one kind of quote can be inside."""
    if "'" in value and '"' in value:
        raise TrackingFailed(f"{value}: MLflow cannot search for a text with both kinds of quotes; rename it")
    return f'"{value}"' if "'" in value else f"'{value}'"


def rows_of(sql: SqlAlchemyStore | None) -> Rows | None:
    """The quick way into a database; None over HTTP, and where the installed MLflow keeps more than it knows of."""
    rows = None if sql is None else Rows(sql)
    return rows if rows is not None and rows.fit else None


def _single_points(values: Mapping[str, float]) -> list[Series]:
    """Single metrics, which MLflow keeps as histories of one step."""
    import numpy as np

    step = np.zeros(1, np.int64)
    return [Series(key, step, np.array([float(value)])) for key, value in values.items()]


@dataclass
class _Calls:
    """Lists of entities, put into calls in the order given; what fits goes with what came before."""

    made: list[dict[str, list[Any]]] = field(default_factory=list)

    def add(self, kind: str, entities: list[Any]) -> None:
        """One list, to be sent whole."""
        last = self.made[-1] if self.made else {}
        room = ENTITIES_PER_CALL - sum(map(len, last.values()))
        if not self.made or kind in last or room < len(entities):
            self.made.append({kind: entities})
        else:
            last[kind] = entities


def _chunks(pairs: Mapping[str, str]) -> Iterator[list[tuple[str, str]]]:
    """The pairs, so many at a time as one request may carry."""
    chunk: list[tuple[str, str]] = []
    characters = 0
    for key, value in pairs.items():
        size = len(key) + len(value)
        if chunk and (len(chunk) == PAIRS_PER_CALL or characters + size > CHARACTERS_PER_CALL):
            yield chunk
            chunk, characters = [], 0
        chunk.append((key, value))
        characters += size
    if chunk:
        yield chunk


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Variables for the time of a call; those that the user has set stay as they are."""
    mine = {key: value for key, value in settings.items() if key not in os.environ}
    os.environ.update(mine)
    try:
        yield
    finally:
        for key in mine:
            os.environ.pop(key, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """No log lines of MLflow and its libraries: what matters in them becomes the error's sentence."""
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the cyclic garbage collector: SQLAlchemy makes an object a metric, and a quarter of the time went there."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
