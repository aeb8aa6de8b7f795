"""Tables of the user's: read from any place, every row checked, nothing silently repaired."""

from __future__ import annotations

import decimal
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmm_core.errors import UserError
from runner.dataset import Frequency, MediaPanel, frequency_of, load_panel, next_period, panel_from_table
from runner.source import read_table
from runner.spec import decode, load_spec
from tests.runner.small import N_ROWS, change, small_spec, small_table, write_small


def panel_of(table: pd.DataFrame, **changes) -> MediaPanel:
    return panel_from_table(decode(change(small_spec(), **changes), "s.yaml"), table, "table")


def refusal(table: pd.DataFrame, **changes) -> str:
    with pytest.raises(UserError) as caught:
        panel_of(table, **changes)
    message = str(caught.value)
    assert message.startswith("table: ")
    assert "\n" not in message
    return message


def with_cell(column: str, row: int, value) -> pd.DataFrame:
    """The small table as text, one cell replaced; rows count from 1."""
    table = small_table().astype(object)
    table.loc[row - 1, column] = value
    return table


def file_refusal(tmp_path: Path, content: bytes, name: str = "t.csv") -> str:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_table(str(tmp_path / name))
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---------------------------------------------------------------------------------------------------------- values


def test_a_panel_holds_what_the_table_says():
    table = small_table()
    panel = panel_of(table)
    assert panel.frequency is Frequency.WEEKLY
    np.testing.assert_array_equal(panel.outcome, table["sales"])
    assert sorted(panel.numeric) == ["mails", "price", "tv_cost", "web_clicks", "web_cost"]
    np.testing.assert_array_equal(panel.numeric["price"], table["price"])
    assert panel.factors == {"event": tuple(table["event"])}
    assert (panel.start, panel.stop) == (5, N_ROWS)
    assert panel.findings == ()


NUMBERS = ["sales", "tv_cost", "web_cost", "web_clicks", "mails"]
TYPED = small_table().assign(date=pd.to_datetime(small_table()["date"]))


@pytest.mark.parametrize(
    "frame",
    [
        TYPED,
        small_table(),
        TYPED.astype(dict.fromkeys(NUMBERS, "int64")),
        TYPED.astype(dict.fromkeys(NUMBERS, "int32")),
        TYPED.astype(dict.fromkeys(NUMBERS, "Int64")),
        TYPED.astype(dict.fromkeys(NUMBERS, "str")),
        TYPED.astype({"event": "category"}),
        TYPED.assign(price=[decimal.Decimal(str(p)) for p in TYPED["price"]]),
        TYPED.assign(date=TYPED["date"].dt.date),
        TYPED.assign(date=TYPED["date"].dt.tz_localize("Europe/Berlin")),
        TYPED.assign(date=(TYPED["date"] + pd.Timedelta("5h")).dt.tz_localize("UTC")),
        TYPED.set_index("date"),
    ],
    ids=[
        "timestamps",
        "text dates",
        "int64",
        "int32",
        "nullable",
        "numbers as text",
        "category",
        "decimal",
        "date32",
        "time zone",
        "time of day",
        "index",
    ],
)
def test_parquet_of_any_types_gives_the_panel_of_the_csv(tmp_path, frame):
    frame.to_parquet(tmp_path / "t.parquet")
    spec = load_spec(write_small(tmp_path))
    expected = load_panel(spec)
    panel = load_panel(load_spec(tmp_path / "spec.yaml", data=str(tmp_path / "t.parquet")))
    assert panel.digest == expected.digest
    for name, values in expected.numeric.items():
        assert panel.numeric[name].tobytes() == values.tobytes()


def test_booleans_are_zero_and_one_in_csv_and_parquet_alike(tmp_path):
    table = small_table()
    table = table.assign(price=table["tv_cost"] > 0)
    path = write_small(tmp_path, table)
    table.to_parquet(tmp_path / "t.parquet")
    csv, parquet = load_panel(load_spec(path)), load_panel(load_spec(path, data=str(tmp_path / "t.parquet")))
    np.testing.assert_array_equal(csv.numeric["price"], table["price"].astype(float))
    assert csv.digest == parquet.digest


def test_levels_are_the_same_labels_whatever_their_type(tmp_path):
    numbers = small_table()["mails"] % 3
    labels = tuple(numbers.astype(str))
    for values in (numbers, numbers.astype(float), labels):
        assert panel_of(small_table().assign(event=values)).factors["event"] == labels
    assert set(panel_of(small_table().assign(event=numbers > 0)).factors["event"]) == {"True", "False"}


@pytest.mark.parametrize("cell", ["7", " 7 ", "7.0", "7e0", 7, np.float32(7), "+7"])
def test_numbers_may_be_written_in_many_ways(cell):
    assert panel_of(with_cell("tv_cost", 9, cell)).numeric["tv_cost"][8] == 7.0


