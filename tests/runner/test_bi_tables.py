"""The star of tables: as its schema and docs/tables.md say, keys that meet, sums of the decomposition, no formulas."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.bi.dimensions import run_key
from runner.bi.reference import markdown
from runner.bi.schema import DIMENSIONS, FACTS, TABLES
from runner.bi.writing import conformed, csv_bytes, star, write_tables
from runner.findings import Finding, Severity, as_records
from runner.reports.data import RunData, load_run
from runner.run_folder import RunFolder
from runner.summary import ENSEMBLE
from tests.runner.command import ROOT

# Of a run with neither lift studies nor a run before it.
ABSENT = {"calibration", "refresh"}
FORMULAS = "=+-@\t\r\n＝＋－＠"


@pytest.fixture(scope="module")
def run(small_run_original: RunFolder) -> RunData:
    known = [Finding("a-case", Severity.WARNING, "=details", "do that")]
    return replace(load_run(small_run_original), findings=as_records(known))


@pytest.fixture(scope="module")
def tables(run: RunData) -> dict[str, pa.Table]:
    return dict(star(run))


def frame(tables: dict[str, pa.Table], name: str) -> pd.DataFrame:
    return tables[name].to_pandas()


def test_the_documentation_is_what_the_schema_says() -> None:
    page = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    assert markdown() == page, "renew it: python -m runner.bi.reference > docs/tables.md"


def test_every_reference_of_the_schema_names_a_table_with_that_key() -> None:
    for name, table in TABLES.items():
        assert set(table.key) <= set(table.columns), name
        for column, refers in table.references.items():
            assert {"run", column if column in TABLES[refers].columns else ""} - {""} <= set(
                TABLES[refers].key
            )


def test_a_run_has_every_table_as_the_schema_says(tables: dict[str, pa.Table]) -> None:
    assert set(tables) == set(TABLES) - ABSENT
    for name, table in tables.items():
        assert table.schema.equals(TABLES[name].arrow), name


@pytest.mark.parametrize("name", sorted(set(TABLES) - ABSENT))
def test_keys_are_whole_and_unique_and_meet_their_dimension(tables: dict[str, pa.Table], name: str) -> None:
    table = frame(tables, name)
    key = list(TABLES[name].key)
    assert table[key].notna().all(axis=None)
    assert not table.duplicated(key).any()
    for column, refers in TABLES[name].references.items():
        assert set(table[column]) <= set(frame(tables, refers)[column]), (column, refers)


def test_contributions_sum_to_the_fit_and_the_fit_to_the_outcome(tables: dict[str, pa.Table]) -> None:
    parts = frame(tables, "contributions").groupby(["model", "date"])["contribution"].sum()
    fit = frame(tables, "fit").set_index(["model", "date"])
    np.testing.assert_allclose(fit["fitted"], parts.loc[fit.index], rtol=1e-9)
    np.testing.assert_allclose(fit["fitted"] + fit["residual"], fit["outcome"], rtol=1e-12)
    assert set(fit["split"]) == {"train"} or set(fit["split"]) == {"train", "val", "test"}


def test_what_channels_brought_is_the_decomposition_and_the_ensemble_its_mean(
    tables: dict[str, pa.Table],
) -> None:
    results = frame(tables, "channel_results").set_index(["model", "channel"]).sort_index()
    parts = frame(tables, "contributions").groupby(["model", "component"])["contribution"].sum()
    single = results.drop(ENSEMBLE, level="model")
    np.testing.assert_allclose(single["contribution"], parts.loc[single.index], rtol=1e-9)
    mean = single.groupby("channel")["contribution"].mean()
    np.testing.assert_allclose(results.loc[ENSEMBLE, "contribution"], mean[results.loc[ENSEMBLE].index])
    np.testing.assert_allclose(results["efficiency"], results["contribution"] / results["spend"])
    np.testing.assert_allclose(results.groupby("model")["effect_share"].sum(), 1)


def test_hyperparameters_are_told_by_medium_and_kind(tables: dict[str, pa.Table]) -> None:
    found = frame(tables, "hyperparameters").drop_duplicates("hyperparameter").set_index("hyperparameter")
    assert found.loc["tv_theta", ["component", "parameter"]].tolist() == ["tv", "theta"]
    assert found.loc["lambda_hp", "parameter"] == "lambda_hp"
    assert set(found["component"].dropna()) == {"tv", "web", "mail"}


def test_runs_that_differ_in_what_candidates_meet_have_other_keys(run: RunData) -> None:
    other = replace(run, manifest={**run.manifest, "problem_digest": "f" * 64})
    assert run_key(other) != run_key(run)


def test_spend_is_that_of_the_data(run: RunData, tables: dict[str, pa.Table]) -> None:
    spend = frame(tables, "spend").pivot(index="date", columns="channel", values="spend")
    np.testing.assert_array_equal(spend["tv"], run.panel.numeric["tv_cost"])
    exposure = frame(tables, "spend").pivot(index="date", columns="channel", values="exposure")
    np.testing.assert_array_equal(exposure["web"], run.panel.numeric["web_clicks"])
    assert exposure["tv"].isna().all()
    modelled = frame(tables, "dim_date").set_index("date")["is_modelled"]
    total = frame(tables, "dim_channel").set_index("channel")["total_spend"]
    np.testing.assert_allclose(spend[modelled].sum(), total[spend.columns])


def test_every_candidate_is_there_with_its_place_on_the_fronts(
    run: RunData, tables: dict[str, pa.Table]
) -> None:
    candidates = frame(tables, "candidates").set_index("candidate")
    assert len(candidates) == run.spec.search.trials * run.spec.search.iterations
    assert run.pareto is not None
    fronts = run.pareto.to_pandas().set_index("candidate")["front"]
    pd.testing.assert_series_equal(
        candidates["front"].dropna(), fronts[candidates["front"].dropna().index], check_dtype=False
    )
    assert set(candidates.index[candidates["is_selected"]]) == {view.candidate for view in run.models}
    assert set(frame(tables, "hyperparameters")["candidate"]) == set(fronts.index)


def test_columns_of_tables_do_not_depend_on_channels(run: RunData) -> None:
    channels = set(run.problem.columns) - {"trend", "season"}
    for name, table in TABLES.items():
        assert not [c for c in table.columns if any(c.endswith(f"_{channel}") for channel in channels)], name


def test_no_time_and_no_place_is_in_a_table(run: RunData, tables: dict[str, pa.Table]) -> None:
    words = {str(run.folder.path), run.folder.run_id, str(run.manifest["created"])}
    for table in tables.values():
        for column in table.itercolumns():
            if pa.types.is_string(column.type):
                assert not words & set(column.to_pylist())


def test_files_are_the_tables_and_writing_twice_gives_the_same_bytes(
    run: RunData, tables: dict[str, pa.Table], small_run: RunFolder
) -> None:
    mine = replace(run, folder=small_run)

    def digests() -> dict[str, str]:
        files = (small_run.path / "tables").iterdir()
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    written = write_tables(mine)
    before = digests()
    assert set(before) == {f"{name}.{kind}" for name in written for kind in ("csv", "parquet")}
    assert write_tables(mine) == written
    assert digests() == before
    for name in written:
        path = small_run.path / "tables" / name
        assert pq.read_table(path.with_suffix(".parquet")).equals(tables[name])
        read = pd.read_csv(
            path.with_suffix(".csv"), encoding="utf-8-sig", keep_default_na=False, na_values=[""]
        )
        assert list(read.columns) == list(TABLES[name].columns)
        assert len(read) == tables[name].num_rows


def test_a_run_that_stopped_early_has_what_is_known(small_run: RunFolder) -> None:
    for path in small_run.path.glob("*.parquet"):
        path.unlink()
    for name in ("scenarios", "models"):
        for path in (small_run.path / name).rglob("*.*"):
            path.unlink()
    found = dict(star(load_run(small_run)))
    assert {"dim_run", "dim_date", "dim_component", "dim_channel", "spend", "candidates"} <= set(found)
    assert not {"contributions", "dim_model", "plans", "intervals"} & set(found)


def test_a_csv_has_a_byte_order_mark_and_empty_cells_for_what_is_no_number() -> None:
    schema = DIMENSIONS["dim_model"]
    rows = [
        {"model": "1_1", "position": 1, "nrmse": math.inf, "lambda": 0.1 + 0.2, "is_ensemble": False},
        {"model": "1_2", "position": 2, "nrmse": math.nan, "lambda": -1e-300},
    ]
    table = conformed(schema, "a run", rows)
    assert table["nrmse"].to_pylist() == [None, None]
    raw = csv_bytes(table)
    assert raw.startswith(b"\xef\xbb\xbf")
    first, second = csv.DictReader(io.StringIO(raw.decode("utf-8-sig")))
    assert [first["nrmse"], first["is_ensemble"], second["is_ensemble"]] == ["", "false", ""]
    assert (float(first["lambda"]), float(second["lambda"])) == (0.1 + 0.2, -1e-300)


@given(
    st.lists(
        st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12),
        min_size=1,
    )
)
def test_no_text_begins_as_a_formula_and_none_is_lost(texts: list[str]) -> None:
    findings = FACTS["findings"]
    table = conformed(findings, "a run", [{"position": i, "details": text} for i, text in enumerate(texts)])
    raw = csv_bytes(table).decode("utf-8-sig")
    found = [row["details"] for row in csv.DictReader(io.StringIO(raw, newline=""))]
    assert [text[:1] in FORMULAS and text != "" for text in texts] == [
        text != now for text, now in zip(texts, found, strict=True)
    ]
    for text, now in zip(texts, found, strict=True):
        assert now == (f"'{text}" if text and text[0] in FORMULAS else text)
    assert table["details"].to_pylist() == texts  # Parquet keeps them


def test_numbers_keep_their_sign_in_a_csv(tmp_path: Path) -> None:
    table = conformed(
        FACTS["hyperparameters"], "a run", [{"candidate": "1_1", "hyperparameter": "-x", "value": -1.5}]
    )
    (row,) = csv.DictReader(io.StringIO(csv_bytes(table).decode("utf-8-sig")))
    assert (row["value"], row["hyperparameter"]) == ("-1.5", "'-x")
