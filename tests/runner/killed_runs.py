"""A run that is killed at every file it publishes, while that is complete and not yet under its name, and resumed.

    python -m tests.runner.killed_runs SPEC FOLDER

Every run is a fork of this process, ended by a SIGKILL of its own, so nothing is tidied up. Prints a JSON line a kill:
which file, whether there was a run to resume, and whether the resumed run equals one that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

# Here once, and not in every fork.
import sklearn.cluster  # noqa: F401

import runner
import runner.orchestrate
from mmm_core.warm_up import warm_up
from runner import tables
from runner.run_folder import RunFolder


def results(folder: Path) -> dict[str, bytes]:
    """All that must be equal of two runs of one spec."""
    files = [*folder.rglob("*.parquet"), *folder.glob("models/*.json"), folder / "findings.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(files)}


def forked(work: Callable[[], object]) -> int:
    """Do it in a fork; the status it ended with, -9 for a kill."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a fork must not return into what its parent does
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def note_published(log: Path) -> None:
    """From now on note every file that appears."""
    publish = tables._publish

    def noted(temporary: Path, path: Path) -> None:
        publish(temporary, path)
        with log.open("a") as lines:
            lines.write(f"{path.name}\n")

    tables._publish = noted


def kill_at(number: int) -> None:
    """End this process by force at the file of this number, from 0."""
    publish, count = tables._publish, iter(range(1_000_000))

    def deadly(temporary: Path, path: Path) -> None:
        if next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        publish(temporary, path)

    tables._publish = deadly


def run_of(runs: Path) -> Path | None:
    found = [path.parent for path in runs.glob("*/manifest.json")]
    return found[0] if found else None


def killed(spec: Path, runs: Path, number: int, expected: dict[str, bytes]) -> dict[str, object]:
    """Kill one run, go on with it, and compare."""

    def doomed() -> None:
        kill_at(number)
        runner.run(spec, runs=runs)

    assert forked(doomed) == -signal.SIGKILL
    left = run_of(runs)
    visible = [path for path in runs.iterdir() if not path.name.startswith(".")]
    status = forked(lambda: runner.resume(left) if left else runner.run(spec, runs=runs))
    run = run_of(runs)
    assert run is not None
    hidden = [path.name for path in run.rglob(".*")]
    return {
        "is_whole_or_nothing": visible == ([left] if left else []),
        "resumed": left is not None,
        "status": status,
        "equal": results(run) == expected,
        "left_over": hidden,
        "is_done": RunFolder(run).manifest()["status"] == "done",
    }


def main(spec: Path, folder: Path) -> None:
    # Pages and pictures, which need seconds, are made anew by every resume that finds them incomplete.
    runner.orchestrate.write_report = lambda folder: None
    warm_up()
    log = folder / "published.txt"

    def undisturbed() -> None:
        note_published(log)
        runner.run(spec, runs=folder / "whole")

    assert forked(undisturbed) == 0
    whole = run_of(folder / "whole")
    assert whole is not None
    expected = results(whole)
    for number, name in enumerate(log.read_text().splitlines()):
        facts = killed(spec, folder / str(number), number, expected)
        print(json.dumps({"file": name, "number": number, **facts}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
