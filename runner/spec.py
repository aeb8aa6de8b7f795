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
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    GetJsonSchemaHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError

from mmm_core.errors import UserError
from mmm_core.limits import describe_limits, within_limits
from mmm_core.types import Adstock, Convention, InterceptRule, OutcomeKind

PROPHET_COMPONENTS = ("trend", "season", "monthly", "weekday", "holiday")
# Columns of our own tables, and keys that stand beside the channels' names in a spec.
RESERVED_NAMES = ("intercept", "outcome", "date", "fitted", "train_size", "lambda_hp", "lambda", "default")
LONGEST_FILE_NAME = 100

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
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise _fail(f"{value!r} holds a line break or another control character; remove it")
    return value


def _file_name(value: str) -> str:
    if not re.fullmatch(r"[\w][\w .+-]*", value) or value.endswith((".", " ")):
        raise _fail(
            f"{value!r} becomes a file name: use letters, digits, space, dot, plus, minus and underscore"
        )
    if len(value.encode()) > LONGEST_FILE_NAME:
        raise _fail(
            f"{value[:20]!r}... becomes a file name and is longer than {LONGEST_FILE_NAME} bytes; shorten it"
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


def _day(value: Any) -> Any:
    """A date as YAML reads it, or as ISO text; pydantic would take a number for seconds since 1970."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    if value is None or isinstance(value, date):
        return value
    raise _fail(f"expected a date like 2024-01-29, got {value!r}")


@dataclass(frozen=True, eq=False)
class _Also:
    """Tells the JSON Schema that a validator takes another form too."""

    form: dict[str, Any]

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [self.form, handler(core)]}


TEXT: dict[str, Any] = {"type": "string"}


def _as_mapping(key: str) -> BeforeValidator:
    """A plain string is short for {key: string}."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


def _auto_or_count(*words: str) -> BeforeValidator:
    """One of some words, or a whole number from 1; by hand, so that an error names both."""

    def check(value: Any) -> Any:
        if value in words or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
            return value
        raise _fail(f"expected {', '.join(words)} or a whole number from 1, got {value!r}")

    return BeforeValidator(check)


Range = Annotated[tuple[float, float], BeforeValidator(_range), _Also({"type": "number"})]
Day = Annotated[
    date | None, BeforeValidator(_day), WithJsonSchema({"type": ["string", "null"], "format": "date"})
]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, AfterValidator(_name)]
FileName = Annotated[str, AfterValidator(_file_name)]
Sign = Literal["positive", "negative", "free"]


