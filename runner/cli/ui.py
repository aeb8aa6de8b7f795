"""The command ``mmm ui``; what it does stands in ``runner.commands.ui``."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli.options import DEFAULT_RUNS, Runs, TrackingUri


def ui(
    runs: Runs = DEFAULT_RUNS,
    tracking_uri: TrackingUri = None,
    host: Annotated[str, typer.Option(help="Interface to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
) -> None:
    """Open the MLflow UI on the store of these runs.

    Example: `mmm ui --port 5001`
    """
    from runner.commands import ui as command

    command.run(runs, tracking_uri=tracking_uri, host=host, port=port)
