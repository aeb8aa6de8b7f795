"""A portfolio for the eyes, on the output stream: what each market's channels bring, and what went wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runner.portfolio.folder import PortfolioFolder
from runner.run_folder import RunFolder
from runner.terminal import console, decimals, print_table, say, say_tracking

if TYPE_CHECKING:
    from runner.commands.validate import ValidatedModel

SHOWN = 40
SHOWN_FAILURES = 10
# Seconds of waiting that a user wonders about.
WORTH_TELLING = 1.0


def print_portfolio(folder: PortfolioFolder) -> None:
    """The models' losses and ROAS, the failures loudly, and where everything is."""
    out = console()
    summary = folder.json("summary")
    rows = summary["results"]
    metrics = sorted({channel["metric"].upper() for row in rows for channel in row["channels"]})
    counts = summary["models"]
    say(out, f"{counts.get('done', 0)} of {counts['total']} models ({' and '.join(metrics)} by channel)")
    channels = list(dict.fromkeys(channel["channel"] for row in rows for channel in row["channels"]))
    cells = [_cells(row, channels) for row in rows[:SHOWN]]
    print_table(out, ["model", "best", "nrmse", "rssd", "!", *channels], cells)
    if len(rows) > SHOWN:
        say(out, f"· and {len(rows) - SHOWN} more models on the page")
    if summary["pooling"]:
        say(
            out,
            "Across models: what is typical, by what factor models differ, how much of that is no noise",
        )
        pooled = [
            [
                row["channel"],
                decimals(row["mean"]),
                f"÷× {math.exp(row['tau']):.2f}",
                f"{row['i_squared']:.0%}",
            ]
            for row in summary["pooling"]
        ]
        print_table(out, ["channel", "typical", "differ by", "no noise"], pooled)
    print_failures(folder)
    if summary["seconds"] is not None:
        say(out, f"{summary['seconds']:.1f} s in all{_waited_for_mlflow(folder)}")
    say(out, f"report: {folder.path / 'report' / 'index.html'}")
    _say_tracking(folder)
    say(out, f"run folder: {folder.path}")


def _waited_for_mlflow(folder: PortfolioFolder) -> str:
    waited = folder.json("timings").get("stages", {}).get("tracking", 0.0)
    return f", {waited:.1f} of them for MLflow" if waited >= WORTH_TELLING else ""


def _say_tracking(folder: PortfolioFolder) -> None:
    """Where MLflow is; that it failed is told here too, since a portfolio has no findings of its own."""
    from runner.tracking.beside import State, read_standing

    place = RunFolder(folder.path)
    standing = read_standing(place)
    if standing is not None and standing.state is State.FAILED:
        say(console(), f"!! {standing.sentence}; run mmm track {folder.path} later")
    else:
        say_tracking(console(), place)


def print_failures(folder: PortfolioFolder) -> None:
    """A loud line, and each failure with its sentence."""
    failures = folder.json("summary")["failures"]
    if not failures:
        return
    out = console()
    say(out, f"!! {len(failures)} of {folder.json('summary')['models']['total']} models FAILED:")
    for failure in failures[:SHOWN_FAILURES]:
        say(out, f"!! {failure['model']}: {failure['message']}")
    if len(failures) > SHOWN_FAILURES:
        say(out, f"!! and {len(failures) - SHOWN_FAILURES} more, see summary.json")


def print_validated(path: str, models: Sequence[ValidatedModel]) -> None:
    """A line a model: how long its data are, or why it cannot be run."""
    out = console()
    valid = sum(model.result is not None for model in models)
    say(out, f"{path}: {valid} of {len(models)} models valid")
    for model in models:
        if model.result is None:
            say(out, f"!! {model.name}: {model.message}")
            continue
        panel = model.result.panel
        noticed = len(model.result.findings)
        told = f", {noticed} finding{'s' * (noticed != 1)}" if noticed else ""
        window = f"{panel.dates[panel.start]} to {panel.dates[panel.stop - 1]}"
        say(out, f"   {model.name}: {len(panel.dates)} {panel.frequency} rows, window {window}{told}")


def _cells(row: dict[str, Any], channels: Sequence[str]) -> list[str]:
    found = {channel["channel"]: channel["estimate"] for channel in row["channels"]}
    noticed = row["warning"] + row["problem"]
    return [
        row["model"],
        row["candidate"],
        decimals(row["nrmse"], 4),
        decimals(row["decomp_rssd"], 4),
        str(noticed) if noticed else "",
        *(decimals(found.get(channel)) for channel in channels),
    ]
