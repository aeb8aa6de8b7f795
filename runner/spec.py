"""What was asked: one experiment as a frozen tree, decoded strictly once.

``load_spec`` reads YAML (or JSON), applies overrides, refuses unknown keys and tells the user file, key and expectation
in one sentence. Defaults are written here and nowhere else; ``ExperimentSpec.resolved`` writes them all out.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mmm_core.errors import UserError
from mmm_core.limits import describe_limits, within_limits
from mmm_core.types import Adstock, InterceptRule, OutcomeKind

PROPHET_COMPONENTS = ("trend", "season", "monthly", "weekday", "holiday")
RESERVED_NAMES = ("intercept", "outcome", "date", "fitted")

# Searched unless the spec says otherwise: Robyn's recommended ranges (robyn_inputs, hyper_limits and the demo).
DEFAULT_RANGES: dict[str, tuple[float, float]] = {
    "alpha": (0.5, 3.0),
    "gamma": (0.3, 1.0),
    "theta": (0.0, 0.8),
    "shape": (0.0, 10.0),
    "scale": (0.0, 0.1),
    "train_size": (0.5, 0.8),
    "lambda_hp": (0.0, 1.0),
    "penalty": (0.0, 1.0),
}
# Multiples of today's spend. Narrower than Robyn's (0.5 to 2, and 0.1 to 10): a curve knows little outside the spends
# it was fitted on.
DEFAULT_BOUNDS = {"max_response": (0.7, 1.5), "target_efficiency": (0.1, 3.0)}
# The survival curve of the CDF kind is flat beyond shape 2.
WEIBULL_CDF_SHAPE = (0.0, 2.0)


def _fail(message: str) -> PydanticCustomError:
    return PydanticCustomError("mmm", "{message}", {"message": message})


def _name(value: str) -> str:
    if not value.strip():
        raise _fail("a name must not be empty")
    if value in RESERVED_NAMES:
        raise _fail(f"{value!r} is a reserved name; choose another one of your own")
    return value


def _file_name(value: str) -> str:
    if not re.fullmatch(r"[\w][\w .+-]*", value) or value.endswith((".", " ")):
        raise _fail(
            f"{value!r} becomes a file name: use letters, digits, space, dot, plus, minus and underscore"
        )
    return value


def _range(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, list, tuple)):
        raise _fail("expected [low, high], or one number to fix it")
    pair = [value, value] if isinstance(value, (int, float)) else list(value)
    if len(pair) != 2 or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in pair):
        raise _fail("expected [low, high], or one number to fix it")
    low, high = float(pair[0]), float(pair[1])
    if not (math.isfinite(low) and math.isfinite(high)):
        raise _fail("bounds must be finite numbers")
    if low > high:
        raise _fail(f"lower bound {low:g} is above upper bound {high:g}; swap them")
    return (low, high)


def _as_mapping(key: str) -> BeforeValidator:
    """A plain string is short for {key: string}."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


Range = Annotated[tuple[float, float], BeforeValidator(_range)]
Name = Annotated[str, AfterValidator(_name)]
FileName = Annotated[str, AfterValidator(_file_name)]
Sign = Literal["positive", "negative", "free"]


