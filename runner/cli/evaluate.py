"""The command ``mmm evaluate``; what it does stands in ``runner.commands.evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli.options import DataPath, Json, Overrides
from runner.cli.printing import print_json


def evaluate(
    source: Annotated[
        Path, typer.Argument(metavar="SPEC", help="Spec file or run folder.", show_default=False)
    ],
    candidates: Annotated[
        Path, typer.Option(help="CSV or Parquet, a column per hyperparameter.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(help="Parquet or CSV to write, columns as in a run.", show_default=False)
    ],
    data: DataPath = None,
    set_: Overrides = None,
    as_json: Json = False,
) -> None:
    """Evaluate given hyperparameters, without a search.

    Example: `mmm evaluate experiments/quickstart.yaml --candidates mine.csv --out mine.parquet`
    """
    from runner.commands import evaluate as command

    table = command.run(source, candidates=candidates, out=out, data=data, overrides=set_ or [])
    if as_json:
        print_json({"candidates": table.num_rows, "out": str(out), "rows": table.to_pylist()})
    else:
        typer.echo(f"{table.num_rows} candidates evaluated: {out}")
