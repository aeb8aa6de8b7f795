"""Many models in one run: each the same as alone, a bad one alone in its failure, and the rest as if it were not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import runner
from mmm_core.errors import UserError
from runner.interrupt import RunInterrupted
from runner.portfolio import PortfolioFolder
from runner.portfolio.driving import Drive
from runner.portfolio.remote import Candidates, Pieces, Stage, model_blocks, pieces_of
from runner.run_folder import RunFolder
from tests.runner.command import mmm
from tests.runner.portfolio_files import MARKETS, market_table, model_folder, results, write_portfolio

NASTY = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Three markets, finished; tests take copies where they change something."""
    folder = tmp_path_factory.mktemp("portfolio")
    return runner.run(write_portfolio(folder), runs=folder / "runs").path


def assert_same(found: Path, expected: Path) -> None:
    ours, theirs = results(found), results(expected)
    assert sorted(ours) == sorted(theirs)
    assert [name for name in ours if ours[name] != theirs[name]] == []


# ------------------------------------------------------------------------------------------------------- same as alone


def test_a_model_is_byte_for_byte_that_of_its_spec_alone(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("runner.orchestrate.write_report", lambda folder: None)
    south = model_folder(whole, "south")
    assert_same(runner.run(south / "spec.yaml", runs=tmp_path / "runs").path, south)


def test_a_model_chosen_by_name_is_that_beside_the_others(whole, tmp_path):
    spec = write_portfolio(tmp_path)
    alone = runner.run(spec, runs=tmp_path / "runs", models=["west"])
    assert [row["model"] for row in alone.json("summary")["results"]] == ["west"]
    assert_same(model_folder(alone.path, "west"), model_folder(whole, "west"))


def test_models_driven_from_here_are_those_of_whole_tasks(whole, tmp_path, monkeypatch):
    """Fewer models than workers: each in a thread, its parts as tasks."""
    monkeypatch.setattr("cluster.serial.SerialBackend.workers", 4)
    spread = runner.run(write_portfolio(tmp_path), runs=tmp_path / "runs").path
    for market in MARKETS:
        assert_same(model_folder(spread, market), model_folder(whole, market))
    for table in ("summary", "channels", "pooling"):
        assert (spread / f"{table}.parquet").read_bytes() == (whole / f"{table}.parquet").read_bytes()


def test_a_run_folder_on_its_way_is_the_same_in_all_but_its_last_piece(whole):
    south = model_folder(whole, "south")
    pieces = list(pieces_of(south))
    assert all(len(piece.parts) == 1 for piece in pieces[:-1])
    assert {name.split("/")[0] for name, _ in pieces[-1].parts} == {
        "manifest.json",
        "timings.json",
        "summary.json",
    }
    together: dict[str, bytes] = {}
    for piece in pieces:
        for name, content in piece.parts:
            together[name] = together.get(name, b"") + content
    assert together == {
        str(path.relative_to(south)): path.read_bytes() for path in south.rglob("*") if path.is_file()
    }


def test_the_news_of_a_model_are_the_same_each_time(whole):
    """A task that is repeated must send the same blocks, or those of two attempts would not fit together."""
    folder = PortfolioFolder.open(whole)
    member = folder.spec.members[0]
    order = Drive(folder.spec, folder, None, None)._order(member)  # type: ignore[arg-type] - neither is asked
    first, second = (list(model_blocks(None, order)) for _ in range(2))
    assert [type(news) for news in first] == [type(news) for news in second]
    assert {Stage, Candidates, Pieces} == {type(news) for news in first}
    same = [
        one.parts == other.parts if isinstance(one, Pieces) else one == other
        for one, other in zip(first, second, strict=True)
    ]
    assert all(same[:-1])


# ------------------------------------------------------------------------------------------------------------ failures


def test_a_bad_model_fails_alone_with_its_sentence(whole, tmp_path, capsys):
    silent, gap, missing = (market_table(name) for name in ("silent", "gap", "missing"))
    silent["tv_cost"] = 0
    missing["price"] = ""
    tables = [silent, market_table("north"), gap.drop(index=40), missing]
    spec = write_portfolio(tmp_path, tables=tables)
    ended = mmm(capsys, "run", spec, "--runs", tmp_path / "runs")
    assert ended.status == 0
    (folder,) = map(PortfolioFolder.open, (tmp_path / "runs").iterdir())
    told = {entry["model"]: entry["message"] for entry in folder.json("summary")["failures"]}
    assert sorted(told) == ["gap", "missing", "silent"]
    assert "column 'tv_cost': spend of channel tv is zero in every row of the window" in told["silent"]
    assert "a gap: 2022-10-03 is followed by 2022-10-17, 2022-10-10 is missing" in told["gap"]
    assert "row 312 (2022-01-03) is missing" in told["missing"]
    assert "1 of 4 models" in ended.out
    assert "!! 3 of 4 models FAILED" in ended.out
    assert "3 models failed, silent first; correct their data and go on with: mmm resume" in ended.err
    assert_same(model_folder(folder.path, "north"), model_folder(whole, "north"))
    assert [row["status"] for row in folder.table("summary").to_pylist()] == [
        "failed",
        "done",
        "failed",
        "failed",
    ]
    page = (folder.path / "report" / "index.html").read_text()
    assert "Models that failed" in page
    assert "is zero in every row of the window" in page


def test_an_error_of_ours_costs_its_model_alone_and_is_kept(tmp_path, monkeypatch):
    from runner.candidates import select

    def breaks(spec, problem, pool):
        if "south" in spec.name:
            raise ZeroDivisionError("no reason")
        return select(spec, problem, pool)

    monkeypatch.setattr("runner.candidates.select", breaks)
    tables = [market_table(name) for name in ("south", "west")]
    folder = runner.run(write_portfolio(tmp_path, tables=tables), runs=tmp_path / "runs")
    (failure,) = folder.json("summary")["failures"]
    assert failure["message"] == "an error of this program, not of the data: ZeroDivisionError: no reason"
    assert "Traceback" in failure["trace"]
    assert [path.name.split("-")[1] for path in folder.models.iterdir()] == ["west"]


def test_where_not_one_model_can_be_had_the_command_says_so(tmp_path, capsys):
    tables = [market_table(name).assign(tv_cost=0) for name in ("north", "west")]
    ended = mmm(capsys, "run", write_portfolio(tmp_path, tables=tables), "--runs", tmp_path / "runs")
    assert ended.status == 2
    assert "every model failed, the first, north, for this:" in ended.err


def test_what_is_wrong_with_the_spec_leaves_nothing(tmp_path, capsys):
    spec = write_portfolio(tmp_path, {"by": "market", "overrides": {"north": {"serch": 1}}})
    assert "model north: serch: unknown key" in mmm(capsys, "run", spec, "--runs", tmp_path / "runs").refusal
    assert not (tmp_path / "runs").exists()


# -------------------------------------------------------------------------------------------------------------- resume


class Killed(Exception):
    """What stands for a driver that dies."""


def stopped(folder: Path, monkeypatch, after: int, error: BaseException) -> PortfolioFolder:
    """A portfolio whose driver ends after so many models."""
    end, ended = Drive._heed, []

    def heed(self, member, news, arriving):
        if isinstance(news, Stage) and news.name == "baseline":
            if len(ended) == after:
                raise error
            ended.append(member.name)
        end(self, member, news, arriving)

    spec = write_portfolio(folder)
    with monkeypatch.context() as patch:
        patch.setattr(Drive, "_heed", heed)
        with pytest.raises((type(error), RunInterrupted)):
            runner.run(spec, runs=folder / "runs")
    (path,) = (folder / "runs").iterdir()
    return PortfolioFolder.open(path)


@pytest.mark.parametrize(("error", "status"), [(Killed(), "failed"), (KeyboardInterrupt(), "interrupted")])
def test_a_portfolio_goes_on_with_what_is_missing(whole, tmp_path, monkeypatch, error, status):
    folder = stopped(tmp_path, monkeypatch, after=1, error=error)
    assert folder.manifest()["status"] == status
    (first,) = folder.models.glob("markets-*")
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    (folder.models / ".arriving-markets-south-x").mkdir()
    assert runner.resume(tmp_path / "spec.yaml", runs=tmp_path / "runs").path == folder.path
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == before
    assert len(list(folder.models.iterdir())) == len(MARKETS)
    for market in MARKETS:
        assert_same(model_folder(folder.path, market), model_folder(whole, market))
    assert (folder.path / "channels.parquet").read_bytes() == (whole / "channels.parquet").read_bytes()


def test_a_whole_portfolio_is_left_as_it_is(whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()}
    assert runner.resume(whole).path == whole
    assert runner.resume(model_folder(whole, "west")).path == model_folder(whole, "west")
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()} == before


