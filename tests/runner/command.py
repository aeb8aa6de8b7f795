"""The command line, called as a user calls it: in this process, or in one of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.cli import main

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The one sentence of a refusal."""
        assert self.status == 2, (self.status, self.out, self.err)
        assert self.out == ""
        assert self.err.startswith("error: ")
        assert self.err.count("\n") == 1
        assert self.err.endswith("\n")
        return self.err.removeprefix("error: ").strip()


def mmm(capsys: pytest.CaptureFixture[str], *words: object) -> Ended:
    """``mmm`` with these words, in this process."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mmm", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
    captured = capsys.readouterr()
    code = end.value.code
    return Ended(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)


def mmm_process(*words: object) -> Ended:
    """``mmm`` with these words, in a process of its own."""
    command = [sys.executable, "-m", "runner.cli", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def files_below(folder: Path) -> set[str]:
    """Everything in a folder, to see whether a command left something."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
