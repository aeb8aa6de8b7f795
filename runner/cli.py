"""The command line ``mmm``: a thin skin over ``runner.commands``.

Nothing heavy is imported here: every command loads what it needs when it is called, so that ``mmm --help`` answers at
once. Exit status: 0 done, 2 the user's mistake (one sentence, no trace), 1 ours.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mmm_core.errors import UserError
from runner.cli_jobs import register as register_jobs
from runner.interrupt import interrupted_run

# What typer exits with after Ctrl-C.
INTERRUPTED = 130

app = typer.Typer(
    name="mmm",
    help="Marketing mix models: from a table of sales and spend to selected models, intervals and a budget plan.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

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
Runs = Annotated[Path, typer.Option("--runs", help="Folder that run folders are made in.")]
Json = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress display.")]
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
TrackingUri = Annotated[
    str | None, typer.Option("--tracking-uri", help="MLflow server; default an SQLite file beside the runs.")
]


def _print_json(value: Any) -> None:
    from runner.tables import to_plain

    typer.echo(json.dumps(to_plain(value), indent=2, ensure_ascii=False))


@app.command()
def validate(spec: SpecPath, data: DataPath = None, set_: Overrides = None, as_json: Json = False) -> None:
    """Check a spec and its data without running anything.

    Example: `mmm validate experiments/quickstart.yaml`
    """
    from runner.commands import validate as command
    from runner.findings import as_records
    from runner.terminal import print_validation

    result = command.run(spec, data=data, overrides=set_ or [])
    if as_json:
        _print_json({"spec": str(spec), "valid": True, "findings": as_records(result.findings)})
    else:
        print_validation(str(spec), result)


@app.command()
def run(
    spec: SpecPath,
    data: DataPath = None,
    set_: Overrides = None,
    runs: Runs = Path("runs"),
    workers: Annotated[int | None, typer.Option(min=1, help="Parallel workers; default all cores.")] = None,
    backend: Annotated[
        str | None, typer.Option(help="ray, or serial for everything in this process.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster: local, auto, ray://host:10001.")] = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run an experiment: search, selection, intervals, plans, report, MLflow.

    Example: `mmm run experiments/quickstart.yaml --set search.iterations=500`
    """
    from runner.commands import run as command
    from runner.terminal import print_run

    folder = command.run(
        spec,
        data=data,
        overrides=set_ or [],
        runs=runs,
        workers=workers,
        backend=backend,
        address=address,
        tracking_uri=tracking_uri,
        quiet=quiet or as_json,
    )
    if as_json:
        _print_json({**folder.json("summary"), "run_folder": str(folder.path)})
    else:
        print_run(folder)


@app.command()
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
    runs: Runs = Path("runs"),
    workers: Annotated[int | None, typer.Option(min=1, help="Parallel workers; default all cores.")] = None,
    backend: Annotated[
        str | None, typer.Option(help="ray, or serial for everything in this process.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster: local, auto, ray://host:10001.")] = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a run that was stopped, doing only what is missing.

    Example: `mmm resume runs/quickstart-…`
    """
    from runner.commands import resume as command
    from runner.terminal import print_run

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
    if as_json:
        _print_json({**folder.json("summary"), "run_folder": str(folder.path)})
    else:
        print_run(folder)


@app.command()
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
    runs: Runs = Path("runs"),
    workers: Annotated[int | None, typer.Option(min=1, help="Parallel workers; default all cores.")] = None,
    backend: Annotated[
        str | None, typer.Option(help="ray, or serial for everything in this process.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster: local, auto, ray://host:10001.")] = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Bring a model up to new rows of its table, and tell what moved and why.

    Example: `mmm refresh runs/quickstart-… --data new.csv`
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
        _print_json({**folder.json("summary"), "moved": moved, "run_folder": str(folder.path)})
    else:
        print_refresh(folder)


@app.command()
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
        _print_json({"candidates": table.num_rows, "out": str(out), "rows": table.to_pylist()})
    else:
        typer.echo(f"{table.num_rows} candidates evaluated: {out}")


@app.command()
def allocate(
    source: RunPath,
    goal: PlanGoal = "max_response",
    name: Annotated[str | None, typer.Option(help="Name of the plan; default made from the goal.")] = None,
    target: Annotated[
        float | None, typer.Option(help="ROAS (or CPA), or outcome of the horizon, to reach.")
    ] = None,
    marginal: PlanMarginal = False,
    budget: Annotated[float | None, typer.Option(help="Budget of the horizon; default today's.")] = None,
    budget_per_period: Annotated[float | None, typer.Option(help="Budget per period instead.")] = None,
    at_most: AtMost = False,
    bounds: PlanBounds = None,
    start: Annotated[str | None, typer.Option(help="First date of the horizon.")] = None,
    end: Annotated[str | None, typer.Option(help="Last date of the horizon.")] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Horizon: the last periods of the window.")] = None,
    flighting: Annotated[str, typer.Option(help="historical or constant.")] = "historical",
    carryover: Annotated[str, typer.Option(help="plan, or historical for Robyn's convention.")] = "plan",
    candidate: Annotated[list[str] | None, typer.Option(help="These models only. Repeatable.")] = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Plan a budget with the selected models of a run.

    Example: `mmm allocate runs/quickstart-… --budget 2000000 --bounds 0.5,2 --bounds tv=0.8,1.2`
    """
    from runner.commands import allocate as command
    from runner.terminal import print_plans

    result = command.run(
        source,
        runs=runs,
        candidates=candidate,
        scenario=command.scenario_options(
            name=name,
            goal=goal,
            target=target,
            measure="marginal" if marginal else None,
            total_budget=budget,
            budget_per_period=budget_per_period,
            constraint="at_most" if at_most else "equal",
            bounds=bounds,
            start=start,
            end=end,
            last=last,
            flighting=flighting,
            carryover=carryover,
        ),
    )
    if as_json:
        _print_json(result.as_record())
    else:
        print_plans(result)


