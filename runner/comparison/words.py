"""What differs, in sentences for the analyst."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.comparison.differences import Comparison, DataDifference, PlanRow, Row, SpecDifference
from runner.comparison.facts import EFFECT_SHARE, PER_PERIOD, Change, Estimate
from runner.reports.theme import amount, number, percent, signed_percent

NAMED_KEYS, NAMED_COLUMNS, NAMED_VERSIONS = 6, 4, 4
# A change of less than this part is none to speak of.
SMALLEST = 0.0005
QUANTITIES = {
    "roas": "ROAS",
    "cpa": "CPA",
    EFFECT_SHARE: "effect share",
    PER_PERIOD: "contribution per period",
}


def sentences(comparison: Comparison) -> list[str]:
    """Spec, data, fit, channels and plans of every run beside the first."""
    said: list[str] = []
    for i, run in enumerate(comparison.labels[1:], start=1):
        if comparison.is_repetition(i):
            said.append(f"{run} has the spec and the data of A, and every candidate is the same.")
            continue
        for about in (_setting, _fit, _channels, _plans):
            said += about(comparison, i)
    return said


def shown(quantity: str, value: float | None) -> str:
    """A number of a quantity, for the eyes."""
    if quantity == EFFECT_SHARE:
        return percent(value)
    return amount(value) if quantity == PER_PERIOD else number(value)


def with_error(row: Row, estimate: Estimate | None) -> str:
    """``1.63 ± 0.21``: the mean of the selected models and one standard error."""
    if estimate is None:
        return ""
    if estimate.error is None:
        return shown(row.quantity, estimate.value)
    return f"{shown(row.quantity, estimate.value)} ± {shown(row.quantity, estimate.error)}"


def verdict(change: Change | None, against: str = "A") -> str:
    """Whether a change is more than noise, in a word or two, and against which run, where that is not A."""
    if change is None:
        return ""
    words = {True: "changed", False: "within noise", None: "not known"}
    told = "same" if change.change == 0 else words[change.is_beyond_uncertainty]
    return told if against == "A" else f"{told} (to {against})"


# ---------------------------------------------------------------------------------------------------- what was asked


def _setting(comparison: Comparison, i: int) -> Iterator[str]:
    run, data = comparison.labels[i], comparison.data[i]
    keys = [one for one in comparison.spec if one.values[i] != one.values[0]]
    if keys or not data.is_same:
        yield f"{run} has the data of A." if data.is_same else _data(run, data)
        yield _keys(run, keys, i) if keys else f"{run} has the spec of A."
    else:
        yield f"{run} has the spec and the data of A, but found other candidates{_versions(comparison, i)}."
    if data.window != comparison.data[0].window:
        mine, first = (" to ".join(one.window) for one in (data, comparison.data[0]))
        yield f"The window of {run} is {mine}, A's {first}: contributions per period are means of other periods."
    if comparison.is_same_search[i]:
        yield f"Every candidate of {run} is one of A: the search was the same."


def _versions(comparison: Comparison, i: int) -> str:
    """Software that differs, which alone can make a run find others."""
    mine, first = (comparison.runs[k].manifest["versions"] for k in (i, 0))
    names = [name for name in mine if mine[name] != first.get(name)]
    named = [f"{name} {mine[name]} instead of {first.get(name, 'none')}" for name in names[:NAMED_VERSIONS]]
    return f" ({', '.join(named)})" if named else " (made by another state of the program)"


def _keys(run: str, keys: Sequence[SpecDifference], i: int) -> str:
    named = [
        f"{one.key} is {_value(one.values[i])} instead of {_value(one.values[0])}"
        for one in keys[:NAMED_KEYS]
    ]
    more = f", and {len(keys) - NAMED_KEYS} more" if len(keys) > NAMED_KEYS else ""
    return f"The spec of {run} differs from A's in {_count(len(keys), 'key')}: {'; '.join(named)}{more}."


def _value(value: str | None) -> str:
    if value is None:
        return "not there"
    return value if len(value) <= 40 else f"{value[:39]}…"


def _data(run: str, data: DataDifference) -> str:
    parts = []
    if data.added_rows or data.removed_rows:
        parts.append(f"{_count(data.added_rows, 'row')} more and {data.removed_rows} fewer")
    columns = [(data.added_columns, "new"), (data.removed_columns, "gone")]
    parts += [f"{', '.join(names[:NAMED_COLUMNS])} {word}" for names, word in columns if names]
    for column, (n, largest) in list(data.changed.items())[:NAMED_COLUMNS]:
        reach = "" if largest is None else f" by up to {percent(largest)}"
        parts.append(f"{column} differs in {_count(n, 'common row')}{reach}")
    if len(data.changed) > NAMED_COLUMNS:
        parts.append(f"{len(data.changed) - NAMED_COLUMNS} more columns differ")
    told = "; ".join(parts) or "the same values in other columns"
    return f"The data of {run} ({data.first} to {data.last}) are not A's: {told}."


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}{'' if n == 1 else 's'}"


# -------------------------------------------------------------------------------------------------- what came of it


def _fit(comparison: Comparison, i: int) -> Iterator[str]:
    for name in ("nrmse", "decomp_rssd"):
        values = comparison.losses[name]
        before, after = values[0], values[i]
        if before and after is not None and abs(after / before - 1) >= SMALLEST:
            yield (
                f"{name} of the best model is {number(after)} in {comparison.labels[i]} and {number(before)} in A "
                f"({signed_percent(after / before - 1)})."
            )


def _channels(comparison: Comparison, i: int) -> Iterator[str]:
    metrics = [run.metric for run in (comparison.runs[0], comparison.runs[i])]
    for row in comparison.rows:
        if row.quantity == metrics[0] and metrics[0] == metrics[1]:
            yield from _presence(comparison, row, i)
        if row.quantity in ("roas", "cpa") or (
            row.quantity == PER_PERIOD and row.role not in ("paid", "intercept")
        ):
            yield from _moved(comparison, row, i)
    if metrics[0] != metrics[1]:
        yield f"{comparison.labels[i]} is judged by {metrics[1].upper()} and A by {metrics[0].upper()}."
        return
    yield from _summary(comparison, metrics[0], i)


def _presence(comparison: Comparison, row: Row, i: int) -> Iterator[str]:
    run, before, after = comparison.labels[i], row.estimates[0], row.estimates[i]
    if before is None and after is not None:
        yield f"{row.name} is a channel of {run}, not of A."
    elif before is not None and after is None:
        yield f"{row.name} is a channel of A, not of {run}."
    elif before is not None and after is not None and (before.value is None) != (after.value is None):
        without, with_it = (run, "A") if after.value is None else ("A", run)
        yield f"{row.name} has no effect in a model of {without} and has one in all of {with_it}."


def _moved(comparison: Comparison, row: Row, i: int) -> Iterator[str]:
    change, before, after = row.changes[i], row.estimates[0], row.estimates[i]
    if change is None or not change.is_beyond_uncertainty or before is None or after is None:
        return
    word = "rose" if change.change > 0 else "fell"
    part = "" if change.relative is None else f" ({signed_percent(change.relative, 0)})"
    counted = abs(change.standardised or 0.0)
    yield (
        f"{row.name}'s {QUANTITIES[row.quantity]} {word} from {with_error(row, before)} in A to "
        f"{with_error(row, after)} in {comparison.labels[i]}{part}: beyond uncertainty, "
        f"{number(counted, 2)} standard errors of the difference."
    )


def _summary(comparison: Comparison, metric: str, i: int) -> Iterator[str]:
    """The channels of which there is nothing to say, by name, so that silence is not taken for agreement."""
    rows = [(row, row.changes[i]) for row in comparison.of(metric) if row.first == 0]
    within = [row.name for row, change in rows if change and change.is_beyond_uncertainty is False]
    unknown = [row.name for row, change in rows if change and change.is_beyond_uncertainty is None]
    if within:
        yield f"Within uncertainty at {comparison.level:.0%} is the {QUANTITIES[metric]} of {', '.join(within)}."
    if unknown:
        yield f"Without intervals nothing can be said of the {QUANTITIES[metric]} of {', '.join(unknown)}."


def _plans(comparison: Comparison, i: int) -> Iterator[str]:
    for row in comparison.plans:
        told = _plan(comparison.labels[i], row, i)
        if told:
            yield told


def _plan(run: str, row: PlanRow, i: int) -> str:
    before, after = row.plans[0], row.plans[i]
    if before is None or after is None:
        if before is after:
            return ""
        has_it, has_not = (run, "A") if before is None else ("A", run)
        return f"The plan {row.scenario} is in {has_it}, not in {has_not}."
    if before["lift"] is None or after["lift"] is None:
        return f"The plan {row.scenario} is {before['status']} in A and {after['status']} in {run}."
    moved = row.moved[i]
    if moved is not None and moved < SMALLEST and abs(after["lift"] - before["lift"]) < SMALLEST:
        return f"The plan {row.scenario} is the same."
    lifts = f"{signed_percent(after['lift'])} response in {run} and {signed_percent(before['lift'])} in A"
    where = "" if moved is None else f"; {percent(moved)} of the budget lies with other channels"
    return f"The plan {row.scenario} promises {lifts}{where}."
