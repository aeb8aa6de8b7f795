"""Everything that README.md and docs/ let a reader do, done: each page in a folder of its own, from top to bottom."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.spec import decode
from tests.docs.pages import NOT_RUN, PAGES, Step, steps
from tests.docs.workplace import change_spec, make_workplace, shell
from tests.runner.command import ROOT

QUICKSTART = yaml.safe_load((ROOT / "experiments" / "quickstart.yaml").read_text(encoding="utf-8"))


def name_of(page: Path) -> str:
    return page.name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_is_understood_and_its_links_lead_somewhere(page):
    for step in steps(page):
        assert "…" not in step.text or step.kind != "command" or step.why_not, (
            f"{page.name}:{step.line}: {step.text}"
        )
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target} is not there"


def test_what_is_not_run_has_a_reason():
    skipped = [(page.name, step) for page in PAGES for step in steps(page) if step.why_not]
    for page, step in skipped:
        print(f"{page}:{step.line}: {step.text.splitlines()[0]}: {step.why_not}")
        assert len(step.why_not) > 10
    used = {how for how in NOT_RUN if any(re.match(how, step.text) for _, step in skipped)}
    assert "make " in used


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pieces_of_specs_are_taken(page):
    for step in steps(page):
        if step.kind == "yaml" and not step.why_not:
            decode(in_the_quickstart(yaml.safe_load(step.text)), f"{page.name}:{step.line}")


@pytest.mark.integration
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_does_what_it_says(page, tmp_path, monkeypatch):
    todo = [step for step in steps(page) if not step.why_not and step.kind != "yaml"]
    if not any(step.kind in ("command", "python") for step in todo):
        pytest.skip("nothing to do on this page")
    make_workplace(tmp_path)
    monkeypatch.chdir(tmp_path)
    for step in todo:
        do(step, page, tmp_path)


def do(step: Step, page: Path, folder: Path) -> None:
    """One step; an assertion names page and line."""
    if step.kind == "set":
        for path in (folder / "experiments").glob("*.yaml"):
            change_spec(path, step.text)
    elif step.kind == "command":
        ran = shell(step.text, folder)
        assert ran.status == 0, f"{page.name}:{step.line}: {step.text}\n{ran.out}"
        assert "\x1b" not in ran.out
    else:
        (folder / "block.py").write_text(step.text)  # a process of its own: warnings of others are not ours
        ran = shell("python block.py", folder)
        assert ran.status == 0, f"{page.name}:{step.line}: {step.text}\n{ran.out}"


def in_the_quickstart(piece: dict[str, Any]) -> dict[str, Any]:
    """A piece of a spec, put into the quickstart's; a whole one stays as it is."""
    if {"name", "channels", "outcome"} <= set(piece):
        return piece
    tree = copy.deepcopy(QUICKSTART)
    for key, value in piece.items():
        both_map = isinstance(value, dict) and isinstance(tree.get(key), dict)
        tree[key] = {**tree[key], **value} if both_map else value
    for curve in piece.get("curves", []):  # which says what alpha and gamma may be
        tree["hyperparameters"][curve["channel"]] = {"theta": [0.3, 0.8]}
    return tree
