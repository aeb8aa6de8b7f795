"""The JSON of ``robyn_write`` as typed values.

R writes every scalar as an array of one; other writers, and other versions of Robyn, leave it bare, write a table by
columns instead of by rows, or lack a key. All of that is read alike. What cannot be done without is asked for by name.

Source: the files themselves and robyn-method section 23.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmm_core.errors import UserError
from mmm_core.types import Adstock, InterceptRule, OutcomeKind
from runner.robyn import names
from runner.source import near_name
from runner.spec import Sign

NOT_KNOWN = ("NA", "NaN", "", None)
WORDS = {"Inf": math.inf, "-Inf": -math.inf}


@dataclass(frozen=True)
class RobynChannel:
    """A paid channel; ``modelled`` is its column that hyperparameters and coefficients are named by."""

    spend: str
    exposure: str | None
    modelled: str
    sign: Sign


@dataclass(frozen=True)
class RobynInputs:
    """InputCollect: what the model was made of."""

    date: str
    outcome: str
    outcome_kind: OutcomeKind
    prophet: tuple[str, ...]
    country: str | None
    context: Mapping[str, Sign]
    factors: tuple[str, ...]
    channels: tuple[RobynChannel, ...]
    organic: Mapping[str, Sign]
    window_start: str
    window_end: str
    window_length: int | None
    n_rows: int | None
    added_start: str | None
    adstock: Adstock
    ranges: Mapping[str, tuple[float, float]]
    studies: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    version: tuple[int, ...] | None
    version_text: str
    chain: tuple[str, ...]

    @property
    def media(self) -> tuple[str, ...]:
        """Modelled columns, paid then organic."""
        return (*(channel.modelled for channel in self.channels), *self.organic)

    @property
    def is_refresh(self) -> bool:
        """Whether the model came out of robyn_refresh()."""
        return bool(self.chain)


@dataclass(frozen=True)
class RobynRow:
    """One predictor of ``ExportedModel.summary``; NaN where the file is silent."""

    coef: float
    contribution: float
    share: float
    performance: float


@dataclass(frozen=True)
class RobynModel:
    """One model file.

    Attributes:
        path: as the user gave it. solution: its solID.
        values: hyperparameter by Robyn's name -> value, lambda and train_size apart.
        penalty: the absolute lambda. train_size: 1 where Robyn did not validate.
        summary: predictor by Robyn's name -> its numbers. errors: loss by our name -> value.
        search: optimizer, trials, iterations and seed, as far as the file has them.
        raw_data: the rows of Extras.raw_data, empty if it has none.
    """

    path: str
    solution: str
    inputs: RobynInputs
    values: Mapping[str, float]
    penalty: float
    train_size: float
    has_validation: bool
    has_penalties: bool
    rule: InterceptRule
    summary: Mapping[str, RobynRow]
    errors: Mapping[str, float]
    search: Mapping[str, Any]
    raw_data: Sequence[Mapping[str, Any]]


# ------------------------------------------------------------------------------------------------------------- sections


def unboxed(value: Any) -> Any:
    """The value of an array of one, and every other value as it is; an empty array or object is None."""
    if isinstance(value, (list, dict)) and not value:
        return None
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def number(value: Any) -> float:
    """A number as R writes it; NaN for its words for unknown. ValueError for anything else."""
    value = unboxed(value)
    if value in NOT_KNOWN:
        return math.nan
    if isinstance(value, str) and value in WORDS:
        return WORDS[value]
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("not a number")
    return float(value)


def records(value: Any) -> list[dict[str, Any]]:
    """A table as rows, whether it was written by rows, by columns, or as one bare row."""
    if value is None:
        return []
    if isinstance(value, list):
        return [dict(row) for row in value if isinstance(row, Mapping)]
    if not isinstance(value, Mapping) or not value:
        return []
    lengths = {len(column) for column in value.values() if isinstance(column, list)}
    n = max(lengths, default=1)
    return [{key: _cell(column, row) for key, column in value.items()} for row in range(n)]


def _cell(column: Any, row: int) -> Any:
    if not isinstance(column, list):
        return column
    return column[row] if row < len(column) else None


@dataclass(frozen=True)
class _Section:
    """A part of the file under its name, which every complaint carries."""

    path: str
    name: str
    entries: Mapping[str, Any]

    def fail(self, key: str, problem: str) -> UserError:
        return UserError(f"{self.path}: {self.name}.{key}: {problem}")

    def get(self, key: str) -> Any:
        return unboxed(self.entries.get(key))

    def text(self, key: str, default: str | None = None) -> str:
        value = self.get(key)
        if value is None:
            if default is not None:
                return default
            raise self.fail(key, "is missing; export the model again with robyn_write()")
        if isinstance(value, (list, dict)):
            raise self.fail(key, f"expected one value, got {len(value)}")
        return str(value)

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.get(key)
        values = value if isinstance(value, list) else [] if value is None else [value]
        return tuple(str(entry) for entry in values)

    def whole(self, key: str) -> int | None:
        value = self.number(key)
        return int(value) if math.isfinite(value) else None

    def number(self, key: str) -> float:
        try:
            return number(self.entries.get(key))
        except ValueError:
            raise self.fail(key, f"expected a number, got {self.entries[key]!r}"[:200]) from None

    def flag(self, key: str) -> bool | None:
        value = self.get(key)
        if isinstance(value, str):
            return {"true": True, "false": False}.get(value.lower())
        return bool(value) if isinstance(value, (bool, int)) else None

    def known(self, key: str) -> tuple[str, ...]:
        """Texts without R's words for unknown."""
        return tuple(text for text in self.texts(key) if text not in NOT_KNOWN)

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.get(key)
        return dict(value) if isinstance(value, Mapping) else {}


