"""A mistake of the user ends with exit status 2 and one sentence naming place and remedy, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tests.runner.command import files_below, mmm, mmm_process
from tests.runner.small import N_ROWS, small_table, write_small

TRUE_HYPERPARAMETERS = {f"{m}_{p}": 0.5 for m in ("tv", "web", "mail") for p in ("alpha", "gamma", "theta")}
CANDIDATES = pd.DataFrame([{**TRUE_HYPERPARAMETERS, "train_size": 0.6, "lambda_hp": 0.1}] * 3)


def cell(column: str, row: int, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Replace one cell; rows count from 1."""

    def changed(table: pd.DataFrame) -> pd.DataFrame:
        table = table.astype(object)
        table.loc[row - 1, column] = value
        return table

    return changed


BAD_TABLES = {
    "text in a numeric column": (
        cell("tv_cost", 8, "many"),
        "column 'tv_cost': row 8 (2022-02-21) is 'many'",
    ),
    "thousands separator": (
        cell("tv_cost", 8, "1,234.5"),
        "column 'tv_cost': row 8 (2022-02-21) is '1,234.5'",
    ),
    "missing number": (cell("mails", 8, None), "column 'mails': row 8 (2022-02-21) is missing"),
    "missing outcome": (cell("sales", 8, None), "column 'sales': row 8 (2022-02-21) is missing"),
    "infinite": (cell("price", 8, np.inf), "column 'price': row 8 (2022-02-21) is 'inf'"),
    "negative spend": (cell("web_cost", 8, -3), "column 'web_cost': row 8 (2022-02-21) is negative (-3)"),
    "duplicate date": (cell("date", 8, "2022-02-14"), "the date 2022-02-14 stands twice, in rows 7 and 8"),
    "gap": (lambda table: table.drop(index=30), "a gap: 2022-07-25 is followed by 2022-08-08"),
    "mixed intervals": (
        cell("date", 8, "2022-02-22"),
        "mixed intervals: rows are weekly but 2022-02-14 is followed",
    ),
    "other date format": (
        cell("date", 8, "21.02.2022"),
        "column 'date': row 8 is '21.02.2022', expected a date like",
    ),
    "silent medium": (
        lambda table: table.assign(web_clicks=0),
        "exposure of channel web is zero in every row",
    ),
    "zero variance": (lambda table: table.assign(price=3), "context price has the same value in every row"),
    "unknown column": (
        lambda table: table.drop(columns="web_cost"),
        "there is no column 'web_cost' (spend of channel",
    ),
    "too few rows": (
        lambda table: table.iloc[:18],
        "too few rows: the window has 13, the smallest training part 7",
    ),
}

BAD_FILES = {
    "empty": ("", "the file is empty; expected a header and one row per period"),
    "header only": ("date,sales\n", "the table has a header but no rows"),
    "semicolons": (small_table().to_csv(index=False, sep=";"), "the columns are separated by semicolons"),
    "duplicate header": (
        "date,tv_cost,tv_cost\n2022-01-03,1,2\n",
        "the column 'tv_cost' stands twice in the header",
    ),
    "not UTF-8": ("date,Käse\n2022-01-03,1\n".encode("latin-1"), "not UTF-8 text; save it as CSV in UTF-8"),
}

