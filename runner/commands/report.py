"""``mmm report RUN``: page, one-pagers and tables of a run, written again."""

from __future__ import annotations

from pathlib import Path

from runner.latest import find_run


def run(source: str | Path, *, runs: str | Path = "runs") -> Path:
    """Write the report of a run folder (or of the newest run of a spec).

    Returns:
        The path of its page.
    Raises:
        UserError: there is no such run.
    """
    from runner.reports import write_report

    return write_report(find_run(source, runs))