def test_unsorted_rows_are_sorted_and_told():
    shuffled = small_table().sample(frac=1, random_state=3)
    panel = panel_of(shuffled)
    assert [finding.case for finding in panel.findings] == ["rows-sorted"]
    assert panel.digest == panel_of(small_table()).digest


def test_rows_are_named_as_they_stand_in_the_file():
    backwards = with_cell("tv_cost", 11, "x").iloc[::-1]
    assert f"row {N_ROWS - 10} (2022-03-14) is 'x'" in refusal(backwards)


def test_columns_that_nobody_uses_may_hold_anything():
    extra = small_table().assign(note=[None, "x"] * (N_ROWS // 2), broken=np.nan)
    assert panel_of(extra).digest == panel_of(small_table()).digest


@pytest.mark.parametrize("name", ["y", "Outcome €", "trend", "outcome", "date ", "tv", "=1", "<b>"])
def test_the_outcome_may_be_called_anything(name):
    panel = panel_of(small_table().rename(columns={"sales": name}), outcome__column=name)
    assert panel.digest == panel_of(small_table()).digest


# ----------------------------------------------------------------------------------------------------------- cells


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("abc", "is 'abc', expected a number such as 1234.5 (no thousands separators)"),
        ("1,234", "is '1,234', expected a number"),
        ("1 234", "is '1 234', expected a number"),
        ("1_000", "is '1_000', expected a number"),
        ("12%", "is '12%', expected a number"),
        ("TRUE", "is 'TRUE', expected a number"),
        ("", "is missing; fill it, with 0 where there was none"),
        ("NaN", "is missing; fill it"),
        ("#N/A", "is missing; fill it"),
        (None, "is missing; fill it"),
        (float("nan"), "is missing; fill it"),
        (pd.NA, "is missing; fill it"),
        ("inf", "is 'inf', expected a finite number; correct it"),
        (float("-inf"), "is -inf, expected a finite number"),
        ("1e400", "is '1e400', expected a finite number"),
        ("1e200", "is '1e200', too large to calculate with; use another unit"),
        ("-5", "is negative (-5); spend of channel tv cannot be, correct it"),
        ([1, 2], "is [1, 2], expected a number"),
        ("x" * 99, f"is '{'x' * 36}..., expected a number"),
    ],
)
def test_a_cell_that_is_no_spend_is_named_with_row_and_date(cell, message):
    assert f"column 'tv_cost': row 11 (2022-03-14) {message}" in refusal(with_cell("tv_cost", 11, cell))


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("sales", "", "column 'sales': row 3 (2022-01-17) is missing; fill it or shorten the table"),
        ("web_clicks", -1, "is negative (-1); exposure of channel web cannot be"),
        ("mails", "-0.5", "is negative (-0.5); organic mail cannot be"),
        ("event", " ", "column 'event': row 3 (2022-01-17) is empty; write a level of its own, such as none"),
        ("event", None, "column 'event': row 3 (2022-01-17) is empty"),
        (
            "price",
            "n.a.",
            "is 'n.a.', expected a number; correct it, or set kind: factor if the column holds labels",
        ),
    ],
)
def test_every_role_is_checked(column, cell, message):
    assert message in refusal(with_cell(column, 3, cell))


