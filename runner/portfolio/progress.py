"""How far many models are: one line for each that is under way, and a bar for all."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID


class PortfolioProgress(Protocol):
    """Is told of every model; may be called from several threads."""

    def begin(self, total: int, done: int) -> None:
        """There are ``total`` models, of which ``done`` are there already."""
        ...

    def stage(self, model: str, name: str) -> None:
        """A model has come to a stage."""
        ...

    def candidates(self, model: str, done: int, total: int) -> None:
        """A model's search has come so far."""
        ...

    def end(self, model: str, failure: str = "") -> None:
        """A model is done, or has failed."""
        ...

    def close(self) -> None:
        """No more news."""
        ...


class Silent:
    """Shows nothing."""

    def begin(self, total: int, done: int) -> None:
        """All of them."""

    def stage(self, model: str, name: str) -> None:
        """A stage of one."""

    def candidates(self, model: str, done: int, total: int) -> None:
        """A search."""

    def end(self, model: str, failure: str = "") -> None:
        """The end of one."""

    def close(self) -> None:
        """No more news."""


class Lines(Silent):
    """A line for every model that ends, for a log."""

    def __init__(self) -> None:
        self._total = self._done = 0

    def begin(self, total: int, done: int) -> None:
        """Count from here."""
        self._total, self._done = total, done

    def end(self, model: str, failure: str = "") -> None:
        """One more."""
        self._done += 1
        told = f"failed: {failure}" if failure else "done"
        sys.stderr.write(f"{self._done}/{self._total} {' '.join(model.split())}: {told}\n")


class Terminal:
    """Live lines by rich, on the error stream unless told otherwise."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[facts]}", markup=False),
            TimeElapsedColumn(),
            console=console or Console(stderr=True),
            transient=True,
            expand=True,
        )
        self._lock = threading.Lock()
        self._lines: dict[str, TaskID] = {}
        self._all = self._bar.add_task("models", total=None, facts="")
        self._done = self._failed = 0
        self._bar.start()

    def begin(self, total: int, done: int) -> None:
        """The bar of all."""
        self._done = done
        self._bar.update(self._all, total=total, completed=done)

    def stage(self, model: str, name: str) -> None:
        """The line of a model, made with its first stage."""
        with self._lock:
            if model not in self._lines:
                self._lines[model] = self._bar.add_task(model[:32], total=None, facts=name)
            self._bar.update(self._lines[model], facts=name, total=None)

    def candidates(self, model: str, done: int, total: int) -> None:
        """A bar while it searches."""
        with self._lock:
            if model in self._lines:
                self._bar.update(self._lines[model], completed=done, total=total)

    def end(self, model: str, failure: str = "") -> None:
        """Take the line away."""
        with self._lock:
            if model in self._lines:
                self._bar.remove_task(self._lines.pop(model))
            self._done += 1
            self._failed += bool(failure)
            facts = f"{self._failed} failed" if self._failed else ""
            self._bar.update(self._all, completed=self._done, facts=facts)

    def close(self) -> None:
        """Take the display away."""
        self._bar.stop()


@contextmanager
def open_portfolio_progress(quiet: bool = False) -> Iterator[PortfolioProgress]:
    """The display that fits the error stream, as of ``runner.progress.open_progress``."""
    progress: PortfolioProgress = Silent()
    if not quiet and os.environ.get("MMM_PROGRESS") == "lines":
        progress = Lines()
    elif not quiet and sys.stderr.isatty():
        progress = Terminal()
    try:
        yield progress
    finally:
        progress.close()
