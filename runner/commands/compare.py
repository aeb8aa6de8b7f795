"""``mmm compare RUN RUN…``: finished runs beside the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmm_core.errors import UserError
from runner.comparison import Comparison, compare_runs
from runner.latest import find_run
from runner.tables import write_text


def run(
    sources: Sequence[str | Path], *, runs: str | Path = "runs", html: str | Path | None = None
) -> Comparison:
    """Compare runs: spec, data, losses, ROAS or CPA and contributions with their uncertainty, plans.

    Args:
        sources: two or more, each a run folder or a spec file for its newest run. runs: where runs of specs are.
        html: a file to write the comparison to as a page.
    Returns:
        The comparison; ``as_record()`` is it as plain data.
    Raises:
        UserError: fewer than two, no such run, one that did not finish, or a page that cannot be written.
    """
    comparison = compare_runs([find_run(source, runs) for source in sources])
    if html is not None:
        from runner.comparison.page import comparison_html

        try:
            write_text(Path(html), comparison_html(comparison))
        except OSError as error:
            raise UserError(
                f"{html}: the page cannot be written ({error.strerror}); choose another --html"
            ) from error
    return comparison
