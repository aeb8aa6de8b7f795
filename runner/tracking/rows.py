"""What is new of a run, written to MLflow's database as rows, by MLflow's own tables.

MLflow's store makes several Python objects of every point, parameter and tag, and asks for each run many times: 70 us a
point and 24 ms a run of a hundred numbers, where the database itself needs 9 us and 2 ms. So points, parameters and
tags go in here by SQLAlchemy's bulk insert, in one transaction a call, into the tables as the installed MLflow declares
them; and small runs whole, many in one transaction. It stays MLflow's business to make schema, experiments, inputs and
models, and to read everything but which runs there are: for that it reads all of their numbers.

Two rules make it safe. It is used only where the tables have exactly the columns known here, so that another MLflow
that keeps more of a point or a run does so by itself. And it only ever adds: where the database says that something is
there already, nothing is written and the caller takes MLflow's way, which knows what to do. Tests read back what both
ways wrote and find it equal.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.tracking.base import NewRun, RunStatus, Series, TrackedRun, TrackingFailed

if TYPE_CHECKING:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

# A transaction of a history: large enough that its own cost vanishes, small enough that others are let in between.
POINTS_PER_TRANSACTION = 10_000
# The same of small runs, of some hundred rows each.
RUNS_PER_TRANSACTION = 100

_POINT = {"run_uuid", "key", "value", "timestamp", "step", "is_nan"}
_PAIR = {"run_uuid", "key", "value"}
# Version and variant of the ids of runs; 12 bits between them count the runs of one call.
_VERSION_7 = 0x7 << 76 | 0b10 << 62
_RUN = {
    "run_uuid",
    "name",
    "source_type",
    "source_name",
    "entry_point_name",
    "user_id",
    "status",
    "start_time",
    "end_time",
    "deleted_time",
    "source_version",
    "lifecycle_stage",
    "artifact_uri",
    "experiment_id",
}


class Rows:
    """Adds to the runs of one database."""

    def __init__(self, store: SqlAlchemyStore) -> None:
        """Nothing is read or written yet."""
        from mlflow.store.tracking.dbmodels import models

        self._store = store
        self._experiment: Any = models.SqlExperiment
        self._run: Any = models.SqlRun
        self._metric: Any = models.SqlMetric
        self._latest: Any = models.SqlLatestMetric
        self._param: Any = models.SqlParam
        self._tag: Any = models.SqlTag

    @property
    def fit(self) -> bool:
        """Whether the installed MLflow keeps what this module writes, and nothing else."""
        return (
            all(_columns(table) == _POINT for table in (self._metric, self._latest))
            and all(_columns(table) == _PAIR for table in (self._param, self._tag))
            and _columns(self._run) == _RUN
        )

    def add(
        self,
        handle: str,
        *,
        series: Sequence[Series] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        timestamp: int = 0,
        ending: tuple[RunStatus, int] | None = None,
    ) -> bool:
        """All of it or, where the database has some of it already, nothing.

        Args:
            handle: of the run. series, params, tags: legal and finite; a tag is replaced. timestamp: of the points.
            ending: status and time, milliseconds since 1970, to close the run with.
        Returns:
            Whether it was written.
        """
        try:
            with self._store.ManagedSessionMaker(read_only=False) as session:
                if not self._is_active(session, handle):
                    return False
                self._add_points(session, handle, series, timestamp)
                self._insert(session, self._param, _pairs([(handle, params or {})]))
                self._replace_tags(session, handle, tags or {})
                if ending is not None:
                    self._close(session, handle, *ending)
        except Exception as error:  # MLflow wraps what its sessions raise
            if _is_there_already(error):
                return False
            raise
        return True

    def add_runs(self, experiment: str, runs: Sequence[NewRun]) -> list[str]:
        """All of the runs or none, as MLflow would make, fill and close them; their handles.

        Args:
            experiment: its id. runs: texts and metrics legal and finite.
        Raises:
            TrackingFailed: the experiment is not there, or was deleted.
        """
        handles = _handles(len(runs))
        new = list(zip(handles, runs, strict=True))
        with self._store.ManagedSessionMaker(read_only=False) as session:
            location = self._location(session, experiment)
            rows = [_run_row(handle, run, experiment, location) for handle, run in new]
            points = [point for pair in new for point in _points_of(*pair)]
            self._insert(session, self._run, rows)
            self._insert(session, self._metric, points)
            self._insert(session, self._latest, points)
            self._insert(session, self._param, _pairs((handle, run.params) for handle, run in new))
            self._insert(session, self._tag, _pairs((handle, _tags_of(run)) for handle, run in new))
        return handles

    def _location(self, session: Any, experiment: str) -> str:
        """Where artifacts of an experiment lie."""
        from sqlalchemy import select

        columns = self._experiment.artifact_location, self._experiment.lifecycle_stage
        asked = select(*columns).where(self._experiment.experiment_id == int(experiment))
        found = session.execute(asked).first()
        if found is None or found.lifecycle_stage != "active":
            raise TrackingFailed("the experiment was deleted while it was written to; restore it in MLflow")
        return str(found.artifact_location)

    def find(self, experiment: str, tags: Mapping[str, str]) -> list[TrackedRun]:
        """Runs of an experiment that carry all these tags and are not deleted, with their tags, by their handles."""
        from sqlalchemy import select

        run, tag = self._run, self._tag
        wanted = select(run.run_uuid).where(
            run.experiment_id == int(experiment), run.lifecycle_stage == "active"
        )
        for key, value in tags.items():
            carry = select(tag.run_uuid).where(tag.key == key, tag.value == value)
            wanted = wanted.where(run.run_uuid.in_(carry))
        with self._store.ManagedSessionMaker() as session:
            found: dict[str, dict[str, str]] = {handle: {} for (handle,) in session.execute(wanted)}
            asked = select(tag.run_uuid, tag.key, tag.value).where(tag.run_uuid.in_(wanted))
            for handle, key, value in session.execute(asked):
                if handle in found:  # not of a run that appeared in between
                    found[handle][key] = value
        return [TrackedRun(handle, found[handle]) for handle in sorted(found)]

    def _insert(self, session: Any, table: Any, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            session.execute(table.__table__.insert(), rows)

    def _is_active(self, session: Any, handle: str) -> bool:
        from sqlalchemy import select

        stage = session.execute(
            select(self._run.lifecycle_stage).where(self._run.run_uuid == handle)
        ).scalar()
        return bool(stage == "active")

    def _add_points(self, session: Any, handle: str, series: Sequence[Series], timestamp: int) -> None:
        rows = [
            _point(handle, one.key, value, time, step)
            for one in series
            for step, value, time in one.points(timestamp)
        ]
        if rows:
            self._insert(session, self._metric, rows)
            self._renew_latest(session, _last_points(rows))

    def _renew_latest(self, session: Any, points: Sequence[dict[str, Any]]) -> None:
        """The last point of each history, which MLflow keeps apart for its tables; of two, the one it would take."""
        from sqlalchemy import and_, select

        latest, handle = self._latest, points[0]["run_uuid"]
        asked = select(latest.key, latest.step, latest.timestamp, latest.value).where(
            latest.run_uuid == handle
        )
        known = {key: tuple(rest) for key, *rest in session.execute(asked)}
        new = [point for point in points if point["key"] not in known]
        self._insert(session, latest, new)
        for point in points:
            if _place(point) > known.get(point["key"], _place(point)):
                is_it = and_(latest.run_uuid == handle, latest.key == point["key"])
                session.execute(latest.__table__.update().where(is_it).values(**point))

    def _replace_tags(self, session: Any, handle: str, tags: Mapping[str, str]) -> None:
        from sqlalchemy import and_

        if tags:
            old = and_(self._tag.run_uuid == handle, self._tag.key.in_(list(tags)))
            session.execute(self._tag.__table__.delete().where(old))
            self._insert(session, self._tag, _pairs([(handle, tags)]))

    def _close(self, session: Any, handle: str, status: RunStatus, ended: int) -> None:
        values = {"status": str(status), "end_time": ended}
        session.execute(self._run.__table__.update().where(self._run.run_uuid == handle).values(**values))


def _columns(table: Any) -> set[str]:
    return set(table.__table__.columns.keys())


def _point(handle: str, key: str, value: float, timestamp: int, step: int) -> dict[str, Any]:
    return {
        "run_uuid": handle,
        "key": key,
        "value": value,
        "timestamp": timestamp,
        "step": step,
        "is_nan": False,
    }


def _handles(n: int) -> list[str]:
    """Ids of runs in the order of time and within it, as UUIDs of version 7 are.

    The tables are sorted by run. Of random ids, such as MLflow's own, every row of a run goes to a page of its own once
    there are thousands of runs; of these, many go to one.
    """
    now = time.time_ns() // 1_000_000
    return [uuid.UUID(int=_VERSION_7 | now << 80 | i << 64 | secrets.randbits(62)).hex for i in range(n)]


def _points_of(handle: str, run: NewRun) -> Iterator[dict[str, Any]]:
    return (_point(handle, key, float(value), run.timestamp, 0) for key, value in run.metrics.items())


def _pairs(pairs: Iterable[tuple[str, Mapping[str, str]]]) -> list[dict[str, Any]]:
    return [
        {"run_uuid": handle, "key": key, "value": value}
        for handle, some in pairs
        for key, value in some.items()
    ]


def _run_row(handle: str, run: NewRun, experiment: str, location: str) -> dict[str, Any]:
    """A run as MLflow's client makes it and ``set_terminated`` closes it."""
    from mlflow.utils.uri import append_to_uri_path

    status, ended = run.ending
    return {
        "run_uuid": handle,
        "name": run.name,
        "source_type": "UNKNOWN",
        "source_name": "",
        "entry_point_name": "",
        "user_id": "unknown",
        "status": str(status),
        "start_time": run.started,
        "end_time": ended,
        "deleted_time": None,
        "source_version": "",
        "lifecycle_stage": "active",
        "artifact_uri": append_to_uri_path(location, handle, "artifacts"),  # type: ignore[no-untyped-call]
        "experiment_id": int(experiment),
    }


def _tags_of(run: NewRun) -> dict[str, str]:
    return {**run.known, "mlflow.runName": run.name, **run.tags}


def _last_points(points: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of every key the point of its last step."""
    last: dict[str, dict[str, Any]] = {}
    for point in points:
        known = last.get(point["key"])
        if known is None or _place(point) > _place(known):
            last[point["key"]] = point
    return list(last.values())


def _place(point: Mapping[str, Any]) -> tuple[int, int, float]:
    """By what MLflow decides which of two points is the latest."""
    return point["step"], point["timestamp"], point["value"]


def _is_there_already(error: BaseException | None) -> bool:
    """Whether the database refused a row because it has it."""
    from sqlalchemy.exc import IntegrityError

    while error is not None:
        if isinstance(error, IntegrityError):
            return True
        error = error.__cause__ or error.__context__
    return False
