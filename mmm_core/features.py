"""Trend, season, weekday, holidays and factors as columns, fitted by Prophet, also of periods to come.

Source: Robyn 3.12.1, inputs.R, prophet_decomp and set_holidays: Prophet sees ALL rows, holidays are folded to the
period of the data, factors enter as k - 1 dummies whose effects come back as one column.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from mmm_core.errors import UserError
from mmm_core.types import DateArray, FloatArray, read_only

# Our word for a component -> the column of Prophet's forecast.
PROPHET_COLUMNS = {
    "trend": "trend",
    "season": "yearly",
    "monthly": "monthly",
    "weekday": "weekly",
    "holiday": "holidays",
}
MAX_FACTOR_COLUMNS = 10
# Where the settings ask for samples: the same ones every time, without a display of their own.
SAMPLING = {"seed": 1, "show_progress": False}


@dataclass(frozen=True)
class Holiday:
    """One holiday on one day; ``group`` is what may not be joined with others (country and year of the table)."""

    day: date
    name: str
    group: tuple[str, ...] = ()


def country_holidays(country: str, years: Sequence[int]) -> list[Holiday]:
    """The public holidays of a country, from the ``holidays`` package, in order of date.

    Args:
        country: ISO 3166-1 alpha-2 code, such as DE.
        years: calendar years.
    Raises:
        UserError: the country is not known.
    """
    import holidays

    try:
        table = holidays.country_holidays(country, years=list(years), language="en_US")
    except NotImplementedError:
        raise UserError(
            f"baseline.country: {country!r} is not a country with known holidays; give a two-letter code such as DE, "
            "or holidays: {path: ...}"
        ) from None
    return [Holiday(day, name, (country, str(day.year))) for day, name in sorted(table.items())]


def fold_holidays(table: Sequence[Holiday], dates: DateArray, frequency: str) -> list[Holiday]:
    """Move holidays to the first day of their period and join those that fall together into one.

    A week starts on the weekday of the first row of the data. Names of one (period, group) are joined with ", " in
    the order of the table, which makes a holiday of its own of every combination.

    Args:
        table: holidays by day. dates: (T,) dates of the data. frequency: daily, weekly or monthly.
    Returns:
        Holidays dated by period; daily data get the table as it is.
    """
    if frequency == "daily":
        return list(table)
    first_weekday = dates[0].astype(date).weekday()
    folded: dict[tuple[date, tuple[str, ...]], list[str]] = {}
    for holiday in table:
        if frequency == "weekly":
            start = holiday.day - timedelta(days=(holiday.day.weekday() - first_weekday) % 7)
        else:
            start = holiday.day.replace(day=1)
        folded.setdefault((start, holiday.group), []).append(holiday.name)
    return [Holiday(day, ", ".join(names), group) for (day, group), names in folded.items()]


def factor_columns(name: str, levels: Sequence[str]) -> dict[str, FloatArray]:
    """One-hot columns of a factor, k - 1 of k levels.

    Levels are sorted alphabetically and the last is the baseline; of two levels the second keeps its column; of more
    than ten the ten most frequent keep theirs.

    Args:
        name: the factor. levels: its level in each period.
    Returns:
        "<name>_<level>" -> (T,) of 0 and 1.
    Source: package lares, ohse, as Robyn calls it.
    """
    values = np.asarray(levels, dtype=object)
    return {f"{name}_{level}": read_only(values == level) for level in factor_levels(levels)}


def factor_levels(levels: Sequence[str]) -> list[str]:
    """The levels that get a column, see ``factor_columns``."""
    ordered = sorted(set(levels), key=lambda level: (level.casefold(), level.swapcase()))
    if len(ordered) == 2:
        return ordered[1:]
    if len(ordered) > MAX_FACTOR_COLUMNS:
        counts = Counter(levels)
        frequent = sorted(ordered, key=lambda level: -counts[level])[:MAX_FACTOR_COLUMNS]
        return [level for level in ordered if level in frequent]
    return ordered[:-1]


def _quiet_prophet() -> Any:
    """The Prophet class without its chatter; what goes wrong still arrives as an exception."""
    # By name and before the import: cmdstanpy sets its own level whenever it is first used, and prophet.plot complains
    # at import that plotly is optional.
    for name in ("cmdstanpy", "prophet", "prophet.models", "prophet.plot"):
        logging.getLogger(name).disabled = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from prophet import Prophet

    return Prophet


def _make_model(components: Sequence[str], holidays: Sequence[Holiday], settings: Mapping[str, Any]) -> Any:
    if "holidays" in settings:
        raise UserError("baseline.prophet.holidays: holidays are given as baseline.holidays; move them there")
    arguments: dict[str, Any] = {
        "yearly_seasonality": "season" in components,
        "weekly_seasonality": "weekday" in components,
        "daily_seasonality": False,
        "uncertainty_samples": 0,  # only the point decomposition is used; sampling it costs most of a prediction
        **settings,
        "holidays": _holiday_table(holidays) if "holiday" in components else None,
    }
    prophet = _quiet_prophet()
    try:
        model = prophet(**arguments)
        if "monthly" in components:
            model.add_seasonality(name="monthly", period=30.5, fourier_order=5)
    except Exception as error:  # whatever settings of the user's own make it do
        raise UserError(
            f"baseline.prophet: Prophet refuses these settings ({_reason(error)}); change them"
        ) from error
    return model


def _holiday_table(holidays: Sequence[Holiday]) -> Any:
    """Prophet's table, under names of our own: it refuses some, and sorts them, so the order must stay."""
    import pandas as pd

    if not holidays:
        return None
    names = _holiday_names(holidays)
    return pd.DataFrame(
        {"ds": pd.to_datetime([h.day for h in holidays]), "holiday": [names[h.name] for h in holidays]}
    )


