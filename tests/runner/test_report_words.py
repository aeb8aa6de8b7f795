"""The catalogue of words: complete in every language, and numbers and dates written as each language writes them."""

from __future__ import annotations

import math
import string

import pytest

from mmm_core.errors import UserError
from runner.reports import theme
from runner.reports.words import FORMATS, LANGUAGES, WORDS, day, say, speaking, spoken
from runner.spec.sections import ReportSpec


def placeholders(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


def test_every_key_is_there_in_every_language_with_the_same_placeholders() -> None:
    assert LANGUAGES == ("en", "de", "es", "zh")
    for key, words in WORDS.items():
        assert tuple(words) == LANGUAGES, key
        asked = placeholders(words["en"])
        for language, text in words.items():
            assert text.strip() or not words["en"].strip(), (key, language)
            assert placeholders(text) == asked, (key, language)


def test_words_that_are_sentences_are_translated() -> None:
    for key, words in WORDS.items():
        if len(words["en"].split()) > 4:
            assert len(set(words.values())) == len(LANGUAGES), key


def test_the_spec_speaks_the_languages_of_the_catalogue() -> None:
    assert set(ReportSpec.model_json_schema()["properties"]["language"]["enum"]) == set(LANGUAGES)


def test_a_language_is_spoken_within_and_no_longer() -> None:
    with speaking("de"):
        assert say("answer.title") == "Die Antwort"
        with speaking("zh"):
            assert spoken() == "zh"
        assert spoken() == "de"
    assert say("answer.title") == "The answer"


def test_a_sentence_that_ends_in_an_abbreviation_has_one_full_stop() -> None:
    with speaking("de"):
        assert say("answer.plan.none", scenario="a", message=theme.number(2.5e6)).endswith("Mio.")
        assert not say("answer.plan.none", scenario="a", message=theme.number(2.5e6)).endswith("..")


def test_an_unknown_language_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"'fr'; it speaks en, de, es, zh"), speaking("fr"):
        pass


@pytest.mark.parametrize(
    ("language", "number", "amount", "percent", "signed", "tick", "date"),
    [
        ("en", "12.3k", "1,234,568", "12.3%", "+12.3%", "2.5M", "2024-03-09"),
        ("de", "12,3 Tsd.", "1.234.568", "12,3 %", "+12,3 %", "2,5 Mio.", "09.03.2024"),
        ("es", "12,3 mil", "1.234.568", "12,3 %", "+12,3 %", "2,5 M", "09/03/2024"),
        ("zh", "1.23万", "1,234,568", "12.3%", "+12.3%", "250万", "2024年03月09日"),
    ],
)
def test_numbers_and_dates_are_written_as_in_the_language(
    language: str, number: str, amount: str, percent: str, signed: str, tick: str, date: str
) -> None:
    with speaking(language):
        assert theme.number(12345.0).replace("\xa0", " ") == number
        assert theme.amount(1234567.8) == amount
        assert theme.percent(0.1234).replace("\xa0", " ") == percent
        assert theme.signed_percent(0.1234).replace("\xa0", " ") == signed
        assert theme.tick(2.5e6).replace("\xa0", " ") == tick
        assert day("2024-03-09") == date
        assert theme.number(math.nan) == "–"
        assert day("never") == "never"


def test_units_go_from_the_largest_down() -> None:
    for form in FORMATS.values():
        limits = [limit for limit, _ in form.units]
        assert limits == sorted(limits, reverse=True)
