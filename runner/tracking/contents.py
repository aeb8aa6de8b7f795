"""What a run folder becomes in MLflow: runs with their parameters, metrics, histories, tags and files, as plain data.

    kind       name      one for                 carries
    portfolio  run id    runs that belong        what they have in common; their own runs are below it
                         together
    run        run id    the whole folder        resolved spec, all numbers of the best model, data, tables, report
    trial      trial-01  each independent search metric histories: losses, effect shares and ROAS of every candidate
    model      3_120     each selected model     hyperparameters, fit, decomposition, files, a model to load
    candidate  2_77      others worth a run      hyperparameters, fit, decomposition

Names are the same at every kind (``nrmse``, ``roas_tv``), so that MLflow's pages can put a run, a model and a candidate
side by side. Everything here is a function of the folder: read twice it is the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmm_core.types import LOSS_COLUMNS
from runner.run_folder import RunFolder
from runner.scoring import DATE, OPTIONS, scoring_files
from runner.spec import ExperimentSpec
from runner.tables import read_table
from runner.tracking import machine
from runner.tracking.base import (
    PARAM_LENGTH,
    TAG_LENGTH,
    DatasetFacts,
    ModelFacts,
    RunStatus,
    Series,
    finite_series,
    legal_key,
    name_tags,
    shortened,
    without_password,
)
from runner.tracking.notes import NOTE, model_note, run_note, trial_note

if TYPE_CHECKING:
    import pyarrow as pa

# Part of every digest: a change of what is written or how it is named writes complete runs anew.
LAYOUT = 3
KINDS = ("portfolio", "run", "trial", "model", "candidate")
LOSSES = tuple(name for name in LOSS_COLUMNS if name != "intercept")
# What a run of its own costs, in points of a metric history (over HTTP 15 ms beside 70 us, in a database 2 beside 9).
RUN_WORK = 200
# Periods in a model's input example: enough to see carryover.
EXAMPLE_ROWS = 8
# They tell how long the run took, the mirroring included: a change in that alone is no reason to write again.
VOLATILE = ("manifest.json", "timings.json", machine.FILE)
VOLATILE_KEYS = {"summary.json": ("seconds",)}
SINGLE_FILES = ("spec.yaml", "summary.json", "findings.json", "manifest.json", "timings.json")
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
    datasets: Sequence[DatasetFacts] = ()
    model: ModelFacts | None = None
    status: RunStatus = RunStatus.FINISHED

    @property
    def n_points(self) -> int:
        """Metric values to write."""
        return len(self.metrics) + sum(len(series.steps) for series in self.series)

    @property
    def is_small(self) -> bool:
        """Nothing but parameters, metrics and tags."""
        return not (self.series or self.files or self.datasets or self.model)


@dataclass(frozen=True, eq=False)
class Planned:
    """A run that should be there.

    Attributes:
        kind, name: what it is known by. place: among the runs of the folder, from 0.
        make: reads what it holds. work: about how many points of a metric history it costs.
    """

    kind: str
    name: str
    place: int
    make: Callable[[], RunContent]
    work: int = RUN_WORK

    @property
    def identity(self) -> tuple[str, str]:
        """What it is known by within the folder."""
        return self.kind, self.name


def plan_contents(folder: RunFolder) -> list[Planned]:
    """What the tracker should hold of a run folder: the run, its trials, its models, other candidates asked for.

    A folder that is not finished gives what there is.
    """
    spec = folder.spec()
    models = _plan_models(folder, spec.search.trials + 1)
    others = _plan_candidates(folder, spec, spec.search.trials + 1 + len(models))
    return [plan_run(folder, spec), *plan_trials(folder, spec), *models, *others]


def plan_run(folder: RunFolder, spec: ExperimentSpec, *, is_brief: bool = False) -> Planned:
    """The run itself, which all else is below; ``spec`` is the folder's, brief is without files and tables."""
    return Planned("run", folder.manifest()["run_id"], 0, lambda: _legal(_whole(folder, spec, is_brief)))


def read_contents(folder: RunFolder) -> list[RunContent]:
    """All of ``plan_contents``, read. Keys and values are within MLflow's limits, numbers are finite."""
    return [planned.make() for planned in plan_contents(folder)]


# ----------------------------------------------------------------------------------------------------- the whole run


def _whole(folder: RunFolder, spec: ExperimentSpec, is_brief: bool) -> RunContent:
    manifest = folder.manifest()
    summary = folder.json("summary") if (folder.path / "summary.json").is_file() else {}
    best = (summary.get("selected") or [{}])[0]
    return RunContent(
        kind="run",
        name=manifest["run_id"],
        params=_spec_params(spec),
        metrics=_distinct(_run_metrics(folder, summary, best)),
        tags=_run_tags(spec, manifest, summary, best) | _note(run_note(folder, spec, summary)),
        files=() if is_brief else _files(folder.path, FILE_PATTERNS, _single_files(spec)),
        datasets=()
        if is_brief
        else [_data(folder, spec, manifest["data_digest"]), *_candidates_tables(folder)],
        series=machine.system_series(folder),
        status=STATUSES.get(manifest["status"], RunStatus.FINISHED),
    )


