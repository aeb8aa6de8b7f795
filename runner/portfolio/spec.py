"""What was asked of many models: each a complete spec of its own, made of what is common and what is its own.

A model of a portfolio is the same experiment as its spec alone: the spec in its run folder, run alone, gives the same
tables. So all that makes a model differ from the others stands in its own spec, its seed included, which comes from the
seed of the whole and the model's name: neither the number nor the order of the others matters.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from mmm_core.errors import UserError
from runner.portfolio.members import Named, file_names, named_models
from runner.seeds import seed_of_model
from runner.source import near_name, read_table
from runner.spec import ExperimentSpec, absolute_paths, apply_override, decode, read_yaml, sentence, set_key
from runner.spec.fields import Strict

if TYPE_CHECKING:
    import pandas as pd

# Tables in memory at once: the long one of all models, or the last that one of them named.
TABLES_KEPT = 2
# Keys of a portfolio's file that are no keys of an experiment.
OWN_KEYS = ("models", "portfolio")
# Keys of an experiment that are those of all models together.
TOGETHER = ("execution", "tracking")


class PortfolioSettings(Strict):
    """What is made of many models.

    ``reports``: of each model none, or all that a run alone has; ``mmm report`` writes it later for any of them, and it
    takes longer than all the rest. ``tracking``: in MLflow a run for each model with its numbers, or
    all of it: histories, candidates, files. ``pooling``: whether, and how, a channel's ROAS is also told as the
    models together make it likely, see ``mmm_core.pooling``.
    """

    reports: Literal["none", "all"] = "none"
    tracking: Literal["models", "all"] = "models"
    pooling: Literal["none", "integrated", "reml", "dl"] = "none"


@dataclass(frozen=True)
class Member:
    """One model: its name, its values of the key columns, and its spec."""

    name: str
    keys: Mapping[str, str]
    spec: ExperimentSpec


@dataclass(frozen=True)
class PortfolioSpec:
    """Many models. ``read`` reads a table once for all of them; ``path`` is the file."""

    name: str
    path: Path
    settings: PortfolioSettings
    members: tuple[Member, ...]
    read: Callable[[str], pd.DataFrame]

    @property
    def common(self) -> ExperimentSpec:
        """A spec whose execution and tracking are those of all."""
        return self.members[0].spec

    @property
    def digest(self) -> str:
        """SHA-256, hex, of all that can change a result."""
        tree = [self.settings.pooling, [[member.name, member.spec.digest] for member in self.members]]
        return hashlib.sha256(json.dumps(tree).encode()).hexdigest()

    def as_record(self) -> dict[str, Any]:
        """Plain data that ``from_record`` reads; paths are absolute."""
        # Not resolved: defaults that are written out would speak against curves that replace them.
        models = [
            {"name": member.name, "keys": dict(member.keys), "spec": member.spec.model_dump(mode="json")}
            for member in self.members
        ]
        return {"name": self.name, "portfolio": self.settings.model_dump(mode="json"), "models": models}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], path: Path) -> PortfolioSpec:
        """The inverse of ``as_record``; ``path`` is where it was read.

        Raises:
            UserError: it was edited, or written by another version.
        """
        members = tuple(
            Member(entry["name"], entry["keys"], decode(entry["spec"], f"{path}, model {entry['name']}"))
            for entry in record["models"]
        )
        return cls(record["name"], path, _settings(record, path), members, _keeping())

    def only(self, names: Sequence[str]) -> PortfolioSpec:
        """Some of the models, in their order; UserError for a name that there is not."""
        known = [member.name for member in self.members]
        for name in names:
            if name not in known:
                raise UserError(f"{self.path}: there is no model {name!r}; {near_name(name, known)}")
        return replace(self, members=tuple(member for member in self.members if member.name in names))

    def with_execution(self, change: Callable[[ExperimentSpec], ExperimentSpec]) -> PortfolioSpec:
        """The same models executed elsewhere."""
        members = tuple(replace(member, spec=change(member.spec)) for member in self.members)
        return replace(self, members=members)


def with_models(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a spec, in which several models may be named too; then each may bring what the spec lacks."""
    text = {"type": "string"}
    labels = {"type": "object", "additionalProperties": text, "description": "What to tell the model by."}
    named = {"type": "object", "required": ["name"], "properties": {"name": text, "keys": labels}}
    keys = {
        "type": ["string", "array"],
        "items": {"type": "string"},
        "description": "Key columns of the data.",
    }
    changes = {"type": "object", "description": "Keys of the spec, nested or as paths, and their values."}
    by = {
        "type": "object",
        "required": ["by"],
        "properties": {"by": keys, "each": changes, "overrides": changes},
        "additionalProperties": False,
    }
    forms: list[dict[str, Any]] = [{"type": "array", "items": named}, {"type": "string"}, by]
    models = {
        "anyOf": forms,
        "description": "Several models: a list, a table of them, or key columns of the data.",
    }
    settings = PortfolioSettings.model_json_schema()
    schema["properties"] |= {"models": models, "portfolio": settings}
    return schema


