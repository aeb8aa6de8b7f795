"""Which columns are date, outcome and channels, and why: told by their names and cells, or by the user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mmm_core.errors import UserError
from mmm_core.types import FloatArray
from runner.dataset import Frequency, frequency_of
from runner.drafts import words
from runner.drafts.cells import REGULAR, Days
from runner.drafts.draft import Channel, Guess, Told
from runner.drafts.reading import RawTable
from runner.source import near_name, shown
from runner.spec.fields import RESERVED_NAMES

# Rows in which money was spent and nothing seen, or the reverse; above it the two columns are not of one channel.
MOST_MISMATCH = 0.1
PERIODS_PER_WEEK = {Frequency.DAILY: 7.0, Frequency.WEEKLY: 1.0, Frequency.MONTHLY: 7 / 30.4}
NARROWEST_THETA = 0.1

# ------------------------------------------------------------------------------------------------------------- date


def guess_date(table: RawTable, told: Told) -> Guess:
    """The column of dates."""
    if told.date is not None:
        _known(table, told.date, "--date")
        if told.date not in table.days:
            cell = next(iter(table.columns[told.date]), "")
            raise UserError(
                f"{table.path}: column {told.date!r} cannot be read as dates (its first cell is {shown(cell)}); write "
                "them like 2024-01-29"
            )
        return Guess(told.date, "as you said")
    found = sorted(table.days, key=lambda name: -table.days[name].regularity)
    if not found:
        raise UserError(
            f"{table.path}: no column holds dates in every row; a table needs one like 2024-01-29, a row a period"
        )
    reason = "the only column of dates" if len(found) == 1 else "the most regular of the columns of dates"
    return Guess(found[0], reason)


def frequency_of_table(table: RawTable, column: str, days: Days) -> Frequency:
    values = np.sort(days.starts)
    twice = values[:-1][values[1:] == values[:-1]]
    if len(twice):
        raise UserError(
            f"{table.path}: the date {twice[0]} stands in several rows of {column!r}; where each row is a channel or a "
            "region, pivot the table to one row a period and a column a channel"
        )
    try:
        frequency = frequency_of(values)
    except ValueError as error:
        raise UserError(
            f"{table.path}: column {column!r}: {error}; expected daily, weekly or monthly rows"
        ) from None
    if days.regularity < REGULAR:
        raise UserError(
            f"{table.path}: column {column!r}: the rows are {frequency}, and only {days.regularity:.0%} of them one "
            "period after the one before; add the rows that are missing"
        )
    return frequency


# ---------------------------------------------------------------------------------------------------------- outcome


def guess_outcome(table: RawTable, told: Told) -> tuple[Guess, Guess]:
    """The column to be explained, and whether it is money or a count."""
    if told.outcome is not None:
        _numeric(table, told.outcome, "--outcome")
        return Guess(told.outcome, "as you said"), _kind(table, told.outcome, told)
    found = _ranked(table, words.REVENUE) or _ranked(table, words.CONVERSIONS)
    if not found:
        raise UserError(
            f"{table.path}: no column is named like an outcome (revenue, sales, orders, Umsatz, ...); say which it is "
            f"with --outcome, one of {', '.join(map(repr, table.numbers))}"
        )
    if len(found) > 1:
        raise UserError(
            f"{table.path}: {' and '.join(map(repr, found))} could each be the outcome; say which with --outcome"
        )
    return Guess(found[0], "its name speaks of an outcome"), _kind(table, found[0], told)


def _ranked(table: RawTable, vocabulary: Sequence[str]) -> list[str]:
    """Columns of numbers with a word of the vocabulary and none of context or spend; a total wins over its parts."""
    found = [
        name
        for name in table.numbers
        if words.has_any(name, list(vocabulary))
        and not words.has_any(name, (*words.CONTEXT, *words.SPEND))
        and not table.is_constant(name)
        and words.kind_of(name) is words.UNKNOWN_KIND
    ]
    totals = [name for name in found if words.has_any(name, words.TOTAL)]
    exact = [name for name in found if len(words.tokens(name)) == 1]
    for narrower in (totals, exact):
        if len(narrower) == 1:
            return narrower
    return found


def _kind(table: RawTable, column: str, told: Told) -> Guess:
    if told.kind is not None:
        if told.kind not in ("revenue", "conversion"):
            raise UserError(f"--kind {told.kind}: expected revenue (judged by ROAS) or conversion (by CPA)")
        return Guess(told.kind, "as you said")
    if words.has_any(column, words.REVENUE):
        return Guess("revenue", "money, so channels are judged by ROAS")
    if words.has_any(column, words.CONVERSIONS):
        return Guess("conversion", "a count, so channels are judged by CPA")
    values = table.numbers[column].values
    if np.all(values[np.isfinite(values)] % 1 == 0):
        return Guess(
            "conversion", "whole numbers, taken as a count and judged by CPA; revenue if it is money"
        )
    return Guess(
        "revenue", "numbers with decimals, taken as money and judged by ROAS; conversion if it is a count"
    )


# --------------------------------------------------------------------------------------------------------- channels


def guess_channels(
    table: RawTable, told: Told, taken: Iterable[str], frequency: Frequency
) -> tuple[list[Channel], list[str]]:
    """Paid channels with the exposure that belongs to each, and the media columns with empty cells.

    Raises:
        UserError: there is none, or one that the user named cannot be used.
    """
    if told.channels is not None:
        spends = list(told.channels)
        for name in spends:
            _numeric(table, name, "--channels")
    else:
        spends = [name for name in table.numbers if name not in taken and _is_spend(table, name)]
    if not spends:
        raise UserError(
            f"{table.path}: no column is named like spend of a channel (tv_spend, facebook cost, TV-Ausgaben); give "
            f"them with --channels, for example --channels {_example(table, taken)}"
        )
    names = _unique([words.stem(name) for name in spends])
    free = [name for name in table.numbers if name not in {*taken, *spends}]
    channels = []
    for name, spend in zip(names, spends, strict=True):
        exposure, seen = _exposure(table, spend, free)
        kind = words.kind_of(spend)
        reason = f"{seen}; {kind.label}"
        channels.append(Channel(name, spend, exposure, theta_of(kind, frequency), reason))
    used = [column for c in channels for column in (c.spend, c.exposure) if column]
    return channels, [column for column in used if has_empty(table, column)]


def _is_spend(table: RawTable, name: str) -> bool:
    if not is_usable_medium(table, name) or words.has_any(
        name, (*words.CONTEXT, *words.TOTAL, *words.RESULT)
    ):
        return False
    parts = words.tokens(name)
    if words.has_any(name, words.SPEND):
        return True
    if len(parts) > 1 and parts[-1] == words.SPEND_ENDING:
        return True
    is_exposure = words.has_any(name, words.EXPOSURE) or (
        len(parts) > 1 and parts[-1] in words.EXPOSURE_ENDINGS
    )
    is_organic = words.has_any(name, words.ORGANIC)
    return words.kind_of(name) is not words.UNKNOWN_KIND and not is_exposure and not is_organic


def is_usable_medium(table: RawTable, name: str) -> bool:
    values = filled(table, name)
    return bool(np.all(values >= 0) and np.ptp(values) > 0)


def _exposure(table: RawTable, spend: str, free: Sequence[str]) -> tuple[str | None, str]:
    """The column of exposure that belongs to a spend, and what was seen of it."""
    found = [
        n
        for n in free
        if words.stem(n) == words.stem(spend) and is_exposure(n) and is_usable_medium(table, n)
    ]
    if not found:
        return None, "spend, without a column of impressions, clicks or the like"
    best = min(found, key=_preference)
    money, seen = filled(table, spend) > 0, filled(table, best) > 0
    mismatch = float(np.mean(money != seen))
    if mismatch > MOST_MISMATCH:
        return None, (
            f"spend; {best} is not taken as its exposure, since in {mismatch:.0%} of the rows only one of the two is 0"
        )
    return best, f"spend, and {best} as what people saw, which is modelled"


def is_exposure(name: str) -> bool:
    parts = words.tokens(name)
    return words.has_any(name, words.EXPOSURE) or (len(parts) > 1 and parts[-1] in words.EXPOSURE_ENDINGS)


def _preference(name: str) -> int:
    small = words.lowered(name)
    return next((i for i, word in enumerate(words.EXPOSURE) if word in small), len(words.EXPOSURE))


def theta_of(kind: words.MediumKind, frequency: Frequency) -> tuple[float, float]:
    """The usual retention of a kind of medium, per period of the data: weekly theta to the power of weeks a period."""
    weeks = 1 / PERIODS_PER_WEEK[frequency]
    low, high = (round(theta**weeks, 2) for theta in kind.theta)
    return low, max(high, round(low + NARROWEST_THETA, 2))


def _unique(names: Sequence[str]) -> list[str]:
    out: list[str] = []
    for name in names:
        base = f"{name}_media" if name in RESERVED_NAMES else name
        count = 2
        while name in out or name in RESERVED_NAMES:
            name = base if base not in (*out, *RESERVED_NAMES) else f"{base}_{count}"
            count += 1
        out.append(name)
    return out


def _example(table: RawTable, taken: Iterable[str]) -> str:
    return ",".join(name for name in table.numbers if name not in taken) or "tv,search"


# ------------------------------------------------------------------------------------------------------------ cells


def _known(table: RawTable, name: str, flag: str) -> None:
    if name not in table.columns:
        raise UserError(
            f"{flag} {name}: {table.path} has no such column; {near_name(name, list(table.columns))}"
        )


def _numeric(table: RawTable, name: str, flag: str) -> None:
    _known(table, name, flag)
    numbers = table.numbers.get(name)
    cell = shown(next((c for c in table.columns[name] if c), "")) if numbers is None else ""
    if numbers is None:
        raise UserError(f"{flag} {name}: {table.path}: the column holds no numbers, such as {cell}")
    if numbers.wrong is not None:
        row, wrong = numbers.wrong
        raise UserError(f"{table.path}: column {name!r}: row {row + 1} is {shown(wrong)}, expected a number")


def has_empty(table: RawTable, name: str) -> bool:
    return not bool(np.isfinite(table.numbers[name].values).all())


def filled(table: RawTable, name: str) -> FloatArray:
    filled: FloatArray = np.nan_to_num(table.numbers[name].values)
    return filled