def _holiday_names(holidays: Sequence[Holiday]) -> dict[str, str]:
    """Holiday -> what it is called before Prophet."""
    ordered = sorted({holiday.name for holiday in holidays}, key=lambda name: f"{name}_delim_+0")
    return {name: f"holiday {position:05d}" for position, name in enumerate(ordered)}


def prophet_columns(
    dates: DateArray,
    outcome: FloatArray,
    components: Sequence[str],
    holidays: Sequence[Holiday] = (),
    factors: Mapping[str, Sequence[str]] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, FloatArray]:
    """Fit Prophet to the outcome and return its components as columns on the outcome's scale.

    Args:
        dates: (T,). outcome: (T,).
        components: of trend, season, monthly, weekday, holiday.
        holidays: already folded to the period of the data.
        factors: name -> level of each period; becomes (sum of the effects of its dummies) - (its minimum), >= 0.
        settings: passed to Prophet, winning over our defaults.
    Returns:
        component or factor name -> (T,), components first, in the order given.
    Raises:
        UserError: Prophet refuses a setting or cannot fit.
    """
    fitted = fit_prophet(dates, outcome, components, holidays, factors, settings)
    return fitted.columns(dates, factors)


@dataclass(frozen=True, eq=False)
class ProphetFit:
    """Prophet, fitted, ready to be asked for any dates.

    Attributes:
        model: Prophet. components: asked for. holidays: as fitted.
        levels: factor -> levels that have a column. lowest: factor -> smallest effect in the periods of the fit.
    """

    model: Any
    components: tuple[str, ...]
    holidays: tuple[Holiday, ...]
    levels: Mapping[str, Sequence[str]]
    lowest: Mapping[str, float]

    def columns(
        self,
        dates: DateArray,
        factors: Mapping[str, Sequence[str]] | None = None,
        holidays: Sequence[Holiday] = (),
    ) -> dict[str, FloatArray]:
        """Components and effects of factors in any periods, on the outcome's scale.

        Args:
            dates: (T',). factors: name -> level of each period, for every factor of the fit.
            holidays: more of them, folded to periods; those with a name that the fit has not met have no effect.
        Returns:
            As ``prophet_columns``; an effect of a factor is told from the smallest one of the fit on.
        """
        forecast = _predicted(self.model_with(holidays), dates, self._dummies(factors or {}))
        columns: dict[str, FloatArray] = {}
        for component in self.components:
            effect = forecast.get(PROPHET_COLUMNS[component])
            columns[component] = read_only(np.zeros(len(dates)) if effect is None else effect)
        for name in self.levels:
            columns[name] = read_only(
                _factor_effect(forecast, name, len(self.levels[name])) - self.lowest[name]
            )
        return columns

    def model_with(self, holidays: Sequence[Holiday]) -> Any:
        """Prophet, knowing further dates of its holidays."""
        import pandas as pd

        names = _holiday_names(self.holidays)
        met = [h for h in holidays if h.name in names]
        own = _holiday_table(self.holidays)
        if own is not None and self.model.holidays is not None:
            days = pd.to_datetime([h.day for h in met])
            further = pd.DataFrame({"ds": days, "holiday": [names[h.name] for h in met]})
            self.model.holidays = pd.concat([own, further]).drop_duplicates(ignore_index=True) if met else own
        return self.model

    def unknown_holidays(self, holidays: Sequence[Holiday]) -> tuple[str, ...]:
        """Names that the fit has not met in its own periods, so that their effect is not known."""
        names = _holiday_names(self.holidays)
        return tuple(dict.fromkeys(h.name for h in holidays if h.name not in names))

    def trend_noise(self, n_periods: int, n_draws: int, seed: np.random.SeedSequence) -> FloatArray:
        """How far the trend may leave its straight way in the periods right after the fit's.

        The slope goes on changing as often as it might have in the past (number of changepoints), by Laplace draws of
        the mean size that it did.

        Args:
            n_periods: L periods after the last one of the fit. n_draws: S. seed: of the draws.
        Returns:
            (S, L) deviations on the outcome's scale; all 0 where the trend is flat by its settings.
        Source: Prophet 1.1, forecaster.py, sample_predictive_trend_vectorized, with draws of our own seed.
        """
        model = self.model
        if model.growth != "linear" or "trend" not in self.components:
            return np.zeros((n_draws, n_periods))
        rng = np.random.default_rng(seed)
        step = float(np.diff(np.sort(model.history["t"].to_numpy())).mean())
        changes = rng.uniform(size=(n_draws, n_periods)) < len(model.changepoints_t) * step
        size = float(np.abs(model.params["delta"]).mean()) + 1e-8
        shifts = rng.laplace(0.0, size, changes.shape) * changes
        # A change counts from the middle of its period on.
        before = np.hstack([np.zeros((n_draws, 1)), shifts[:, :-1]])
        noise: FloatArray = (
            ((before + shifts) / 2).cumsum(axis=1).cumsum(axis=1) * step * float(model.y_scale)
        )
        return noise

    def _dummies(self, factors: Mapping[str, Sequence[str]]) -> dict[str, list[FloatArray]]:
        return {
            name: [read_only(np.asarray(factors[name], dtype=object) == level) for level in levels]
            for name, levels in self.levels.items()
        }