class Strict(BaseModel):
    """Frozen, without unknown keys, without silent conversion of text to numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False, allow_inf_nan=False)


class DataSpec(Strict):
    """Where the table is and which column is the date."""

    path: Text
    date: Text


class OutcomeSpec(Strict):
    """The KPI: revenue is judged by ROAS, conversion by CPA."""

    column: Text
    kind: OutcomeKind = OutcomeKind.REVENUE


class WindowSpec(Strict):
    """The modelling window; null means from the first or to the last row."""

    start: Day = None
    end: Day = None

    @model_validator(mode="after")
    def _consistent(self) -> WindowSpec:
        _check_order(self.start, self.end)
        return self


def _check_order(start: date | None, end: date | None) -> None:
    if start is not None and end is not None and start > end:
        raise _fail(f"start {start} is after end {end}; swap them")


class ChannelSpec(Strict):
    """A paid channel: what it cost and, where known, what people saw (then the exposure is modelled)."""

    name: Name
    spend: Text
    exposure: Text | None = None
    sign: Sign = "positive"

    @property
    def modelled(self) -> str:
        """The column of the data that enters adstock."""
        return self.exposure or self.spend


def _column_is_optional(schema: dict[str, Any]) -> None:
    schema["required"].remove("column")


class OrganicSpec(Strict):
    """A medium without spend."""

    model_config = ConfigDict(json_schema_extra=_column_is_optional)

    name: Name
    column: Text
    sign: Sign = "positive"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return _named_column(value)


class ContextSpec(Strict):
    """A column that is not marketing: competitors, prices, events. Text columns are factors by themselves."""

    model_config = ConfigDict(json_schema_extra=_column_is_optional)

    name: Name
    column: Text
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

    path: Text


class CalibrationSpec(FileSpec):
    """A table of lift studies that candidates are also judged by, and how its days meet the rows of the data."""

    convention: Convention = Convention.CORRECT


class BaselineSpec(Strict):
    """Trend, season and holidays: from Prophet, or columns of the data, or none (both lists empty)."""

    components: tuple[Literal["trend", "season", "monthly", "weekday", "holiday"], ...] = ()
    country: Text | None = None
    holidays: Annotated[FileSpec | None, _as_mapping("path"), _Also(TEXT)] = None
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

    time_series: StrictBool = True


class SearchSpec(Strict):
    """How candidates are asked for. The batch size belongs to the search, never to the machine."""

    optimizer: str = "TwoPointsDE"
    trials: StrictInt = Field(5, ge=1)
    iterations: StrictInt = Field(2000, ge=1)
    batch_size: StrictInt = Field(30, ge=1)
    seed: StrictInt = Field(123, ge=0)
    objective_weights: tuple[StrictFloat, ...] | None = None
    rssd_zero_penalty: StrictBool = True

    @field_validator("objective_weights")
    @classmethod
    def _weights(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is None:
            return value
        if len(value) not in (2, 3) or any(not 0 <= w <= 10 for w in value) or sum(value) == 0:
            raise _fail(
                "expected a weight in 0..10 for nrmse, for decomp_rssd and, with calibration, for mape, not all 0"
            )
        return value


class SelectionSpec(Strict):
    """How candidates become selected models.

    ``winners``: the best of each cluster by Robyn's error score, of which a third is DecompRSSD, or by its fit over
    the whole window. DecompRSSD draws every ROAS towards the mean ROAS; on simulated data the winners by fit are
    somewhat closer in ROAS, and their plans truly bring as much (README).
    """

    fronts: Annotated[Literal["auto"] | Annotated[int, Field(ge=1)], _auto_or_count("auto")] = "auto"
    min_candidates: StrictInt = Field(100, ge=1)
    clusters: Annotated[
        Literal["auto", "robyn"] | Annotated[int, Field(ge=1)], _auto_or_count("auto", "robyn")
    ] = "auto"
    per_cluster: StrictInt = Field(1, ge=1)
    winners: Literal["error_score", "fit"] = "error_score"


class BootstrapSpec(Strict):
    """Refits of every selected model on resampled residuals; 0 refits means no intervals."""

    refits: StrictInt = Field(1000, ge=0)
    level: StrictFloat = Field(0.9, gt=0, lt=1)


class HorizonSpec(Strict):
    """Dates that a plan is for; default: the window. ``last`` counts periods back from the window's end."""

    start: Day = None
    end: Day = None
    last: StrictInt | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> HorizonSpec:
        if self.last is not None and (self.start or self.end):
            raise _fail("give either last or start and end, not both")
        _check_order(self.start, self.end)
        return self


def _bounds(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(channel): _located(f".{channel}", _bound_pair, pair) for channel, pair in value.items()}
    return _bound_pair(value)


def _bound_pair(value: Any) -> tuple[float, float]:
    if isinstance(value, (list, tuple)) and len(value) == 2:
        low, high = _range(value)
        if low < 0:
            raise _fail(f"lower bound {low:g} is negative; spend cannot be")
        return low, high
    raise _fail("expected [low, high] as multiples of today's spend, for example [0.7, 1.5]")


Bounds = Annotated[tuple[float, float] | dict[str, tuple[float, float]], BeforeValidator(_bounds)]


class ScenarioSpec(Strict):
    """One question to the allocator.

    ``bounds`` are multiples of the spend in the horizon, for all channels or by channel (``default`` names the rest).
    ``flighting`` tells how a channel's money is spread over the horizon; ``carryover`` whose adstock counts: the
    plan's own, or Robyn's constant of the past.
    """

    name: FileName
    goal: Literal["max_response", "target_efficiency"] = "max_response"
    target: StrictFloat | None = Field(None, gt=0)
    total_budget: StrictFloat | None = Field(None, ge=0)
    budget_per_period: StrictFloat | None = Field(None, ge=0)
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

    uri: Text | None = None
    experiment: Text | None = None
    candidates: Literal["all", "pareto", "selected"] = "pareto"
    enabled: StrictBool = True


