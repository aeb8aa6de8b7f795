"""A model of a run as ``robyn_write`` would write it, with everything that R needs to make it again.

Every scalar is an array of one and tables are lists of rows, as jsonlite does it. Two differences, on purpose: numbers
have all their digits, so that the file rebuilds the model to rounding, and ``performance``, ``mean_spend`` and
``mean_response`` are over the window, where Robyn divides by the rows of the whole table.

Source: robyn-method section 23; keys and their order are those of files of Robyn 3.11 and 3.12.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from mmm_core.errors import UserError
from mmm_core.evaluate import evaluate_candidates
from mmm_core.types import LOSS_COLUMNS, CandidateBatch, InterceptRule, ModelProblem, Role
from runner import __version__
from runner.dataset import Frequency, MediaPanel
from runner.journal import batch_from_table, efficiencies
from runner.robyn import names
from runner.run_folder import RunFolder
from runner.spec import ExperimentSpec
from runner.studies import Studies
from runner.tables import read_table, write_text

INTERVALS = {Frequency.DAILY: "day", Frequency.WEEKLY: "week", Frequency.MONTHLY: "month"}
PROPHET = ("trend", "season", "monthly", "weekday", "holiday")
# The version whose arithmetic the numbers are those of; files from 3.12 on are read with its Hill curve.
VERSION = f"Robyn v3.12.1 (file written by mmm-runner {__version__})"
CONVERGED = {True: "converged", False: "NOT converged"}
# Beyond this double precision does not hold every whole number.
LARGEST_WHOLE = 2**53


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    ``notes`` say what R will not do alike, in sentences.
    """

    path: Path
    solution: str
    candidate: str
    notes: tuple[str, ...]

    def as_record(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "file": str(self.path),
            "solID": self.solution,
            "candidate": self.candidate,
            "notes": list(self.notes),
        }


