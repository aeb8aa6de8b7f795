"""Panels with known truth: what every channel really brings, and the plan that is really best.

The outcome is a sum of components, each in the outcome's unit per period:

    outcome = intercept + trend + season [+ weekday] + holiday + events + price + competitor_sales
              + sum over media of coef * hill(adstock(exposure)) + noise

Media go through ``mmm_core.adstock`` and ``mmm_core.saturation`` themselves, so a model of this package can be exactly
right. The truth is a plain dictionary that survives JSON; ``true_response`` and ``score_plan`` judge anybody's plan on
it, without the data. Columns and parameters are rounded before the outcome is made of them, so that what is written
down is what was used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmm_core import adstock, saturation
from mmm_core.errors import LabelError, RangeError
from mmm_core.features import Holiday
from mmm_core.types import Adstock, DateArray, FloatArray

Truth = dict[str, Any]


class Frequency(StrEnum):
    """Length of a period."""

    WEEKLY = "weekly"
    DAILY = "daily"

    @property
    def days(self) -> int:
        """Days of one period."""
        return 7 if self is Frequency.WEEKLY else 1


class Style(StrEnum):
    """How a channel is bought: in bursts of weeks, in short pulses, or always on and led by demand."""

    BURST = "burst"
    PULSE = "pulse"
    ALWAYS_ON = "always_on"


@dataclass(frozen=True)
class Profile:
    """What is typical of a channel; ranges are drawn from, uniformly."""

    name: str
    style: Style
    weight: float  # share of the paid response before shares are normalised
    roas: tuple[float, float]
    theta: tuple[float, float]  # weekly retention, also the measure of memory for the Weibull kinds
    exposure: str = ""  # what the exposure column counts; empty: modelled on spend
    unit_cost: float = 0.0  # currency per exposure


PROFILES = (
    Profile("tv", Style.BURST, 0.30, (2.0, 3.0), (0.45, 0.70)),
    Profile("search", Style.ALWAYS_ON, 0.24, (3.2, 5.0), (0.05, 0.25), "clicks", 0.8),
    Profile("social", Style.PULSE, 0.22, (2.5, 4.0), (0.10, 0.28), "impressions", 0.009),
    Profile("ooh", Style.BURST, 0.13, (1.0, 1.8), (0.15, 0.38)),
    Profile("print", Style.PULSE, 0.11, (0.9, 1.7), (0.12, 0.38)),
    Profile("radio", Style.BURST, 0.10, (1.5, 3.0), (0.20, 0.45)),
    Profile("display", Style.ALWAYS_ON, 0.09, (1.0, 2.5), (0.05, 0.25), "impressions", 0.004),
    Profile("video", Style.PULSE, 0.12, (2.0, 3.5), (0.15, 0.40), "views", 0.02),
    Profile("affiliate", Style.ALWAYS_ON, 0.06, (3.0, 5.0), (0.02, 0.15)),
    Profile("podcast", Style.PULSE, 0.05, (1.5, 3.0), (0.20, 0.45)),
    Profile("cinema", Style.BURST, 0.05, (1.0, 2.0), (0.20, 0.45)),
    Profile("influencer", Style.PULSE, 0.06, (1.0, 4.0), (0.10, 0.35)),
)
ORGANIC = Profile("newsletter", Style.ALWAYS_ON, 1.0, (1.0, 1.0), (0.12, 0.38))

OUTCOME, EVENTS, PRICE, COMPETITOR = "revenue", "events", "price", "competitor_sales"
# "none" sorts last, so that it is the level which k - 1 dummies leave out.
NO_EVENT = "none"
# kind: (events per year, days of one in daily data, effect as a share of the level)
EVENT_KINDS = {"delivery_strike": (1.5, 3, -0.14), "flash_sale": (2.5, 4, 0.18)}
LEVEL = {Frequency.WEEKLY: 1_000_000.0, Frequency.DAILY: 150_000.0}  # mean outcome per period
WEEKDAYS = (0.05, 0.02, 0.0, 0.01, 0.06, -0.02, -0.12)  # Monday first, shares of the level
ORGANIC_SHARE = 0.03
MIN_PERIODS = {Frequency.WEEKLY: 104, Frequency.DAILY: 365}
MIN_WINDOW = 26
LEAD_IN_DAYS = 357  # 51 weeks: history before the window that fills the adstock
PLAN_BOUNDS = ((0.7, 1.5), (0.5, 2.0))
CURVE_MULTIPLIERS = tuple(round(0.1 * i, 1) for i in range(21))
STREAMS = ("campaign", "flighting", "cost", "parameters", "context", "events", "holidays", "noise", "demand")
MONEY, SERIES, RATIO, MULTIPLIER = 2, 4, 6, 9  # decimals


@dataclass(frozen=True)
class SimulationSettings:
    """What to simulate; equal settings give equal panels.

    Attributes:
        seed: root of all random streams, >= 0.
        periods: rows, at least 104 weekly or 365 daily.
        frequency: weekly or daily.
        channels: paid channels, 3 to 12, the first ones of PROFILES.
        start: first day of the first period.
        window_start, window_end: first days of the first and last period of the window that the truth is summed over
            and that fixes the inflexions; default: from 51 weeks after the start to the end.
        noise: standard deviation of the noise as a share of each period's expected outcome, 0 to 0.2.
        correlation: mean pairwise Pearson correlation of the paid spends, 0 to 0.6, met by the strength of a common
            campaign factor as nearly as the draw allows; the truth states what was reached.
        adstock: kind of the true carryover.
        media_share: share of the outcome that the paid channels bring, 0.05 to 0.6.
    Raises:
        RangeError: a value is out of its range; the message names it.
    """

    seed: int = 1
    periods: int = 208
    frequency: Frequency = Frequency.WEEKLY
    channels: int = 5
    start: date = date(2021, 1, 11)
    window_start: date | None = None
    window_end: date | None = None
    noise: float = 0.05
    correlation: float = 0.2
    adstock: Adstock = Adstock.GEOMETRIC
    media_share: float = 0.32

    def __post_init__(self) -> None:
        object.__setattr__(self, "frequency", Frequency(self.frequency))
        object.__setattr__(self, "adstock", Adstock(self.adstock))
        few = MIN_PERIODS[self.frequency]
        _require("seed", self.seed, 0, 2**63 - 1)
        _require("periods", self.periods, few, 20_000, f" with {self.frequency} data")
        _require("channels", self.channels, 3, len(PROFILES))
        _require("noise", self.noise, 0.0, 0.2)
        _require("correlation", self.correlation, 0.0, 0.6)
        _require("media_share", self.media_share, 0.05, 0.6)
        rows = self.window
        if rows.stop - rows.start < MIN_WINDOW:
            raise RangeError(
                f"the window has {max(rows.stop - rows.start, 0)} periods of the data, expected at least "
                f"{MIN_WINDOW}; the data run from {self.dates[0]} to {self.dates[-1]}"
            )

    @property
    def dates(self) -> DateArray:
        """(T,) first day of each period."""
        days = np.arange(self.periods) * self.frequency.days
        dates: DateArray = np.datetime64(self.start, "D") + days
        return dates

    @property
    def window(self) -> slice:
        """Rows of the window."""
        first = np.datetime64(self.window_start or self.start, "D")
        first += 0 if self.window_start else LEAD_IN_DAYS
        last = np.datetime64(self.window_end, "D") if self.window_end else self.dates[-1]
        start, stop = np.searchsorted(self.dates, first), np.searchsorted(self.dates, last, side="right")
        return slice(int(start), int(stop))


def _require(name: str, value: float, low: float, high: float, where: str = "") -> None:
    if not low <= value <= high:
        raise RangeError(f"{name} is {value:g}, expected {low:g} to {high:g}{where}")


@dataclass(frozen=True, eq=False)
class SimulatedPanel:
    """Data and truth of one simulation."""

    dates: DateArray  # (T,) first day of each period
    columns: dict[str, NDArray[Any]]  # (T,) each: float64, int64 or text, in the order of the table
    truth: Truth  # plain numbers, texts, lists and dictionaries


@dataclass(frozen=True)
class Horizon:
    """What is planned, and how a channel's money is spread over it.

    Attributes:
        start, end: first days of the first and last period; default: the window of the truth.
        flighting: historical (each period's spend is scaled) or constant (every period gets the mean of the horizon).
    Raises:
        RangeError: unknown flighting.
    """

    start: str | None = None
    end: str | None = None
    flighting: Literal["historical", "constant"] = "historical"

    def __post_init__(self) -> None:
        if self.flighting not in ("historical", "constant"):
            raise RangeError(f"flighting is {self.flighting}, expected historical or constant")

    def rows(self, truth: Truth) -> slice:
        """Its rows in the data, or LabelError where it names a date that is none of a period."""
        dates, window = truth["dates"], truth["window"]
        first, last = self.start or window["start"], self.end or window["end"]
        for day in (first, last):
            if day not in dates:
                raise LabelError(f"{day} is not the first day of a period of the simulated data")
        rows = slice(dates.index(first), dates.index(last) + 1)
        if rows.stop <= rows.start:
            raise RangeError(f"the horizon ends on {last}, before it starts on {first}")
        return rows


WINDOW = Horizon()


@dataclass(frozen=True)
class PlanScore:
    """What a plan truly brings over its rows, beside what the historical spend brought on the same rows."""

    spend: float
    response: float  # of the paid channels, outcome unit
    initial_spend: float
    initial_response: float
    initial_outcome: float  # the whole expected outcome, with baseline, organic and context, without noise
    responses: dict[str, float]  # per channel

    @property
    def lift(self) -> float:
        """Paid response against doing nothing: response / initial_response - 1."""
        return self.response / self.initial_response - 1.0

    @property
    def outcome_lift(self) -> float:
        """The same gain as a share of the whole expected outcome."""
        return (self.response - self.initial_response) / self.initial_outcome


# ------------------------------------------------------------------------------------------------- random ingredients


def _stream(settings: SimulationSettings, name: str, index: int = 0) -> np.random.Generator:
    """A generator of its own for each purpose and channel, so that none depends on how much another drew."""
    key = (STREAMS.index(name), index)
    return np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=key))


def _standardised(values: FloatArray) -> FloatArray:
    scaled: FloatArray = (values - values.mean()) / values.std()
    return scaled


def _wave(rng: np.random.Generator, n: int, memory: float, cycle: float | None = None) -> FloatArray:
    """(n,) a random series that remembers, standardised, cut at 2.5 standard deviations.

    z[t] = memory * z[t-1] + e[t], or with a cycle of c periods, which makes it swing but never regularly,
    z[t] = 2 * memory * cos(2 pi / c) * z[t-1] - memory^2 * z[t-2] + e[t].
    """
    first, second = (memory, 0.0) if cycle is None else (2 * memory * np.cos(2 * np.pi / cycle), -(memory**2))
    run_in = 60  # forgets the start from zero
    series = rng.standard_normal(n + run_in)
    for t in range(2, n + run_in):
        series[t] += first * series[t - 1] + second * series[t - 2]
    return np.clip(_standardised(series[run_in:]), -2.5, 2.5)


def _by_week(
    settings: SimulationSettings, rng: np.random.Generator, memory: float, cycle: float | None = None
) -> FloatArray:
    """(T,) a wave that moves from week to week: campaigns are booked and prices set by the week."""
    days = settings.frequency.days
    weeks = -(-settings.periods * days // 7)
    return np.repeat(_wave(rng, weeks, memory, cycle), 7 // days)[: settings.periods]


def _season(settings: SimulationSettings) -> FloatArray:
    """(T,) yearly pattern in shares of the level, two harmonics; highest in late November, low from April to July."""
    mid_period = settings.dates + settings.frequency.days // 2
    phase = 2 * np.pi * (mid_period - np.datetime64("2020-11-26", "D")).astype(np.float64) / 365.25
    pattern: FloatArray = 0.10 * np.cos(phase) + 0.04 * np.cos(2 * phase)
    return pattern


# Memory and weeks of a cycle: bursts come every ten weeks or so, pulses every five.
_RHYTHM = {Style.BURST: (0.92, 10.0), Style.PULSE: (0.8, 5.0), Style.ALWAYS_ON: (0.5, None)}
_SHARE_OFF = {Style.BURST: 0.5, Style.PULSE: 0.35}
_SPREAD = {Style.BURST: 0.35, Style.PULSE: 0.4, Style.ALWAYS_ON: 0.4}


def _flighting(settings: SimulationSettings, profile: Profile, mood: FloatArray) -> FloatArray:
    """(T,) shape of a channel's spend, >= 0: the campaign mood through the way the channel is bought."""
    amount = np.exp(_SPREAD[profile.style] * mood)
    if profile.style is Style.ALWAYS_ON:
        demand: FloatArray = amount * (1.0 + _season(settings))
        return demand
    # The quantile is the window's, so that every channel is on air in a part of the window, whatever was drawn.
    threshold = np.quantile(mood[settings.window], _SHARE_OFF[profile.style])
    return np.where(mood > threshold, amount, 0.0)


def mean_correlation(series: FloatArray) -> float:
    """Mean Pearson correlation over all pairs of rows of a (P, T) matrix."""
    matrix = np.corrcoef(series)
    return float(matrix[np.triu_indices(len(series), 1)].mean())


def _spend_shapes(settings: SimulationSettings, profiles: Sequence[Profile]) -> FloatArray:
    """(P, T) flightings whose mean pairwise correlation is as near the asked one as a common factor can bring it.

    mood = sqrt(w) * common + sqrt(1 - w) * own; the weight w of the common campaign factor is found on a grid, because
    campaigns that switch on and off make the correlation jump.
    """
    seasonal = _standardised(_season(settings))
    common = _standardised(_by_week(settings, _stream(settings, "campaign"), 0.9, 9.0) + 0.5 * seasonal)
    own, wobble = [], []
    for i, profile in enumerate(profiles):
        rng = _stream(settings, "flighting", i)
        own.append(_by_week(settings, rng, *_RHYTHM[profile.style]))
        wobble.append(np.exp(0.08 * rng.standard_normal(settings.periods)))

    def shapes(weight: float) -> FloatArray:
        moods = [np.sqrt(weight) * common + np.sqrt(1.0 - weight) * z for z in own]
        rows = [_flighting(settings, p, mood) for p, mood in zip(profiles, moods, strict=True)]
        wobbly: FloatArray = np.array(rows) * np.array(wobble)
        return wobbly

    grid = np.linspace(0.0, 0.99, 100)
    misses = [abs(mean_correlation(shapes(weight)) - settings.correlation) for weight in grid]
    return shapes(float(grid[int(np.argmin(misses))]))


# -------------------------------------------------------------------------------------------------------------- media


def _true_adstock(
    settings: SimulationSettings, profile: Profile, rng: np.random.Generator
) -> dict[str, float]:
    """True adstock parameters, inside the default search ranges (theta to 0.8, shape to 10, scale to 0.1)."""
    memory = rng.uniform(*profile.theta)
    weekly = settings.frequency is Frequency.WEEKLY
    if settings.adstock is Adstock.GEOMETRIC:
        # A day forgets less than a week.
        return {"theta": round(memory if weekly else 0.3 + 0.6 * memory, 4)}
    shape = rng.uniform(0.6, 1.6) if settings.adstock is Adstock.WEIBULL_CDF else rng.uniform(1.4, 3.0)
    periods = round(1 + 6 * memory if weekly else 2 + 18 * memory)
    return {"shape": round(shape, 4), "scale": round((periods - 1) / (settings.periods - 1), 6)}


def _medium(
    settings: SimulationSettings, profile: Profile, index: int, exposure: NDArray[Any], total_response: float
) -> dict[str, Any]:
    """Truth of one medium whose response over the window is (to the rounding of coef) the asked one."""
    rng = _stream(settings, "parameters", index)
    parameters = _true_adstock(settings, profile, rng)
    # Alpha is at least 1, so that the marginal response is finite where a channel is off.
    alpha = round(rng.uniform(1.0, 1.7) if profile.style is Style.ALWAYS_ON else rng.uniform(1.2, 2.4), 4)
    gamma = round(rng.uniform(0.4, 0.85), 4)
    carried = adstock.apply(settings.adstock, exposure.astype(np.float64), tuple(parameters.values()))
    inflexion = round(saturation.inflexion(carried[settings.window], gamma), RATIO)
    saturated = saturation.hill(carried, alpha, inflexion)
    coef = round(total_response / float(saturated[settings.window].sum()), MONEY)
    return {
        "adstock": str(settings.adstock),
        "adstock_parameters": parameters,
        "alpha": alpha,
        "gamma": gamma,
        "inflexion": inflexion,
        "coef": coef,
        "exposure": exposure.tolist(),
    }


def _paid(
    settings: SimulationSettings, profiles: Sequence[Profile]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Columns and truths of the paid channels: response from the shares, spend from response and target ROAS."""
    columns: dict[str, NDArray[Any]] = {}
    truths: dict[str, Any] = {}
    window = settings.window
    weights = np.array([p.weight for p in profiles]) / sum(p.weight for p in profiles)
    total = settings.media_share * LEVEL[settings.frequency] * (window.stop - window.start)
    for i, (profile, shape) in enumerate(zip(profiles, _spend_shapes(settings, profiles), strict=True)):
        rng = _stream(settings, "cost", i)
        target_roas = round(rng.uniform(*profile.roas), 2)
        response = float(weights[i]) * total
        spend = np.round(shape * (response / target_roas / float(shape[window].sum())), MONEY)
        columns[f"{profile.name}_spend"] = exposure = spend
        exposure_column = f"{profile.name}_{profile.exposure}" if profile.exposure else None
        if exposure_column:
            unit_cost = profile.unit_cost * np.exp(0.06 * rng.standard_normal(settings.periods))
            columns[exposure_column] = exposure = np.round(spend / unit_cost).astype(np.int64)
        truths[profile.name] = {
            "spend_column": f"{profile.name}_spend",
            "exposure_column": exposure_column,
            "target_roas": target_roas,
            **_medium(settings, profile, i, exposure, response),
            "spend": spend.tolist(),
        }
    return columns, truths


def _organic(settings: SimulationSettings) -> tuple[NDArray[Any], dict[str, Any]]:
    """The newsletter: letters sent per period, and its truth."""
    index = len(PROFILES)
    mood = _by_week(settings, _stream(settings, "flighting", index), 0.3)
    sent = np.round(9_000 * settings.frequency.days * np.exp(0.45 * mood)).astype(np.int64)
    window = settings.window
    total = ORGANIC_SHARE * LEVEL[settings.frequency] * (window.stop - window.start)
    return sent, {"exposure_column": ORGANIC.name, **_medium(settings, ORGANIC, index, sent, total)}


# ------------------------------------------------------------------------------------------------- everything else


def _context(settings: SimulationSettings) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
    """Competitor sales and price, and their effect per unit."""
    rng, level = _stream(settings, "context"), LEVEL[settings.frequency]
    drift = 1.2 * _by_week(settings, rng, 0.97)
    weeks = -(-settings.periods * settings.frequency.days // 7)
    discounts = np.repeat(rng.random(weeks) < 0.15, 7 // settings.frequency.days)[: settings.periods]
    price = np.round(np.maximum(20.0 + drift, 12.0) * np.where(discounts, 0.8, 1.0), MONEY)
    rival = np.exp(0.16 * _by_week(settings, rng, 0.8) + 0.8 * _season(settings))
    competitor = np.round(0.8 * level * rival).astype(np.int64)
    # At the mean price and the mean competitor sales these cost 30 and 16 % of the level.
    effects = {COMPETITOR: -0.2, PRICE: round(-0.015 * level, MONEY)}
    return {COMPETITOR: competitor, PRICE: price}, effects


def _events(settings: SimulationSettings) -> tuple[NDArray[Any], dict[str, float]]:
    """(T,) the event of each period, mostly none, and the effect of each kind; events never overlap."""
    rng, frequency = _stream(settings, "events"), settings.frequency
    labels = np.full(settings.periods, NO_EVENT, dtype="<U16")
    years = settings.periods * frequency.days / 365.25
    slot = 1 if frequency is Frequency.WEEKLY else 7
    starts = rng.permutation(settings.periods // slot - 1) * slot
    used = 0
    for kind, (per_year, days, _) in EVENT_KINDS.items():
        length = 1 if frequency is Frequency.WEEKLY else days
        count = max(3, round(per_year * years))
        for first in starts[used : used + count]:
            labels[first : first + length] = kind
        used += count
    effects = {kind: share * LEVEL[frequency] for kind, (_, _, share) in EVENT_KINDS.items()}
    return labels, {kind: round(effect, MONEY) for kind, effect in effects.items()}


def _holidays(
    settings: SimulationSettings, holidays: Sequence[Holiday]
) -> tuple[FloatArray, list[dict[str, Any]]]:
    """(T,) holiday effect of each period, and the list of what fell where."""
    rng, level = _stream(settings, "holidays"), LEVEL[settings.frequency]
    centre, spread = (0.01, 0.05) if settings.frequency is Frequency.WEEKLY else (-0.04, 0.12)
    names = sorted({holiday.name for holiday in holidays})
    effects = {name: round(level * rng.normal(centre, spread), MONEY) for name in names}
    values, placed = np.zeros(settings.periods), []
    for holiday in sorted(holidays, key=lambda h: (h.day, h.name)):
        age = int((np.datetime64(holiday.day, "D") - settings.dates[0]).astype(np.int64))
        row = age // settings.frequency.days
        if 0 <= row < settings.periods:
            values[row] += effects[holiday.name]
            entry = {"date": str(holiday.day), "name": holiday.name, "period": str(settings.dates[row])}
            placed.append({**entry, "effect": effects[holiday.name]})
    return values, placed


def _baseline(settings: SimulationSettings) -> dict[str, FloatArray]:
    """Trend (growth that slows down half-way), season and, in daily data, the pattern of the week."""
    level, rng = LEVEL[settings.frequency], _stream(settings, "demand")
    years = np.arange(settings.periods) * settings.frequency.days / 365.25
    growth, later = rng.uniform(0.04, 0.08), rng.uniform(-0.05, -0.02)
    trend = growth * years + later * np.maximum(years - years[-1] / 2, 0.0)
    parts = {"trend": level * trend, "season": level * _season(settings)}
    if settings.frequency is Frequency.DAILY:
        # 1970-01-05 was a Monday.
        weekday = (settings.dates - np.datetime64("1970-01-05", "D")).astype(np.int64) % 7
        parts["weekday"] = level * np.array(WEEKDAYS)[weekday]
    return parts


def simulate_panel(
    settings: SimulationSettings, holidays: Sequence[Holiday] = (), profiles: Sequence[Profile] | None = None
) -> SimulatedPanel:
    """Make one panel with its truth.

    Args:
        settings: what to simulate. holidays: days that get an effect of their own; those outside the panel are ignored.
        profiles: the paid channels; default the first ``settings.channels`` of PROFILES.
    Returns:
        SimulatedPanel. The columns are revenue, per channel ``<name>_spend`` and for some an exposure, newsletter,
        competitor_sales, price and the factor events; the truth holds, per period, every component and the noise, which
        add up to the revenue, and per channel parameters, totals, ROAS and response curve, and the best plans.
    """
    profiles = PROFILES[: settings.channels] if profiles is None else profiles
    spends, paid = _paid(settings, profiles)
    sent, newsletter = _organic(settings)
    context, effects = _context(settings)
    labels, event_effects = _events(settings)
    holiday, placed = _holidays(settings, holidays)
    parts = {**_baseline(settings), "holiday": holiday}
    parts[EVENTS] = np.array([event_effects.get(str(label), 0.0) for label in labels])
    parts |= {name: effects[name] * column for name, column in context.items()}
    media = {**paid, ORGANIC.name: newsletter}
    mean_rest = sum(float(values.mean()) for values in parts.values())
    share = 1.0 - settings.media_share - ORGANIC_SHARE
    intercept = round(share * LEVEL[settings.frequency] - mean_rest, MONEY)
    parts = {"intercept": np.full(settings.periods, intercept), **parts}
    parts |= {name: _contribution(medium) for name, medium in media.items()}
    parts = {name: np.round(values, SERIES) for name, values in parts.items()}
    outcome, noise = _outcome(settings, sum(parts.values(), np.zeros(settings.periods)))
    columns = {OUTCOME: outcome, **spends, ORGANIC.name: sent, **context, EVENTS: labels}
    known = {"context": effects, "events": event_effects, "holidays": placed}
    truth = _truth(settings, parts, noise, {"paid": paid, "organic": {ORGANIC.name: newsletter}}, known)
    return SimulatedPanel(settings.dates, columns, truth)


def _contribution(medium: Mapping[str, Any]) -> FloatArray:
    """(T,) coef * hill(adstock(exposure)) of a medium's truth."""
    carried = adstock.apply(
        Adstock(medium["adstock"]), np.array(medium["exposure"], dtype=np.float64), _parameters(medium)
    )
    response: FloatArray = medium["coef"] * saturation.hill(carried, medium["alpha"], medium["inflexion"])
    return response


def _parameters(medium: Mapping[str, Any]) -> tuple[float, ...]:
    """Adstock parameters by name, in the order of the kind."""
    return tuple(medium["adstock_parameters"][name] for name in Adstock(medium["adstock"]).parameters)


def _outcome(settings: SimulationSettings, expected: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(outcome, noise): noise in proportion to the expected outcome, cut at four standard deviations."""
    shocks = np.clip(_stream(settings, "noise").standard_normal(settings.periods), -4.0, 4.0)
    outcome = np.round(expected * (1.0 + settings.noise * shocks), MONEY)
    return outcome, np.round(outcome - expected, SERIES)


# -------------------------------------------------------------------------------------------------------- the truth


def _truth(
    settings: SimulationSettings,
    parts: Mapping[str, FloatArray],
    noise: FloatArray,
    media: Mapping[str, Mapping[str, dict[str, Any]]],
    known: Mapping[str, Any],
) -> Truth:
    """Everything that is known, as plain values that JSON can hold."""
    window, dates = settings.window, settings.dates
    stated = {k: str(v) if isinstance(v, date) else v for k, v in asdict(settings).items()}
    rows = {"start_row": window.start, "stop_row": window.stop, "n_periods": window.stop - window.start}
    span = {"start": str(dates[window][0]), "end": str(dates[window][-1]), **rows}
    spends = np.array([channel["spend"] for channel in media["paid"].values()])
    truth: Truth = {
        "format": "mmm-truth-1",
        "settings": stated,
        "outcome": OUTCOME,
        "window": span,
        "noise_sd": round(float(noise[window].std()), SERIES),
        "r_squared": round(_explained(noise[window], sum(parts.values(), noise)[window]), RATIO),
        "spend_correlation": round(mean_correlation(spends), RATIO),
        "context_effects": known["context"],
        "event_effects": known["events"],
        "holidays": known["holidays"],
        "window_contributions": {k: round(float(v[window].sum()), SERIES) for k, v in parts.items()},
        "channels": dict(media["paid"]),
        "organic": dict(media["organic"]),
        "dates": [str(day) for day in dates],
        "components": {name: values.tolist() for name, values in parts.items()},
        "noise": noise.tolist(),
    }
    # The long series go last, where they are not in a reader's way.
    truth["channels"] = {name: _with_results(truth, name) for name in media["paid"]}
    truth["optimal_plans"] = [optimal_plan(truth, low, high) for low, high in PLAN_BOUNDS]
    return truth


def _explained(noise: FloatArray, outcome: FloatArray) -> float:
    """R2 of the truth itself: the most that a model without overfitting can explain."""
    return 1.0 - float(noise.var() / outcome.var())


def _with_results(truth: Truth, name: str) -> dict[str, Any]:
    """One paid channel with its totals over the window, ROAS and response curve (spend and response per period)."""
    curve, periods = plan_curve(truth, name), truth["window"]["n_periods"]
    multipliers = np.array(CURVE_MULTIPLIERS)
    contribution = truth["window_contributions"][name]
    results = {
        "total_spend": round(curve.spend, MONEY),
        "contribution": contribution,
        "roas": round(contribution / curve.spend, RATIO),
        "marginal_roas": round(float(curve.marginal(np.ones(1))[0]), RATIO),
        "response_curve": {
            "multiplier": multipliers.tolist(),
            "spend": np.round(multipliers * curve.spend / periods, MONEY).tolist(),
            "response": np.round(curve.response(multipliers) / periods, SERIES).tolist(),
            "marginal_response": np.round(curve.marginal(multipliers), RATIO).tolist(),
        },
    }
    channel = truth["channels"][name]
    series = {key: channel[key] for key in ("spend", "exposure")}
    known = {key: value for key, value in channel.items() if key not in series}
    return {**known, **results, **series}


@dataclass(frozen=True, eq=False)
class PlanCurve:
    """True response of one channel to a multiplier of its plan over R rows, carryover belonging to the plan.

    Adstock is linear, so the adstocked exposure of the rows is fixed + multiplier * planned: what came in from before
    them, and what the plan itself puts there.
    """

    fixed: FloatArray  # (R,)
    planned: FloatArray  # (R,)
    coef: float
    alpha: float
    inflexion: float
    spend: float  # currency over the rows at multiplier 1

    def response(self, multipliers: FloatArray) -> FloatArray:
        """(n,) sum over the rows of coef * hill(fixed + multiplier * planned)."""
        carried = self.fixed + multipliers[:, np.newaxis] * self.planned
        totals: FloatArray = self.coef * saturation.hill(carried, self.alpha, self.inflexion).sum(axis=1)
        return totals

    def marginal(self, multipliers: FloatArray) -> FloatArray:
        """(n,) d response / d spend, outcome per currency."""
        carried = self.fixed + multipliers[:, np.newaxis] * self.planned
        slopes = saturation.hill_derivative(carried, self.alpha, self.inflexion) * self.planned
        totals: FloatArray = self.coef * slopes.sum(axis=1) / self.spend
        return totals


def plan_curve(truth: Truth, channel: str, horizon: Horizon = WINDOW) -> PlanCurve:
    """The true response of a paid channel as a function of a multiplier of its spend.

    Args:
        truth: of ``simulate_panel``, or read back from its JSON.
        channel: name of a paid channel.
        horizon: the periods that are planned; exposure moves in proportion to spend, periods before stay as they were.
    Returns:
        PlanCurve over the rows of the horizon.
    Raises:
        LabelError: unknown channel or date. RangeError: the horizon is empty, or the channel spent nothing in it.
    """
    _check_channels(truth, (channel,))
    medium, rows = truth["channels"][channel], horizon.rows(truth)
    exposure = np.array(medium["exposure"], dtype=np.float64)
    spend = float(np.sum(medium["spend"][rows]))
    if spend == 0.0:
        raise RangeError(f"{channel} spent nothing in the horizon, so there is nothing to multiply")
    before, planned = exposure.copy(), np.zeros_like(exposure)
    before[rows.start :] = 0.0
    planned[rows] = exposure[rows] if horizon.flighting == "historical" else exposure[rows].mean()
    kind, parameters = Adstock(medium["adstock"]), _parameters(medium)
    return PlanCurve(
        fixed=adstock.apply(kind, before, parameters)[rows],
        planned=adstock.apply(kind, planned, parameters)[rows],
        coef=medium["coef"],
        alpha=medium["alpha"],
        inflexion=medium["inflexion"],
        spend=spend,
    )


def _check_channels(truth: Truth, names: Iterable[str]) -> None:
    for name in names:
        if name not in truth["channels"]:
            raise LabelError(f"{name} is not a paid channel; expected one of {', '.join(truth['channels'])}")


def true_response(truth: Truth, channel: str, multiplier: float = 1.0, horizon: Horizon = WINDOW) -> float:
    """What a channel truly brings over the horizon when its spend there is multiplied.

    Args:
        truth, channel, horizon: as in ``plan_curve``.
        multiplier: >= 0; 1 with historical flighting is history.
    Returns:
        Sum of the response over the horizon, in the outcome's unit; includes what was carried in from before it, not
        what the plan carries beyond it.
    Raises:
        RangeError: a negative or infinite multiplier; and as in ``plan_curve``.
    """
    if not (np.isfinite(multiplier) and multiplier >= 0):
        raise RangeError(f"the multiplier of {channel} is {multiplier}, expected a finite number from 0")
    return float(plan_curve(truth, channel, horizon).response(np.array([float(multiplier)]))[0])


def score_plan(truth: Truth, multipliers: Mapping[str, float], horizon: Horizon = WINDOW) -> PlanScore:
    """Judge a plan on the truth: what it brings, and what doing nothing would have brought.

    Args:
        truth, horizon: as in ``plan_curve``.
        multipliers: channel to multiplier of its historical spend; a channel that is not named keeps its history.
    Returns:
        PlanScore; its initial side is always history itself.
    Raises:
        LabelError: a name that is not a paid channel; and as in ``true_response``.
    """
    _check_channels(truth, multipliers)
    channels, rows = truth["channels"], horizon.rows(truth)
    history = replace(horizon, flighting="historical")
    spends = {name: float(np.sum(channel["spend"][rows])) for name, channel in channels.items()}
    initial = {name: true_response(truth, name, horizon=history) for name in channels if spends[name]}
    responses = initial | {name: true_response(truth, name, m, horizon) for name, m in multipliers.items()}
    return PlanScore(
        spend=sum(spend * multipliers.get(name, 1.0) for name, spend in spends.items()),
        response=sum(responses.values()),
        initial_spend=sum(spends.values()),
        initial_response=sum(initial.values()),
        initial_outcome=float(sum(np.sum(values[rows]) for values in truth["components"].values())),
        responses=responses,
    )


@dataclass(frozen=True)
class FlightScore:
    """What spends by period truly bring, beside what is there without them."""

    spend: float
    inside: float  # paid response in the horizon that the spends add to what is carried in
    after: float  # the same after the horizon, until it has decayed
    carried_in: float  # paid response in the horizon from what was spent before
    responses: dict[str, float]  # per channel, inside and after together

    @property
    def response(self) -> float:
        """All that the spends bring."""
        return self.inside + self.after


def score_spends(
    truth: Truth, spends: Mapping[str, Sequence[float]], horizon: Horizon = WINDOW
) -> FlightScore:
    """Judge a plan by channel and period on the truth, carryover after its end included.

    Args:
        truth, horizon: as in ``plan_curve``; the periods after the horizon are taken to be without spend.
        spends: channel to its spend in each period of the horizon; a channel that is not named spends nothing. Spend
            becomes exposure at the mean cost of the window.
    Returns:
        FlightScore.
    Raises:
        LabelError: a name that is not a paid channel; and as in ``plan_curve``. RangeError: a wrong number of periods.
    """
    _check_channels(truth, spends)
    rows, n_table = horizon.rows(truth), len(truth["dates"])
    totals, responses = np.zeros(3), {}
    for name, channel in truth["channels"].items():
        kind, parameters = Adstock(channel["adstock"]), _parameters(channel)
        planned = np.array(spends.get(name, np.zeros(rows.stop - rows.start)), dtype=np.float64)
        if planned.shape != (rows.stop - rows.start,):
            raise RangeError(
                f"{name} has {planned.size} spends for {rows.stop - rows.start} periods of the horizon"
            )
        exposure = np.zeros(rows.stop + adstock.memory(kind, parameters, n_table))
        exposure[: rows.start] = channel["exposure"][: rows.start]
        before = _true_series(channel, exposure, n_table)[rows.start :]
        exposure[rows] = planned * _exposure_per_spend(truth, channel)
        own = _true_series(channel, exposure, n_table)[rows.start :] - before
        n = rows.stop - rows.start
        totals += (own[:n].sum(), own[n:].sum(), before[:n].sum())
        responses[name] = float(own.sum())
    money = sum(float(np.sum(own)) for own in spends.values())
    return FlightScore(money, float(totals[0]), float(totals[1]), float(totals[2]), responses)


def _true_series(channel: Mapping[str, Any], exposure: FloatArray, n_table: int) -> FloatArray:
    carried = adstock.carry(Adstock(channel["adstock"]), exposure, _parameters(channel), n_table)
    series: FloatArray = channel["coef"] * saturation.hill(carried, channel["alpha"], channel["inflexion"])
    return series


def _exposure_per_spend(truth: Truth, channel: Mapping[str, Any]) -> float:
    window = slice(truth["window"]["start_row"], truth["window"]["stop_row"])
    return float(np.sum(channel["exposure"][window])) / float(np.sum(channel["spend"][window]))


# -------------------------------------------------------------------------------------------------- the best plan

GRID_STEPS = 800


def optimal_plan(truth: Truth, lower: float, upper: float, horizon: Horizon = WINDOW) -> dict[str, Any]:
    """The plan that truly brings most: the budget of the horizon unchanged, every multiplier in [lower, upper].

    The true problem is separable: each channel has a curve of its own and only the budget joins them. Dynamic
    programming over a grid of spends therefore finds the best basin, S-shaped curves included, and Newton steps on the
    conditions of optimality then make it exact.

    Args:
        truth, horizon: as in ``plan_curve``.
        lower, upper: bounds of the multipliers, 0 <= lower < 1 < upper.
    Returns:
        bounds, and per channel multiplier, spend, response and marginal response (outcome per currency), with totals
        before and after and the lift of the paid response.
    Raises:
        RangeError: the bounds do not enclose 1; and as in ``plan_curve``.
    """
    if not 0 <= lower < 1 < upper:
        raise RangeError(f"bounds are {lower:g} and {upper:g}, expected 0 <= lower < 1 < upper")
    curves = {name: plan_curve(truth, name, horizon) for name in truth["channels"]}
    found = _polished(list(curves.values()), _best_on_grid(list(curves.values()), lower, upper), lower, upper)
    best = {name: round(float(m), MULTIPLIER) for name, m in zip(curves, found, strict=True)}
    score = score_plan(truth, best, horizon)
    marginals = {name: float(curve.marginal(np.array([best[name]]))[0]) for name, curve in curves.items()}
    return {
        "lower": lower,
        "upper": upper,
        "multipliers": best,
        "spend": {name: round(best[name] * curve.spend, MONEY) for name, curve in curves.items()},
        "response": {name: round(value, SERIES) for name, value in score.responses.items()},
        "marginal_response": {name: round(value, RATIO) for name, value in marginals.items()},
        "total_spend": round(score.initial_spend, MONEY),
        "initial_response": round(score.initial_response, SERIES),
        "total_response": round(score.response, SERIES),
        "lift": round(score.lift, RATIO),
        "outcome_lift": round(score.outcome_lift, RATIO),
    }


def _best_on_grid(curves: Sequence[PlanCurve], lower: float, upper: float) -> FloatArray:
    """(P,) multipliers of the best plan among those that spend in whole steps above the lower bounds."""
    step = (1.0 - lower) * sum(curve.spend for curve in curves) / GRID_STEPS
    best = np.where(np.arange(GRID_STEPS + 1) == 0, 0.0, -np.inf)
    choices = []
    for curve in curves:
        most = min(GRID_STEPS, int((upper - lower) * curve.spend / step + 1e-9))
        gains = curve.response(lower + np.arange(most + 1, dtype=np.float64) * (step / curve.spend))
        totals = np.full((most + 1, GRID_STEPS + 1), -np.inf)
        for k in range(most + 1):
            totals[k, k:] = best[: GRID_STEPS + 1 - k] + gains[k]
        choices.append(totals.argmax(axis=0))
        best = totals.max(axis=0)
    left, steps = GRID_STEPS, np.zeros(len(curves))
    for i in reversed(range(len(curves))):
        steps[i] = choices[i][left]
        left -= int(steps[i])
    multipliers: FloatArray = lower + step * steps / np.array([curve.spend for curve in curves])
    return multipliers


def _marginals(curves: Sequence[PlanCurve], x: FloatArray) -> FloatArray:
    """(P,) marginal responses at the multipliers x."""
    return np.array([curve.marginal(np.array([m]))[0] for curve, m in zip(curves, x, strict=True)])


def _total(curves: Sequence[PlanCurve], x: FloatArray) -> float:
    return sum(float(curve.response(np.array([m]))[0]) for curve, m in zip(curves, x, strict=True))


def _polished(curves: Sequence[PlanCurve], start: FloatArray, lower: float, upper: float) -> FloatArray:
    """(P,) multipliers at which marginal responses are equal, but for channels held by a bound."""
    x = start
    for _ in range(200):
        step = _newton_step(curves, x, lower, upper)
        if np.abs(step).max() < 1e-13:
            break
        before, part = _total(curves, x), 1.0
        # A hair of slack: near the optimum the gain is below rounding.
        while part > 1e-9 and _total(curves, x + part * step) < before * (1.0 - 1e-14):
            part /= 2
        x = np.clip(x + part * step, lower, upper)
    return x


def _newton_step(curves: Sequence[PlanCurve], x: FloatArray, lower: float, upper: float) -> FloatArray:
    """(P,) step d to the best plan of the quadratic models of all curves at x, bounds and budget kept.

    d_i(price) = clip((price - slope_i) / bend_i, bounds): what a channel would take if the last unit of money had to
    bring the price; more the cheaper it is, so that bisection finds the price at which the budget is spent.
    """
    spend, slope = np.array([curve.spend for curve in curves]), _marginals(curves, x)
    bend = (_marginals(curves, x + 1e-6) - _marginals(curves, x - 1e-6)) / 2e-6
    # A channel may be on the convex part of its S; its model is bent down all the same, so that the step climbs.
    bend = -np.maximum(np.abs(bend), 1e-9 * slope.max())

    def step(price: float) -> FloatArray:
        taken: FloatArray = np.clip((price - slope) / bend, lower - x, upper - x)
        return taken

    low, high = float((slope + bend * (upper - x)).min()), float((slope + bend * (lower - x)).max())
    for _ in range(100):
        price = (low + high) / 2
        if spend @ step(price) > 0:
            low = price
        else:
            high = price
    return step((low + high) / 2)