def test_a_model_whose_data_were_mended_is_run(whole, tmp_path):
    tables = [market_table("north"), market_table("south").assign(tv_cost=0), market_table("west")]
    folder = runner.run(write_portfolio(tmp_path, tables=tables), runs=tmp_path / "runs")
    assert len(folder.json("summary")["failures"]) == 1
    write_portfolio(tmp_path)
    assert runner.resume(folder.path).json("summary")["failures"] == []
    assert_same(model_folder(folder.path, "south"), model_folder(whole, "south"))


def test_another_spec_is_refused_with_the_models_that_changed(whole, tmp_path):
    copy = tmp_path / "runs" / whole.name
    shutil.copytree(whole, copy)
    shutil.rmtree(model_folder(copy, "west"))
    models = {"by": ["market"], "overrides": {"south": {"search.iterations": 61}}}
    with pytest.raises(
        UserError, match="the spec of south has changed; put it back, or start anew with --anew"
    ):
        runner.resume(write_portfolio(tmp_path, models), runs=tmp_path / "runs")


# ------------------------------------------------------------------------------------------------- what is made of them


def test_the_tables_say_what_the_models_say(whole):
    folder = PortfolioFolder.open(whole)
    rows = folder.table("channels").to_pylist()
    assert [(row["model"], row["channel"]) for row in rows] == [
        (market, channel) for market in MARKETS for channel in ("tv", "web")
    ]
    assert all(row["key_market"] == row["model"] for row in rows)
    run = RunFolder.open(model_folder(whole, "north"))
    selected = run.json("summary")["selected"]
    mean = sum(model["roas"]["tv"] for model in selected) / len(selected)
    assert rows[0]["estimate"] == pytest.approx(mean)
    assert folder.table("summary")["candidate"][0].as_py() == selected[0]["candidate"]
    for row in folder.table("pooling").to_pylist():
        own = [r for r in rows if r["channel"] == row["channel"] and r["pooled"] is not None]
        assert len(own) == row["models"]
        for r in own:
            low, high = sorted([r["estimate"], row["mean"]])
            assert 0 <= r["shrinkage"] <= 1
            assert r["pooled"] == pytest.approx(min(max(r["pooled"], low * 0.9), high * 1.1))


