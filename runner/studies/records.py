"""A lift study as it was read and checked, and all studies of a spec together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmm_core.calibration import LiftStudy
from mmm_core.types import DateArray, LiftStudies
from runner.dataset import MediaPanel, next_period
from runner.findings import Finding


@dataclass(frozen=True)
class StudyRecord:
    """One row of the table, its interval and standard error filled in from each other; NaN and "" where unknown."""

    study: LiftStudy
    lower: float
    upper: float
    level: float
    spend: float
    source: str

    @property
    def channel(self) -> str:
        """Its channels as the table names them."""
        return "+".join(self.study.channels)

    @property
    def label(self) -> str:
        """How a sentence names it."""
        return f"the study of {self.channel} from {self.study.start} to {self.study.end}"


@dataclass(frozen=True, eq=False)
class Studies:
    """The lift studies of a spec, checked: S records, the same as arrays, and what was noticed."""

    records: tuple[StudyRecord, ...]
    arrays: LiftStudies
    findings: tuple[Finding, ...]


def period_ends(panel: MediaPanel) -> DateArray:
    """(T,) last day of each period."""
    following: DateArray = np.append(panel.dates[1:], next_period(panel.dates[-1], panel.frequency))
    return following - np.timedelta64(1, "D")
