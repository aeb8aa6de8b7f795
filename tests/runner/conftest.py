"""One small finished run for all tests that only look at one; its report is drawn elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.commands.run import run
from runner.run_folder import RunFolder
from tests.runner.browsers import chromium
from tests.runner.small import SCENARIOS, write_small


@pytest.fixture(scope="session")
def small_run_original(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run itself, beside its spec; tests take copies."""
    folder = tmp_path_factory.mktemp("small")
    spec = write_small(folder, scenarios=SCENARIOS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner.orchestrate.write_report", lambda folder: None)
        return run(spec, runs=folder / "runs")


@pytest.fixture
def small_run(small_run_original: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy that a test may change; spec and table stand in ``tmp_path``, the run in ``tmp_path / runs``."""
    shutil.copytree(small_run_original.path.parents[1], tmp_path, dirs_exist_ok=True)
    return RunFolder(tmp_path / "runs" / small_run_original.path.name)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for the pages of a module."""
    with chromium() as opened:
        yield opened
