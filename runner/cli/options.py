"""Arguments and options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_RUNS = Path("runs")

SpecPath = Annotated[Path, typer.Argument(metavar="SPEC", help="Spec file (YAML).", show_default=False)]
RunPath = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="Run folder, or a spec file for its newest finished run.", show_default=False
    ),
]
DataPath = Annotated[
    str | None, typer.Option("--data", help="Table to use instead of data.path: CSV or Parquet.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any key of the spec, such as search.iterations=300. Repeatable."),
]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="Of a spec of several models, this one. Repeatable.")
]
Runs = Annotated[Path, typer.Option("--runs", help="Folder that run folders are made in.")]
Json = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress display.")]
TrackingUri = Annotated[
    str | None, typer.Option("--tracking-uri", help="MLflow server; default an SQLite file beside the runs.")
]

# Where a run is executed; none of these changes a result.
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        "--max-workers",
        min=1,
        help="Parallel workers at most; default all of the machine or cluster.",
    ),
]
Backend = Annotated[str | None, typer.Option(help="ray, or serial for everything in this process.")]
RayAddress = Annotated[str | None, typer.Option(help="Ray cluster: local, auto, ray://host:10001.")]

# What a plan is asked for.
PlanBounds = Annotated[
    list[str] | None,
    typer.Option(
        help="low,high as multiples of today's spend, for all channels, or channel=low,high. Repeatable."
    ),
]
AtMost = Annotated[bool, typer.Option("--at-most", help="Spend up to the budget, not all of it.")]
PlanGoal = Annotated[str, typer.Option(help="max_response, target_efficiency or target_outcome.")]
PlanMarginal = Annotated[
    bool, typer.Option("--marginal", help="The last unit of money must earn the target, not the mean.")
]
PlanModels = Annotated[list[str] | None, typer.Option("--candidate", help="These models only. Repeatable.")]

# Jobs of a cluster.
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id that mmm submit printed.", show_default=False)]
Address = Annotated[
    str,
    typer.Option(
        envvar="MMM_JOBS_ADDRESS", help="Job server of the cluster: http://head:8265.", show_default=False
    ),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Also a cluster elsewhere that asks nobody for a token.")
]
