"""Reports are made from the run folder alone: real runs of small problems, looked at through their files."""

from __future__ import annotations

import ast
import base64
import csv
import hashlib
import io
import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster import open_backend
from mmm_core.types import CandidateBatch
from runner import reports
from runner.bi.schema import TABLES
from runner.bi.writing import write_tables
from runner.dataset import load_panel
from runner.facts import contributions_table
from runner.findings import Finding, Severity
from runner.journal import write_trial
from runner.pool import Pool
from runner.problem import build_problem
from runner.refits import intervals_table, refit_models
from runner.reports import theme, write_report
from runner.reports.answers import answer_sentences, channel_sentences, has_estimate_outside
from runner.reports.data import Bar, RunData, load_run, paid_contribution
from runner.reports.figures.media import half_life
from runner.reports.figures.shares import axis_limit
from runner.reports.figures.waterfall import waterfall_steps
from runner.reports.html import text as html_text
from runner.reports.lift_studies import agreement_sentence
from runner.reports.one_pager import one_pager
from runner.reports.page import page_html
from runner.reports.plan_page import plan_page
from runner.reports.words import LANGUAGES, WORDS, say, speaking
from runner.run_folder import RunFolder
from runner.scenarios import solve_scenario
from runner.search.base import run_trial
from runner.search.engine import search_job
from runner.select import clusters_table, convergence_table, pareto_table, select
from runner.spec import decode
from runner.studies import calibration_table, load_studies
from runner.summary import plan_record, write_plans
from runner.tables import read_table, write_json, write_table

SCRIPT = "<script>alert(1)</script>"
FORMULA = "=cmd|' /C calc'!A0"
PRICE = "price $x_1$ & {braces}"
EVIL = ["tv", SCRIPT, FORMULA]
HAN = "电视广告"


