"""MLflow's own pages in a browser show our runs, sorted and compared, without anybody choosing columns."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.tracking.mirror import mirror_to
from runner.tracking.mlflow_tracker import MlflowTracker, choose_store
from tests.runner.mirrored import empty_store, make_run, quiet_mlflow
from tests.runner.servers import free_port

pytestmark = pytest.mark.integration

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SECONDS = 90_000  # of patience, in milliseconds


@pytest.fixture(scope="module")
def page():
    """A page of a headless browser."""
    api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium is installed (on Debian: apt install chromium)")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=browser, args=list(FLAGS))
        page = running.new_page(viewport={"width": 1800, "height": 1200})
        page.set_default_timeout(SECONDS)
        yield page
        running.close()


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Two runs of one spec, their ids in MLflow by name, and the address that mmm ui prints for their experiment."""
    runs = tmp_path_factory.mktemp("ui") / "runs"
    empty_store(runs)
    folders = [make_run(runs / "first"), make_run(runs / "second", n=30)]
    folders = [folder.path.rename(runs / f"{name}-run") for folder, name in zip(folders, "ab", strict=True)]
    handles = mirrored(runs, folders)
    words = [sys.executable, "-m", "runner.cli", "ui", "--runs", str(runs), "--port", str(free_port())]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            start, link = server.stdout.readline(), server.stdout.readline()
            assert start.startswith("MLflow UI: http://localhost:")
            name, _, address = link.strip().partition(": ")
            assert name == "small"
            yield handles, address
        finally:
            server.send_signal(signal.SIGTERM)


def mirrored(runs: Path, paths: list[Path]) -> dict[str, str]:
    from runner.run_folder import RunFolder

    for path in paths:
        folder = RunFolder(path)
        folder.write_manifest({**folder.manifest(), "run_id": folder.run_id})
        mirror_to(folder)
    tracker = MlflowTracker(choose_store(runs))
    tracker.open("small")
    with quiet_mlflow():
        found = {run.tags["mmm.name"]: run.handle for run in tracker.find({"mmm.run_id": paths[0].name})} | {
            run.tags["mmm.name"]: run.handle for run in tracker.find({"mmm.kind": "run"})
        }
        selected = tracker.client.search_runs(
            [tracker._experiment], "tags.selected = 'true'", order_by=["metrics.nrmse ASC"]
        )
    tracker.close()
    return found | {f"selected-{i}": run.info.run_name for i, run in enumerate(selected)}


def test_the_link_of_mmm_ui_opens_our_runs_with_their_metrics(page, shown):
    handles, address = shown
    page.goto(address)
    for name in ("a-run", "b-run"):
        page.get_by_text(name, exact=True).first.wait_for()
        assert name in handles
    for column in ("decomp_rssd", "nrmse"):
        page.get_by_role("columnheader", name=column, exact=False).first.wait_for()


def test_selected_models_are_sorted_by_their_error(page, shown):
    handles, address = shown
    expected = [name for key, name in handles.items() if key.startswith("selected-")]
    page.goto("about:blank")
    page.goto(address.replace("mmm-runs", "mmm-models"))
    page.get_by_text("4 matching runs").first.wait_for()
    links = page.locator("a[href*='/runs/']").filter(has_text="_")
    links.nth(3).wait_for()
    assert [text.strip() for text in links.all_inner_texts()] == expected


def test_two_runs_are_compared_on_one_page(page, shown):
    handles, address = shown
    base, _, rest = address.partition("/#/")
    experiment = rest.split("/")[1]
    ids = f'["{handles["a-run"]}","{handles["b-run"]}"]'
    page.goto(f'{base}/#/compare-runs?runs={ids}&experiments=["{experiment}"]')
    page.get_by_text("Comparing 2 Runs").first.wait_for()
    page.get_by_text("search.iterations", exact=True).first.wait_for()
    page.get_by_text("contribution_tv", exact=True).first.wait_for()


def test_the_page_of_a_trial_charts_the_history_of_its_candidates(page, shown):
    handles, address = shown
    base, _, rest = address.partition("/#/")
    experiment = rest.split("/")[1]
    page.goto(f"{base}/#/experiments/{experiment}/runs/{handles['trial-01']}/model-metrics")
    for chart in ("best_nrmse", "decomp_rssd"):
        page.get_by_text(chart, exact=True).first.wait_for()
    page.locator(".js-plotly-plot").first.wait_for()


def test_models_can_be_found_and_the_page_of_a_run_begins_with_its_note(page, shown):
    handles, address = shown
    base, _, rest = address.partition("/#/")
    experiment = rest.split("/")[1]
    page.goto(f"{base}/#/experiments/{experiment}/models?workflowType=machine_learning")
    page.get_by_text(f"small-{handles['selected-0']}", exact=True).first.wait_for()
    page.goto(f"{base}/#/experiments/{experiment}/runs/{handles['a-run']}")
    page.get_by_text("80 candidates").first.wait_for()
