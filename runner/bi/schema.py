"""The tables of a run for spreadsheets and BI tools: grain, columns, types, units and keys, written down once.

Columns never depend on the spec (no column is named after a channel), so that tables of many runs can be put below
one another. Every table begins with ``run``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class Kind(StrEnum):
    """What a cell holds."""

    TEXT = "text"
    NUMBER = "number"
    COUNT = "whole number"
    FLAG = "true or false"
    DATE = "date"

    @property
    def arrow(self) -> pa.DataType:
        """The type in Parquet."""
        import pyarrow as pa

        return {
            Kind.TEXT: pa.string(),
            Kind.NUMBER: pa.float64(),
            Kind.COUNT: pa.int64(),
            Kind.FLAG: pa.bool_(),
            Kind.DATE: pa.date32(),
        }[self]


@dataclass(frozen=True)
class Column:
    """One column: what a cell holds and means, in which unit; ``refers`` names the dimension that it is a key of."""

    kind: Kind
    meaning: str
    unit: str = ""
    refers: str = ""


@dataclass(frozen=True)
class Table:
    """One table: what a row is, the columns that no two rows share, and all columns by name, in their order."""

    grain: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]

    @property
    def arrow(self) -> pa.Schema:
        """Names and types in Parquet."""
        import pyarrow as pa

        return pa.schema([(name, column.kind.arrow) for name, column in self.columns.items()])

    @property
    def references(self) -> dict[str, str]:
        """Column -> the dimension that it is a key of."""
        return {name: column.refers for name, column in self.columns.items() if column.refers}


TEXT, NUMBER, COUNT, FLAG, DATE = Kind
OUTCOME, MONEY, PER_PERIOD = "outcome", "currency", "per period"

_RUN = Column(TEXT, "the run", refers="dim_run")
_DATE = Column(DATE, "first day of the period", refers="dim_date")
_MODEL = Column(TEXT, "the selected model, or ensemble for the mean of them", refers="dim_model")
_COMPONENT = Column(
    TEXT, "intercept, or the design column; a medium's is its channel", refers="dim_component"
)
_CHANNEL = Column(TEXT, "the paid channel", refers="dim_channel")
_CANDIDATE = Column(TEXT, "trial_iteration; a selected model is called by it", refers="candidates")


def _text(meaning: str) -> Column:
    return Column(TEXT, meaning)


def _number(meaning: str, unit: str = "") -> Column:
    return Column(NUMBER, meaning, unit)


def _count(meaning: str, unit: str = "") -> Column:
    return Column(COUNT, meaning, unit)


def _flag(meaning: str) -> Column:
    return Column(FLAG, meaning)


_LOSSES = {
    "nrmse": _number("the fit that was searched for: nrmse_val where there is validation, else nrmse_train"),
    "nrmse_train": _number("RMSE / (largest - smallest outcome) on the training rows"),
    "nrmse_val": _number("the same on the validation rows"),
    "nrmse_test": _number("the same on the test rows"),
    "decomp_rssd": _number("distance of effect shares from spend shares"),
    "mape": _number("distance to the lift studies, 0 without any"),
    "rsq_train": _number("adjusted R2 on the training rows"),
    "rsq_val": _number("the same on the validation rows"),
    "rsq_test": _number("the same on the test rows"),
}

DIMENSIONS: Mapping[str, Table] = {
    "dim_run": Table(
        "one run: one row",
        ("run",),
        {
            "run": _text("name, digest of the spec, digest of the problem: equal for equal runs"),
            "name": _text("the spec's name"),
            "outcome": _text("the outcome's column in the data"),
            "outcome_kind": _text("revenue or conversion"),
            "metric": _text(
                "what efficiency means in this run: roas (outcome / spend) or cpa (spend / outcome)"
            ),
            "frequency": _text("daily, weekly or monthly: the length of a period"),
            "first_date": Column(DATE, "first period of the data"),
            "last_date": Column(DATE, "last period of the data"),
            "window_start": Column(DATE, "first period that was modelled"),
            "window_end": Column(DATE, "last period that was modelled"),
            "n_periods": _count("periods of the data"),
            "n_window": _count("periods that were modelled"),
            "spec_digest": _text("SHA-256 of all in the spec that can change a result"),
            "data_digest": _text("SHA-256 of the values of the data"),
            "problem_digest": _text(
                "SHA-256 of all numbers that candidates meet: data, Prophet, lift studies"
            ),
            "package_version": _text("of mmm-runner"),
        },
    ),
    "dim_date": Table(
        "one period of the data",
        ("run", "date"),
        {
            "run": _RUN,
            "date": Column(DATE, "first day of the period"),
            "year": _count("calendar year"),
            "quarter": _count("1 to 4"),
            "month": _count("1 to 12"),
            "iso_year": _count("year of the ISO week"),
            "iso_week": _count("ISO week, 1 to 53"),
            "is_modelled": _flag("whether it lies in the modelling window"),
        },
    ),
    "dim_component": Table(
        "one component of the decomposition",
        ("run", "component"),
        {
            "run": _RUN,
            "component": _text("intercept, or the design column; a medium's is its channel"),
            "role": _text("intercept, baseline, context, paid or organic"),
            "position": _count("order of the design, intercept 0"),
            "colour": _text("hex colour of a medium in the report, empty for the rest"),
        },
    ),
    "dim_channel": Table(
        "one paid channel",
        ("run", "channel"),
        {
            "run": _RUN,
            "channel": _text("its name, which is also its component"),
            "spend_column": _text("column of the data that holds its spend"),
            "exposure_column": _text(
                "column of the data that is modelled in its place, empty where it is the spend"
            ),
            "adstock": _text("geometric, weibull_cdf or weibull_pdf"),
            "total_spend": _number("over the window", MONEY),
            "spend_share": _number("of all paid channels over the window, in [0, 1]"),
            "position": _count("order of the spec, from 1"),
            "colour": _text("hex colour in the report"),
        },
    ),
    "dim_model": Table(
        "one selected model, and the ensemble",
        ("run", "model"),
        {
            "run": _RUN,
            "model": _text("candidate, such as 3_120, or ensemble"),
            "position": _count("best first, from 1; the ensemble is 0"),
            "is_ensemble": _flag("whether it is the mean of the others"),
            "cluster": _count("the cluster that it won"),
            "train_size": _number("part of the window that it was trained on"),
            "lambda": _number("penalty of the ridge, in glmnet's scale"),
            **_LOSSES,
        },
    ),
}

FACTS: Mapping[str, Table] = {
    "contributions": Table(
        "what one component brought in one period, by one model",
        ("run", "model", "date", "component"),
        {
            "run": _RUN,
            "model": _MODEL,
            "date": _DATE,
            "component": _COMPONENT,
            "role": _text("of the component, as in dim_component"),
            "contribution": _number("its part of the fitted outcome", OUTCOME),
            "immediate": _number("of a medium: what exposures of the period itself brought", OUTCOME),
            "carryover": _number("of a medium: what earlier exposures brought", OUTCOME),
        },
    ),
    "fit": Table(
        "one modelled period, by one model",
        ("run", "model", "date"),
        {
            "run": _RUN,
            "model": _MODEL,
            "date": _DATE,
            "split": _text("train, val or test"),
            "outcome": _number("as measured", OUTCOME),
            "fitted": _number("sum of the contributions", OUTCOME),
            "residual": _number("outcome - fitted", OUTCOME),
        },
    ),
    "spend": Table(
        "what one channel cost in one period of the data",
        ("run", "date", "channel"),
        {
            "run": _RUN,
            "date": _DATE,
            "channel": _CHANNEL,
            "spend": _number("as in the data", MONEY),
            "exposure": _number("as in the data, empty where the spend is modelled", "the channel's own"),
        },
    ),
    "channel_results": Table(
        "what one channel brought over the window, by one model or the mean of them",
        ("run", "model", "channel"),
        {
            "run": _RUN,
            "model": _MODEL,
            "channel": _CHANNEL,
            "spend": _number("over the window", MONEY),
            "contribution": _number("over the window", OUTCOME),
            "contribution_share": _number("of the whole fitted outcome, in [0, 1]"),
            "effect_share": _number("of what all paid channels brought, in [0, 1]"),
            "spend_share": _number("of what all paid channels cost, in [0, 1]"),
            "efficiency": _number("ROAS or CPA, see metric in dim_run"),
            "efficiency_lower": _number("lower end of its sampling interval; none for the ensemble"),
            "efficiency_upper": _number("upper end of its sampling interval; none for the ensemble"),
            "level": _number("of the interval, such as 0.9"),
        },
    ),
    "intervals": Table(
        "one interval around one quantity of one model",
        ("run", "model", "kind", "quantity", "name"),
        {
            "run": _RUN,
            "model": _MODEL,
            "kind": _text("sampling (refits of the model) or cluster (spread of the models of its cluster)"),
            "quantity": _text("coef, contribution, roas, cpa, ..."),
            "name": _text("of the component or channel"),
            "estimate": _number("of the model"),
            "lower": _number("lower end"),
            "upper": _number("upper end"),
            "level": _number("such as 0.9"),
            "n": _count("draws or models that it rests on"),
        },
    ),
    "response_curves": Table(
        "one point of the response curve of one channel in one model",
        ("run", "model", "channel", "multiplier"),
        {
            "run": _RUN,
            "model": _MODEL,
            "channel": _CHANNEL,
            "multiplier": _number("of today's spends, period by period; 1 is today"),
            "spend": _number("mean", f"{MONEY} {PER_PERIOD}"),
            "response": _number("mean", f"{OUTCOME} {PER_PERIOD}"),
            "marginal_response": _number("what one more unit of money brings", f"{OUTCOME} / {MONEY}"),
            "lower": _number("lower end of the sampling interval", f"{OUTCOME} {PER_PERIOD}"),
            "upper": _number("upper end of the sampling interval", f"{OUTCOME} {PER_PERIOD}"),
        },
    ),
    "plans": Table(
        "one channel in one plan of one scenario",
        ("run", "scenario", "model", "channel"),
        {
            "run": _RUN,
            "scenario": _text("its name"),
            "model": _MODEL,
            "channel": _CHANNEL,
            "goal": _text("max_response, target_efficiency or target_outcome"),
            "status": _text("solved, not_converged or infeasible"),
            "carryover": _text("plan (adstock of the plan itself) or historical (Robyn's constant)"),
            "flighting": _text("how spend is spread over the horizon"),
            "start": Column(DATE, "first period of the horizon"),
            "end": Column(DATE, "last period of the horizon"),
            "n_periods": _count("periods of the horizon"),
            "initial_spend": _number("today's, over the horizon", MONEY),
            "lower_spend": _number("least allowed", MONEY),
            "upper_spend": _number("most allowed", MONEY),
            "optimised_spend": _number("planned, over the horizon", MONEY),
            "initial_response": _number("of today's spend, over the horizon", OUTCOME),
            "optimised_response": _number("of the planned spend, over the horizon", OUTCOME),
            "initial_marginal": _number("of one more unit of money, today", f"{OUTCOME} / {MONEY}"),
            "optimised_marginal": _number("of one more unit of money, as planned", f"{OUTCOME} / {MONEY}"),
            "initial_efficiency": _number("ROAS or CPA today, see metric in dim_run"),
            "optimised_efficiency": _number("ROAS or CPA as planned"),
        },
    ),
    "candidates": Table(
        "one candidate of the search",
        ("run", "candidate"),
        {
            "run": _RUN,
            "candidate": _text("trial_iteration"),
            "trial": _count("from 1"),
            "iteration": _count("place in its trial, from 1"),
            "status": _text("how its fit ended"),
            "front": _count("Pareto front, empty where it is on none that was kept"),
            "cluster": _count("of the candidates on the fronts kept"),
            "error_score": _number("distance to the best losses, of the candidates on the fronts kept"),
            "is_selected": _flag("whether it is a selected model"),
            "lambda": _number("penalty of the ridge, in glmnet's scale"),
            "intercept": _number("of the fit", f"{OUTCOME} {PER_PERIOD}"),
            **_LOSSES,
        },
    ),
    "candidate_channels": Table(
        "one paid channel in one candidate on the fronts kept",
        ("run", "candidate", "channel"),
        {
            "run": _RUN,
            "candidate": _CANDIDATE,
            "channel": _CHANNEL,
            "contribution": _number("over the window", OUTCOME),
            "effect_share": _number("of what all paid channels brought, in [0, 1]"),
            "efficiency": _number("ROAS or CPA, see metric in dim_run"),
        },
    ),
    "hyperparameters": Table(
        "one hyperparameter of one candidate on the fronts kept",
        ("run", "candidate", "hyperparameter"),
        {
            "run": _RUN,
            "candidate": _CANDIDATE,
            "hyperparameter": _text("such as tv_theta, train_size, lambda_hp"),
            "component": _text(
                "the medium (or, of a penalty, the design column) it belongs to, empty for the rest"
            ),
            "parameter": _text(
                "what it is: alpha, gamma, theta, shape, scale, penalty, train_size, lambda_hp"
            ),
            "value": _number("of the candidate"),
        },
    ),
    "convergence": Table(
        "one twentieth of the iterations, for one loss",
        ("run", "loss", "bin"),
        {
            "run": _RUN,
            "loss": _text("nrmse, decomp_rssd or mape"),
            "bin": _count("from 1"),
            "first_iteration": _count("of the bin"),
            "last_iteration": _count("of the bin"),
            "n": _count("candidates in it"),
            "median": _number("of the loss in the bin"),
            "sd": _number("standard deviation of the loss in the bin"),
            "is_converged": _flag("whether the loss has settled, the same in all its rows"),
        },
    ),
    "calibration": Table(
        "one lift study, by one model",
        ("run", "model", "study"),
        {
            "run": _RUN,
            "model": _MODEL,
            "study": _count("row of the studies, from 1"),
            "channel": _text("what was tested: a channel, or several joined by +"),
            "scope": _text("immediate or total"),
            "start": Column(DATE, "first day"),
            "end": Column(DATE, "last day"),
            "estimate": _number("what the study found", OUTCOME),
            "lower": _number("lower end of its interval", OUTCOME),
            "upper": _number("upper end of its interval", OUTCOME),
            "predicted": _number("what the model says", OUTCOME),
            "error": _number("|predicted - estimate| / |estimate|"),
            "weight": _number("share in the loss, in [0, 1]"),
            "is_inside": _flag("whether the prediction lies in the study's interval"),
            "source": _text("where the study is from"),
        },
    ),
    "refresh": Table(
        "one quantity of one component, before and after a refresh",
        ("run", "component", "quantity"),
        {
            "run": _RUN,
            "component": _text("intercept, or the design column"),
            "role": _text("of the component"),
            "quantity": _text("what moved"),
            "previous": _number("in the model before, empty where it had none"),
            "new": _number("in the refreshed model"),
            "change": _number("new - previous"),
            "previous_lower": _number("lower end of its sampling interval before"),
            "previous_upper": _number("upper end of its sampling interval before"),
            "new_lower": _number("lower end of its sampling interval now"),
            "new_upper": _number("upper end of its sampling interval now"),
            "level": _number("of the intervals, such as 0.9"),
            "standardised_change": _number("change in standard errors of the previous value"),
            "is_beyond_uncertainty": _flag("whether it is more than sampling explains"),
            "window": _number("part of the change: the moved window"),
            "data": _number("part: old rows that were restated, Prophet fitted again"),
            "new_rows": _number("part: coefficients fitted with the new rows"),
            "old_rows": _number("part: coefficients fitted without the rows that left"),
            "hyperparameters": _number("part: other hyperparameters"),
            "reason": _text("the largest part"),
        },
    ),
    "findings": Table(
        "one observation about data or models",
        ("run", "position"),
        {
            "run": _RUN,
            "position": _count("order of the report, from 1"),
            "case": _text("a stable word to search for"),
            "severity": _text("info, warning or problem"),
            "details": _text("a sentence"),
            "recommendation": _text("what to do about it, empty if nothing"),
        },
    ),
}

TABLES: Mapping[str, Table] = {**DIMENSIONS, **FACTS}
