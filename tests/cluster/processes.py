"""Which processes there are: Ray's must be gone when a backend is closed."""

from __future__ import annotations

import os
import subprocess
import time
from collections import defaultdict
from pathlib import Path


def _table() -> list[tuple[int, int, str]]:
    """(pid, parent's pid, state) of every process but the one that lists them."""
    command = ["ps", "-eo", "pid=,ppid=,stat="]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listing:
        rows = [line.split(None, 2) for line in listing.communicate()[0].splitlines()]
    return [(int(pid), int(parent), state) for pid, parent, state in rows if int(pid) != listing.pid]


def descendants(pid: int | None = None) -> set[int]:
    """Living processes below a process, default this one."""
    children = defaultdict(list)
    for child, parent, state in _table():
        if not state.startswith("Z"):
            children[parent].append(child)
    found: set[int] = set()
    waiting = [pid or os.getpid()]
    while waiting:
        below = children[waiting.pop()]
        found.update(below)
        waiting.extend(below)
    return found


def survivors(pids: set[int], patience: float = 20.0) -> set[int]:
    """Those still alive, after waiting for them to end."""
    end = time.monotonic() + patience
    while True:
        alive = {pid for pid, _, state in _table() if not state.startswith("Z")} & pids
        if not alive or time.monotonic() > end:
            return alive
        time.sleep(0.1)


def commands(pids: set[int]) -> dict[int, str]:
    """Command lines of those that live."""
    found = {}
    for pid in pids:
        try:
            found[pid] = (
                Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
        except OSError:
            continue
    return found
