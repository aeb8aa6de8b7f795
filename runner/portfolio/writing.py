"""The tables, the summary and the page of a portfolio on disk; all from its models' run folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from runner.portfolio.folder import PortfolioFolder
from runner.portfolio.page import portfolio_html
from runner.portfolio.remote import Failure
from runner.portfolio.results import DONE, PortfolioResults, collect
from runner.tables import table_of, write_json, write_table, write_text

POOLING_COLUMNS = (
    "channel",
    "metric",
    "models",
    "left_out",
    "mean",
    "log_mean",
    "log_mean_error",
    "tau",
    "i_squared",
    "q",
)


def write_results(folder: PortfolioFolder, failures: Mapping[str, Failure] | None = None) -> PortfolioResults:
    """Write tables, ``summary.json`` and page again from what is there.

    Args:
        folder: the portfolio. failures: of which models there is none; default those told before.
    """
    results = collect(folder, told_failures(folder) if failures is None else failures)
    write_table(folder.path / "summary.parquet", table_of(results.summary))
    if results.channels:
        write_table(folder.path / "channels.parquet", table_of(results.channels))
    write_table(folder.path / "pooling.parquet", table_of(results.pooling, POOLING_COLUMNS))
    write_json(folder.path / "summary.json", summary_record(folder, results))
    write_text(folder.path / "report" / "index.html", portfolio_html(folder, results))
    return results


def summary_record(folder: PortfolioFolder, results: PortfolioResults) -> dict[str, Any]:
    """The content of ``summary.json``."""
    channels: dict[str, list[dict[str, Any]]] = {}
    for row in results.channels:
        channels.setdefault(row["model"], []).append({k: v for k, v in row.items() if k != "model"})
    counts = Counter(row["status"] for row in results.summary)
    return {
        "run_id": folder.run_id,
        "experiment": folder.spec.common.experiment,
        "status": "done",
        "models": {"total": len(results.summary), **counts},
        "seconds": folder.json("timings")["total"] if (folder.path / "timings.json").is_file() else None,
        "failures": [
            {"model": name, "message": failure.message, "trace": failure.trace}
            for name, failure in results.failures.items()
        ],
        "results": [
            {
                **row,
                "folder": f"models/{results.folders[row['model']]}",
                "channels": channels.get(row["model"], []),
            }
            for row in results.summary
            if row["status"] == DONE
        ],
        "pooling": results.pooling,
    }


def told_failures(folder: PortfolioFolder) -> dict[str, Failure]:
    """Failures as the last summary told them."""
    if not (folder.path / "summary.json").is_file():
        return {}
    told = folder.json("summary")["failures"]
    return {entry["model"]: Failure(entry["message"], entry["trace"]) for entry in told}