def write_data(path: Path, n_media: int, names: Mapping[int, str], n_weeks: int = 70) -> None:
    """Weekly sales with a trend, a season, a price and media of diminishing returns."""
    rng = np.random.default_rng(7)
    t = np.arange(n_weeks)
    media = rng.gamma(2.0, 500, (n_media, n_weeks)) * (rng.random((n_media, n_weeks)) > 0.2)
    media[:, 0] += 100
    price = 20 + rng.normal(0, 1, n_weeks)
    season = 300 * np.sin(2 * np.pi * t / 52)
    trend = 5000 + 10 * t
    effects = sum((1200 - 60 * m) * x / (x + 900) for m, x in enumerate(media))
    sales = trend + season - 40 * (price - 20) + effects + rng.normal(0, 80, n_weeks)
    columns = {
        "date": np.datetime64("2022-01-03") + 7 * t,
        "sales": sales.round(2),
        "trend": trend,
        "season": season.round(3),
        "price": price.round(2),
        **{names[m]: media[m].round(2) for m in range(n_media)},
    }
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def make_run(
    where: Path, channels: list[str], *, refits: int = 40, clusters: int = 2, n_weeks: int = 70, **keys: Any
) -> RunFolder:
    """A finished run, every stage by the code that a run uses."""
    where.mkdir()
    names = {m: f"media_{m}" for m in range(len(channels) + 1)}
    write_data(where / "data.csv", len(names), names, n_weeks)
    tree = {
        "name": "small",
        "data": {"path": str(where / "data.csv"), "date": "date"},
        "outcome": {"column": "sales"},
        "window": {"start": "2022-02-07"},
        "channels": [{"name": name, "spend": names[m]} for m, name in enumerate(channels)],
        "organic": [{"name": "newsletter", "column": names[len(channels)]}],
        "context": [{"name": PRICE, "column": "price"}],
        "baseline": {"precomputed": ["trend", "season"]},
        "search": {"trials": 2, "iterations": 120, "batch_size": 30, "seed": 5},
        "selection": {"min_candidates": 30, "clusters": clusters},
        "bootstrap": {"refits": refits},
        **keys,
    }
    spec = decode(tree, "spec.yaml")
    panel = load_panel(spec)
    studies = load_studies(spec, panel)
    problem, _ = build_problem(spec, panel, studies)
    folder = RunFolder.create(where / "runs", spec, panel, problem, studies)
    job = search_job(spec, problem)
    trials = [CandidateBatch.concatenate(list(run_trial(job, trial))) for trial in (1, 2)]
    for number, trial in enumerate(trials, start=1):
        write_trial(folder.path, problem, number, trial)
    selection = select(spec, problem, Pool.of_batches(trials))
    with open_backend("serial") as backend:
        uncertainty = refit_models(spec, problem, selection, backend)
    tables = {
        "convergence": convergence_table(selection),
        "pareto": pareto_table(selection),
        "clusters": clusters_table(selection),
        "contributions": contributions_table(problem, selection.models),
        "intervals": intervals_table(uncertainty.intervals),
        "response_curves": uncertainty.curves,
    }
    if studies is not None:
        tables["calibration"] = calibration_table(problem, studies, selection.models)
    for name, table in tables.items():
        write_table(folder.path / f"{name}.parquet", table)
    told = {}
    for scenario in spec.scenarios:
        plans = solve_scenario(spec, scenario, problem, selection.models)
        write_plans(folder, plans)
        told[scenario.name] = {"goal": scenario.goal, "ensemble": plan_record(plans.ensemble)}
    write_json(folder.path / "summary.json", {"plans": told})
    write_json(folder.path / "timings.json", {"total": 1.5, "stages": {"search": 1.25}})
    folder.write_findings([Finding("odd", Severity.WARNING, f"{SCRIPT} is odd", "Look & see.")])
    folder.set_stage("search", "done")
    folder.set_status("done")
    return folder


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Two models, a plan and an infeasible one, names that mean harm; its report is written."""
    where = tmp_path_factory.mktemp("reports") / "evil"
    scenarios = [{"name": "same"}, {"name": "dream", "goal": "target_efficiency", "target": 500.0}]
    folder = make_run(where, EVIL, scenarios=scenarios)
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Twelve channels judged by CPA, Weibull adstock, long and foreign names; not reported yet."""
    names = [f"a long channel name of the kind {i} that people give" for i in range(11)]
    return make_run(
        tmp_path_factory.mktemp("reports") / "twelve",
        [*names, HAN],
        clusters=1,
        adstock="weibull_pdf",
        outcome={"column": "sales", "kind": "conversion"},
        scenarios=[{"name": "half a year", "horizon": {"last": 26}, "flighting": "constant"}],
    )


@pytest.fixture(scope="module")
def run(evil: RunFolder) -> RunData:
    return load_run(evil)


@pytest.fixture(scope="module")
def page(evil: RunFolder) -> str:
    return (evil.path / "report" / "index.html").read_text(encoding="utf-8")


def copy_without(folder: RunFolder, where: Path, *names: str) -> RunFolder:
    """A run folder that lacks some files."""
    shutil.copytree(folder.path, where / "run")
    for name in names:
        for path in (where / "run").glob(name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return RunFolder.open(where / "run")


def pixels(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def said(html: str) -> str:
    """A page without the numbers and words that its script draws from."""
    return html[: html.index('<script type="application/json"')]


def words_of(sheet: Any) -> str:
    """All words drawn on a sheet."""
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in sheet.figure.findobj(Text))


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, attribute: str) -> Iterator[str]:
        return (attrs[attribute] or "" for _, attrs in self.elements if attribute in attrs)


# --------------------------------------------------------------------------------------------------------------- files


def test_a_report_has_its_files(evil: RunFolder, run: RunData) -> None:
    assert len(evil.selected()) == 2
    pictures = [*evil.selected(), "plan-same", "plan-dream"]
    files = {f"{picture}.{kind}" for picture in pictures for kind in ("png", "pdf")}
    assert {p.name for p in (evil.path / "report").iterdir()} == {"index.html"} | files
    absent = {"calibration", "refresh"}
    assert {p.stem for p in (evil.path / "tables").iterdir()} == set(TABLES) - absent


