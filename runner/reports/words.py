"""Every word of the report, in every language: ``say(key, ...)`` is the only way to a sentence.

The catalogue is ``words.json``: a key has the same placeholders in all languages, and every language has all keys (a
test holds it to that). Placeholders are filled with text that is already formatted. Which language is spoken is a
matter of where one stands:

    with speaking("de"):
        say("answer.title")            # Die Antwort

English is spoken where nobody said otherwise. The texts of findings and messages of the allocator are written where
they are found, in English; only what frames them is translated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from mmm_core.errors import UserError

DEFAULT = "en"
_SPOKEN: ContextVar[str] = ContextVar("language", default=DEFAULT)


@dataclass(frozen=True)
class Format:
    """How a language writes numbers and dates.

    Attributes:
        name: of the language, in itself. decimal, group: between digits. percent: after a share.
        date: pattern of {y}, {m}, {d}. units: (magnitude, what stands after the number), the largest first.
    """

    name: str
    decimal: str
    group: str
    percent: str
    date: str
    units: tuple[tuple[float, str], ...]

    def localised(self, digits: str) -> str:
        """A number as Python writes it, 1,234.5, as this language writes it."""
        return digits.translate({ord(","): self.group, ord("."): self.decimal})

    def day(self, iso: str) -> str:
        """An ISO date; what is none stays as it is."""
        year, _, rest = iso.partition("-")
        month, _, day = rest.partition("-")
        return self.date.format(y=year, m=month, d=day) if day.isdigit() else iso


@cache
def catalogue() -> Mapping[str, Any]:
    """``words.json`` as it stands: formats by language, words by key and language."""
    text = files("runner.reports").joinpath("words.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


WORDS: Mapping[str, Mapping[str, str]] = catalogue()["words"]
FORMATS: Mapping[str, Format] = {
    language: Format(**{**entry, "units": tuple(map(tuple, entry["units"]))})
    for language, entry in catalogue()["formats"].items()
}
LANGUAGES = tuple(FORMATS)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Say everything within in a language.

    Raises:
        UserError: there is no such language.
    """
    if language not in LANGUAGES:
        raise UserError(f"the report does not speak {language!r}; it speaks {', '.join(LANGUAGES)}")
    token = _SPOKEN.set(language)
    try:
        yield
    finally:
        _SPOKEN.reset(token)


def spoken() -> str:
    """The language that is spoken here."""
    return _SPOKEN.get()


def spoken_format() -> Format:
    """How it writes numbers and dates."""
    return FORMATS[_SPOKEN.get()]


def say(key: str, **values: object) -> str:
    """The words of a key, filled in; a sentence that ends in an abbreviation, 3 Mio., has one full stop."""
    text = WORDS[key][_SPOKEN.get()].format(**values)
    for _, unit in spoken_format().units:
        if unit.endswith("."):
            text = text.replace(f"{unit}.", unit)
    return text


def day(date: object) -> str:
    """A date in the language that is spoken."""
    return spoken_format().day(str(date))