def is_portfolio(path: str | Path) -> bool:
    """Whether a spec file names several models; False where it cannot be read, which is told elsewhere."""
    try:
        tree = read_yaml(Path(path))
    except UserError:
        return False
    return isinstance(tree, dict) and "models" in tree


def load_portfolio(
    path: str | Path, *, data: str | None = None, overrides: Sequence[str] = ()
) -> PortfolioSpec:
    """Read a spec file that names models, and check every model's spec.

    Args:
        path: YAML or JSON file.
        data: replaces ``data.path``; relative to the current directory.
        overrides: ``key=value`` strings; they are the last word for every model, but for ``models`` and ``portfolio``.
    Raises:
        UserError: anything wrong with the file; for what is wrong with one model's keys its name is told.
    """
    path = Path(path)
    tree = read_yaml(path)
    if not isinstance(tree, dict) or "models" not in tree:
        raise UserError(f"{path}: names no models; add models, or run it as one experiment")
    own = [text for text in overrides if text.strip().split(".")[0].split("=")[0] in OWN_KEYS]
    for override in own:
        apply_override(tree, override)
    common = {key: value for key, value in tree.items() if key not in OWN_KEYS}
    if data is not None:
        set_key(common, "data.path", str(data if "://" in str(data) else Path(data).absolute()), "--data")
    absolute_paths(common, path.parent)
    read = _keeping()
    models = named_models({**common, "models": tree["models"]}, path, read)
    if data is not None and any(key == "data.path" for model in models for key, _ in model.changes):
        raise UserError(f"--data {data}: models of {path} name tables of their own; change those")
    names = file_names([model.name for model in models], _name(tree, path))
    rest = [text for text in overrides if text not in own]
    members = tuple(_member(model, names[model.name], common, path, rest) for model in models)
    return PortfolioSpec(_name(tree, path), path, _settings(tree, path), members, read)


def _keeping() -> Callable[[str], pd.DataFrame]:
    """Reads a table, and has it still when it is asked for again."""
    return lru_cache(maxsize=TABLES_KEPT)(read_table)


def _name(tree: Mapping[str, Any], path: Path) -> str:
    name = tree.get("name")
    if not isinstance(name, str):
        raise UserError(
            f"{path}: name: is missing; add it" if name is None else f"{path}: name: expected text"
        )
    return name


def _settings(tree: Mapping[str, Any], path: Path) -> PortfolioSettings:
    try:
        return PortfolioSettings.model_validate(tree.get("portfolio") or {})
    except ValidationError as error:
        raise UserError(f"{path}: portfolio.{sentence(error)}") from None


def _member(
    model: Named, file_name: str, common: Mapping[str, Any], path: Path, overrides: Sequence[str]
) -> Member:
    """A model's spec: what is common, its own changes, those of the command, and its own seed."""
    tree = copy.deepcopy(dict(common))
    if model.spec is not None:
        tree = copy.deepcopy(dict(model.spec)) | {key: tree[key] for key in TOGETHER if key in tree}
    for key, value in model.changes:
        set_key(tree, key, copy.deepcopy(value), model.where)
    for override in overrides:
        apply_override(tree, override)
    absolute_paths(tree, path.parent)
    tree["name"] = file_name
    spec = decode(tree, f"{path}, model {model.name}")
    if model.spec is None and not any(key == "search.seed" for key, _ in model.changes):
        seed = seed_of_model(spec.search.seed, model.name)
        spec = spec.model_copy(update={"search": spec.search.model_copy(update={"seed": seed})})
    experiment = spec.tracking.experiment or str(common["name"])
    tracking = spec.tracking.model_copy(update={"experiment": experiment})
    return Member(model.name, model.keys, spec.model_copy(update={"tracking": tracking}))
