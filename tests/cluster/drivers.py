"""Drivers on a test cluster, each in a process of its own on the head, and what they report."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

from tests.cluster.nodes import ROOT, RayCluster


class Driver:
    """A running command that prints facts as JSON lines; no wait for it is endless."""

    def __init__(self, cluster: RayCluster, *command: str) -> None:
        self._process = subprocess.Popen(
            cluster.command(cluster.head, sys.executable, *command),
            cwd=ROOT,
            env=cluster.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=reader, daemon=True) for reader in (self._read_lines, self._read_errors)
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def until(self, name: str, seconds: float = 120.0) -> dict[str, Any]:
        """The first report that holds this fact."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.1, end - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"no {name} within {seconds} s\n{''.join(self._errors)[-3000:]}") from None
            if line is None:
                raise RuntimeError(
                    f"ended with {self._process.wait()} before {name}\n{''.join(self._errors)[-3000:]}"
                )
            if line.startswith("{") and name in (facts := json.loads(line)):
                found: dict[str, Any] = facts
                return found

    def end(self, seconds: float = 60.0) -> tuple[int, str]:
        """Exit status and what it wrote to its error stream, once it has ended."""
        status = self._process.wait(timeout=seconds)
        for reader in self._readers:
            reader.join(seconds)
        return status, "".join(self._errors)

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            self._errors.extend(lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
