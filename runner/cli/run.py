"""The command ``mmm run``; what it does stands in ``runner.commands.run``."""

from __future__ import annotations

from runner.cli.options import (
    DEFAULT_RUNS,
    Backend,
    DataPath,
    Json,
    Models,
    Overrides,
    Quiet,
    RayAddress,
    Runs,
    SpecPath,
    TrackingUri,
    Workers,
)
from runner.cli.printing import print_result


def run(
    spec: SpecPath,
    data: DataPath = None,
    set_: Overrides = None,
    runs: Runs = DEFAULT_RUNS,
    workers: Workers = None,
    backend: Backend = None,
    address: RayAddress = None,
    tracking_uri: TrackingUri = None,
    model: Models = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run an experiment: search, selection, intervals, plans, report, MLflow.

    Example: `mmm run experiments/quickstart.yaml`
    """
    from runner.commands import run as command

    folder = command.run(
        spec,
        data=data,
        overrides=set_ or [],
        runs=runs,
        workers=workers,
        backend=backend,
        address=address,
        tracking_uri=tracking_uri,
        models=model or [],
        quiet=quiet or as_json,
    )
    print_result(folder, as_json=as_json)