@dataclass(frozen=True)
class _Sections:
    """Several parts asked one after the other: versions of Robyn keep a setting in different ones."""

    parts: Sequence[_Section]

    def of(self, key: str) -> _Section | None:
        return next((part for part in self.parts if part.get(key) is not None), None)

    def flag(self, key: str) -> bool | None:
        part = self.of(key)
        return None if part is None else part.flag(key)

    def whole(self, key: str) -> int | None:
        part = self.of(key)
        return None if part is None else part.whole(key)

    def text(self, key: str, default: str) -> str:
        part = self.of(key)
        return default if part is None else part.text(key)


# -------------------------------------------------------------------------------------------------------------- reading


def read_model(path: str | Path) -> RobynModel:
    """A file of ``robyn_write`` that holds one model.

    Raises:
        UserError: no such file, not JSON, not of Robyn, without a model, or without something that a model needs.
    """
    tree = _tree(path)
    part = _sections(str(path), tree)
    inputs, exported = part["InputCollect"], part["ExportedModel"]
    settings = _Sections([part[name] for name in ("ModelsCollect", "OutputCollect")] + [exported, inputs])
    values = _hyperparameters(exported)
    summary = _summary(exported)
    channels = _channels(inputs, {*values, *summary})
    values = _by_modelled(values, channels)
    penalty = values.pop("lambda", math.nan)
    if not (math.isfinite(penalty) and penalty >= 0):
        raise exported.fail("hyper_values.lambda", "is missing; the penalty of the model is needed")
    train_size = values.pop("train_size", 1.0)
    has_validation = settings.flag("ts_validation")
    raw_data = records(part["Extras"].entries.get("raw_data"))
    return RobynModel(
        path=str(path),
        solution=_solution(exported),
        inputs=_inputs(inputs, exported, values, channels),
        values=values,
        penalty=penalty,
        train_size=train_size,
        has_validation=train_size < 1 if has_validation is None else has_validation,
        has_penalties=any(name.endswith(names.PENALTY) for name in values),
        rule=_rule(settings, str(path)),
        summary=summary,
        errors=_errors(exported),
        search=_search(settings),
        raw_data=[{key: unboxed(cell) for key, cell in row.items()} for row in raw_data],
    )


def _tree(path: str | Path) -> dict[str, Any]:
    try:
        tree = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; give a RobynModel-<solID>.json") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: not valid JSON (line {error.lineno}: {error.msg}); export the model again with robyn_write()"
        ) from None
    if not isinstance(tree, dict) or not isinstance(tree.get("InputCollect"), dict):
        raise UserError(
            f"{path}: not a model file of Robyn, it has no InputCollect; give a RobynModel-<solID>.json that "
            "robyn_write() made"
        )
    return tree