class ExecutionSpec(Strict):
    """Where the work is done; it never changes a result. ``dashboard`` is that of a local Ray."""

    address: str = "local"
    backend: Literal["ray", "serial"] = "ray"
    workers: StrictInt | None = Field(None, ge=1)
    dashboard: StrictBool = False


Parameters = dict[str, Any]


class ExperimentSpec(Strict):
    """One experiment."""

    name: FileName
    data: DataSpec
    outcome: OutcomeSpec
    window: WindowSpec = WindowSpec()
    channels: tuple[ChannelSpec, ...] = Field(min_length=1)
    organic: tuple[Annotated[OrganicSpec, _Also(TEXT)], ...] = ()
    context: tuple[Annotated[ContextSpec, _Also(TEXT)], ...] = ()
    baseline: Annotated[BaselineSpec, _Also({"enum": ["none", None]})] = BaselineSpec(
        components=("trend", "season")
    )
    adstock: Adstock = Adstock.GEOMETRIC
    hyperparameters: dict[str, Range | dict[str, Range]] = Field(default_factory=dict)
    validation: ValidationSpec = ValidationSpec()
    penalty_factors: StrictBool = False
    intercept: InterceptRule = InterceptRule.NON_NEGATIVE
    calibration: Annotated[CalibrationSpec | None, _as_mapping("path"), _Also(TEXT)] = None
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
                decoded[str(key)] = {str(p): _located(f".{key}.{p}", _range, v) for p, v in entry.items()}
            else:
                decoded[str(key)] = _located(f".{key}", _range, entry)
        return decoded

    @property
    def media_names(self) -> tuple[str, ...]:
        """Paid, then organic."""
        return tuple(c.name for c in self.channels) + tuple(o.name for o in self.organic)

    @model_validator(mode="after")
    def _consistent(self) -> ExperimentSpec:
        self._check_roles()
        self._check_hyperparameters()
        self._check_scenarios()
        weights = self.search.objective_weights or ()
        if len(weights) == 3 and self.calibration is None:
            raise _fail(
                "search.objective_weights: the third weight is for calibration, which is not given; remove it"
            )
        if len(weights) == 2 and self.calibration is not None:
            raise _fail(
                "search.objective_weights: the weight of the calibration error is missing; add a third"
            )
        return self

    def _check_scenarios(self) -> None:
        names = [scenario.name for scenario in self.scenarios]
        channels = [channel.name for channel in self.channels]
        for scenario in self.scenarios:
            if names.count(scenario.name) > 1:
                raise _fail(f"scenarios: the name {scenario.name!r} is used twice; rename one")
            for channel in scenario.bounds if isinstance(scenario.bounds, dict) else ():
                if channel not in (*channels, "default"):
                    raise _fail(
                        f"scenarios.{scenario.name}.bounds: there is no channel {channel!r}"
                        f"{_suggest(channel, channels)}"
                    )

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
        for key, entry in self.hyperparameters.items():
            if isinstance(entry, dict):
                self._check_medium(key, entry)
            elif key in self.media_names:
                raise _fail(
                    f"hyperparameters.{key}: expected its parameters, for example {{alpha: [0.5, 3]}}"
                )
            elif key in ("train_size", "lambda_hp"):
                _check_limits(f"hyperparameters.{key}", key, entry)
            elif key.endswith("_penalty"):
                self._check_penalty(f"hyperparameters.{key}", entry)
                if "penalty" in self._of_medium(key.removesuffix("_penalty")):
                    raise _fail(f"hyperparameters.{key}: is given twice; keep one")
            else:
                raise _fail(f"hyperparameters.{key}: unknown key{self._hyperparameter_hint(key)}")

    @property
    def _per_medium(self) -> tuple[str, ...]:
        return ("alpha", "gamma", *self.adstock.parameters)

    def _of_medium(self, medium: str) -> dict[str, tuple[float, float]]:
        entry = self.hyperparameters.get(medium)
        return entry if isinstance(entry, dict) else {}

    def _check_medium(self, medium: str, ranges: dict[str, tuple[float, float]]) -> None:
        where = f"hyperparameters.{medium}"
        if medium not in self.media_names:
            hint = _suggest(medium, self.media_names)
            raise _fail(f"{where}: there is no channel or organic medium of this name{hint}")
        for parameter, bounds in ranges.items():
            if parameter == "penalty":
                self._check_penalty(f"{where}.penalty", bounds)
            elif parameter in self._per_medium:
                _check_limits(f"{where}.{parameter}", parameter, bounds)
            else:
                raise _fail(
                    f"{where}.{parameter}: unknown for {self.adstock} adstock; "
                    f"expected one of {', '.join(self._per_medium)}"
                )

    def _check_penalty(self, where: str, bounds: tuple[float, float]) -> None:
        if not self.penalty_factors:
            raise _fail(f"{where}: penalties are searched with penalty_factors: true only")
        _check_limits(where, "penalty", bounds)

    def _hyperparameter_hint(self, key: str) -> str:
        medium, _, parameter = key.rpartition("_")
        if medium in self.media_names and parameter in self._per_medium:
            return f"; write {medium}: {{{parameter}: [low, high]}}"
        return _suggest(key, [*self.media_names, "train_size", "lambda_hp"])

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
        tree["hyperparameters"] = self._resolved_hyperparameters()
        for scenario, spec in zip(tree["scenarios"], self.scenarios, strict=True):
            bounds = spec.resolved_bounds
            scenario["bounds"] = (
                {c: list(b) for c, b in bounds.items()} if isinstance(bounds, dict) else list(bounds)
            )
        return tree

    def _resolved_hyperparameters(self) -> dict[str, Any]:
        filled: dict[str, Any] = {}
        for medium in self.media_names:
            defaults = {p: self._default_range(f"{medium}_{p}") for p in self._per_medium}
            filled[medium] = {p: list(pair) for p, pair in (defaults | self._of_medium(medium)).items()}
        for name in ("train_size", "lambda_hp"):
            filled[name] = list(self._default_range(name))
        single = {k: list(v) for k, v in self.hyperparameters.items() if not isinstance(v, dict)}
        return filled | single

    @property
    def digest(self) -> str:
        """SHA-256, hex, of all that can change a result: not where it runs, is tracked, or where its tables lie."""
        tree = self.resolved()
        for key in ("tracking", "execution"):
            del tree[key]
        for entry in _file_entries(tree):
            del entry["path"]
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment."""
        return self.tracking.experiment or self.name


def _located(path: str, check: Callable[[Any], Any], value: Any) -> Any:
    """The checked value; a complaint is given the rest of the path, by which ``sentence`` knows it."""
    try:
        return check(value)
    except PydanticCustomError as error:
        raise _fail(f"{path}: {error.message()}") from error


def _check_limits(path: str, parameter: str, bounds: tuple[float, float]) -> None:
    for value in bounds:
        if not within_limits(parameter, value):
            raise _fail(f"{path}: {value:g} is out of range; expected {describe_limits(parameter)}")


def _suggest(word: str, known: Iterable[Any]) -> str:
    names = [name for name in known if isinstance(name, str)]
    close = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(map(repr, names))}"


# ---------------------------------------------------------------------------------------------------------- loading


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice: the second would silently win."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key is not a word", key_node.start_mark)
        if key_node.value in seen:
            problem = f"the key {key_node.value!r} stands twice"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        seen.add(key_node.value)
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
    """Set one key of a spec: ``search.iterations=300``, ``channels.tv.spend=cost``; the value is YAML.

    An entry of a list is found by its name or by its position from 0.

    Raises:
        UserError: no ``=``, or a key on the way that is not a mapping or list.
    """
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"--set {override}: expected key=value, for example search.iterations=300")
    try:
        value = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError:
        raise UserError(f"--set {override}: the value is not valid YAML; put text into quotes") from None
    node: Any = tree
    for key in keys[:-1]:
        place = _place(node, key, override)
        if isinstance(node, dict) and node.get(place) is None:
            node[place] = {}
        node = node[place]
    node[_place(node, keys[-1], override)] = value


def _place(node: Any, key: str, override: str) -> Any:
    """Where a key of an override points to: a key of a mapping, or a position in a list."""
    if isinstance(node, dict):
        return key
    if not isinstance(node, list):
        raise UserError(
            f"--set {override}: {key!r} is inside something that is not a mapping; correct the key"
        )
    if key.isdecimal() and int(key) < len(node):
        return int(key)
    named = [item.get("name") if isinstance(item, dict) else item for item in node]
    if key in named:
        return named.index(key)
    raise UserError(
        f"--set {override}: {key!r} is neither a position nor a name in that list{_suggest(key, named)}"
    )


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


def _file_entries(tree: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The mappings of a spec that hold a path, in a fixed order."""
    baseline = tree.get("baseline")
    holidays = baseline.get("holidays") if isinstance(baseline, dict) else None
    entries = [tree.get("data"), tree.get("calibration"), holidays]
    return [entry for entry in entries if isinstance(entry, dict) and "path" in entry]