BAD_SPECS = {
    "unknown key": ({"search__iteration": 5}, "search.iteration: unknown key; did you mean 'iterations'?"),
    "column in two roles": ({"context__0": "mails"}, "column 'mails' is used in two roles"),
    "reversed bounds": (
        {"hyperparameters__tv__theta": [0.5, 0.2]},
        "hyperparameters.tv.theta: lower bound 0.5 is above",
    ),
    "bounds out of range": (
        {"hyperparameters__tv__theta": [0, 1.5]},
        "hyperparameters.tv.theta: 1.5 is out of range",
    ),
    "window outside": ({"window__end": "2030-01-01"}, "window.end 2030-01-01 lies outside the data"),
    "window reversed": (
        {"window__end": "2022-01-17"},
        "window: start 2022-02-07 is after end 2022-01-17; swap them",
    ),
    "too few to validate": (
        {"hyperparameters__train_size": 0.99},
        "only 0 of 99 rows are left to validate on",
    ),
    "unsafe scenario": ({"scenarios": [{"name": "a/../b"}]}, "'a/../b' becomes a file name"),
    "budget too large": (
        {"scenarios": [{"name": "p", "total_budget": 1e9}]},
        "scenarios.p: a budget of 1,000,000,000 cannot be spent within the bounds, which hold 77,055 to 165,117; the",
    ),
    "budget too small": (
        {"scenarios": [{"name": "p", "budget_per_period": 1, "constraint": "at_most"}]},
        "scenarios.p: a budget of 99 cannot be spent within the bounds",
    ),
    "horizon outside": (
        {"scenarios": [{"name": "p", "horizon": {"start": "2025-01-01", "end": "2025-02-01"}}]},
        "scenarios.p.horizon: 2025-01-01 to 2025-02-01 is not inside the data",
    ),
    "horizon too long": (
        {"scenarios": [{"name": "p", "horizon": {"last": 500}}]},
        "500 periods, but the window has 99",
    ),
    "channel without bounds": (
        {"scenarios": [{"name": "p", "bounds": {"tv": [0, 2]}}]},
        "scenarios.p.bounds: the channel 'web' has none; add it, or default",
    ),
    "unknown optimizer": ({"search__optimizer": "TwoPointDE"}, "did you mean TwoPointsDE"),
    "broken optimizer": (
        {"search__optimizer": "pysot", "search__batch_size": 1},
        "search.optimizer: pysot fails here",
    ),
    "serial optimizer": ({"search__optimizer": "Cobyla"}, "set search.batch_size: 1, or choose another"),
    "weights": (
        {"search__optimizer": "CMA", "search__objective_weights": [1, 2]},
        "search.objective_weights: CMA cannot weigh objectives",
    ),
    "weekday of weeks": (
        {"baseline": {"components": ["weekday"]}},
        "weekday needs daily rows, these are weekly",
    ),
    "unknown country": (
        {"baseline": {"components": ["holiday"], "country": "XX"}},
        "baseline.country: 'XX' is not a country with known holidays",
    ),
    "no holiday table": (
        {"baseline": {"components": ["holiday"], "holidays": "days.csv"}},
        "days.csv: there is no such file; correct baseline.holidays",
    ),
    "names run together": (
        {"channels__0__name": "coef_x", "context": [{"name": "x_alpha", "column": "price"}]},
        "two columns of the candidates would be called 'coef_x_alpha'",
    ),
}


def refused(capsys, tmp_path, command, *words) -> str:
    before = files_below(tmp_path)
    message = mmm(capsys, command, *words).refusal
    assert files_below(tmp_path) == before
    return message


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize("case", BAD_TABLES)
def test_tables_that_cannot_be_used(case, command, tmp_path, capsys):
    changed, expected = BAD_TABLES[case]
    path = write_small(tmp_path, changed(small_table()))
    words = ["--runs", tmp_path / "runs"] if command == "run" else []
    message = refused(capsys, tmp_path, command, path, *words)
    assert expected in message
    assert case == "too few rows" or message.startswith(str(tmp_path / "table.csv"))


@pytest.mark.parametrize("case", BAD_FILES)
def test_files_that_are_no_table(case, tmp_path, capsys):
    content, expected = BAD_FILES[case]
    message = refused(capsys, tmp_path, "run", write_small(tmp_path, content), "--runs", tmp_path / "runs")
    assert message.startswith(f"{tmp_path / 'table.csv'}: ")
    assert expected in message


@pytest.mark.parametrize("case", BAD_SPECS)
def test_specs_that_cannot_be_used(case, tmp_path, capsys):
    changes, expected = BAD_SPECS[case]
    message = refused(capsys, tmp_path, "run", write_small(tmp_path, **changes), "--runs", tmp_path / "runs")
    assert expected in message


