"""The experiment as a whole: sections that must agree, ranges filled in, and the digest of what was asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, StrictBool, field_validator, model_validator

from mmm_core.types import Adstock, InterceptRule
from runner.spec.fields import (
    TEXT,
    Also,
    FileName,
    Range,
    Strict,
    as_mapping,
    check_limits,
    fail,
    located,
    parse_range,
    suggest,
)
from runner.spec.refresh import RefreshSpec
from runner.spec.scenarios import ScenarioSpec
from runner.spec.sections import (
    BaselineSpec,
    BootstrapSpec,
    CalibrationSpec,
    ChannelSpec,
    ContextSpec,
    CurveSpec,
    DataSpec,
    ExecutionSpec,
    OrganicSpec,
    OutcomeSpec,
    ReportSpec,
    SearchSpec,
    SelectionSpec,
    TrackingSpec,
    ValidationSpec,
    WindowSpec,
)

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
}  # The survival curve of the CDF kind is flat beyond shape 2.
WEIBULL_CDF_SHAPE = (0.0, 2.0)


class ExperimentSpec(Strict):
    """One experiment."""

    name: FileName
    data: DataSpec
    outcome: OutcomeSpec
    window: WindowSpec = WindowSpec()
    channels: tuple[ChannelSpec, ...] = Field(min_length=1)
    organic: tuple[Annotated[OrganicSpec, Also(TEXT)], ...] = ()
    context: tuple[Annotated[ContextSpec, Also(TEXT)], ...] = ()
    baseline: Annotated[BaselineSpec, Also({"enum": ["none", None]})] = BaselineSpec(
        components=("trend", "season")
    )
    adstock: Adstock = Adstock.GEOMETRIC
    hyperparameters: dict[str, Range | dict[str, Range]] = Field(default_factory=dict)
    validation: ValidationSpec = ValidationSpec()
    penalty_factors: StrictBool = False
    intercept: InterceptRule = InterceptRule.NON_NEGATIVE
    calibration: Annotated[CalibrationSpec | None, as_mapping("path"), Also(TEXT)] = None
    curves: tuple[CurveSpec, ...] = ()
    search: SearchSpec = SearchSpec()
    selection: SelectionSpec = SelectionSpec()
    bootstrap: BootstrapSpec = BootstrapSpec()
    scenarios: tuple[ScenarioSpec, ...] = (ScenarioSpec(name="same-budget"),)
    tracking: TrackingSpec = TrackingSpec()
    execution: ExecutionSpec = ExecutionSpec()
    report: ReportSpec = ReportSpec()
    refresh: RefreshSpec | None = None

    @field_validator("baseline", mode="before")
    @classmethod
    def _no_baseline(cls, value: Any) -> Any:
        return {} if value is None or value == "none" else value

    @field_validator("hyperparameters", mode="before")
    @classmethod
    def _nested_ranges(cls, value: Any) -> Any:
        # Decoded here rather than by a union, so that an error names the key and not the branches of a union.
        if not isinstance(value, Mapping):
            raise fail("expected channels with their hyperparameters, for example tv: {theta: [0.3, 0.8]}")
        decoded: dict[str, Any] = {}
        for key, entry in value.items():
            if isinstance(entry, Mapping):
                decoded[str(key)] = {str(p): located(f".{key}.{p}", parse_range, v) for p, v in entry.items()}
            else:
                decoded[str(key)] = located(f".{key}", parse_range, entry)
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
        self._check_curves()
        self._check_start()
        weights = self.search.objective_weights or ()
        if len(weights) == 3 and self.calibration is None:
            raise fail(
                "search.objective_weights: the third weight is for calibration, which is not given; remove it"
            )
        if len(weights) == 2 and self.calibration is not None:
            raise fail(
                "search.objective_weights: the weight of the calibration error is missing; add a third"
            )
        return self

    def _check_scenarios(self) -> None:
        names = [scenario.name for scenario in self.scenarios]
        channels = [channel.name for channel in self.channels]
        for scenario in self.scenarios:
            if names.count(scenario.name) > 1:
                raise fail(f"scenarios: the name {scenario.name!r} is used twice; rename one")
            for channel in scenario.bounds if isinstance(scenario.bounds, dict) else ():
                if channel not in (*channels, "default"):
                    raise fail(
                        f"scenarios.{scenario.name}.bounds: there is no channel {channel!r}"
                        f"{suggest(channel, channels)}"
                    )

    def _check_curves(self) -> None:
        channels = [curve.channel for curve in self.curves]
        for position, channel in enumerate(channels):
            if channel not in self.media_names:
                raise fail(
                    f"curves[{position}].channel: there is no channel or organic medium {channel!r}"
                    f"{suggest(channel, self.media_names)}"
                )
            for parameter in ("alpha", "gamma"):
                if parameter in self._of_medium(channel):
                    raise fail(
                        f"hyperparameters.{channel}.{parameter}: is given here and by curves[{position}]; keep one"
                    )

    def _check_start(self) -> None:
        known = [f"{medium}_{p}" for medium in self.media_names for p in (*self._per_medium, "penalty")]
        known += [f"{column}_penalty" for column in (*self.baseline.components, *self.baseline.precomputed)]
        known += [f"{context.name}_penalty" for context in self.context] + ["train_size", "lambda_hp"]
        for position, point in enumerate(self.search.start):
            for name in point:
                if name not in known:
                    raise fail(
                        f"search.start[{position}].{name}: unknown hyperparameter{suggest(name, known)}"
                    )

    def _check_roles(self) -> None:
        roles: dict[str, str] = {}
        for column, role in self.column_roles():
            if column in roles:
                raise fail(f"column {column!r} is used in two roles, {roles[column]} and {role}; keep one")
            roles[column] = role
        names = [*self.baseline.components, *self.baseline.precomputed]
        names += [c.name for c in self.context] + list(self.media_names)
        for name in names:
            if names.count(name) > 1:
                raise fail(f"the name {name!r} is used twice; names of components must differ")

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
                raise fail(f"hyperparameters.{key}: expected its parameters, for example {{alpha: [0.5, 3]}}")
            elif key in ("train_size", "lambda_hp"):
                check_limits(f"hyperparameters.{key}", key, entry)
            elif key.endswith("_penalty"):
                self._check_penalty(f"hyperparameters.{key}", entry)
                if "penalty" in self._of_medium(key.removesuffix("_penalty")):
                    raise fail(f"hyperparameters.{key}: is given twice; keep one")
            else:
                raise fail(f"hyperparameters.{key}: unknown key{self._hyperparameter_hint(key)}")

    @property
    def _per_medium(self) -> tuple[str, ...]:
        return ("alpha", "gamma", *self.adstock.parameters)

    def _of_medium(self, medium: str) -> dict[str, tuple[float, float]]:
        entry = self.hyperparameters.get(medium)
        return entry if isinstance(entry, dict) else {}

    def _check_medium(self, medium: str, ranges: dict[str, tuple[float, float]]) -> None:
        where = f"hyperparameters.{medium}"
        if medium not in self.media_names:
            hint = suggest(medium, self.media_names)
            raise fail(f"{where}: there is no channel or organic medium of this name{hint}")
        for parameter, bounds in ranges.items():
            if parameter == "penalty":
                self._check_penalty(f"{where}.penalty", bounds)
            elif parameter in self._per_medium:
                check_limits(f"{where}.{parameter}", parameter, bounds)
            else:
                raise fail(
                    f"{where}.{parameter}: unknown for {self.adstock} adstock; "
                    f"expected one of {', '.join(self._per_medium)}"
                )

    def _check_penalty(self, where: str, bounds: tuple[float, float]) -> None:
        if not self.penalty_factors:
            raise fail(f"{where}: penalties are searched with penalty_factors: true only")
        check_limits(where, "penalty", bounds)

    def _hyperparameter_hint(self, key: str) -> str:
        medium, _, parameter = key.rpartition("_")
        if medium in self.media_names and parameter in self._per_medium:
            return f"; write {medium}: {{{parameter}: [low, high]}}"
        return suggest(key, [*self.media_names, "train_size", "lambda_hp"])

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
        """SHA-256, hex, of all that can change a result: not where it runs, is tracked, in which language it is told
        or where its tables lie, nor what the runs before a refresh are called.
        """
        tree = self.resolved()
        for key in ("tracking", "execution", "report"):
            del tree[key]
        if self.refresh is not None:
            for key in ("run", "lineage"):
                del tree["refresh"][key]
        for entry in file_entries(tree):
            del entry["path"]
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment."""
        return self.tracking.experiment or self.name


# (section, key) of the entries that may be a path alone; no section is the spec itself.
SHORT_PATHS = ((None, "calibration"), ("baseline", "holidays"), ("search", "warm_start"))


def file_entries(tree: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The mappings of a spec that hold a path, in a fixed order."""
    entries = [tree.get("data"), tree.get("calibration")]
    for section, key in SHORT_PATHS[1:]:
        parent = tree.get(section)
        entries.append(parent.get(key) if isinstance(parent, dict) else None)
    curves = tree.get("curves")
    entries += curves if isinstance(curves, (list, tuple)) else []
    return [entry for entry in entries if isinstance(entry, dict) and "path" in entry]
