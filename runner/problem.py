"""Spec and panel to the one frozen bundle of arrays that the search works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mmm_core.errors import UserError
from mmm_core.evaluate import split_window
from mmm_core.features import Holiday, factor_columns
from mmm_core.types import FloatArray, ModelProblem, PenaltyScale, ReferenceShares, Role, Solver
from runner.baseline import prophet_baseline, unused_settings
from runner.dataset import MediaPanel
from runner.findings import Finding, Severity
from runner.journal import candidate_columns
from runner.refresh.reference import reference_shares
from runner.spec import ContextSpec, ExperimentSpec, Sign
from runner.studies import Studies, load_studies

BASELINE_BOUNDS = (0.0, 1.0)
BOUNDS: dict[Sign, tuple[float, float]] = {
    "positive": (0.0, np.inf),
    "negative": (-np.inf, 0.0),
    "free": (-np.inf, np.inf),
}
# Below this many rows per column Robyn warns, and rightly.
ROWS_PER_COLUMN = 10
# Spend and exposure that disagree more than this are probably not the same campaign.
EXPOSURE_R2 = 0.8


def cost_per_exposure(spend: FloatArray, exposure: FloatArray, window: slice) -> float:
    """Currency per unit of exposure over the window: sum(spend) / sum(exposure)."""
    return float(spend[window].sum() / exposure[window].sum())


def modelled_media(spec: ExperimentSpec, panel: MediaPanel) -> tuple[dict[str, FloatArray], list[Finding]]:
    """Channel or organic name -> series that enters adstock; exposures are scaled to the spend of the window.

    Source: Robyn 3.12.1, inputs.R, exposure_handling.
    """
    window = slice(panel.start, panel.stop)
    media: dict[str, FloatArray] = {}
    findings = []
    for channel in spec.channels:
        spend = panel.numeric[channel.spend]
        if channel.exposure is None:
            media[channel.name] = spend
            continue
        exposure = panel.numeric[channel.exposure]
        modelled = exposure * cost_per_exposure(spend, exposure, window)
        media[channel.name] = modelled
        residual = spend[window] - modelled[window]
        r2 = 1 - (residual**2).sum() / ((spend[window] - spend[window].mean()) ** 2).sum()
        if r2 < EXPOSURE_R2:
            findings.append(
                Finding(
                    "exposure-against-spend",
                    Severity.WARNING,
                    f"In {channel.name} the exposure explains the spend with R2 {r2:.2f}: the cost per exposure moves.",
                    "Check the units; plans assume a constant cost per exposure. Model the spend instead if unsure.",
                )
            )
    for organic in spec.organic:
        media[organic.name] = panel.numeric[organic.column]
    return media, findings


def context_columns(spec: ExperimentSpec, panel: MediaPanel) -> dict[str, ContextSpec]:
    """Design column -> the context entry that it comes from, in order.

    With Prophet a factor is one column of its estimated effects; without it, its k - 1 dummies enter the ridge.

    Raises:
        UserError: two of them would have one name.
    """
    owners: dict[str, ContextSpec] = {}
    for context in spec.context:
        for column in _columns_of(spec, panel, context):
            if column in owners:
                raise UserError(f"two context columns would be called {column!r}; give one another name")
            owners[column] = context
    return owners


def _columns_of(spec: ExperimentSpec, panel: MediaPanel, context: ContextSpec) -> list[str]:
    levels = panel.factors.get(context.column)
    if levels is None or spec.baseline.components:
        return [context.name]
    return list(factor_columns(context.name, levels))


def design_columns(
    spec: ExperimentSpec, panel: MediaPanel, holidays: Sequence[Holiday] | None = None
) -> tuple[dict[str, FloatArray], list[Finding]]:
    """The K columns before adstock, by name: baseline, context, paid, organic. This is where Prophet is fitted.

    Args:
        spec, panel: what is built. holidays: as of ``prophet_baseline``.
    Raises:
        UserError: Prophet or the holidays fail, or two columns would have one name.
    """
    media, findings = modelled_media(spec, panel)
    findings += unused_settings(spec)
    baseline = {name: panel.numeric[name] for name in spec.baseline.precomputed}
    effects: dict[str, FloatArray] = {}
    if spec.baseline.components:
        baseline, effects = prophet_baseline(spec, panel, holidays)
    columns = list(baseline.items())
    for column, context in context_columns(spec, panel).items():
        levels = panel.factors.get(context.column)
        if levels is None:
            columns.append((column, panel.numeric[context.column]))
        else:
            columns.append((column, (effects or factor_columns(context.name, levels))[column]))
    columns += media.items()
    names = [name for name, _ in columns]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two components would be called {name!r}; rename the column or the channel")
    return dict(columns), findings


def _role_and_bounds(
    spec: ExperimentSpec, contexts: Mapping[str, ContextSpec], column: str
) -> tuple[Role, tuple[float, float]]:
    for channel in spec.channels:
        if column == channel.name:
            return Role.PAID, BOUNDS[channel.sign]
    for organic in spec.organic:
        if column == organic.name:
            return Role.ORGANIC, BOUNDS[organic.sign]
    if column in contexts:
        return Role.CONTEXT, BOUNDS[contexts[column].sign]
    return Role.BASELINE, BASELINE_BOUNDS


def assemble_problem(
    spec: ExperimentSpec,
    panel: MediaPanel,
    design: Mapping[str, FloatArray],
    studies: Studies | None = None,
) -> ModelProblem:
    """The frozen bundle from a panel and its design columns (fresh from Prophet, or read back from a run folder).

    Args:
        spec: roles, signs and rules. panel: the data. design: column -> (T,). studies: lift studies to judge models by.
    """
    contexts = context_columns(spec, panel)
    roles, bounds = zip(*(_role_and_bounds(spec, contexts, column) for column in design), strict=True)
    return ModelProblem(
        dates=panel.dates,
        outcome=panel.outcome,
        columns=tuple(design),
        roles=roles,
        design=np.array(list(design.values())),
        spend=np.array([panel.numeric[c.spend] for c in spec.channels]),
        lower=np.array([low for low, _ in bounds]),
        upper=np.array([high for _, high in bounds]),
        start=panel.start,
        stop=panel.stop,
        adstock=spec.adstock,
        intercept=spec.intercept,
        outcome_kind=spec.outcome.kind,
        time_series_validation=spec.validation.time_series,
        penalty_factors=spec.penalty_factors,
        zero_penalty=spec.search.rssd_zero_penalty,
        studies=None if studies is None else studies.arrays,
        solver=Solver(spec.search.solver),
        penalty_scale=PenaltyScale(spec.search.penalty_scale),
        reference=_reference(spec, panel, tuple(design)),
    )


def _reference(spec: ExperimentSpec, panel: MediaPanel, columns: tuple[str, ...]) -> ReferenceShares | None:
    return None if spec.refresh is None else reference_shares(spec, spec.refresh, panel, columns)


def build_problem(
    spec: ExperimentSpec,
    panel: MediaPanel,
    studies: Studies | None = None,
    holidays: Sequence[Holiday] | None = None,
) -> tuple[ModelProblem, list[Finding]]:
    """From panel to problem, checked against the spec.

    Args:
        spec: what to build. panel: the data.
        studies, holidays: the spec's lift studies and holidays where they were read before; else they are read here.
    Raises:
        UserError: as ``design_columns``, ``check_rows`` and ``load_studies``.
    """
    studies = studies or load_studies(spec, panel)
    design, findings = design_columns(spec, panel, holidays)
    problem = assemble_problem(spec, panel, design, studies)
    check_names(problem)
    noticed = [] if studies is None else list(studies.findings)
    return problem, [*findings, *noticed, *check_rows(spec, problem)]


def check_names(problem: ModelProblem) -> None:
    """A channel and a column whose names run together in the table of candidates would overwrite one another."""
    names = candidate_columns(problem)
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"two columns of the candidates would be called {name!r}; rename a channel or column"
            )


def check_panel_rows(spec: ExperimentSpec, panel: MediaPanel) -> list[Finding]:
    """As ``check_rows``, before Prophet: the number of columns follows from spec and factors."""
    n_columns = len(spec.baseline.components) + len(spec.baseline.precomputed) + len(spec.media_names)
    n_columns += len(context_columns(spec, panel))
    return _check_rows(spec, n_columns, panel.outcome[panel.start : panel.stop])


def check_rows(spec: ExperimentSpec, problem: ModelProblem) -> list[Finding]:
    """Whether there are enough rows for the columns and for the split.

    Raises:
        UserError: the smallest training part has no more rows than columns, or a part has no rows or nothing to fit.
    """
    return _check_rows(spec, len(problem.columns), problem.outcome[problem.window])


def _check_rows(spec: ExperimentSpec, n_columns: int, outcome: FloatArray) -> list[Finding]:
    n_window = len(outcome)
    sizes = np.array(spec.ranges(("train_size",))["train_size"])
    n_train, n_val = split_window(n_window, sizes)
    if n_train[0] < n_columns + 2:
        raise UserError(
            f"too few rows: the window has {n_window}, the smallest training part {n_train[0]} for {n_columns} columns "
            "and an intercept; widen the window, raise hyperparameters.train_size or drop columns"
        )
    if spec.validation.time_series and n_val[1] < 2:
        raise UserError(
            f"too few rows: with train_size {sizes[1]:g} only {n_val[1]} of {n_window} rows are left to validate on; "
            "lower hyperparameters.train_size or set validation.time_series: false"
        )
    for size, train, val in zip(sizes, n_train, n_val, strict=True):
        _check_part("training", size, outcome[:train])
        _check_part("validation", size, outcome[train : train + val])
    if n_window >= ROWS_PER_COLUMN * n_columns:
        return []
    return [
        Finding(
            "rows-per-column",
            Severity.WARNING,
            f"{n_window} rows for {n_columns} columns is fewer than {ROWS_PER_COLUMN} a column: coefficients will be "
            "uncertain.",
            "Use a longer window, merge small channels or drop context columns.",
        )
    ]


def _check_part(part: str, train_size: float, outcome: FloatArray) -> None:
    """The error of a part is measured in the range of its outcome, which must not be zero."""
    if len(outcome) and np.ptp(outcome) == 0:
        raise UserError(
            f"the outcome is {outcome[0]:g} in every {part} row where train_size is {train_size:g}; move the window or "
            "change hyperparameters.train_size"
        )
