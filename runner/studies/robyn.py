"""Robyn's ``calibration_input`` as the neutral table.

    channel             spend or organic columns of the data (our own names too), joined by + , ; or blanks
    liftStartDate, liftEndDate   first and last day
    liftAbs             what was found over the whole length
    calibration_scope   immediate or total
    confidence          1 - p of the lift, a share; optional here, as are the next two
    spend, metric       as in the neutral table

**Confidence to standard error.** Robyn asks for a confidence and uses it for nothing but a warning. Taken for what its
documentation says it is, 1 - p of a test against no effect, it holds the standard error: |liftAbs| / z with z the
normal quantile of (1 + confidence) / 2. Nothing follows from a confidence of 0 or 1 (p rounded away), and the standard
error stays unknown. It weighs the studies in the convention ``correct``; the convention ``robyn`` weighs all alike.

Source: Robyn 3.12.1, checks.R, check_calibration. That refuses a table without spend, confidence or metric; we do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.errors import UserError
from mmm_core.types import FloatArray
from runner.findings import Finding, Severity
from runner.source import is_missing
from runner.spec import ExperimentSpec
from runner.studies.adapting import Adapted, error_from_p, media_of_cell, optional_numbers, unused_columns
from runner.studies.sources import StudySource, table_of_columns

if TYPE_CHECKING:
    import pandas as pd

# neutral column -> Robyn's
NAMES = {
    "channel": "channel",
    "start": "liftStartDate",
    "end": "liftEndDate",
    "estimate": "liftAbs",
    "scope": "calibration_scope",
    "standard_error": "confidence",
    "spend": "spend",
    "metric": "metric",
    "source": "source",
}
REQUIRED = ("channel", "start", "end", "estimate", "scope")
BETWEEN = r"\s*[+,;]\s*|\s+"
# Robyn's constant.
LOW_CONFIDENCE = 0.8
# What R writes of the channels beside the names that the user gave.
DERIVED = ("channel_selected",)


def robyn_calibration(
    columns: Mapping[str, Sequence[Any]], spec: ExperimentSpec, source: str
) -> pd.DataFrame:
    """The neutral table of Robyn's studies.

    Args:
        columns: Robyn's own, by name, with a list each, as a model file has them.
        spec: whose channels and columns are meant. source: what to call the table in messages.
    Returns:
        A table with columns of the neutral one; ``studies_from_table`` reads it.
    Raises:
        UserError: a column is missing, or a channel, number or confidence cannot be used; rows count from 1.
    """
    return adapt_robyn(StudySource.of(source, table_of_columns(columns, source)), spec).table


def adapt_robyn(source: StudySource, spec: ExperimentSpec) -> Adapted:
    """As ``robyn_calibration``, with the findings and the names that sentences need."""
    import pandas as pd

    known = [str(name) for name in source.table.columns]
    for neutral in REQUIRED:
        if NAMES[neutral] not in known:
            raise UserError(
                f"{source.path}: there is no column {NAMES[neutral]!r}; Robyn's calibration_input needs "
                f"{', '.join(NAMES[n] for n in REQUIRED)}, this one has {', '.join(known)}"
            )
    estimates = source.numbers(NAMES["estimate"], "fill it or delete the row")
    confidences = _confidences(source)
    rows = range(len(source.table))
    given = {n: source.table[c].tolist() for n, c in NAMES.items() if c in known}
    table = {
        **{n: cells for n, cells in given.items() if n not in ("channel", "estimate", "standard_error")},
        "channel": ["+".join(media_of_cell(spec, source, i, NAMES["channel"], BETWEEN)) for i in rows],
        "estimate": estimates.tolist(),
        "standard_error": [
            error_from_p(e, 1 - c) for e, c in zip(estimates.tolist(), confidences.tolist(), strict=True)
        ],
    }
    ordered = {name: table[name] for name in NAMES if name in table}
    unused = [name for name in known if name not in NAMES.values() and name not in DERIVED]
    findings = (*_low(source, table["channel"], confidences), *unused_columns(unused))
    return Adapted(pd.DataFrame(ordered, dtype=object), NAMES, findings)


def _confidences(source: StudySource) -> FloatArray:
    """(S,) confidence of each study, NaN where there is none."""
    column = NAMES["standard_error"]
    values = optional_numbers(source, column)
    for i in np.flatnonzero((values < 0) | (values > 1)):
        problem = f"is {values[i]:g}, expected a share between 0 and 1 (1 - p), such as 0.9"
        raise source.fail(column, problem, int(i))
    return values


def _low(source: StudySource, channels: Sequence[str], confidences: FloatArray) -> list[Finding]:
    low = [i for i, c in enumerate(confidences.tolist()) if not math.isnan(c) and c < LOW_CONFIDENCE]
    if not low:
        return []
    start = source.table[NAMES["start"]].tolist()
    told = ", ".join(
        f"{channels[i]} from {'?' if is_missing(start[i]) else start[i]} ({confidences[i]:g})" for i in low
    )
    return [
        Finding(
            "study-confidence-low",
            Severity.WARNING,
            f"Lift studies with a confidence below {LOW_CONFIDENCE:g}: {told}.",
            "What they found may be noise: leave them out, or let them weigh little (convention correct does, by "
            "their standard errors).",
        )
    ]