@app.command()
def plan(
    source: RunPath,
    start: Annotated[str, typer.Option("--from", help="First date, such as 2025-01-06.", show_default=False)],
    end: Annotated[str, typer.Option("--to", help="Last date.", show_default=False)],
    budget: Annotated[float | None, typer.Option(help="Of these dates; default the reference spend.")] = None,
    at_most: AtMost = False,
    goal: PlanGoal = "max_response",
    target: Annotated[float | None, typer.Option(help="ROAS (or CPA), or outcome of these dates.")] = None,
    marginal: PlanMarginal = False,
    flighting: Annotated[str, typer.Option(help="kept (as a year before), constant or free.")] = "kept",
    bounds: PlanBounds = None,
    period_bounds: Annotated[
        list[str] | None, typer.Option(help="The same of every single period's reference spend. Repeatable.")
    ] = None,
    fixed: Annotated[list[str] | None, typer.Option(help="channel=amount. Repeatable.")] = None,
    table: Annotated[
        str | None, typer.Option("--plan", help="CSV of amounts: date, channel, spend (fixed), lower, upper.")
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="CSV of what is to come: date, context and organic columns.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the plan.")] = None,
    candidates: PlanModels = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Plan dates to come by channel and period, with the outcome to expect.

    Example: `mmm plan runs/quickstart-… --from 2025-01-06 --to 2025-06-30 --budget 4000000`
    """
    from runner.commands import plan as command
    from runner.plans.show import print_plan

    question = command.question_options(
        bounds, period_bounds, fixed, candidates, budget=budget, at_most=at_most, goal=goal, target=target,
        marginal=marginal, flighting=flighting, table=table, context=context, name=name,
    )  # fmt: skip
    result = command.run(source, start, end, runs=runs, **question)
    if as_json:
        _print_json({**result.as_record(), "path": str(result.path)})
    else:
        print_plan(result)


@app.command()
def report(source: RunPath, runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """Write the report of a run again: page, one-pagers, tables.

    Example: `mmm report runs/quickstart-…`
    """
    from runner.commands import report as command

    page = command.run(source, runs=runs)
    if as_json:
        _print_json({"report": str(page)})
    else:
        typer.echo(f"report: {page}")


@app.command()
def compare(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Two or more: run folders, or spec files for their newest finished runs.",
            show_default=False,
        ),
    ],
    runs: Runs = Path("runs"),
    html: Annotated[Path | None, typer.Option("--html", help="Write the comparison as a page.")] = None,
    as_json: Json = False,
) -> None:
    """Compare finished runs with the first: spec, data, losses, ROAS, plans, and what of it is more than noise.

    Example: `mmm compare runs/quickstart-… runs/quickstart-… --html comparison.html`
    """
    from runner.commands import compare as command
    from runner.comparison.screen import print_comparison

    result = command.run(sources, runs=runs, html=html)
    if as_json:
        _print_json(result.as_record())
    else:
        print_comparison(result)
        if html is not None:
            typer.echo(f"page: {html}")


@app.command()
def track(
    source: RunPath,
    runs: Runs = Path("runs"),
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Bring MLflow to the state of a run folder; doing it twice changes nothing.

    Example: `mmm track runs/quickstart-…`
    """
    from runner.commands import track as command

    result = command.run(source, runs=runs, tracking_uri=tracking_uri, quiet=quiet or as_json)
    if as_json:
        _print_json(result.as_record())
    else:
        typer.echo(result.sentence)


