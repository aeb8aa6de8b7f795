"""``mmm plan RUN …``: a plan by channel and period for dates to come, with the selected models of a run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from runner.plans import PlanResult, plan
from runner.plans.request import parse_amounts, parse_pairs


def run(
    source: str | Path,
    start: date | str,
    end: date | str,
    *,
    runs: str | Path = "runs",
    **question: Any,
) -> PlanResult:
    """Plan dates to come; see ``runner.plans.plan``, whose question this takes."""
    return plan(source, start, end, runs=runs, **question)


def question_options(
    bounds: Sequence[str] | None,
    period_bounds: Sequence[str] | None,
    fixed: Sequence[str] | None,
    candidates: Sequence[str] | None,
    **keys: Any,
) -> dict[str, Any]:
    """A question from the flags of the command line."""
    return {
        **keys,
        "bounds": parse_pairs("--bounds", bounds or ()),
        "period_bounds": parse_pairs("--period-bounds", period_bounds or ()),
        "fixed": parse_amounts("--fixed", fixed or ()),
        "candidates": tuple(candidates or ()),
    }
