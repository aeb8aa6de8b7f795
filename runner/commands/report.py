"""``mmm report RUN``: page, one-pagers and tables of a run, written again."""

from __future__ import annotations

from pathlib import Path

from runner.latest import find_run


def run(source: str | Path, *, runs: str | Path = "runs", language: str | None = None) -> Path:
    """Write the report of a run folder (or of the newest run of a spec).

    Args:
        source, runs: which run. language: en, de, es or zh; default: the spec's ``report.language``.
    Returns:
        The path of its page.
    Raises:
        UserError: there is no such run or language.
    """
    from runner.reports import write_report

    return write_report(find_run(source, runs), language)
