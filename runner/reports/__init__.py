"""What people look at: a page, one-pagers and tables for spreadsheets, all from the run folder alone.

data       the run as the report needs it; what is not there stays away
theme      colours, names, numbers        words   every English word
sheet      a page in inches               figures one panel each
one_pager  a model                        plan_page  a plan
answers    the sentences at the top       page    the HTML
"""

from __future__ import annotations

from pathlib import Path

from runner.run_folder import RunFolder


def write_report(folder: RunFolder) -> Path:
    """Write ``tables/*.csv``, ``report/*.png`` and ``report/index.html`` from what the run folder holds.

    The tables come first: a picture that fails costs no number. Writing again gives the same files.

    Args:
        folder: of a run, finished or not; what a stage did not leave is said in its place.
    Returns:
        The path of the page.
    """
    from runner.reports.csv_tables import write_csv_tables
    from runner.reports.data import load_run
    from runner.reports.page import page_html
    from runner.reports.pictures import draw_pictures
    from runner.tables import write_text

    run = load_run(folder)
    tables = write_csv_tables(run)
    report = folder.path / "report"
    pictures = draw_pictures(run, report)
    write_text(report / "index.html", page_html(run, pictures, tables))
    return report / "index.html"