def export_model(folder: RunFolder, candidate: str | None = None, out: Path | None = None) -> Exported:
    """Write a candidate of a run as ``RobynModel-<solID>.json``.

    Args:
        folder: the run. candidate: any of its candidates, such as 3_120; default the best selected one.
        out: the file; default its own name in the current directory.
    Raises:
        UserError: there is no such candidate, or the file cannot be written.
    """
    source = _Source.of(folder, candidate or folder.selected()[0])
    path = out or Path(f"RobynModel-{source.solution}.json")
    if path.suffix.lower() != ".json":
        raise UserError(f"{path}: robyn_read() takes only files that end in .json; choose another --out")
    tree = {
        "InputCollect": input_collect(source),
        "ModelsCollect": models_collect(source, path),
        "ExportedModel": exported_model(source),
        "Extras": {"raw_data": source.raw_data},
    }
    try:
        write_text(path, pretty(tree) + "\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
    return Exported(path, source.solution, source.candidate, notes(source))


# --------------------------------------------------------------------------------------------------------------- source


@dataclass(frozen=True, eq=False)
class _Source:
    """One candidate of a run and what it belongs to; ``batch`` is its row."""

    folder: RunFolder
    spec: ExperimentSpec
    panel: MediaPanel
    problem: ModelProblem
    studies: Studies | None
    candidate: str
    batch: CandidateBatch

    @classmethod
    def of(cls, folder: RunFolder, candidate: str) -> _Source:
        spec = folder.spec()
        panel = folder.panel(spec)
        problem = folder.problem(spec, panel)
        return cls(
            folder,
            spec,
            panel,
            problem,
            folder.studies(spec, panel),
            candidate,
            _row_of(folder, problem, candidate),
        )

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return self.folder.manifest()

    @cached_property
    def solution(self) -> str:
        """Robyn's own name of a model that came from there."""
        origin = self.manifest.get("origin", {})
        if origin.get("kind") == "robyn":
            return str(origin["model"])
        return names.solution_of(self.candidate)

    @cached_property
    def columns(self) -> dict[str, str]:
        """Design column -> predictor by Robyn's name: the column of the data that is modelled."""
        own = {column: column for column in self.problem.columns}
        own |= {context.name: context.column for context in self.spec.context if context.name in own}
        own |= {channel.name: channel.modelled for channel in self.spec.channels}
        return own | {organic.name: organic.column for organic in self.spec.organic}

    @cached_property
    def media(self) -> list[str]:
        return [self.columns[medium] for medium in self.problem.media]

    @cached_property
    def prophet(self) -> list[str]:
        """Baseline columns that Robyn has a name for."""
        return [c for c in (*self.spec.baseline.components, *self.spec.baseline.precomputed) if c in PROPHET]

    @cached_property
    def other_baseline(self) -> list[str]:
        """Baseline columns that only the context can stand for."""
        return [c for c in self.spec.baseline.precomputed if c not in PROPHET]

    @cached_property
    def values(self) -> dict[str, float]:
        """Hyperparameter by our name -> value."""
        return dict(
            zip(self.problem.hyperparameter_names, self.batch.hyperparameters[0].tolist(), strict=True)
        )

    @cached_property
    def losses(self) -> dict[str, float]:
        """Loss -> value; of a refresh those of the model by itself, which is what R will say of it."""
        losses = self.batch.losses
        if self.problem.reference is not None:
            alone = replace(self.problem, reference=None)
            losses = evaluate_candidates(alone, self.batch.hyperparameters, self.batch.penalty).losses
        return dict(zip(LOSS_COLUMNS, losses[0].tolist(), strict=True))

    @cached_property
    def raw_data(self) -> list[dict[str, Any]]:
        """Extras.raw_data: the table of the run, a row a period."""
        columns: dict[str, Sequence[Any]] = {
            self.spec.data.date: self.panel.dates.astype(str).tolist(),
            self.spec.outcome.column: self.panel.outcome.tolist(),
            **{name: values.tolist() for name, values in self.panel.numeric.items()},
            **self.panel.factors,
        }
        return [
            dict(zip(columns, map(_whole, row), strict=True)) for row in zip(*columns.values(), strict=True)
        ]

    def table(self, name: str) -> list[dict[str, Any]]:
        """Rows of a table of the run that are about this candidate."""
        try:
            rows: list[dict[str, Any]] = self.folder.table(name).to_pylist()
        except UserError:  # a run that did not get that far
            return []
        return [row for row in rows if row["candidate"] == self.candidate]

    def json(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self.folder.json(name)
        except FileNotFoundError:
            return {}
        return found


def _candidate_tables(folder: RunFolder) -> Iterator[Any]:
    """The tables of all candidates, trial by trial."""
    for path in sorted((folder.path / "candidates").glob("trial-*.parquet")):
        yield read_table(path)


def _row_of(folder: RunFolder, problem: ModelProblem, candidate: str) -> CandidateBatch:
    import pyarrow.compute as pc

    n = 0
    for table in _candidate_tables(folder):
        found = table.filter(pc.equal(table["candidate"], candidate))
        n += table.num_rows
        if found.num_rows:
            return batch_from_table(problem, found)
    selected = ", ".join(folder.selected()) if n else "none"
    raise UserError(
        f"{folder.path}: there is no candidate {candidate!r} among its {n:,}; selected models are {selected}"
    )


# --------------------------------------------------------------------------------------------------------- InputCollect


def input_collect(source: _Source) -> dict[str, Any]:
    """What ``robyn_inputs`` needs to be called again."""
    spec, panel, problem = source.spec, source.panel, source.problem
    dates = panel.dates.astype(str)
    context = [*source.other_baseline, *(c.column for c in spec.context)]
    context_signs = ["positive" for _ in source.other_baseline]
    context_signs += [names.ROBYN_SIGNS[c.sign] for c in spec.context]
    exposures = [channel.exposure for channel in spec.channels if channel.exposure]
    tree: dict[str, Any] = {
        "date_var": [spec.data.date],
        "dayInterval": [int((panel.dates[1] - panel.dates[0]).astype(np.int64))],
        "intervalType": [INTERVALS[panel.frequency]],
        "dep_var": [spec.outcome.column],
        "dep_var_type": [str(spec.outcome.kind)],
        "prophet_vars": source.prophet,
        "prophet_signs": ["default"] * len(source.prophet),
        "prophet_country": [spec.baseline.country] if spec.baseline.country else [],
        "context_vars": context,
        "context_signs": context_signs,
        "paid_media_vars": [channel.modelled for channel in spec.channels],
        "paid_media_signs": [names.ROBYN_SIGNS[channel.sign] for channel in spec.channels],
        "paid_media_spends": [channel.spend for channel in spec.channels],
        "paid_media_selected": [channel.modelled for channel in spec.channels],
        "paid_media_total": [float(problem.total_spend.sum())],
        "exposure_vars": exposures,
        "organic_vars": [organic.column for organic in spec.organic],
        "organic_signs": [names.ROBYN_SIGNS[organic.sign] for organic in spec.organic],
        "all_media": source.media,
        "all_ind_vars": [*source.prophet, *context, *source.media],
        "factor_vars": list(panel.factors),
        "unused_vars": [],
        "window_start": [dates[problem.start]],
        "rollingWindowStartWhich": [problem.start + 1],
        "window_end": [dates[problem.stop - 1]],
        "rollingWindowEndWhich": [problem.stop],
        "rollingWindowLength": [problem.n_window],
        "totalObservations": [problem.n_periods],
        "refreshAddedStart": [dates[problem.start]],
        "adstock": [str(spec.adstock)],
        "hyperparameters": _ranges(source),
        "calibration_input": _calibration_input(source),
        "custom_params": _settings(spec),
        "version": [VERSION],
    }
    return tree


def _ranges(source: _Source) -> dict[str, list[float]]:
    """Searched ranges by Robyn's names; one number for a fixed one. Penalties are not the user's to give in Robyn."""
    ranges = source.spec.ranges(source.problem.hyperparameter_names)
    found: dict[str, list[float]] = {}
    for name, (low, high) in ranges.items():
        robyn = _robyn_name(source, name)
        is_given = robyn not in ("lambda", "train_size") and not robyn.endswith(names.PENALTY)
        if is_given or (robyn == "train_size" and source.spec.validation.time_series):
            found[robyn] = [low] if low == high else [low, high]
    return found


def _robyn_name(source: _Source, hyperparameter: str) -> str:
    """``tv_theta`` is tv_S_thetas; lambda_hp stands for lambda."""
    if hyperparameter == "lambda_hp":
        return "lambda"
    column, _, parameter = hyperparameter.rpartition("_")
    if column not in source.columns:
        return hyperparameter
    if parameter == "penalty":
        return f"{source.columns[column]}{names.PENALTY}"
    return names.parameter_name(source.columns[column], parameter)


def _settings(spec: ExperimentSpec) -> dict[str, Any] | list[Any]:
    """Settings of Prophet by R's names; R writes an empty list as an array."""
    boxed = {names.prophet_argument(name): _boxed(value) for name, value in spec.baseline.prophet.items()}
    return boxed or []


def _calibration_input(source: _Source) -> list[dict[str, Any]] | dict[str, Any]:
    """Lift studies in Robyn's columns: confidence is 1 - p of the estimate and its standard error."""
    studies, spec = source.studies, source.spec
    if studies is None:
        return {}
    spends = {channel.name: channel.spend for channel in spec.channels}
    rows = []
    for s, record in enumerate(studies.records):
        study = record.study
        money = [spends[name] for name in study.channels if name in spends]
        weights = studies.arrays.row_weights[s]
        known = sum(float(weights @ source.panel.numeric[column]) for column in money)
        row = {
            "channel": "+".join(spends.get(name, source.columns[name]) for name in study.channels),
            "liftStartDate": str(study.start),
            "liftEndDate": str(study.end),
            "liftAbs": study.estimate,
            "spend": known if math.isnan(record.spend) else record.spend,
            "confidence": _confidence(study.estimate, study.standard_error),
            "metric": spec.outcome.column,
            "calibration_scope": str(study.scope),
            "channel_selected": "+".join(source.columns[name] for name in study.channels),
        }
        rows.append(_known(row))
    return rows


def _confidence(estimate: float, standard_error: float) -> float:
    """1 - p against no effect; 0.8, from which on Robyn does not warn, where the standard error is not known."""
    if math.isnan(standard_error):
        return 0.8
    return 2 * NormalDist().cdf(abs(estimate) / standard_error) - 1


# -------------------------------------------------------------------------------------------------------- ModelsCollect


def models_collect(source: _Source, path: Path) -> dict[str, Any]:
    """How the model was searched for."""
    spec, summary, timings = source.spec, source.json("summary"), source.json("timings")
    seconds, stages = timings.get("total", math.nan), timings.get("stages", {})
    outputs = sum(stages.get(stage, 0.0) for stage in ("select", "refits", "plans", "report"))
    clusters = source.folder.table("clusters")["cluster"].to_pylist()
    fronts = source.folder.table("pareto")["front"].to_pylist()
    loss = {"nrmse": "NRMSE", "decomp_rssd": "DECOMP.RSSD", "mape": "MAPE"}
    converged = {loss[name]: told for name, told in summary.get("converged", {}).items()}
    return {
        "ts_validation": [spec.validation.time_series],
        "train_timestamp": [_stamp(source.manifest["created"])],
        "export_timestamp": [datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")],
        "run_time": [_minutes(seconds - outputs)],
        "outputs_time": [_minutes(outputs)],
        "total_time": [_minutes(seconds)],
        "total_iters": [spec.search.trials * spec.search.iterations],
        "conv_msg": [f"{name} {CONVERGED[told]}" for name, told in sorted(converged.items())],
        "n_clusters": [max(clusters, default=1)],
        "calibration_constraint": [spec.selection.calibration_constraint],
        "cores": [spec.search.batch_size],
        "iterations": [spec.search.iterations],
        "trials": [spec.search.trials],
        "intercept": [spec.intercept is not InterceptRule.NONE],
        "intercept_sign": [
            "unconstrained" if spec.intercept is InterceptRule.UNCONSTRAINED else "non_negative"
        ],
        "nevergrad_algo": [spec.search.optimizer],
        "add_penalty_factor": [spec.penalty_factors],
        "seed": [spec.search.seed],
        "pareto_fronts": [max(fronts, default=1)],
        "hyper_fixed": [False],
        "plot_folder": [f"{path.absolute().parent.as_posix()}/"],
    }


def _stamp(created: str) -> str:
    return created[:19].replace("T", " ")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.2f} min"


# -------------------------------------------------------------------------------------------------------- ExportedModel


def exported_model(source: _Source) -> dict[str, Any]:
    """The model itself: what it says and what it takes to make it again."""
    values = {_robyn_name(source, name): value for name, value in source.values.items()}
    values["lambda"] = float(source.batch.penalty[0])
    errors = {theirs: source.losses[ours] for ours, theirs in names.LOSSES.items()}
    ranges = {
        **_ranges(source),
        **{name: [0.0, 1.0] for name in values if name.endswith(names.PENALTY)},
        "lambda": [0.0, 1.0],
    }
    clusters = [
        {"solID": source.solution, "cluster": row["cluster"], "n": row["size"]}
        for row in source.table("clusters")
    ]
    return {
        "select_model": [source.solution],
        "performance": [_performance(source)],
        "summary": _summary(source),
        "errors": [_known(errors)],
        "hyper_values": {name: [values[name]] for name in sorted(values)},
        "hyper_updated": {name: ranges[name] for name in sorted(ranges)},
        "clusters": {"data": clusters},
    }


def _performance(source: _Source) -> dict[str, Any]:
    problem = source.problem
    first = problem.first_media
    response = float(source.batch.contributions[0, first : first + problem.n_paid].sum())
    spend = float(problem.total_spend.sum())
    metric = problem.outcome_kind.efficiency
    over = response / spend if metric == "roas" else spend / response if response else math.inf
    row = {
        "solID": source.solution,
        "metric": metric.upper(),
        "spend": spend,
        "response": response,
        "performance": over,
    }
    return _known(row)


def _summary(source: _Source) -> list[dict[str, Any]]:
    """A row for the intercept and for each predictor, the paid ones with their efficiency over the window."""
    problem, n = source.problem, source.problem.n_window
    intercept = source.losses["intercept"]
    contributions = source.batch.contributions[0]
    whole = intercept * n + float(contributions.sum())
    efficiency = efficiencies(problem, source.batch.contributions)[0]
    intervals = _intervals(source)
    rows = [_summary_row(names.INTERCEPT, intercept, intercept * n, whole)]
    for k, (column, role) in enumerate(zip(problem.columns, problem.roles, strict=True)):
        total = float(contributions[k])
        row = _summary_row(source.columns[column], float(source.batch.coefs[0, k]), total, whole)
        if role is Role.PAID:
            p = k - problem.first_media
            row |= {
                "performance": float(efficiency[p]),
                "mean_response": total / n,
                "mean_spend": float(problem.total_spend[p]) / n,
                **intervals.get(column, {}),
            }
        rows.append(_known(row))
    return rows


def _summary_row(variable: str, coef: float, contribution: float, whole: float) -> dict[str, Any]:
    return {
        "variable": variable,
        "coef": coef,
        "decompPer": contribution / whole,
        "decompAgg": contribution,
    }


def _intervals(source: _Source) -> dict[str, dict[str, float]]:
    """Channel -> mean and spread of its efficiency over the models of the cluster: what Robyn's bootstrap measures."""
    metric = source.problem.outcome_kind.efficiency
    rows = [r for r in source.table("intervals") if r["kind"] == "cluster" and r["quantity"] == metric]
    if not rows:
        return {}
    means = _cluster_means(source)
    return {
        row["name"]: {"boot_mean": means[row["name"]], "ci_low": row["lower"], "ci_up": row["upper"]}
        for row in rows
    }


def _cluster_means(source: _Source) -> dict[str, float]:
    """Channel -> mean efficiency of the models of the candidate's cluster, infinite ones left out."""
    clusters = source.folder.table("clusters").to_pylist()
    own = next(row["cluster"] for row in clusters if row["candidate"] == source.candidate)
    members = {row["candidate"] for row in clusters if row["cluster"] == own}
    found: dict[str, list[float]] = {channel: [] for channel in source.problem.paid}
    for table in _candidate_tables(source.folder):
        for row in table.filter([name in members for name in table["candidate"].to_pylist()]).to_pylist():
            for channel, values in found.items():
                values.append(row[f"{source.problem.outcome_kind.efficiency}_{channel}"])
    return {
        c: float(np.mean([v for v in values if math.isfinite(v)] or [math.nan]))
        for c, values in found.items()
    }


# ---------------------------------------------------------------------------------------------------------------- notes


def notes(source: _Source) -> tuple[str, ...]:
    """What R will not do alike with this file, in sentences."""
    spec = source.spec
    found = []
    if spec.baseline.precomputed:
        found.append(
            f"The baseline columns {', '.join(spec.baseline.precomputed)} were given with the data. Robyn fits Prophet "
            "itself and has no place for them: it will make its own trend, season and the like, or treat a column of "
            "another name as context, whose coefficient it bounds by sign only."
        )
    if "holiday" in spec.baseline.components:
        found.append(_about_holidays(spec))
    if source.studies is not None and spec.calibration is not None:
        found.append(
            "Robyn counts the days of lift studies in its own way and weighs all studies alike"
            + (
                "; this run counts them the same, and its mape can be compared."
                if spec.calibration.convention == "robyn"
                else ", so its MAPE will differ from the mape of this run. Standard errors went into confidence."
            )
        )
    if spec.search.solver == "exact":
        found.append(
            "The coefficients are the exact minimum of the ridge; Robyn's glmnet stops a little before it."
        )
    if spec.search.penalty_scale == "log":
        found.append(
            "lambda was searched on a log scale; Robyn knows a linear one only, and a refresh in R narrows it so."
        )
    if not spec.search.rssd_zero_penalty:
        found.append("DECOMP.RSSD is without the zero penalty: call robyn_run(rssd_zero_penalty = FALSE).")
    if spec.refresh is not None:
        found.append(
            "The run is a refresh, and R will treat its model as an initial one: the file says nothing of the models "
            "before it, and its DECOMP.RSSD is that of the model by itself."
        )
    spaced = [column for column in source.columns.values() if " " in column]
    if spaced:
        found.append(f"Robyn refuses names with a space: {', '.join(spaced)}; rename the columns for R.")
    return tuple(found)


def _about_holidays(spec: ExperimentSpec) -> str:
    if spec.baseline.holidays is not None:
        return f"Give R the same holidays: dt_holidays must be the table of {Path(spec.baseline.holidays.path).name}."
    return (
        f"The holidays of {spec.baseline.country} were those built into this program; Robyn's dt_prophet_holidays may "
        "name them otherwise, which moves Prophet's columns a little."
    )


# ----------------------------------------------------------------------------------------------------------------- JSON


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what is not known, as jsonlite leaves it out."""
    return {
        key: value
        for key, value in row.items()
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }


def _boxed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _whole(value: Any) -> Any:
    """A whole number without its decimal point, as R writes it."""
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_WHOLE
    return int(value) if is_whole else value


def pretty(value: Any, indent: str = "") -> str:
    """JSON as jsonlite lays it out: an entry a line, arrays of plain values on one; infinities as its words."""
    inner = indent + "  "
    if isinstance(value, Mapping) and value:
        entries = [
            f"{inner}{json.dumps(str(key), ensure_ascii=False)}: {pretty(v, inner)}"
            for key, v in value.items()
        ]
        return "{\n" + ",\n".join(entries) + f"\n{indent}}}"
    if isinstance(value, (list, tuple)) and any(isinstance(entry, Mapping) for entry in value):
        return "[\n" + ",\n".join(inner + pretty(entry, inner) for entry in value) + f"\n{indent}]"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(pretty(entry) for entry in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return '"NA"' if math.isnan(value) else '"Inf"' if value > 0 else '"-Inf"'
    return json.dumps(_whole(value), ensure_ascii=False)
