"""A portfolio as one HTML page that needs nothing beside it: tables to sort, markets beside one another by channel.

Whatever stands in a run is escaped, and the page's policy lets no script run but the one that sorts the tables, which
is named by its digest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from runner.portfolio.folder import PortfolioFolder
from runner.portfolio.picture import market_picture
from runner.portfolio.results import DONE, PortfolioResults
from runner.reports.frame import whole_page
from runner.reports.html import Markup, join, tag, text
from runner.reports.theme import amount, number, percent

STYLE = """
.scroll > svg { min-width: 44rem; }
td.text { min-width: 6rem; max-width: 18rem; overflow-wrap: anywhere; }
th button { all: unset; cursor: pointer; } th button:focus-visible { outline: 2px solid currentColor; }
th[aria-sort=descending] button::after { content: " \\2193"; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
"""
SEVERITIES = ("problem", "warning", "info")


def portfolio_html(folder: PortfolioFolder, results: PortfolioResults) -> str:
    """The whole page.

    Args:
        folder: the portfolio; links to its models' run folders are relative. results: of ``collect``.
    """
    script = "\n" + files("runner.portfolio").joinpath("sorting.js").read_text(encoding="utf-8")
    sections = [
        tag("h1", folder.spec.name),
        tag("p", _lead(results), class_="lead"),
        *_failures(results),
        tag("h2", "Models"),
        _models(folder, results),
        *_channels(results),
        *_pooling(results),
        *_findings(results),
        tag("p", f"{folder.run_id}, mmm-runner {folder.manifest()['versions']['mmm-runner']}", class_="note"),
    ]
    return whole_page(folder.spec.name, tag("main", *sections), style=STYLE, script=script)


def _lead(results: PortfolioResults) -> str:
    total, done = len(results.summary), len(results.folders)
    left = total - done
    return f"{done} of {total} models" + (f"; {left} could not be had, see below" if left else "")


# -------------------------------------------------------------------------------------------------------------- tables


def _sortable(heads: Sequence[str], rows: Sequence[Sequence[object]], *, left: int = 1) -> Markup:
    """A table whose heads sort it; a cell is text, or (what is shown, what it is sorted by: empty ones come last)."""

    def kind(column: int) -> str:
        return "text" if column < left else "number"

    head = [
        tag("th", tag("button", name, type="button"), scope="col", class_=kind(i))
        for i, name in enumerate(heads)
    ]
    body = []
    for row in rows:
        cells = [value if isinstance(value, tuple) else (value, value) for value in row]
        body.append(tag("tr", *(_cell(i, kind(i), shown, by) for i, (shown, by) in enumerate(cells))))
    table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body), class_="sortable")
    return tag("div", table, class_="scroll", tabindex="0")


def _cell(column: int, kind: str, shown: object, by: object) -> Markup:
    value = "" if by is None or (isinstance(by, float) and not math.isfinite(by)) else by
    if column == 0:
        return tag("th", shown, scope="row", class_=kind, data_value=value)
    return tag("td", shown, class_=kind, data_value=value)


def _models(folder: PortfolioFolder, results: PortfolioResults) -> Markup:
    keys = [key for key in results.summary[0] if key.startswith("key_")]
    heads = ["model", *(key.removeprefix("key_") for key in keys), "status", "best model", "of", "NRMSE"]
    heads += ["NRMSE test", "R² test", "DecompRSSD", "spend", "paid share", "warnings"]
    rows = []
    for row in results.summary:
        noticed = None if row["status"] != DONE else row["warning"] + row["problem"]
        rows.append(
            [
                (_link(folder, results, row), row["model"]),
                *(row[key] for key in keys),
                row["status"],
                (row["candidate"] or "–", row["candidate"]),
                _count(row["n_selected"]),
                *(_number(row[name], 4) for name in ("nrmse", "nrmse_test", "rsq_test", "decomp_rssd")),
                (amount(row["spend"]), row["spend"]),
                (percent(row["paid_share"]), row["paid_share"]),
                _count(noticed),
            ]
        )
    return _sortable(heads, rows, left=3 + len(keys))


def _link(folder: PortfolioFolder, results: PortfolioResults, row: Mapping[str, Any]) -> Markup:
    """To the model's own page where it has one, else to its run folder."""
    name = results.folders.get(row["model"])
    if name is None:
        return text(row["model"])
    page = Path("report") / "index.html" if (folder.models / name / "report" / "index.html").is_file() else ""
    return tag("a", row["model"], href=quote(f"../models/{name}/{page}"))


def _number(value: float | None, digits: int = 3) -> tuple[str, float | None]:
    return number(value, digits), value


def _count(value: int | None) -> tuple[str, int | None]:
    return "–" if value is None else str(value), value


def _failures(results: PortfolioResults) -> list[Markup]:
    missing = [row["model"] for row in results.summary if row["status"] == "missing"]
    told = [(name, failure.message) for name, failure in results.failures.items()]
    told += [(name, "was not run yet") for name in missing]
    if not told:
        return []
    # Not strong, which the style of findings writes with a capital.
    items = [tag("li", tag("b", name), " ", message, class_="problem") for name, message in told]
    return [tag("h2", "Models that failed"), tag("ul", *items, class_="findings")]


# ------------------------------------------------------------------------------------------------------------ channels


def _channels(results: PortfolioResults) -> list[Markup]:
    """Every channel: its markets beside one another, as picture and as table."""
    parts = []
    for channel, metric in dict.fromkeys((row["channel"], row["metric"]) for row in results.channels):
        rows = [row for row in results.channels if (row["channel"], row["metric"]) == (channel, metric)]
        shared = next((row for row in results.pooling if row["channel"] == channel), None)
        parts += [tag("h2", f"{metric.upper()} of {channel}")]
        if shared is not None:
            parts.append(tag("p", _shared(shared), class_="caption"))
        parts += [
            tag("div", market_picture(rows), class_="scroll", tabindex="0"),
            _channel_table(metric, rows),
        ]
    return parts


def _shared(row: Mapping[str, Any]) -> str:
    left_out = f"; {row['left_out']} without an estimate stand apart" if row["left_out"] else ""
    return (
        f"A typical {row['metric'].upper()} of {number(row['mean'])} over {row['models']} models, which differ "
        f"from it by a factor of about {number(math.exp(row['tau']))}{left_out}."
    )


def _channel_table(metric: str, rows: Sequence[Mapping[str, Any]]) -> Markup:
    heads = [
        "model",
        metric.upper(),
        "lower",
        "upper",
        "pooled",
        "lower",
        "upper",
        "shrinkage",
        "spend",
        "brings",
    ]
    numbers = ("estimate", "lower", "upper", "pooled", "pooled_lower", "pooled_upper")
    cells = [
        [
            row["model"],
            *(_number(row[name]) for name in numbers),
            (percent(row["shrinkage"], 0), row["shrinkage"]),
            (amount(row["spend"]), row["spend"]),
            (amount(row["contribution"]), row["contribution"]),
        ]
        for row in rows
    ]
    return tag("details", tag("summary", "Numbers"), _sortable(heads, cells))


def _pooling(results: PortfolioResults) -> list[Markup]:
    if not results.pooling:
        return []
    told = (
        "The pooled number joins what a market's own data say with what the other markets say of the same channel: it "
        "goes from the raw one towards the typical one by its shrinkage, far where its own data say little. It is a "
        "suggestion beside the raw number and is used by no plan; it presumes that the channel is the same thing in "
        "every market. Its interval is about the market's own true number."
    )
    return [tag("h2", "How numbers are pooled"), tag("p", told)]


# ------------------------------------------------------------------------------------------------------------ findings


def _findings(results: PortfolioResults) -> list[Markup]:
    """What was noticed, the same case of several models together."""
    cases: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for model, found in results.findings.items():
        for finding in found:
            cases.setdefault((finding["status"], finding["case"]), []).append((model, finding["details"]))
    ordered = sorted(cases.items(), key=lambda entry: (SEVERITIES.index(entry[0][0]), -len(entry[1])))
    items = [
        tag(
            "li",
            tag("strong", status),
            f" {case}, {len(told)} times: ",
            tag("details", tag("summary", ", ".join(dict.fromkeys(model for model, _ in told))), _told(told)),
            class_=status,
        )
        for (status, case), told in ordered
    ]
    return [tag("h2", "Findings"), tag("ul", *items, class_="findings")] if items else []


def _told(told: Sequence[tuple[str, str]]) -> Markup:
    return join([tag("p", tag("b", model), " ", details) for model, details in told])
