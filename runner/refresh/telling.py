"""What moved, in sentences for the analyst."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.findings import Finding, Severity
from runner.refresh.changes import Change

EFFICIENCIES = ("roas", "cpa")
REASONS = {
    "window": "the new window has other weeks and spends",
    "data": "of restated data and the baseline, which was fitted anew",
    "new_rows": "of what the new rows say",
    "old_rows": "the oldest rows left the window",
    "hyperparameters": "its hyperparameters moved",
}
# A change that is smaller than this part of the value is none to speak of.
SMALLEST_CHANGE = 0.005


def findings_of(rows: Sequence[Change]) -> list[Finding]:
    """A finding for every paid channel: a warning where it moved beyond its sampling uncertainty or went on or off."""
    return [_finding(row) for row in rows if row.quantity in EFFICIENCIES]


def _finding(row: Change) -> Finding:
    if _is_without_effect(row.quantity, row.previous) != _is_without_effect(row.quantity, row.new):
        return Finding(
            "refresh-switched",
            Severity.WARNING,
            f"{_switch(row)}{_because(row)}.",
            "A few new rows are hardly a reason; look at its data before acting on it.",
        )
    details = f"{row.component}'s {row.quantity.upper()} {''.join(_movement(row))}."
    if row.is_beyond_uncertainty:
        return Finding(
            "refresh-moved",
            Severity.WARNING,
            details,
            "That is more than the noise of the data would explain; find out what changed.",
        )
    return Finding("refresh-moved", Severity.INFO, details)


def _is_without_effect(metric: str, value: float | None) -> bool:
    """A ROAS of 0, or a CPA that is none because nothing was brought."""
    return value is None or (metric == "roas" and value == 0)


def _switch(row: Change) -> str:
    before, after = row.previous, row.new
    if _is_without_effect(row.quantity, after):
        return f"{row.component} has no effect any more; its {row.quantity.upper()} was {before:.2f}"
    return f"{row.component} had no effect and now has a {row.quantity.upper()} of {after:.2f}"


def _movement(row: Change) -> Iterator[str]:
    before, after = row.previous, row.new
    if before is None or after is None:
        yield "is not known: it has no effect, before and after"
        return
    if before == 0 or abs(after - before) < SMALLEST_CHANGE * abs(before):
        yield f"stayed at {after:.2f}"
        return
    word = "rose" if after > before else "fell"
    yield f"{word} from {before:.2f} to {after:.2f} ({after / before - 1:+.1%}), {_beside(row)}{_because(row)}"


def _beside(row: Change) -> str:
    if row.standardised_change is None or row.previous_lower is None or row.previous_upper is None:
        return "and its sampling uncertainty is not known"
    word = "beyond" if row.is_beyond_uncertainty else "within"
    reach = (row.previous_upper - row.previous_lower) / 2
    return f"{word} sampling uncertainty ({row.level:.0%}: ± {reach:.2f})"


def _because(row: Change) -> str:
    return f"; mostly because {REASONS[row.reason]}" if row.reason else ""