@app.command()
def ui(
    runs: Runs = Path("runs"),
    tracking_uri: TrackingUri = None,
    host: Annotated[str, typer.Option(help="Interface to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
) -> None:
    """Open the MLflow UI on the store of these runs.

    Example: `mmm ui --port 5001`
    """
    from runner.commands import ui as command

    command.run(runs, tracking_uri=tracking_uri, host=host, port=port)


@app.command()
def simulate(
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="CSV or Parquet to write; the truth stands beside it.", show_default=False
        ),
    ],
    seed: Annotated[int, typer.Option(min=0)] = 1,
    periods: Annotated[int | None, typer.Option(help="Rows; default four years.")] = None,
    frequency: Annotated[str, typer.Option(help="weekly or daily.")] = "weekly",
    channels: Annotated[int, typer.Option(help="Paid channels.")] = 5,
    country: Annotated[str, typer.Option(help="Whose holidays; empty for none.")] = "DE",
    start: Annotated[str | None, typer.Option(help="First date.")] = None,
    window_start: Annotated[
        str | None, typer.Option(help="First date of the window the truth is told for.")
    ] = None,
    window_end: Annotated[str | None, typer.Option(help="Last date of that window.")] = None,
    noise: Annotated[
        float, typer.Option(help="Standard deviation of the noise, as a share of the outcome.")
    ] = 0.05,
    correlation: Annotated[
        float, typer.Option(help="How much channels spend at the same time, 0 to 0.6.")
    ] = 0.2,
    adstock: Annotated[str, typer.Option(help="geometric, weibull_cdf or weibull_pdf.")] = "geometric",
    force: Annotated[bool, typer.Option("--force", help="Overwrite.")] = False,
    as_json: Json = False,
) -> None:
    """Make data with known truth: contribution, ROAS, response curves and the best plan.

    Example: `mmm simulate my.csv --seed 7 --periods 156`
    """
    from runner.commands import simulate as command

    paths = command.run(
        out,
        seed=seed,
        periods=periods,
        frequency=frequency,
        channels=channels,
        country=country,
        start=start,
        window_start=window_start,
        window_end=window_end,
        noise=noise,
        correlation=correlation,
        adstock=adstock,
        force=force,
    )
    if as_json:
        _print_json({"table": str(paths.table), "truth": str(paths.truth)})
    else:
        typer.echo(f"table: {paths.table}\ntruth: {paths.truth}")


@app.command("import-robyn")
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
    runs: Runs = Path("runs"),
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a run of a model of R Robyn, and say how well it was met.

    Example: `mmm import-robyn RobynModel-1_624_1.json --data weekly.csv --holidays dt_prophet_holidays.csv`
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
        _print_json(imported.as_record())
    else:
        print_import(imported)


@app.command("export-robyn")
def export_robyn(
    source: RunPath,
    candidate: Annotated[
        str | None, typer.Option(help="Any candidate of the run, such as 3_120; default the best model.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; default RobynModel-<solID>.json here.")
    ] = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Write a model as R Robyn's robyn_write() would.

    Example: `mmm export-robyn runs/quickstart-… --candidate 3_120`
    """
    from runner.commands import export_robyn as command

    exported = command.run(source, candidate=candidate, out=out, runs=runs)
    if as_json:
        _print_json(exported.as_record())
    else:
        for line in (*exported.notes, f"model: {exported.path}"):
            typer.echo(line)


@app.command()
def schema() -> None:
    """Print the JSON Schema of spec files.

    Example: `mmm schema > mmm-spec.schema.json`
    """
    from runner.spec import ExperimentSpec

    typer.echo(json.dumps(ExperimentSpec.model_json_schema(), indent=2))


register_jobs(app)


def _version(asked: bool) -> None:
    if asked:
        from runner import __version__

        typer.echo(f"mmm-runner {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names may hold what a terminal's encoding lacks
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="mmm")
    except UserError as error:
        typer.echo(f"error: {' '.join(str(error).splitlines())}", err=True)
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            folder = interrupted_run(end)
            way = f", go on with: mmm resume {folder}" if folder else ""
            typer.echo(f"stopped; what was done is kept{way}", err=True)
        raise


if __name__ == "__main__":
    main()
