"""The inputs of a model of Robyn's as a spec of ours.

The spec keeps the ranges that Robyn searched, not the model's own values: a refresh narrows them around the model. A
channel is named by its spend column without a suffix such as _S; everything else keeps its column's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmm_core.types import FloatArray
from runner.findings import Finding, Severity
from runner.robyn import names
from runner.robyn.data import ModelTable, is_factor, window_of
from runner.robyn.reading import RobynChannel, RobynModel
from runner.spec import RESERVED_NAMES

# Where the spec of a file says nothing of itself.
DEFAULT_OPTIMIZER = "TwoPointsDE"


@dataclass(frozen=True, eq=False)
class SpecTree:
    """A spec as plain data.

    Attributes:
        tree: what ``runner.spec.decode`` takes.
        labels: predictor by Robyn's name -> our design column.
        findings: what could not be taken over as it is.
    """

    tree: dict[str, Any]
    labels: Mapping[str, str]
    findings: tuple[Finding, ...]


def spec_tree(
    model: RobynModel,
    data: ModelTable,
    *,
    data_path: str,
    holidays: str | None,
    baseline: Mapping[str, FloatArray] | None,
) -> SpecTree:
    """Everything that a model file says of its inputs.

    Args:
        model: the file. data: its table. data_path: where the table lies, or will.
        holidays: a table of holidays. baseline: columns that stand in for Prophet's in this run.
    Raises:
        UserError: the data do not cover the window.
    """
    inputs = model.inputs
    own = {column: _own_name(column) for column in (*inputs.context, *inputs.organic)}
    taken = [*inputs.prophet, *own.values()]
    channels = names.channel_names([channel.spend for channel in inputs.channels], taken)
    start, end = window_of(model, data)
    tree: dict[str, Any] = {
        "name": file_name(f"robyn-{model.solution}"),
        "data": {"path": data_path, "date": data.date},
        "outcome": {"column": data.outcome, "kind": str(inputs.outcome_kind)},
        "window": {"start": str(start), "end": str(end)},
        "channels": [
            {"name": name, **_columns(channel, data), "sign": channel.sign}
            for name, channel in zip(channels, inputs.channels, strict=True)
        ],
        "organic": [{"name": own[c], "column": c, "sign": sign} for c, sign in inputs.organic.items()],
        "context": _context(model, data, own),
        "baseline": _baseline(model, data, holidays, is_given=baseline is not None),
        "adstock": str(inputs.adstock),
        "validation": {"time_series": model.has_validation},
        "penalty_factors": model.has_penalties,
        "intercept": str(model.rule),
        "search": {"optimizer": DEFAULT_OPTIMIZER, **model.search},
    }
    labels = {
        **{component: component for component in inputs.prophet},
        **own,
        **{channel.modelled: name for channel, name in zip(inputs.channels, channels, strict=True)},
    }
    tree["hyperparameters"] = _hyperparameters(model, labels)
    findings = [*_about_settings(model), *_about_columns(model, data)]
    return SpecTree(tree, labels, tuple(findings))


def file_name(text: str) -> str:
    """The text with everything that a name of a run must not hold made a dash."""
    return re.sub(r"[^\w .+-]", "-", text).strip(". ") or "robyn"


def _own_name(column: str) -> str:
    return f"{column}_column" if column in RESERVED_NAMES else column


def _columns(channel: RobynChannel, data: ModelTable) -> dict[str, str]:
    """Spend and exposure; where the table holds only the exposure in currency, as dt_mod does, that is the spend."""
    if channel.modelled == channel.spend:
        return {"spend": channel.spend}
    if _is_in_currency(channel, data):
        return {"spend": channel.modelled}
    return {"spend": channel.spend, "exposure": channel.modelled}


def _is_in_currency(channel: RobynChannel, data: ModelTable) -> bool:
    return data.is_dt_mod and channel.spend not in data.columns and channel.modelled in data.columns


def _context(model: RobynModel, data: ModelTable, own: Mapping[str, str]) -> list[dict[str, Any]]:
    entries = []
    for column, sign in model.inputs.context.items():
        is_label = column in data.columns and is_factor(column, model.inputs, data)
        kind = "factor" if is_label else "numeric"
        entries.append({"name": own[column], "column": column, "kind": kind, "sign": sign})
    return entries


def _baseline(model: RobynModel, data: ModelTable, holidays: str | None, *, is_given: bool) -> Any:
    inputs = model.inputs
    if not inputs.prophet:
        return "none"
    if data.is_modelled and not is_given:
        return {"precomputed": list(inputs.prophet)}
    baseline: dict[str, Any] = {"components": list(inputs.prophet), "prophet": _settings(model)}
    if "holiday" in inputs.prophet:
        baseline["country"] = inputs.country
        if holidays is not None:
            baseline["holidays"] = {"path": str(Path(holidays).absolute())}
    return baseline


def _settings(model: RobynModel) -> dict[str, Any]:
    """What was passed on to R's prophet(), by the names of Python's."""
    named = {names.prophet_setting(key): value for key, value in model.inputs.settings.items()}
    return {name: value for name, value in named.items() if name is not None}


# ------------------------------------------------------------------------------------------------------ hyperparameters


def _hyperparameters(model: RobynModel, labels: Mapping[str, str]) -> dict[str, Any]:
    """Ranges by our names; each is widened to hold the model's own value, where Robyn's would not."""
    found: dict[str, Any] = {}
    for medium in model.inputs.media:
        ranges: dict[str, Any] = {}
        for parameter in ("alpha", "gamma", *model.inputs.adstock.parameters):
            value = model.values[names.parameter_name(medium, parameter)]
            ranges[parameter] = _range(model, _spellings(model, medium, parameter), value)
        found[labels[medium]] = ranges
    if model.has_validation:
        found["train_size"] = _range(model, ["train_size"], model.train_size)
    return found


def _spellings(model: RobynModel, medium: str, parameter: str) -> list[str]:
    """Names that a range may stand under: of the modelled column, or of the spend where the user wrote that."""
    columns = [medium, *(c.spend for c in model.inputs.channels if c.modelled == medium)]
    return [names.parameter_name(column, parameter) for column in dict.fromkeys(columns)]


def _range(model: RobynModel, spellings: Sequence[str], value: float) -> list[float]:
    ranges = model.inputs.ranges
    low, high = next((ranges[name] for name in spellings if name in ranges), (value, value))
    return [min(low, value), max(high, value)]


# ------------------------------------------------------------------------------------------------------------- findings


def _about_settings(model: RobynModel) -> list[Finding]:
    unknown = [name for name in model.inputs.settings if names.prophet_setting(name) is None]
    if not unknown:
        return []
    return [
        Finding(
            "robyn-settings-unused",
            Severity.WARNING,
            f"InputCollect.custom_params of {model.path} holds {', '.join(unknown)}, which Python's Prophet has not.",
            "If that changes Prophet's columns, give Robyn's own with --baseline.",
        )
    ]


def _about_columns(model: RobynModel, data: ModelTable) -> list[Finding]:
    findings = []
    unused = [c.exposure for c in model.inputs.channels if c.exposure and c.modelled == c.spend]
    if unused:
        findings.append(
            Finding(
                "robyn-exposures-unused",
                Severity.INFO,
                f"{model.inputs.version_text} modelled the spend of every channel; the exposures {', '.join(unused)} "
                "of the file are not part of the model.",
            )
        )
    in_currency = [c.modelled for c in model.inputs.channels if _is_in_currency(c, data)]
    if in_currency:
        findings.append(
            Finding(
                "robyn-spend-from-exposure",
                Severity.INFO,
                f"The data have no spend beside {', '.join(in_currency)}; what is modelled there is taken for money, "
                "as in Robyn's dt_mod. Totals over the window, shares and ROAS are the same, spend by period is not.",
                "Give the raw table with --data and this one with --baseline to have both.",
            )
        )
    return findings
