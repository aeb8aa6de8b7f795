"""What models make of lift studies: the tables of a run folder, and studies that every model contradicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmm_core.calibration import predict
from mmm_core.types import FittedModel, ModelProblem
from runner.findings import Finding, Severity
from runner.studies.records import Studies

if TYPE_CHECKING:
    import pyarrow as pa


def diagnose_studies(
    problem: ModelProblem, studies: Studies | None, models: Sequence[FittedModel]
) -> list[Finding]:
    """Studies whose interval holds no selected model's prediction: evidence and models contradict each other."""
    findings = []
    for s, record in enumerate(studies.records if studies else ()):
        predicted = np.array([predict(problem, model).predicted[s] for model in models])
        if np.isnan(record.lower) or ((record.lower <= predicted) & (predicted <= record.upper)).any():
            continue
        findings.append(
            Finding(
                "study-missed",
                Severity.WARNING,
                f"No selected model agrees with {record.label}: it found {record.study.estimate:,.0f} "
                f"({record.lower:,.0f} to {record.upper:,.0f}), they predict {predicted.min():,.0f} to "
                f"{predicted.max():,.0f}.",
                "Check dates, unit and scope of the study, and whether the ranges of the channel's hyperparameters "
                "allow what it found; then decide which to believe.",
            )
        )
    return findings


# ------------------------------------------------------------------------------------------------------------ tables


def studies_table(studies: Studies, metric: str) -> pa.Table:
    """``inputs/studies.parquet``: the studies as used, in the columns that ``studies_from_table`` reads."""
    import pyarrow as pa

    rows = studies.records
    numbers = ("lower", "upper", "level", "spend")
    return pa.table(
        {
            "channel": pa.array([r.channel for r in rows]),
            "start": pa.array(np.array([r.study.start for r in rows])),
            "end": pa.array(np.array([r.study.end for r in rows])),
            "estimate": pa.array([r.study.estimate for r in rows]),
            "scope": pa.array([str(r.study.scope) for r in rows]),
            "standard_error": _nullable([r.study.standard_error for r in rows]),
            **{name: _nullable([getattr(r, name) for r in rows]) for name in numbers},
            "metric": pa.array([metric] * len(rows)),
            "source": pa.array([r.source for r in rows]),
        }
    )


def _nullable(values: Sequence[float]) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.float64(), mask=np.isnan(values))


def calibration_table(problem: ModelProblem, studies: Studies, models: Sequence[FittedModel]) -> pa.Table:
    """``calibration.parquet``: per model and study what was found and what the model predicts.

    ``error`` is |predicted - estimate| / |estimate| and ``weight`` its share in the loss; ``is_inside`` says whether
    the prediction lies in the study's interval, null where it has none.
    """
    import pyarrow as pa

    parts = [_calibration_rows(problem, studies, model) for model in models]
    return pa.concat_tables(parts)


def _calibration_rows(problem: ModelProblem, studies: Studies, model: FittedModel) -> pa.Table:
    import pyarrow as pa

    rows, n = studies.records, len(studies.records)
    found = predict(problem, model)
    lower, upper = np.array([r.lower for r in rows]), np.array([r.upper for r in rows])
    is_inside = (lower <= found.predicted) & (found.predicted <= upper)
    return pa.table(
        {
            "candidate": pa.array([model.candidate] * n),
            "study": pa.array(range(1, n + 1), pa.int32()),
            "channel": pa.array([r.channel for r in rows]),
            "scope": pa.array([str(r.study.scope) for r in rows]),
            "start": pa.array(np.array([r.study.start for r in rows])),
            "end": pa.array(np.array([r.study.end for r in rows])),
            "estimate": pa.array([r.study.estimate for r in rows]),
            "lower": _nullable(lower.tolist()),
            "upper": _nullable(upper.tolist()),
            "predicted": pa.array(found.predicted),
            "error": pa.array(found.error),
            "weight": pa.array(studies.arrays.error_weights),
            "is_inside": pa.array(is_inside, mask=np.isnan(lower)),
            "source": pa.array([r.source for r in rows]),
        }
    )