class Strict(BaseModel):
    """Frozen, without unknown keys, without silent conversion of text to numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False, allow_inf_nan=False)


class DataSpec(Strict):
    """Where the table is and which column is the date."""

    path: str
    date: str


class OutcomeSpec(Strict):
    """The KPI: revenue is judged by ROAS, conversion by CPA."""

    column: str
    kind: OutcomeKind = OutcomeKind.REVENUE


class WindowSpec(Strict):
    """The modelling window; null means from the first or to the last row."""

    start: date | None = None
    end: date | None = None


class ChannelSpec(Strict):
    """A paid channel: what it cost and, where known, what people saw (then the exposure is modelled)."""

    name: Name
    spend: str
    exposure: str | None = None
    sign: Sign = "positive"

    @property
    def modelled(self) -> str:
        """The column of the data that enters adstock."""
        return self.exposure or self.spend


class OrganicSpec(Strict):
    """A medium without spend."""

    name: Name
    column: str
    sign: Sign = "positive"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return _named_column(value)


class ContextSpec(Strict):
    """A column that is not marketing: competitors, prices, events. Text columns are factors by themselves."""

    name: Name
    column: str
    kind: Literal["numeric", "factor"] = "numeric"
    sign: Sign = "free"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return _named_column(value)


def _named_column(value: Any) -> Any:
    if isinstance(value, str):
        return {"name": value, "column": value}
    if isinstance(value, Mapping) and "name" in value and "column" not in value:
        return {**value, "column": value["name"]}
    return value


class FileSpec(Strict):
    """A table of the user's own."""

    path: str


class BaselineSpec(Strict):
    """Trend, season and holidays: from Prophet, or columns of the data, or none (both lists empty)."""

    components: tuple[Literal["trend", "season", "monthly", "weekday", "holiday"], ...] = ()
    country: str | None = None
    holidays: Annotated[FileSpec | None, _as_mapping("path")] = None
    prophet: dict[str, Any] = Field(default_factory=dict)
    precomputed: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> BaselineSpec:
        if self.components and self.precomputed:
            raise _fail(
                "give either components (from Prophet) or precomputed (columns of the data), not both"
            )
        if len(set(self.components)) < len(self.components):
            raise _fail("a component is named twice")
        if "holiday" in self.components and not (self.country or self.holidays):
            raise _fail("holiday needs country (for example DE) or holidays: {path: ...}")
        return self


class ValidationSpec(Strict):
    """Whether the window is split in time into training, validation and test rows."""

    time_series: bool = True


