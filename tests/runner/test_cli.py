"""The command line is a thin skin: it starts at once, explains itself, and prints what people and programs can read."""

from __future__ import annotations

import inspect
import io
import json
import os
import subprocess
import sys

import pytest
from rich.console import Console

import runner
from mmm_core.errors import UserError
from runner import cli
from runner.cli.verbs import VERBS
from runner.findings import Finding, Severity
from runner.progress import Silent, Terminal, open_progress, search_facts
from runner.terminal import _percent, print_run
from tests.runner.command import ROOT, mmm, mmm_process
from tests.runner.small import small_table, write_small

COMMANDS = [verb.name for verb in VERBS]
HEAVY = (
    "matplotlib mlflow nevergrad numba numpy pandas plotly prophet pyarrow pydantic ray scipy sklearn yaml"
)


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['mmm', '--help']\n"
        "from runner.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        f"print('loaded:', [m for m in '{HEAVY}'.split() if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == "loaded: []\n"
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command, capsys):
    done = mmm(capsys, command, "--help")
    assert done.status == 0
    assert f"Example: mmm {command}" in " ".join(done.out.split())


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_command_is_listed_with_what_it_says_of_itself(verb):
    first = inspect.getdoc(verb.function()).partition("\n\n")[0]
    assert verb.summary == " ".join(first.split())


def test_every_command_is_a_function():
    for name in runner._COMMANDS:
        function = getattr(runner, name)
        assert callable(function)
        assert function.__name__ == "run"
        assert function.__doc__
        assert name.replace("_", "-") in COMMANDS
    with pytest.raises(AttributeError, match="no attribute 'walk'"):
        runner.walk  # noqa: B018 - looked up on use


def test_version_and_schema(capsys):
    assert mmm(capsys, "--version").out == f"mmm-runner {runner.__version__}\n"
    schema = json.loads(mmm(capsys, "schema").out)
    assert {"name", "data", "outcome", "channels"} <= set(schema["required"])


@pytest.mark.parametrize("words", [["walk"], ["run"], ["run", "a", "--walk"], ["run", "a", "--workers", "0"]])
def test_usage_errors_are_the_users_too(words, capsys):
    done = mmm(capsys, *words)
    assert (done.status, done.out) == (2, "")


@pytest.mark.parametrize(("error", "status", "told"), [(KeyboardInterrupt(), 130, "stopped\n")])
def test_ctrl_c_is_told_as_what_it_is(error, status, told, tmp_path, capsys, monkeypatch):
    def stop(*args, **keys):
        raise error

    monkeypatch.setattr("runner.commands.validate.load_panel", stop)
    done = mmm(capsys, "validate", write_small(tmp_path))
    assert (done.status, done.out, done.err) == (status, "", told)


def test_a_sentence_stays_on_one_line(tmp_path, capsys, monkeypatch):
    def refuse(*args, **keys):
        raise UserError("first\nsecond")

    monkeypatch.setattr("runner.commands.validate.load_panel", refuse)
    assert mmm(capsys, "validate", write_small(tmp_path)).err == "error: first second\n"


def test_our_own_mistakes_keep_their_trace(tmp_path, monkeypatch, capsys):
    def fail(*args, **keys):
        raise ZeroDivisionError

    monkeypatch.setattr("runner.commands.validate.load_panel", fail)
    monkeypatch.setattr(sys, "argv", ["mmm", "validate", str(write_small(tmp_path))])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_names_that_the_terminal_cannot_show_are_replaced(tmp_path):
    path = write_small(tmp_path, small_table().rename(columns={"price": "prix €"}), context=["prix €x"])
    done = subprocess.run(
        [sys.executable, "-m", "runner.cli", "validate", str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        encoding="latin-1",
        check=False,
    )
    assert done.returncode == 2
    assert "there is no column 'prix ?x' (context prix ?x); did you mean 'prix ?'?" in done.stderr


# ------------------------------------------------------------------------------------------------- what is printed


def test_validate_says_what_the_spec_is_about(tmp_path, capsys):
    path = write_small(tmp_path, small_table().iloc[::-1])
    done = mmm(capsys, "validate", path)
    assert done.status == 0
    assert done.out.splitlines() == [
        f"{path}: valid",
        "  104 weekly rows, window of 99: 2022-02-07 to 2023-12-25",
        "  2 paid channels, 1 organic",
        "· The rows were not in order of date and were sorted.",
    ]
    printed = json.loads(mmm(capsys, "validate", path, "--json").out)
    assert printed["valid"] is True
    assert [finding["case"] for finding in printed["findings"]] == ["rows-sorted"]


def test_run_prints_models_plans_and_places(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("runner.orchestrate.write_report", lambda folder: None)
    path = write_small(tmp_path, channels__0__name="[bold]tv[/bold]", search={"trials": 1, "iterations": 30})
    words = ["run", path, "--runs", tmp_path / "runs", "--set", "bootstrap.refits=0"]
    done = mmm(capsys, *words)
    assert (done.status, done.err) == (0, "")
    (folder,) = (tmp_path / "runs").iterdir()
    assert "[bold]tv[/bold]" in done.out
    assert f"run folder: {folder}" in done.out.splitlines()
    assert f"report: {folder / 'report' / 'index.html'}" in done.out.splitlines()
    assert "30 candidates, " in done.out
    printed = json.loads(mmm(capsys, *words, "--json").out)
    assert printed["candidates"] == 30
    assert printed["run_folder"] != str(folder)


def test_a_run_is_told_without_its_infeasible_plan_said_twice(small_run, capsys):
    capsys.readouterr()
    print_run(small_run)
    lines = capsys.readouterr().out.splitlines()
    plan = next(line for line in lines if line.startswith("Plan out-of-reach, "))
    assert plan.count("infeasible") == 1
    total = next(line for line in lines if line.startswith("│ total"))
    assert total.split("│")[4].strip() == "0%"
    assert sum("out-of-reach" in line for line in lines) == 2  # the plan, and its finding


@pytest.mark.parametrize(
    ("after", "before", "digits", "text"),
    [
        (110, 100, 0, "+10%"),
        (99.9999, 100, 0, "0%"),
        (100.01, 100, 1, "0.0%"),
        (50, 100, 1, "-50.0%"),
        (5, 0, 0, "new"),
        (0, 0, 0, "-"),
    ],
)
def test_changes_have_a_sign_unless_they_round_to_nothing(after, before, digits, text):
    assert _percent(after, before, digits) == text


def test_only_the_first_findings_are_printed(small_run, capsys):
    findings = [Finding(f"case-{i}", Severity.INFO, f"Detail {i}.") for i in range(20)]
    small_run.write_findings([*findings, Finding("worst", Severity.PROBLEM, "The worst [red].", "Do this.")])
    capsys.readouterr()
    print_run(small_run)
    out = capsys.readouterr().out
    assert out.index("!! The worst [red]. Do this.") < out.index("· Detail 0.")
    assert "· and 13 more findings in the report" in out


# -------------------------------------------------------------------------------------------------------- progress


def test_a_terminal_sees_stages_and_the_search(monkeypatch):
    stream = io.StringIO()
    progress = Terminal(Console(file=stream, force_terminal=True, width=80))
    progress.candidates(1, 2, {"nrmse": 0.5})  # before any stage: nothing to show it on
    progress.stage("search")
    progress.candidates(1200, 10000, {"nrmse": 0.05, "decomp_rssd": float("inf")})
    progress._bar.refresh()  # as its own thread does ten times a second
    progress.stage("select")
    progress.close()
    shown = stream.getvalue()
    assert "search" in shown
    assert "1,200/10,000" in shown
    assert "best nrmse 0.050, rssd inf" in shown
    assert shown.index("select") > shown.index("1,200/10,000")
    assert shown.endswith("\x1b[2K")  # it takes itself away


def test_the_facts_of_a_search():
    facts = search_facts(2500, 10_000, {"nrmse": 0.0511, "decomp_rssd": 0.1234}, 2.0)
    assert facts == "2,500/10,000, 1,250/s, best nrmse 0.051, rssd 0.123, 6 s left"
    assert search_facts(0, 10, {}, 0.0).startswith("0/10, 0/s")
    assert search_facts(1, 601, {}, 1.0).endswith("10 min left")
    assert search_facts(1, 36_001, {}, 1.0).endswith("10.0 h left")


@pytest.mark.parametrize(("quiet", "is_terminal", "kind"), [(True, True, Silent), (False, False, Silent)])
def test_a_pipe_and_a_quiet_run_see_nothing(quiet, is_terminal, kind, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    with open_progress(quiet) as progress:
        assert type(progress) is kind
        progress.stage("search")
        progress.candidates(1, 2, {})


def test_a_terminal_gets_the_live_display(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with open_progress() as progress:
        assert type(progress) is Terminal


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    with open_progress() as progress:
        progress.stage("search")
        progress.candidates(2, 2, {"nrmse": 0.5})
    told = capsys.readouterr().err
    assert told.startswith("search\n2/2, ")
    assert "\x1b" not in told


def test_completion_knows_commands_and_options():
    env = {**os.environ, "_MMM_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    words = [sys.executable, "-c", "from runner.cli import main; main()"]
    done = subprocess.run(
        words, env={**env, "COMP_WORDS": "mmm im"}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["import-robyn"]
    env |= {"COMP_WORDS": "mmm run --wo", "COMP_CWORD": "2"}
    done = subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["--workers"]


def test_a_process_ends_with_the_status_of_its_command(tmp_path):
    assert mmm_process("validate", write_small(tmp_path)).status == 0