def test_no_run_id_time_or_path_is_in_the_tables(whole):
    for name in ("summary", "channels", "pooling"):
        text = str(PortfolioFolder.open(whole).table(name).to_pylist())
        assert whole.name not in text
        assert str(whole) not in text


def test_the_page_executes_nothing_of_the_data(tmp_path):
    table = market_table("x").assign(market=NASTY)
    folder = runner.run(write_portfolio(tmp_path, tables=[table]), runs=tmp_path / "runs")
    page = (folder.path / "report" / "index.html").read_text()
    assert NASTY not in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("<script>") == 1
    assert "default-src 'none'" in page
    assert "script-src 'sha256-" in page
    assert folder.json("summary")["results"][0]["model"] == NASTY


def test_the_page_is_written_again_by_report(whole, tmp_path):
    copy = tmp_path / whole.name
    shutil.copytree(whole, copy)
    page = (copy / "report" / "index.html").read_text()
    (copy / "report" / "index.html").unlink()
    assert runner.report(copy) == copy / "report" / "index.html"
    assert (copy / "report" / "index.html").read_text() == page


def test_validate_looks_at_every_model(tmp_path, capsys):
    tables = [market_table("north"), market_table("south").assign(tv_cost=0)]
    spec = write_portfolio(tmp_path, tables=tables)
    ended = mmm(capsys, "validate", spec)
    assert ended.status == 0
    assert "1 of 2 models valid" in ended.out
    assert "!! south: " in ended.out
    told = json.loads(mmm(capsys, "validate", spec, "--json").out)
    assert [model["valid"] for model in told["models"]] == [True, False]
    assert mmm(capsys, "validate", spec, "--model", "south").status == 2


def test_json_has_every_model(whole, tmp_path, capsys):
    spec = write_portfolio(tmp_path, tables=[market_table("north")])
    ended = mmm(capsys, "run", spec, "--runs", tmp_path / "runs", "--json")
    told = json.loads(ended.out)
    assert told["models"] == {"total": 1, "done": 1}
    assert {channel["channel"] for channel in told["results"][0]["channels"]} == {"tv", "web"}
    assert (Path(told["run_folder"]) / told["results"][0]["folder"] / "manifest.json").is_file()