def _factor_effect(forecast: Mapping[str, FloatArray], name: str, n_levels: int) -> FloatArray:
    total: FloatArray = np.sum([forecast[_regressor(name, i)] for i in range(n_levels)], axis=0)
    return total


def fit_prophet(
    dates: DateArray,
    outcome: FloatArray,
    components: Sequence[str],
    holidays: Sequence[Holiday] = (),
    factors: Mapping[str, Sequence[str]] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> ProphetFit:
    """Fit Prophet to the outcome; arguments and refusals as in ``prophet_columns``."""
    levels = {name: factor_levels(own) for name, own in (factors or {}).items()}
    dummies = {name: list(factor_columns(name, own).values()) for name, own in (factors or {}).items()}
    model = _make_model(components, holidays, settings or {})
    _fit(dates, outcome, model, dummies)
    forecast = _predicted(model, dates, dummies) if levels else {}
    lowest = {name: float(_factor_effect(forecast, name, len(levels[name])).min()) for name in levels}
    return ProphetFit(model, tuple(components), tuple(holidays), levels, lowest)


def _regressor(factor: str, position: int) -> str:
    """A name that Prophet accepts whatever the factor and its levels are called."""
    return f"regressor {factor.encode().hex()} {position}"


def _frame(dates: DateArray, dummies: Mapping[str, Sequence[FloatArray]], **columns: FloatArray) -> Any:
    import pandas as pd

    regressors = {_regressor(name, i): v for name, group in dummies.items() for i, v in enumerate(group)}
    return pd.DataFrame({"ds": pd.to_datetime(dates), **columns, **regressors})


def _fit(
    dates: DateArray, outcome: FloatArray, model: Any, dummies: Mapping[str, Sequence[FloatArray]]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for name, group in dummies.items():
                for i in range(len(group)):
                    model.add_regressor(_regressor(name, i))
            model.fit(_frame(dates, dummies, y=outcome), **(SAMPLING if model.mcmc_samples else {}))
        except Exception as error:  # Stan and pandas raise what they like
            raise _cannot_fit(error) from error


def _predicted(
    model: Any, dates: DateArray, dummies: Mapping[str, Sequence[FloatArray]]
) -> dict[str, FloatArray]:
    """Prophet's columns by its own names, multiplicative ones turned into amounts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = model.predict(_frame(dates, dummies))
        except Exception as error:
            raise _cannot_fit(error) from error
    trend = found["trend"].to_numpy()
    relative = set(model.component_modes["multiplicative"])
    return {
        str(name): found[name].to_numpy() * (trend if name in relative else 1.0)
        for name in found.columns
        if name != "ds"
    }


def _cannot_fit(error: Exception) -> UserError:
    return UserError(
        f"baseline: Prophet cannot fit these data ({_reason(error)}); change baseline.components or baseline.prophet"
    )


def _reason(error: Exception) -> str:
    """What an error says, on one line; of Stan's log only the complaint."""
    text = str(error).rpartition("Exception: ")[2].partition(" (in '")[0]
    return " ".join(text.split())[:200] or type(error).__name__
