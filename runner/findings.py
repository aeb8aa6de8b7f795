"""What was noticed about data and models, as data; reports render it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a finding matters: info is told, warning deserves a decision, problem makes numbers doubtful."""

    INFO = "info"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One observation.

    ``case`` is a stable word to search for ("rows-per-column"), ``details`` a sentence for the analyst and
    ``recommendation`` what to do about it ("" if nothing).
    """

    case: str
    status: Severity
    details: str
    recommendation: str = ""


def from_records(records: Sequence[dict[str, Any]]) -> list[Finding]:
    """The inverse of ``as_records``."""
    return [Finding(**{**record, "status": Severity(record["status"])}) for record in records]


def as_records(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Plain data for ``findings.json``."""
    return [{**asdict(finding), "status": str(finding.status)} for finding in findings]
