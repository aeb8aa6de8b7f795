"""The walls of the house: who may import whom, what the core never touches, and how light a first import is."""

from __future__ import annotations

import ast
import json
import pkgutil
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = sorted((ROOT / "mmm_core").glob("*.py"))
HEAVY = ["ray", "mlflow", "nevergrad", "prophet", "sklearn", "matplotlib", "plotly", "pandas", "pyarrow"]


def loaded_after(code, modules):
    """Those of ``modules`` that a fresh process has loaded after running ``code``."""
    report = f"{code}\nimport json, sys\nprint(json.dumps([m for m in {modules!r} if m in sys.modules]))"
    out = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(out.stdout.splitlines()[-1])


@cache
def tree(path):
    return ast.parse(path.read_text())


def calls_of(module):
    """(name as written, line) of every call in a file: ``open``, ``np.load``, ``path.read_text``."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def imports_of(module):
    """(module, line) of every import in a file, also inside functions."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.lineno


def test_the_core_loads_no_engine():
    modules = [f"mmm_core.{module.name}" for module in pkgutil.iter_modules([str(ROOT / "mmm_core")])]
    assert "mmm_core.evaluate" in modules
    code = "\n".join(f"import {module}" for module in modules)
    # Not yaml: numba itself reads its settings with it. The rule that we do not is in pyproject.toml, tested below.
    assert loaded_after(code, [*HEAVY, "pydantic", "typer", "rich", "scipy.optimize"]) == []


def test_the_command_line_starts_without_anything_heavy():
    assert loaded_after("import runner.cli", [*HEAVY, "numba", "scipy", "numpy"]) == []


def test_the_cluster_package_loads_no_engine_before_it_is_asked_for_one():
    assert loaded_after("import cluster", [*HEAVY, "numba", "mmm_core", "runner"]) == []


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_the_core_knows_no_files_clocks_or_processes(path):
    banned = {
        "io",
        "os",
        "pathlib",
        "random",
        "shutil",
        "socket",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "urllib",
    }
    found = [(module, line) for module, line in imports_of(tree(path)) if module.split(".")[0] in banned]
    assert found == []


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_the_core_opens_nothing(path):
    endings = (
        "open", "read_text", "write_text", "read_bytes", "write_bytes", "read_csv", "to_csv", "read_parquet",
        "to_parquet", "np.load", "np.save", "np.savez", "np.loadtxt", "np.genfromtxt", "np.fromfile", "tofile",
        "print", "input",
    )  # fmt: skip
    found = [
        (name, line)
        for name, line in calls_of(tree(path))
        if any(name == ending or name.endswith(f".{ending}") for ending in endings)
    ]
    assert found == []


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_randomness_comes_from_seeds_that_are_passed(path):
    allowed = {"default_rng", "Generator", "SeedSequence", "PCG64", "Philox"}
    calls = [
        (re.fullmatch(r"(?:np|numpy)\.random\.(\w+)", name), line) for name, line in calls_of(tree(path))
    ]
    found = [(match[1], line) for match, line in calls if match and match[1] not in allowed]
    assert found == []
    unseeded = [
        node.lineno
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("default_rng") and not node.args
    ]
    assert unseeded == []


def test_every_compiled_formula_is_in_one_file():
    # numba's cache on disk does not notice a change in a kernel of another file.
    users = [path.name for path in CORE if any(m.split(".")[0] == "numba" for m, _ in imports_of(tree(path)))]
    assert users == ["_kernels.py"]


def test_the_import_rules_of_pyproject_hold():
    lint = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    out = subprocess.run([sys.executable, "-c", lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stdout + out.stderr


def test_nothing_is_unpickled():
    """A pickle from elsewhere runs what its author likes. The debug backend reads what it wrote a line before."""
    found = {
        str(path.relative_to(ROOT))
        for package in ("mmm_core", "cluster", "runner")
        for path in (ROOT / package).rglob("*.py")
        for module, _ in imports_of(tree(path))
        if module.split(".")[0] in {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    }
    assert found == {"cluster/serial.py"}
