"""All guesses about a table, made one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmm_core.types import DateArray
from runner.dataset import Frequency
from runner.drafts.draft import Channel, Draft, Guess, Told
from runner.drafts.guessing import (
    filled,
    frequency_of_table,
    guess_channels,
    guess_date,
    guess_outcome,
    has_empty,
)
from runner.drafts.reading import RawTable
from runner.drafts.remaining import remaining

YEARS_FOR_SEASON = 2
DAYS_OF_YEAR = 365
COLLINEAR = 0.95
COUNTRIES = {
    "germany": "DE",
    "deutschland": "DE",
    "austria": "AT",
    "switzerland": "CH",
    "france": "FR",
    "spain": "ES",
}
COUNTRY_COLUMNS = ("country", "land", "market", "markt", "geo", "region")


def draft_of(table: RawTable, told: Told) -> Draft:
    """Guess everything.

    Raises:
        UserError: there is no date, outcome or spend, or several outcomes between which only the user can choose.
    """
    date = guess_date(table, told)
    days = table.days[date.value]
    frequency = frequency_of_table(table, date.value, days)
    outcome, kind = guess_outcome(table, told)
    taken = {date.value, outcome.value}
    channels, zeros = guess_channels(table, told, taken, frequency)
    taken |= {c.spend for c in channels} | {c.exposure for c in channels if c.exposure}
    organic, context, left_out = remaining(table, taken, frequency)
    zeros = [*zeros, *(medium.column for medium in organic if has_empty(table, medium.column))]
    ordered = np.sort(days.starts)
    return Draft(
        table=table, date=date, frequency=frequency, first=str(ordered[0]), last=str(ordered[-1]), outcome=outcome,
        kind=kind, channels=tuple(channels), organic=tuple(organic), context=tuple(context),
        components=tuple(_components(ordered, frequency)), country=_country(table, told), left_out=tuple(left_out),
        notes=tuple(_notes(table, channels)), zeros=tuple(zeros),
    )  # fmt: skip


def _components(days: DateArray, frequency: Frequency) -> list[tuple[str, str]]:
    years = float((days[-1] - days[0]).astype(np.int64)) / DAYS_OF_YEAR
    found = [("trend", "what changes slowly")]
    if years >= YEARS_FOR_SEASON - 0.1:
        found.append(("season", f"the course of the year, which {years:.1f} years show"))
    if frequency is Frequency.DAILY:
        found.append(("weekday", "daily rows have a rhythm of the week"))
    return found


def _country(table: RawTable, told: Told) -> Guess | None:
    if told.country is not None:
        return Guess(told.country.upper(), "as you said") if told.country not in ("", "none") else None
    for name, cells in table.columns.items():
        if name.lower() in COUNTRY_COLUMNS and table.is_constant(name):
            word = cells[0].strip()
            code = COUNTRIES.get(word.lower(), word.upper())
            if len(code) == 2 and code.isalpha():
                return Guess(code, f"the column {name!r} says {word} in every row")
    return None


def _notes(table: RawTable, channels: Sequence[Channel]) -> list[str]:
    """What a newcomer should know before the first run."""
    notes = []
    for position, one in enumerate(channels):
        for other in channels[position + 1 :]:
            together = float(np.corrcoef(filled(table, one.spend), filled(table, other.spend))[0, 1])
            if together > COLLINEAR:
                notes.append(
                    f"{one.name} and {other.name} spend at the same times (correlation {together:.2f}): the data "
                    "cannot tell their effects apart; a lift study of one of them can"
                )
    return notes
