"""What ``mmm`` can do: one line a command, so that its help is there without loading any of them.

A command ``import-robyn`` is the function ``import_robyn`` of the module ``runner.cli.import_robyn``; its summary here
is the first line of that function's docstring, which a test holds together. The order is that of the help.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Verb:
    """A command: its name, the heading it stands under in the help, and what it does."""

    name: str
    heading: str
    summary: str

    def function(self) -> Callable[..., Any]:
        """The function that typer makes the command of, loaded now."""
        word = self.name.replace("-", "_")
        found: Callable[..., Any] = getattr(import_module(f"runner.cli.{word}"), word)
        return found


MODELS = "From a table to models"
PLANS = "Plans and results"
JOBS = "Jobs on a cluster"
ROBYN = "Robyn"
REST = "Tools"

VERBS = (
    Verb("init", MODELS, "Make a spec of a table: guesses what each column is, and says why."),
    Verb("validate", MODELS, "Check a spec and its data without running anything."),
    Verb("run", MODELS, "Run an experiment: search, selection, intervals, plans, report, MLflow."),
    Verb("resume", MODELS, "Go on with a run that was stopped, doing only what is missing."),
    Verb("refresh", MODELS, "Bring a model up to new rows of its table, and tell what moved and why."),
    Verb("evaluate", MODELS, "Evaluate given hyperparameters, without a search."),
    Verb("allocate", PLANS, "Plan a budget with the selected models of a run."),
    Verb("plan", PLANS, "Plan dates to come by channel and period, with the outcome to expect."),
    Verb("report", PLANS, "Write the report of a run again: page, one-pagers, tables."),
    Verb(
        "compare",
        PLANS,
        "Compare finished runs with the first: spec, data, losses, ROAS, plans, and what of it is more than noise.",
    ),
    Verb("track", PLANS, "Bring MLflow to the state of a run folder; doing it twice changes nothing."),
    Verb("ui", PLANS, "Open the MLflow UI on the store of these runs."),
    Verb("submit", JOBS, "Run an experiment as a job of a Ray cluster; spec and tables travel with it."),
    Verb("status", JOBS, "Show how jobs of a cluster stand."),
    Verb("logs", JOBS, "Show what a job printed."),
    Verb("stop", JOBS, "End a job; what it did is kept for `mmm fetch`."),
    Verb("fetch", JOBS, "Bring the run folder of a job home, with all that it holds."),
    Verb("import-robyn", ROBYN, "Make a run of a model of R Robyn, and say how well it was met."),
    Verb("export-robyn", ROBYN, "Write a model as R Robyn's robyn_write() would."),
    Verb(
        "simulate", REST, "Make data with known truth: contribution, ROAS, response curves and the best plan."
    ),
    Verb("schema", REST, "Print the JSON Schema of spec files."),
)
