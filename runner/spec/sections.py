"""The sections of a spec, each a frozen model with its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictFloat, StrictInt, field_validator, model_validator

from mmm_core.types import Convention, OutcomeKind
from runner.spec.fields import (
    TEXT,
    Also,
    Day,
    Name,
    Sign,
    Strict,
    Text,
    as_mapping,
    auto_or_count,
    check_order,
    fail,
)

# The one optimizer that we have compiled ourselves, by the name that Nevergrad gives its like.
COMPILED_OPTIMIZER = "TwoPointsDE"
PROPHET_COMPONENTS = ("trend", "season", "monthly", "weekday", "holiday")


class DataSpec(Strict):
    """Where the table is and which column is the date.

    ``where`` takes the rows whose columns have these values, such as one market of a table of many.
    """

    path: Text
    date: Text
    where: dict[str, Text] = Field(default_factory=dict)


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
        check_order(self.start, self.end)
        return self


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
    format: Literal["auto", "neutral", "robyn", "geolift", "meridian"] = "auto"


class CurveSpec(FileSpec):
    """A cumulative curve of spend and response that one channel's alpha and gamma are bounded by.

    Such as reach and frequency from a media plan. ``where`` takes the rows of the table whose columns have these
    values; ``shape`` says what is known of the curve before it is fitted. ``periods`` is how many periods of the data
    its spend is spread over; robyn takes its last spend for the channel's largest adstocked exposure instead.
    """

    channel: Name
    spend: Text = "spend_cumulated"
    response: Text = "response_cumulated"
    where: dict[str, Text] = Field(default_factory=dict)
    shape: Literal["any", "concave", "s"] = "any"
    periods: Annotated[Literal["robyn"] | Annotated[int, Field(ge=1)], auto_or_count("robyn")] = 1


class BaselineSpec(Strict):
    """Trend, season and holidays: from Prophet, or columns of the data, or none (both lists empty)."""

    components: tuple[Literal["trend", "season", "monthly", "weekday", "holiday"], ...] = ()
    country: Text | None = None
    holidays: Annotated[FileSpec | None, as_mapping("path"), Also(TEXT)] = None
    prophet: dict[str, Any] = Field(default_factory=dict)
    precomputed: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> BaselineSpec:
        if self.components and self.precomputed:
            raise fail("give either components (from Prophet) or precomputed (columns of the data), not both")
        if len(set(self.components)) < len(self.components):
            raise fail("a component is named twice")
        if "holiday" in self.components and not (self.country or self.holidays):
            raise fail("holiday needs country (for example DE) or holidays: {path: ...}")
        return self


class ValidationSpec(Strict):
    """Whether the window is split in time into training, validation and test rows."""

    time_series: StrictBool = True


class SearchSpec(Strict):
    """How candidates are asked for. The batch size belongs to the search, never to the machine.

    ``engine: compiled`` is a TwoPointsDE of our own, ``nevergrad`` any ``optimizer`` of Nevergrad's; naming another
    optimizer than TwoPointsDE asks for Nevergrad.
    ``penalty_scale`` is how lambda_hp becomes lambda, ``solver`` how exactly the ridge is solved; the defaults are
    Robyn's. ``warm_start`` names a finished run whose selected models every trial asks first; a run writes them out as
    ``start``, so that its own spec says all.
    """

    engine: Literal["compiled", "nevergrad"] = "compiled"
    optimizer: str = COMPILED_OPTIMIZER
    trials: StrictInt = Field(5, ge=1)
    iterations: StrictInt = Field(2000, ge=1)
    batch_size: StrictInt = Field(30, ge=1)
    seed: StrictInt = Field(123, ge=0)
    objective_weights: tuple[StrictFloat, ...] | None = None
    rssd_zero_penalty: StrictBool = True
    penalty_scale: Literal["linear", "log"] = "linear"
    solver: Literal["glmnet", "exact"] = "glmnet"
    warm_start: Annotated[FileSpec | None, as_mapping("path"), Also(TEXT)] = None
    start: tuple[dict[str, StrictFloat], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _engine(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "engine" not in value:
            ours = value.get("optimizer", COMPILED_OPTIMIZER) == COMPILED_OPTIMIZER
            return {**value, "engine": "compiled" if ours else "nevergrad"}
        return value

    @model_validator(mode="after")
    def _consistent(self) -> SearchSpec:
        if self.engine == "compiled" and self.optimizer != COMPILED_OPTIMIZER:
            raise fail(
                f"engine compiled has no optimizer but {COMPILED_OPTIMIZER}; remove optimizer, or set engine: nevergrad"
            )
        return self

    @field_validator("objective_weights")
    @classmethod
    def _weights(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is None:
            return value
        if len(value) not in (2, 3) or any(not 0 <= w <= 10 for w in value) or sum(value) == 0:
            raise fail(
                "expected a weight in 0..10 for nrmse, for decomp_rssd and, with calibration, for mape, not all 0"
            )
        return value


class SelectionSpec(Strict):
    """How candidates become selected models.

    ``winners``: the best of each cluster by Robyn's error score, of which a third is DecompRSSD, or by its fit over
    the whole window. DecompRSSD draws every ROAS towards the mean ROAS; on simulated data the winners by fit are
    somewhat closer in ROAS, and their plans truly bring as much (README).
    ``calibration_constraint``: with lift studies only this part of the candidates, those closest to them, is kept.
    """

    fronts: Annotated[Literal["auto"] | Annotated[int, Field(ge=1)], auto_or_count("auto")] = "auto"
    min_candidates: StrictInt = Field(100, ge=1)
    clusters: Annotated[
        Literal["auto", "robyn"] | Annotated[int, Field(ge=1)], auto_or_count("auto", "robyn")
    ] = "auto"
    per_cluster: StrictInt = Field(1, ge=1)
    winners: Literal["error_score", "fit"] = "error_score"
    calibration_constraint: StrictFloat = Field(0.1, gt=0, le=1)


class BootstrapSpec(Strict):
    """Refits of every selected model on resampled residuals; 0 refits means no intervals."""

    refits: StrictInt = Field(1000, ge=0)
    level: StrictFloat = Field(0.9, gt=0, lt=1)


class TrackingSpec(Strict):
    """The MLflow mirror: a null uri is an SQLite file beside the runs; candidates says which become runs."""

    uri: Text | None = None
    experiment: Text | None = None
    candidates: Literal["all", "pareto", "selected"] = "pareto"
    system_metrics: StrictBool = False
    enabled: StrictBool = True


class ReportSpec(Strict):
    """The language of the one-pagers, and the one that the page opens in."""

    language: Literal["en", "de", "es", "zh"] = "en"


class ExecutionSpec(Strict):
    """Where the work is done; it never changes a result. ``dashboard`` is that of a local Ray."""

    address: str = "local"
    backend: Literal["ray", "serial"] = "ray"
    workers: StrictInt | None = Field(None, ge=1)
    dashboard: StrictBool = False
