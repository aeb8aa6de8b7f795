"""How long a portfolio takes: all that its user waits for, from the reading of the spec to MLflow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from runner.portfolio.folder import PortfolioFolder
from runner.tables import write_json


class Clock:
    """Runs from the moment that it is made; ``with clock("read"):`` takes the time of a part as well."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @property
    def total(self) -> float:
        """Seconds since it was made."""
        return time.perf_counter() - self._began

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Take the time of a part, also of one that fails."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] = time.perf_counter() - began

    def note(self, folder: PortfolioFolder, n_models: int) -> None:
        """Write ``timings.json``, and the total into ``summary.json`` where that is there already."""
        total = self.total
        write_json(
            folder.path / "timings.json", {"total": total, "models": n_models, "stages": dict(self.seconds)}
        )
        if (folder.path / "summary.json").is_file():
            write_json(folder.path / "summary.json", {**folder.json("summary"), "seconds": total})
