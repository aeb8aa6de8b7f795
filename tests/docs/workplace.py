"""A folder as a reader of the documentation has it: the shipped experiments, made small, and files of his own.

``new.csv`` is the quickstart's table with a quarter more, ``sales.csv`` and ``weekly.csv`` the table itself, a spec of
his own ``my.yaml``, ``mine.csv`` hyperparameters.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from runner.spec.loading import apply_override
from tests.runner.command import ROOT

SMALL = (
    "search.trials=2",
    "search.iterations=60",
    "selection.min_candidates=20",
    "bootstrap.refits=10",
    "execution.backend=serial",
    "tracking.enabled=false",
)
NEW_ROWS = 13
SECONDS = 300


@dataclass(frozen=True)
class Ran:
    """How a command line ended."""

    status: int
    out: str


def make_workplace(folder: Path) -> Path:
    """Fill an empty folder."""
    shutil.copytree(ROOT / "experiments", folder / "experiments")
    for path in (folder / "experiments").glob("*.yaml"):
        change_spec(path, *SMALL)
    table = pd.read_csv(folder / "experiments" / "data" / "quickstart.csv")
    for name in ("sales.csv", "weekly.csv"):
        table.to_csv(folder / name, index=False)
    _longer(table).to_csv(folder / "new.csv", index=False)
    own = yaml.safe_load((folder / "experiments" / "quickstart.yaml").read_text())
    own |= {"name": "my", "data": {"path": "sales.csv", "date": "date"}}
    (folder / "my.yaml").write_text(yaml.safe_dump(own, sort_keys=False))
    _hyperparameters(own).to_csv(folder / "mine.csv", index=False)
    return folder


def change_spec(path: Path, *overrides: str) -> None:
    """Write keys into a spec file."""
    tree: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for override in overrides:
        apply_override(tree, override)
    path.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")


def shell(command: str, folder: Path) -> Ran:
    """Run a line as typed into a shell, with our ``mmm`` first on the path."""
    bin_folder = Path(sys.executable).parent
    env = {
        **os.environ,
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Ran(done.returncode, done.stdout + done.stderr)


def _longer(table: pd.DataFrame) -> pd.DataFrame:
    last = table.tail(NEW_ROWS).copy()
    first = pd.Timestamp(table["date"].iloc[-1]) + pd.Timedelta(weeks=1)
    last["date"] = pd.date_range(first, periods=NEW_ROWS, freq="7D").strftime("%Y-%m-%d")
    return pd.concat([table, last])


def _hyperparameters(spec: dict[str, Any]) -> pd.DataFrame:
    """Three points inside the ranges of a spec."""
    points = {}
    for name, entry in spec["hyperparameters"].items():
        ranges = (
            {f"{name}_{p}": pair for p, pair in entry.items()} if isinstance(entry, dict) else {name: entry}
        )
        points.update({key: np.linspace(*pair, 5)[1:4] for key, pair in ranges.items()})
    return pd.DataFrame({**points, "lambda_hp": [0.1, 0.2, 0.3]})