@pytest.mark.parametrize("case", [case for case in BAD_SPECS if case != "names run together"])
def test_validate_finds_what_a_run_would_find(case, tmp_path, capsys):
    changes, expected = BAD_SPECS[case]
    assert expected in refused(capsys, tmp_path, "validate", write_small(tmp_path, **changes))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["--data", "absent.csv"],
            "absent.csv: there is no such file; set data.path in the spec or give --data",
        ),
        (["--set", "search.trials"], "--set search.trials: expected key=value"),
        (["--set", "search.trials=none"], "search.trials: expected a whole number, got 'none'"),
        (["--backend", "dask"], "--backend dask: expected ray or serial"),
        (["--backend", "ray", "--address", "head"], "address 'head' is not one of local, auto, host:port"),
        (["--runs", "SPEC"], "is not a directory; choose another --runs"),
        (["--runs", "SPEC/below"], "is not a directory; choose another --runs"),
        (["--runs", "x" * 300], "(File name too long); make room there, or choose another --runs"),
    ],
)
def test_flags_that_cannot_be_used(words, expected, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_small(tmp_path)
    words = [word.replace("SPEC", str(path)) for word in words]
    assert expected in refused(capsys, tmp_path, "run", path, *words)


@pytest.mark.parametrize("command", ["run", "validate", "evaluate", "allocate", "report"])
def test_nothing_where_a_spec_or_run_should_be(command, tmp_path, capsys):
    words = ["--candidates", "c.csv", "--out", "o.csv"] if command == "evaluate" else []
    CANDIDATES.to_csv(tmp_path / "c.csv")
    words = [str(tmp_path / word) if word.endswith(".csv") else word for word in words]
    message = refused(capsys, tmp_path, command, tmp_path / "nothing", *words)
    assert f"{tmp_path / 'nothing'}: there is no such" in message


@pytest.mark.parametrize("command", ["evaluate", "allocate", "report", "track"])
def test_a_folder_that_is_no_run(command, tmp_path, capsys):
    CANDIDATES.to_csv(tmp_path / "c.csv")
    words = ["--candidates", tmp_path / "c.csv", "--out", tmp_path / "o.csv"] if command == "evaluate" else []
    message = refused(capsys, tmp_path, command, tmp_path, *words)
    assert (
        message == f"{tmp_path}: not a run folder, manifest.json is missing; give a folder that mmm run made"
    )


BAD_CANDIDATES = {
    "missing column": (
        CANDIDATES.drop(columns="tv_theta"),
        "the column 'tv_theta' is missing; every searched",
    ),
    "missing penalty": (
        CANDIDATES.drop(columns="lambda_hp"),
        "the column 'lambda_hp' (or lambda) is missing",
    ),
    "NaN": (
        CANDIDATES.assign(tv_theta=[0.1, np.nan, 0.1]),
        "column 'tv_theta': row 2 is missing; fill it or delete",
    ),
    "text": (
        CANDIDATES.assign(tv_theta=[0.1, "x", 0.1]),
        "column 'tv_theta': row 2 is 'x', expected a number",
    ),
    "out of range": (
        CANDIDATES.assign(tv_theta=[0.1, 0.2, 1.0]),
        "row 3: tv_theta is 1, expected 0 <= theta < 1",
    ),
    "negative penalty": (
        CANDIDATES.drop(columns="lambda_hp").assign(**{"lambda": [1, -1, 1]}),
        "column 'lambda': row 2 is -1, expected a penalty of at least 0",
    ),
    "labels": (
        CANDIDATES.assign(trial=1.5, iteration=1),
        "column 'trial': row 1 is 1.5, expected a whole number",
    ),
    "no rows": (CANDIDATES.iloc[:0], "the table has a header but no rows"),
}


@pytest.mark.parametrize("case", BAD_CANDIDATES)
def test_candidates_that_cannot_be_evaluated(case, tmp_path, capsys):
    table, expected = BAD_CANDIDATES[case]
    table.to_csv(tmp_path / "c.csv", index=False)
    words = ["--candidates", tmp_path / "c.csv", "--out", tmp_path / "o.parquet"]
    message = refused(capsys, tmp_path, "evaluate", write_small(tmp_path), *words)
    assert message.startswith(f"{tmp_path / 'c.csv'}: ")
    assert expected in message


@pytest.mark.parametrize(
    ("out", "expected"), [("o.xlsx", "written are .parquet and .csv"), ("c.csv/o.csv", "cannot be written")]
)
def test_places_where_no_table_can_be_written(out, expected, tmp_path, capsys):
    CANDIDATES.to_csv(tmp_path / "c.csv", index=False)
    words = ["--candidates", tmp_path / "c.csv", "--out", tmp_path / out]
    assert expected in refused(capsys, tmp_path, "evaluate", write_small(tmp_path), *words)


@pytest.mark.parametrize("case", ["text in a numeric column", "unsorted"])
def test_a_process_says_it_on_one_line_of_the_error_stream(case, tmp_path):
    if case == "unsorted":
        done = mmm_process("validate", write_small(tmp_path, small_table().iloc[::-1]))
        assert (done.status, done.err) == (0, "")
        assert f"{N_ROWS} weekly rows" in done.out
        assert "The rows were not in order of date and were sorted." in done.out
        return
    changed, expected = BAD_TABLES[case]
    path = write_small(tmp_path, changed(small_table()), execution__backend="ray")
    before = files_below(tmp_path)
    assert expected in mmm_process("run", path, "--runs", tmp_path / "runs").refusal
    assert files_below(tmp_path) == before
