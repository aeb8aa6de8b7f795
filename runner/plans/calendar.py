"""The periods of a plan on the calendar of the data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from mmm_core.errors import UserError
from mmm_core.response import Horizon
from mmm_core.types import DateArray
from runner.dataset import Frequency, MediaPanel, next_period
from runner.findings import Finding, Severity

# Periods that make a year, so that a period's forerunner is the same week, weekday or month.
YEAR = {Frequency.WEEKLY: 52, Frequency.DAILY: 364, Frequency.MONTHLY: 12}
MANY = {Frequency.WEEKLY: "weeks", Frequency.DAILY: "days", Frequency.MONTHLY: "months"}
# A model knows nothing of a market so far ahead.
MOST_YEARS = 5


@dataclass(frozen=True, eq=False)
class Calendar:
    """Dates of the data and on to the plan's end.

    Attributes:
        dates: (N,) first day of each period, N >= T.
        n_known: T periods of the data.
        horizon: rows planned for.
        frequency: length of a period.
        findings: what was noticed.
    """

    dates: DateArray
    n_known: int
    horizon: Horizon
    frequency: Frequency
    findings: tuple[Finding, ...]

    @property
    def year(self) -> int:
        """Periods that make a year."""
        return YEAR[self.frequency]

    @property
    def planned(self) -> DateArray:
        """(L,) first day of each period of the horizon."""
        planned: DateArray = self.dates[self.horizon.rows]
        return planned

    @property
    def to_come(self) -> DateArray:
        """Dates behind the data, a gap before the horizon among them."""
        later: DateArray = self.dates[self.n_known :]
        return later

    @property
    def gap(self) -> DateArray:
        """Dates between the data's end and the horizon."""
        between: DateArray = self.dates[self.n_known : max(self.n_known, self.horizon.start)]
        return between


def calendar_of(panel: MediaPanel, start: date, end: date) -> Calendar:
    """The periods whose first day lies between two days.

    Args:
        panel: the data. start, end: first and last day of the plan.
    Raises:
        UserError: the days are the wrong way round, before the data, far behind them, or hold no period.
    """
    first, last = np.datetime64(start, "D"), np.datetime64(end, "D")
    if first > last:
        raise UserError(f"--from {first} is after --to {last}; swap them")
    if first < panel.dates[0]:
        raise UserError(f"--from {first} lies before the data, which begin on {panel.dates[0]}; start later")
    limit = panel.dates[-1].astype("datetime64[Y]") + MOST_YEARS + 1
    if last >= limit.astype("datetime64[D]"):
        raise UserError(
            f"--to {last} lies more than {MOST_YEARS} years behind the data, which end on {panel.dates[-1]}; plan less"
        )
    dates = list(panel.dates)
    while (following := next_period(dates[-1], panel.frequency)) <= last:
        dates.append(following)
    every = np.array(dates, dtype="datetime64[D]")
    rows = np.flatnonzero((every >= first) & (every <= last))
    if len(rows) == 0:
        raise UserError(
            f"no period begins between --from {first} and --to {last}: the data are {panel.frequency}, their last "
            f"period begins on {panel.dates[-1]}"
        )
    horizon = Horizon(int(rows[0]), int(rows[-1]) + 1)
    return Calendar(
        every, len(panel.dates), horizon, panel.frequency, _findings(panel, every, horizon, first, last)
    )


def _findings(
    panel: MediaPanel, dates: DateArray, horizon: Horizon, first: np.datetime64, last: np.datetime64
) -> tuple[Finding, ...]:
    found = []
    begin, end = dates[horizon.start], dates[horizon.stop - 1]
    if first != begin:
        details = f"--from {first} is no first day of a period of {panel.frequency} data; the plan begins on {begin}."
        found.append(Finding("plan-snapped", Severity.INFO, details))
    if last < next_period(end, panel.frequency) - np.timedelta64(1, "D") and last != end:
        details = (
            f"--to {last} lies within a period; the plan ends with the one that begins on {end}, as a whole."
        )
        found.append(Finding("plan-snapped", Severity.INFO, details))
    gap = horizon.start - len(panel.dates)
    if gap > 0:
        found.append(
            Finding(
                "plan-gap",
                Severity.WARNING,
                f"Between the data's last period ({panel.dates[-1]}) and the plan lie {gap} {MANY[panel.frequency]} "
                "without data; each channel is taken to spend there what it did a year before.",
                "Plan from the data's end on, or bring newer data, if that is not so.",
            )
        )
    return tuple(found)