def test_pictures_have_the_size_of_a_page_and_something_on_it(evil: RunFolder) -> None:
    for path in (evil.path / "report").glob("*.png"):
        image = pixels(path)
        assert image.shape[1] == 1870
        assert 1000 < image.shape[0] < 2300
        assert (image[2, 2] == 255).all()
        drawn = (image < 250).any(axis=2)
        assert 0.02 < drawn.mean() < 0.6
        # Something in each quarter from top to bottom, and nothing cut off at the edges.
        assert all(part.any() for part in np.array_split(drawn, 4))
        assert not drawn[[0, -1]].any()
        assert not drawn[:, [0, -1]].any()


def test_a_pdf_has_letters_of_embedded_fonts_and_no_date(evil: RunFolder, run: RunData) -> None:
    candidate = evil.selected()[0]
    content = (evil.path / "report" / f"{candidate}.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page ") == 1
    assert f"/Title (Model {candidate})".encode() in content
    assert b"/FontFile2" in content  # TrueType, whole letters
    assert b"/Type3" not in content
    assert b"Date" not in content
    view = next(view for view in run.models if view.candidate == candidate)
    with theme.drawing():
        assert one_pager(run, view).pdf() == content


def test_the_parquet_tables_stay_as_they_were(evil: RunFolder, tmp_path: Path) -> None:
    folder = copy_without(evil, tmp_path, "report", "tables")

    def digests() -> dict[Path, bytes]:
        files = [p for p in folder.path.rglob("*.parquet") if p.parent.name != "tables"]
        return {p: hashlib.sha256(p.read_bytes()).digest() for p in files}

    before = digests()
    write_tables(load_run(folder))
    assert digests() == before


def test_many_long_and_foreign_names_make_a_report(twelve: RunFolder) -> None:
    page = write_report(twelve)
    text = page.read_text(encoding="utf-8")
    assert HAN in said(text)
    assert "CPA" in text
    image = pixels(next((twelve.path / "report").glob("[12]_*.png")))
    assert image.shape[0] > 2000  # more rows, a longer page
    assert (twelve.path / "report" / "plan-half a year.png").is_file()
    assert "plan-half%20a%20year.png" in text


# ---------------------------------------------------------------------------------------------------------------- page


def test_nothing_in_the_page_is_executed_from_data(page: str) -> None:
    found = Page(page)
    scripts = [attrs for tag, attrs in found.elements if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "data"}, {}]
    assert not [name for _, attrs in found.elements for name in attrs if name.startswith("on")]
    assert SCRIPT not in page
    assert SCRIPT in "".join(found.words)  # the name itself is told
    policy = next(value for value in found.values("content") if "default-src" in value)
    own = page[page.rindex("<script>") + len("<script>") : page.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}';" in policy


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    found = Page(page)
    assert not list(found.values("src"))
    assert not [link for link in found.values("href") if "//" in link]
    assert len(page) < 8_000_000
    # The name of SVG is an address that nobody asks.
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_links_within_the_page_arrive(page: str, evil: RunFolder) -> None:
    found = Page(page)
    ids = list(found.values("id"))
    assert len(set(ids)) == len(ids)
    for link in found.values("href"):
        target = link.removeprefix("#")
        assert target in ids if link.startswith("#") else (evil.path / "report" / link).resolve().is_file()


def test_the_page_says_everything_in_every_language_and_opens_in_one(run: RunData) -> None:
    with speaking("de"):
        german = page_html(run, [])
    assert german.startswith('<!DOCTYPE html>\n<html lang="de">')
    parts = [attrs for _, attrs in Page(german).elements if "data-language" in attrs]
    assert {attrs["data-language"] for attrs in parts} == set(LANGUAGES)
    assert {attrs["data-language"] for attrs in parts if "hidden" not in attrs} == {"de"}
    for language in LANGUAGES:
        with speaking(language):
            assert html_text(answer_sentences(run)[0]) in german


def test_the_first_sentence_is_the_sum_of_the_contributions(evil: RunFolder, run: RunData) -> None:
    table = evil.table("contributions").to_pandas()
    paid = table[table["role"] == "paid"].groupby("candidate")["contribution"].sum()
    whole = table.groupby("candidate")["contribution"].sum()
    first = answer_sentences(run)[0]
    for value in (paid.min(), paid.max()):
        assert theme.total(value) in first
    for share in (paid / whole).agg(["min", "max"]):
        assert theme.percent(share) in first


