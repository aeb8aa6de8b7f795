"""Every piece of a spec on the page of search options is one that we take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from runner.spec import decode

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "search-options.md").read_text(encoding="utf-8")
PIECES = [yaml.safe_load(piece) for piece in re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)]


def test_there_are_pieces_of_a_spec():
    assert [list(piece) for piece in PIECES] == [["search"], ["search"], ["curves"]]


@pytest.mark.parametrize("number", range(len(PIECES)))
def test_a_piece_is_valid_in_the_quickstart(number):
    tree = yaml.safe_load((ROOT / "experiments" / "quickstart.yaml").read_text())
    piece = PIECES[number]
    tree["search"] |= piece.get("search", {})
    for curve in piece.get("curves", []):
        tree["curves"] = [curve]
        tree["hyperparameters"][curve["channel"]] = {"theta": [0.3, 0.8]}
    decode(tree, "page")
