"""Small pieces of HTML for notebooks; whatever comes from data is escaped."""

from __future__ import annotations

from collections.abc import Sequence

from runner.reports.html import bullets, join, table, tag


def block(
    title: str, facts: str, heads: Sequence[object], rows: Sequence[Sequence[object]], notes: Sequence[str]
) -> str:
    """A heading, a line of facts, a table, and notes below it."""
    parts: list[object] = [tag("h4", title), tag("p", facts)]
    if rows:
        parts.append(table(heads, rows))
    if notes:
        parts.append(bullets(notes))
    return str(tag("div", join(parts)))
