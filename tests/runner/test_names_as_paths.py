"""Names that users choose become names of files, and words of a page; none leads out of the folder or runs there."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmm_core.errors import UserError
from runner.commands.run import run
from runner.run_folder import RunFolder
from runner.spec import load_spec
from tests.runner.command import files_below, mmm
from tests.runner.small import write_small

BAD = [
    "../x",
    "a/b",
    "x" * 300,
    "🙂",
    "<script>",
    "..",
    ".",
    "",
    " ",
    ".hidden",
    "a\\b",
    "-x",
    "a\nb",
    "a\0b",
    "x.",
]
SCRIPT = "<script>alert(1)</script>"


@pytest.mark.parametrize("name", BAD)
def test_a_run_or_a_scenario_of_such_a_name_is_refused(tmp_path: Path, name: str) -> None:
    for changes in ({"name": name}, {"scenarios": [{"name": name}]}):
        spec = write_small(tmp_path, **changes)
        with pytest.raises(UserError, match=r"spec\.yaml: (name|scenarios\[0\]\.name): "):
            load_spec(spec)


@pytest.mark.parametrize("name", ["../x", "a/b", "x" * 300, "🙂", "<script>"])
def test_a_plan_of_such_a_name_is_refused_and_nothing_is_written(
    small_run: RunFolder, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    before = files_below(small_run.path.parents[1])
    dates = ["--from", "2024-01-01", "--to", "2024-02-26"]
    for words in (["allocate", small_run.path], ["plan", small_run.path, *dates]):
        assert "becomes a f" in mmm(capsys, *words, "--name", name).refusal  # file name, or folder
    assert files_below(small_run.path.parents[1]) == before


@pytest.mark.integration
def test_channels_of_such_names_stay_inside_the_run_folder_and_are_text_on_its_page(tmp_path: Path) -> None:
    spec = write_small(
        tmp_path,
        channels=[
            {"name": "../x", "spend": "tv_cost"},
            {"name": SCRIPT, "spend": "web_cost", "exposure": "web_clicks"},
        ],
        organic=[{"name": "x" * 300, "column": "mails"}],
        context=["price", {"name": "🙂", "column": "event", "kind": "factor"}],
    )
    before = files_below(tmp_path)
    folder = run(spec, runs=tmp_path / "runs")
    new = files_below(tmp_path) - before
    assert all(name == "runs" or name.startswith(f"runs/{folder.run_id}") for name in new)
    assert SCRIPT not in (folder.path / "report" / "index.html").read_text()
    assert {"../x", SCRIPT} <= set(folder.table("response_curves")["channel"].to_pylist())
