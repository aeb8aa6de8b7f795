"""Archives that come from elsewhere stay inside the folder they are unpacked to."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from cluster import archives
from cluster.archives import BadArchive, pack, place, unpack


def write(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries:
            file.writestr(name, content)
    return path


def test_a_folder_survives_the_round_trip(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "größe 1.txt").write_bytes(b"x" * 3_000_000)
    (folder / "empty").write_bytes(b"")
    (folder / "link").symlink_to("/etc/passwd")
    pack(folder, tmp_path / "run.zip")
    assert [path.name for path in unpack(tmp_path / "run.zip", tmp_path / "out")] == ["a", "empty"]
    assert (tmp_path / "out" / "a" / "b" / "größe 1.txt").read_bytes() == b"x" * 3_000_000
    assert not (tmp_path / "run.zip.part").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/../../x",
        "/etc/x",
        "//etc/x",
        "..\\x",
        "C:/x",
        "C:x",
        "a/..",
        "a" * 300,
        "é" * 200,
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    archive = write(tmp_path / "bad.zip", ("good.txt", b"1"), (name, b"2"))
    with pytest.raises(
        BadArchive, match=r"bad\.zip cannot be unpacked: its entry .* would be written elsewhere"
    ):
        unpack(archive, tmp_path / "out" / "deep")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bad.zip", "out"]


@pytest.mark.parametrize("name", ["<script>", "🙂.txt", "a/b/c", "name with spaces", "...", "con"])
def test_odd_names_that_stay_inside_are_kept(tmp_path: Path, name: str) -> None:
    unpack(write(tmp_path / "odd.zip", (name, b"1")), tmp_path / "out")
    assert (tmp_path / "out" / name).read_bytes() == b"1"


def test_a_link_becomes_an_ordinary_file(tmp_path: Path) -> None:
    """Then nothing that is written later can go through it."""
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    unpack(write(tmp_path / "link.zip", (link, b"/etc")), tmp_path / "out")
    assert not (tmp_path / "out" / "link").is_symlink()
    assert (tmp_path / "out" / "link").read_bytes() == b"/etc"
    assert not stat.S_IMODE((tmp_path / "out" / "link").stat().st_mode) & 0o111


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = write(tmp_path / "twice.zip", ("a", b"1"), ("a", b"2"))
    with pytest.raises(BadArchive):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_archive_or_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("not an archive")
    whole = write(tmp_path / "whole.zip", ("a", b"1" * 1000)).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "flipped.zip").write_bytes(whole.replace(b"1" * 10, b"1" * 9 + b"2", 1))
    for name in ("text", "cut", "flipped"):
        with pytest.raises(BadArchive, match="cannot be unpacked"):
            unpack(tmp_path / f"{name}.zip", tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LARGEST_UNPACKED", 1 << 20)
    monkeypatch.setattr(archives, "MOST_FILES", 10)
    with zipfile.ZipFile(tmp_path / "big.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(2 << 20))
    write(tmp_path / "many.zip", *((str(n), b"") for n in range(11)))
    for name in ("big", "many"):
        with pytest.raises(BadArchive, match="more than"):
            unpack(tmp_path / f"{name}.zip", tmp_path / "out")


def test_what_is_there_already_is_not_replaced(tmp_path: Path) -> None:
    for folder in ("runs/run-1", "out/run-1", "out/run-2"):
        (tmp_path / folder).mkdir(parents=True)
    assert place(tmp_path / "out" / "run-2", tmp_path / "runs") == tmp_path / "runs" / "run-2"
    with pytest.raises(BadArchive, match="is there already; move it away"):
        place(tmp_path / "out" / "run-1", tmp_path / "runs")
