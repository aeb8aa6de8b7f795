"""Results of GeoLift (Meta's R package) as the neutral table: one row a test, written by the user from the R object.

    channel      of the spec or one of its columns; GeoLift does not know it
    start, end   first and last day of the test as dates; GeoLift itself numbers periods
    incremental  GeoTest$incremental, the whole effect in the test's locations
    ATT, Lower.Conf.Int, Upper.Conf.Int   the row GeoTest$inference: per location and period
    lower_bound, upper_bound              GeoTest$lower_bound and $upper_bound: of the whole effect since 2.5.0, of the
                                          ATT before
    pvalue       for the standard error where no interval can be used
    alpha        of the interval; GeoLift's own default is 0.1
    spend, metric, source, scope          as in the neutral table; scope is immediate where it is not given

**Which interval.** That of the whole effect where it is given, else that of the ATT times incremental / ATT. Bounds
that hold the ATT but not the whole effect are those of an ATT (versions before 2.5.0). An interval that does not hold
its own estimate, which GeoLift can write (it takes bounds from the jackknife where its p-value is conformal), is left
out with a finding.

**Why immediate.** Test and control locations differ in the exposures of the test days and in nothing before: what the
days before left over works in both alike. So the test measures what its own days' exposures bring within these days.

Source: GeoLift 2.7, R/GeoLift.R and R/post_test_analysis.R (GeoLift, summary.GeoLift).
"""

from __future__ import annotations

import math
from typing import Any

from mmm_core.types import Scope
from runner.findings import Finding, Severity
from runner.source import is_missing, is_number
from runner.spec import ExperimentSpec
from runner.studies.adapting import (
    Adapted,
    Columns,
    error_from_interval,
    error_from_p,
    media_of_cell,
    taken_as,
)
from runner.studies.robyn import BETWEEN
from runner.studies.sources import StudySource

TOOL = "results of GeoLift"
SPELLINGS = {
    "channel": ("channel", "media_channel", "channel_name"),
    "start": ("start", "start_date", "test_start", "test_start_date", "treatment_start", "treatment_start_date",
              "treatmentstart"),
    "end": ("end", "end_date", "test_end", "test_end_date", "treatment_end", "treatment_end_date", "treatmentend"),
    "incremental effect": ("incremental", "incremental_y", "incremental_outcome", "incremental_revenue",
                           "incremental_conversions", "incremental_sales"),
    "effect per location and period": ("att", "average_att", "att_est"),
    "lower end per location and period": ("lower_conf_int", "lowerci"),
    "upper end per location and period": ("upper_conf_int", "upperci"),
    "lower end": ("lower_bound", "lower"),
    "upper end": ("upper_bound", "upper"),
    "p-value": ("pvalue", "p_value"),
    "alpha": ("alpha",),
    "level": ("level", "confidence_level"),
    "spend": ("spend", "investment", "cost"),
    "metric": ("metric",),
    "scope": ("scope",),
    "source": ("source",),
}  # fmt: skip
# Of these a table has at least one beside the incremental effect, or it is not GeoLift's.
MARKS = (
    "att",
    "average_att",
    "att_est",
    "perc_lift",
    "percent_lift",
    "perclift",
    "lower_conf_int",
    "lowerci",
)
DEFAULT_ALPHA = 0.1
# An ATT interval stated again as one of the whole effect agrees with it to rounding.
EXPLAIN = "Give its interval by hand (lower, upper), or leave it: its p-value counts where it has one."


def adapt_geolift(source: StudySource, spec: ExperimentSpec) -> Adapted:
    """The neutral table of a table of GeoLift results.

    Raises:
        UserError: a column is missing, or a cell cannot be used.
    """
    import pandas as pd

    columns = Columns(source, SPELLINGS)
    for meaning in ("channel", "start", "end"):
        columns.require(meaning, TOOL, "GeoLift does not know it, add it to the table")
    name = columns.require("incremental effect", TOOL, "it is GeoTest$incremental in R")
    _check_dates(columns)
    estimates = source.numbers(name, "fill it or delete the row")
    findings = taken_as(columns, TOOL)
    rows: list[dict[str, Any]] = []
    for i in range(len(source.table)):
        known, noticed = _interval(columns, i, float(estimates[i]))
        findings += noticed
        media = media_of_cell(spec, source, i, columns.found["channel"], BETWEEN)
        rows.append({"channel": "+".join(media), "estimate": float(estimates[i]), **known})
    table = pd.DataFrame(rows, dtype=object)
    for neutral, meaning, otherwise in (
        ("start", "start", ""),
        ("end", "end", ""),
        ("scope", "scope", str(Scope.IMMEDIATE)),
        ("spend", "spend", ""),
        ("metric", "metric", ""),
        ("source", "source", "GeoLift"),
    ):
        table[neutral] = columns.cells(meaning, otherwise)
    return Adapted(table, _names(columns), tuple(findings))


