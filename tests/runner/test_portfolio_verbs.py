"""Every command that takes a run, given a portfolio's folder, its spec, and the folder of one of its models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import runner
from mmm_core.errors import UserError
from runner.latest import find_portfolio, find_run, runs_named
from runner.portfolio import PortfolioFolder
from runner.run_folder import RunFolder
from tests.runner.command import files_below, mmm
from tests.runner.portfolio_files import MARKETS, market_table, model_folder, only_portfolio, write_portfolio
from tests.runner.small import write_small

START, END = "2023-01-02", "2023-03-27"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Spec and table of three markets, and in ``runs`` their run; nobody writes here."""
    folder = tmp_path_factory.mktemp("portfolio")
    runner.run(write_portfolio(folder), runs=folder / "runs")
    return folder


@pytest.fixture
def place(made, tmp_path) -> Path:
    """The same, to write into; the spec is as it was, its paths are relative."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def model_of(place: Path, market: str) -> Path:
    return model_folder(only_portfolio(place), market)


def about_one(place: Path) -> dict[str, list[object]]:
    """What follows each verb that is about one model, after the run."""
    (place / "mine.csv").write_text("lambda_hp\n0.5\n")
    return {
        "allocate": ["--runs", place / "runs"],
        "plan": ["--from", START, "--to", END, "--runs", place / "runs"],
        "compare": [model_of(place, "west"), "--runs", place / "runs"],
        "export-robyn": ["--out", place / "model.json", "--runs", place / "runs"],
        "refresh": ["--data", place / "table.csv", "--runs", place / "runs"],
    }


ABOUT_ONE = ("allocate", "plan", "compare", "export-robyn", "refresh")


# ---------------------------------------------------------------------------------------------------- about one model


@pytest.mark.parametrize("given", ["folder", "spec"])
@pytest.mark.parametrize("verb", ABOUT_ONE)
def test_what_is_about_one_model_says_how_to_name_one(place, capsys, verb, given):
    words = about_one(place)[verb]
    source = only_portfolio(place) if given == "folder" else place / "spec.yaml"
    before = files_below(place)
    refusal = mmm(capsys, verb, source, *words).refusal
    assert refusal.startswith(f"{source}: ")
    assert refusal.endswith(
        f"and this is about one; give the run folder of one, such as {model_of(place, 'north')}"
    )
    assert files_below(place) == before


@pytest.mark.parametrize("verb", ABOUT_ONE)
def test_it_is_told_how_to_come_to_models_where_there_are_none(tmp_path, capsys, verb):
    spec = write_portfolio(tmp_path)
    words: dict[str, list[object]] = {
        "plan": ["--from", START, "--to", END],
        "compare": [spec],
        "refresh": ["--data", tmp_path / "table.csv"],
    }
    refusal = mmm(capsys, verb, spec, *words.get(verb, []), "--runs", tmp_path / "runs").refusal
    assert (
        refusal == f"{spec}: names several models, and this is about one; run it first: mmm run {spec}, then "
        "give the run folder of one"
    )


def test_given_candidates_are_of_one_model(place, capsys):
    about_one(place)
    words = ["--candidates", place / "mine.csv", "--out", place / "out.csv"]
    told = mmm(capsys, "evaluate", place / "spec.yaml", *words).refusal
    assert told.endswith(
        "names several models, and this is about one; give the run folder of one, or its spec.yaml"
    )
    told = mmm(capsys, "evaluate", only_portfolio(place), *words).refusal
    assert told.endswith(f"give the run folder of one, such as {model_of(place, 'north')}")


@pytest.mark.parametrize("verb", ["validate", "run", "submit"])
def test_what_takes_a_spec_says_so_of_a_folder(place, capsys, verb):
    words = ["--address", "http://127.0.0.1:1"] if verb == "submit" else []
    told = mmm(capsys, verb, only_portfolio(place), *words).refusal
    assert told == f"{only_portfolio(place)}: this is a directory; give the path of a spec file"


def test_a_model_of_a_portfolio_is_a_run_like_any_other(place, capsys):
    south, west = model_of(place, "south"), model_of(place, "west")
    assert mmm(capsys, "allocate", south, "--name", "more", "--budget", "90000").status == 0
    assert mmm(capsys, "plan", south, "--from", "2023-01-02", "--to", "2023-03-27").status == 0
    assert mmm(capsys, "export-robyn", south, "--out", place / "model.json").status == 0
    compared = mmm(capsys, "compare", south, west, "--json")
    assert compared.status == 0
    assert len(json.loads(compared.out)["runs"]) == 2
    best = RunFolder.open(south).selected()[0]
    rows = RunFolder.open(south).table("candidates/trial-01").to_pandas()
    rows[rows["candidate"] == best].to_csv(place / "mine.csv", index=False)
    words = ["--candidates", place / "mine.csv", "--out", place / "out.csv"]
    assert mmm(capsys, "evaluate", south, *words).status == 0
    assert mmm(capsys, "evaluate", south / "spec.yaml", *words).status == 0
    assert mmm(capsys, "resume", south).status == 0


def test_a_model_is_refreshed_with_the_long_table_of_all(tmp_path, monkeypatch):
    """Whose other rows are of other markets, and no second row of a date."""
    monkeypatch.setattr("runner.orchestrate.write_report", lambda folder: None)
    tables = [market_table(market).iloc[:92] for market in MARKETS]
    whole = runner.run(write_portfolio(tmp_path, tables=tables), runs=tmp_path / "runs").path
    write_portfolio(tmp_path)
    from runner.commands.refresh import run as refresh

    quick = ("search.iterations=60", "search.trials=1")
    south = model_folder(whole, "south")
    found = refresh(south, data=str(tmp_path / "table.csv"), overrides=quick, runs=tmp_path / "runs")
    assert found.spec().data.where == {"market": "south"}
    assert len(found.panel(found.spec()).dates) == 104
    assert runs_named("markets", tmp_path / "runs") == [whole]


# --------------------------------------------------------------------------------------------------------- about all


def test_a_spec_of_several_models_stands_for_its_newest_run(place, capsys):
    whole = only_portfolio(place)
    older = whole.with_name(whole.name.replace("-2", "-1", 1))
    shutil.copytree(whole, older)
    page = whole / "report" / "index.html"
    page.unlink()
    told = mmm(capsys, "report", place / "spec.yaml", "--runs", place / "runs", "--json")
    assert json.loads(told.out) == {"report": str(page)}
    assert page.is_file()
    found = find_portfolio(place / "spec.yaml", place / "runs")
    assert found is not None
    assert found.path == whole


def test_a_spec_is_told_from_that_of_a_name_that_begins_with_its_own(place, monkeypatch):
    monkeypatch.setattr("runner.orchestrate.write_report", lambda folder: None)
    shutil.copytree(
        only_portfolio(place), place / "runs" / only_portfolio(place).name.replace("markets-", "markets-eu-")
    )
    assert find_portfolio(place / "spec.yaml", place / "runs").path == only_portfolio(place)
    PortfolioFolder(
        place / "runs" / only_portfolio(place).name.replace("markets-", "markets-eu-")
    ).set_status("failed")
    with pytest.raises(UserError, match=r"no run of 'markets' in .* waits to go on"):
        runner.resume(place / "spec.yaml", runs=place / "runs")


def test_a_spec_that_has_changed_is_told_which_run_there_is(place, capsys):
    spec = write_portfolio(place, search={"trials": 1, "iterations": 61, "seed": 7})
    for verb in ("report", "track"):
        told = mmm(capsys, verb, spec, "--runs", place / "runs").refusal
        assert told == (
            f"{spec}: no run of exactly this spec in {place / 'runs'}; the newest with other settings is "
            f"{only_portfolio(place)}, give that folder to use it"
        )


@pytest.mark.parametrize("verb", ["report", "track"])
def test_a_spec_without_a_finished_run_is_told_how_to_go_on(place, capsys, verb):
    PortfolioFolder(only_portfolio(place)).set_status("interrupted")
    told = mmm(capsys, verb, place / "spec.yaml", "--runs", place / "runs").refusal
    assert told.endswith(f"did not finish; go on with it first: mmm resume {only_portfolio(place)}")


def test_a_run_without_a_summary_cannot_be_tracked_yet(place, capsys):
    (only_portfolio(place) / "summary.json").unlink()
    told = mmm(capsys, "track", only_portfolio(place)).refusal
    assert (
        told
        == f"{only_portfolio(place)}: the run did not finish; go on with it first: mmm resume {only_portfolio(place)}"
    )


def test_the_page_of_all_has_one_language(place, capsys):
    told = mmm(capsys, "report", only_portfolio(place), "--language", "de").refusal
    assert told.startswith(
        "--language de: the page of several models is in English only; leave it out, or give"
    )
    assert told.endswith(f"such as {model_of(place, 'north')}")


def test_a_damaged_manifest_is_a_sentence(place, capsys):
    (only_portfolio(place) / "manifest.json").write_text("{")
    for verb in ("report", "track", "resume"):
        told = mmm(capsys, verb, only_portfolio(place)).refusal
        assert told == f"{only_portfolio(place)}: manifest.json is damaged; run the experiment again"


def test_a_spec_of_one_model_is_as_before(tmp_path):
    assert find_portfolio(write_small(tmp_path), tmp_path / "runs") is None
    with pytest.raises(UserError, match="no run of exactly this spec"):
        find_run(tmp_path / "spec.yaml", tmp_path / "runs")