def _single_files(spec: ExperimentSpec) -> list[str]:
    """A spec that holds a password is for the run folder only; the parameters say all the rest of it."""
    uri = spec.tracking.uri or ""
    return [name for name in SINGLE_FILES if name != "spec.yaml" or without_password(uri) == uri]


def _run_tags(
    spec: ExperimentSpec, manifest: Mapping[str, Any], summary: Mapping[str, Any], best: Mapping[str, Any]
) -> dict[str, str]:
    tags = {
        "mmm.spec_digest": manifest["spec_digest"],
        "mmm.data_digest": manifest["data_digest"],
        "mmm.problem_digest": manifest["problem_digest"],
        "mmm.version": manifest["versions"]["mmm-runner"],
        "mmm.status": manifest["status"],
        "mmm.outcome_kind": str(spec.outcome.kind),
    }
    if spec.refresh is not None:
        tags["parent_run"], tags["parent_candidate"] = spec.refresh.run, spec.refresh.candidate
        tags["lineage"], tags["depth"] = " > ".join(spec.refresh.lineage), str(spec.refresh.depth)
    if belongs := manifest.get("portfolio"):
        tags |= {"portfolio": belongs["run"], "portfolio_model": belongs["model"]}
        # What tells the models apart, such as a brand and a market: to search for one of them in many runs.
        tags = {legal_key(key): value for key, value in _texts(belongs.get("keys", {})).items()} | tags
    if manifest.get("git_commit"):
        tags["mlflow.source.git.commit"] = manifest["git_commit"]
    if "candidate" in best:
        tags["best_candidate"] = best["candidate"]
    if summary.get("converged"):
        tags["converged"] = _text(all(summary["converged"].values()))
    return tags


def _run_metrics(
    folder: RunFolder, summary: Mapping[str, Any], best: Mapping[str, Any]
) -> Iterable[tuple[str, float | None]]:
    """The search, then the best model under the names that models have, then plans and findings."""
    yield from ((name, summary.get(name)) for name in ("candidates", "candidates_per_second"))
    path = folder.path / "models" / f"{best.get('candidate')}.json"
    if path.is_file():
        yield from _model_metrics(json.loads(path.read_text(encoding="utf-8")))
    for name, plan in summary.get("plans", {}).items():
        yield f"plan_{name}_lift", plan["ensemble"].get("lift")
    yield from ((f"findings_{name}", n) for name, n in summary.get("findings", {}).items())


def _spec_params(spec: ExperimentSpec) -> dict[str, str]:
    """The resolved spec, flat. Where it is tracked is no parameter, and may hold a password; the model before a refresh
    is a hundred numbers, which stand in the artifact ``spec.yaml``.
    """
    tree = spec.resolved()
    del tree["tracking"]
    if spec.refresh is not None:
        for key in ("previous", "bounds"):
            del tree["refresh"][key]
    return dict(flat(tree))


