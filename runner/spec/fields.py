"""Building blocks of the spec: strict values, and sentences that say what was expected instead."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from mmm_core.limits import describe_limits, within_limits

# Columns of our own tables, and keys that stand beside the channels' names in a spec.
RESERVED_NAMES = ("intercept", "outcome", "date", "fitted", "train_size", "lambda_hp", "lambda", "default")
LONGEST_FILE_NAME = 100


def fail(message: str) -> PydanticCustomError:
    return PydanticCustomError("mmm", "{message}", {"message": message})


def check_name(value: str) -> str:
    if not value.strip():
        raise fail("a name must not be empty")
    if value in RESERVED_NAMES:
        raise fail(f"{value!r} is a reserved name; choose another one of your own")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise fail(f"{value!r} holds a line break or another control character; remove it")
    return value


def check_file_name(value: str) -> str:
    if not re.fullmatch(r"[\w][\w .+-]*", value) or value.endswith((".", " ")):
        raise fail(
            f"{value!r} becomes a file name: use letters, digits, space, dot, plus, minus and underscore"
        )
    if len(value.encode()) > LONGEST_FILE_NAME:
        raise fail(
            f"{value[:20]!r}... becomes a file name and is longer than {LONGEST_FILE_NAME} bytes; shorten it"
        )
    return value


def parse_range(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, list, tuple)):
        raise fail("expected [low, high], or one number to fix it")
    pair = [value, value] if isinstance(value, (int, float)) else list(value)
    if len(pair) != 2 or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in pair):
        raise fail("expected [low, high], or one number to fix it")
    low, high = float(pair[0]), float(pair[1])
    if not (math.isfinite(low) and math.isfinite(high)):
        raise fail("bounds must be finite numbers")
    if low > high:
        raise fail(f"lower bound {low:g} is above upper bound {high:g}; swap them")
    return (low, high)


def parse_day(value: Any) -> Any:
    """A date as YAML reads it, or as ISO text; pydantic would take a number for seconds since 1970."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    if value is None or isinstance(value, date):
        return value
    raise fail(f"expected a date like 2024-01-29, got {value!r}")


@dataclass(frozen=True, eq=False)
class Also:
    """Tells the JSON Schema that a validator takes another form too."""

    form: dict[str, Any]

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [self.form, handler(core)]}


TEXT: dict[str, Any] = {"type": "string"}


def as_mapping(key: str) -> BeforeValidator:
    """A plain string is short for {key: string}."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


def auto_or_count(*words: str) -> BeforeValidator:
    """One of some words, or a whole number from 1; by hand, so that an error names both."""

    def check(value: Any) -> Any:
        if value in words or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
            return value
        raise fail(f"expected {', '.join(words)} or a whole number from 1, got {value!r}")

    return BeforeValidator(check)


Range = Annotated[tuple[float, float], BeforeValidator(parse_range), Also({"type": "number"})]
Day = Annotated[
    date | None, BeforeValidator(parse_day), WithJsonSchema({"type": ["string", "null"], "format": "date"})
]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, AfterValidator(check_name)]
FileName = Annotated[str, AfterValidator(check_file_name)]
Sign = Literal["positive", "negative", "free"]


class Strict(BaseModel):
    """Frozen, without unknown keys, without silent conversion of text to numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False, allow_inf_nan=False)


def check_order(start: date | None, end: date | None) -> None:
    if start is not None and end is not None and start > end:
        raise fail(f"start {start} is after end {end}; swap them")


def located(path: str, check: Callable[[Any], Any], value: Any) -> Any:
    """The checked value; a complaint is given the rest of the path, by which ``sentence`` knows it."""
    try:
        return check(value)
    except PydanticCustomError as error:
        raise fail(f"{path}: {error.message()}") from error


def check_limits(path: str, parameter: str, bounds: tuple[float, float]) -> None:
    for value in bounds:
        if not within_limits(parameter, value):
            raise fail(f"{path}: {value:g} is out of range; expected {describe_limits(parameter)}")


def suggest(word: str, known: Iterable[Any]) -> str:
    names = [name for name in known if isinstance(name, str)]
    close = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(map(repr, names))}"
