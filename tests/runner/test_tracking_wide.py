"""Thousands of columns: more parameters, metrics and histories than any call takes, all of them read back."""

from __future__ import annotations

from pathlib import Path

import pytest

import runner.tracking.mlflow_tracker as tracker_module
from runner.run_folder import RunFolder
from runner.tracking.base import ENTITIES_PER_CALL, PAIRS_PER_CALL
from runner.tracking.contents import history_names
from runner.tracking.memory_tracker import MemoryTracker
from runner.tracking.mirror import mirror, mirror_to
from runner.tracking.mlflow_tracker import MlflowTracker, Store
from tests.runner.mirrored import Picture, by_name, empty_store, make_run, picture, rows_in
from tests.runner.servers import mlflow_server

pytestmark = pytest.mark.integration

CHANNELS = tuple(f"channel {i:03d}" for i in range(300))
# A few of a thousand histories; rows of the tables are compared whole.
SOME = ("nrmse", "decomp_rssd", "effect_share_channel 007", "roas_channel 299", "roas_channel 299_lower")


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> RunFolder:
    """300 channels and 801 columns of context."""
    keys = {"tracking": {"candidates": "all"}, "hyperparameters": {"train_size": 0.9}}
    return make_run(tmp_path_factory.mktemp("wide") / "runs", CHANNELS, n=4, further=800, **keys)


@pytest.fixture(scope="module")
def whole(wide) -> dict[str, Picture]:
    """What a store should hold."""
    tracker = MemoryTracker()
    mirror(wide, tracker)
    return by_name(picture(tracker))


@pytest.fixture(scope="module")
def by_rows(wide, tmp_path_factory) -> Store:
    store = empty_store(tmp_path_factory.mktemp("rows"))
    mirror_to(wide, store.uri)
    return store


def test_it_is_more_than_any_call_takes(wide, whole):
    model = whole[wide.selected()[0]]
    assert len(whole[wide.run_id].params) > 20 * PAIRS_PER_CALL
    assert len(model.params) > 9 * PAIRS_PER_CALL
    assert len(model.latest) > 3 * ENTITIES_PER_CALL
    assert set(whole["trial-01"].histories) > set(history_names(wide.spec()))
    assert len(whole["trial-01"].histories) > 600


def test_everything_is_read_back_from_a_database(wide, whole, by_rows):
    tracker = MlflowTracker(by_rows)
    tracker.open(wide.spec().experiment)
    found = by_name(picture(tracker, histories=SOME))
    tracker.close()
    assert set(found) == set(whole)
    for name, one in whole.items():
        some = {key: one.histories.get(key, []) for key in SOME}
        assert (found[name].params, found[name].tags, found[name].latest) == (
            one.params,
            one.tags,
            one.latest,
        )
        assert (found[name].files, found[name].models) == (one.files, one.models)
        assert found[name].histories == some


def test_mlflows_own_way_leaves_the_same_rows(wide, by_rows, tmp_path, monkeypatch):
    store = empty_store(tmp_path)
    monkeypatch.setattr(tracker_module, "rows_of", lambda _sql: None)
    mirror_to(wide, store.uri)
    assert rows_in(store) == rows_in(by_rows)


def test_a_server_takes_all_of_it(wide, whole, by_rows, tmp_path: Path):
    store = empty_store(tmp_path)
    with mlflow_server(store.uri, tmp_path / "artifacts") as server:
        mirror_to(wide, server.url)
        assert len(mirror_to(wide, server.url).unchanged) == len(whole)
    assert rows_in(store) == rows_in(by_rows)
