"""Runs beside one another: what differs is found, what is noise is called noise, and nothing breaks on odd pairs."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from mmm_core.errors import UserError
from runner.commands.compare import run as compare
from runner.commands.run import run
from runner.comparison import compare_runs
from runner.comparison.differences import label
from runner.comparison.facts import Estimate, change_of, read_facts
from runner.comparison.page import comparison_html
from runner.comparison.screen import print_comparison
from runner.comparison.words import sentences, verdict
from runner.run_folder import RunFolder
from runner.tables import read_table, to_plain, write_json, write_table
from tests.runner.small import SCENARIOS, small_table, write_small

STRANGE = "<b>R&D</b> ${x}"


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A run on changed data with other channels and another kind of outcome, and one with other settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner.orchestrate.write_report", lambda folder: None)
        first = tmp_path_factory.mktemp("changed")
        table = pd.concat([small_table().iloc[2:], small_table(110).iloc[104:]], ignore_index=True)
        table.loc[10:12, "tv_cost"] = table.loc[10:12, "tv_cost"] * 2 + 100
        table["radio_cost"] = np.arange(len(table)) % 7 * 50.0
        channels = [
            {"name": "tv", "spend": "tv_cost"},
            {"name": STRANGE, "spend": "radio_cost"},
        ]
        keys = {"channels": channels, "outcome": {"column": "sales", "kind": "conversion"}, "organic": []}
        changed = run(write_small(first, table, name="changed", **keys), runs=first / "runs")
        second = tmp_path_factory.mktemp("longer")
        longer = run(write_small(second, search__seed=8, scenarios=SCENARIOS), runs=second / "runs")
    return changed, longer


# ------------------------------------------------------------------------------------------------------- uncertainty


def test_an_error_joins_the_data_and_the_choice_of_the_model(small_run):
    facts = read_facts(small_run)
    z = NormalDist().inv_cdf((1 + facts.level) / 2)
    rows = {
        (r["candidate"], r["name"]): r
        for r in read_table(small_run.path / "intervals.parquet").to_pylist()
        if r["kind"] == "sampling" and r["quantity"] == "roas"
    }
    for channel in facts.channels:
        values = [next(c["roas"] for c in m["channels"] if c["name"] == channel) for m in facts.models]
        widths = [rows[m["candidate"], channel] for m in facts.models]
        sampling = np.mean([((r["upper"] - r["lower"]) / 2 / z) ** 2 for r in widths])
        found = facts.efficiency(channel)
        assert found.value == pytest.approx(np.mean(values))
        assert found.error == pytest.approx(np.sqrt(sampling + np.var(values, ddof=1)))
        assert (found.lower, found.upper) == (
            min(r["lower"] for r in widths),
            max(r["upper"] for r in widths),
        )


def test_contributions_are_per_period_and_add_up(small_run):
    facts = read_facts(small_run)
    table = small_run.table("contributions").to_pandas()
    for component in facts.components:
        mean = table[table["component"] == component]["contribution"].mean()
        assert facts.per_period(component).value == pytest.approx(mean, rel=1e-9, abs=1e-9)
    assert sum(facts.effect_share(channel).value for channel in facts.channels) == pytest.approx(1.0)


def estimate(value, error=None) -> Estimate:
    return Estimate(value, error, None, None, 1)


@pytest.mark.parametrize(
    ("before", "after", "beyond", "word"),
    [
        (estimate(1.0, 0.3), estimate(1.6, 0.2), True, "changed"),  # 0.6 > 1.645 * 0.3606
        (estimate(1.0, 0.3), estimate(1.59, 0.2), False, "within noise"),
        (estimate(1.0, 0.3), estimate(0.4, 0.2), True, "changed"),
        (estimate(1.0, 0.3), estimate(1.0, 0.2), False, "same"),
        (estimate(1.0), estimate(9.0, 0.2), None, "not known"),
        (estimate(1.0, 0.0), estimate(1.1, 0.0), True, "changed"),
    ],
)
def test_a_change_is_held_against_the_error_of_the_difference(before, after, beyond, word):
    change = change_of(before, after, 0.9)
    assert change.is_beyond_uncertainty is beyond
    assert verdict(change) == word
    assert change.change == pytest.approx(after.value - before.value)
    if beyond is not None and before.error:
        assert change.standardised == pytest.approx(change.change / math.hypot(before.error, after.error))


def test_what_is_not_known_cannot_change():
    assert change_of(None, estimate(1.0), 0.9) is None
    assert change_of(estimate(None), estimate(1.0), 0.9) is None
    assert verdict(None) == ""
    assert change_of(estimate(0.0, 0.1), estimate(1.0, 0.1), 0.9).relative is None


def test_models_without_effect_have_no_cpa(small_run):
    facts = read_facts(small_run)
    models = [json.loads(json.dumps(model)) for model in facts.models]
    models[0]["channels"][0]["roas"] = None
    found = replace(facts, models=tuple(models)).efficiency("tv")
    assert (found.value, found.error) == (None, None)


# ------------------------------------------------------------------------------------------------------- differences


def test_a_run_repeated_says_so_and_nothing_else(small_run, tmp_path):
    again = RunFolder(shutil.copytree(small_run.path, tmp_path / "again" / small_run.path.name))
    comparison = compare_runs([small_run, again])
    assert sentences(comparison) == ["B has the spec and the data of A, and every candidate is the same."]
    assert (comparison.spec, comparison.is_same_search) == ((), (True, True))
    assert {change.change for row in comparison.rows for change in row.changes if change} == {0.0}


def test_other_settings_are_named_and_the_rest_is_the_same(small_run, others):
    comparison = compare_runs([small_run, others[1]])
    assert [(one.key, one.values) for one in comparison.spec if one.key.startswith("search")] == [
        ("search.seed", ("7", "8"))
    ]
    assert comparison.data[1].is_same
    said = "\n".join(sentences(comparison))
    assert "B has the data of A." in said
    assert "search.seed is 8 instead of 7" in said
    for row in comparison.rows:
        for change in row.changes:
            counted = change and change.standardised
            if counted is not None:
                limit = NormalDist().inv_cdf(0.95)
                assert change.is_beyond_uncertainty is (abs(counted) > limit)
    named = {row.name for row in comparison.of("roas")}
    assert named == {"tv", "web"}
    for name in named:
        assert name in said  # changed, within uncertainty or not known: never passed over


def test_changed_data_are_told_by_rows_and_columns(small_run, others):
    data = compare_runs([small_run, others[0]]).data[1]
    assert (data.is_same, data.rows, data.added_rows, data.removed_rows) == (False, 108, 6, 2)
    assert data.added_columns == ("radio_cost",)
    assert set(data.removed_columns) == {"web_cost", "web_clicks", "mails"}
    before = small_table().loc[12:14, "tv_cost"].to_numpy()
    ratio = ((2 * before + 100)[before > 0] / before[before > 0] - 1).max()
    assert data.changed == {"tv_cost": (3, pytest.approx(ratio))}


def test_runs_of_different_channels_and_outcomes_can_be_compared(small_run, others):
    comparison = compare_runs([small_run, *others])
    said = "\n".join(sentences(comparison))
    assert "B is judged by CPA and A by ROAS." in said
    shares = {row.name: [e is not None for e in row.estimates] for row in comparison.of("effect_share")}
    assert shares == {
        "tv": [True, True, True],
        "web": [True, False, True],
        STRANGE: [False, True, False],
    }
    plans = {row.scenario: [plan is None for plan in row.plans] for row in comparison.plans}
    assert plans["more"] == [False, True, False]
    record = json.loads(json.dumps(to_plain(comparison.as_record()), allow_nan=False))
    assert [one["label"] for one in record["runs"]] == ["A", "B", "C"]
    assert record["said"] == sentences(comparison)


def test_channels_that_come_and_go_are_named(small_run, others, tmp_path):
    changed = RunFolder(shutil.copytree(others[0].path, tmp_path / "x" / others[0].path.name))
    said = sentences(compare_runs([changed, others[0]]))
    assert len(said) == 1
    spec = (changed.path / "spec.yaml").read_text().replace("kind: conversion", "kind: revenue")
    (changed.path / "spec.yaml").write_text(spec)
    for path in changed.path.glob("models/*.json"):
        record = json.loads(path.read_text())
        for channel in record["channels"]:
            channel["roas"] = 2.0
        write_json(path, record)
    said = "\n".join(sentences(compare_runs([small_run, changed])))
    assert "web is a channel of A, not of B." in said
    assert f"{STRANGE} is a channel of B, not of A." in said


def test_of_three_runs_a_channel_that_the_first_lacks_is_held_against_the_run_that_has_it_and_says_so(
    small_run, others, capsys
):
    """C had its change to B shown as one to A, and B's channel was said to be of C only."""
    comparison = compare_runs([others[0], small_run, others[1]])
    roas = {row.name: row for row in comparison.of("roas")}
    assert [change is None for change in roas["web"].changes] == [True, True, False]
    print_comparison(comparison)
    shown = next(line for line in capsys.readouterr().out.splitlines() if "web" in line and "±" in line)
    assert "(to B)" in shown
    assert "(to B)" in comparison_html(comparison)
    said = "\n".join(sentences(comparison))
    assert "only" not in said
    assert "Within uncertainty" not in said  # nothing of ROAS is in A
    two = compare_runs([small_run, others[1]])
    assert "(to " not in comparison_html(two)


