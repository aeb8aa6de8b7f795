"""``mmm simulate``: a table with known truth, and the truth in a JSON beside it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mmm_core.errors import RangeError, UserError
from mmm_core.features import Holiday, country_holidays
from mmm_core.markets import markets_truth, simulate_markets
from mmm_core.simulate import Frequency, SimulatedPanel, SimulationSettings, Truth, simulate_panel
from mmm_core.types import Adstock
from runner.tables import write_table, write_text

if TYPE_CHECKING:
    import pyarrow as pa

Kind = TypeVar("Kind", bound=StrEnum)

DATE = "date"
# The weekly panel ends on 2024-12-30 with 157 weeks from 2022-01-03 as its window; three years of days.
DEFAULT_START = {Frequency.WEEKLY: date(2021, 1, 11), Frequency.DAILY: date(2022, 1, 1)}
DEFAULT_PERIODS = {Frequency.WEEKLY: 208, Frequency.DAILY: 1095}
SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class SimulationPaths:
    """Where the data and their truth were written."""

    table: Path
    truth: Path


def run(
    out: Path,
    *,
    seed: int = 1,
    periods: int | None = None,
    frequency: str = "weekly",
    channels: int = 5,
    country: str | None = "DE",
    start: date | str | None = None,
    window_start: date | str | None = None,
    window_end: date | str | None = None,
    noise: float = 0.05,
    correlation: float = 0.2,
    adstock: str = "geometric",
    media_share: float = 0.32,
    force: bool = False,
) -> SimulationPaths:
    """Simulate a panel and write it, with ``<stem>_truth.json`` beside it; the same arguments give the same bytes.

    Args:
        out: the table to write, .csv or .parquet; missing folders are made.
        seed: root of all randomness.
        periods: rows; default 208 weekly, 1095 daily; at least 104 weekly, 365 daily.
        frequency: weekly or daily.
        channels: paid channels, 3 to 12.
        country: two-letter code whose public holidays move the outcome; None, "none" or empty for no holidays.
        start: first day of the first period; default 2021-01-11 weekly, 2022-01-01 daily.
        window_start, window_end: the window of the truth; default from 51 weeks after the start to the end.
        noise: standard deviation of the noise as a share of each period's expected outcome, 0 to 0.2.
        correlation: mean pairwise correlation of the paid spends, 0 to 0.6.
        adstock: geometric, weibull_cdf or weibull_pdf.
        media_share: share of the outcome that the paid channels bring, 0.05 to 0.6.
        force: overwrite files that are there.
    Returns:
        The two paths.
    Raises:
        UserError: an argument is wrong or a file is in the way; nothing is written then.
    """
    paths = _paths(Path(out), force)
    kind = _choice("frequency", frequency, Frequency)
    first = _day("start", start) or DEFAULT_START[kind]
    try:
        settings = SimulationSettings(
            seed=seed,
            periods=DEFAULT_PERIODS[kind] if periods is None else periods,
            frequency=kind,
            channels=channels,
            start=first,
            window_start=_day("window_start", window_start),
            window_end=_day("window_end", window_end),
            noise=noise,
            correlation=correlation,
            adstock=_choice("adstock", adstock, Adstock),
            media_share=media_share,
        )
    except RangeError as error:
        raise UserError(f"simulate: {error}") from error
    panel = simulate_panel(settings, _holidays(country, settings))
    truth = {**panel.truth, "settings": {**panel.truth["settings"], "country": country}}
    _write(paths, panel, truth)
    return paths


def run_markets(
    out: Path,
    markets: Sequence[str],
    *,
    seed: int = 1,
    spread: float = 0.2,
    periods: int | None = None,
    channels: int = 5,
    noise: float = 0.05,
    window_start: date | str | None = None,
    force: bool = False,
) -> SimulationPaths:
    """Simulate the same channels in several countries, and write one long table with a column ``market``.

    ``<stem>_truth.json`` holds what every channel truly brings in every market, without series.

    Args:
        out, seed, periods, channels, window_start, force: as of ``run``; weekly rows. noise: of a typical market.
        markets: country codes, whose holidays move the outcome there. spread: see ``mmm_core.markets``.
    Raises:
        UserError: as ``run``.
    """
    paths = _paths(Path(out), force)
    if len(set(markets)) < len(markets):
        raise UserError("simulate: a market is named twice; name each once")
    try:
        settings = SimulationSettings(
            seed=seed,
            periods=DEFAULT_PERIODS[Frequency.WEEKLY] if periods is None else periods,
            channels=channels,
            noise=noise,
            window_start=_day("window_start", window_start),
        )
        found = simulate_markets(settings, {name: _holidays(name, settings) for name in markets}, spread)
    except RangeError as error:
        raise UserError(f"simulate: {error}") from error
    _write_table(paths, _long_table(found), markets_truth(settings, found, spread))
    return paths


def _long_table(markets: Mapping[str, SimulatedPanel]) -> pa.Table:
    import pyarrow as pa

    tables = [_table(panel) for panel in markets.values()]
    named = [
        table.add_column(0, "market", pa.array([name] * table.num_rows))
        for name, table in zip(markets, tables, strict=True)
    ]
    return pa.concat_tables(named)


def load_truth(path: Path) -> Truth:
    """Read a truth back, for ``mmm_core.simulate.true_response`` and ``score_plan``.

    Raises:
        UserError: the file is missing or holds something else.
    """
    try:
        truth = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read as JSON ({error}); give the truth that mmm simulate wrote"
        ) from error
    if not isinstance(truth, dict) or truth.get("format") != "mmm-truth-1":
        raise UserError(f"{path}: is not a truth of mmm simulate; give the <stem>_truth.json beside the data")
    return truth


def _paths(out: Path, force: bool) -> SimulationPaths:
    if out.suffix not in SUFFIXES:
        raise UserError(f"{out}: simulate writes {' or '.join(SUFFIXES)}; give the file one of these endings")
    paths = SimulationPaths(out, out.with_name(f"{out.stem}_truth.json"))
    for path in (paths.table, paths.truth):
        if path.is_dir():
            raise UserError(f"{path}: is a folder; choose another name")
        if path.exists() and not force:
            raise UserError(f"{path}: is already there; choose another name or overwrite it with --force")
    return paths


def _choice(name: str, value: str, kind: type[Kind]) -> Kind:
    try:
        return kind(value)
    except ValueError:
        raise UserError(f"simulate: {name} is {value!r}, expected one of {', '.join(kind)}") from None


def _day(name: str, value: date | str | None) -> date | None:
    if value is None or isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise UserError(f"simulate: {name} is {value!r}, expected a date such as 2021-01-11") from None


def _holidays(country: str | None, settings: SimulationSettings) -> list[Holiday]:
    if country in (None, "", "none"):
        return []
    years = settings.dates.astype("datetime64[Y]").astype(np.int64) + 1970
    try:
        return country_holidays(country, range(int(years[0]), int(years[-1]) + 2))
    except UserError as error:
        raise UserError(
            f"simulate: country is {country!r}, expected a two-letter code with known holidays such as DE, or none"
        ) from error


def _write(paths: SimulationPaths, panel: SimulatedPanel, truth: Truth) -> None:
    _write_table(paths, _table(panel), truth)


def _write_table(paths: SimulationPaths, table: pa.Table, truth: Truth) -> None:
    try:
        # The truth first: data without their truth would look complete.
        write_text(paths.truth, _truth_text(truth))
        if paths.table.suffix == ".csv":
            write_text(paths.table, _csv_text(table))
        else:
            write_table(paths.table, table)
    except OSError as error:
        raise UserError(
            f"{paths.table}: cannot be written ({error.strerror}); choose another place"
        ) from error


def _table(panel: SimulatedPanel) -> pa.Table:
    import pyarrow as pa

    columns = {DATE: pa.array(panel.dates.astype("datetime64[D]"))}
    columns |= {name: pa.array(values.tolist()) for name, values in panel.columns.items()}
    return pa.table(columns)


def _csv_text(table: pa.Table) -> str:
    """Numbers as the shortest decimals that read back as themselves."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.column_names)
    writer.writerows(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    return text.getvalue()


def _truth_text(truth: Truth) -> str:
    """JSON with a line for each key and each series, so that people can read it and differences stay small."""
    text = json.dumps(truth, indent=1, ensure_ascii=False, allow_nan=False)
    # Lists of numbers or texts, which hold no bracket or brace, go on one line.
    return re.sub(r"\[[^\[\]{}]*\]", lambda series: re.sub(r"\s*\n\s*", " ", series.group()), text) + "\n"