def test_best_and_worst_channel_are_those_of_the_efficiencies(run: RunData) -> None:
    roas = dict(zip(run.problem.paid, run.models[0].efficiencies, strict=True))
    sentences = channel_sentences(run)
    assert sentences[0].startswith(f"Best for its money is {max(roas, key=roas.__getitem__)},")
    assert sentences[1].startswith(f"Least for its money brings {min(roas, key=roas.__getitem__)},")


def test_the_cheapest_conversions_are_the_best(twelve: RunFolder) -> None:
    run = load_run(twelve)
    cpa = dict(zip(run.problem.paid, run.models[0].efficiencies, strict=True))
    assert channel_sentences(run)[0].startswith(f"Best for its money is {min(cpa, key=cpa.__getitem__)},")


def test_channels_without_effect_are_named_as_such(run: RunData) -> None:
    best = replace(run.models[0], efficiencies=np.array([1.0, 0.0, 0.0]))
    sentences = channel_sentences(replace(run, models=(best,)))
    assert sentences[1] == f"The best model finds no effect at all of {SCRIPT}, {FORMULA}."
    shy = replace(best, efficiencies=np.array([1.0, 0.0, 2.0]))
    both = channel_sentences(replace(run, models=(shy, run.models[1])))
    assert both[1] == f"Of the 2 selected models 1 find no effect at all of {SCRIPT}."


def test_intervals_that_overlap_are_said_to(run: RunData) -> None:
    def sentences(*ends: tuple[float, float]) -> list[str]:
        bars = {
            ("sampling", "roas", channel): Bar(value, *end, level=0.9, n=9)
            for channel, value, end in zip(EVIL, (3.0, 2.0, 1.0), ends, strict=True)
        }
        view = replace(run.models[0], efficiencies=np.array([3.0, 2.0, 1.0]), intervals=bars)
        return channel_sentences(replace(run, models=(view,)))

    assert say("answer.overlap") in sentences((1.4, 4), (1, 3), (0.5, 1.5))
    assert say("answer.apart") in sentences((1.6, 4), (1, 3), (0.5, 1.5))


def test_an_estimate_outside_its_interval_is_explained(run: RunData) -> None:
    def view(upper: float) -> RunData:
        bars = {("sampling", "roas", "tv"): Bar(1.0, 0.5, upper, level=0.9, n=9)}
        return replace(run, models=(replace(run.models[0], intervals=bars),))

    assert not has_estimate_outside(view(1.0))
    assert has_estimate_outside(view(0.9))


# --------------------------------------------------------------------------------------------------------------- plans


def test_an_infeasible_plan_is_a_sentence_and_pretends_nothing(run: RunData, page: str) -> None:
    view = next(view for view in run.scenarios if view.name == "dream")
    assert "out of reach" in view.message
    assert f"Plan dream: {view.message}." in "".join(Page(page).words)
    with theme.drawing():
        drawn = words_of(plan_page(run, view))
    assert view.message in drawn
    assert say("plan.totals.none") in drawn
    assert not view.seen
    assert "planned 0" not in drawn


def test_a_shared_plan_seen_by_the_models_is_their_mean(run: RunData) -> None:
    view = next(view for view in run.scenarios if view.name == "same")
    assert view.shared is not None
    after = [
        (1 + lift) * view.own[candidate].total("initial_response") for candidate, lift in view.seen.items()
    ]
    assert np.mean(after) == pytest.approx(view.shared.total("optimised_response"), rel=1e-12)


def test_a_plan_made_later_under_the_same_name_is_not_told_in_old_words(
    evil: RunFolder, tmp_path: Path
) -> None:
    folder = copy_without(evil, tmp_path)
    told = json.loads((folder.path / "summary.json").read_text(encoding="utf-8"))
    told["plans"]["same"]["ensemble"]["optimised_spend"] *= 1.5
    write_json(folder.path / "summary.json", told)
    views = {view.name: view for view in load_run(folder).scenarios}
    assert views["same"].message == ""
    assert views["dream"].message


