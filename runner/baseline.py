"""Trend, season, holidays and factors of a panel as columns: from Prophet, from the data, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmm_core.errors import UserError
from mmm_core.features import Holiday, ProphetFit, country_holidays, fit_prophet, fold_holidays
from mmm_core.types import DateArray, FloatArray
from runner.dataset import Frequency, MediaPanel
from runner.findings import Finding, Severity
from runner.source import Source, read_table
from runner.spec import ExperimentSpec

DAY_COLUMNS = ("ds", "date")
HOLIDAYS_REMEDY = "correct baseline.holidays in the spec"


def read_holidays(
    spec: ExperimentSpec, panel: MediaPanel, until: np.datetime64 | None = None
) -> list[Holiday]:
    """Holidays of the spec, by day: the user's table (columns ds or date, holiday, and maybe country) or built in.

    Args:
        spec, panel: whose holidays. until: built-in ones are listed up to this day; default a year after the data.
    Raises:
        UserError: the table cannot be used, or the country is not known.
    """
    if spec.baseline.holidays is not None:
        return _own_holidays(spec.baseline.holidays.path, spec.baseline.country)
    last = panel.dates[-1].astype(object).year + 1
    if until is not None:
        last = max(last, until.astype("datetime64[D]").astype(object).year)
    years = range(panel.dates[0].astype(object).year - 1, last + 1)
    return country_holidays(str(spec.baseline.country), years)


def _own_holidays(path: str, country: str | None) -> list[Holiday]:
    source = Source.of(path, read_table(path, HOLIDAYS_REMEDY, row_per="holiday"))
    known = [str(name) for name in source.table.columns]
    day_column = next((name for name in DAY_COLUMNS if name in known), None)
    if day_column is None or "holiday" not in known:
        raise UserError(f"{path}: expected the columns ds (or date) and holiday, found {', '.join(known)}")
    days, names = source.days(day_column), source.levels("holiday")
    rows: Sequence[int] = range(len(days))
    if "country" in known:
        rows = _rows_of_country(path, source.table["country"].tolist(), country)
    return [_holiday(days[i], names[i]) for i in rows]


def _holiday(day: np.datetime64, name: str) -> Holiday:
    date = day.astype(object)
    return Holiday(date, name, (str(date.year),))


def _rows_of_country(path: str, countries: Sequence[Any], country: str | None) -> list[int]:
    found = sorted({str(c) for c in countries})
    if country is None:
        if len(found) > 1:
            raise UserError(f"{path}: holidays of several countries; set baseline.country to one of them")
        return list(range(len(countries)))
    if country not in found:
        raise UserError(f"{path}: no holiday of the country {country!r}; correct baseline.country")
    return [i for i, c in enumerate(countries) if str(c) == country]


def folded_holidays(spec: ExperimentSpec, panel: MediaPanel) -> list[Holiday]:
    """Holidays dated by the period of the data; none where the spec has no such component.

    Raises:
        UserError: as ``read_holidays``, or none falls into the data.
    """
    if "holiday" not in spec.baseline.components:
        return []
    holidays = fold_holidays(read_holidays(spec, panel), panel.dates, panel.frequency)
    if not any(panel.dates[0] <= np.datetime64(h.day) <= panel.dates[-1] for h in holidays):
        raise UserError(
            "baseline.holidays: no holiday falls into the dates of the data; drop the component holiday"
        )
    return holidays


def check_baseline(spec: ExperimentSpec, panel: MediaPanel) -> None:
    """What can be said of the baseline without fitting Prophet.

    Raises:
        UserError: a component that these data cannot have, or unusable holidays.
    """
    if "weekday" in spec.baseline.components and panel.frequency is not Frequency.DAILY:
        raise UserError(
            f"baseline.components: weekday needs daily rows, these are {panel.frequency}; drop the component weekday"
        )
    folded_holidays(spec, panel)


def unused_settings(spec: ExperimentSpec) -> list[Finding]:
    """Settings of the baseline that have no effect, which their author may not know."""
    given = {
        "country": spec.baseline.country is not None and "holiday" not in spec.baseline.components,
        "holidays": spec.baseline.holidays is not None and "holiday" not in spec.baseline.components,
        "prophet": bool(spec.baseline.prophet) and not spec.baseline.components,
    }
    names = [f"baseline.{name}" for name, is_unused in given.items() if is_unused]
    if not names:
        return []
    details = f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'} no effect on this baseline."
    return [
        Finding("unused-baseline", Severity.INFO, details, "Add the component that needs it, or remove it.")
    ]


def prophet_baseline(
    spec: ExperimentSpec, panel: MediaPanel, holidays: Sequence[Holiday] | None = None
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """(component -> column, factor -> column of its effects), Prophet fitted on all rows.

    Args:
        spec, panel: what is fitted. holidays: of ``folded_holidays``, where they were read before.
    Raises:
        UserError: as ``check_baseline``, or Prophet refuses its settings or the data.
    """
    fitted, factors = fit_baseline(spec, panel, holidays)
    columns = fitted.columns(panel.dates, factors)
    return {c: columns[c] for c in spec.baseline.components}, {name: columns[name] for name in factors}


def fit_baseline(
    spec: ExperimentSpec, panel: MediaPanel, holidays: Sequence[Holiday] | None = None
) -> tuple[ProphetFit, dict[str, Sequence[str]]]:
    """Prophet fitted on all rows, and the levels of the factors that it knows.

    Args:
        spec, panel, holidays: as of ``prophet_baseline``.
    Raises:
        UserError: as ``prophet_baseline``.
    """
    if holidays is None:
        check_baseline(spec, panel)
        holidays = folded_holidays(spec, panel)
    factors: dict[str, Sequence[str]] = {
        c.name: panel.factors[c.column] for c in spec.context if c.column in panel.factors
    }
    arguments = (
        panel.dates,
        panel.outcome,
        spec.baseline.components,
        holidays,
        factors,
        spec.baseline.prophet,
    )
    return fit_prophet(*arguments), factors


def holidays_to_come(spec: ExperimentSpec, panel: MediaPanel, dates: DateArray) -> list[Holiday]:
    """Holidays in periods to come, dated by period; none where the spec has no such component."""
    if "holiday" not in spec.baseline.components or len(dates) == 0:
        return []
    end = dates[-1] + np.timedelta64(31, "D")  # the last period may be a month, and reach into the next year
    folded = fold_holidays(read_holidays(spec, panel, end), panel.dates, panel.frequency)
    return [h for h in folded if dates[0] <= np.datetime64(h.day) <= dates[-1]]
