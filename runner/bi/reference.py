"""The reference of the tables, made from their schema: ``python -m runner.bi.reference > docs/tables.md``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runner.bi.schema import DIMENSIONS, FACTS, Column, Table

HEAD = """# Tables for spreadsheets and BI tools

Every run leaves its facts in `tables/`, each table twice: `NAME.csv` for people and spreadsheets, `NAME.parquet` for
everything else. `mmm report RUN` writes them again. This page is made from the code
(`python -m runner.bi.reference`), and a test holds it to that.

They are one star: facts, one a row, and dimensions (`dim_…`) that say what the facts are about. Columns are the same
for every run: none is named after a channel, so tables of many runs can be put below one another. `run` is in every
table. It is made of the spec's name and the digests of spec and problem: no time and no path, the same for equal runs,
whose Parquet files are equal byte for byte.

| what | how it is written |
| --- | --- |
| numbers | in CSV the shortest text that reads back to the same double, with a decimal point |
| nothing | an empty cell, null in Parquet; also for infinity, such as the CPA of a channel without effect |
| dates | ISO; a date is the first day of its period |
| text | quoted UTF-8, with a byte order mark at the start of the file, as Excel wants |
| text that begins with = + - @, tab or line break | in CSV behind an apostrophe, so that no spreadsheet calculates it |

A table that a run has nothing for (no lift studies, no plans) is not written. All candidates of the search with their
hyperparameters, coefficients and contributions, a column each, are in `candidates/trial-*.parquet`.

## How to load them

Whatever the tool: **choose one `model`** (a filter with single selection). Each model explains the whole outcome; what
two of them say must not be added up.

**Power BI.** Get data, Folder (or Parquet), choose `tables`; for many runs choose `runs`, keep the files of one name
and combine them. In the model view draw relations from each fact to its dimensions. Power BI joins on one column: with
several runs in one report add to both sides a key such as `run & "|" & channel`; with one run, `channel`, `date`,
`component` and `model` are keys by themselves.

**Looker and Looker Studio.** Load the Parquet files into the warehouse (BigQuery: `bq load --source_format=PARQUET`),
declare the dimensions as views and join them on `run` and the key. CSV files can be uploaded as they are.

**Excel.** Open the CSV, or Data, From Text/CSV, to keep the types (where commas are decimal, choose English as the
locale there: a double click would misread numbers); a pivot table of `contributions` by `date` and
`component` is the decomposition.

**Python.** For example, the decomposition of the best model:

<!-- test: run mmm run experiments/quickstart.yaml -->
```python
from pathlib import Path

import pandas as pd

tables = max(Path("runs").glob("quickstart-*")) / "tables"
contributions = pd.read_parquet(tables / "contributions.parquet")
models = pd.read_parquet(tables / "dim_model.parquet").set_index("position")
best = contributions[contributions["model"] == models.loc[1, "model"]]
print(best.groupby("component")["contribution"].sum())
```
"""


def markdown() -> str:
    """The page."""
    return (
        "\n".join([HEAD, *_section("Dimensions", DIMENSIONS), *_section("Facts", FACTS)]).rstrip("\n") + "\n"
    )


def _section(title: str, tables: Mapping[str, Table]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| table | a row is | no two rows share |"
    yield "| --- | --- | --- |"
    for name, table in tables.items():
        yield f"| [{name}](#{name}) | {table.grain} | {', '.join(table.key)} |"
    yield ""
    for name, table in tables.items():
        yield f"### {name}\n"
        yield "| column | type | what | unit | key of |"
        yield "| --- | --- | --- | --- | --- |"
        yield from (_row(name, column) for name, column in table.columns.items())
        yield ""


def _row(name: str, column: Column) -> str:
    what = column.meaning.replace("|", "\\|")
    return f"| {name} | {column.kind} | {what} | {column.unit} | {column.refers} |"


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - what the module is for
