"""What MLflow costs a run, and how long it takes to be full, with each kind of store.

    python -m tests.benchmarks.tracking                     SQLite, a server on it, PostgreSQL, a server on that
    python -m tests.benchmarks.tracking --stores sqlite     one of them
    python -m tests.benchmarks.tracking --all-candidates    every candidate as a run of its own, in SQLite, with a kill

A row is a run of the quickstart, each with the same search. "waited" is what the run adds to its own time for MLflow;
"full after" is how long MLflow went on being filled after the run had printed its results; "CPU" is the mirror's own.
The speed of the search stands beside that of a run without tracking: it should be the same but for noise. Nothing is
asserted, as a busy machine makes everything slower; the load says how busy it was.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from runner.run_folder import RunFolder
from runner.tracking.beside import Standing, State, read_standing
from runner.tracking.mlflow_tracker import choose_store
from tests.runner.mirrored import runs_in
from tests.runner.servers import mlflow_server, postgres, why_no_postgres

COMMAND = "python -m tests.benchmarks.tracking"
SPEC = "experiments/quickstart.yaml"
STORES = ("none", "sqlite", "http-sqlite", "postgresql", "http-postgresql")
PATIENCE = 1800.0


@dataclass(frozen=True)
class Cost:
    """One row: seconds, but for the speed of the search (candidates a second) and the load of the machine."""

    store: str
    total: float
    search_speed: float
    waited: float
    full_after: float
    cpu: float
    points: int
    load: float


@contextmanager
def opened(store: str, folder: Path) -> Iterator[str]:
    """The tracking URI of a new store."""
    if store.endswith("postgresql"):
        home = Path(tempfile.mkdtemp(prefix="pg-"))
        home.chmod(0o755)
        with postgres(home / "db") as uri:
            if store.startswith("http"):
                with mlflow_server(uri, folder / "artifacts") as server:
                    yield server.url
            else:
                yield uri
        home.rmdir()
    elif store == "http-sqlite":
        with mlflow_server(f"sqlite:///{folder}/server.db", folder / "artifacts") as server:
            yield server.url
    else:
        yield f"sqlite:///{folder}/mlflow.db"


def measure(store: str, spec: str, runs: Path) -> Cost:
    """One run, and the time until MLflow is full."""
    runs.mkdir(parents=True)
    with opened(store, runs) as uri:
        words = [sys.executable, "-m", "runner.cli", "run", spec, "--runs", str(runs), "--tracking-uri", uri]
        if store == "none":
            words += ["--set", "tracking.enabled=false"]
        load = os.getloadavg()[0]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        ended = time.monotonic()
        folder = RunFolder(next(path.parent for path in runs.glob("*/manifest.json")))
        timings = folder.json("timings")
        standing = None if store == "none" else until_full(folder)
        full_after = time.monotonic() - ended
    return Cost(
        store=store,
        total=timings["total"],
        search_speed=timings["candidates_per_second"],
        waited=timings["stages"].get("tracking", 0.0),
        full_after=full_after if full_after > 0.3 else 0.0,
        cpu=standing.seconds if standing else 0.0,
        points=standing.total if standing else 0,
        load=load,
    )


def until_full(folder: RunFolder) -> Standing:
    """Wait for the mirror in the background; how it ended."""
    deadline = time.monotonic() + PATIENCE
    while True:
        standing = read_standing(folder)
        if standing is not None and standing.state not in (State.WAITING, State.WRITING):
            assert standing.state is State.DONE, standing
            return standing
        assert time.monotonic() < deadline
        time.sleep(0.1)


def show(rows: Sequence[Cost]) -> None:
    """A table."""
    heads = (
        "store",
        "run, s",
        "candidates/s",
        "waited, s",
        "full after, s",
        "CPU, s",
        "work, points",
        "load before",
    )
    table = Table(*heads)
    for row in rows:
        table.add_row(
            row.store,
            f"{row.total:.1f}",
            f"{row.search_speed:,.0f}",
            f"{row.waited:.1f}",
            f"{row.full_after:.1f}",
            f"{row.cpu:.1f}",
            f"{row.points:,}",
            f"{row.load:.1f}",
        )
    Console(width=130).print(table)


def all_candidates(spec: str, runs: Path) -> None:
    """Every candidate as a run of its own: beside a run; by mmm track, killed half-way, then again to the end."""
    runs.mkdir(parents=True)
    command = [sys.executable, "-m", "runner.cli"]
    words = [*command, "run", spec, "--runs", str(runs), "--set", "tracking.candidates=all"]
    print(f"load before: {os.getloadavg()[0]:.1f}")
    began = time.monotonic()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    taken = time.monotonic() - began
    folder = RunFolder(next(path.parent for path in runs.glob("*/manifest.json")))
    done = until_full(folder)
    full_after = time.monotonic() - began - taken
    print(
        f"run: {taken:.1f} s; MLflow full {full_after:.1f} s later; its mirror had {done.seconds:.1f} s of processor"
    )
    store = choose_store(runs)
    assert store.database is not None
    n = runs_in(store)
    print(f"store: {n:,} runs, {store.database.stat().st_size / 2**20:,.0f} MB")
    store.database.unlink()
    track = [*command, "track", str(folder.path)]
    with subprocess.Popen(track, stdout=subprocess.DEVNULL) as process:
        while not store.database.exists() or runs_in(store) < n / 2:
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    for attempt in ("after a kill", "again"):
        began = time.monotonic()
        answer = subprocess.run(track, check=True, capture_output=True, text=True)
        print(
            f"mmm track {attempt}: {time.monotonic() - began:.1f} s; {answer.stdout.strip().rpartition(': ')[2]}"
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.splitlines()[0])
    parser.add_argument("--stores", default=",".join(STORES), help=f"some of {','.join(STORES)}")
    parser.add_argument("--spec", default=SPEC)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--all-candidates", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mmm-tracking-") as folder:
        if asked.all_candidates:
            all_candidates(asked.spec, Path(folder) / "runs")
            return
        rows = []
        for store in asked.stores.split(","):
            reason = why_no_postgres() if store.endswith("postgresql") else ""
            if reason:
                print(f"{store}: left out, {reason}")
                continue
            rows.append(measure(store, asked.spec, Path(folder) / store))
        show(rows)
        if asked.json:
            asked.json.write_text(json.dumps([asdict(row) for row in rows], indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
