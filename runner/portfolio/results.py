"""What finished models say, as tables: a row a model, a row a channel of a model, and what channels have in common.

    summary.parquet   model, key columns, status, message, candidate, losses ...       a row a model, failed ones too
    channels.parquet  model, key columns, channel, roas, error, lower, upper, pooled_* a row a paid channel of a model
    pooling.parquet   channel, metric, models, mean, tau, i_squared, q ...             a row a channel that was pooled

The ROAS of a model (CPA where the outcome is conversions) is the mean over its selected models, its error joins what
the data leave open with what the choice of the model does, as in ``mmm compare``. The raw estimate always stands beside
the pooled one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmm_core.pooling import FEWEST, Method, Pooled, pool
from runner.comparison.facts import RunFacts, read_facts
from runner.portfolio.folder import PortfolioFolder
from runner.portfolio.remote import Failure
from runner.portfolio.spec import Member

LOSSES = ("nrmse", "nrmse_train", "nrmse_val", "nrmse_test", "decomp_rssd", "mape", "rsq_train", "rsq_test")
DONE, FAILED, MISSING = "done", "failed", "missing"
_SEVERITIES = ("info", "warning", "problem")
POOLED_COLUMNS = ("pooled", "pooled_lower", "pooled_upper", "shrinkage")


@dataclass(frozen=True, eq=False)
class PortfolioResults:
    """Rows of the three tables, and the run folders of finished models by name."""

    summary: list[dict[str, Any]]
    channels: list[dict[str, Any]]
    pooling: list[dict[str, Any]]
    folders: Mapping[str, str]
    failures: Mapping[str, Failure]
    findings: Mapping[str, Sequence[Mapping[str, Any]]]


def collect(folder: PortfolioFolder, failures: Mapping[str, Failure]) -> PortfolioResults:
    """Read what is there, a model at a time.

    Args:
        folder: the portfolio. failures: of which models there is none, and why.
    """
    summary: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []
    folders, findings = {}, {}
    level = folder.spec.common.bootstrap.level
    for member in folder.spec.members:
        run = folder.finished(member)
        failure = failures.get(member.name)
        if run is None or failure is not None:
            summary.append(_failed_row(member, failure))
            continue
        facts = read_facts(run)
        summary.append(_row(member, facts))
        channels += _channel_rows(member, facts)
        folders[member.name] = run.path.name
        findings[member.name] = run.json("findings")
    method = folder.spec.settings.pooling
    pooling = [] if method == "none" else list(_pool_channels(channels, method, level))
    return PortfolioResults(summary, channels, pooling, folders, failures, findings)


def _keys(member: Member) -> dict[str, Any]:
    return {"model": member.name, **{f"key_{key}": value for key, value in member.keys.items()}}


def _failed_row(member: Member, failure: Failure | None) -> dict[str, Any]:
    nothing = dict.fromkeys(("candidate", "n_selected", *LOSSES, "spend", "paid_share", *_SEVERITIES))
    status = MISSING if failure is None else FAILED
    return {**_keys(member), "status": status, "message": failure.message if failure else "", **nothing}


def _row(member: Member, facts: RunFacts) -> dict[str, Any]:
    best = facts.summary["selected"][0]
    record = facts.models[0]
    paid = [channel for channel in record["channels"] if channel["name"] in facts.channels]
    total = sum(component["contribution"] for component in record["components"])
    brought = sum(channel["contribution"] for channel in paid)
    return {
        **_keys(member),
        "status": DONE,
        "message": "",
        "candidate": best["candidate"],
        "n_selected": len(facts.models),
        **{name: best[name] for name in LOSSES},
        "spend": sum(channel["spend"] for channel in paid),
        "paid_share": brought / total if total else None,
        **{severity: facts.summary["findings"][severity] for severity in _SEVERITIES},
    }


def _channel_rows(member: Member, facts: RunFacts) -> Iterator[dict[str, Any]]:
    for channel in facts.models[0]["channels"]:
        name = channel["name"]
        if name not in facts.channels:  # an organic medium costs nothing
            continue
        found = facts.efficiency(name)
        yield {
            **_keys(member),
            "channel": name,
            "metric": facts.metric,
            "estimate": found.value if found else None,
            "error": found.error if found else None,
            "lower": found.lower if found else None,
            "upper": found.upper if found else None,
            "spend": channel["spend"],
            "contribution": channel["contribution"],
            **dict.fromkeys(POOLED_COLUMNS),
        }


# ------------------------------------------------------------------------------------------------------------- pooling


def _pool_channels(rows: Sequence[dict[str, Any]], method: Method, level: float) -> Iterator[dict[str, Any]]:
    """A row for each channel and metric that enough models have; fills the pooled columns of ``rows``."""
    for channel, metric in dict.fromkeys((row["channel"], row["metric"]) for row in rows):
        own = [row for row in rows if (row["channel"], row["metric"]) == (channel, metric)]
        usable = [row for row in own if _is_usable(row)]
        if len(usable) < FEWEST:
            continue
        logs, errors = (np.array(values) for values in zip(*map(_log_estimate, usable), strict=True))
        pooled = pool(logs, errors, method)
        _fill(usable, pooled, level)
        yield _pooling_row(channel, metric, pooled, n_used=len(usable), n_left_out=len(own) - len(usable))


def _is_usable(row: Mapping[str, Any]) -> bool:
    """Whether it has a logarithm with a known error: a channel without any effect in a model has none."""
    value, error = row["estimate"], row["error"]
    return (
        value is not None and error is not None and value > 0 and error > 0 and math.isfinite(value + error)
    )


def _log_estimate(row: Mapping[str, Any]) -> tuple[float, float]:
    """log of the estimate, and its standard error by the delta method: error / estimate."""
    return math.log(row["estimate"]), row["error"] / row["estimate"]


def _fill(rows: Sequence[dict[str, Any]], pooled: Pooled, level: float) -> None:
    lower, upper = pooled.interval(level)
    for i, row in enumerate(rows):
        row["pooled"] = float(np.exp(pooled.estimates[i]))
        row["pooled_lower"], row["pooled_upper"] = float(np.exp(lower[i])), float(np.exp(upper[i]))
        row["shrinkage"] = float(pooled.weights[i])


def _pooling_row(
    channel: str, metric: str, pooled: Pooled, *, n_used: int, n_left_out: int
) -> dict[str, Any]:
    return {
        "channel": channel,
        "metric": metric,
        "models": n_used,
        "left_out": n_left_out,
        "mean": math.exp(pooled.mean),
        "log_mean": pooled.mean,
        "log_mean_error": pooled.mean_error,
        "tau": pooled.tau,
        "i_squared": pooled.i_squared,
        "q": pooled.q,
    }
