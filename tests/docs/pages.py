"""What a page of the documentation lets its reader do: commands, Python and pieces of specs, in the order they stand.

Commands stand in fenced blocks of ``bash`` or in indented blocks that begin with a command. A comment that a
reader does not see steers the test of what comes next::

    <!-- test: skip REASON -->        the next block is not run
    <!-- test: run COMMAND -->        a command of the test's own
    <!-- test: set KEY=VALUE -->      a key of all shipped specs, such as search.iterations=100
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.runner.command import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = frozenset(
    {
        "mmm",
        "make",
        "python",
        "pip",
        "export",
        "curl",
        "mlflow",
        "git",
        "source",
        "docker",
        "ray",
        "kubectl",
        "jupyter",
    }
)
# What is never run from here, by how it begins, and why.
NOT_RUN = {
    r"make ": "make is what runs the tests",
    r"python -m tests\.(benchmarks|cluster)\.": "a measurement of minutes, run by hand",
    r"pip |source |export |docker |kubectl |ray |git |jupyter ": "changes more than the folder of the test",
    r"mlflow |curl ": "a server of MLflow's; tests/runner/test_logged_models.py loads and asks the model",
    r"mmm track RUN": "RUN is what a job left; tests/cluster/test_cluster_docs.py types it",
    r"mmm ui": "serves until it is stopped; tests/runner/test_tracking_stores.py starts it",
    r"mmm (submit|status|logs|stop|fetch)": "needs a cluster; tests/cluster/test_jobs_on_a_cluster.py runs it",
    r"mmm --(install|show)-completion": "changes the shell of whoever runs the tests",
}
OTHER_LANGUAGES = {"csv", "r", "text", "filters", "json", "dax", "sql", "powerquery", "ini", "dockerfile", ""}


@dataclass(frozen=True)
class Step:
    """One thing that a page lets do.

    Attributes:
        kind: command, python, yaml, set. text: what. line: where it stands, from 1.
        why_not: the reason for which it is not run; empty where it is.
    """

    kind: str
    text: str
    line: int
    why_not: str = ""


def steps(page: Path) -> list[Step]:
    """Everything of a page, in order.

    Raises:
        ValueError: a block in a language that nobody here knows, or an unknown directive.
    """
    found: list[Step] = []
    skip = ""
    for line, kind, text in _blocks(page.read_text(encoding="utf-8").splitlines()):
        if kind == "directive":
            word, _, rest = text.partition(" ")
            if word == "skip" and rest:
                skip = rest
            elif word in ("run", "set") and rest:
                found.append(Step("command" if word == "run" else "set", rest, line))
            else:
                raise ValueError(f"{page.name}:{line}: unknown directive {text!r}")
            continue
        found += [Step(k, t, line, skip or why) for k, t, why in _split(page, line, kind, text)]
        skip = ""
    return found


def _split(page: Path, line: int, kind: str, text: str) -> Iterator[tuple[str, str, str]]:
    if kind in ("python", "yaml"):
        yield kind, text, ""
    elif kind in ("bash", "indented"):
        for command in _commands(text):
            yield (
                "command",
                command,
                next((why for how, why in NOT_RUN.items() if re.match(how, command)), ""),
            )
    elif kind not in OTHER_LANGUAGES:
        raise ValueError(
            f"{page.name}:{line}: a block of {kind!r} is neither run nor known to need no running"
        )


def _commands(text: str) -> list[str]:
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [
        re.sub(r"\s+#\s.*$", "", line).strip() for line in lines if line.strip() and not line.startswith("#")
    ]


def _blocks(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    """(line, kind, text): fenced blocks by their language, indented ones that begin with a command, directives."""
    number = 0
    while number < len(lines):
        line = lines[number]
        fence = re.fullmatch(r"```(\w*)\s*", line)
        directive = re.fullmatch(r"<!-- test: (.+?) -->", line)
        if fence:
            end = lines.index("```", number + 1)
            yield number + 1, fence[1].lower(), "\n".join(lines[number + 1 : end]) + "\n"
            number = end
        elif directive:
            yield number + 1, "directive", directive[1]
        elif line.startswith("    ") and (not number or not lines[number - 1].strip()):
            end = number
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            block = [text[4:] for text in lines[number:end]]
            if block[0].split()[:1] and block[0].split()[0] in COMMANDS:
                yield number + 1, "indented", "\n".join(block)
            number = end - 1
        number += 1