def test_a_plan_without_its_spec_is_shown_too(evil: RunFolder, tmp_path: Path) -> None:
    folder = copy_without(evil, tmp_path, "summary.json")
    shutil.copytree(folder.path / "scenarios" / "dream", folder.path / "scenarios" / "later")
    run = load_run(folder)
    assert [view.name for view in run.scenarios] == ["same", "dream", "later"]
    text = said(page_html(run, []))
    assert say("plan.goal.other.target_efficiency") in text
    assert "no spends within the bounds" in text


# ------------------------------------------------------------------------------------------------------ what is missing


def test_without_intervals_a_sentence_stands_in_their_place(evil: RunFolder, tmp_path: Path) -> None:
    run = load_run(copy_without(evil, tmp_path, "intervals.parquet", "response_curves.parquet"))
    assert say("missing.intervals") in said(page_html(run, []))
    with theme.drawing():
        drawn = words_of(one_pager(run, run.models[0]))
    assert say("missing.reason.intervals") in drawn
    assert say("missing.reason.curves") in drawn
    assert run.models[0].responses[SCRIPT].response[-1] > 0  # the curves themselves are still known


def test_a_run_that_stopped_early_has_a_page_that_says_so(evil: RunFolder, tmp_path: Path) -> None:
    folder = copy_without(
        evil, tmp_path, "*.parquet", "candidates", "scenarios", "report", "tables", "[fst]*.json"
    )
    text = said(write_report(folder).read_text(encoding="utf-8"))
    for key in ("selection", "findings", "timings"):
        assert say(f"missing.{key}") in text
    assert say("missing.plan", scenario="same") in text
    assert not list((folder.path / "tables").glob("contributions*"))


def test_a_run_without_plans_refits_and_organic_media(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "plain", ["only"], refits=0, clusters=1, organic=[], scenarios=[])
    run = load_run(folder)
    text = said(page_html(run, []))
    assert say("missing.refits") in text
    assert say("plans.none") in text
    assert channel_sentences(run)[0].startswith("only has a ROAS of ")
    with theme.drawing():
        assert say("missing.reason.refits") in words_of(one_pager(run, run.models[0]))


