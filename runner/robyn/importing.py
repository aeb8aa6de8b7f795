"""From a model file to a run folder: read, rebuild, compare, and then every stage of a run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmm_core.errors import UserError
from mmm_core.features import country_holidays
from mmm_core.types import FittedModel, FloatArray
from runner.dataset import MediaPanel, panel_from_table
from runner.findings import Finding, Severity, as_records
from runner.given import Given
from runner.journal import candidate_label, model_from_batch
from runner.orchestrate import Prepared, run_prepared
from runner.progress import Progress
from runner.robyn import names
from runner.robyn.compare import Comparison, compare, findings_of
from runner.robyn.data import ModelTable, given_baseline, read_data
from runner.robyn.reading import RobynModel, read_model
from runner.robyn.rebuild import Rebuilt, rebuild
from runner.robyn.to_spec import file_name, spec_tree
from runner.run_folder import RunFolder
from runner.scenarios import check_scenarios
from runner.spec import ExperimentSpec, apply_override, decode
from runner.studies import Studies, robyn_calibration, studies_from_table
from runner.tables import write_atomically, write_json

if TYPE_CHECKING:
    import pandas as pd

# The comparison's file in the run folder.
RECORD = "robyn"
BUILT_IN_HOLIDAYS = "robyn-holidays-built-in"


@dataclass(frozen=True, eq=False)
class Brought:
    """A model evaluated here, its numbers beside the file's, and what there is to say of it."""

    rebuilt: Rebuilt
    fitted: FittedModel
    comparison: Comparison
    findings: tuple[Finding, ...]