def test_a_context_column_of_text_is_a_factor_and_told_so():
    table = small_table().assign(price=["low", "high"] * (N_ROWS // 2))
    panel = panel_of(table)
    assert panel.factors["price"] == tuple(table["price"])
    assert [finding.case for finding in panel.findings] == ["text-context"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("tv_cost", 0, "spend of channel tv is zero in every row of the window; remove the channel or widen"),
        ("tv_cost", 5, "spend of channel tv has the same value in every row of the window"),
        (
            "price",
            5,
            "context price has the same value in every row of the window; it can explain nothing, remove it",
        ),
        ("sales", 5, "the outcome has the same value in every row of the window"),
        ("event", "none", "this factor is 'none' in every row; it can explain nothing, remove it"),
    ],
)
def test_columns_that_explain_nothing(column, value, message):
    assert message in refusal(small_table().assign(**{column: value}))


def test_a_medium_that_is_silent_in_the_window_is_refused():
    table = small_table()
    table.loc[table.index >= 5, "web_clicks"] = 0
    assert "exposure of channel web is zero in every row of the window" in refusal(table)


def test_missing_columns_come_with_a_near_name():
    assert "there is no column 'tv_cost' (spend of channel tv); did you mean 'tv_costs'?" in refusal(
        small_table().rename(columns={"tv_cost": "tv_costs"})
    )
    assert "there is no column 'sales' (outcome); the table has a, b" in refusal(
        pd.DataFrame({"a": [1], "b": [2]}), data__date="a"
    )


# ----------------------------------------------------------------------------------------------------------- dates


@pytest.mark.parametrize(
    "cell", ["2022-01-17", "2022/01/17", "20220117", "2022-01-17T00:00:00Z", "2022-01-17 00:00"]
)
def test_dates_may_be_written_in_many_ways(cell):
    assert panel_of(with_cell("date", 3, cell)).digest == panel_of(small_table()).digest


@pytest.mark.parametrize(
    "cell",
    [
        "17.01.2022",
        "01/17/2022",
        "2022-13-01",
        "Jan 17 2022",
        "44578",
        "2022-01",
        "2022-01-1799",
        44578,
        2022.0,
    ],
)
def test_other_dates_are_refused_with_their_row(cell):
    message = refusal(with_cell("date", 3, cell))
    assert "column 'date': row 3 is" in message
    assert "expected a date like 2024-01-29 (year, month, day)" in message


@pytest.mark.parametrize("cell", ["", None, pd.NaT])
def test_a_row_without_a_date(cell):
    assert "column 'date': row 3 has no date; fill it or delete the row" in refusal(
        with_cell("date", 3, cell)
    )


def test_dates_that_stand_twice_are_named_with_their_rows():
    table = pd.concat([small_table(), small_table().iloc[[5]]])
    message = f"the date 2022-02-07 stands twice, in rows 6 and {N_ROWS + 1}; keep one row per period"
    assert message in refusal(table)


@pytest.mark.parametrize(
    ("dropped", "missing"),
    [([20], "2022-05-23 is missing"), ([20, 21, 22], "2022-05-23 to 2022-06-06 are missing")],
)
def test_gaps_are_named(dropped, missing):
    message = refusal(small_table().drop(index=dropped))
    assert "a gap: 2022-05-16 is followed by" in message
    assert f"{missing}; add every period" in message


def test_mixed_intervals_are_named():
    message = refusal(with_cell("date", 21, "2022-05-25"))
    expected = (
        "mixed intervals: rows are weekly but 2022-05-16 is followed by 2022-05-25; expected 2022-05-23"
    )
    assert expected in message


def dated(freq: str) -> pd.DataFrame:
    return small_table().assign(date=pd.date_range("2012-01-01", periods=N_ROWS, freq=freq).astype(str))


@pytest.mark.parametrize(
    ("freq", "expected"), [("D", "daily"), ("MS", "monthly"), ("W-SUN", "weekly"), ("W", "weekly")]
)
def test_daily_weekly_and_monthly_rows(freq, expected):
    assert panel_of(dated(freq), window={}).frequency == expected


@pytest.mark.parametrize(
    ("freq", "message"),
    [
        ("ME", "monthly rows must be dated on day 1 of the month, found 2012-01-31"),
        ("QS", "dates are 92 days apart; expected daily, weekly or monthly rows"),
        ("2D", "dates are 2 days apart"),
        ("B", "a gap: 2012-01-06 is followed by 2012-01-09, 2012-01-07 to 2012-01-08 are missing"),
    ],
)
def test_other_intervals_are_refused(freq, message):
    assert message in refusal(dated(freq), window={})


def test_one_row_is_no_series():
    assert "fewer than two different dates" in refusal(small_table().iloc[:1], window={})


def test_periods_follow_one_another():
    day = np.datetime64("2024-01-01")
    assert str(next_period(day, Frequency.MONTHLY, 13)) == "2025-02-01"
    assert str(next_period(day, Frequency.MONTHLY, -1)) == "2023-12-01"
    assert str(next_period(day, Frequency.WEEKLY, 2)) == "2024-01-15"
    with pytest.raises(ValueError, match="3 days apart"):
        frequency_of(day + 3 * np.arange(4))


# ---------------------------------------------------------------------------------------------------------- window


def test_the_window_is_everything_unless_told():
    panel = panel_of(small_table(), window={})
    assert (panel.start, panel.stop) == (0, N_ROWS)
    first = panel_of(small_table(), window={"start": "2022-01-03", "end": "2023-12-25"})
    assert (first.start, first.stop, first.findings) == (0, N_ROWS, ())


def test_a_window_between_dates_snaps_and_is_told():
    panel = panel_of(small_table(), window={"start": "2022-02-01", "end": "2023-12-20"})
    assert (str(panel.dates[panel.start]), str(panel.dates[panel.stop - 1])) == ("2022-02-07", "2023-12-18")
    assert [finding.case for finding in panel.findings] == ["window-snapped", "window-snapped"]
    assert panel_of(small_table(), window={"end": "2023-12-31"}).stop == N_ROWS


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (
            {"start": "2021-12-31"},
            "window.start 2021-12-31 lies outside the data (2022-01-03 to 2023-12-25); move it",
        ),
        ({"start": "2023-12-26"}, "window.start 2023-12-26 lies outside the data"),
        ({"end": "2024-01-01"}, "window.end 2024-01-01 lies outside the data"),
        (
            {"start": "2022-02-08", "end": "2022-02-10"},
            "no date of the data lies between window.start 2022-02-08 and",
        ),
    ],
)
def test_windows_outside_the_data(window, message):
    assert message in refusal(small_table(), window=window)