def flat(tree: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """``channels: [{name: tv, spend: s}]`` as ``channels.tv.spend: s``; other lists as JSON."""
    if isinstance(tree, list) and tree and all(isinstance(item, dict) and "name" in item for item in tree):
        tree = {item["name"]: {k: v for k, v in item.items() if k != "name"} for item in tree}
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from flat(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree if isinstance(tree, str) else json.dumps(tree, ensure_ascii=False)


def _data(folder: RunFolder, spec: ExperimentSpec, digest: str) -> DatasetFacts:
    name = Path(spec.data.path).name or spec.name
    return _dataset(name, digest, spec.data.path, folder.path / "inputs" / "panel.parquet", "training")


def _candidates_tables(folder: RunFolder) -> list[DatasetFacts]:
    """The tables of every candidate; they are artifacts of the run under the same names."""
    paths = sorted(folder.path.glob("candidates/trial-*.parquet"))
    names = [path.relative_to(folder.path).as_posix() for path in paths]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return [
        _dataset(name, digest, name, path, "candidates")
        for name, digest, path in zip(names, digests, paths, strict=True)
    ]


def _dataset(name: str, digest: str, source: str, path: Path, context: str) -> DatasetFacts:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    columns = tuple((column.name, _column_type(column.type)) for column in file.schema_arrow)
    return DatasetFacts(name, digest[:36], source, columns, file.metadata.num_rows, context)


def _column_type(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return "datetime"
    return "double" if pa.types.is_floating(kind) else "long" if pa.types.is_integer(kind) else "string"


def _note(text: str) -> dict[str, str]:
    return {NOTE: text} if text else {}


def content_of_whole(
    run_id: str,
    *,
    params: Mapping[str, str],
    metrics: Mapping[str, float | None],
    tags: Mapping[str, str],
    files: Sequence[str],
    note: str,
    status: RunStatus,
) -> RunContent:
    """The run that members of a family are shown below; see ``family.Whole``."""
    return _legal(
        RunContent(
            kind="portfolio",
            name=run_id,
            params=params,
            metrics=_distinct(metrics.items()),
            tags={**tags, **_note(note)},
            files=files,
            status=status,
        )
    )


# ------------------------------------------------------------------------------------------------------------ trials


def history_names(spec: ExperimentSpec) -> list[str]:
    """Columns of the candidates that become metric histories; a run without lift studies has no MAPE."""
    losses = [name for name in LOSSES if name != "mape" or spec.calibration is not None]
    names = ("effect_share", spec.outcome.kind.efficiency)
    return losses + [f"{name}_{channel.name}" for name in names for channel in spec.channels]


def plan_trials(folder: RunFolder, spec: ExperimentSpec) -> list[Planned]:
    """The trials whose tables are on disk; what they hold never changes."""
    paths = sorted(folder.path.glob("candidates/trial-*.parquet"))
    return [_planned_trial(path, spec) for path in paths]


def _planned_trial(path: Path, spec: ExperimentSpec) -> Planned:
    work = RUN_WORK + spec.search.iterations * len(history_names(spec))
    place = int(path.stem.rpartition("-")[2])
    return Planned("trial", path.stem, place, lambda: _legal(_trial(path, spec)), work)


def _trial(path: Path, spec: ExperimentSpec) -> RunContent:
    table = read_table(path)
    steps = table["iteration"].to_numpy().astype("int64")
    series = [finite_series(name, steps, table[name].to_numpy()) for name in history_names(spec)]
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
        tags=_note(trial_note(path.stem, table.num_rows)),
        series=[s for s in series if len(s.steps)],
    )


# ------------------------------------------------------------------------------------------------ models, candidates


def _plan_models(folder: RunFolder, place: int) -> list[Planned]:
    if not (folder.path / "clusters.parquet").is_file():
        return []
    fronts = _column_by_candidate(folder, "pareto", "front")
    paths = [folder.path / "models" / f"{candidate}.json" for candidate in folder.selected()]
    known = [path for path in paths if path.is_file()]
    return [_planned_model(folder, path, fronts, place + i) for i, path in enumerate(known)]


def _planned_model(folder: RunFolder, path: Path, fronts: Mapping[str, int], place: int) -> Planned:
    return Planned("model", path.stem, place, lambda: _legal(_model(folder, path, fronts)), 3 * RUN_WORK)


def _model(folder: RunFolder, path: Path, fronts: Mapping[str, int]) -> RunContent:
    record = json.loads(path.read_text(encoding="utf-8"))
    candidate = record["candidate"]
    tags = {"candidate": candidate, "cluster": str(record["cluster"]), "selected": "true"}
    if candidate in fronts:
        tags["front"] = str(fronts[candidate])
    facts = ("candidate", "trial", "iteration", "cluster", "adstock", "intercept_rule", "lambda")
    patterns = (f"report/{candidate}.png", f"report/{candidate}.pdf", f"scenarios/*/{candidate}.parquet")
    return RunContent(
        kind="model",
        name=candidate,
        params={name: _text(record[name]) for name in facts} | _texts(record["hyperparameters"]),
        metrics=_distinct(_model_metrics(record)),
        tags=tags | _note(model_note(record)),
        files=_files(folder.path, patterns, [f"models/{candidate}.json"]),
        model=_loadable(folder, record),
    )


def _loadable(folder: RunFolder, record: Mapping[str, Any]) -> ModelFacts:
    """The model for MLflow's registry; parameters, metrics and tags follow from those of its run."""
    candidate, manifest = record["candidate"], folder.manifest()
    files = scoring_files(folder, candidate)
    columns = [component["name"] for component in record["components"] if component["role"] != "intercept"]
    digest = hashlib.sha256(json.dumps([LAYOUT, manifest["versions"]["mmm-runner"], candidate]).encode())
    for name, content in files.items():
        digest.update(name.encode() + hashlib.sha256(content).digest())
    return ModelFacts(
        name=re.sub(r"[^\w-]+", "-", f"{manifest['experiment']}-{candidate}"),
        files=files,
        example=_example(folder, record),
        columns=(DATE, *columns),
        options=OPTIONS,
        digest=digest.hexdigest(),
    )


def _example(folder: RunFolder, record: Mapping[str, Any]) -> dict[str, Sequence[str] | Sequence[float]]:
    """The paid media of the last periods of the window, as they were."""
    table = folder.table("inputs/design").to_pandas()
    dates = table["date"].astype(str)
    rows = table[(dates >= record["window"]["start"]) & (dates <= record["window"]["end"])].tail(EXAMPLE_ROWS)
    paid = [channel["name"] for channel in record["channels"] if channel["kind"] == "paid"]
    return {DATE: rows["date"].astype(str).tolist(), **{name: rows[name].tolist() for name in paid}}


def _plan_candidates(folder: RunFolder, spec: ExperimentSpec, place: int) -> list[Planned]:
    """Candidates that were not selected and are runs of their own all the same: those of the fronts, or all of them.

    The fronts come first: where MLflow is filled slowly, they are there early.
    """
    asked = spec.tracking.candidates
    if asked == "selected" or not (folder.path / "clusters.parquet").is_file():
        return []
    fronts = _column_by_candidate(folder, "pareto", "front")
    clusters = _column_by_candidate(folder, "clusters", "cluster")
    wanted = []
    for path in sorted(folder.path.glob("candidates/trial-*.parquet")):
        table = _TableRows(read_table(path))
        names = table.table["candidate"].to_pylist()
        wanted += [(table, i, name) for i, name in enumerate(names) if asked == "all" or name in fronts]
    last = max(fronts.values(), default=0) + 1
    wanted.sort(key=lambda one: fronts.get(one[2], last))
    done = set(folder.selected())
    rest = [one for one in wanted if one[2] not in done]
    return [
        _planned_candidate(table, row, name, (fronts.get(name), clusters.get(name)), place + i)
        for i, (table, row, name) in enumerate(rest)
    ]


class _TableRows:
    """Rows of a table as dictionaries, ``SIZE`` of them made at once: one at a time, each costs a millisecond."""

    SIZE = 200

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self._start = 0
        self._made: list[dict[str, Any]] = []

    def __getitem__(self, row: int) -> dict[str, Any]:
        if not 0 <= row - self._start < len(self._made):
            self._start = row - row % self.SIZE
            self._made = self.table.slice(self._start, self.SIZE).to_pylist()
        return self._made[row - self._start]


def _planned_candidate(
    rows: _TableRows, row: int, name: str, where: tuple[int | None, int | None], place: int
) -> Planned:
    def make() -> RunContent:
        return _legal(_candidate(rows[row], *where))

    return Planned("candidate", name, place, make)


def _candidate(row: Mapping[str, Any], front: int | None, cluster: int | None) -> RunContent:
    """Coefficients and spend shares stay in the table: half of a run's cost is its metrics."""
    names = list(row)
    start = names.index("lambda")
    hyperparameters = names[names.index("status") + 1 : start]
    facts = ("candidate", "trial", "iteration", "status", "lambda", *hyperparameters)
    wanted = [name for name in names[start + 1 :] if not name.startswith(("coef_", "spend_share_"))]
    tags = {"candidate": row["candidate"], "selected": "false"}
    places = (("front", front), ("cluster", cluster))
    return RunContent(
        kind="candidate",
        name=row["candidate"],
        params={name: _text(row[name]) for name in facts},
        metrics=_distinct((name, row[name]) for name in wanted),
        tags=tags | {name: str(place) for name, place in places if place is not None},
    )


def _column_by_candidate(folder: RunFolder, table: str, column: str) -> dict[str, int]:
    if not (folder.path / f"{table}.parquet").is_file():
        return {}
    return {row["candidate"]: row[column] for row in folder.table(table).to_pylist()}


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


# ------------------------------------------------------------------------------------------------------ plain values


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
    plain = [
        LAYOUT,
        sorted(content.params.items()),
        sorted(content.metrics.items()),
        sorted(content.tags),
        [asdict(dataset) for dataset in content.datasets],
    ]
    digest = hashlib.sha256(json.dumps(plain).encode())
    for series in content.series:
        digest.update(series.key.encode() + series.steps.tobytes() + series.values.tobytes())
        if series.times is not None:
            digest.update(series.times.tobytes())
    return digest.hexdigest()


def begun_digest(content: RunContent) -> str:
    """SHA-256 of what is written when a run begins, while it has no metrics: its parameters."""
    plain = json.dumps([LAYOUT, "begun", sorted(content.params.items())])
    return hashlib.sha256(plain.encode()).hexdigest()


def extras_digest(content: RunContent, root: Path) -> str:
    """SHA-256 of what may be replaced: tags, status, files, the model to load."""
    model = content.model.digest if content.model else None
    plain = [sorted(content.tags.items()), str(content.status), model]
    digest = hashlib.sha256(json.dumps(plain).encode())
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