def write_studies(path: Path) -> str:
    """Lift studies of the small panel: one that any model meets, one that none does, one late, one without interval."""
    rows = [
        ("channel", "start", "end", "estimate", "scope", "lower", "upper", "source"),
        ("tv", "2022-03-07", "2022-05-01", 4000, "total", -1e6, 1e6, f"={SCRIPT}"),
        (SCRIPT, "2022-03-07", "2022-05-01", 1e5, "immediate", 99_999, 100_001, ""),
        ("tv", "2023-04-03", "2023-04-30", 2000, "total", -1e6, 1e6, "late"),
        ("newsletter", "2022-03-07", "2022-04-03", 500, "total", "", "", ""),
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return str(path)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    where = tmp_path_factory.mktemp("reports")
    studies = write_studies(where / "studies.csv")
    return make_run(where / "calibrated", EVIL, refits=0, calibration=studies, scenarios=[])


def with_calibration(run: RunData, **columns: list[object]) -> RunData:
    """The run with other values in its table of lift studies."""
    assert run.calibration is not None
    table = run.calibration
    for name, values in columns.items():
        cells = values * (table.num_rows // len(values))
        table = table.set_column(table.column_names.index(name), name, [cells])
    return replace(run, calibration=table)


def test_lift_studies_stand_beside_what_models_predict(calibrated: RunFolder) -> None:
    run = load_run(calibrated)
    html = page_html(run, [])
    section = html[html.index('<section id="studies"') : html.index('<section id="provenance"')]
    assert SCRIPT not in html
    words = " ".join(" ".join(Page(section).words).split())
    assert 'href="#studies"' in html
    assert "2022-03-07 to 2022-05-01, 56 days" in words
    assert "immediate: what the exposures of these days brought in these days" in words
    assert "First and last day of a study count" in words
    best = run.models[0].candidate
    predicted = {row["study"]: row for row in run.calibration.to_pylist() if row["candidate"] == best}
    for row in predicted.values():
        assert theme.amount(row["predicted"]) in words
    assert f"agrees with 2 of 3 lift studies that have an interval; for {SCRIPT}" in words
    # Train sizes end at 0.8 of the window, by the beginning of March 2023.
    assert "Study 3 (tv) lies in rows that no selected model was trained on" in words
    assert "not trained on" in words
    assert "the better a study knows its own answer" in words


def test_whether_the_studies_agree_is_one_sentence(calibrated: RunFolder) -> None:
    run = load_run(calibrated)
    best = run.models[0].candidate

    def answer(run: RunData) -> str:
        (sentence,) = agreement_sentence(run)
        assert sentence in answer_sentences(run)
        return sentence

    assert answer(with_calibration(run, is_inside=[True, True, True, None])) == (
        f"The best model, {best}, agrees with all 3 lift studies that have an interval."
    )
    none = with_calibration(run, lower=[None], upper=[None], is_inside=[None], predicted=[0.0])
    assert answer(none).endswith("its mean error over the 4 is 100%.")
    assert agreement_sentence(replace(run, calibration=None)) == []
    assert agreement_sentence(replace(run, models=())) == []


def test_a_calibrated_run_that_stopped_early_says_so(calibrated: RunFolder, tmp_path: Path) -> None:
    run = load_run(copy_without(calibrated, tmp_path, "calibration.parquet"))
    html = page_html(run, [])
    assert say("missing.calibration") in said(html)
    assert say("table.calibration") not in said(html)


def test_a_run_without_studies_has_no_section_of_them(page: str) -> None:
    assert 'id="studies"' not in page
    assert "#studies" not in page


def test_lift_studies_are_a_table_for_spreadsheets(calibrated: RunFolder, tmp_path: Path) -> None:
    folder = copy_without(calibrated, tmp_path)
    assert "calibration" in write_tables(load_run(folder))
    with (folder.path / "tables" / "calibration.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["source"] == f"'={SCRIPT}"
    assert {row["is_inside"] for row in rows} == {"true", "false", ""}


# -------------------------------------------------------------------------------------------------------------- tables


def test_tables_carry_a_byte_order_mark_and_neutral_names(evil: RunFolder) -> None:
    raw = (evil.path / "tables" / "plans.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))))
    assert {row["channel"] for row in rows} == {"tv", SCRIPT, "'" + FORMULA}
    assert {row["model"] for row in rows} == {"ensemble", *evil.selected()}
    hyperparameters = (evil.path / "tables" / "hyperparameters.csv").read_text(encoding="utf-8-sig")
    assert f"'{FORMULA}_alpha" in {
        row["hyperparameter"] for row in csv.DictReader(io.StringIO(hyperparameters))
    }


def test_tables_read_back_to_the_same_numbers(evil: RunFolder) -> None:
    text = (evil.path / "tables" / "contributions.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    table = read_table(evil.path / "contributions.parquet")
    assert [float(row["contribution"]) for row in rows] == table["contribution"].to_pylist()
    assert [row["date"] for row in rows] == [str(day) for day in table["date"].to_pylist()]


def test_clusters_stand_beside_the_fronts(evil: RunFolder) -> None:
    text = (evil.path / "tables" / "candidates.csv").read_text(encoding="utf-8-sig")
    rows = {row["candidate"]: row for row in csv.DictReader(io.StringIO(text))}
    for row in evil.table("clusters").to_pylist():
        assert rows[row["candidate"]]["cluster"] == str(row["cluster"])
    assert [c for c, row in rows.items() if row["is_selected"] == "true"] == [
        c for c in rows if c in evil.selected()
    ]


def test_writing_tables_twice_gives_the_same_bytes(evil: RunFolder, run: RunData) -> None:
    before = {p.name: p.read_bytes() for p in (evil.path / "tables").iterdir()}
    write_tables(run)
    assert {p.name: p.read_bytes() for p in (evil.path / "tables").iterdir()} == before


# --------------------------------------------------------------------------------------------------------------- parts


def test_a_waterfall_ends_at_the_fitted_total(run: RunData) -> None:
    for view in run.models:
        assert sum(step.value for step in waterfall_steps(run, view)) == pytest.approx(view.total, rel=1e-12)


def test_a_one_pager_tells_names_as_they_are(run: RunData) -> None:
    with theme.drawing():
        drawn = words_of(one_pager(run, run.models[0]))
    assert PRICE in drawn  # no mathematics is made of it
    assert FORMULA in drawn


def drawn_words(sheet: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Every text that a renderer is asked to draw, and where, in pixels."""
    from matplotlib.backends.backend_agg import RendererAgg

    drawn: list[tuple[str, Any]] = []
    draw_text = RendererAgg.draw_text

    def noted(renderer: Any, gc: Any, x: Any, y: Any, words: str, *args: Any, **options: Any) -> None:
        draw_text(renderer, gc, x, y, words, *args, **options)
        mtext = options["mtext"]
        assert mtext is not None, f"{words!r} has more than one line"
        drawn.append((words, mtext.get_window_extent(renderer)))

    with monkeypatch.context() as patched, theme.drawing():
        patched.setattr(RendererAgg, "draw_text", noted)
        sheet.figure.canvas.draw()
    return drawn


def collisions(sheet: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that leave the sheet, and pairs that share more than a pixel each way."""
    drawn = drawn_words(sheet, monkeypatch)
    assert len(drawn) > 30
    page = sheet.figure.bbox
    found = [
        f"{words!r} leaves the sheet"
        for words, box in drawn
        if box.x0 < 0 or box.y0 < 0 or box.x1 > page.x1 or box.y1 > page.y1
    ]
    for i, (words, box) in enumerate(drawn):
        for others, other in drawn[i + 1 :]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            if width > 1.5 and height > 1.5:
                found.append(f"{words!r} meets {others!r} by {width:.1f} x {height:.1f}")
    return found


def sheets_of(run: RunData) -> Iterator[Any]:
    """A one-pager and the plans' pages."""
    with theme.drawing():
        yield one_pager(run, run.models[0])
        for scenario in run.scenarios:
            yield plan_page(run, scenario)


def test_no_words_meet_on_sheets_of_three_channels(run: RunData, monkeypatch: pytest.MonkeyPatch) -> None:
    for sheet in sheets_of(run):
        assert collisions(sheet, monkeypatch) == []


def test_no_words_meet_on_sheets_of_twelve_channels(
    twelve: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sheet in sheets_of(load_run(twelve)):
        assert collisions(sheet, monkeypatch) == []


def test_no_words_meet_on_sheets_of_one_channel_with_a_very_long_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path / "one", ["W" * 200], refits=0, clusters=1, scenarios=[{"name": "V" * 100}])
    run = load_run(folder)
    for language in ("en", "de"):  # German has the longest words
        with speaking(language):
            for sheet in sheets_of(run):
                assert collisions(sheet, monkeypatch) == []


@pytest.mark.integration
def test_no_words_meet_on_sheets_of_forty_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{i} {kind}" for i, kind in enumerate([HAN * 50, "W" * 190, "قناة", "tv"] * 10)]
    run = load_run(make_run(tmp_path / "forty", names, clusters=1, n_weeks=160, refits=20))
    for sheet in sheets_of(run):
        assert collisions(sheet, monkeypatch) == []


def test_a_one_pager_begins_with_what_its_own_model_says(run: RunData) -> None:
    for view in run.models:
        with theme.drawing():
            drawn = words_of(one_pager(run, view))
        value = theme.total(paid_contribution(run.problem, view))
        assert f"Paid media brought in {value} of sales" in drawn
        best = int(np.argmax(view.efficiencies))
        assert f"Best for its money is {theme.called(run.problem.paid[best])}, with a ROAS" in drawn


def test_an_axis_of_efficiencies_ends_soon_after_what_it_shows() -> None:
    assert axis_limit([1.0, 2.0], [2.5]) == pytest.approx(1.06 * 2.5)
    assert axis_limit([1.0, 2.0], [math.inf]) == 5.0
    assert axis_limit([1.0, 1.0, 100.0], [300.0]) == 8.0
    assert axis_limit([0.0], []) == 1.0
    assert axis_limit([math.inf], [math.inf]) == 1.0


def test_half_life_of_one_half_is_one_period() -> None:
    assert half_life(0.5) == 1
    assert half_life(0.25) == 0.5
    assert half_life(0.0) == 0


def test_colours_depend_on_the_place_alone_and_differ() -> None:
    assert theme.palette(3) == theme.palette(40)[:3]
    assert len(set(theme.palette(40))) == 40


def test_names_in_pictures_are_short_and_differ() -> None:
    names = [f"{'very ' * 40}long {i}" for i in range(3)] + ["x" * 200, "x" * 201, "a\nb", "", HAN, "tv"]
    found = theme.Names.of(names)
    shown = [found[name] for name in names]
    assert len(set(shown)) == len(names)
    assert all(len(name) <= 30 and name.isprintable() for name in shown)
    assert shown[-1] == "tv"
    assert shown[5] == "a b"
    assert "long 1" in shown[1]


def test_names_without_letters_in_the_fonts_get_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theme, "is_drawable", str.isascii)
    found = theme.Names.of(["tv", HAN])
    assert found["tv"] == "tv"
    assert found[HAN].startswith("#2")
    assert dict(found.numbered) == {2: HAN}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (0.01234, "0.0123"), (1.0, "1.00"), (-12.34, "−12.3"), (999.6, "1.00k"), (12345.0, "12.3k"),
        (999_999.0, "1.00M"), (2.5e9, "2.50B"), (1e-5, "1.00e-05"), (math.inf, "∞"), (math.nan, "–"), (None, "–"),
    ],
)  # fmt: skip
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert theme.number(value) == text


def test_ticks_and_changes_say_no_more_than_needed() -> None:
    assert [theme.tick(v) for v in (0.0, 0.5, 40_000.0, 2.5e6, 100.0)] == ["0", "0.5", "40k", "2.5M", "100"]
    assert [theme.signed_percent(v) for v in (0.123, -0.05, 0.0001, -0.0001)] == [
        "+12.3%",
        "−5.0%",
        "0.0%",
        "0.0%",
    ]


def test_drawing_leaves_the_settings_of_the_process_alone() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with theme.drawing():
        assert mpl.rcParams["text.parse_math"] is False
    assert dict(mpl.rcParams) == before


def script_words() -> tuple[set[str], set[str]]:
    """Keys that the page's script says, and beginnings of keys; a ternary inside say() has both of its words."""
    whole: set[str] = set()
    begun: set[str] = set()
    for path in Path(reports.__file__).parent.joinpath("templates").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        whole |= set(re.findall(r'"([a-z_]+(?:\.[a-z_]+)+)"', text))
        begun |= {f"{key}." for key in re.findall(r"say\(`([a-z_.]+)\.\$\{", text)}
        begun |= {f"{key}." for key in re.findall(r"say\(`([a-z_.]+)\.[a-z]*\$\{", text)}
        for key in re.findall(r'say\("([^"]+)"', text):
            assert key in WORDS
    return whole, begun


def test_every_word_is_used_and_every_used_word_exists() -> None:
    """Keys are literals, or begin with one: say("loss.nrmse"), say(f"loss.{name}")."""
    whole, begun = script_words()
    for path in Path(reports.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                whole.add(node.value)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                key = node.args[0]
                if isinstance(key, ast.Constant):
                    assert key.value in WORDS
                if isinstance(key, ast.JoinedStr) and isinstance(key.values[0], ast.Constant):
                    begun.add(str(key.values[0].value))
                    assert any(word.startswith(str(key.values[0].value)) for word in WORDS)
    endings = (
        "one",
        "many",
        "roas",
        "cpa",
        "train",
        "val",
        "test",
        "geometric",
        "weibull_cdf",
        "weibull_pdf",
    )
    unused = [
        key
        for key in WORDS
        if key not in whole
        and not key.startswith(tuple(begun))
        and key.rsplit(".", maxsplit=1)[-1] not in (*endings, "mroas", "mcpa")
    ]
    assert unused == []
