"""What the user sees while a run is going on: stages, candidates per second, best losses, time left.

Everything goes to the error stream, so that results on the output stream can be piped. Where the error stream is not a
terminal nothing is shown, unless MMM_PROGRESS=lines asks for lines, as the log of a job does.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichBar
    from rich.progress import TaskID


class Progress(Protocol):
    """How a run tells where it is."""

    def stage(self, name: str) -> None:
        """A new stage begins."""
        ...

    def candidates(self, done: int, total: int, best: dict[str, float]) -> None:
        """The search has evaluated ``done`` of ``total``; ``best`` holds the smallest losses so far."""
        ...

    def close(self) -> None:
        """No more news."""
        ...


class Silent:
    """Shows nothing."""

    def stage(self, name: str) -> None:
        """A new stage begins."""

    def candidates(self, done: int, total: int, best: dict[str, float]) -> None:
        """Progress of the search."""

    def close(self) -> None:
        """No more news."""


class Lines:
    """A line for every stage, and one every ten seconds of a search, for a log."""

    _seconds_between = 10.0

    def __init__(self) -> None:
        self._started = self._last = 0.0

    def stage(self, name: str) -> None:
        """Name it."""
        sys.stderr.write(f"{name}\n")
        self._started = self._last = time.monotonic()

    def candidates(self, done: int, total: int, best: dict[str, float]) -> None:
        """Say how far the search is, if it is time for it or the search is over."""
        now = time.monotonic()
        if done == total or now - self._last >= self._seconds_between:
            self._last = now
            sys.stderr.write(f"{search_facts(done, total, best, now - self._started)}\n")

    def close(self) -> None:
        """Nothing to take away."""


class Terminal:
    """A live line for the stage and a bar for the search, by rich; on the error stream unless told otherwise."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._bar: RichBar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),  # what the words leave of the line
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            console=console or Console(stderr=True),
            transient=True,
            expand=True,
        )
        self._task: TaskID | None = None
        self._started = 0.0
        self._bar.start()

    def stage(self, name: str) -> None:
        """Close the line of the last stage and open one for this."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(name, total=None, facts="")
        self._started = time.monotonic()

    def candidates(self, done: int, total: int, best: dict[str, float]) -> None:
        """Update the bar of the search."""
        if self._task is None:
            return
        facts = search_facts(done, total, best, time.monotonic() - self._started)
        self._bar.update(self._task, completed=done, total=total, facts=facts)

    def close(self) -> None:
        """Take the display away."""
        self._bar.stop()


def search_facts(done: int, total: int, best: dict[str, float], seconds: float) -> str:
    """How far a search is: candidates done and per second, best losses, seconds left."""
    rate = done / max(seconds, 1e-9)
    losses = ", ".join(f"{name.removeprefix('decomp_')} {value:.3f}" for name, value in best.items())
    left = f"{_duration((total - done) / rate)} left" if done else ""
    return f"{done:,}/{total:,}, {rate:,.0f}/s, best {losses}, {left}"


def _duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


@contextmanager
def open_progress(quiet: bool = False) -> Iterator[Progress]:
    """The display that fits the error stream: a terminal gets a live one, a log lines if asked, anything else none."""
    progress: Progress = Silent()
    if not quiet and os.environ.get("MMM_PROGRESS") == "lines":
        progress = Lines()
    elif not quiet and sys.stderr.isatty():
        # A terminal that cannot move its cursor would be filled with copies of one line.
        progress = Lines() if os.environ.get("TERM") in ("dumb", "unknown") else Terminal()
    try:
        yield progress
    finally:
        progress.close()