def _long_form(tree: dict[str, Any]) -> None:
    """Write out the short form of an entry that is a path alone."""
    baseline = tree.get("baseline")
    for parent, key in ((tree, "calibration"), (baseline, "holidays")):
        if isinstance(parent, dict) and isinstance(parent.get(key), str):
            parent[key] = {"path": parent[key]}


def _absolute_paths(tree: dict[str, Any], folder: Path) -> None:
    _long_form(tree)
    for entry in _file_entries(tree):
        path = entry["path"]
        if isinstance(path, str) and path and "://" not in path:
            entry["path"] = _absolute(folder, path)


def _absolute(folder: Path, path: str) -> str:
    try:
        return str((folder / Path(path).expanduser()).resolve())
    except (OSError, RuntimeError, ValueError):  # a path that no file can have; reading it says so
        return path


# What pydantic calls a problem -> what we call it; {given} is what stood there.
WORDS = {
    "missing": "is missing; add it",
    "model_type": "expected a mapping of keys, got {given}",
    "dict_type": "expected a mapping of keys, got {given}",
    "tuple_type": "expected a list, got {given}",
    "string_type": "expected text, got {given}",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "int_type": "expected a whole number, got {given}",
    "float_type": "expected a number, got {given}",
    "finite_number": "expected a finite number, got {given}",
    "bool_type": "expected true or false, got {given}",
    "invalid_key": "a key must be text; put it into quotes",
    "recursion_loop": "the entry contains itself",
}