def test_a_plan_says_how_much_of_the_budget_lies_elsewhere(small_run, tmp_path):
    other = RunFolder(shutil.copytree(small_run.path, tmp_path / "other" / small_run.path.name))
    path = other.path / "scenarios" / "same-budget" / "ensemble.parquet"
    table = read_table(path)
    spends = np.array([3000.0, 1000.0])
    index = table.column_names.index("optimised_spend")
    write_table(path, table.set_column(index, "optimised_spend", [spends]))
    before = read_table(small_run.path / "scenarios/same-budget/ensemble.parquet")[
        "optimised_spend"
    ].to_numpy()
    row = compare_runs([small_run, other]).plans[0]
    assert row.scenario == "same-budget"
    assert row.moved[0] is None
    assert row.moved[1] == pytest.approx(abs(before[0] / before.sum() - 0.75))
    out_of_reach = next(
        row for row in compare_runs([small_run, other]).plans if row.scenario == "out-of-reach"
    )
    assert out_of_reach.plans[0]["status"] == "infeasible"


# ---------------------------------------------------------------------------------------------------------- showing


class Reader(HTMLParser):
    """Collects tags and text; tags must be closed in order."""

    VOID = ("meta", "wbr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, name, attributes):
        self.seen.add(name)
        assert not [v for k, v in attributes if k in ("src", "href") and v]
        if name not in self.VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        self.text += data


def test_the_page_is_whole_and_whatever_stands_in_a_run_is_escaped(small_run, others, tmp_path):
    page = tmp_path / "page.html"
    comparison = compare([small_run.path, others[0].path, others[1].path], html=page)
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    assert (reader.open, reader.seen & {"script", "img", "b", "link"}) == ([], set())
    assert STRANGE in reader.text
    assert "svg" in reader.seen
    for sentence in sentences(comparison):
        assert sentence in reader.text
    assert "How this is judged" in reader.text


def test_the_terminal_shows_words_and_numbers(small_run, others, capsys):
    print_comparison(compare_runs([small_run, others[0]]))
    out = capsys.readouterr().out
    assert "B is judged by CPA" in out
    for words in ("Losses of the best model", "ROAS: mean", "CPA: mean", "Plans", STRANGE, "radio_cost"):
        assert words in out


def test_one_run_is_no_comparison_and_an_unfinished_one_neither(small_run):
    with pytest.raises(UserError, match="two runs or more"):
        compare([small_run.path])
    (small_run.path / "summary.json").unlink()
    with pytest.raises(UserError, match="did not finish"):
        compare([small_run.path, small_run.path])


@pytest.mark.parametrize("content", ["{", "{}", "[]", "null"])
@pytest.mark.parametrize("name", ["summary.json", "models/*.json"])
def test_a_run_with_a_damaged_file_is_told_in_one_sentence(small_run, name, content):
    """A trace came of these, and the exit status of a fault of ours."""
    for path in small_run.path.glob(name):
        path.write_text(content)
    with pytest.raises(UserError, match="run it again"):
        compare([small_run.path, small_run.path])


def test_other_windows_are_told_where_the_spec_says_nothing_of_them(small_run, others):
    comparison = compare_runs([small_run, others[0]])
    first, other = (data.window for data in comparison.data)
    said = f"The window of B is {' to '.join(other)}, A's {' to '.join(first)}: contributions per period"
    assert first != other
    assert any(sentence.startswith(said) for sentence in sentences(comparison))
    assert not any(
        "The window of" in sentence for sentence in sentences(compare_runs([small_run, others[1]]))
    )


def test_a_key_without_a_value_is_as_good_as_none(small_run, others):
    comparison = compare_runs([others[1], others[0]])
    keys = {one.key: one.values for one in comparison.spec}
    assert any(key.startswith("scenarios.") for key in keys)
    assert not [key for key, values in keys.items() if set(values) <= {None, "null"}]


def test_a_picture_names_the_runs_that_are_in_it_and_keys_break_at_dots(small_run, others):
    page = comparison_html(compare_runs([small_run, others[0]]))
    roas = page[page.index("<svg") : page.index("</svg>")]
    assert ">A<" in roas
    assert ">B<" not in roas  # judged by CPA
    assert "outcome.<wbr>kind" in page


def test_a_page_that_cannot_be_written_is_told(small_run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--html"):
        compare([small_run.path, small_run.path], html=tmp_path / "file" / "page.html")


def test_there_is_a_label_for_every_run():
    assert [label(i) for i in (0, 1, 25, 26, 53)] == ["A", "B", "Z", "A2", "B3"]


def test_a_comparison_without_intervals_says_that_it_does_not_know(small_run, others):
    for folder in (small_run,):
        table = read_table(folder.path / "intervals.parquet")
        write_table(folder.path / "intervals.parquet", table.slice(0, 0))
    said = "\n".join(sentences(compare_runs([small_run, others[1]])))
    assert "Without intervals nothing can be said of the ROAS of tv, web." in said
    assert comparison_html(compare_runs([small_run, others[1]]))
