"""``mmm plan``: dates to come and past, kept in the run folder; what is asked for wrongly is told in a sentence."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

from mmm_core.errors import UserError
from mmm_core.planning import mean_of_models
from runner import plan
from runner.dataset import panel_from_table
from runner.plans.calendar import calendar_of
from runner.plans.request import parse_amounts, parse_pairs
from runner.run_folder import RunFolder
from runner.spec import decode
from tests.runner.command import files_below, mmm
from tests.runner.small import change, small_spec, small_table

# One copy of the run for all tests that only add plans of their own name; what changes the run takes small_run.


@pytest.fixture(scope="module")
def made(small_run_original, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    shutil.copytree(small_run_original.path.parents[1], folder, dirs_exist_ok=True)
    return RunFolder(folder / "runs" / small_run_original.path.name)


AHEAD = ("2024-01-01", "2024-03-25")
WEEKS = [str(np.datetime64("2024-01-01") + 7 * i) for i in range(13)]


def rows_of(result, name="plan"):
    from runner.tables import read_table

    return read_table(result.path / f"{name}.parquet").to_pylist()


def write_csv(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


class TestPast:
    def test_history_fed_in_as_a_plan_is_the_decomposition(self, made):
        start, end = "2022-06-06", "2023-01-30"
        result = plan(made.path, start, end, bounds={"default": (1.0, 1.0)}, name="nothing")
        own = made.table("contributions").to_pylist()
        expected = {
            (r["candidate"], str(r["date"]), r["component"]): r["contribution"]
            for r in own
            if r["role"] == "paid"
        }
        fitted = {}
        for r in own:
            key = (r["candidate"], str(r["date"]))
            fitted[key] = fitted.get(key, 0.0) + r["contribution"]
        checked = 0
        for row in rows_of(result):
            if row["model"] != "ensemble":
                key = (row["model"], str(row["date"]), row["channel"])
                assert row["response"] == pytest.approx(expected[key], rel=1e-9, abs=1e-9)
                assert row["spend"] == pytest.approx(row["reference_spend"], rel=1e-12)
                checked += 1
        assert checked == 2 * 35 * len(made.selected())
        for row in rows_of(result, "outcome"):
            if row["model"] != "ensemble":
                assert row["outcome"] == pytest.approx(fitted[row["model"], str(row["date"])], rel=1e-9)

    def test_the_spends_of_every_week_may_also_be_a_table(self, made, tmp_path):
        table = small_table().iloc[30:40]
        spends = [
            {"date": day, "tv": tv, "web": web}
            for day, tv, web in zip(table["date"], table["tv_cost"], table["web_cost"], strict=True)
        ]
        path = write_csv(tmp_path / "spends.csv", spends)
        result = plan(made.path, spends[0]["date"], spends[-1]["date"], table=path, name="a table")
        own = {
            (str(r["date"]), r["component"]): r["contribution"]
            for r in made.table("contributions").to_pylist()
            if r["candidate"] == made.selected()[0]
        }
        for row in rows_of(result):
            if row["model"] == made.selected()[0]:
                assert row["response"] == pytest.approx(own[str(row["date"]), row["channel"]], rel=1e-9)


@pytest.fixture(scope="module")
def result(made):
    return plan(made.path, *AHEAD, budget=15_000, name="a budget")


class TestAhead:
    def test_the_budget_is_spent_within_the_bounds(self, result):
        rows = rows_of(result)
        assert {row["model"] for row in rows} == {*result.folder.selected(), "ensemble"}
        assert [str(d) for d in dict.fromkeys(row["date"] for row in rows)] == WEEKS
        for model in (*result.folder.selected(), "ensemble"):
            own = [row for row in rows if row["model"] == model]
            assert sum(row["spend"] for row in own) == pytest.approx(15_000)
            assert all(row["lower_bound"] <= row["spend"] * (1 + 1e-9) for row in own)
            assert all(row["spend"] <= row["upper_bound"] * (1 + 1e-9) for row in own)

    def test_the_reference_is_the_year_before_and_exposure_has_its_own_unit(self, result):
        table = small_table()
        rows = [row for row in rows_of(result) if row["model"] == "ensemble"]
        web = [row for row in rows if row["channel"] == "web"]
        np.testing.assert_array_equal([row["reference_spend"] for row in web], table["web_cost"].iloc[52:65])
        rate = table["web_clicks"].iloc[5:].sum() / table["web_cost"].iloc[5:].sum()
        np.testing.assert_allclose([row["exposure"] / row["spend"] for row in web], rate)
        tv = [row for row in rows if row["channel"] == "tv" and row["spend"]]
        assert all(row["exposure"] == row["spend"] for row in tv)

    def test_parts_add_up(self, result):
        rows = rows_of(result)
        for row in rows_of(result, "outcome"):
            parts = sum(row[name] for name in ("baseline", "context", "organic", "media", "carried_in"))
            assert row["outcome"] == pytest.approx(parts)
            assert row["lower"] < row["outcome"] < row["upper"]
            own = [r for r in rows if r["model"] == row["model"] and r["date"] == row["date"]]
            assert row["media"] + row["carried_in"] == pytest.approx(sum(r["response"] for r in own))
            assert row["carried_in"] == pytest.approx(sum(r["carried_in"] for r in own))

    def test_the_record_tells_what_comes_when(self, result):
        record = json.loads((result.path / "plan.json").read_text())
        shared = record["plans"]["ensemble"]
        totals = shared["totals"]
        brought = result.ensemble.brought
        assert record["periods"] == 13
        assert record["periods_in_data"] == 0
        assert totals["spend"] == pytest.approx(15_000)
        assert totals["response"] == pytest.approx(mean_of_models(brought.inside).sum())
        assert totals["response_after"] == pytest.approx(mean_of_models(brought.after).sum())
        assert totals["carried_in"] == pytest.approx(mean_of_models(brought.carried).sum())
        assert totals["response_after"] > 0
        assert totals["carried_in"] > 0
        assert totals["roas"] == pytest.approx((totals["response"] + totals["response_after"]) / 15_000)
        assert totals["roas_within"] == pytest.approx((totals["response"] + totals["carried_in"]) / 15_000)
        assert sum(row["response"] for row in shared["channels"]) == pytest.approx(totals["response"])
        weeks = [row for row in rows_of(result, "outcome") if row["model"] == "ensemble"]
        assert totals["outcome"] == pytest.approx(sum(row["outcome"] for row in weeks))
        assert totals["outcome_lower"] < totals["outcome"] < totals["outcome_upper"]
        assert totals["gain_lower"] <= totals["gain"] <= totals["gain_upper"]
        # Weeks do not all go wrong at once.
        width = sum(row["upper"] - row["lower"] for row in weeks)
        assert totals["outcome_upper"] - totals["outcome_lower"] < width

    def test_intervals_of_a_response_are_those_of_its_coefficient(self, result):
        coefs = {
            (r["candidate"], r["name"]): r
            for r in result.folder.table("intervals").to_pylist()
            if (r["quantity"], r["kind"]) == ("coef", "sampling")
        }
        checked = 0
        for row in rows_of(result):
            interval = coefs.get((row["model"], row["channel"]))
            if interval and interval["estimate"] and row["response"]:
                for end in ("lower", "upper"):
                    expected = row["response"] * interval[end] / interval["estimate"]
                    assert row[f"response_{end}"] == pytest.approx(expected, rel=1e-9)
                checked += 1
        assert checked > 13

    def test_the_csv_is_the_table(self, result):
        with (result.path / "plan.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        table = rows_of(result)
        assert len(rows) == len(table)
        assert float(rows[3]["spend"]) == table[3]["spend"]
        assert rows[3]["date"] == str(table[3]["date"])
        assert not list(result.path.parent.glob(".*"))

    def test_the_same_question_gives_the_same_bytes(self, result, made):
        again = plan(made.path, *AHEAD, budget=15_000, name="again")
        for name in ("plan.parquet", "outcome.parquet", "plan.csv"):
            assert (again.path / name).read_bytes() == (result.path / name).read_bytes()

    def test_one_model_of_them(self, made):
        best = made.selected()[0]
        result = plan(made.path, *AHEAD, candidates=(best,), name="one")
        spends = {m: [r["spend"] for r in rows_of(result) if r["model"] == m] for m in (best, "ensemble")}
        assert spends[best] == spends["ensemble"]


class TestGoals:
    def test_a_target_outcome_is_reached_by_the_expected_outcome(self, made):
        as_it_is = plan(made.path, *AHEAD, bounds={"default": (1.0, 1.0)}, name="as it is")
        target = 1.002 * float(as_it_is.ensemble.outcome.outcome.sum())
        result = plan(
            made.path,
            *AHEAD,
            goal="target_outcome",
            target=target,
            bounds={"default": (0.1, 9.0)},
            name="more",
        )
        for own in result.plans.values():
            # A model that expects as much at the least spend allowed expects more.
            assert not own.plan.is_feasible or own.outcome.outcome.sum() >= target * (1 - 1e-9)
        assert result.ensemble.outcome.outcome.sum() == pytest.approx(target, rel=1e-9)
        assert result.ensemble.plan.status == "solved"

    def test_out_of_reach_is_told_and_kept(self, made, capsys):
        words = ["--from", AHEAD[0], "--to", AHEAD[1], "--goal", "target_outcome", "--target", 1e9]
        done = mmm(capsys, "plan", made.path, *words, "--name", "dream")
        assert done.status == 0
        assert "is out of reach within the bounds; the largest is" in done.out
        record = made.json("plans/dream/plan")
        shared = record["plans"]["ensemble"]
        assert shared["status"] == "infeasible"
        assert "totals" not in shared
        assert shared["best_outcome"] < 1e9
        assert {row["spend"] for row in made.table("plans/dream/plan").to_pylist()} == {None}

    @pytest.mark.parametrize("words", [[], ["--marginal"]])
    def test_a_target_efficiency(self, made, capsys, words):
        base = [made.path, "--from", AHEAD[0], "--to", AHEAD[1], "--json", "--bounds", "0,9"]
        today = json.loads(mmm(capsys, "plan", *base, "--bounds", "1,1", "--name", f"today{len(words)}").out)
        roas = 0.7 * today["plans"]["ensemble"]["totals"]["roas"]
        words = [
            *base,
            "--goal",
            "target_efficiency",
            "--target",
            roas,
            *words,
            "--name",
            f"on target{len(words)}",
        ]
        found = json.loads(mmm(capsys, "plan", *words).out)["plans"]["ensemble"]
        assert found["status"] == "solved"
        assert found["totals"]["roas"] >= roas * (1 - 1e-6)

    def test_free_flighting_brings_no_less(self, made):
        kept, free = (
            plan(made.path, *AHEAD, flighting=f, name=f"lay {f}", candidates=tuple(made.selected()[:2]))
            for f in ("kept", "free")
        )
        for name, own in kept.plans.items():
            other = free.plans[name]
            values = [o.plan.surface.values(o.plan.spends).sum() for o in (own, other)]
            assert values[1] >= values[0] * (1 - 1e-12)
            assert other.plan.status == "solved"


class TestAmounts:
    def test_fixed_bounds_and_tables_together(self, made, tmp_path, capsys):
        table = write_csv(
            tmp_path / "amounts.csv",
            [
                {"date": WEEKS[0], "channel": "tv", "spend": 700, "lower": "", "upper": ""},
                {"date": WEEKS[1], "channel": "tv", "spend": "", "lower": 100, "upper": 400},
                {"date": "2025-01-06", "channel": "tv", "spend": 1, "lower": "", "upper": ""},
            ],
        )
        words = [
            "--from",
            AHEAD[0],
            "--to",
            AHEAD[1],
            "--plan",
            table,
            "--flighting",
            "free",
            "--fixed",
            "web=6000",
        ]
        done = mmm(capsys, "plan", made.path, *words, "--bounds", "tv=0.5,2", "--name", "all")
        assert done.status == 0, done.err
        assert "1 rows of" in done.out
        rows = [r for r in made.table("plans/all/plan").to_pylist() if r["model"] == "ensemble"]
        tv = [r["spend"] for r in rows if r["channel"] == "tv"]
        assert tv[0] == 700
        assert 100 <= tv[1] <= 400
        assert sum(r["spend"] for r in rows if r["channel"] == "web") == pytest.approx(6000)

    def test_period_bounds(self, made):
        result = plan(
            made.path, *AHEAD, flighting="free", period_bounds={"default": (0.8, 1.2)}, name="narrow"
        )
        for row in rows_of(result):
            assert row["spend"] >= 0.8 * row["reference_spend"] * (1 - 1e-9)
            assert row["spend"] <= 1.2 * row["reference_spend"] * (1 + 1e-9)


class TestContext:
    def test_what_is_told_is_used_and_the_rest_is_named(self, made, tmp_path):
        rows = [{"date": day, "price": 12.0, "weather": 3, "event": "fair"} for day in WEEKS]
        told = plan(made.path, *AHEAD, context=write_csv(tmp_path / "c.csv", rows), name="told")
        assumed = plan(made.path, *AHEAD, name="assumed")
        model = made.selected()[0]
        coefs = made.json(f"models/{model}")["coefficients"]
        context = [r["context"] for r in rows_of(told, "outcome") if r["model"] == model]
        expected = 12.0 * coefs["price"] + coefs["event_fair"]
        np.testing.assert_allclose(context, expected, rtol=1e-9)
        before = [r["context"] for r in rows_of(assumed, "outcome") if r["model"] == model]
        table = small_table().iloc[52:65]
        expected = [
            price * coefs["price"] + coefs.get(f"event_{event}", 0.0)
            for price, event in zip(table["price"], table["event"], strict=True)
        ]
        np.testing.assert_allclose(before, expected, rtol=1e-9)
        cases = {f.case: f.details for f in told.findings}
        assert "weather are not used" in cases["plan-context-unused"]
        assert "Nothing tells mail behind the data" in cases["plan-context-assumed"]
        assert "event, price, mail" in {f.case: f.details for f in assumed.findings}["plan-context-assumed"]

    def test_organic_media_may_be_told(self, made, tmp_path):
        more = [{"date": day, "mails": 5000} for day in WEEKS]
        told = plan(made.path, *AHEAD, context=write_csv(tmp_path / "c.csv", more), name="letters")
        none = [{"date": day, "mails": 0} for day in WEEKS]
        without = plan(made.path, *AHEAD, context=write_csv(tmp_path / "d.csv", none), name="without")
        sums = [sum(r["organic"] for r in rows_of(result, "outcome")) for result in (told, without)]
        assert sums[0] > sums[1] > 0  # the last letters of the data go on working


class TestGaps:
    def test_a_gap_is_filled_with_the_reference_and_said(self, made):
        result = plan(made.path, "2024-02-05", "2024-03-25", name="later")
        assert [str(d) for d in result.calendar.gap] == WEEKS[:5]
        assert "5 weeks without data" in next(f.details for f in result.findings if f.case == "plan-gap")
        web = result.ground.exposure[1, 104:109]
        np.testing.assert_allclose(web, small_table()["web_cost"].iloc[52:57])

    def test_dates_between_periods_are_snapped_and_said(self, made):
        result = plan(made.path, "2024-01-03", "2024-03-20", name="snapped")
        assert (str(result.calendar.planned[0]), str(result.calendar.planned[-1])) == (
            "2024-01-08",
            "2024-03-18",
        )
        assert [f.case for f in result.findings].count("plan-snapped") == 2


REFUSED = [
    (["--from", "2024-03-01", "--to", "2024-01-01"], "--from 2024-03-01 is after --to 2024-01-01; swap them"),
    (["--from", "2024-13-01", "--to", "2024-01-01"], "--from 2024-13-01: expected a date like 2025-01-06"),
    (["--from", "2020-01-01", "--to", "2024-01-01"], "lies before the data, which begin on 2022-01-03"),
    (["--from", "2024-01-02", "--to", "2024-01-03"], "no period begins between --from 2024-01-02"),
    (["--from", "2024-01-01", "--to", "2124-01-01"], "lies more than 5 years behind the data"),
    (["--budget", "1e9"], "--budget 1,000,000,000 cannot be spent within the limits, which hold"),
    (["--budget", "-5"], "--budget -5: expected a number from 0"),
    (["--fixed", "tvv=5"], "--fixed tvv: there is no such channel; did you mean 'tv'?"),
    (["--fixed", "tv=-5"], "--fixed tv=-5: expected an amount from 0"),
    (["--fixed", "tv"], "--fixed tv: expected channel=amount, such as tv=200000"),
    (["--bounds", "radio=1,2"], "--bounds radio: there is no such channel; the table has tv, web"),
    (["--bounds", "2,1"], "--bounds 2,1: expected 0 <= low <= high"),
    (["--bounds", "1"], "--bounds 1: expected low,high or channel=low,high, such as 0.7,1.5"),
    (["--goal", "most"], "--goal most: expected one of max_response, target_efficiency, target_outcome"),
    (["--goal", "target_outcome"], "--goal target_outcome needs --target"),
    (
        ["--goal", "target_outcome", "--target", "5", "--budget", "5"],
        "finds the budget itself; remove --budget",
    ),
    (["--target", "5"], "--target belongs to the goals target_efficiency and target_outcome"),
    (["--marginal"], "--marginal belongs to --goal target_efficiency"),
    (["--flighting", "wild"], "--flighting wild: expected one of kept, constant, free"),
    (["--candidate", "9_9"], "'9_9' is not a selected model; there are"),
    (["--name", "../x"], "--name ../x: becomes a folder"),
    (["--plan", "nowhere.csv"], "nowhere.csv: there is no such file; correct --plan"),
]


@pytest.mark.parametrize(("words", "expected"), REFUSED)
def test_questions_that_cannot_be_asked(made, capsys, words, expected):
    before = files_below(made.path)
    if "--from" not in words:
        words = ["--from", AHEAD[0], "--to", AHEAD[1], *words]
    assert expected in mmm(capsys, "plan", made.path, *words).refusal
    assert files_below(made.path) == before


TABLES = [
    (
        "date,channel,spend\n2024-01-01,tvv,5\n",
        "column 'channel': row 1 is 'tvv', no paid channel; did you mean 'tv'?",
    ),
    (
        "date,channel,spend\n2024-01-01,tv,5\n2024-01-01,tv,6\n",
        "column 'channel': row 2 tv stands there twice for one date, also in row 1",
    ),
    ("date,channel,spend\n2024-01-01,tv,-5\n", "column 'spend': row 1 is '-5'; an amount cannot be negative"),
    ("date,channel,spend\n2024-01-02,tv,5\n", "row 1 is 2024-01-02, not the first day of a period"),
    ("date,channel,spend\n2024-01-01,tv,much\n", "is 'much', expected an amount such as 1234.5"),
    (
        "date,channel,money\n2024-01-01,tv,5\n",
        "expected a column spend, lower or upper beside date and channel",
    ),
    ("day,channel,spend\n2024-01-01,tv,5\n", "expected a column date, found day, channel, spend"),
    ("date,tv,radio\n2024-01-01,5,5\n", "the column 'radio' is no paid channel"),
    ("date,tv\n2024-01-01,5\n2024-01-01,6\n", "row 2 stands there twice, also in row 1"),
    ("date,tv\n2030-01-07,5\n", "no row lies between 2024-01-01 and 2024-03-25"),
    (
        "date,channel,lower,upper\n2024-01-01,tv,9,5\n",
        "the limits of tv in period 1 of the horizon are 9 to 5",
    ),
]


@pytest.mark.parametrize(("text", "expected"), TABLES)
def test_tables_of_amounts_that_cannot_be_used(made, tmp_path, capsys, text, expected):
    path = tmp_path / "amounts.csv"
    path.write_text(text)
    words = ["--from", AHEAD[0], "--to", AHEAD[1], "--plan", path]
    assert expected in mmm(capsys, "plan", made.path, *words).refusal


CONTEXTS = [
    ([{"date": day, "price": 5} for day in WEEKS[:-1]], "the date 2024-03-25 of the plan is missing"),
    (
        [{"date": day, "price": 5} for day in [*WEEKS, WEEKS[0]]],
        "2024-01-01 stands there twice; keep one row per date",
    ),
    ([{"date": day, "event": "party"} for day in WEEKS], "is 'party', a level that the data do not have"),
    ([{"date": day, "mails": -1} for day in WEEKS], "is negative (-1); an organic medium cannot be"),
    ([{"date": day, "price": "dear"} for day in WEEKS], "is 'dear', expected a number"),
    ([{"price": 1}], "expected a column date, found price"),
]


@pytest.mark.parametrize(("rows", "expected"), CONTEXTS)
def test_contexts_that_cannot_be_used(made, tmp_path, capsys, rows, expected):
    path = write_csv(tmp_path / "context.csv", rows)
    words = ["--from", AHEAD[0], "--to", AHEAD[1], "--context", path]
    assert expected in mmm(capsys, "plan", made.path, *words).refusal


def test_a_name_is_used_once(made, capsys):
    plan(made.path, *AHEAD, name="spring")
    before = files_below(made.path)
    words = ["--from", AHEAD[0], "--to", AHEAD[1], "--name", "spring"]
    assert "--name spring: the run has a plan of this name" in mmm(capsys, "plan", made.path, *words).refusal
    assert files_below(made.path) == before


def test_a_spec_file_means_its_newest_run_and_the_table_is_for_eyes(made, capsys):
    spec, runs = made.path.parents[1] / "spec.yaml", made.path.parent
    done = mmm(capsys, "plan", spec, "--runs", runs, "--from", AHEAD[0], "--to", AHEAD[1])
    assert done.status == 0
    assert done.err == ""
    for word in ("tv", "web", "after its end", "marginal roas", "expected outcome", "carried in from before"):
        assert word in done.out
    assert (made.path / "plans" / "2024-01-01-2024-03-25-max-response-kept" / "plan.json").is_file()


def test_without_refits_there_are_no_intervals_of_responses(small_run):
    text = (small_run.path / "spec.yaml").read_text().replace("refits: 20", "refits: 0")
    (small_run.path / "spec.yaml").write_text(text)
    result = plan(small_run.path, *AHEAD, name="none")
    assert {row["response_lower"] for row in rows_of(result)} == {None}
    assert all(row["lower"] < row["upper"] for row in rows_of(result, "outcome"))
    assert "plan-no-refits" in [f.case for f in result.findings]


@pytest.mark.parametrize(
    ("step", "first", "start", "end", "expected", "year"),
    [
        ("D", "2023-01-01", "2023-04-12", "2023-04-20", (101, 110), 364),
        ("M", "2015-01-01", "2023-06-01", "2023-08-31", (101, 104), 12),
        ("W", "2022-01-03", "2023-12-11", "2024-01-15", (101, 107), 52),
    ],
)
def test_calendars_of_days_weeks_and_months(step, first, start, end, expected, year):
    table = small_table()
    if step == "M":
        dates = (np.datetime64(first, "M") + np.arange(104)).astype("datetime64[D]")
    else:
        dates = np.datetime64(first) + np.arange(104) * (7 if step == "W" else 1)
    table["date"] = dates.astype(str)
    spec = decode(change(small_spec(), window__start=None), "s.yaml")
    calendar = calendar_of(
        panel_from_table(spec, table, "t"), np.datetime64(start).item(), np.datetime64(end).item()
    )
    assert (calendar.horizon.start, calendar.horizon.stop) == expected
    assert calendar.year == year
    assert len(calendar.to_come) == expected[1] - 104


def test_flags_become_tables():
    assert parse_pairs("--bounds", ["0.7,1.5", "a=b=1,2"]) == {"default": (0.7, 1.5), "a=b": (1.0, 2.0)}
    assert parse_amounts("--fixed", ["a=b=5"]) == {"a=b": 5.0}
    with pytest.raises(UserError, match="--fixed =5: expected channel=amount"):
        parse_amounts("--fixed", ["=5"])
