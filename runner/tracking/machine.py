"""What the machine does while a run goes on, for MLflow's tab *System metrics*: see ``tracking.system_metrics``.

A thread of the run reads counters of the operating system; when the run is over, what they say is written to
``system_metrics.parquet`` in the run folder, from where the mirror takes it as it takes everything. Names and units are
those of MLflow's own monitor, which needs a run in MLflow and a further package; two rows of the run's own process are
added. Whatever cannot be read is left out, on other systems than Linux most of it; nothing here ends a run.
"""

from __future__ import annotations

import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from runner.run_folder import RunFolder
from runner.tables import read_table, table_of, write_table
from runner.tracking.base import SYSTEM_METRICS, SYSTEM_PREFIX, Series, finite_series

FILE = "system_metrics.parquet"
# Seconds between samples at first; with MOST of them every second one is dropped and the time doubled.
INTERVAL, MOST = 1.0, 1000
MEGA = 1e6

# Counters by name. Those that only grow are kept as they are, so that samples may be dropped.
Sample = Mapping[str, float]


class Watch:
    """Watches the machine from now until it is stopped. None of its methods raises."""

    def __init__(self, folder: RunFolder, interval: float = INTERVAL) -> None:
        """Begin.

        Args:
            folder: of the run; its disk is the one that is watched. interval: seconds between samples.
        """
        self._folder = folder
        self._interval = interval
        self._samples: list[Sample] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample_all, name="system metrics", daemon=True)
        with suppress(RuntimeError):  # no more threads
            self._thread.start()

    def stop(self) -> None:
        """End, and write what was seen behind what an earlier part of the run has seen; once."""
        if self._over.is_set():
            return
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(5.0)
        with suppress(OSError, ValueError, KeyError):  # a full disk, a folder that was thrown away
            self._write()

    def _sample_all(self) -> None:
        while True:
            self._samples.append(sample(self._folder.path))
            if len(self._samples) >= MOST:
                self._samples, self._interval = self._samples[::2], 2 * self._interval
            if self._over.wait(self._interval):
                break
        if len(self._samples) == 1 or time.time() - self._samples[-1]["time"] >= 1.0:
            self._samples.append(sample(self._folder.path))

    def _write(self) -> None:
        path = self._folder.path / FILE
        before = read_table(path).to_pylist() if path.is_file() else []
        rows = [*before, *rows_of(self._samples, began(self._folder))]
        if rows and self._folder.path.is_dir():
            write_table(path, table_of(rows))


def began(folder: RunFolder) -> float:
    """Seconds since 1970 that the run was made."""
    return datetime.fromisoformat(folder.manifest()["created"]).timestamp()


def system_series(folder: RunFolder) -> list[Series]:
    """What was seen of the machine, by seconds since the run was made; nothing where nobody watched."""
    path = folder.path / FILE
    if not path.is_file():
        return []
    table = read_table(path)
    seconds = table["seconds"].to_numpy()
    times = (1000 * (began(folder) + seconds)).astype("int64")
    columns = {name: table[name].to_numpy() for name in SYSTEM_METRICS}
    found = [
        finite_series(SYSTEM_PREFIX + name, seconds.astype("int64"), values, times)
        for name, values in columns.items()
    ]
    return [series for series in found if len(series.steps)]


# ------------------------------------------------------------------------------------------------------------- reading


def sample(place: Path) -> Sample:
    """Counters at this moment, as far as they can be read; ``place`` is on the disk that is looked at."""
    found: dict[str, float] = {"time": time.time(), "process": time.process_time()}
    for read in (_processors, _memory, _network, _own_memory, lambda: _disk(place)):
        with suppress(OSError, ValueError, IndexError, KeyError):
            found.update(read())
    return found


def _processors() -> dict[str, float]:
    """Time of all processors; guests are in ``user`` already."""
    with Path("/proc/stat").open(encoding="ascii") as file:
        times = [float(word) for word in file.readline().split()[1:9]]
    return {"processors": sum(times), "idle": times[3] + times[4]}


def _memory() -> dict[str, float]:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    sizes = {line.partition(":")[0]: 1024 * float(line.split()[1]) for line in lines}
    return {"memory": sizes["MemTotal"], "memory_used": sizes["MemTotal"] - sizes["MemAvailable"]}


def _network() -> dict[str, float]:
    """Bytes of all interfaces."""
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()[2:]
    fields = [line.partition(":")[2].split() for line in lines]
    return {"received": sum(float(f[0]) for f in fields), "sent": sum(float(f[8]) for f in fields)}


def _own_memory() -> dict[str, float]:
    pages = float(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {"own_memory": pages * os.sysconf("SC_PAGE_SIZE")}


def _disk(place: Path) -> dict[str, float]:
    usage = shutil.disk_usage(place)
    return {"disk_used": usage.used, "disk_free": usage.free}


# ------------------------------------------------------------------------------------------------------------- numbers


def rows_of(samples: Sequence[Sample], start: float) -> Iterator[dict[str, float]]:
    """A row for every sample but the first, which the rates begin with.

    Args:
        samples: in the order of time. start: of the run, seconds since 1970.
    """
    for before, now in pairwise(samples):
        yield {"seconds": round(now["time"] - start, 3)} | {
            name: round(_value(rule, samples[0], before, now), 3) for name, rule in RULES.items()
        }


def _value(rule: Callable[[Sample, Sample, Sample], float], *samples: Sample) -> float:
    try:
        return rule(*samples)
    except (KeyError, ZeroDivisionError):
        return math.nan


# Of the first sample, the one before and this one; names without the prefix.
RULES: dict[str, Callable[[Sample, Sample, Sample], float]] = {
    "cpu_utilization_percentage": lambda _first, before, now: (
        100 * (1 - (now["idle"] - before["idle"]) / (now["processors"] - before["processors"]))
    ),
    "system_memory_usage_megabytes": lambda _first, _before, now: now["memory_used"] / MEGA,
    "system_memory_usage_percentage": lambda _first, _before, now: 100 * now["memory_used"] / now["memory"],
    "disk_usage_percentage": lambda _first, _before, now: (
        100 * now["disk_used"] / (now["disk_used"] + now["disk_free"])
    ),
    "disk_usage_megabytes": lambda _first, _before, now: now["disk_used"] / MEGA,
    "disk_available_megabytes": lambda _first, _before, now: now["disk_free"] / MEGA,
    "network_receive_megabytes": lambda first, _before, now: (now["received"] - first["received"]) / MEGA,
    "network_transmit_megabytes": lambda first, _before, now: (now["sent"] - first["sent"]) / MEGA,
    "driver_cpu_percentage": lambda _first, before, now: (
        100 * (now["process"] - before["process"]) / (now["time"] - before["time"])
    ),
    "driver_memory_megabytes": lambda _first, _before, now: now["own_memory"] / MEGA,
}
