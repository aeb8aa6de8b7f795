"""A run that was stopped by hand, and where it can go on."""

from __future__ import annotations

from pathlib import Path


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C while a run folder was being filled."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder


def interrupted_run(error: BaseException | None) -> Path | None:
    """The run folder of an interruption somewhere among the causes of an error; None if there is none."""
    while error is not None:
        if isinstance(error, RunInterrupted):
            return error.folder
        error = error.__cause__ or error.__context__
    return None
