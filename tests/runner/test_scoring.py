"""A selected model on its own says what the run folder says, and what its formula says of media to come."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mmm_core.errors import UserError
from runner.scoring import DATE, Scorer, scoring_files
from runner.spec import decode
from runner.tables import read_table, write_text

TINY = {"rtol": 1e-9, "atol": 1e-9}


def scorers(folder):
    return {name: Scorer.of(scoring_files(folder, name), "model") for name in folder.selected()}


@pytest.fixture
def scorer(small_run):
    return next(iter(scorers(small_run).values()))


def record(folder, candidate):
    return folder.json(f"models/{candidate}")


def history(folder, columns=("tv", "web")):
    """The modelled media of the window, as the model works with them."""
    design = folder.table("inputs/design").to_pandas()
    window = record(folder, folder.selected()[0])["window"]
    dates = design["date"].astype(str)
    rows = design[(dates >= window["start"]) & (dates <= window["end"])].reset_index(drop=True)
    return pd.DataFrame({DATE: rows["date"].astype(str), **{name: rows[name] for name in columns}})


def test_dates_of_the_window_give_the_contributions_of_the_run(small_run):
    table = small_run.table("contributions").to_pandas()
    for candidate, scorer in scorers(small_run).items():
        found = scorer.predict(history(small_run, ()))
        own = table[table["candidate"] == candidate]
        assert set(found.columns) == {DATE, "outcome", *own["component"]}
        for component, part in own.groupby("component"):
            assert found[DATE].tolist() == part["date"].astype(str).tolist()
            np.testing.assert_allclose(found[component], part["contribution"], **TINY)
        np.testing.assert_allclose(found["outcome"], own.groupby("date")["contribution"].sum(), **TINY)


def test_the_media_of_the_past_given_again_change_nothing(small_run):
    for scorer in scorers(small_run).values():
        plain = scorer.predict(history(small_run, ()))
        again = history(small_run, ("tv", "web", "mail"))
        pd.testing.assert_frame_equal(scorer.predict(again), plain, rtol=1e-9)
        # Rows from the middle: what earlier exposures carry in is known from the data.
        late = scorer.predict(again.iloc[40:]).reset_index(drop=True)
        pd.testing.assert_frame_equal(late, plain.iloc[40:].reset_index(drop=True), rtol=1e-9)


def test_exposures_can_be_given_in_their_own_unit(small_run, scorer):
    clicks = small_run.table("inputs/panel").to_pandas()["web_clicks"].to_numpy()
    given = history(small_run, ())
    given["web"] = clicks[-len(given) :]
    found = scorer.predict(given, {"exposures": "units"})
    pd.testing.assert_frame_equal(found, scorer.predict(history(small_run, ())), rtol=1e-9)


def test_media_alone_need_no_baseline(small_run, scorer):
    whole = scorer.predict(history(small_run, ()))
    found = scorer.predict(history(small_run, ("tv", "web", "mail")), {"what": "media"})
    assert list(found.columns) == [DATE, "tv", "web", "mail"]
    pd.testing.assert_frame_equal(found, whole[found.columns], rtol=1e-9)


def test_periods_to_come_go_on_from_the_data(small_run):
    candidate = small_run.selected()[0]
    scorer, model = scorers(small_run)[candidate], record(small_run, candidate)
    tv = next(channel for channel in model["channels"] if channel["name"] == "tv")
    past = small_run.table("inputs/design").to_pandas()
    dates = pd.date_range(pd.Timestamp(past["date"].iloc[-1]) + pd.Timedelta(7, "D"), periods=6, freq="7D")
    spend = [500.0, 0.0, 0.0, 900.0, 0.0, 0.0]
    rows = {DATE: dates.strftime("%Y-%m-%d"), "tv": spend, "web": 0.0, "mail": 0.0, "price": 10.0}
    rows |= dict.fromkeys((name for name in past if name.startswith("event")), 0.0)
    found = scorer.predict(pd.DataFrame(rows))
    carried, expected = 0.0, []
    for x in [*past["tv"], *spend]:
        carried = x + tv["theta"] * carried
        z = carried ** tv["alpha"]
        expected.append(tv["coef"] * z / (z + tv["inflexion"] ** tv["alpha"]))
    np.testing.assert_allclose(found["tv"], expected[-6:], **TINY)
    np.testing.assert_allclose(found["price"], model["coefficients"]["price"] * 10.0, **TINY)
    parts = found.drop(columns=[DATE, "outcome"]).sum(axis=1)
    np.testing.assert_allclose(found["outcome"], parts, **TINY)
    with pytest.raises(UserError, match="column 'price' is missing"):
        scorer.predict(pd.DataFrame(rows).drop(columns="price"))


def test_a_series_without_dates_begins_from_nothing(small_run):
    candidate = small_run.selected()[0]
    tv = next(channel for channel in record(small_run, candidate)["channels"] if channel["name"] == "tv")
    rows = pd.DataFrame({"tv": [700.0, 0.0], "web": [0.0, 0.0], "mail": [0, 0]})
    found = scorers(small_run)[candidate].predict(rows, {"what": "media"})["tv"]
    for value, z in zip(found, [700.0, 700.0 * tv["theta"]], strict=True):
        expected = tv["coef"] * z ** tv["alpha"] / (z ** tv["alpha"] + tv["inflexion"] ** tv["alpha"])
        assert value == pytest.approx(expected, rel=1e-9)


def test_history_as_a_plan_brings_what_the_decomposition_says(small_run):
    for candidate, scorer in scorers(small_run).items():
        model = record(small_run, candidate)
        paid = [channel for channel in model["channels"] if channel["kind"] == "paid"]
        plan = pd.DataFrame({channel["name"]: [channel["spend"]] for channel in paid})
        found = scorer.predict(plan, {"what": "response"}).iloc[0]
        for channel in paid:
            assert found[f"response_{channel['name']}"] == pytest.approx(channel["contribution"], rel=1e-9)
        assert found["response"] == pytest.approx(sum(c["contribution"] for c in paid), rel=1e-9)
        assert found["spend"] == pytest.approx(sum(c["spend"] for c in paid), rel=1e-9)


def test_planned_spends_bring_the_planned_response(small_run):
    checked = 0
    for path in sorted(small_run.path.glob("scenarios/*/*.parquet")):
        rows = read_table(path).to_pylist()
        if path.stem == "ensemble" or rows[0]["status"] != "solved":
            continue
        scorer = scorers(small_run)[path.stem]
        plan = pd.DataFrame({row["channel"]: [row["optimised_spend"]] for row in rows})
        options = {key: rows[0][key] for key in ("start", "end", "carryover", "flighting")}
        found = scorer.predict(plan, {"what": "response", **options}).iloc[0]
        for row in rows:
            assert found[f"response_{row['channel']}"] == pytest.approx(row["optimised_response"], rel=1e-9)
        checked += 1
    assert checked >= 2


def test_a_channel_that_a_plan_leaves_out_keeps_its_spend(scorer):
    part = scorer.predict(pd.DataFrame({"tv": [0.0, 50_000.0]}), {"what": "response"})
    assert part["response_web"].nunique() == 1
    assert part["response_tv"].iloc[1] > part["response_tv"].iloc[0]


@pytest.mark.parametrize(
    ("rows", "options", "match"),
    [
        ({DATE: ["2022-02-08"]}, {}, "row 1 is 2022-02-08, expected"),
        ({DATE: ["2022-02-07", "2022-02-21"]}, {}, "row 2 is 2022-02-21, expected 2022-02-14"),
        ({DATE: ["2021-01-04"]}, {}, "from one of the data"),
        ({DATE: ["2030-01-07"], "tv": [1.0]}, {}, "from the next after them"),
        ({"tv": [1.0]}, {}, "column 'price' is missing|column 'event"),
        ({"tv": [1.0]}, {"what": "media"}, "column 'web' is missing"),
        ({"tv": [-1.0], "web": [1.0], "mail": [1.0]}, {"what": "media"}, "column 'tv': row 1 is negative"),
        ({"tv": [None], "web": [1.0], "mail": [1.0]}, {"what": "media"}, "column 'tv': row 1 is missing"),
        ({"tv": ["much"]}, {"what": "response"}, "expected a number"),
        ({"tv": [1.0]}, {"what": "everything"}, "expected decomposition or media or response"),
        ({"tv": [1.0]}, {"what": "response", "start": "1999-01-01", "end": "1999-02-01"}, "no period"),
    ],
)
def test_what_cannot_be_scored_is_told_in_a_sentence(scorer, rows, options, match):
    with pytest.raises(UserError, match=match):
        scorer.predict(pd.DataFrame(rows), options)


def test_a_model_carries_no_secret_of_where_it_was_tracked(small_run):
    text = (small_run.path / "spec.yaml").read_text()
    tree = {**small_run.spec().resolved(), "tracking": {"uri": "postgresql://me:secret@db/mlflow"}}
    write_text(small_run.path / "spec.yaml", json.dumps(decode(tree, "test").resolved()))
    assert b"secret" in (small_run.path / "spec.yaml").read_bytes()
    files = scoring_files(small_run, small_run.selected()[0])
    assert not [name for name, content in files.items() if b"secret" in content]
    write_text(small_run.path / "spec.yaml", text)
