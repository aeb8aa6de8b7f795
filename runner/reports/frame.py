"""The frame of every page that we write: one file, no network, and no script but ours, which is named by its digest."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from string import Template

from runner.reports.html import Markup, tag
from runner.reports.words import DEFAULT


def whole_page(
    title: str, body: Markup, *, language: str = DEFAULT, style: str = "", script: str = "", data: str = ""
) -> str:
    """A whole HTML page in the house's style.

    Args:
        title: plain text. body: what is shown. language: that it opens in. style: CSS beside that of all pages.
        script: the only one that the page's policy lets run; "" for none. data: JSON that it reads, made safe for HTML.
    """
    scripts = []
    if data:
        scripts.append(f'<script type="application/json" id="data">{data}</script>')
    if script:
        scripts.append(f"<script>{script}</script>")
    return Template(asset("page.html")).substitute(
        language=language,
        policy=_policy(script),
        title=tag("title", title),
        style=asset("page.css") + style,
        body=body,
        scripts="\n".join(scripts),
    )


def asset(name: str) -> str:
    """A file of the templates."""
    return files("runner.reports.templates").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    if not script:
        return "script-src 'none'"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return f"script-src 'sha256-{digest}'"
