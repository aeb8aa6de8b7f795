"""Spec and panel to the one frozen bundle of arrays that the search works on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmm_core.errors import UserError
from mmm_core.evaluate import split_window
from mmm_core.features import Holiday, country_holidays, factor_columns, fold_holidays, prophet_columns
from mmm_core.types import FloatArray, ModelProblem, Role
from runner.dataset import MediaPanel
from runner.findings import Finding, Severity
from runner.source import read_table
from runner.spec import ExperimentSpec, Sign

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


def read_holidays(spec: ExperimentSpec, panel: MediaPanel) -> list[Holiday]:
    """Holidays of the spec, by day: the user's table (columns ds or date, holiday, and maybe country) or built in."""
    if spec.baseline.holidays is None:
        years = range(panel.dates[0].astype(object).year - 1, panel.dates[-1].astype(object).year + 2)
        return country_holidays(str(spec.baseline.country), years)
    path = spec.baseline.holidays.path
    table = read_table(path)
    day_column = next((c for c in ("ds", "date") if c in table), None)
    if day_column is None or "holiday" not in table:
        raise UserError(
            f"{path}: expected the columns ds (or date) and holiday, found {', '.join(table.columns)}"
        )
    country = spec.baseline.country
    if "country" in table:
        if country is None and table["country"].nunique() > 1:
            raise UserError(f"{path}: holidays of several countries; set baseline.country to one of them")
        if country is not None:
            table = table[table["country"] == country]
            if len(table) == 0:
                raise UserError(f"{path}: no holiday of the country {country!r}; correct baseline.country")
    return [
        _holiday(path, i, str(d), str(h))
        for i, d, h in zip(table.index, table[day_column], table["holiday"], strict=True)
    ]


def _holiday(path: str, index: int, day: str, name: str) -> Holiday:
    from datetime import date

    try:
        parsed = date.fromisoformat(day.strip()[:10])
    except ValueError:
        raise UserError(f"{path}: row {index + 1}: {day!r} is not a date like 2024-12-25") from None
    if not name.strip():
        raise UserError(f"{path}: row {index + 1}: the holiday has no name")
    return Holiday(parsed, name, (str(parsed.year),))


def baseline_columns(
    spec: ExperimentSpec, panel: MediaPanel
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """(baseline columns, factor columns): from Prophet, from the data, or none.

    With Prophet a factor becomes one column of its estimated effects; without it, its k - 1 dummies enter the ridge.
    """
    names = {c.column: c.name for c in spec.context}
    factors = {names[column]: levels for column, levels in panel.factors.items()}
    components = spec.baseline.components
    if not components:
        precomputed = {name: panel.numeric[name] for name in spec.baseline.precomputed}
        dummies = {c: v for name, levels in factors.items() for c, v in factor_columns(name, levels).items()}
        return precomputed, dummies
    holidays: list[Holiday] = []
    if "holiday" in components:
        holidays = fold_holidays(read_holidays(spec, panel), panel.dates, panel.frequency)
        if not any(panel.dates[0] <= np.datetime64(h.day) <= panel.dates[-1] for h in holidays):
            raise UserError(
                "baseline.holidays: no holiday falls into the dates of the data; drop the component holiday"
            )
    columns = prophet_columns(
        panel.dates, panel.outcome, components, holidays, factors, spec.baseline.prophet
    )
    return {c: columns[c] for c in components}, {name: columns[name] for name in factors}


def design_columns(spec: ExperimentSpec, panel: MediaPanel) -> tuple[dict[str, FloatArray], list[Finding]]:
    """The K columns before adstock, by name: baseline, context, paid, organic. This is where Prophet is fitted.

    Raises:
        UserError: Prophet or the holidays fail, or two columns would have one name.
    """
    media, findings = modelled_media(spec, panel)
    baseline, factors = baseline_columns(spec, panel)
    columns = list(baseline.items())
    for context in spec.context:
        if context.column in panel.numeric:
            columns.append((context.name, panel.numeric[context.column]))
        else:
            columns += [
                (name, values) for name, values in factors.items() if _is_of_factor(name, context.name)
            ]
    columns += media.items()
    names = [name for name, _ in columns]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two components would be called {name!r}; rename the column or the channel")
    return dict(columns), findings


def _is_of_factor(column: str, factor: str) -> bool:
    return column == factor or column.startswith(f"{factor}_")


def _role_and_bounds(spec: ExperimentSpec, column: str) -> tuple[Role, tuple[float, float]]:
    for channel in spec.channels:
        if column == channel.name:
            return Role.PAID, BOUNDS[channel.sign]
    for organic in spec.organic:
        if column == organic.name:
            return Role.ORGANIC, BOUNDS[organic.sign]
    if column in spec.baseline.components or column in spec.baseline.precomputed:
        return Role.BASELINE, BASELINE_BOUNDS
    context = next(c for c in spec.context if _is_of_factor(column, c.name))
    return Role.CONTEXT, BOUNDS[context.sign]


def assemble_problem(
    spec: ExperimentSpec, panel: MediaPanel, design: Mapping[str, FloatArray]
) -> ModelProblem:
    """The frozen bundle from a panel and its design columns (fresh from Prophet, or read back from a run folder)."""
    roles, bounds = zip(*(_role_and_bounds(spec, column) for column in design), strict=True)
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
    )


def build_problem(spec: ExperimentSpec, panel: MediaPanel) -> tuple[ModelProblem, list[Finding]]:
    """From panel to problem, checked against the spec.

    Raises:
        UserError: as ``design_columns`` and ``check_rows``.
    """
    design, findings = design_columns(spec, panel)
    problem = assemble_problem(spec, panel, design)
    return problem, findings + check_rows(spec, problem)


def check_panel_rows(spec: ExperimentSpec, panel: MediaPanel) -> list[Finding]:
    """As ``check_rows``, before Prophet: the number of columns follows from spec and factors."""
    n_columns = len(spec.baseline.components) + len(spec.baseline.precomputed) + len(spec.media_names)
    for context in spec.context:
        as_dummies = context.column in panel.factors and not spec.baseline.components
        n_columns += len(factor_columns("", panel.factors[context.column])) if as_dummies else 1
    return _check_rows(spec, n_columns, panel.stop - panel.start)


def check_rows(spec: ExperimentSpec, problem: ModelProblem) -> list[Finding]:
    """Whether there are enough rows for the columns and for the split.

    Raises:
        UserError: the smallest training part has no more rows than columns, or a part to validate on is empty.
    """
    return _check_rows(spec, len(problem.columns), problem.n_window)


def _check_rows(spec: ExperimentSpec, n_columns: int, n_window: int) -> list[Finding]:
    low, high = spec.ranges(("train_size",))["train_size"]
    n_train, n_val = split_window(n_window, np.array([low, high]))
    if n_train[0] < n_columns + 2:
        raise UserError(
            f"too few rows: the window has {n_window}, the smallest training part {n_train[0]} for {n_columns} columns "
            "and an intercept; widen the window, raise hyperparameters.train_size or drop columns"
        )
    if spec.validation.time_series and n_val[1] < 2:
        raise UserError(
            f"too few rows: with train_size {high:g} only {n_val[1]} of {n_window} rows are left to validate on; lower "
            "hyperparameters.train_size or set validation.time_series: false"
        )
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
