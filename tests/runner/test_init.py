"""``mmm init``: from tables as people have them to specs that validate, with a reason for every guess."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmm_core.errors import UserError
from runner.commands import init, validate
from runner.dataset import Frequency
from runner.drafts.cells import NumberStyle, parse_days, parse_number, parse_numbers
from runner.drafts.guessing import theta_of
from runner.drafts.words import KINDS, kind_of, stem
from runner.spec import load_spec
from tests.runner.command import ROOT, files_below, mmm
from tests.runner.small import small_table

QUICKSTART = ROOT / "experiments" / "data" / "quickstart.csv"
ROBYN = ROOT.parent / "shared" / "data" / "dt_simulated_weekly.csv"


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def quickstart() -> pd.DataFrame:
    return pd.read_csv(QUICKSTART)


def german(value: float) -> str:
    return f"{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")


def german_table() -> pd.DataFrame:
    table = quickstart()
    return pd.DataFrame(
        {
            "Woche": pd.to_datetime(table["date"]).dt.strftime("%d.%m.%Y"),
            "Umsatz (€)": table["revenue"].map(german),
            "TV Werbekosten": table["tv_spend"].map(german),
            "Google Ads Kosten": table["search_spend"].map(german),
            "Google Ads Klicks": table["search_clicks"],
            "Newsletter": table["newsletter"],
            "Preis": table["price"].map(german),
            "Aktion": table["events"],
            "Gewinn": (table["revenue"] * 0.3).map(german),
            "Land": "Deutschland",
        }
    )


def test_the_quickstart_table_gets_the_roles_of_the_quickstart_spec():
    made = init.run(str(QUICKSTART), country="DE")
    spec, shipped = load_spec(made.spec), load_spec(ROOT / "experiments" / "quickstart.yaml")
    for key in ("data", "outcome", "channels", "organic", "context", "baseline", "adstock"):
        assert getattr(spec, key) == getattr(shipped, key), key
    of_media = {name for name in shipped.hyperparameters if name != "train_size"}
    assert {name: spec.hyperparameters[name] for name in of_media} == {
        name: shipped.hyperparameters[name] for name in of_media
    }
    assert made.copy is None


@pytest.mark.skipif(not ROBYN.exists(), reason="the demo table of the R package is not in shared/")
def test_the_demo_table_of_robyn_gets_the_roles_of_its_spec():
    spec = load_spec(init.run(str(ROBYN), country="DE").spec)
    shipped = load_spec(ROOT / "experiments" / "robyn_demo.yaml")
    assert sorted(spec.channels, key=lambda c: c.name) == sorted(shipped.channels, key=lambda c: c.name)
    for key in ("outcome", "organic", "context", "baseline"):
        assert getattr(spec, key) == getattr(shipped, key), key
    assert all(spec.hyperparameters[c.name] == shipped.hyperparameters[c.name] for c in spec.channels)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8-sig", "utf-16"])
def test_a_german_table_gets_a_clean_copy_with_the_same_numbers(encoding):
    german_table().to_csv("umsätze.csv", sep=";", index=False, encoding=encoding)
    before = Path("umsätze.csv").read_bytes()
    made = init.run("umsätze.csv")
    draft = made.draft
    assert Path("umsätze.csv").read_bytes() == before
    assert made.copy == Path("umsätze_clean.csv")
    assert [(c.name, c.spend, c.exposure) for c in draft.channels] == [
        ("tv", "TV Werbekosten", None),
        ("google", "Google Ads Kosten", "Google Ads Klicks"),
    ]
    assert (draft.outcome.value, draft.kind.value) == ("Umsatz (€)", "revenue")
    assert [(m.column, m.is_factor) for m in draft.context] == [("Preis", False), ("Aktion", True)]
    assert dict(draft.left_out).keys() == {"Gewinn", "Land"}
    assert draft.country is not None
    assert draft.country.value == "DE"
    panel = validate.run(made.spec).panel
    table = quickstart()
    assert panel.dates.astype(str).tolist() == table["date"].tolist()
    np.testing.assert_allclose(panel.outcome, table["revenue"])
    np.testing.assert_allclose(panel.numeric["TV Werbekosten"], table["tv_spend"])


def test_daily_american_dates_and_columns_that_marketing_brings_about():
    n, rng = 800, np.random.default_rng(1)
    days = pd.date_range("2022-01-01", periods=n).strftime("%m/%d/%Y")
    table = pd.DataFrame({"Day": days, "Orders": rng.poisson(200, n), "TV": rng.gamma(2, 500, n).round(2)})
    table["Search Brand Cost"] = rng.gamma(2, 100, n).round(2)
    table["Sessions"] = rng.poisson(2000, n)
    table.to_csv("daily.csv")  # with an index, as pandas writes it
    draft = init.run("daily.csv").draft
    assert draft.frequency == "daily"
    assert (draft.first, draft.last) == ("2022-01-01", "2024-03-10")
    assert draft.kind.value == "conversion"
    assert [c.name for c in draft.channels] == ["tv", "search_brand"]
    assert dict(draft.left_out).keys() == {"", "Sessions"}
    assert "weekday" in dict(draft.components)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%b %Y", "%m/%Y", "%d.%m.%Y"])
def test_monthly_rows_dated_on_any_day_become_first_days(form):
    months = pd.date_range("2017-01-31", periods=84, freq="ME")
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"Month": months.strftime(form), "Net Sales": rng.normal(1e6, 1e5, 84).round()})
    table["TV Spend"] = [f"${value:,.2f}" for value in rng.gamma(2, 5000, 84)]
    table["Radio Spend"] = rng.gamma(2, 1000, 84).round(2)
    table.to_csv("monthly.csv", index=False)
    made = init.run("monthly.csv")
    assert made.draft.frequency == "monthly"
    panel = validate.run(made.spec).panel
    assert [str(day) for day in panel.dates[:2]] == ["2017-01-01", "2017-02-01"]
    assert panel.numeric["TV Spend"].max() > 1000


def test_parquet_is_taken_as_it_is():
    small_table().to_parquet("small.parquet", index=False)
    made = init.run("small.parquet")
    assert made.copy is None
    assert [c.exposure for c in made.draft.channels] == [None, "web_clicks"]


def test_empty_spend_becomes_zero_in_the_copy_and_is_said(capsys):
    table = small_table()
    table.loc[3, "tv_cost"] = np.nan
    table.to_csv("gaps.csv", index=False)
    done = mmm(capsys, "init", "gaps.csv", "--yes")
    assert done.status == 0
    assert "empty cells become 0 in 'tv_cost': is that what they mean?" in done.out
    assert pd.read_csv("gaps_clean.csv").loc[3, "tv_cost"] == 0


def test_an_exposure_that_is_not_of_the_channel_is_left_out_with_the_reason():
    table = small_table()
    table["tv_impressions"] = np.roll(table["tv_cost"], 1) * 7
    table.to_csv("odd.csv", index=False)
    draft = init.run("odd.csv").draft
    (tv,) = (c for c in draft.channels if c.name == "tv")
    assert tv.exposure is None
    assert "tv_impressions is not taken as its exposure" in tv.reason
    assert "tv_impressions" in dict(draft.left_out)


def test_channels_that_spend_together_are_named():
    table = small_table()
    table["radio_cost"] = table["tv_cost"] * 2 + 1
    table.to_csv("together.csv", index=False)
    assert any(
        note.startswith("tv and radio spend at the same times")
        for note in init.run("together.csv").draft.notes
    )


# --------------------------------------------------------------------------------------------------------- refusals


def refused(capsys, *words: object) -> str:
    before = files_below(Path())
    refusal = mmm(capsys, "init", *words).refusal
    assert files_below(Path()) == before
    return refusal


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.drop(columns="date"), "no column holds dates in every row"),
        (lambda t: t.head(12), "no spec can be made of it yet: too few rows"),
        (lambda t: t.drop(index=range(10, 60)), None),
        (lambda t: pd.concat([t, t]), "pivot the table to one row a period"),
        (lambda t: t.rename(columns={"sales": "y"}), "say which it is with --outcome"),
        (lambda t: t.assign(turnover=t["sales"] + 1), "could each be the outcome; say which with --outcome"),
        (lambda t: t[["date", "sales", "price"]], "with --channels"),
        (lambda t: t.head(0), "has a header but no rows"),
        (lambda t: t[["date"]], "there is one column only"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(change, told, capsys):
    change(small_table()).to_csv("table.csv", index=False)
    refusal = refused(capsys, "table.csv")
    assert refusal.startswith("table.csv: ")
    assert told is None or told in refusal


def test_flags_are_checked_against_the_table(capsys):
    small_table().to_csv("table.csv", index=False)
    assert "did you mean 'sales'?" in refused(capsys, "table.csv", "--outcome", "sale")
    assert "expected revenue" in refused(capsys, "table.csv", "--kind", "money")
    assert "did you mean 'tv_cost'?" in refused(capsys, "table.csv", "--channels", "tv_costs")
    assert "holds no numbers" in refused(capsys, "table.csv", "--channels", "event")
    assert "cannot be read as dates" in refused(capsys, "table.csv", "--date", "price")
    assert "country" in refused(capsys, "table.csv", "--country", "XX")
    assert "there is no such file" in refused(capsys, "no.csv")
    assert "save the sheet as CSV" in refused(capsys, "no.xlsx")
    assert "ends in .yaml" in refused(capsys, "table.csv", "--out", "table.txt")


def test_nothing_is_overwritten_without_force(capsys):
    small_table().to_csv("table.csv", index=False)
    Path("table.yaml").write_text("mine")
    assert "overwrite it with --force" in refused(capsys, "table.csv")
    assert Path("table.yaml").read_text() == "mine"
    assert mmm(capsys, "init", "table.csv", "--force").status == 0
    assert load_spec("table.yaml").name == "table"


# -------------------------------------------------------------------------------------------------- asking, printing


def test_on_a_terminal_each_guess_can_be_answered():
    small_table().rename(columns={"sales": "y"}).to_csv("table.csv", index=False)
    answers = {"Outcome": ["z", "y"], "Is it": ["revenue"], "Columns": ["tv_cost"], "Country": ["DE"]}
    asked = []

    def ask(question, offered, problem):
        asked.append((question.split()[0], offered, problem))
        return answers[next(key for key in answers if question.startswith(key))].pop(0)

    draft = init.run("table.csv", ask=ask).draft
    assert [c.spend for c in draft.channels] == ["tv_cost"]
    assert draft.country is not None
    assert [offered for _, offered, _ in asked] == [None, None, "conversion", "tv_cost,web_cost", "none"]
    assert "no such column" in str(asked[1][2])


def test_json_has_the_guesses(capsys):
    small_table().to_csv("table.csv", index=False)
    printed = json.loads(mmm(capsys, "init", "table.csv", "--json").out)
    assert printed["spec"] == "table.yaml"
    assert [c["name"] for c in printed["channels"]] == ["tv", "web"]
    assert printed["context"] == ["price", "event"]


def test_the_spec_lies_where_it_is_asked_for_and_finds_the_table():
    Path("data").mkdir()
    small_table().to_csv("data/table.csv", index=False)
    made = init.run("data/table.csv", out="specs/mine.yaml")
    assert "path: ../data/table.csv" in made.spec.read_text()
    validate.run(made.spec)


# ------------------------------------------------------------------------------------------------------ words, cells


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("tv_spend", "tv"),
        ("TV-Spend (EUR)", "tv"),
        ("facebook_S", "facebook"),
        ("facebook_I", "facebook"),
        ("search_clicks_P", "search"),
        ("paidSearchCost", "paid_search"),
        ("Außenwerbung Kosten", "aussenwerbung"),
        ("spend", "spend"),
    ],
)
def test_a_channel_is_what_is_left_of_the_name(name, channel):
    assert stem(name) == channel


def test_the_range_of_a_medium_keeps_its_meaning_at_another_frequency():
    tv = kind_of("tv_spend")
    assert tv is KINDS[0]
    assert theta_of(tv, Frequency.WEEKLY) == (0.3, 0.8)
    low, high = theta_of(tv, Frequency.DAILY)
    assert low**7 == pytest.approx(0.3, abs=0.02)
    assert high**7 == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(
    ("text", "style", "value"),
    [
        ("1234.5", NumberStyle.PLAIN, 1234.5),
        ("1.234,5", NumberStyle.COMMA, 1234.5),
        ("1,234.5", NumberStyle.THOUSANDS, 1234.5),
        ("1,5", NumberStyle.THOUSANDS, None),
        ("1.23", NumberStyle.COMMA, None),
    ],
)
def test_numbers_in_three_styles(text, style, value):
    assert parse_number(text, style) == value


def test_a_column_of_numbers_with_a_word_in_it_names_the_word():
    numbers = parse_numbers([*map(str, range(30)), "many"])
    assert numbers is not None
    assert numbers.wrong == (30, "many")
    assert parse_numbers(["a", "b"]) is None


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        (["01/02/2024", "08/02/2024", "15/02/2024"], "2024-02-01"),
        (["01/02/2024", "02/02/2024", "03/02/2024"], None),
        (["2024-W01", "2024-W02"], "2024-01-01"),
        (["20240101", "20240108"], "2024-01-01"),
        (["31.01.24", "29.02.24", "31.03.24"], "2024-01-31"),
    ],
)
def test_dates_are_read_in_the_format_that_makes_them_regular(cells, first):
    days = parse_days(cells)
    assert days is not None
    assert days.regularity == 1
    assert first is None or str(days.values[0]) == first


def test_what_is_no_date_is_none():
    assert parse_days(["2024-01-01", ""]) is None
    small_table().to_csv("t.csv", index=False)
    with pytest.raises(UserError, match="cannot be read as dates"):
        init.run("t.csv", date="event")