class SearchSpec(Strict):
    """How candidates are asked for. The batch size belongs to the search, never to the machine."""

    optimizer: str = "TwoPointsDE"
    trials: int = Field(5, ge=1)
    iterations: int = Field(2000, ge=1)
    batch_size: int = Field(30, ge=1)
    seed: int = Field(123, ge=0)
    objective_weights: tuple[float, ...] | None = None
    rssd_zero_penalty: bool = True

    @field_validator("objective_weights")
    @classmethod
    def _weights(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is None:
            return value
        if len(value) not in (2, 3) or any(not 0 <= w <= 10 for w in value) or sum(value) == 0:
            raise _fail("expected a weight in 0..10 for nrmse and for decomp_rssd, not all 0")
        return value


class SelectionSpec(Strict):
    """How candidates become selected models."""

    fronts: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    min_candidates: int = Field(100, ge=1)
    clusters: Literal["auto", "robyn"] | Annotated[int, Field(ge=1)] = "auto"
    per_cluster: int = Field(1, ge=1)


class BootstrapSpec(Strict):
    """Refits of every selected model on resampled residuals; 0 refits means no intervals."""

    refits: int = Field(1000, ge=0)
    level: float = Field(0.9, gt=0, lt=1)


class HorizonSpec(Strict):
    """Dates that a plan is for; default: the window. ``last`` counts periods back from the window's end."""

    start: date | None = None
    end: date | None = None
    last: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> HorizonSpec:
        if self.last is not None and (self.start or self.end):
            raise _fail("give either last or start and end, not both")
        return self


def _bounds(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(channel): _bound_pair(pair, f"{channel}: ") for channel, pair in value.items()}
    return _bound_pair(value, "")


def _bound_pair(value: Any, where: str) -> tuple[float, float]:
    if isinstance(value, (list, tuple)) and len(value) == 2:
        low, high = _range(value)
        if low < 0:
            raise _fail(f"{where}lower bound {low:g} is negative; spend cannot be")
        return low, high
    raise _fail(f"{where}expected [low, high] as multiples of today's spend, for example [0.7, 1.5]")


Bounds = Annotated[tuple[float, float] | dict[str, tuple[float, float]], BeforeValidator(_bounds)]


class ScenarioSpec(Strict):
    """One question to the allocator.

    ``bounds`` are multiples of the spend in the horizon, for all channels or by channel (``default`` names the rest).
    ``flighting`` tells how a channel's money is spread over the horizon; ``carryover`` whose adstock counts: the
    plan's own, or Robyn's constant of the past.
    """

    name: FileName
    goal: Literal["max_response", "target_efficiency"] = "max_response"
    target: float | None = Field(None, gt=0)
    total_budget: float | None = Field(None, ge=0)
    budget_per_period: float | None = Field(None, ge=0)
    constraint: Literal["equal", "at_most"] = "equal"
    bounds: Bounds | None = None
    flighting: Literal["historical", "constant"] = "historical"
    carryover: Literal["plan", "historical"] = "plan"
    horizon: HorizonSpec = HorizonSpec()

    @model_validator(mode="after")
    def _consistent(self) -> ScenarioSpec:
        if self.goal == "target_efficiency":
            if self.target is None:
                raise _fail("goal target_efficiency needs target (a ROAS, or a CPA for conversions)")
            if self.total_budget is not None or self.budget_per_period is not None:
                raise _fail("goal target_efficiency finds the budget itself; remove the budget")
        elif self.target is not None:
            raise _fail("target belongs to goal target_efficiency")
        if self.total_budget is not None and self.budget_per_period is not None:
            raise _fail("give either total_budget or budget_per_period, not both")
        return self

    @property
    def resolved_bounds(self) -> tuple[float, float] | dict[str, tuple[float, float]]:
        """The bounds, or the goal's default ones."""
        return self.bounds if self.bounds is not None else DEFAULT_BOUNDS[self.goal]


class TrackingSpec(Strict):
    """The MLflow mirror: a null uri is an SQLite file beside the runs; candidates says which become runs."""

    uri: str | None = None
    experiment: str | None = None
    candidates: Literal["all", "pareto", "selected"] = "pareto"
    enabled: bool = True


class ExecutionSpec(Strict):
    """Where the work is done; it never changes a result."""

    address: str = "local"
    backend: Literal["ray", "serial"] = "ray"
    workers: int | None = Field(None, ge=1)


Parameters = dict[str, Any]


class ExperimentSpec(Strict):
    """One experiment."""

    name: FileName
    data: DataSpec
    outcome: OutcomeSpec
    window: WindowSpec = WindowSpec()
    channels: tuple[ChannelSpec, ...] = Field(min_length=1)
    organic: tuple[OrganicSpec, ...] = ()
    context: tuple[ContextSpec, ...] = ()
    baseline: BaselineSpec = BaselineSpec(components=("trend", "season"))
    adstock: Adstock = Adstock.GEOMETRIC
    hyperparameters: dict[str, Range | dict[str, Range]] = Field(default_factory=dict)
    validation: ValidationSpec = ValidationSpec()
    penalty_factors: bool = False
    intercept: InterceptRule = InterceptRule.NON_NEGATIVE
    calibration: Annotated[FileSpec | None, _as_mapping("path")] = None
    search: SearchSpec = SearchSpec()
    selection: SelectionSpec = SelectionSpec()
    bootstrap: BootstrapSpec = BootstrapSpec()
    scenarios: tuple[ScenarioSpec, ...] = (ScenarioSpec(name="same-budget"),)
    tracking: TrackingSpec = TrackingSpec()
    execution: ExecutionSpec = ExecutionSpec()

    @field_validator("baseline", mode="before")
    @classmethod
    def _no_baseline(cls, value: Any) -> Any:
        return {} if value is None or value == "none" else value

    @field_validator("hyperparameters", mode="before")
    @classmethod
    def _nested_ranges(cls, value: Any) -> Any:
        # Decoded here rather than by a union, so that an error names the key and not the branches of a union.
        if not isinstance(value, Mapping):
            raise _fail("expected channels with their hyperparameters, for example tv: {theta: [0.3, 0.8]}")
        decoded: dict[str, Any] = {}
        for key, entry in value.items():
            if isinstance(entry, Mapping):
                decoded[str(key)] = {str(p): _located_range(f"{key}.{p}", v) for p, v in entry.items()}
            else:
                decoded[str(key)] = _located_range(str(key), entry)
        return decoded

    @property
    def media_names(self) -> tuple[str, ...]:
        """Paid, then organic."""
        return tuple(c.name for c in self.channels) + tuple(o.name for o in self.organic)

    @model_validator(mode="after")
    def _consistent(self) -> ExperimentSpec:
        self._check_roles()
        self._check_hyperparameters()
        names = [s.name for s in self.scenarios]
        for name in names:
            if names.count(name) > 1:
                raise _fail(f"scenarios: the name {name!r} is used twice")
        for scenario in self.scenarios:
            if isinstance(scenario.bounds, dict):
                for channel in scenario.bounds:
                    if channel != "default" and channel not in {c.name for c in self.channels}:
                        raise _fail(
                            f"scenarios.{scenario.name}.bounds: there is no channel {channel!r}"
                            f"{_suggest(channel, [c.name for c in self.channels])}"
                        )
        return self

    def _check_roles(self) -> None:
        roles: dict[str, str] = {}
        for column, role in self.column_roles():
            if column in roles:
                raise _fail(f"column {column!r} is used in two roles, {roles[column]} and {role}; keep one")
            roles[column] = role
        names = [*self.baseline.components, *self.baseline.precomputed]
        names += [c.name for c in self.context] + list(self.media_names)
        for name in names:
            if names.count(name) > 1:
                raise _fail(f"the name {name!r} is used twice; names of components must differ")

    def column_roles(self) -> list[tuple[str, str]]:
        """(column of the data, its role in words), in a fixed order."""
        roles = [(self.data.date, "data.date"), (self.outcome.column, "outcome")]
        for channel in self.channels:
            roles.append((channel.spend, f"spend of channel {channel.name}"))
            if channel.exposure is not None:
                roles.append((channel.exposure, f"exposure of channel {channel.name}"))
        roles += [(o.column, f"organic {o.name}") for o in self.organic]
        roles += [(c.column, f"context {c.name}") for c in self.context]
        roles += [(c, f"baseline {c}") for c in self.baseline.precomputed]
        return roles

    def _check_hyperparameters(self) -> None:
        per_medium = ("alpha", "gamma", *self.adstock.parameters)
        for key, entry in self.hyperparameters.items():
            if isinstance(entry, dict):
                if key not in self.media_names:
                    hint = _suggest(key, self.media_names)
                    raise _fail(
                        f"hyperparameters.{key}: there is no channel or organic medium of this name{hint}"
                    )
                for parameter, bounds in entry.items():
                    if parameter not in (*per_medium, "penalty"):
                        raise _fail(
                            f"hyperparameters.{key}.{parameter}: unknown for {self.adstock} adstock; "
                            f"expected one of {', '.join(per_medium)}"
                        )
                    _check_limits(f"hyperparameters.{key}.{parameter}", parameter, bounds)
            elif key in ("train_size", "lambda_hp") or key.endswith("_penalty"):
                if key.endswith("_penalty") and not self.penalty_factors:
                    raise _fail(
                        f"hyperparameters.{key}: penalties are searched with penalty_factors: true only"
                    )
                _check_limits(f"hyperparameters.{key}", key if "_penalty" not in key else "penalty", entry)
            elif key in self.media_names:
                raise _fail(
                    f"hyperparameters.{key}: expected its parameters, for example {{alpha: [0.5, 3]}}"
                )
            else:
                known = [*self.media_names, "train_size", "lambda_hp"]
                raise _fail(f"hyperparameters.{key}: unknown key{_suggest(key, known)}")

    def ranges(self, names: Sequence[str]) -> dict[str, tuple[float, float]]:
        """[low, high] of hyperparameters by their full names, defaults filled in; low == high is fixed."""
        given: dict[str, tuple[float, float]] = {}
        for key, entry in self.hyperparameters.items():
            if isinstance(entry, dict):
                given.update({f"{key}_{parameter}": bounds for parameter, bounds in entry.items()})
            else:
                given[key] = entry
        ranges = {name: given.get(name, self._default_range(name)) for name in names}
        if not self.validation.time_series:
            ranges["train_size"] = (1.0, 1.0)
        return ranges

    def _default_range(self, name: str) -> tuple[float, float]:
        parameter = name if name in DEFAULT_RANGES else name.rpartition("_")[2]
        if parameter == "shape" and self.adstock is Adstock.WEIBULL_CDF:
            return WEIBULL_CDF_SHAPE
        return DEFAULT_RANGES[parameter]

    def resolved(self) -> dict[str, Any]:
        """Plain data with every default written out, ready for YAML."""
        tree: dict[str, Any] = self.model_dump(mode="json")
        per_medium = ("alpha", "gamma", *self.adstock.parameters)
        names = [f"{m}_{p}" for m in self.media_names for p in per_medium] + ["train_size", "lambda_hp"]
        given = tree["hyperparameters"]
        filled: dict[str, Any] = {}
        for medium in self.media_names:
            filled[medium] = {
                p: list(given.get(medium, {}).get(p, self._default_range(f"{medium}_{p}")))
                for p in per_medium
            }
            filled[medium].update({p: r for p, r in given.get(medium, {}).items() if p not in per_medium})
        for name in names[-2:]:
            filled[name] = list(given.get(name, self._default_range(name)))
        filled.update({k: v for k, v in given.items() if k not in filled})
        tree["hyperparameters"] = filled
        for scenario, spec in zip(tree["scenarios"], self.scenarios, strict=True):
            bounds = spec.resolved_bounds
            scenario["bounds"] = (
                {c: list(b) for c, b in bounds.items()} if isinstance(bounds, dict) else list(bounds)
            )
        return tree

    @property
    def digest(self) -> str:
        """SHA-256, hex, of all that can change a result: not where it runs, is tracked, or where the table lies."""
        tree = self.resolved()
        for key in ("tracking", "execution"):
            del tree[key]
        del tree["data"]["path"]
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment."""
        return self.tracking.experiment or self.name


def _located_range(path: str, value: Any) -> tuple[float, float]:
    try:
        pair: tuple[float, float] = _range(value)
    except PydanticCustomError as error:
        raise _fail(f".{path}: {error.message()}") from error
    return pair


def _check_limits(path: str, parameter: str, bounds: tuple[float, float]) -> None:
    for value in bounds:
        if not within_limits(parameter, value):
            raise _fail(f"{path}: {value:g} is out of range; expected {describe_limits(parameter)}")


def _suggest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(map(repr, known))}"


# ---------------------------------------------------------------------------------------------------------- loading


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice: the second would silently win."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)  # type: ignore[no-untyped-call]
        if key in seen:
            line = key_node.start_mark.line + 1
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice (line {line})")
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def read_yaml(path: Path) -> Any:
    """Plain data of a YAML or JSON file; UserError when it is missing, empty or not YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; give the path of a spec file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: this is a directory; give the path of a spec file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    try:
        tree = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise UserError(f"{path}: not valid YAML: {reason}{where}") from error
    if tree is None:
        raise UserError(f"{path}: the file is empty; a spec needs name, data, outcome and channels")
    return tree


def apply_override(tree: dict[str, Any], override: str) -> None:
    """Set one key of a spec: ``search.iterations=300``, ``channels.0.spend=tv``; the value is YAML.

    Raises:
        UserError: no ``=``, or a key on the way that is not a mapping or list.
    """
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise UserError(f"--set {override}: expected key=value, for example search.iterations=300")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override}: the value is not valid YAML") from error
    keys = path.strip().split(".")
    node: Any = tree
    for key in keys[:-1]:
        if isinstance(node, list):
            node = _list_item(node, key, override)
        elif isinstance(node, dict):
            if node.get(key) is None:
                node[key] = {}
            node = node[key]
        else:
            raise UserError(f"--set {override}: {key} is inside something that is not a mapping")
    if isinstance(node, list):
        node[node.index(_list_item(node, keys[-1], override))] = value
    elif isinstance(node, dict):
        node[keys[-1]] = value
    else:
        raise UserError(f"--set {override}: {keys[-1]} is inside something that is not a mapping")