def _sections(path: str, tree: Mapping[str, Any]) -> dict[str, _Section]:
    if not isinstance(tree.get("ExportedModel"), dict):
        kind = "models, but the numbers of none" if "ModelsCollect" in tree else "inputs only"
        raise UserError(
            f"{path}: the file holds {kind}, it has no ExportedModel; write one model with "
            'robyn_write(InputCollect, OutputCollect, select_model = "...") and give its RobynModel-<solID>.json'
        )
    wanted = ("InputCollect", "ModelsCollect", "OutputCollect", "ExportedModel", "Extras")
    found = {name: tree[name] if isinstance(tree.get(name), dict) else {} for name in wanted}
    return {name: _Section(path, name, entries) for name, entries in found.items()}


def _solution(exported: _Section) -> str:
    return exported.text("select_model", "model")


def _rule(settings: _Sections, path: str) -> InterceptRule:
    has_intercept = settings.flag("intercept")
    sign = settings.text("intercept_sign", "non_negative")
    rule = names.intercept_rule(has_intercept is not False, sign)
    if rule is None:
        raise UserError(f"{path}: intercept_sign: {sign!r} is neither non_negative nor unconstrained")
    return rule


def _search(settings: _Sections) -> dict[str, Any]:
    """How the model was found. The model stands without it, so what is no such number is left out."""
    found: dict[str, Any] = {"optimizer": settings.text("nevergrad_algo", "")}
    for key, least in (("trials", 1), ("iterations", 1), ("seed", 0)):
        try:
            value = settings.whole(key)
        except UserError:
            continue
        if value is not None and value >= least:
            found[key] = value
    return {key: value for key, value in found.items() if value != ""}


def _hyperparameters(exported: _Section) -> dict[str, float]:
    found = exported.mapping("hyper_values")
    if not found:
        raise exported.fail("hyper_values", "is missing; the hyperparameters of the model are needed")
    section = _Section(exported.path, f"{exported.name}.hyper_values", found)
    return {name: section.number(name) for name in found}


def _summary(exported: _Section) -> dict[str, RobynRow]:
    rows: dict[str, RobynRow] = {}
    for record in records(exported.entries.get("summary")):
        row = _Section(exported.path, f"{exported.name}.summary", record)
        rows[row.text("variable")] = RobynRow(
            *(row.number(key) for key in ("coef", "decompAgg", "decompPer", "performance"))
        )
    if not rows:
        raise exported.fail("summary", "is missing; the coefficients of the model are needed to compare with")
    return rows


def _errors(exported: _Section) -> dict[str, float]:
    found = records(exported.entries.get("errors"))
    row = _Section(exported.path, f"{exported.name}.errors", found[0] if found else {})
    losses = {ours: row.number(theirs) for ours, theirs in names.LOSSES.items()}
    return {name: value for name, value in losses.items() if not math.isnan(value)}


# --------------------------------------------------------------------------------------------------------------- inputs


def _inputs(
    section: _Section, exported: _Section, values: Mapping[str, float], channels: tuple[RobynChannel, ...]
) -> RobynInputs:
    adstock = _adstock(section)
    organic = dict(zip(section.texts("organic_vars"), _signs(section, "organic"), strict=True))
    inputs = RobynInputs(
        date=section.text("date_var"),
        outcome=section.text("dep_var"),
        outcome_kind=_outcome_kind(section),
        prophet=tuple(name.lower() for name in section.texts("prophet_vars")),
        country=section.text("prophet_country", "") or None,
        context=dict(zip(section.texts("context_vars"), _signs(section, "context"), strict=True)),
        factors=section.texts("factor_vars"),
        channels=channels,
        organic=organic,
        window_start=section.text("window_start")[:10],
        window_end=section.text("window_end")[:10],
        window_length=section.whole("rollingWindowLength"),
        n_rows=section.whole("totalObservations"),
        added_start=next((day[:10] for day in section.known("refreshAddedStart")), None),
        adstock=adstock,
        ranges=_ranges(section, exported),
        studies=records(section.entries.get("calibration_input")),
        settings={key: unboxed(value) for key, value in section.mapping("custom_params").items()},
        version=names.version_of(section.text("version", "")),
        version_text=section.text("version", "Robyn of an unknown version"),
        chain=section.known("refreshChain") or section.known("refreshSourceID"),
    )
    _check_hyperparameters(exported, inputs, values)
    return inputs


