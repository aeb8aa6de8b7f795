"""The command ``mmm refresh``; what it does stands in ``runner.commands.refresh``."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli.options import (
    DEFAULT_RUNS,
    Backend,
    Json,
    Overrides,
    Quiet,
    RayAddress,
    RunPath,
    Runs,
    TrackingUri,
    Workers,
)
from runner.cli.printing import print_json


def refresh(
    source: RunPath,
    data: Annotated[
        str, typer.Option("--data", help="New table: all rows of the run, and new ones.", show_default=False)
    ],
    candidate: Annotated[str | None, typer.Option(help="Model to refresh; default the best one.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="New periods to take into the window; default all.")
    ] = None,
    grow: Annotated[bool, typer.Option("--grow", help="Leave the window's start where it is.")] = False,
    robyn: Annotated[
        bool, typer.Option("--robyn", help="Robyn's loss, weights, ranges and choice of the model.")
    ] = False,
    bounds_freedom: Annotated[
        float | None, typer.Option(help="How far hyperparameters may move, in parts of their first ranges.")
    ] = None,
    set_: Overrides = None,
    runs: Runs = DEFAULT_RUNS,
    workers: Workers = None,
    backend: Backend = None,
    address: RayAddress = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Bring a model up to new rows of its table, and tell what moved and why.

    Example: `mmm refresh experiments/quickstart.yaml --data new.csv`
    """
    from runner.commands import refresh as command
    from runner.terminal import print_refresh

    folder = command.run(
        source,
        data=data,
        candidate=candidate,
        steps=steps,
        grow=grow,
        robyn=robyn,
        freedom=bounds_freedom,
        overrides=set_ or [],
        runs=runs,
        workers=workers,
        backend=backend,
        address=address,
        tracking_uri=tracking_uri,
        quiet=quiet or as_json,
    )
    if as_json:
        moved = folder.table("refresh").to_pylist()
        print_json({**folder.json("summary"), "moved": moved, "run_folder": str(folder.path)})
    else:
        print_refresh(folder)
