"""The reference of specs, made from the schema itself: ``mmm schema --markdown``.

A new key needs a sentence in ``explained.py``; a test says so, and that ``docs/spec.md`` is what is made here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from runner.spec.experiment import DEFAULT_RANGES, WEIBULL_CDF_SHAPE, ExperimentSpec
from runner.spec.explained import EXPLAINED

HEAD = """# Reference of the spec

A spec is a YAML (or JSON) file, one experiment each; `mmm init DATA` writes a first one. This page is made from the
code (`mmm schema --markdown`); `mmm schema` prints the JSON Schema, with which editors complete and check specs.

Unknown keys are refused, with the key that may have been meant. Paths are relative to the spec file. Any key can be set
for one run: `--set search.iterations=300`, `--set channels.tv.sign=free`. Every run writes its spec with all defaults
filled in to `spec.yaml` of its folder. Keys without a default must be given. A spec of several models has
two keys more, `models` and `portfolio`: see [portfolio.md](portfolio.md).
"""
RANGES = """
## Ranges of hyperparameters

A hyperparameter is `<medium>: {<parameter>: [low, high]}`; `train_size` and `lambda_hp` stand by themselves. Searched
where the spec says nothing:

| parameter | range | what |
| --- | --- | --- |
"""
PARAMETERS = {
    "alpha": "slope of the Hill curve: above 1 it is S-shaped",
    "gamma": "inflexion of the Hill curve, as a part of the largest adstocked exposure of the window",
    "theta": "geometric adstock: part that survives one period",
    "shape": "Weibull adstock: shape of the decay",
    "scale": "Weibull adstock: scale, as a quantile of the window",
    "train_size": "part of the window that is trained on; 1 without validation.time_series",
    "lambda_hp": "strength of the ridge, between the smallest and the largest sensible penalty",
    "penalty": "factor on the penalty of one column, with penalty_factors",
}


def schema() -> dict[str, Any]:
    """The JSON Schema of specs, each key with its sentence."""
    tree = ExperimentSpec.model_json_schema()
    for name, definition in _models(tree):
        for key, entry in definition.get("properties", {}).items():
            if key in EXPLAINED.get(name, {}):
                entry["description"] = EXPLAINED[name][key]
    return tree


def markdown() -> str:
    """The reference as a page."""
    tree = ExperimentSpec.model_json_schema()
    parts = [HEAD, "\n## The whole\n\n", _table("ExperimentSpec", tree, tree)]
    for key, name in _sections(tree):
        definition = tree["$defs"][name]
        parts += [
            f"\n## {key}\n\n",
            f"{_paragraph(definition['description'])}\n\n",
            _table(name, definition, tree),
        ]
    return "".join([*parts, RANGES, *_ranges()])


def missing() -> list[str]:
    """Keys without a sentence, and sentences without a key."""
    tree = ExperimentSpec.model_json_schema()
    shown = {"ExperimentSpec": tree, **{name: tree["$defs"][name] for _, name in _sections(tree)}}
    known = {f"{name}.{key}" for name, definition in shown.items() for key in definition["properties"]}
    told = {f"{name}.{key}" for name, keys in EXPLAINED.items() for key in keys}
    return sorted(known ^ told)


def _models(tree: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "ExperimentSpec", tree
    yield from tree["$defs"].items()


def _sections(tree: dict[str, Any], prefix: str = "", model: str = "") -> Iterator[tuple[str, str]]:
    """(key, model) of every section, each where it is met first; what mmm refresh writes for itself is not one."""
    definition = tree["$defs"][model] if model else tree
    for key, entry in definition["properties"].items():
        for name in _references(entry):
            found = tree["$defs"][name]
            if "properties" in found and name not in ("PreviousSpec", "FileSpec"):
                many = "[]" if entry.get("type") == "array" else ""
                yield f"{prefix}{key}{many}", name
                yield from _sections(tree, f"{prefix}{key}{many}.", name)


def _references(entry: Any) -> Iterator[str]:
    if isinstance(entry, dict):
        if "$ref" in entry:
            yield entry["$ref"].rpartition("/")[2]
        for key, value in entry.items():
            if key != "default":
                yield from _references(value)
    elif isinstance(entry, list):
        for value in entry:
            yield from _references(value)


def _table(name: str, definition: dict[str, Any], tree: dict[str, Any]) -> str:
    required = definition.get("required", [])
    rows = ["| key | takes | default | what |\n", "| --- | --- | --- | --- |\n"]
    for key, entry in definition["properties"].items():
        default = "" if key in required else _default(entry)
        what = EXPLAINED.get(name, {}).get(key, "")
        rows.append(f"| `{key}` | {_takes(entry, tree)} | {default} | {what.replace('|', '&#124;')} |\n")
    return "".join(rows)


def _default(entry: dict[str, Any]) -> str:
    if "default" not in entry:
        return "none"
    value = entry["default"]
    if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
        return "see there"
    return f"`{json.dumps(value, ensure_ascii=False)}`".replace('"', "")


def _takes(entry: dict[str, Any], tree: dict[str, Any]) -> str:
    """What a value may be, in words."""
    if "$ref" in entry:
        found = tree["$defs"][entry["$ref"].rpartition("/")[2]]
        return _takes(found, tree) if "enum" in found else "mapping"
    if "enum" in entry:
        return ", ".join("null" if value is None else f"`{value}`" for value in entry["enum"])
    if "const" in entry:
        return f"`{entry['const']}`"
    if "anyOf" in entry:
        return " or ".join(dict.fromkeys(_takes(form, tree) for form in entry["anyOf"]))
    kind = entry.get("type")
    if kind == "array":
        pair = entry.get("prefixItems")
        return "[low, high]" if pair else f"list of {_takes(entry.get('items', {}), tree)}"
    if isinstance(kind, list):
        return "date or null" if entry.get("format") == "date" else " or ".join(kind)
    words = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "`true`, `false`",
        "null": "null",
    }
    return words.get(kind or "", "mapping") + _limits(entry)


def _limits(entry: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {entry[key]:g}" for key, sign in signs.items() if key in entry]
    return f" {', '.join(found)}" if found else ""


def _paragraph(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _ranges() -> list[str]:
    rows = []
    for parameter, (low, high) in DEFAULT_RANGES.items():
        also = (
            f"; weibull_cdf: [{WEIBULL_CDF_SHAPE[0]:g}, {WEIBULL_CDF_SHAPE[1]:g}]"
            if parameter == "shape"
            else ""
        )
        rows.append(f"| `{parameter}` | [{low:g}, {high:g}]{also} | {PARAMETERS[parameter]} |\n")
    return rows
