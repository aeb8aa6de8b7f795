"""One run from spec to report, stage by stage, each leaving its files before the next begins.

read      table -> checked panel; scenarios checked against it       nothing is on disk yet
baseline  Prophet -> problem                                         the run folder appears
search    trials over the backend                                    candidates/*.parquet
select    convergence, fronts, clusters                              convergence, pareto, clusters, contributions
                                                                     and calibration, where there are lift studies
refits    bootstrap of the selected models over the backend          intervals, response_curves, models/*.json
plans     scenarios, per model and for the ensemble                  scenarios/*
report    page, one-pagers, tables                                   report/, tables/
tracking  MLflow mirrors the folder
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cluster import open_backend
from cluster.base import Backend, BackendUnavailable
from cluster.config import ClusterConfig
from mmm_core.errors import UserError
from mmm_core.types import CandidateBatch, ModelProblem
from mmm_core.warm_up import warm_up as compile_kernels
from runner.dataset import MediaPanel, load_panel
from runner.diagnosis import diagnose
from runner.facts import contributions_table
from runner.findings import Finding
from runner.model_files import model_record, write_model
from runner.problem import build_problem, check_panel_rows
from runner.progress import Progress
from runner.refits import Uncertainty, intervals_table, refit_models
from runner.reports import write_report
from runner.run_folder import RunFolder
from runner.scenarios import ScenarioPlans, check_scenarios, solve_scenario
from runner.search.base import SearchJob
from runner.search.engine import check_search, search, search_job
from runner.select import Selection, clusters_table, convergence_table, pareto_table, select
from runner.spec import ExperimentSpec
from runner.stages import Stages
from runner.studies import Studies, calibration_table, diagnose_studies, load_studies
from runner.summary import summarise, write_plans
from runner.tables import write_json, write_table
from runner.tracking.mirror import mirror_quietly


@dataclass(frozen=True, eq=False)
class Results:
    """What the computing stages hand to the presenting ones."""

    problem: ModelProblem
    trials: Sequence[CandidateBatch]
    selection: Selection
    uncertainty: Uncertainty
    plans: Sequence[ScenarioPlans]
    studies: Studies | None


def run_experiment(
    spec: ExperimentSpec, runs: Path, *, tracking_uri: str | None = None, progress: Progress
) -> RunFolder:
    """Run a decoded spec to the end.

    Args:
        spec: what to do. runs: folder that the run folder is made in.
        tracking_uri: MLflow store instead of the spec's. progress: is told how far the run is.
    Raises:
        UserError: the input cannot be used; nothing was written.
    """
    stages = Stages(progress)
    with stages("read"):
        panel = load_panel(spec)
        check_panel_rows(spec, panel)
        studies = load_studies(spec, panel)
        check_scenarios(spec, panel)
    with _backend(spec) as backend, ThreadPoolExecutor(max_workers=1) as beside:
        # Ray starts, and kernels that are not on disk yet are compiled, while Prophet is loaded and fitted: compiled
        # here they are ready for every worker of this machine, which would each compile them for itself.
        backend.warm_up()
        compiled = beside.submit(compile_kernels)
        with stages("baseline"):
            problem, noticed = build_problem(spec, panel, studies)
            job = search_job(spec, problem)
            check_search(job)
            _start(backend)
            compiled.result()
        folder = RunFolder.create(runs, spec, panel, problem, studies)
        stages.attach(folder)
        try:
            results = _compute(spec, panel, studies, job, backend, folder, stages)
        except BaseException:
            folder.set_status("failed")
            raise
    _present(spec, folder, results, [*panel.findings, *noticed], stages, tracking_uri)
    return folder


def _backend(spec: ExperimentSpec) -> Backend:
    try:
        execution = spec.execution
        config = ClusterConfig(execution.address, execution.workers, dashboard=execution.dashboard)
    except ValueError as error:
        raise UserError(f"execution: {error}") from None
    return open_backend(spec.execution.backend, config)


def _start(backend: Backend) -> None:
    try:
        backend.start()
    except BackendUnavailable as error:
        raise UserError(f"execution.address: {error}") from error


def _compute(
    spec: ExperimentSpec,
    panel: MediaPanel,
    studies: Studies | None,
    job: SearchJob,
    backend: Backend,
    folder: RunFolder,
    stages: Stages,
) -> Results:
    """Everything that needs numbers; each stage leaves its files before the next begins."""
    problem = job.problem
    with stages("search"):
        trials = search(backend, job, spec.search.trials, folder, stages.progress)
    with stages("select"):
        selection = select(spec, problem, trials)
        _write_selection(folder, problem, selection)
        if studies is not None:
            table = calibration_table(problem, studies, selection.models)
            write_table(folder.path / "calibration.parquet", table)
    with stages("refits"):
        uncertainty = refit_models(spec, problem, selection, backend)
        _write_uncertainty(folder, uncertainty)
        _write_models(spec, panel, problem, folder, selection, uncertainty)
    with stages("plans"):
        plans = [solve_scenario(spec, scenario, problem, selection.models) for scenario in spec.scenarios]
        for entry in plans:
            write_plans(folder, entry)
    return Results(problem, trials, selection, uncertainty, plans, studies)


def _write_selection(folder: RunFolder, problem: ModelProblem, selection: Selection) -> None:
    write_table(folder.path / "convergence.parquet", convergence_table(selection))
    write_table(folder.path / "pareto.parquet", pareto_table(selection))
    write_table(folder.path / "clusters.parquet", clusters_table(selection))
    write_table(folder.path / "contributions.parquet", contributions_table(problem, selection.models))


def _write_uncertainty(folder: RunFolder, uncertainty: Uncertainty) -> None:
    write_table(folder.path / "intervals.parquet", intervals_table(uncertainty.intervals))
    write_table(folder.path / "response_curves.parquet", uncertainty.curves)


def _write_models(
    spec: ExperimentSpec,
    panel: MediaPanel,
    problem: ModelProblem,
    folder: RunFolder,
    selection: Selection,
    uncertainty: Uncertainty,
) -> None:
    for row, model in enumerate(selection.models):
        batch = selection.batch[row : row + 1]
        record = model_record(spec, panel, problem, batch, model, selection.facts[row], uncertainty)
        write_model(folder.path / "models" / f"{model.candidate}.json", record)


def _present(
    spec: ExperimentSpec,
    folder: RunFolder,
    results: Results,
    findings: list[Finding],
    stages: Stages,
    tracking_uri: str | None,
) -> None:
    """Everything that only shows numbers: summary, report, MLflow. A failure here costs no result."""
    findings += diagnose(
        results.problem, results.trials, results.selection, results.uncertainty, results.plans
    )
    findings += diagnose_studies(results.problem, results.studies, results.selection.models)
    folder.write_findings(findings)
    folder.set_status("done")
    _write_summary(spec, folder, results, findings, stages)
    with stages("report"):
        write_report(folder)
    if spec.tracking.enabled:
        with stages("tracking"):
            late = mirror_quietly(folder, spec, tracking_uri)
        folder.write_findings([*findings, *late])
    _write_summary(spec, folder, results, findings, stages)


def _write_summary(
    spec: ExperimentSpec, folder: RunFolder, results: Results, findings: Sequence[Finding], stages: Stages
) -> None:
    n = sum(len(trial) for trial in results.trials)
    rate = n / stages.seconds["search"]
    write_json(
        folder.path / "timings.json",
        {"total": stages.total, "stages": stages.seconds, "candidates_per_second": rate},
    )
    summary = summarise(spec, results.problem, folder, results.selection, results.plans, findings)
    write_json(
        folder.path / "summary.json", {**summary, "candidates_per_second": rate, "seconds": stages.total}
    )