@dataclass(frozen=True, eq=False)
class Imported:
    """A model that came from Robyn, and the run that it became."""

    folder: RunFolder
    solution: str
    version: str
    candidate: str
    comparison: Comparison
    findings: tuple[Finding, ...]

    def as_record(self) -> dict[str, Any]:
        """Plain data: where the run is, and our numbers beside the file's."""
        return {
            "run_folder": str(self.folder.path),
            **self.folder.json(RECORD),
            "findings": as_records(self.findings),
        }


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything that stands before the model is evaluated; nothing is on disk yet.

    Attributes:
        model: the file. spec, panel, studies: as of a run. labels: predictor by Robyn's name -> our column.
        baseline: columns that stand in for Prophet's. findings: what was noticed.
        files: tables that only the model file held, and where they will be written for the spec to find.
    """

    model: RobynModel
    spec: ExperimentSpec
    labels: Mapping[str, str]
    panel: MediaPanel
    studies: Studies | None
    baseline: Mapping[str, FloatArray] | None
    findings: tuple[Finding, ...]
    files: Mapping[Path, pd.DataFrame]


def import_model(
    path: str | Path,
    runs: Path,
    *,
    data: str | None = None,
    holidays: str | None = None,
    baseline: str | None = None,
    overrides: Sequence[str] = (),
    tracking_uri: str | None = None,
    progress: Progress,
) -> Imported:
    """Rebuild a model of Robyn's and make a run folder of it.

    Args:
        path: RobynModel-<solID>.json. runs: folder that the run folder is made in.
        data: the model's table; default the raw data in the file. holidays: Robyn's table of holidays.
        baseline: a table with Robyn's own Prophet columns, such as its dt_mod, instead of fitting Prophet.
        overrides: key=value of the spec. tracking_uri, progress: as of a run.
    Raises:
        UserError: file or data cannot be used; nothing was written.
    """
    inputs = read_inputs(read_model(path), runs, data, holidays, baseline, overrides)
    brought = bring(inputs)
    rebuilt = brought.rebuilt
    for file, table in inputs.files.items():
        _write(file, table)
    findings = (*inputs.panel.findings, *brought.findings)
    folder = run_prepared(
        Prepared(rebuilt.spec, inputs.panel, inputs.studies, rebuilt.problem, findings),
        Given(rebuilt.batch, (names.place_of(inputs.model.solution),)),
        runs,
        origin=_origin(inputs.model, brought.comparison),
        tracking_uri=tracking_uri,
        progress=progress,
    )
    write_json(folder.path / f"{RECORD}.json", _record(inputs.model, brought))
    return Imported(
        folder=folder,
        solution=inputs.model.solution,
        version=inputs.model.inputs.version_text,
        candidate=brought.fitted.candidate,
        comparison=brought.comparison,
        findings=brought.findings,
    )


def bring(inputs: Inputs) -> Brought:
    """Evaluate the model and hold it against its file; nothing is written.

    Raises:
        UserError: as ``rebuild``.
    """
    rebuilt = rebuild(inputs.model, inputs.labels, inputs.spec, inputs.panel, inputs.studies, inputs.baseline)
    label = candidate_label(*names.place_of(inputs.model.solution))
    fitted = model_from_batch(rebuilt.batch, 0, label)
    comparison = compare(inputs.model, inputs.labels, rebuilt.problem, fitted, rebuilt.batch)
    # Where all numbers agree, the holidays were the same ones.
    own = [f for f in inputs.findings if not (comparison.agrees and f.case == BUILT_IN_HOLIDAYS)]
    findings = (*own, *rebuilt.findings, *_verdicts(inputs, rebuilt, comparison))
    return Brought(rebuilt, fitted, comparison, findings)


def read_inputs(
    model: RobynModel,
    runs: Path,
    data: str | None = None,
    holidays: str | None = None,
    baseline: str | None = None,
    overrides: Sequence[str] = (),
) -> Inputs:
    """Data, spec and lift studies of a model file, checked; arguments as of ``import_model``."""
    table = read_data(model, data)
    given = given_baseline(model, baseline, table)
    data_path = _absolute(data) if data is not None else _beside(runs, model, "data", table.table)
    made = spec_tree(model, table, data_path=str(data_path), holidays=holidays, baseline=given)
    for override in overrides:
        apply_override(made.tree, override)
    spec = decode(made.tree, model.path)
    panel = panel_from_table(spec, table.table, table.path)
    files = {Path(data_path): table.table} if table.is_raw else {}
    spec, studies, own, odd = _with_studies(model, spec, panel, runs, made.labels)
    check_scenarios(spec, panel)
    return Inputs(
        model=model,
        spec=spec,
        labels=made.labels,
        panel=panel,
        studies=studies,
        baseline=given,
        findings=(*made.findings, *_about_baseline(model, spec, table, baseline, holidays), *odd),
        files=files | own,
    )


def _absolute(path: str) -> str:
    return path if "://" in path else str(Path(path).absolute())


def _beside(runs: Path, model: RobynModel, what: str, table: pd.DataFrame) -> Path:
    """``robyn-1_2_3-data-0a1b2c3d.csv``: named by its content, so that no other model's file is overwritten."""
    digest = hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()[:8]
    return runs.absolute() / f"{file_name(f'robyn-{model.solution}')}-{what}-{digest}.csv"


def _write(path: Path, table: pd.DataFrame) -> None:
    try:
        write_atomically(path, lambda file: table.to_csv(file, index=False))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose another --runs") from error


def _with_studies(
    model: RobynModel, spec: ExperimentSpec, panel: MediaPanel, runs: Path, labels: Mapping[str, str]
) -> tuple[ExperimentSpec, Studies | None, dict[Path, pd.DataFrame], list[Finding]]:
    """The spec with the lift studies of the file, in Robyn's convention of days, and the table to write for it.

    A model stands without its studies too, so studies that cannot be used are left out, and a finding says why.
    """
    rows = model.inputs.studies
    if not rows:
        return spec, None, {}, []
    where = f"{model.path} (InputCollect.calibration_input)"
    columns = {str(key): [row.get(key) for row in rows] for key in rows[0]}
    try:
        table = robyn_calibration(_in_our_words(columns, model, spec, labels), spec, where)
        path = _beside(runs, model, "studies", table)
        section = {"path": str(path), "convention": "robyn", "format": "neutral"}
        calibrated = decode({**spec.model_dump(mode="json"), "calibration": section}, model.path)
        studies = studies_from_table(calibrated, panel, table, where)
    except UserError as error:
        return spec, None, {}, [_unused_studies(error)]
    return calibrated, studies, {path: table}, []


