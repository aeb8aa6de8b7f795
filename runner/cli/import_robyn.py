"""The command ``mmm import-robyn``; what it does stands in ``runner.commands.import_robyn``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli.options import DEFAULT_RUNS, Json, Overrides, Quiet, Runs, TrackingUri
from runner.cli.printing import print_json


def import_robyn(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="RobynModel-<solID>.json of robyn_write().", show_default=False),
    ],
    data: Annotated[
        str | None, typer.Option(help="The model's table: CSV or Parquet; default what the file holds.")
    ] = None,
    holidays: Annotated[
        str | None, typer.Option(help="Robyn's dt_prophet_holidays as CSV: ds, holiday, country, year.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Robyn's own Prophet columns (dt_mod as CSV); nothing is fitted then.")
    ] = None,
    set_: Overrides = None,
    runs: Runs = DEFAULT_RUNS,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a run of a model of R Robyn, and say how well it was met.

    Example: `mmm import-robyn RobynModel-quickstart.json`
    """
    from runner.commands import import_robyn as command
    from runner.terminal import print_import

    imported = command.run(
        model,
        data=data,
        holidays=holidays,
        baseline=baseline,
        overrides=set_ or [],
        runs=runs,
        tracking_uri=tracking_uri,
        quiet=quiet or as_json,
    )
    if as_json:
        print_json(imported.as_record())
    else:
        print_import(imported)
