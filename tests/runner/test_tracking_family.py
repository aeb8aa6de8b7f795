"""Runs that belong together are below one run in MLflow, whoever is there first, and once."""

from __future__ import annotations

import pytest

from runner.run_folder import RunFolder
from runner.tracking.base import TrackingFailed
from runner.tracking.family import Whole, mirror_family, mirror_whole
from runner.tracking.memory_tracker import MemoryTracker
from runner.tracking.mirror import mirror, store_root
from tests.runner.mirrored import FailingTracker, make_run, picture

WHOLE = "portfolio-20240101T000000Z-01234567"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Whole, list[RunFolder]]:
    """A portfolio of two models."""
    root = tmp_path_factory.mktemp("made") / WHOLE
    members = []
    for name in ("de", "fr"):
        folder = make_run(root / "models" / "x", n=10)
        target = root / "models" / f"{name}-{folder.run_id}"
        folder = RunFolder(folder.path.rename(target))
        belongs = {"run": WHOLE, "model": name, "keys": {"market": name, "brand & co": "a"}}
        folder.write_manifest({**folder.manifest(), "run_id": folder.run_id, "portfolio": belongs})
        members.append(folder)
    (root / "channels.parquet").write_bytes(b"table")
    whole = Whole(
        WHOLE,
        "2024-01-01T00:00:00+00:00",
        "small",
        root,
        ["channels.parquet"],
        {"models": "2"},
        {"pooled R&D": 0.5, "none": None, "cpa": float("inf")},
        {"kind of model": "portfolio"},
        "Two markets.",
        12.0,
    )
    return whole, members


def by_run_and_name(tracker):
    """Trials of different members have one name."""
    found = {(run.tags["mmm.run_id"], run.name): run for run in picture(tracker).values()}
    assert len(found) == len(tracker.runs)
    return found


def test_the_whole_is_above_its_members_and_says_what_they_have_in_common(made):
    whole, members = made
    tracker = MemoryTracker()
    told: list[tuple[int, int]] = []
    reports = mirror_family(whole, members, tracker, lambda *numbers: told.append(numbers))
    runs = {name: run for (_, name), run in by_run_and_name(tracker).items()}
    assert runs[WHOLE].parent is None
    assert [runs[folder.run_id].parent for folder in members] == [WHOLE, WHOLE]
    assert runs[WHOLE].latest == {"pooled R_x26_D": 0.5}
    assert runs[WHOLE].tags["mlflow.note.content"] == "Two markets."
    assert runs[WHOLE].files == {"channels.parquet": b"table"}
    assert (runs[members[0].run_id].tags["market"], runs[members[0].run_id].tags["portfolio"]) == (
        "de",
        WHOLE,
    )
    assert runs[members[0].run_id].tags["brand _x26_ co"] == "a"
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert [report.run_id for report in reports] == [WHOLE, *(folder.run_id for folder in members)]


def test_mirroring_a_family_twice_changes_nothing(made):
    tracker = MemoryTracker()
    mirror_family(*made, tracker)
    before = picture(tracker)
    reports = mirror_family(*made, tracker)
    assert picture(tracker) == before
    assert not any(report.written or report.renewed or report.deleted for report in reports)


def test_a_member_that_was_there_first_moves_below_the_whole(made):
    whole, members = made
    expected = MemoryTracker()
    mirror_family(whole, members, expected)
    tracker = MemoryTracker()
    mirror(members[0], tracker)
    mirror_whole(whole, tracker)
    mirror(members[1], tracker)
    mirror(members[0], tracker)
    assert by_run_and_name(tracker) == by_run_and_name(expected)


@pytest.mark.parametrize("calls", [1, 3, 8, 14])
def test_a_store_that_dies_on_the_way_is_made_up_for(made, calls):
    expected, tracker = MemoryTracker(), FailingTracker(calls)
    mirror_family(*made, expected)
    with pytest.raises(TrackingFailed):
        mirror_family(*made, tracker)
    tracker.left = 10_000
    mirror_family(*made, tracker)
    assert by_run_and_name(tracker) == by_run_and_name(expected)


def test_members_share_the_store_beside_the_whole(made):
    whole, members = made
    assert store_root(members[0]) == whole.root.resolve().parent
