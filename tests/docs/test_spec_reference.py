"""docs/spec.md is what the code says, and says something about every key."""

from __future__ import annotations

import json

from runner.spec import reference
from tests.runner.command import ROOT, mmm


def test_every_key_has_a_sentence_and_every_sentence_a_key():
    assert reference.missing() == [], "write a sentence for each in runner/spec/explained.py"


def test_the_page_is_up_to_date(capsys):
    page = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8")
    assert mmm(capsys, "schema", "--markdown").out == page, "renew it: mmm schema --markdown > docs/spec.md"


def test_editors_are_told_too(capsys):
    schema = json.loads(mmm(capsys, "schema").out)
    assert schema["$defs"]["SearchSpec"]["properties"]["trials"]["description"].startswith(
        "Independent searches"
    )
