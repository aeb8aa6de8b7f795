"""What the packages import is declared, and what is declared is pinned."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = {"mmm_core", "cluster", "runner"}
DISTRIBUTION = {
    "PIL": "pillow",
    "grpc": "grpcio",
    "pydantic_core": "pydantic",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}  # where the names differ
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def normal(requirement):
    """The bare, normalised name of a requirement: ``ray[default]>=2`` is ray."""
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower().replace("_", "-")


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def imported_by(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_every_import_of_the_packages_is_a_declared_dependency():
    declared = {normal(requirement) for requirement in PROJECT["dependencies"]}
    undeclared = {
        f"{path.relative_to(ROOT)} imports {module}"
        for package in OURS
        for path in (ROOT / package).rglob("*.py")
        for module in imported_by(path)
        if module not in OURS | sys.stdlib_module_names and DISTRIBUTION.get(module, module) not in declared
    }
    assert undeclared == set()


def test_every_dependency_is_pinned_once_and_exactly():
    pinned = [normal(line) for line in pins()]
    assert len(pinned) == len(set(pinned))
    requirements = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    assert {normal(requirement) for requirement in requirements} <= set(pinned)


def test_pins_are_versions_and_nothing_else():
    # No address of a registry and no file: those are the installing machine's own business.
    exact = re.compile(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.+!]*(?: ; .+)?")
    assert [line for line in pins() if not exact.fullmatch(line)] == []
