"""``mmm report RUN``: page, one-pagers and tables of a run, written again."""

from __future__ import annotations

from pathlib import Path

from runner.latest import find_run
from runner.run_folder import is_portfolio_folder


def run(source: str | Path, *, runs: str | Path = "runs", language: str | None = None) -> Path:
    """Write the report of a run folder, of that of several models, or of the newest run of a spec.

    Args:
        source, runs: which run. language: en, de, es or zh; default: the spec's ``report.language``.
    Returns:
        The path of its page.
    Raises:
        UserError: there is no such run or language.
    """
    from runner.reports import write_report

    if is_portfolio_folder(Path(source)):
        from runner.portfolio import PortfolioFolder
        from runner.portfolio.writing import write_results

        whole = PortfolioFolder.open(source)
        with whole.held():
            write_results(whole)
        return whole.path / "report" / "index.html"
    return write_report(find_run(source, runs), language)