def _adstock(section: _Section) -> Adstock:
    word = section.text("adstock").lower()
    if word not in names.ADSTOCKS:
        raise section.fail("adstock", f"{word!r} is unknown; known are {', '.join(names.ADSTOCKS)}")
    return names.ADSTOCKS[word]


def _outcome_kind(section: _Section) -> OutcomeKind:
    word = section.text("dep_var_type").lower()
    try:
        return OutcomeKind(word)
    except ValueError:
        raise section.fail("dep_var_type", f"{word!r} is neither revenue nor conversion") from None


def _signs(section: _Section, group: str) -> list[Sign]:
    """Signs of paid_media, organic or context variables; one sign is for all, none is Robyn's default."""
    variables = section.texts("paid_media_spends" if group == "paid_media" else f"{group}_vars")
    given = section.texts(f"{group}_signs")
    if not given:
        given = ("default" if group == "context" else "positive",)
    if len(given) == 1:
        given *= len(variables)
    if len(given) != len(variables):
        raise section.fail(f"{group}_signs", f"{len(given)} signs for {len(variables)} variables")
    for sign in given:
        if sign not in names.SIGNS:
            raise section.fail(f"{group}_signs", f"{sign!r} is unknown; known are {', '.join(names.SIGNS)}")
    return [names.SIGNS[sign] for sign in given]


def _channels(section: _Section, known: Collection[str]) -> tuple[RobynChannel, ...]:
    """Paid channels; ``known`` are the names of predictors and hyperparameters of the file."""
    spends = section.texts("paid_media_spends")
    if not spends:
        raise section.fail("paid_media_spends", "is missing; a model needs paid media")
    variables = section.texts("paid_media_vars") or spends
    if len(variables) != len(spends):
        raise section.fail("paid_media_vars", f"{len(variables)} variables for {len(spends)} spends")
    selected = section.texts("paid_media_selected")
    selected = selected if len(selected) == len(spends) else variables
    signs = _signs(section, "paid_media")
    channels = []
    for spend, variable, chosen, sign in zip(spends, variables, selected, signs, strict=True):
        exposures = [column for column in (variable, chosen) if column != spend]
        exposure = exposures[0] if exposures else None
        channels.append(RobynChannel(spend, exposure, _modelled(spend, exposure, known), sign))
    return tuple(channels)


def _modelled(spend: str, exposure: str | None, known: Collection[str]) -> str:
    """The exposure from 3.12 on, before that the spend: what the file names its predictor, or hyperparameters, by."""
    if exposure is None:
        return spend
    for column in (exposure, spend):
        if column in known:
            return column
    return spend if names.parameter_name(spend, "alpha") in known else exposure


def _by_modelled(values: Mapping[str, float], channels: Sequence[RobynChannel]) -> dict[str, float]:
    """Hyperparameters by the modelled column, also those that somebody wrote under the name of the spend."""
    own = {channel.spend: channel.modelled for channel in channels}
    found: dict[str, float] = {}
    for name, value in values.items():
        column, underscore, parameter = name.rpartition("_")
        found[f"{own.get(column, column)}{underscore}{parameter}"] = value
    return found


def _ranges(section: _Section, exported: _Section) -> dict[str, tuple[float, float]]:
    """Searched ranges by Robyn's names, one number for a fixed one; of the initial model where there are both."""
    found: dict[str, tuple[float, float]] = {}
    for part in (exported.mapping("hyper_updated"), section.mapping("hyperparameters")):
        for name, value in part.items():
            pair = value if isinstance(value, list) else [value]
            try:
                bounds = [number(entry) for entry in pair]
            except ValueError:
                continue  # some versions keep text of their own among them
            if len(bounds) in (1, 2) and all(map(math.isfinite, bounds)):
                found[name] = (bounds[0], bounds[-1])
    return found


def _needed(inputs: RobynInputs) -> Iterator[str]:
    for medium in inputs.media:
        for parameter in ("alpha", "gamma", *inputs.adstock.parameters):
            yield names.parameter_name(medium, parameter)


def _check_hyperparameters(exported: _Section, inputs: RobynInputs, values: Mapping[str, float]) -> None:
    for name in _needed(inputs):
        if not math.isfinite(values.get(name, math.nan)):
            hint = near_name(name, list(values)).replace("the table has", "the file has")
            raise exported.fail(f"hyper_values.{name}", f"is missing; {hint}")
