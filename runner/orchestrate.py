"""One run from spec to report, stage by stage, each leaving its files before the next begins.

read      table -> checked panel; scenarios checked against it       nothing is on disk yet
baseline  Prophet -> problem                                         the run folder appears
search    trials over the backend                                    candidates/*.parquet
select    convergence, fronts, clusters                              convergence, pareto, clusters, contributions
                                                                     and calibration, where there are lift studies
refits    bootstrap of the selected models over the backend          intervals, response_curves, models/*.json
plans     scenarios, per model and for the ensemble                  scenarios/*
report    page, one-pagers, tables                                   report/, tables/
tracking  MLflow mirrors the folder, beside all of this: see tracking.beside; here it is waited for, a while
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cluster import open_backend
from cluster.base import Backend, BackendUnavailable, Incidents, WorkerLost
from cluster.config import ClusterConfig
from cluster.trust import INSECURE
from mmm_core.errors import UserError
from mmm_core.types import ModelProblem
from runner.candidates import Candidates, Searched
from runner.dataset import MediaPanel, load_panel
from runner.diagnosis import diagnose
from runner.facts import contributions_table
from runner.findings import Finding
from runner.interrupt import RunInterrupted
from runner.journal import finished_trials
from runner.model_files import model_record, write_model
from runner.pool import Pool
from runner.problem import build_problem, check_panel_rows
from runner.progress import Progress
from runner.readiness import load_beside, make_ready
from runner.refits import Uncertainty, intervals_table, refit_models
from runner.refresh.changes import Change, changes, changes_table
from runner.refresh.telling import findings_of
from runner.reports import write_report
from runner.resolve import resolve
from runner.run_folder import RunFolder
from runner.scenarios import ScenarioPlans, check_scenarios, solve_scenario
from runner.select import Selection, clusters_table, convergence_table, pareto_table
from runner.spec import ExperimentSpec
from runner.stages import Stages
from runner.studies import Studies, calibration_table, diagnose_studies, load_studies
from runner.summary import summarise, write_plans
from runner.tables import write_json, write_table
from runner.tracking.beside import MirrorProcess, mirrored, seconds_to_wait

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Prepared:
    """What stands before the first candidate: the spec, its data, what was noticed on the way, and tables of that."""

    spec: ExperimentSpec
    panel: MediaPanel
    studies: Studies | None
    problem: ModelProblem
    findings: Sequence[Finding] = ()
    tables: Mapping[str, pa.Table] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Results:
    """What the computing stages hand to the presenting ones; ``evaluated`` candidates are new, ``incidents`` were made
    good below, and a refresh ``moved`` what it did.
    """

    evaluated: int
    pool: Pool
    selection: Selection
    uncertainty: Uncertainty
    plans: Sequence[ScenarioPlans]
    incidents: Incidents
    moved: Sequence[Change] = ()


def run_experiment(
    spec: ExperimentSpec,
    runs: Path,
    *,
    candidates: Candidates | None = None,
    known: Sequence[Finding] = (),
    tracking_uri: str | None = None,
    progress: Progress,
) -> RunFolder:
    """Run a decoded spec to the end.

    Args:
        spec: what to do. runs: folder that the run folder is made in.
        candidates: where they come from; default the spec's search. known: what was noticed before.
        tracking_uri: MLflow store instead of the spec's. progress: is told how far the run is.
    Raises:
        UserError: the input cannot be used; nothing was written.
    """
    candidates = candidates or Searched()
    stages = Stages(progress)
    with stages("read"):
        panel = load_panel(spec)
        resolved = resolve(spec, panel)
        spec = resolved.spec
        check_panel_rows(spec, panel)
        studies = load_studies(spec, panel)
        check_scenarios(spec, panel)
    with ExitStack() as held:
        with backend_of(spec) as backend, ThreadPoolExecutor(max_workers=1) as beside:
            # Ray starts, kernels are compiled or read, and workers load them while Prophet is loaded and fitted.
            backend.warm_up()
            ready = beside.submit(make_ready, backend)
            with stages("baseline"):
                problem, noticed = build_problem(spec, panel, studies)
                candidates.check(spec, problem)
                start(backend)
                ready.result()
            findings = [*known, *panel.findings, *resolved.findings, *noticed]
            prepared = Prepared(spec, panel, studies, problem, findings, resolved.tables)
            folder = new_folder(prepared, runs)
            held.enter_context(filling(folder))
            mirror = held.enter_context(mirrored(folder, spec, tracking_uri))
            results = _compute(prepared, candidates, backend, folder, stages)
        _present(prepared, folder, results, stages, mirror)
    return folder


def resume_run(
    folder: RunFolder, prepared: Prepared, *, tracking_uri: str | None, progress: Progress
) -> None:
    """Do what is missing of a run that was stopped; what is computed again gives the same bytes.

    Args:
        folder: the run. prepared: what it began with, see ``resuming.prepared_of``.
        tracking_uri, progress: as in ``run_experiment``.
    """
    stages = Stages(progress)
    with filling(folder), mirrored(folder, prepared.spec, tracking_uri) as mirror:
        folder.sweep()
        folder.drop_damaged()
        folder.set_status("running")
        with backend_of(prepared.spec) as backend:
            start(backend)
            results = _compute(prepared, Searched(), backend, folder, stages)
        _present(prepared, folder, results, stages, mirror)


def fill(
    prepared: Prepared, folder: RunFolder, backend: Backend, stages: Stages, *, has_report: bool
) -> None:
    """All stages after the baseline in a folder that is there, for a run that is part of a larger one.

    Args:
        prepared: what the folder began with. folder: gets the results. backend: where. stages: are told of.
        has_report: whether to write one.
    """
    results = _compute(prepared, Searched(), backend, folder, stages)
    _present(prepared, folder, results, stages, None, has_report=has_report)


def run_prepared(
    prepared: Prepared,
    candidates: Candidates,
    runs: Path,
    *,
    origin: Mapping[str, Any] | None = None,
    tracking_uri: str | None = None,
    progress: Progress,
) -> RunFolder:
    """All stages after the baseline, in this process, for a problem that stands already.

    Args:
        prepared: the problem and where it comes from. candidates: such as a model brought along.
        runs: folder that the run folder is made in. origin: written to the manifest: where the models come from.
        tracking_uri, progress: as in ``run_experiment``.
    """
    stages = Stages(progress)
    candidates.check(prepared.spec, prepared.problem)
    folder = new_folder(prepared, runs, origin)
    with filling(folder), mirrored(folder, prepared.spec, tracking_uri) as mirror:
        with open_backend("serial", ClusterConfig()) as backend:
            backend.start()
            results = _compute(prepared, candidates, backend, folder, stages)
        _present(prepared, folder, results, stages, mirror)
    return folder


def backend_of(spec: ExperimentSpec) -> Backend:
    """Where a spec is executed, not started; UserError where its execution makes no sense."""
    try:
        execution = spec.execution
        config = ClusterConfig(
            execution.address,
            execution.workers,
            dashboard=execution.dashboard,
            allow_open=os.environ.get(INSECURE) == "1",
        )
    except ValueError as error:
        raise UserError(f"execution: {error}") from None
    return open_backend(spec.execution.backend, config)


def start(backend: Backend) -> None:
    """Start a backend; UserError where there is no place to run."""
    try:
        backend.start()
    except BackendUnavailable as error:
        raise UserError(f"execution.address: {error}") from error


def new_folder(
    prepared: Prepared,
    runs: Path,
    origin: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    belongs: Mapping[str, Any] | None = None,
) -> RunFolder:
    """The folder of a run that begins, with all that stands before the first candidate; see ``RunFolder.create``."""
    return RunFolder.create(
        runs,
        prepared.spec,
        prepared.panel,
        prepared.problem,
        prepared.studies,
        findings=prepared.findings,
        tables=prepared.tables,
        origin=origin,
        name=name,
        belongs=belongs,
    )


class Fillable(Protocol):
    """A folder that takes some time to fill."""

    path: Path

    def held(self) -> AbstractContextManager[object]:
        """Keep other processes from writing into it."""
        ...

    def manifest(self) -> dict[str, Any]:
        """Says, under ``status``, how it stands."""
        ...

    def set_status(self, status: str) -> None:
        """Note how it stands."""
        ...


@contextmanager
def filling(folder: Fillable) -> Iterator[None]:
    """While a folder is filled: what stops the run is noted in it, and the user is told how to go on.

    Raises:
        RunInterrupted: Ctrl-C. UserError: as the stages; workers, cluster or disk gave up.
    """
    with folder.held():
        try:
            yield
        except KeyboardInterrupt:
            note_end(folder, "interrupted")
            raise RunInterrupted(folder.path) from None
        except (BackendUnavailable, WorkerLost, OSError) as error:
            note_end(folder, "failed")
            raise UserError(
                f"{_reason(error)}; what was done is kept, go on with: mmm resume {folder.path}"
            ) from error
        except BaseException:
            note_end(folder, "failed")
            raise


def _reason(error: Exception) -> str:
    """In the words of the system where it gave a number: libraries wrap them, some of them twice."""
    if isinstance(error, OSError) and error.errno:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{os.strerror(error.errno)}"
    return str(error).rstrip(".")


def note_end(folder: Fillable, status: str) -> None:
    """The results may stand although the report failed; and a full disk takes no note."""
    with suppress(OSError):
        if folder.manifest()["status"] != "done":
            folder.set_status(status)


def _compute(
    prepared: Prepared, candidates: Candidates, backend: Backend, folder: RunFolder, stages: Stages
) -> Results:
    """Everything that needs numbers; each stage leaves its files before the next begins."""
    stages.attach(folder)
    spec, problem, studies = prepared.spec, prepared.problem, prepared.studies
    known = finished_trials(folder.path)
    with stages("search"):
        load_beside("sklearn.cluster")  # for the selection
        pool = candidates.make(spec, problem, backend, folder, stages.progress)
    with stages("select"):
        selection = candidates.select(spec, problem, pool)
        _write_selection(folder, problem, selection)
        if studies is not None:
            table = calibration_table(problem, studies, selection.models)
            write_table(folder.path / "calibration.parquet", table)
    with stages("refits"):
        uncertainty = refit_models(spec, problem, selection, backend)
        _write_uncertainty(folder, uncertainty)
        _write_models(prepared, folder, selection, uncertainty)
        moved = _write_changes(prepared, folder, selection, uncertainty)
    with stages("plans"):
        plans = [solve_scenario(spec, scenario, problem, selection.models) for scenario in spec.scenarios]
        for entry in plans:
            write_plans(folder, entry)
    evaluated = int((~np.isin(pool.trials, sorted(known))).sum())
    return Results(evaluated, pool, selection, uncertainty, plans, backend.incidents, moved)


def _write_selection(folder: RunFolder, problem: ModelProblem, selection: Selection) -> None:
    write_table(folder.path / "convergence.parquet", convergence_table(selection))
    write_table(folder.path / "pareto.parquet", pareto_table(selection))
    write_table(folder.path / "clusters.parquet", clusters_table(selection))
    write_table(folder.path / "contributions.parquet", contributions_table(problem, selection.models))


def _write_uncertainty(folder: RunFolder, uncertainty: Uncertainty) -> None:
    write_table(folder.path / "intervals.parquet", intervals_table(uncertainty.intervals))
    write_table(folder.path / "response_curves.parquet", uncertainty.curves)


def _write_models(
    prepared: Prepared, folder: RunFolder, selection: Selection, uncertainty: Uncertainty
) -> None:
    for row, model in enumerate(selection.models):
        batch = selection.batch[row : row + 1]
        record = model_record(
            prepared.spec,
            prepared.panel,
            prepared.problem,
            batch,
            model,
            selection.facts[row],
            uncertainty,
        )
        write_model(folder.path / "models" / f"{model.candidate}.json", record)


def _write_changes(
    prepared: Prepared, folder: RunFolder, selection: Selection, uncertainty: Uncertainty
) -> list[Change]:
    """What a refresh moved; nothing in any other run."""
    if prepared.spec.refresh is None:
        return []
    best = selection.models[0]
    rows = changes(prepared.spec, prepared.panel, prepared.problem, best, uncertainty)
    write_table(folder.path / "refresh.parquet", changes_table(rows))
    return rows


def _present(
    prepared: Prepared,
    folder: RunFolder,
    results: Results,
    stages: Stages,
    mirror: MirrorProcess | None,
    *,
    has_report: bool = True,
) -> None:
    """Everything that only shows numbers: summary, report, MLflow. A failure here costs no result."""
    problem = prepared.problem
    findings = list(prepared.findings)
    findings += findings_of(results.moved)
    findings += diagnose(
        problem, results.pool.statuses, results.selection, results.uncertainty, results.plans
    )
    findings += diagnose_studies(problem, prepared.studies, results.selection.models)
    folder.write_findings(findings)
    folder.set_status("done")
    _write_summary(prepared, folder, results, findings, stages)
    if has_report:
        with stages("report"):
            write_report(folder)
    if mirror is not None:
        with stages("tracking"):
            late = mirror.finish(seconds_to_wait(stages.total))
        if late:
            folder.write_findings([*findings, *late])
    _write_summary(prepared, folder, results, findings, stages)


def _write_summary(
    prepared: Prepared, folder: RunFolder, results: Results, findings: Sequence[Finding], stages: Stages
) -> None:
    rate = results.evaluated / stages.seconds["search"]
    write_json(
        folder.path / "timings.json",
        {
            "total": stages.total,
            "stages": stages.seconds,
            "candidates_per_second": rate,
            "incidents": asdict(results.incidents),
        },
    )
    summary = summarise(prepared.spec, prepared.problem, folder, results.selection, results.plans, findings)
    write_json(
        folder.path / "summary.json", {**summary, "candidates_per_second": rate, "seconds": stages.total}
    )
