"""The command ``mmm resume``; what it does stands in ``runner.commands.resume``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli.options import DEFAULT_RUNS, Backend, Json, Quiet, RayAddress, Runs, TrackingUri, Workers
from runner.cli.printing import print_result


def resume(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="Run folder, or a spec file for its newest unfinished run.",
            show_default=False,
        ),
    ],
    anew: Annotated[
        bool, typer.Option("--anew", help="Start a new run where spec, data or versions have changed.")
    ] = False,
    runs: Runs = DEFAULT_RUNS,
    workers: Workers = None,
    backend: Backend = None,
    address: RayAddress = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a run that was stopped, doing only what is missing.

    Example: `mmm resume experiments/quickstart.yaml`
    """
    from runner.commands import resume as command

    folder = command.run(
        source,
        anew=anew,
        runs=runs,
        workers=workers,
        backend=backend,
        address=address,
        tracking_uri=tracking_uri,
        quiet=quiet or as_json,
    )
    print_result(folder, as_json=as_json)