def sentence(error: ValidationError) -> str:
    """The first problem as ``key.path: what is wrong``, and how many more there are."""
    problems = error.errors(include_url=False)
    first = problems[0]
    path, message = _key_path(first["loc"]), _message(first)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if message.startswith("."):  # a validator that knows the rest of the path
        return f"{path}{message}{more}"
    return f"{path}: {message}{more}" if path else f"{message}{more}"


def _message(problem: ErrorDetails) -> str:
    kind, loc = problem["type"], problem["loc"]
    given = _short(problem.get("input"))
    if kind == "extra_forbidden":
        return f"unknown key{_suggest(str(loc[-1]), _known_keys(loc[:-1]))}"
    if kind == "mmm":
        return str(problem["ctx"]["message"])
    if kind in ("literal_error", "enum"):
        return f"expected {problem['ctx']['expected']}, got {given}".replace("'", "")
    if kind == "string_type" and isinstance(problem["input"], bool):
        return f"expected text, got {given}; YAML reads NO, on and yes as true or false, put them into quotes"
    if kind in WORDS:
        return WORDS[kind].format(given=given)
    message = problem["msg"].replace("Input should be", "expected")
    return f"{message[0].lower()}{message[1:]}, got {given}"


def _short(value: Any) -> str:
    """What stood in the file, in the words of YAML and on one line."""
    words = {None: "nothing", True: "true", False: "false"}
    is_word = value is None or isinstance(value, bool)
    text = words[value] if is_word else " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _key_path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not (part.startswith(("function-", "literal[", "constrained-")) or part in ("int", "str")):
            path += f".{part}" if path else part
    return path


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """Keys that may stand at a place of the spec."""
    model: type[BaseModel] | None = ExperimentSpec
    for part in loc:
        if model is not None and isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation)
    return list(model.model_fields) if model is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