def _names(columns: Columns) -> dict[str, str]:
    """Neutral column -> column of the file."""
    renamed = {"estimate": "incremental effect", "lower": "lower end", "upper": "upper end"}
    same = {name: name for name in ("channel", "start", "end", "spend", "metric", "scope", "source", "level")}
    pairs = {**renamed, **same}.items()
    return {neutral: columns.found[meaning] for neutral, meaning in pairs if meaning in columns}


def _check_dates(columns: Columns) -> None:
    for meaning in ("start", "end"):
        column = columns.found[meaning]
        for i, cell in enumerate(columns.source.table[column].tolist()):
            if not is_missing(cell) and is_number(cell):
                problem = (
                    f"is {cell}, the number of a period as GeoLift counts them; give its date "
                    "(get_date_from_test_periods in R tells it)"
                )
                raise columns.source.fail(column, problem, i)


def level_of(columns: Columns, i: int) -> float:
    """Level of the interval of one row: as given, else 1 - alpha, else that of the default alpha."""
    level, alpha = (columns.number(meaning, i) for meaning in ("level", "alpha"))
    if math.isnan(level) and not math.isnan(alpha):
        if not 0 < alpha < 1:
            problem = f"is {alpha:g}, expected a share between 0 and 1, such as 0.1"
            raise columns.source.fail(columns.found["alpha"], problem, i)
        return 1 - alpha
    return 1 - DEFAULT_ALPHA if math.isnan(level) else level


def _interval(columns: Columns, i: int, estimate: float) -> tuple[dict[str, Any], list[Finding]]:
    """Interval, level and standard error of one test, as far as they follow, and what had to be decided."""
    level, p_value, findings = level_of(columns, i), columns.number("p-value", i), []
    lower, upper, factor = _ends(columns, i, estimate)
    if factor != 1:
        findings.append(_rescaled(columns, i, factor))
    if not (math.isnan(lower) or lower < estimate < upper):
        findings.append(unusable_interval(columns, i, (lower, upper), estimate))
        lower = upper = math.nan
    if math.isnan(lower):
        error = error_from_p(estimate, p_value)
    elif 0 < level < 1:
        error = error_from_interval(estimate, lower, upper, level)
    else:
        error = math.nan  # the neutral table says what is wrong with the level
    return {"lower": lower, "upper": upper, "level": level, "standard_error": error}, findings


def _ends(columns: Columns, i: int, estimate: float) -> tuple[float, float, float]:
    """(lower, upper, factor) of the whole effect; factor: what an interval of the ATT was multiplied by, else 1."""
    lower, upper = (columns.number(f"{end} end", i) for end in ("lower", "upper"))
    per_unit = [columns.number(f"{end} end per location and period", i) for end in ("lower", "upper")]
    att = columns.number("effect per location and period", i)
    factor = estimate / att if att else math.nan
    if not (math.isnan(lower) or math.isnan(upper)):
        is_of_att = not lower < estimate < upper and lower < att < upper and factor > 0
        return (lower * factor, upper * factor, factor) if is_of_att else (lower, upper, 1.0)
    if math.isnan(per_unit[0] + per_unit[1]) or not factor > 0:
        return math.nan, math.nan, 1.0
    return per_unit[0] * factor, per_unit[1] * factor, factor


def _label(columns: Columns, i: int) -> str:
    channel, start = (columns.cells(meaning)[i] for meaning in ("channel", "start"))
    return f"the test of {channel} from {start}"


def _rescaled(columns: Columns, i: int, factor: float) -> Finding:
    return Finding(
        "study-interval-rescaled",
        Severity.INFO,
        f"The interval of {_label(columns, i)} is that of its effect per location and period; it was multiplied by "
        f"{factor:,.6g}, its locations times its periods (incremental / ATT).",
    )


def unusable_interval(columns: Columns, i: int, ends: tuple[float, float], estimate: float) -> Finding:
    """An interval that does not hold its own estimate."""
    return Finding(
        "study-interval-unusable",
        Severity.WARNING,
        f"The interval of {_label(columns, i)}, {ends[0]:,.6g} to {ends[1]:,.6g}, does not hold its own estimate "
        f"{estimate:,.6g}; it is not used.",
        EXPLAIN,
    )
