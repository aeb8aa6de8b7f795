"""The stages of a run: shown, timed, and noted in the manifest with how they ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from runner.progress import Progress
from runner.run_folder import RunFolder


class Stages:
    """Enter a stage with ``with stages("search"):``; times go to ``timings.json``, not into any table."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._folder: RunFolder | None = None
        self._began = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def attach(self, folder: RunFolder) -> None:
        """From now on note stages in this folder's manifest; those done before are noted at once."""
        self._folder = folder
        for stage in self.seconds:
            folder.set_stage(stage, "done")

    @property
    def total(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self._began

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Run a stage; an exception marks it failed and goes on."""
        self.progress.stage(stage)
        began = time.perf_counter()
        self._note(stage, "running")
        try:
            yield
        except BaseException as error:
            self._note(stage, "failed", (str(error).strip().splitlines() or [type(error).__name__])[0])
            raise
        finally:
            self.seconds[stage] = time.perf_counter() - began
        self._note(stage, "done")

    def _note(self, stage: str, status: str, message: str = "") -> None:
        if self._folder is not None:
            self._folder.set_stage(stage, status, message)