def _in_our_words(
    columns: Mapping[str, Sequence[Any]], model: RobynModel, spec: ExperimentSpec, labels: Mapping[str, str]
) -> dict[str, Sequence[Any]]:
    """Studies with our names of channels and outcome: dt_mod calls the outcome dep_var, and has no spend beside an
    exposure.
    """
    ours = {channel.spend: labels[channel.modelled] for channel in model.inputs.channels} | dict(labels)
    words = re.compile("|".join(rf"(?<![\w.]){re.escape(name)}(?![\w.])" for name in sorted(ours, key=len)))
    changed = dict(columns)
    if "channel" in columns:
        changed["channel"] = [
            words.sub(lambda found: ours[found[0]], cell) if isinstance(cell, str) else cell
            for cell in columns["channel"]
        ]
    if "metric" in columns:
        outcome = model.inputs.outcome
        changed["metric"] = [spec.outcome.column if cell == outcome else cell for cell in columns["metric"]]
    return changed


def _unused_studies(error: UserError) -> Finding:
    return Finding(
        "robyn-studies-unused",
        Severity.WARNING,
        f"The lift studies of the file were left out: {error}.",
        "Give them as a table of their own, see docs/calibration.md, to the next search.",
    )


# ------------------------------------------------------------------------------------------------------------- findings


def _verdicts(inputs: Inputs, rebuilt: Rebuilt, comparison: Comparison) -> list[Finding]:
    is_refitted = bool(inputs.spec.baseline.components) and inputs.baseline is None
    money = [
        c.name for c in inputs.spec.channels if c.spend in (r.spend for r in inputs.model.inputs.channels)
    ]
    return findings_of(
        inputs.model, inputs.labels, rebuilt.problem, comparison, money=money, is_refitted=is_refitted
    )


def _about_baseline(
    model: RobynModel, spec: ExperimentSpec, table: ModelTable, baseline: str | None, holidays: str | None
) -> list[Finding]:
    if baseline is not None or table.is_modelled:
        where = table.path if baseline is None else baseline
        details = f"Trend, season and the like are the columns of {Path(where).name}; Prophet was not fitted."
        remedy = ""
        if baseline is not None:
            remedy = "On new rows, mmm refresh fits Prophet again."
        return [Finding("robyn-baseline-given", Severity.INFO, details, remedy)]
    if "holiday" not in spec.baseline.components or holidays is not None:
        return []
    return [_built_in_holidays(model, spec)]


def _built_in_holidays(model: RobynModel, spec: ExperimentSpec) -> Finding:
    """The country's holidays of the package ``holidays`` stand in for Robyn's table.

    Raises:
        UserError: the file names no country, or one that the package does not know.
    """
    country = spec.baseline.country
    try:
        country_holidays(str(country), [2020])
    except UserError:
        raise UserError(
            f"{model.path}: InputCollect.prophet_country: the holidays of {country!r} are not known here; give "
            "Robyn's table with --holidays (dt_prophet_holidays as CSV)"
        ) from None
    return Finding(
        BUILT_IN_HOLIDAYS,
        Severity.WARNING,
        f"Robyn's table of holidays was not given; the public holidays of {country} that this program knows stand in "
        "for it, so Prophet's columns may differ a little from the file's.",
        "Give Robyn's own table with --holidays: write.csv(dt_prophet_holidays, row.names = FALSE) in R.",
    )


# -------------------------------------------------------------------------------------------------------------- records


def _origin(model: RobynModel, comparison: Comparison) -> dict[str, Any]:
    """For the manifest: which file, and how well it was met."""
    return {
        "kind": "robyn",
        "model": model.solution,
        "version": model.inputs.version_text,
        "agrees": comparison.agrees,
        "largest_relative_difference": comparison.worst.relative,
    }


def _record(model: RobynModel, brought: Brought) -> dict[str, Any]:
    """``robyn.json``: the comparison, number by number."""
    return {
        "model": model.solution,
        "candidate": brought.fitted.candidate,
        "version": model.inputs.version_text,
        **brought.comparison.as_record(),
    }
