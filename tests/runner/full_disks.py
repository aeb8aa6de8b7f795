"""A run on disks of many sizes, each too small, that goes on when there is room.

    python -m tests.runner.full_disks SPEC FOLDER

Disks are mounted in memory, in a namespace of their own (root only, see ``nodes.can_mount``). Prints a JSON line each:
its size, what the user was told, and whether the run, resumed on a larger disk, equals one that never lacked room.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import runner
import runner.orchestrate
from mmm_core.errors import UserError
from mmm_core.warm_up import warm_up
from tests.runner.killed_runs import forked, results, run_of

PAGE = 4096
SIZES = 14


def mount(folder: Path, size: int, *, again: bool = False) -> None:
    """A disk of this size, or another size for the one that is there; seen by this process and its children alone."""
    options = f"{'remount,' if again else ''}size={size}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)


def used(folder: Path) -> int:
    """Bytes of a disk that are taken."""
    facts = os.statvfs(folder)
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize


def refused(spec: Path, disk: Path, told: Path) -> None:
    """Run, and note what the user is told."""
    try:
        runner.run(spec, runs=disk / "runs")
    except UserError as error:
        told.write_text(str(error))


def without_report(files: dict[str, bytes]) -> dict[str, bytes]:
    """Less the tables that come with a report, which the whole run is without."""
    return {name: content for name, content in files.items() if not name.startswith("tables/")}


def filled(spec: Path, disk: Path, size: int, expected: dict[str, bytes]) -> dict[str, object]:
    """Run where there is too little room, make room, go on."""
    mount(disk, size)
    told = disk.with_suffix(".txt")
    status = forked(lambda: refused(spec, disk, told))
    left = run_of(disk / "runs")
    mount(disk, 64 << 20, again=True)
    resumed = forked(lambda: runner.resume(left) if left else runner.run(spec, runs=disk / "runs"))
    run = run_of(disk / "runs")
    assert run is not None
    return {
        "size": size,
        "status": status,
        "told": told.read_text(),
        "run": str(left) if left else None,
        "resumed": resumed,
        "equal": without_report(results(run)) == expected,
        "has_report": (run / "report" / "index.html").is_file(),
        "left_over": [str(path.relative_to(disk)) for path in disk.rglob(".*")],
    }


def main(spec: Path, folder: Path) -> None:
    # Its pages need seconds, and more room than all the rest: only the last disk has room for all but them.
    with_report, without = runner.orchestrate.write_report, lambda folder: None
    runner.orchestrate.write_report = without
    warm_up()
    whole = folder / "whole"
    whole.mkdir()
    mount(whole, 64 << 20)
    assert forked(lambda: runner.run(spec, runs=whole / "runs")) == 0
    run = run_of(whole / "runs")
    assert run is not None
    expected, needed = results(run), used(whole)
    for part in range(1, SIZES + 1):
        disk = folder / f"disk-{part}"
        disk.mkdir()
        size = max(PAGE, needed * part // SIZES // PAGE * PAGE)
        if part == SIZES:
            runner.orchestrate.write_report = with_report
            size += 8 * PAGE
        print(json.dumps({"needed": needed, **filled(spec, disk, size, expected)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
