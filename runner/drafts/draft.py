"""What the user said, what is guessed of each column, and all of it together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from runner.dataset import Frequency
from runner.drafts.cells import READABLE
from runner.drafts.reading import RawTable
from runner.source import shown


@dataclass(frozen=True)
class Told:
    """What the user has said; None is to be guessed. ``channels`` are columns of spend."""

    date: str | None = None
    outcome: str | None = None
    kind: str | None = None
    channels: tuple[str, ...] | None = None
    country: str | None = None


@dataclass(frozen=True)
class Guess:
    """A value, and the reason for it in words that stand in the spec."""

    value: str
    reason: str


@dataclass(frozen=True)
class Channel:
    """A paid channel: its columns, what is usual of its kind, and why."""

    name: str
    spend: str
    exposure: str | None
    theta: tuple[float, float]
    reason: str


@dataclass(frozen=True)
class Medium:
    """Something without spend, or something that is not marketing."""

    column: str
    reason: str
    is_factor: bool = False
    theta: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Draft:
    """All guesses about a table.

    Attributes:
        frequency, n_rows, first, last: of its dates. left_out: column -> why. notes: what to look at.
        zeros: columns of media whose empty cells become 0 in the clean copy.
    """

    table: RawTable
    date: Guess
    frequency: Frequency
    first: str
    last: str
    outcome: Guess
    kind: Guess
    channels: tuple[Channel, ...]
    organic: tuple[Medium, ...]
    context: tuple[Medium, ...]
    components: tuple[tuple[str, str], ...]
    country: Guess | None
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    zeros: tuple[str, ...]


def with_channels(told: Told, text: str) -> Told:
    """The channels that were named with commas between them."""
    return replace(told, channels=tuple(part.strip() for part in text.split(",") if part.strip()))


def changes_of(draft: Draft) -> list[str]:
    """What a clean copy of the table has to do differently; none where the reader of specs takes it as it is."""
    table = draft.table
    changes = list(table.changes)
    used = [draft.outcome.value, *(m.column for m in (*draft.organic, *draft.context))]
    used += [column for c in draft.channels for column in (c.spend, c.exposure) if column]
    unusual = [name for name in used if name in table.numbers and not table.numbers[name].is_plain]
    if unusual:
        name = unusual[0]
        more = f" and {len(unusual) - 1} more" if len(unusual) > 1 else ""
        changes.append(f"numbers of {name!r}{more} are written with digits and a point only")
    days = table.days[draft.date.value]
    if days.format not in READABLE:
        changes.append(f"dates are written like 2024-01-29, not {shown(table.columns[draft.date.value][0])}")
    if np.any(days.starts != days.values):
        changes.append("monthly rows are dated on the first of the month")
    if draft.zeros:
        changes.append(
            f"empty cells become 0 in {', '.join(map(repr, draft.zeros))}: is that what they mean?"
        )
    return changes