def _list_item(items: list[Any], key: str, override: str) -> Any:
    if key.isdigit() and int(key) < len(items):
        return items[int(key)]
    for item in items:
        if isinstance(item, dict) and item.get("name") == key:
            return item
    raise UserError(f"--set {override}: {key!r} is neither a position nor a name in that list")


def decode(tree: Any, source: str) -> ExperimentSpec:
    """A spec from plain data.

    Raises:
        UserError: one sentence with source, key path and what was expected.
    """
    if not isinstance(tree, dict):
        raise UserError(f"{source}: expected a mapping with name, data, outcome and channels")
    try:
        return ExperimentSpec.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{source}: {sentence(error)}") from None


def load_spec(path: str | Path, *, data: str | None = None, overrides: Sequence[str] = ()) -> ExperimentSpec:
    """Read, override and check a spec file; paths in it are relative to the file itself.

    Args:
        path: YAML or JSON file.
        data: replaces ``data.path``; relative to the current directory.
        overrides: ``key=value`` strings, see ``apply_override``.
    Raises:
        UserError: anything wrong with the file or its contents.
    """
    path = Path(path)
    tree = read_yaml(path)
    if isinstance(tree, dict):
        for override in overrides:
            apply_override(tree, override)
        if data is not None:
            entry = tree.setdefault("data", {})
            if isinstance(entry, dict):
                entry["path"] = str(data if "://" in str(data) else Path(data).absolute())
        _absolute_paths(tree, path.parent)
    return decode(tree, str(path))


