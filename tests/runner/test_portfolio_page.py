"""The page of many models in a browser: opened from disk, at any width, and its tables sorted by a click."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.portfolio import PortfolioFolder, load_portfolio
from runner.portfolio.page import portfolio_html
from runner.portfolio.remote import Failure
from runner.portfolio.results import LOSSES, PortfolioResults, _failed_row
from tests.runner.browsers import Opened
from tests.runner.portfolio_files import write_portfolio

pytestmark = pytest.mark.integration

HARM = "<img src=x onerror=alert(1)> & 'quoted' 🎈"
LONG = "x" * 120
FAILED = "lower case"
# In the order in which names are read.
NAMES = [HARM, "2 and more", "9", "10", "m1", "m9", "m10", "Öst", LONG, "Zürich", "中国"]
SPENDS = [900.0, 1_234_567.0, 25.5, 0.0, None, 10_000.0, 9_999.0, math.nan, 1e9, 3.0, 70.0]
ESTIMATES = [1.5, None, 0.02, 12.0, 3.0, 0.4, 0.0, 2.0, 100.0, 1e-7, 1.0]

# What stands in a column from top to bottom, as it is sorted by.
COLUMN = """([table, column]) =>
  [...document.querySelectorAll("table.sortable")[table].tBodies[0].rows]
    .map((row) => row.cells[column].dataset.value)"""
KINDS = """[...document.querySelectorAll("table.sortable")].map((table) =>
  [...table.tHead.rows[0].cells].map((cell) => cell.className))"""


def done_row(name: str, spend: float | None) -> dict[str, Any]:
    return {
        "model": name,
        "status": "done",
        "message": "",
        "candidate": f"1_{len(name)}",
        "n_selected": 2,
        **dict.fromkeys(LOSSES, 0.1 + len(name)),
        "spend": spend,
        "paid_share": None if spend is None else 1 / (2 + len(name)),
        "info": 0,
        "warning": len(name) % 3,
        "problem": 0,
    }


def channel_row(name: str, channel: str, estimate: float | None, spend: float | None) -> dict[str, Any]:
    ends = (None, None) if estimate is None else (estimate / 2, estimate * 9)
    return {
        "model": name,
        "channel": channel,
        "metric": "roas",
        "estimate": estimate,
        "error": 0.1,
        "lower": ends[0],
        "upper": ends[1],
        "pooled": estimate,
        "pooled_lower": ends[0],
        "pooled_upper": ends[1],
        "shrinkage": 0.5,
        "spend": spend,
        "contribution": 3.0,
    }


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven models with names and numbers that are hard to sort and to show, and one that failed."""
    where = tmp_path_factory.mktemp("page")
    models = [{"name": name} for name in [*reversed(NAMES), FAILED]]
    portfolio = load_portfolio(write_portfolio(where, models))
    folder = PortfolioFolder.create(where / "runs", portfolio)
    failure = Failure("the table of it is empty: " + "long/path/" * 30)
    failed = _failed_row(portfolio.members[-1], failure)
    given = list(zip(NAMES, SPENDS, ESTIMATES, strict=True))[::-1]
    finding = {"status": "warning", "case": "rows-per-column", "details": f"few rows, {HARM}"}
    results = PortfolioResults(
        [*(done_row(name, spend) for name, spend, _ in given[:5]), failed]
        + [done_row(name, spend) for name, spend, _ in given[5:]],
        [
            channel_row(name, channel, estimate, spend)
            for channel in ("tv", HARM)
            for name, spend, estimate in given
        ],
        [],
        {name: f"folder {i}" for i, name in enumerate(NAMES)},
        {FAILED: failure},
        {name: [finding] for name in NAMES},
    )
    path = where / "index.html"
    path.write_text(portfolio_html(folder, results), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Any, page: Path) -> Iterator[Opened]:
    found = Opened(browser, page)
    yield found
    assert found.complaints == []
    assert found.asked == [page.as_uri()]
    found.context.close()


def click(opened: Opened, table: int, column: int) -> list[str]:
    """Click a head; what then stands below it."""
    tables = opened.page.query_selector_all("table.sortable")
    tables[table].query_selector_all("thead button")[column].click()
    return column_of(opened, table, column)


