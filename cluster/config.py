"""Where work runs and with how much of the machine: the only settings a backend takes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_MEBIBYTE = 1 << 20
# Ray refuses an object store below 75 MiB.
_SMALLEST_OBJECT_STORE = 75 * _MEBIBYTE
# What a worker was measured to need at the size of the demo, rounded up.
_WORKER_MEMORY = 400 * _MEBIBYTE
_ADDRESS = re.compile(r"local|auto|(ray://)?[^\s/]+:\d+")
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class ClusterConfig:
    """Settings of a backend; the defaults suit one machine.

    Attributes:
        address: "local" starts a private Ray and stops it on close; "auto" joins the cluster of this machine (or of
            ``RAY_ADDRESS``); "host:port" or "ray://host:port" joins that cluster. A joined cluster is never stopped.
        workers: items that run at the same time; None = every CPU that this process, or the cluster, may use.
        max_retries: how often in a row, without a new block between, an item is run again when its worker dies (not
            when its function raises).
        overdue_seconds: silence of an item after which it is run a second time elsewhere; longer where items are seen
            to take longer.
        head_seconds: silence of the cluster's head after which it counts as lost.
        place_seconds: how long to wait for the first worker with a free CPU, as an autoscaler takes to start one.
        dashboard: start Ray's dashboard, local only.
        environment: variables for the worker processes, on top of single-threaded BLAS and OpenMP.
        object_store_bytes: memory for shared values and blocks on their way, local only; beyond it Ray uses disk.
        worker_memory_bytes: memory to reserve for one item, so that a cluster does not pack too many on a host and its
            autoscaler adds hosts of a fitting size; None = 400 MiB in a joined cluster, nothing in a local Ray.
        buffered_blocks: blocks an item may be ahead of its reader in a stream.
        modules: folders of Python packages to send to the workers of a joined cluster that lacks them.
        allow_open: join also a cluster elsewhere that asks nobody for a token.
        temp_dir: folder for the logs of a local Ray, kept after close; None = a private one, removed on close. Keep
            it short, Ray puts sockets below it.
    """

    address: str = "local"
    workers: int | None = None
    max_retries: int = 5
    overdue_seconds: float = 30.0
    head_seconds: float = 15.0
    place_seconds: float = 600.0
    dashboard: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    object_store_bytes: int = 256 * _MEBIBYTE
    worker_memory_bytes: int | None = None
    buffered_blocks: int = 16
    modules: tuple[str, ...] = ()
    allow_open: bool = False
    temp_dir: str | None = None

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.address):
            raise ValueError(
                f"address {self.address!r} is not one of local, auto, host:port and ray://host:port"
            )
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers is {self.workers}; expected at least 1")
        if self.max_retries < 0:
            raise ValueError(f"max_retries is {self.max_retries}; expected 0 or more")
        for name in ("overdue_seconds", "head_seconds", "place_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected more than 0")
        if self.buffered_blocks < 1:
            raise ValueError(f"buffered_blocks is {self.buffered_blocks}; expected at least 1")
        if self.object_store_bytes < _SMALLEST_OBJECT_STORE:
            raise ValueError(
                f"object_store_bytes is {self.object_store_bytes}; expected at least {_SMALLEST_OBJECT_STORE}"
            )

    @property
    def is_local(self) -> bool:
        """Whether the backend starts, and stops, a Ray of its own."""
        return self.address == "local"

    @property
    def memory_request(self) -> int:
        """Bytes to reserve for one item, 0 for none."""
        if self.worker_memory_bytes is not None:
            return self.worker_memory_bytes
        return 0 if self.is_local else _WORKER_MEMORY


def usable_cpus(quota_file: Path = _CGROUP_QUOTA) -> int:
    """CPUs this process may use: its affinity mask, within the quota of its container."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text().split()
    except (OSError, ValueError):
        return count
    return count if quota == "max" else max(1, min(count, int(quota) // int(period)))