# ----------------------------------------------------------------------------------------------------------- files


CSV = small_table().to_csv(index=False)


@pytest.mark.parametrize(
    "content",
    [
        CSV.encode("utf-8-sig"),
        CSV.replace("\n", "\r\n").encode(),
        CSV.replace("\n", "\r").encode(),
        CSV.replace("\n", ",\n").encode(),
        small_table().to_csv(index=True).encode(),
        ("\n\n" + CSV + "\n\n").encode(),
    ],
    ids=["byte order mark", "windows", "old mac", "trailing comma", "index", "blank lines"],
)
def test_csv_of_other_programs(tmp_path, content):
    assert load_panel(load_spec(write_small(tmp_path, content))).digest == panel_of(small_table()).digest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; expected a header and one row per period"),
        (b"\n \n", "the file is empty"),
        (b"date,sales\n", "the table has a header but no rows; expected one row per period"),
        (CSV.replace("fair", "Fête").encode("latin-1"), "not UTF-8 text; save it as CSV in UTF-8"),
        (CSV.encode("utf-16"), "not UTF-8 text; save it as CSV in UTF-8"),
        (b"a,b,a\n1,2,3\n", "the column 'a' stands twice in the header; rename one"),
        (b"a;b\n1;2\n", "the columns are separated by semicolons; save it as CSV with commas"),
        (b"a\tb\n1\t2\n", "the columns are separated by tabs"),
        (
            small_table().to_csv(index=False, sep=";", decimal=",").encode(),
            "the columns are separated by semicolons; save it with commas and decimal points",
        ),
        (
            b"a,b\n1,2,345\n",
            "line 2 has 3 cells and the header 2; write numbers without thousands separators",
        ),
        (b'a,b\n1,"2\n', "a quotation mark in line 2 is never closed"),
    ],
)
def test_csv_that_is_none(tmp_path, content, message):
    assert message in file_refusal(tmp_path, content)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PAR1....PAR1"])
def test_parquet_that_is_none(tmp_path, content):
    message = file_refusal(tmp_path, content, "t.parquet")
    assert "cannot be read as a table (" in message
    assert "write it again or set data.path in the spec" in message


def test_parquet_without_rows_or_with_a_name_twice(tmp_path):
    small_table().iloc[:0].to_parquet(tmp_path / "none.parquet")
    with pytest.raises(UserError, match="a header but no rows"):
        read_table(str(tmp_path / "none.parquet"))
    twice = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(UserError, match=r"duplicate|twice"):
        read_table(str(tmp_path / "twice.parquet"))


def test_directories_uris_and_compressed_files(tmp_path):
    table = small_table()
    (tmp_path / "parts").mkdir()
    table.iloc[50:].to_parquet(tmp_path / "parts" / "b.parquet")
    table.iloc[:50].to_parquet(tmp_path / "parts" / "a.parquet")
    (tmp_path / "parts" / "README.txt").write_text("not a table")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    (tmp_path / "t.csv").write_text(CSV)
    expected = panel_of(table).digest
    for place in ("parts", "t.csv.gz", "t.csv"):
        for path in (tmp_path / place, f"file://{tmp_path / place}"):
            if place == "parts" and path != tmp_path / place:
                (tmp_path / "parts" / "README.txt").unlink()
            assert panel_of(read_table(str(path))).digest == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("absent.csv", "there is no such file; set data.path in the spec or give --data"),
        ("a\0b.csv", "there is no such file"),
        ("x" * 5000, "there is no such file"),
        ("file:///nowhere/absent.csv", "cannot be read as a table"),
        ("file:///nowhere/absent.parquet", "cannot be read as a table"),
        ("nosuchstore://bucket/x.csv", r"cannot be read as a table|the Python package fsspec is needed"),
        ("http://127.0.0.1:9/x.csv", "cannot be read as a table .*refused"),
    ],
)
def test_places_without_a_table(path, message):
    with pytest.raises(UserError, match=message):
        read_table(path)


def test_a_directory_without_tables(tmp_path):
    with pytest.raises(UserError, match="the directory holds no Parquet file"):
        read_table(str(tmp_path))
