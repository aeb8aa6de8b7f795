"""What people look at: a page, one-pagers and tables for spreadsheets, all from the run folder alone.

data       the run as the report needs it; what is not there stays away
theme      colours, names, numbers        words   every word, in every language
sheet      a page in inches               figures one panel each
one_pager  a model                        plan_page  a plan
answers    the sentences at the top       tiles   the numbers above them
page       the HTML
desk       what any spends would bring    payload the numbers that the page's script draws and computes from
"""

from __future__ import annotations

from pathlib import Path

from runner.run_folder import RunFolder


def write_report(folder: RunFolder, language: str | None = None) -> Path:
    """Write ``tables/*``, ``report/*.png`` and ``.pdf``, and ``report/index.html`` from what the run folder holds.

    The tables come first: a picture that fails costs no number. Writing again gives the same files.

    Args:
        folder: of a run, finished or not; what a stage did not leave is said in its place.
        language: of the pictures, and the one that the page opens in; default: the spec's.
    Returns:
        The path of the page.
    Raises:
        UserError: there is no such language.
    """
    from runner.bi.writing import write_tables
    from runner.reports.data import load_run
    from runner.reports.page import page_html
    from runner.reports.pictures import draw_pictures
    from runner.reports.words import speaking
    from runner.tables import write_text

    run = load_run(folder)
    report = folder.path / "report"
    with speaking(language or run.spec.report.language):
        tables = write_tables(run)
        pages = draw_pictures(run, report)
        write_text(report / "index.html", page_html(run, tables, pages))
    return report / "index.html"
