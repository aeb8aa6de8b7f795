"""``mmm report RUN``: page, one-pagers and tables of a run, written again."""

from __future__ import annotations

from pathlib import Path

from mmm_core.errors import UserError
from runner.latest import find_portfolio, find_run
from runner.portfolio import PortfolioFolder
from runner.run_folder import a_model_of


def run(source: str | Path, *, runs: str | Path = "runs", language: str | None = None) -> Path:
    """Write the report of a run folder, of that of several models, or of the newest run of a spec.

    Args:
        source, runs: which run.
        language: en, de, es or zh; default: the spec's ``report.language``. The page of several models is in English.
    Returns:
        The path of its page.
    Raises:
        UserError: there is no such run or language.
    """
    from runner.reports import write_report

    whole = find_portfolio(source, runs)
    if whole is not None:
        return _write_whole(whole, language)
    return write_report(find_run(source, runs), language)


def _write_whole(whole: PortfolioFolder, language: str | None) -> Path:
    from runner.portfolio.writing import write_results

    if language is not None:
        raise UserError(
            f"--language {language}: the page of several models is in English only; leave it out, or give the run "
            f"folder of one model, {a_model_of(whole.path)}"
        )
    with whole.held():
        write_results(whole)
    return whole.path / "report" / "index.html"
