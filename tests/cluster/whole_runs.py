"""The same run again and again, on clusters that are hurt meanwhile, and how it must end every time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.run_folder import RunFolder
from tests.cluster.conftest import Cost
from tests.cluster.drivers import Driver
from tests.cluster.nodes import ROOT, RayCluster
from tests.cluster.processes import descendants
from tests.runner.small import SCENARIOS, write_small

# Nevergrad, the slower engine, and many refits: there has to be time to hurt them.
TRIALS, ITERATIONS = 12, 1500
SEARCH = {"trials": TRIALS, "iterations": ITERATIONS, "seed": 7, "engine": "nevergrad"}
REFITS = 200_000


def tables(run: Path) -> dict[str, bytes]:
    """Every table of a run, and its models."""
    files = [*run.rglob("*.parquet"), *run.glob("models/*.json"), run / "findings.json"]
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(files)}


def mmm(cluster: RayCluster, *words: object) -> list[str]:
    """The command line, as it is called on the head."""
    return ["-m", "runner.cli", *map(str, words), "--backend", "ray", "--address", cluster.address]


@dataclass
class Run:
    """A run that goes on, in a process of its own on the head."""

    driver: Driver
    runs: Path
    began: float = field(default_factory=time.monotonic)

    @property
    def folder(self) -> Path:
        """The run folder, which is there from the search on."""
        (found,) = (path.parent for path in self.runs.glob("*/manifest.json"))
        return found

    def until_stage(self, stage: str) -> None:
        """The stage has begun."""
        while self.driver.until("stage", 180)["stage"] != stage:
            pass

    def until_candidates(self, count: int) -> None:
        """So many candidates have come home; returns at once when more have."""
        while self.driver.until("candidates", 180)["candidates"] < count:
            pass

    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began


@dataclass
class Work:
    """What is run, what it gives where nothing is disturbed, and how long it takes then, by cluster."""

    folder: Path
    spec: Path
    expected: dict[str, bytes]
    undisturbed: dict[str, float] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, **changes: Any) -> Work:
        """Run it once on one core, in one process; a smaller one with changes as of ``write_small``."""
        usual = {"scenarios": SCENARIOS, "search": SEARCH, "bootstrap__refits": REFITS}
        spec = write_small(folder, **usual | changes)
        command = [
            sys.executable,
            "-m",
            "runner.cli",
            "run",
            str(spec),
            "--runs",
            str(folder / "alone"),
            "--json",
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        expected = tables(Path(json.loads(done.stdout)["run_folder"]))
        assert len(expected) > 10
        return cls(folder, spec, expected)

    @contextmanager
    def run(self, cluster: RayCluster, name: str, *tracking: str) -> Iterator[Run]:
        """The run on a cluster, in a folder of this name."""
        runs = self.folder / name
        words = ["-m", "tests.cluster.run_driver", str(self.spec), str(runs), cluster.address, *tracking]
        with Driver(cluster, *words) as driver:
            yield Run(driver, runs)

    def end(self, run: Run, without: Collection[str] = ()) -> dict[str, Any]:
        """Wait until it is done, by itself; its incidents, after a look at every table."""
        found = Path(run.driver.until("run", 300)["run"])
        status, errors = run.driver.end()
        assert (status, errors) == (0, "")
        self.check(found, without)
        incidents: dict[str, Any] = json.loads((found / "timings.json").read_text())["incidents"]
        return incidents

    def resume(self, cluster: RayCluster, run: Path) -> dict[str, Any]:
        """``mmm resume``, which must end as the run would have; its incidents."""
        with Driver(cluster, *mmm(cluster, "resume", run, "--quiet")) as driver:
            status, errors = driver.end(300)
        assert (status, errors) == (0, "")
        self.check(run)
        incidents: dict[str, Any] = json.loads((run / "timings.json").read_text())["incidents"]
        return incidents

    def check(self, run: Path, without: Collection[str] = ()) -> None:
        """It is done, and every table is that of one core, byte for byte; nothing else lies about."""
        assert RunFolder(run).manifest()["status"] == "done"
        found = tables(run)
        assert found.keys() == self.expected.keys()
        differing = {name for name, content in found.items() if content != self.expected[name]}
        assert differing <= set(without)
        assert not list(run.rglob(".*"))

    def cost(self, fault: str, incidents: dict[str, Any], run: Run, kind: str) -> Cost:
        """The row of a fault that a run got over by itself."""
        return Cost(
            fault,
            "nothing; the run goes on",
            repeated(incidents),
            run.seconds(),
            self.undisturbed.get(kind),
            incidents["longest_silence"] or None,
        )


def repeated(incidents: dict[str, Any]) -> str:
    """What the attempts that were made again had delivered before."""
    tasks, blocks = incidents["deaths"] + incidents["overdue"], incidents["repeated_blocks"]
    return f"{tasks} task{'s' * (tasks != 1)}, {blocks} of their blocks" if tasks else "nothing"


def wait_for(holds: Callable[[], Any], seconds: float = 120.0) -> Any:
    """The first true answer."""
    end = time.monotonic() + seconds
    while not (answer := holds()):
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.05)
    return answer


def processes_of(driver: Driver) -> set[int]:
    """A driver and all that it started."""
    return {driver.pid, *descendants(driver.pid)}
