"""A portfolio on Ray: the bytes of the serial one, as tasks and spread, and through the death of its driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import runner
from runner.portfolio import PortfolioFolder
from tests.runner.command import ROOT
from tests.runner.portfolio_files import MARKETS, market_table, model_folder, results, write_portfolio


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """In this process, in order."""
    folder = tmp_path_factory.mktemp("serial")
    return runner.run(write_portfolio(folder), runs=folder / "runs").path


def assert_same(found: Path, expected: Path) -> None:
    for market in MARKETS:
        ours, theirs = (results(model_folder(path, market)) for path in (found, expected))
        assert sorted(ours) == sorted(theirs)
        assert [name for name in ours if ours[name] != theirs[name]] == []
    for table in ("summary", "channels", "pooling"):
        assert (found / f"{table}.parquet").read_bytes() == (expected / f"{table}.parquet").read_bytes()


@pytest.mark.integration
@pytest.mark.parametrize("workers", [2, 4])
def test_tasks_and_spread_models_are_those_of_one_process(whole, tmp_path, workers):
    spec = write_portfolio(tmp_path)
    found = runner.run(spec, runs=tmp_path / "runs", backend="ray", workers=workers)
    assert_same(found.path, whole)


@pytest.mark.integration
def test_a_killed_driver_loses_no_finished_model(whole, tmp_path):
    spec = write_portfolio(tmp_path)
    code = "import runner, sys; runner.run(sys.argv[1], runs=sys.argv[2], backend='ray', workers=1)"
    driver = subprocess.Popen([sys.executable, "-c", code, str(spec), str(tmp_path / "runs")], cwd=ROOT)
    try:
        deadline = time.monotonic() + 240
        while not (finished := list((tmp_path / "runs").glob("*/models/markets-*/summary.json"))):
            assert driver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    folder = PortfolioFolder.open(finished[0].parents[2])
    before = finished[0].stat().st_mtime_ns
    assert runner.resume(folder.path).path == folder.path
    assert finished[0].stat().st_mtime_ns == before
    assert_same(folder.path, whole)


@pytest.mark.nightly
def test_many_models_some_of_them_bad(tmp_path):
    names = [f"m{i:02d}" for i in range(24)]
    tables = [market_table(name) for name in names]
    for bad in (3, 17):
        tables[bad]["tv_cost"] = 0
    spec = write_portfolio(tmp_path, tables=tables)
    folder = runner.run(spec, runs=tmp_path / "runs", backend="ray", workers=2)
    assert folder.json("summary")["models"] == {"total": 24, "done": 22, "failed": 2}
    alone = runner.run(spec, runs=tmp_path / "alone", models=["m11"])
    assert results(model_folder(folder.path, "m11")) == results(model_folder(alone.path, "m11"))
