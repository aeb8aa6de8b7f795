"""From a run folder to a tracker: the folder is the truth, the tracker is brought to its state.

What a run folder becomes:

    kind   name      one for                 carries
    run    run id    the whole folder        resolved spec, losses of the best model, data, tables, report
    trial  trial-01  each independent search metric histories: losses and effect shares of every candidate by iteration
    model  3_120     each selected model     hyperparameters, fit, decomposition, its JSON, page and plans

A run is known by its tags ``mmm.run_id``, ``mmm.kind`` and ``mmm.name`` and is complete once ``mmm.complete`` is set,
the last thing written. So mirroring twice changes nothing, and after a failure it does what is missing.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmm_core.types import LOSS_COLUMNS
from runner.findings import Finding, Severity
from runner.run_folder import RunFolder
from runner.spec import ExperimentSpec
from runner.tables import read_table
from runner.tracking.base import (
    PARAM_LENGTH,
    TAG_LENGTH,
    DatasetFacts,
    RunStatus,
    Series,
    TrackedRun,
    Tracker,
    TrackingFailed,
    blocks,
    finite_series,
    legal_key,
    locked,
    name_tags,
    shortened,
)
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store

if TYPE_CHECKING:
    import pyarrow as pa

# Part of every digest: a change of what is written or how it is named writes complete runs anew.
LAYOUT = 1
KINDS = ("run", "trial", "model", "candidate")
LOSSES = tuple(name for name in LOSS_COLUMNS if name != "intercept")
HISTORY = ("nrmse", "nrmse_train", "nrmse_val", "nrmse_test", "decomp_rssd")
# They tell how long the run took, the mirroring included: a change in that alone is no reason to write again.
VOLATILE = ("manifest.json", "timings.json")
VOLATILE_KEYS = {"summary.json": ("seconds",)}
SINGLE_FILES = ("spec.yaml", "summary.json", "findings.json", *VOLATILE)
FILE_PATTERNS = (
    "*.parquet",
    "candidates/*.parquet",
    "models/*.json",
    "report/**/*",
    "scenarios/**/*.parquet",
    "tables/**/*",
)
STATUSES = {
    "running": RunStatus.RUNNING,
    "failed": RunStatus.FAILED,
    "interrupted": RunStatus.KILLED,
    "stopped": RunStatus.KILLED,
}


@dataclass(frozen=True, eq=False)
class RunContent:
    """One run as it should be."""

    kind: str
    name: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    series: Sequence[Series] = ()
    files: Sequence[str] = ()  # paths below the run folder
    dataset: DatasetFacts | None = None
    status: RunStatus = RunStatus.FINISHED

    @property
    def n_points(self) -> int:
        """Metric values to write."""
        return len(self.metrics) + sum(len(series.steps) for series in self.series)


@dataclass(frozen=True)
class MirrorReport:
    """What a mirroring did; ``written`` runs are new, ``renewed`` ones got newer files or tags."""

    store: str
    experiment: str
    run_id: str
    written: tuple[str, ...]
    renewed: tuple[str, ...]
    unchanged: tuple[str, ...]
    deleted: int
    points: int

    @property
    def sentence(self) -> str:
        """For the terminal."""
        changes = (
            f"{len(self.written)} runs written, {len(self.renewed)} renewed, {len(self.unchanged)} unchanged"
        )
        return f"MLflow {self.store}, experiment {self.experiment}: {changes}"

    def as_record(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


class Patience:
    """How long a mirroring may take: a store that answers slowly must not hold up a run.

    The allowance is several times what SQLite and servers were seen to need: 20 s, and 1 s for every 1,000 points (they
    take 4,000 to 12,000 a second, on a busy machine half of that), and 1 s for every run. ``factor`` 0 waits for ever.
    """

    def __init__(self, factor: float = 1.0) -> None:
        self._factor = factor
        self._started = time.monotonic()
        self._allowance = math.inf

    def start(self, contents: Sequence[RunContent]) -> None:
        """Count from now, for so much work."""
        if self._factor:
            points = sum(content.n_points for content in contents)
            self._allowance = self._factor * (20 + points / 1000 + len(contents))
        self._started = time.monotonic()

    def check(self) -> None:
        """Raise TrackingFailed when the time is over."""
        taken = time.monotonic() - self._started
        if taken > self._allowance:
            raise TrackingFailed(f"the tracking store is too slow: not done after {taken:.0f} s")


# ---------------------------------------------------------------------------------------------------------- reading


def read_contents(folder: RunFolder) -> list[RunContent]:
    """What the tracker should hold of a run folder: the run, its trials, its models, other candidates asked for.

    A folder that is not finished gives what there is. Keys and values are within MLflow's limits, numbers are finite.
    """
    spec, manifest = folder.spec(), folder.manifest()
    contents = [
        _whole(folder, spec, manifest),
        *_trials(folder, spec),
        *_models(folder),
        *_candidates(folder, spec),
    ]
    return [_legal(content) for content in contents]


def _whole(folder: RunFolder, spec: ExperimentSpec, manifest: Mapping[str, Any]) -> RunContent:
    summary = folder.json("summary") if (folder.path / "summary.json").is_file() else {}
    best = (summary.get("selected") or [{}])[0]
    metrics = [(name, summary.get(name)) for name in ("candidates", "candidates_per_second")]
    metrics += [(name, best.get(name)) for name in ("error_score", *LOSSES)]
    metrics += [
        (f"{e}_{channel}", value) for e in ("roas", "cpa") for channel, value in best.get(e, {}).items()
    ]
    tags = {
        "mmm.spec_digest": manifest["spec_digest"],
        "mmm.data_digest": manifest["data_digest"],
        "mmm.problem_digest": manifest["problem_digest"],
        "mmm.version": manifest["versions"]["mmm-runner"],
        "mmm.status": manifest["status"],
        "mmm.outcome_kind": str(spec.outcome.kind),
    }
    if "candidate" in best:
        tags["best_candidate"] = best["candidate"]
    return RunContent(
        kind="run",
        name=manifest["run_id"],
        params=_spec_params(spec),
        metrics=_distinct(metrics),
        tags=tags,
        files=_files(folder.path, FILE_PATTERNS, SINGLE_FILES),
        dataset=_dataset(folder, spec, manifest["data_digest"]),
        status=STATUSES.get(manifest["status"], RunStatus.FINISHED),
    )


def _spec_params(spec: ExperimentSpec) -> dict[str, str]:
    """The resolved spec, flat. Where it is tracked is no parameter, and may hold a password."""
    tree = spec.resolved()
    del tree["tracking"]
    return dict(_flat(tree))


def _flat(tree: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """``channels: [{name: tv, spend: s}]`` as ``channels.tv.spend: s``; other lists as JSON."""
    if isinstance(tree, list) and tree and all(isinstance(item, dict) and "name" in item for item in tree):
        tree = {item["name"]: {k: v for k, v in item.items() if k != "name"} for item in tree}
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree if isinstance(tree, str) else json.dumps(tree, ensure_ascii=False)


def _dataset(folder: RunFolder, spec: ExperimentSpec, digest: str) -> DatasetFacts:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(folder.path / "inputs" / "panel.parquet")
    columns = tuple((column.name, _column_type(column.type)) for column in file.schema_arrow)
    name = Path(spec.data.path).name or spec.name
    return DatasetFacts(name, digest[:36], spec.data.path, columns, file.metadata.num_rows)


def _column_type(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return "datetime"
    return "double" if pa.types.is_floating(kind) else "long" if pa.types.is_integer(kind) else "string"


def _trials(folder: RunFolder, spec: ExperimentSpec) -> list[RunContent]:
    return [_trial(path, spec) for path in sorted(folder.path.glob("candidates/trial-*.parquet"))]


def _trial(path: Path, spec: ExperimentSpec) -> RunContent:
    table = read_table(path)
    steps = table["iteration"].to_numpy().astype("int64")
    losses = [*HISTORY, "mape"] if spec.calibration else list(HISTORY)
    names = losses + [f"effect_share_{channel.name}" for channel in spec.channels]
    series = [finite_series(name, steps, table[name].to_numpy()) for name in names]
    best: list[tuple[str, float | None]] = [("candidates", table.num_rows)]
    best += [
        (f"best_{s.key}", s.values.min())
        for s in series
        if s.key in ("nrmse", "decomp_rssd") and len(s.values)
    ]
    return RunContent(
        kind="trial",
        name=path.stem,
        params={
            "trial": str(table["trial"][0]) if table.num_rows else path.stem.rpartition("-")[2],
            "optimizer": spec.search.optimizer,
            "iterations": str(spec.search.iterations),
            "batch_size": str(spec.search.batch_size),
            "seed": str(spec.search.seed),
        },
        metrics=_distinct(best),
        series=[s for s in series if len(s.steps)],
    )


def _models(folder: RunFolder) -> list[RunContent]:
    if not (folder.path / "clusters.parquet").is_file():
        return []
    fronts: dict[str, int] = {}
    if (folder.path / "pareto.parquet").is_file():
        fronts = {row["candidate"]: row["front"] for row in folder.table("pareto").to_pylist()}
    paths = [folder.path / "models" / f"{candidate}.json" for candidate in folder.selected()]
    return [_model(folder.path, path, fronts) for path in paths if path.is_file()]


def _model(root: Path, path: Path, fronts: Mapping[str, int]) -> RunContent:
    record = json.loads(path.read_text(encoding="utf-8"))
    candidate = record["candidate"]
    tags = {"candidate": candidate, "cluster": str(record["cluster"]), "selected": "true"}
    if candidate in fronts:
        tags["front"] = str(fronts[candidate])
    facts = ("candidate", "trial", "iteration", "cluster", "adstock", "intercept_rule", "lambda")
    patterns = (f"report/{candidate}.png", f"scenarios/*/{candidate}.parquet")
    return RunContent(
        kind="model",
        name=candidate,
        params={name: _text(record[name]) for name in facts} | _texts(record["hyperparameters"]),
        metrics=_distinct(_model_metrics(record)),
        tags=tags,
        files=_files(root, patterns, [f"models/{candidate}.json"]),
    )


def _candidates(folder: RunFolder, spec: ExperimentSpec) -> list[RunContent]:
    """Candidates that were not selected and are runs of their own all the same: the first front, or all of them."""
    if spec.tracking.candidates == "selected" or not (folder.path / "clusters.parquet").is_file():
        return []
    fronts = {row["candidate"]: row["front"] for row in folder.table("pareto").to_pylist()}
    clusters = {row["candidate"]: row["cluster"] for row in folder.table("clusters").to_pylist()}
    selected = set(folder.selected())
    wanted = {candidate for candidate, front in fronts.items() if front == 1}
    contents = []
    for path in sorted(folder.path.glob("candidates/trial-*.parquet")):
        for row in read_table(path).to_pylist():
            candidate = row["candidate"]
            if candidate not in selected and (candidate in wanted or spec.tracking.candidates == "all"):
                places = {"front": fronts.get(candidate), "cluster": clusters.get(candidate)}
                tags = {name: str(place) for name, place in places.items() if place is not None}
                contents.append(_candidate(row, tags))
    return contents


def _candidate(row: Mapping[str, Any], tags: Mapping[str, str]) -> RunContent:
    names = list(row)
    hyperparameters = names[names.index("status") + 1 : names.index("lambda")]
    facts = ("candidate", "trial", "iteration", "status", "lambda", *hyperparameters)
    return RunContent(
        kind="candidate",
        name=row["candidate"],
        params={name: _text(row[name]) for name in facts},
        metrics=_distinct((name, row[name]) for name in names[names.index("lambda") + 1 :]),
        tags={"candidate": row["candidate"], "selected": "false", **tags},
    )


def _model_metrics(record: Mapping[str, Any]) -> Iterable[tuple[str, float | None]]:
    """Fit, then decomposition, then intervals: in a clash of names the plainer quantity keeps its name."""
    yield from ((name, record["losses"].get(name)) for name in LOSSES)
    yield from ((name, record.get(name)) for name in ("error_score", "intercept"))
    for component in record["components"]:
        yield f"contribution_{component['name']}", component["contribution"]
    for component in record["components"]:
        yield f"contribution_share_{component['name']}", component["share"]
    paid = [channel for channel in record["channels"] if channel["kind"] == "paid"]
    for channel in paid:
        yield from (
            (f"{name}_{channel['name']}", channel.get(name)) for name in ("effect_share", "spend_share")
        )
        yield from ((f"{name}_{channel['name']}", channel.get(name)) for name in ("roas", "cpa"))
    for channel in paid:
        efficiency = "roas" if "roas" in channel else "cpa"
        yield from ((f"{efficiency}_{channel['name']}_{end}", channel.get(end)) for end in ("lower", "upper"))


def _distinct(pairs: Iterable[tuple[str, float | None]]) -> dict[str, float]:
    """Known, finite values by name; a name that exists already (a channel ``tv`` with lower and upper bounds beside a
    channel ``tv_lower``) goes on with ``:2``.
    """
    values: dict[str, float] = {}
    for name, value in pairs:
        if value is None or not math.isfinite(value):
            continue
        while name in values:
            name += ":2"
        values[name] = float(value)
    return values


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items()}


def _files(root: Path, patterns: Iterable[str], names: Iterable[str]) -> list[str]:
    found = [root / name for name in names] + [
        path for pattern in patterns for path in sorted(root.glob(pattern))
    ]
    relative = [path.relative_to(root) for path in found if path.is_file()]
    # A dot file is one that is being written.
    return list(dict.fromkeys(path.as_posix() for path in relative if not path.name.startswith(".")))


def _legal(content: RunContent) -> RunContent:
    """The content under keys and in lengths that MLflow takes."""
    names = [*content.params, *content.metrics, *(series.key for series in content.series)]
    return replace(
        content,
        params={legal_key(key): shortened(text, PARAM_LENGTH) for key, text in content.params.items()},
        metrics={legal_key(key): value for key, value in content.metrics.items()},
        series=[replace(series, key=legal_key(series.key)) for series in content.series],
        tags={key: shortened(text, TAG_LENGTH) for key, text in {**content.tags, **name_tags(names)}.items()},
    )


# ---------------------------------------------------------------------------------------------------------- digests


def values_digest(content: RunContent) -> str:
    """SHA-256 of what cannot be changed once written: parameters, metrics, histories, data, the set of tags."""
    dataset = asdict(content.dataset) if content.dataset else None
    plain = [
        LAYOUT,
        sorted(content.params.items()),
        sorted(content.metrics.items()),
        sorted(content.tags),
        dataset,
    ]
    digest = hashlib.sha256(json.dumps(plain).encode())
    for series in content.series:
        digest.update(series.key.encode() + series.steps.tobytes() + series.values.tobytes())
    return digest.hexdigest()


def extras_digest(content: RunContent, root: Path) -> str:
    """SHA-256 of what may be replaced: tags, status, files."""
    digest = hashlib.sha256(json.dumps([sorted(content.tags.items()), str(content.status)]).encode())
    for file in sorted(content.files):
        if file not in VOLATILE:
            digest.update(file.encode() + hashlib.sha256(_stable_bytes(root, file)).digest())
    return digest.hexdigest()


def _stable_bytes(root: Path, file: str) -> bytes:
    content = (root / file).read_bytes()
    if file not in VOLATILE_KEYS:
        return content
    tree = json.loads(content)
    return json.dumps({key: value for key, value in tree.items() if key not in VOLATILE_KEYS[file]}).encode()


# ---------------------------------------------------------------------------------------------------------- writing


class _Writer:
    """Brings one experiment of a tracker to the state of one run folder."""

    def __init__(self, folder: RunFolder, tracker: Tracker, patience: Patience) -> None:
        self.root = folder.path
        self.tracker = tracker
        self.patience = patience
        manifest = folder.manifest()
        self.run_id = manifest["run_id"]
        # One timestamp for everything: a metric point written twice is then the same point.
        self.created = int(datetime.fromisoformat(manifest["created"]).timestamp() * 1000)
        self.ended = self.created + _duration(folder)
        self.written: list[str] = []
        self.renewed: list[str] = []
        self.unchanged: list[str] = []
        self.deleted = 0
        self.points = 0

    def bring(self, contents: Sequence[RunContent]) -> None:
        """Write what is missing, renew what is old, delete what is too much."""
        found = self.tracker.find({"mmm.run_id": self.run_id})
        self.delete_all(run for run in found if _identity(run) not in {(c.kind, c.name) for c in contents})
        parent: str | None = None
        for position, content in enumerate(contents):
            same = [run for run in found if _identity(run) == (content.kind, content.name)]
            # MLflow shows the newest on top: the run itself, its trials, its models.
            handle = self.bring_one(content, same, parent, self.created - position)
            parent = parent or handle

    def bring_one(
        self, content: RunContent, found: Sequence[TrackedRun], parent: str | None, started: int
    ) -> str:
        """One run; its handle."""
        digests = {
            "mmm.values_digest": values_digest(content),
            "mmm.extras_digest": extras_digest(content, self.root),
        }
        good = [run for run in found if _is_complete(run, digests["mmm.values_digest"])][:1]
        self.delete_all(run for run in found if run not in good)
        if not good:
            return self.write(content, digests, parent, started)
        run = good[0]
        if run.tags.get("mmm.extras_digest") != digests["mmm.extras_digest"]:
            self.write_extras(run.handle, content, digests)
            self.renewed.append(content.name)
        else:
            self.unchanged.append(content.name)
        if parent is not None and run.tags.get("mlflow.parentRunId") != parent:
            self.tracker.log(run.handle, tags={"mlflow.parentRunId": parent})
        return run.handle

    def write(self, content: RunContent, digests: Mapping[str, str], parent: str | None, started: int) -> str:
        """A new run, complete."""
        self.patience.check()
        tags = {"mmm.run_id": self.run_id, "mmm.kind": content.kind, "mmm.name": content.name}
        tags |= {"mlflow.source.name": "mmm", "mlflow.source.type": "LOCAL"}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        handle = self.tracker.start(content.name, tags, started)
        self.tracker.log(handle, params=content.params, metrics=content.metrics, timestamp=self.created)
        for block in blocks(content.series):
            self.patience.check()
            self.tracker.log_series(handle, block, self.created)
        if content.dataset is not None:
            self.tracker.log_dataset(handle, content.dataset)
        self.write_extras(handle, content, digests)
        self.points += content.n_points
        self.written.append(content.name)
        return handle

    def write_extras(self, handle: str, content: RunContent, digests: Mapping[str, str]) -> None:
        """Files, tags and status; the mark of completeness last."""
        self.patience.check()
        self.tracker.log_files(handle, self.root, content.files)
        self.tracker.log(handle, tags=content.tags)
        self.tracker.finish(handle, content.status, self.ended)
        self.tracker.log(handle, tags={**digests, "mmm.complete": "true"})

    def delete_all(self, runs: Iterable[TrackedRun]) -> None:
        """Take runs away that are incomplete, doubled, or of models that are not selected any more."""
        for run in runs:
            if run.tags.get("mmm.kind") in KINDS:
                self.tracker.delete(run.handle)
                self.deleted += 1


def _identity(run: TrackedRun) -> tuple[str | None, str | None]:
    return run.tags.get("mmm.kind"), run.tags.get("mmm.name")


def _is_complete(run: TrackedRun, digest: str) -> bool:
    return run.tags.get("mmm.complete") == "true" and run.tags.get("mmm.values_digest") == digest


def _duration(folder: RunFolder) -> int:
    """Milliseconds the run took; 0 before it is known."""
    path = folder.path / "timings.json"
    seconds = folder.json("timings").get("total") if path.is_file() else 0
    return int(1000 * (seconds or 0))


def mirror(folder: RunFolder, tracker: Tracker, patience: Patience | None = None) -> MirrorReport:
    """Bring a tracker to the state of a run folder.

    Args:
        folder: read only. tracker: where to. patience: how long it may take; default for ever.
    Returns:
        What was done.
    Raises:
        TrackingFailed: the tracker failed, or another process is mirroring this folder. What was written stays, and
            the next mirroring goes on from there.
    """
    patience = patience or Patience(factor=0)
    spec = folder.spec()
    contents = read_contents(folder)
    with locked(folder.path, f"mirroring {folder.run_id}"):
        patience.start(contents)
        writer = _Writer(folder, tracker, patience)
        tracker.open(spec.experiment)
        writer.bring(contents)
    return MirrorReport(
        store=tracker.location,
        experiment=spec.experiment,
        run_id=writer.run_id,
        written=tuple(writer.written),
        renewed=tuple(writer.renewed),
        unchanged=tuple(writer.unchanged),
        deleted=writer.deleted,
        points=writer.points,
    )


def mirror_to(
    folder: RunFolder, tracking_uri: str | None = None, patience: Patience | None = None
) -> MirrorReport:
    """Bring MLflow to the state of a run folder.

    Args:
        folder: read only. tracking_uri: wins over the spec's, that over MLFLOW_TRACKING_URI, that over an SQLite file
        beside the run folder. patience: how long it may take; default for ever.
    Raises:
        TrackingFailed: as ``mirror``.
    """
    store = choose_store(folder.path.resolve().parent, tracking_uri, folder.spec().tracking.uri)
    tracker = MlflowTracker(store)
    try:
        return mirror(folder, tracker, patience)
    finally:
        tracker.close()


def mirror_quietly(folder: RunFolder, spec: ExperimentSpec, tracking_uri: str | None = None) -> list[Finding]:
    """The last stage of a run: mirror it, and make a finding of any failure. Never raises.

    Args:
        folder: complete, its status and summary written. spec: says whether to track at all. tracking_uri: as in
        ``mirror_to``.
    Returns:
        Nothing, or one warning.
    """
    if not spec.tracking.enabled:
        return []
    try:
        mirror_to(folder, tracking_uri, Patience())
    except TrackingFailed as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - a mirror must not cost a result, whatever happens to it
        reason = f"{type(error).__name__}: {error}"
    else:
        return []
    return [
        Finding(
            "tracking-failed",
            Severity.WARNING,
            f"MLflow does not show this run, or not all of it: {reason}.",
            f"Run `mmm track {folder.run_id}` later; it brings MLflow to the state of the run folder.",
        )
    ]
