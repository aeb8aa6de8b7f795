"""The page in a browser: opened from disk, played with, held against Python, and given names that mean harm."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.reports import theme
from runner.reports.data import RunData, load_run
from runner.reports.desk import Band, Desk, spread
from runner.reports.page import page_html
from runner.reports.payload import _grounds, draws_of
from runner.reports.words import LANGUAGES, say, speaking
from runner.run_folder import RunFolder
from tests.runner.browsers import Opened
from tests.runner.test_reports import EVIL, HAN, copy_without, make_run, write_studies

pytestmark = pytest.mark.integration

EMOJI = "🎈\"quoted\" & 'odd' <img src=x onerror=alert(1)>"
HARM = [*EVIL, EMOJI, "ab" * 100]
SCENARIOS = [
    {"name": "same", "bounds": [0.7, 1.5]},
    {"name": "half a year", "horizon": {"last": 26}, "flighting": "constant"},
    {"name": "as Robyn", "carryover": "historical"},
]
EVERYTHING = ["*.parquet", "candidates", "scenarios", "[fst]*.json"]
# NaN and infinities do not survive the way out of the browser.
ASK = """([spends, ground, candidate]) => JSON.parse(JSON.stringify(window.desk.ask(spends, {ground, candidate}),
  (key, value) => typeof value === "number" && !Number.isFinite(value) ? String(value) : value))"""


def written(run: RunData, where: Path, language: str = "en") -> Path:
    with speaking(language):
        where.write_text(page_html(run, ["contributions"]), encoding="utf-8")
    return where


@pytest.fixture(scope="module")
def harm(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    where = tmp_path_factory.mktemp("harm")
    studies = write_studies(where / "studies.csv")
    return load_run(make_run(where / "run", HARM, scenarios=SCENARIOS, calibration=studies))


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """Forty channels judged by CPA, Weibull adstock."""
    names = [f"channel {i} with a long name, as people give them" for i in range(39)]
    folder = make_run(
        tmp_path_factory.mktemp("forty") / "run",
        [*names, HAN],
        clusters=2,
        n_weeks=160,
        adstock="weibull_pdf",
        outcome={"column": "sales", "kind": "conversion"},
        scenarios=SCENARIOS[:2],
    )
    return load_run(folder)


@pytest.fixture(scope="module")
def harm_page(harm: RunData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(harm, tmp_path_factory.mktemp("page") / "index.html")


@pytest.fixture(scope="module")
def forty_page(forty: RunData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(forty, tmp_path_factory.mktemp("page") / "index.html")


@pytest.fixture
def opened(browser: Any, harm_page: Path) -> Iterator[Opened]:
    page = Opened(browser, harm_page)
    yield page
    assert page.complaints == []
    page.context.close()


# --------------------------------------------------------------------------------------------------------------- opens


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_from_disk_alone_at_any_width(
    browser: Any, harm_page: Path, forty_page: Path, width: int, scheme: str
) -> None:
    for path in (harm_page, forty_page):
        assert path.stat().st_size < 8_000_000
        page = Opened(browser, path, width, color_scheme=scheme)
        assert page.complaints == []
        assert page.asked == [path.as_uri()]
        scrolled, shown = page.widths()
        assert scrolled <= shown
        for view in ("overview", "desk", "search", "models"):
            assert page.page.query_selector(f"#{view} svg") is not None
        page.context.close()


def test_names_that_mean_harm_are_text(opened: Opened, harm: RunData) -> None:
    assert EMOJI in opened.page.text_content("#desk")
    assert opened.page.query_selector("img") is None
    assert opened.page.evaluate("document.scripts.length") == 2
    assert EVIL[1] in opened.page.text_content("#models")
    # The policy lets nothing run that comes later either.
    opened.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.harmed = 1\">')"
    )
    opened.page.wait_for_timeout(50)
    assert opened.page.evaluate("window.harmed") is None
    assert any("Content Security Policy" in text for text in opened.complaints)
    opened.complaints.clear()


def test_the_page_works_in_a_sandboxed_frame(browser: Any, harm_page: Path, tmp_path: Path) -> None:
    """As a tracking server shows an artifact: scripts may run, and nothing else."""
    text = harm_page.read_text(encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(
        "<iframe id=f sandbox='allow-scripts' style='width:1200px;height:800px'></iframe><script>"
        f"document.getElementById('f').srcdoc = decodeURIComponent('{_quoted(text)}')</script>",
        encoding="utf-8",
    )
    page = Opened(browser, frame)
    inner = page.page.frames[1]
    inner.wait_for_selector("#desk .big")
    inner.click("[data-preset=half]")
    assert "−50.0%" in inner.inner_text(".desk-total .desk-change")
    assert page.complaints == []
    page.context.close()


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


# ---------------------------------------------------------------------------------------------------------------- desk


def band_of(band: Band) -> list[float]:
    return [band.value, band.lower, band.upper]


def numbers(values: Any) -> np.ndarray:
    return np.array([float(value) for value in np.atleast_1d(np.array(values, dtype=object))])


@pytest.mark.parametrize("which", ["harm", "forty"])
def test_every_number_of_the_desk_is_pythons(
    browser: Any, request: pytest.FixtureRequest, which: str
) -> None:
    run: RunData = request.getfixturevalue(which)
    page = Opened(browser, request.getfixturevalue(f"{which}_page"))
    draws = [draws_of(run, view) for view in run.models]
    rng = np.random.default_rng(11)
    for g, ground in enumerate(_grounds(run)):
        for who in (None, *range(len(run.models))):
            chosen = range(len(run.models)) if who is None else [who]
            models = [run.models[i].model for i in chosen]
            desk = Desk.of(run.problem, models, [draws[i] for i in chosen], run.spec.bootstrap.level, ground)
            candidate = None if who is None else run.models[who].candidate
            for x in (desk.today, 0 * desk.today, desk.today * rng.uniform(0, 2.5, len(desk.today))):
                theirs = page.page.evaluate(ASK, [x.tolist(), g, candidate])
                ours = desk.ask(x)
                pairs = {
                    "response": ours.response, "marginal": ours.marginal, "efficiency": ours.efficiency,
                    "lower": ours.response_lower, "upper": ours.response_upper, "total_marginal": ours.total_marginal,
                }  # fmt: skip
                for name in ("total", "change", "total_efficiency"):
                    pairs[name] = band_of(getattr(ours, name))
                scale = abs(ours.total.value) or 1.0
                for name, wanted in pairs.items():
                    # A change that is 0 is rounding of the total on either side.
                    slack = 1e-9 * scale if name == "change" else 0
                    np.testing.assert_allclose(
                        numbers(theirs[name]), numbers(wanted), rtol=1e-6, atol=slack, err_msg=name
                    )
    assert page.complaints == []
    page.context.close()


def test_plans_promise_in_the_page_what_their_tables_say(opened: Opened, harm: RunData) -> None:
    plans = [view.shared for view in harm.scenarios if view.shared is not None and view.shared.is_answer]
    assert len(plans) == len(SCENARIOS)
    for i, plan in enumerate(plans):
        opened.page.click(f"[data-preset=plan-{i}]")
        g = opened.page.evaluate("window.desk.state.ground")
        theirs = opened.page.evaluate(ASK, [plan["optimised_spend"].tolist(), g, None])
        np.testing.assert_allclose(numbers(theirs["response"]), plan["optimised_response"], rtol=1e-6)
        np.testing.assert_allclose(numbers(theirs["before"]), plan["initial_response"], rtol=1e-6)
        assert theme.total(plan.total("optimised_response")) in opened.text("#desk-out-response")


def rows_of(opened: Opened) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(opened.page.input_value("#desk-csv"))))


def test_sliders_fields_and_presets_move_the_numbers(opened: Opened, harm: RunData) -> None:
    desk = Desk.of(
        harm.problem, [v.model for v in harm.models], [draws_of(harm, v) for v in harm.models], 0.9
    )
    opened.page.evaluate("""() => { const s = document.getElementById("desk-slider-0");
        s.value = 1.5 * window.desk.state.spends[0]; s.dispatchEvent(new Event("input")); }""")
    opened.page.fill("#desk-spend-1", "12345")
    opened.page.press("#desk-spend-1", "Enter")
    opened.page.click('[data-channel="2"] [data-factor="0.5"]')
    x = numbers([row["spend"] for row in rows_of(opened)[:-1]])
    wanted = desk.today.copy()
    wanted[:3] = x[0], 12345, wanted[2] / 2
    np.testing.assert_allclose(x, wanted, rtol=1e-9)
    assert x[0] == pytest.approx(1.5 * desk.today[0], rel=1e-3)
    answer = desk.ask(x)
    told = opened.text(".desk-outcome")
    for value in (
        theme.total(answer.total.value),
        theme.number(answer.total_efficiency.value),
        theme.number(answer.total_marginal),
    ):
        assert value in told
    opened.page.click("[data-preset=more]")
    np.testing.assert_allclose(
        numbers([row["spend"] for row in rows_of(opened)[:-1]]), 1.1 * desk.today, rtol=1e-12
    )
    opened.page.click("[data-preset=zero]")
    assert {row["spend"] for row in rows_of(opened)} == {"0"}


def test_a_slider_moves_by_keys(opened: Opened) -> None:
    before = opened.page.evaluate("window.desk.state.spends[0]")
    opened.page.focus("#desk-slider-0")
    opened.page.keyboard.press("ArrowRight")
    opened.page.keyboard.press("PageUp")
    after = opened.page.evaluate("window.desk.state.spends[0]")
    most = opened.page.evaluate("Number(document.getElementById('desk-slider-0').max)")
    assert after == pytest.approx(before + 0.11 * most, rel=1e-6)
    assert opened.page.evaluate("document.activeElement.id") == "desk-slider-0"


def test_limits_and_locks_are_honoured(opened: Opened, harm: RunData) -> None:
    today = opened.page.evaluate("Array.from(window.desk.state.spends)")
    opened.page.select_option("#desk-limits", "0")
    opened.page.fill("#desk-spend-0", "1e12")
    opened.page.press("#desk-spend-0", "Tab")
    state = opened.page.evaluate("Array.from(window.desk.state.spends)")
    assert state[0] == pytest.approx(1.5 * today[0])
    assert "held within its limits" in opened.text(".desk-note")
    opened.page.check("#desk-lock-1")
    assert opened.page.is_disabled("#desk-slider-1")
    opened.page.click("[data-preset=half]")
    state = opened.page.evaluate("Array.from(window.desk.state.spends)")
    assert state[1] == today[1]
    np.testing.assert_allclose(np.delete(state, 1), 0.7 * np.delete(today, 1))
    opened.page.fill("#desk-total", "1e12")
    opened.page.press("#desk-total", "Enter")
    state = opened.page.evaluate("Array.from(window.desk.state.spends)")
    np.testing.assert_allclose(np.delete(state, 1), 1.5 * np.delete(today, 1))
    assert "the nearest is" in opened.text(".desk-note")


def test_a_total_is_laid_as_python_lays_it(opened: Opened) -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        spends = rng.gamma(1.0, 10, 5) * (rng.random(5) > 0.2)
        lower, upper = spends * rng.uniform(0, 1, 5), spends * rng.uniform(1, 3, 5) + rng.uniform(0, 5, 5)
        locked, wanted = rng.random(5) > 0.7, float(rng.uniform(0, 150))
        arguments = [wanted, *(a.tolist() for a in (spends, lower, upper, locked, np.ones(5)))]
        theirs = opened.page.evaluate("(a) => Array.from(window.desk.spread(...a))", arguments)
        np.testing.assert_allclose(
            theirs, spread(wanted, spends, lower, upper, locked, np.ones(5)), rtol=1e-9, atol=1e-12
        )


def test_the_answer_is_exported_as_csv(opened: Opened, harm: RunData, tmp_path: Path) -> None:
    opened.page.click("[data-preset=half]")
    with opened.page.expect_download() as waiting:
        opened.page.click("[data-preset=download]")
    path = tmp_path / "answer.csv"
    waiting.value.save_as(path)
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))))
    assert rows == rows_of(opened)
    names = [row["channel"] for row in rows]
    assert names == ["tv", EVIL[1], "'" + EVIL[2], EMOJI, "ab" * 100, "(total)"]
    desk = Desk.of(
        harm.problem, [v.model for v in harm.models], [draws_of(harm, v) for v in harm.models], 0.9
    )
    answer = desk.ask(0.5 * desk.today)
    np.testing.assert_allclose(numbers([row["response"] for row in rows[:-1]]), answer.response, rtol=1e-6)
    total = rows[-1]
    np.testing.assert_allclose(
        numbers(
            [
                total[key]
                for key in ("response", "response_lower", "response_upper", "roas", "marginal_response")
            ]
        ),
        [*band_of(answer.total), answer.total_efficiency.value, answer.total_marginal],
        rtol=1e-6,
    )


# -------------------------------------------------------------------------------------------------------------- models


def test_a_click_on_a_model_shows_it_and_keys_do_too(opened: Opened, harm: RunData) -> None:
    second = harm.models[1].candidate
    opened.page.click(f'#search [data-candidate="{second}"]', force=True)
    assert opened.text("#model h3").startswith(say("model.title", candidate=second))
    opened.page.click(f'#models [data-model="{harm.models[0].candidate}"]')
    assert harm.models[0].candidate in opened.text("#model h3")
    opened.page.focus('#search [data-candidate][tabindex="0"]')
    opened.page.keyboard.press("ArrowLeft")
    wanted = opened.page.evaluate("document.activeElement.dataset.candidate")
    opened.page.keyboard.press("Enter")
    assert wanted in opened.text("#model h3")
    assert opened.page.evaluate("document.activeElement.id") == "model"


def test_a_candidate_that_was_not_selected_shows_what_is_known(opened: Opened, harm: RunData) -> None:
    assert harm.pareto is not None
    chosen = {view.candidate for view in harm.models}
    other = next(c for c in harm.pareto["candidate"].to_pylist() if c not in chosen)
    opened.page.evaluate(
        "(c) => document.querySelector(`#search [data-candidate=\"${c}\"]`).dispatchEvent(new Event('click'))",
        other,
    )
    assert opened.text("#model h3") == say("cloud.candidate", candidate=other)
    assert EVIL[1] in opened.text("#model table")


def test_all_that_the_keyboard_reaches_has_a_name(opened: Opened) -> None:
    nameless = opened.page.evaluate("""() => [...document.querySelectorAll(
        'input, select, textarea, button, summary, a, [tabindex="0"], svg[role]')].filter((node) =>
        !(node.getAttribute("aria-label") || node.labels?.length || node.textContent.trim()))
        .map((node) => node.outerHTML)""")
    assert nameless == []
    stops = []
    for _ in range(60):
        opened.page.keyboard.press("Tab")
        stops.append(opened.page.evaluate("document.activeElement.tagName"))
        outline = opened.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
    assert "circle" not in stops


def test_losses_are_told_where_one_points(opened: Opened, harm: RunData) -> None:
    best = harm.models[0]
    opened.page.hover(f'#search [data-candidate="{best.candidate}"] .reach', force=True)
    told = opened.text(".tip")
    assert theme.number(best.losses["nrmse"]) in told
    assert theme.number(best.losses["decomp_rssd"]) in told


# ----------------------------------------------------------------------------------------------------------- languages


def test_the_language_is_switched_in_the_page(opened: Opened, harm: RunData) -> None:
    for language in (*LANGUAGES[1:], "en"):
        opened.page.select_option("#language", language)
        with speaking(language):
            assert opened.text("#answer h2:visible") == say("answer.title")
            assert opened.text("#desk h2") == say("desk.title")
            assert opened.text('nav a[href="#desk"]') == say("nav.desk")
            assert opened.page.evaluate("document.documentElement.lang") == language
            for value in (0.01234, 1.0, -12.34, 999.6, 12345.0, 999_999.0, 2.5e9, 1e-5, 0.0):
                theirs = opened.page.evaluate(
                    "(v) => [window.desk.number(v), window.desk.amount(v), window.desk.tick(v)]", value
                )
                assert theirs == [theme.number(value), theme.amount(value), theme.tick(value)]
                theirs = opened.page.evaluate(
                    "(v) => [window.desk.percent(v), window.desk.signedPercent(v), window.desk.total(v)]",
                    value,
                )
                assert theirs == [theme.percent(value), theme.signed_percent(value), theme.total(value)]


def test_a_page_opens_in_the_language_it_was_written_in(browser: Any, harm: RunData, tmp_path: Path) -> None:
    page = Opened(browser, written(harm, tmp_path / "zh.html", "zh"))
    with speaking("zh"):
        assert page.text("#desk h2") == say("desk.title")
    assert page.page.title().endswith("营销组合报告")
    assert page.complaints == []


# ---------------------------------------------------------------------------------------------------- paper, what lacks


def test_the_page_prints(opened: Opened, tmp_path: Path) -> None:
    opened.page.emulate_media(media="print")
    for selector in ("nav", ".presets", ".quick", ".export", "#language"):
        assert not opened.page.is_visible(selector)
    assert opened.page.is_visible("#desk .big")
    assert opened.page.is_visible("#models svg")
    assert len(opened.page.pdf(path=tmp_path / "page.pdf")) > 20_000
    opened.page.emulate_media(media="screen")


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        (["intervals.parquet", "response_curves.parquet"], ["missing.intervals"]),
        (["convergence.parquet"], ["missing.convergence"]),
        (["pareto.parquet"], ["missing.pareto"]),
        (["clusters.parquet"], ["missing.selection"]),
        (["candidates"], ["missing.selection"]),
        (["scenarios"], []),
        (EVERYTHING, ["missing.selection", "missing.convergence", "missing.pareto", "missing.findings"]),
    ],
)
def test_a_run_that_lacks_something_opens_and_says_so(
    browser: Any, harm: RunData, tmp_path: Path, lacking: list[str], told: list[str]
) -> None:
    folder = copy_without(harm.folder, tmp_path, *lacking)
    page = Opened(browser, written(load_run(RunFolder.open(folder.path)), tmp_path / "index.html"))
    assert page.complaints == []
    text = page.text("body")
    for key in told:
        assert say(key) in text
    assert say("missing.part", reason="") not in text
    page.context.close()


def test_one_channel_without_organic_media_refits_or_plans(browser: Any, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "plain", ["only"], refits=0, clusters=1, organic=[], scenarios=[])
    page = Opened(browser, written(load_run(folder), tmp_path / "index.html"))
    assert page.complaints == []
    assert say("missing.refits") in page.text("#desk")
    page.page.click("[data-preset=half]")
    assert "−50.0%" in page.text(".desk-total .desk-change")
    assert page.page.query_selector("#model svg") is not None
    page.context.close()