def column_of(opened: Opened, table: int, column: int) -> list[str]:
    return [str(value) for value in opened.page.evaluate(COLUMN, [table, column])]


def open_all(opened: Opened) -> None:
    opened.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


# ------------------------------------------------------------------------------------------------------------- sorting


def test_numbers_are_sorted_as_numbers_largest_first_and_empty_ones_last(opened: Opened) -> None:
    heads = opened.page.query_selector_all("table.sortable")[0].query_selector_all("thead th")
    spend = [head.inner_text() for head in heads].index("spend")
    known = sorted(value for value in SPENDS if value is not None and math.isfinite(value))
    down = click(opened, 0, spend)
    assert [float(value) for value in down[: len(known)]] == known[::-1]
    assert down[len(known) :] == ["", "", ""]
    up = click(opened, 0, spend)
    assert [float(value) for value in up[: len(known)]] == known
    assert up[len(known) :] == ["", "", ""]


def test_names_are_sorted_as_they_are_read(opened: Opened) -> None:
    expected = [*NAMES[:4], FAILED, *NAMES[4:]]
    assert click(opened, 0, 0) == expected
    assert click(opened, 0, 0) == expected[::-1]
    assert opened.page.get_attribute("table.sortable th", "aria-sort") == "descending"


def test_every_head_of_every_table_sorts_its_own_column_both_ways(opened: Opened) -> None:
    open_all(opened)
    kinds = opened.page.evaluate(KINDS)
    assert len(kinds) == 3
    for table, columns in enumerate(kinds):
        names = sorted(column_of(opened, table, 0))
        for column, kind in enumerate(columns):
            first, second = click(opened, table, column), click(opened, table, column)
            for values, is_down in ((first, kind == "number"), (second, kind != "number")):
                filled = [value for value in values if value]
                assert values[: len(filled)] == filled
                if kind == "number":
                    numbers = [float(value) for value in filled]
                    assert numbers == sorted(numbers, reverse=is_down)
            assert sorted(column_of(opened, table, 0)) == names
            sorted_heads = opened.page.query_selector_all("table.sortable")[table].query_selector_all(
                "[aria-sort]"
            )
            assert len(sorted_heads) == 1
    assert column_of(opened, 0, 2)[-1] == ""  # the best model of the one that failed


def test_the_keyboard_sorts_as_well(opened: Opened) -> None:
    opened.page.focus("table.sortable thead button")
    opened.page.keyboard.press("Enter")
    assert column_of(opened, 0, 0)[0] == HARM
    opened.page.keyboard.press("Space")
    assert column_of(opened, 0, 0)[-1] == HARM


# --------------------------------------------------------------------------------------------------------------- shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_scrolls_sideways_but_tables_and_pictures_in_their_boxes(
    browser: Any, page: Path, width: int, scheme: str
) -> None:
    found = Opened(browser, page, width, color_scheme=scheme)
    for _ in range(2):
        scrolled, shown = found.widths()
        assert scrolled <= shown
        open_all(found)
    boxes = found.page.evaluate(
        "[...document.querySelectorAll('.scroll')].map((box) => [box.scrollWidth, box.clientWidth])"
    )
    assert len(boxes) == 5
    if width == 390:
        assert all(inner > outer for inner, outer in boxes)
    # As much larger than what they are drawn in as makes text of 11 units one of 9 pixels and more.
    for width_of in found.page.evaluate(
        "[...document.querySelectorAll('svg')].map((one) => one.getBoundingClientRect().width)"
    ):
        assert width_of >= 9 / 11 * 860
    assert found.complaints == []
    assert found.asked == [page.as_uri()]
    found.context.close()


def test_an_interval_that_is_cut_ends_in_an_arrow(opened: Opened) -> None:
    assert (
        len(opened.page.query_selector_all("svg")[0].query_selector_all("path")) == 2
    )  # raw and pooled, of LONG


def test_names_are_shown_as_they_are(opened: Opened) -> None:
    open_all(opened)
    assert opened.text("ul.findings li").startswith(f"{FAILED} the table of it is empty")
    told = [paragraph.inner_text() for paragraph in opened.page.query_selector_all("details p")]
    assert f"m10 few rows, {HARM}" in told
    assert opened.page.query_selector("img") is None
    assert opened.text("table.sortable th[scope=row]") == NAMES[-1]
