"""The example in the help of every command works as it is printed."""

from __future__ import annotations

import inspect
import re
import shlex

import pytest
from typer.main import get_command

from runner.cli import app
from runner.cli.verbs import VERBS
from tests.docs.pages import NOT_RUN
from tests.docs.workplace import change_spec, make_workplace, shell

# Runs that others need come first, and what a command needs beside the files of the workplace.
BEFORE = {
    "compare": ["mmm run my.yaml"],
    "import-robyn": ["mmm export-robyn experiments/quickstart.yaml --out RobynModel-quickstart.json"],
}

STOPPED = {"mmm resume": "needs a run that was stopped; tests/runner/test_resume.py stops and resumes them"}


def example(name: str) -> str:
    """The example of a command, on one line."""
    (verb,) = (verb for verb in VERBS if verb.name == name)
    found = re.findall(r"Example: `(mmm [^`]+)`", " ".join((inspect.getdoc(verb.function()) or "").split()))
    assert len(found) == 1, name
    return found[0]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_the_words_of_an_example_are_understood(verb):
    words = shlex.split(example(verb.name).partition(" > ")[0])[1:]
    assert words[0] == verb.name
    assert "…" not in example(verb.name)
    command = get_command(app).get_command(None, verb.name)
    command.make_context(verb.name, words[1:])


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = make_workplace(tmp_path_factory.mktemp("examples"))
    for path in (folder / "experiments").glob("*.yaml"):
        change_spec(path, "tracking.enabled=true")
    ran = shell(example("run"), folder)
    assert ran.status == 0, ran.out
    return folder


@pytest.mark.integration
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_an_example_works_as_printed(verb, workplace):
    command = example(verb.name)
    reason = next((why for how, why in (NOT_RUN | STOPPED).items() if re.match(how, command)), "")
    if reason:
        pytest.skip(reason)
    for before in BEFORE.get(verb.name, []):
        ran = shell(before, workplace)
        assert ran.status == 0, ran.out
    ran = shell(command, workplace)
    assert ran.status == 0, ran.out
    assert "\x1b" not in ran.out, "no control characters in a pipe"