def _absolute_paths(tree: dict[str, Any], folder: Path) -> None:
    baseline = tree.get("baseline")
    entries = [
        tree.get("data"),
        tree.get("calibration"),
        baseline.get("holidays") if isinstance(baseline, dict) else None,
    ]
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("path"), str) and "://" not in entry["path"]:
            entry["path"] = str((folder / entry["path"]).absolute().resolve())


def sentence(error: ValidationError) -> str:
    """The first problem as ``key.path: what is wrong``, and how many more there are."""
    problems = error.errors(include_url=False)
    first = problems[0]
    path = _key_path(first["loc"])
    kind = first["type"]
    if kind == "extra_forbidden":
        siblings = _known_keys(first["loc"][:-1])
        message = f"unknown key{_suggest(str(first['loc'][-1]), siblings)}"
    elif kind == "missing":
        message = "is missing"
    elif kind == "mmm":
        message = str(first["ctx"]["message"])
    else:
        given = first.get("input")
        shown = f", got {given!r}" if isinstance(given, (str, int, float, bool, type(None))) else ""
        message = (
            first["msg"].replace("Input should be", "expected").replace("Value should", "should") + shown
        )
        message = message[0].lower() + message[1:]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if message.startswith("."):  # a validator that knows the rest of the path
        return f"{path}{message}{more}"
    return f"{path}: {message}{more}" if path else f"{message}{more}"


def _key_path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not (part.startswith(("function-", "literal[", "constrained-")) or part in ("int", "str")):
            path += f".{part}" if path else part
    return path


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    model: Any = ExperimentSpec
    for part in loc:
        if isinstance(part, str) and isinstance(model, type) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation)
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
