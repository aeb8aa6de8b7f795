"""Whatever a name holds, its folder stays where it belongs, and no two names share one."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.names import LONGEST, folder_names, is_folder_name

BAD = ["../x", "a/b", "x" * 300, "🙂", "<script>", "", " ", ".", "..", "a\\b", "x.", "x ", "a\nb", "a\0b", "\ud800",
       "~", "*", "C:x", "nul", "COM1.txt", "-", "ü" * 99, unicodedata.normalize("NFD", "Köln")]  # fmt: skip


@pytest.mark.parametrize("name", ["Nord", "Köln 2", "a.b", "x+y-z_1", "日本", "9"])
def test_a_name_that_can_be_a_folder_is_one(name: str) -> None:
    assert folder_names([name]) == {name: name}


def test_every_other_name_gets_a_folder_of_its_own_that_stays_inside(tmp_path: Path) -> None:
    folders = folder_names(BAD)
    for name, folder in folders.items():
        assert folder != name
        (tmp_path / folder).mkdir()
        assert (tmp_path / folder).resolve().parent == tmp_path.resolve()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(folders.values())
    assert folders["../x"].startswith("x-")


def test_names_that_differ_in_case_alone_get_different_folders() -> None:
    folders = folder_names(["Nord", "nord", "süd"])
    assert folders["süd"] == "süd"
    assert len({folder.casefold() for folder in folders.values()}) == 3


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="given twice"):
        folder_names(["a", "a"])


@given(st.lists(st.text(max_size=120), unique=True, max_size=8))
def test_any_names(names: list[str]) -> None:
    folders = folder_names(names)
    assert list(folders) == names
    assert len({folder.casefold() for folder in folders.values()}) == len(names)
    for folder in folders.values():
        assert is_folder_name(folder)
        assert len(folder.encode()) <= LONGEST
