"""The command ``mmm track``; what it does stands in ``runner.commands.track``."""

from __future__ import annotations

import typer

from runner.cli.options import DEFAULT_RUNS, Json, Quiet, RunPath, Runs, TrackingUri
from runner.cli.printing import print_json


def track(
    source: RunPath,
    runs: Runs = DEFAULT_RUNS,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Bring MLflow to the state of a run folder; doing it twice changes nothing.

    Example: `mmm track experiments/quickstart.yaml`
    """
    from runner.commands import track as command

    result = command.run(source, runs=runs, tracking_uri=tracking_uri, quiet=quiet or as_json)
    if as_json:
        print_json(result.as_record())
    else:
        typer.echo(result.sentence)
