"""The page on plans: commands that need a table of the page are run with it (tests/docs runs the others)."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from tests.runner.command import mmm

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
TABLES = re.findall(r"```csv\n(.*?)```", TEXT, flags=re.DOTALL)
COMMANDS = [
    shlex.split(line.strip()) for line in TEXT.splitlines() if re.match(r"\s*mmm plan experiments/", line)
]
QUICK = {
    "search": {"iterations": 150, "trials": 1},
    "bootstrap": {"refits": 50},
    "scenarios": [],
    "tracking": {"enabled": False},
}


WITH_TABLE = [command for command in COMMANDS if {"amounts.csv", "context.csv"} & set(command)]


def test_there_are_commands_and_tables():
    assert len(COMMANDS) == 9
    assert len(WITH_TABLE) == 2
    assert [table.split(",")[1] for table in TABLES] == ["channel", "price"]
    flags = {word for command in COMMANDS for word in command if word.startswith("--")}
    assert flags >= {"--goal", "--marginal", "--flighting", "--plan", "--context", "--fixed", "--bounds"}


@pytest.mark.integration
def test_tables_and_commands_work_as_they_are_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("runner.orchestrate.write_report", lambda folder: None)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    spec = Path("experiments/quickstart.yaml")
    spec.write_text(yaml.safe_dump(yaml.safe_load(spec.read_text(encoding="utf-8")) | QUICK))
    for name, table in zip(("amounts.csv", "context.csv"), TABLES, strict=True):
        (tmp_path / name).write_text(table, encoding="utf-8")
    made = mmm(capsys, "run", str(spec), "--backend", "serial")
    assert made.status == 0, made.err
    for command in WITH_TABLE:
        done = mmm(capsys, *command[1:], "--json")
        assert done.status == 0, (command, done.err)
        plan = json.loads(done.out)["plans"]["ensemble"]
        assert plan["status"] in ("solved", "infeasible"), (command, plan["message"])
    booked = list(tmp_path.glob("runs/*/plans/booked/plan.csv"))
    assert len(booked) == 1
    assert '2025-01-06,"tv","ensemble",50000' in booked[0].read_text()
