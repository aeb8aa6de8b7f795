"""What should be known about lift studies that can be used: rows that no model trains on, money that does not agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmm_core.calibration import lift_studies
from mmm_core.evaluate import split_window
from mmm_core.types import FloatArray, LiftStudies
from runner.dataset import MediaPanel
from runner.findings import Finding, Severity
from runner.spec import ExperimentSpec
from runner.studies.records import StudyRecord, period_ends

# Spend of a study and of the data further apart than this are probably not the same campaign (Robyn's constant).
SPEND_TOLERANCE = 0.1


def notice(
    spec: ExperimentSpec, panel: MediaPanel, records: Sequence[StudyRecord], arrays: LiftStudies
) -> list[Finding]:
    """What should be known about studies that can be used."""
    findings = []
    for s, record in enumerate(records):
        rows = slice(int(arrays.first[s]), int(arrays.stop[s]))
        findings += _training(spec, panel, record, rows)
        findings += _exposure(spec, panel, record, rows)
        findings += _size(panel, record, arrays.row_weights[s])
        findings += _sign(record)
        findings += _spend(spec, panel, record)
    return findings


def _training(spec: ExperimentSpec, panel: MediaPanel, record: StudyRecord, rows: slice) -> list[Finding]:
    """Whether a candidate's training rows hold the study: they are the first ones of the window."""
    low, high = spec.ranges(("train_size",))["train_size"]
    n_train, _ = split_window(panel.stop - panel.start, np.array([low, high]))
    least, most = (panel.start + int(n) for n in n_train)
    if rows.stop <= least:
        return []
    if rows.start >= most:
        return [
            Finding(
                "study-outside-training",
                Severity.WARNING,
                f"No training row sees {record.label}: training ends by {panel.dates[most - 1]} at the latest. It "
                "still judges every model, by what the model expects there, but no model is fitted to its rows.",
                "Set validation.time_series: false, or raise hyperparameters.train_size, to train on them.",
            )
        ]
    return [
        Finding(
            "study-partly-outside-training",
            Severity.INFO,
            f"Some candidates train on only some rows of {record.label}, or on none: training ends between "
            f"{panel.dates[least - 1]} and {panel.dates[most - 1]}.",
        )
    ]


def _exposure(spec: ExperimentSpec, panel: MediaPanel, record: StudyRecord, rows: slice) -> list[Finding]:
    columns = {c.name: c.modelled for c in spec.channels} | {o.name: o.column for o in spec.organic}
    silent = [name for name in record.study.channels if not panel.numeric[columns[name]][rows].any()]
    if not silent:
        return []
    return [
        Finding(
            "study-without-exposure",
            Severity.WARNING,
            f"The data have no exposure of {' and '.join(silent)} in the rows of {record.label}: every model predicts "
            "no immediate effect there, and in total only what earlier exposures left over.",
            "Correct the dates of the study or the data.",
        )
    ]


def _size(panel: MediaPanel, record: StudyRecord, weights: FloatArray) -> list[Finding]:
    whole = float(weights @ panel.outcome)
    if abs(record.study.estimate) <= abs(whole):
        return []
    return [
        Finding(
            "study-larger-than-outcome",
            Severity.WARNING,
            f"The estimate of {record.label}, {record.study.estimate:,.0f}, is more than the whole outcome of its "
            f"days, {whole:,.0f}.",
            "Check its unit: that of the outcome, summed over the days of the study.",
        )
    ]


def _sign(record: StudyRecord) -> list[Finding]:
    if record.study.estimate > 0:
        return []
    return [
        Finding(
            "study-negative",
            Severity.WARNING,
            f"By {record.label} the channel lost {-record.study.estimate:,.0f} of the outcome.",
            "If the test switched the channel off, give what its money would have brought, with a positive sign.",
        )
    ]


def _spend(spec: ExperimentSpec, panel: MediaPanel, record: StudyRecord) -> list[Finding]:
    columns = [c.spend for c in spec.channels if c.name in record.study.channels]
    if np.isnan(record.spend) or not columns:
        return []
    arrays = lift_studies([record.study], panel.dates, period_ends(panel))
    known = float(sum(arrays.row_weights[0] @ panel.numeric[column] for column in columns))
    if abs(record.spend - known) <= SPEND_TOLERANCE * known:
        return []
    scaled = record.study.estimate * known / record.spend if record.spend > 0 else np.nan
    of_a_part = (
        ""
        if np.isnan(scaled)
        else (
            f" If it is of some regions that are like the others, give what it means for all of them: {scaled:,.0f}."
        )
    )
    return [
        Finding(
            "study-spend-differs",
            Severity.WARNING,
            f"By its table {record.label} spent {record.spend:,.0f}, by the data {known:,.0f}.",
            "Check dates and channels of the study; an estimate for other money does not belong to these rows."
            + of_a_part,
        )
    ]
