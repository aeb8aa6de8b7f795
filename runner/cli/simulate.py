"""The command ``mmm simulate``; what it does stands in ``runner.commands.simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.options import Json
from runner.cli.printing import print_json

if TYPE_CHECKING:
    from runner.commands.simulate import SimulationPaths


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
    markets: Annotated[
        str | None, typer.Option(help="Countries such as DE,FR,NL: one long table of all, column market.")
    ] = None,
    spread: Annotated[
        float, typer.Option(help="How much a channel's ROAS differs between markets, sd of its logarithm.")
    ] = 0.2,
    force: Annotated[bool, typer.Option("--force", help="Overwrite.")] = False,
    as_json: Json = False,
) -> None:
    """Make data with known truth: contribution, ROAS, response curves and the best plan.

    Example: `mmm simulate my.csv --seed 7 --periods 156`
    """
    from runner.commands import simulate as command

    if markets is not None:
        names = [name.strip() for name in markets.split(",")]
        made = command.run_markets(
            out, names, seed=seed, spread=spread, periods=periods, channels=channels, noise=noise,
            window_start=window_start, force=force,
        )  # fmt: skip
        _print_paths(made, as_json=as_json)
        return
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
    _print_paths(paths, as_json=as_json)


def _print_paths(paths: SimulationPaths, *, as_json: bool) -> None:
    if as_json:
        print_json({"table": str(paths.table), "truth": str(paths.truth)})
    else:
        typer.echo(f"table: {paths.table}\ntruth: {paths.truth}")
