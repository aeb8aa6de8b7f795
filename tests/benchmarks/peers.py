"""R Robyn and its Python port beside us, where they are installed: one trial of their own search on one core.

Both search the demo data that they bring, with the settings of their own examples, and are timed from inside around
their training call alone; both are processes of their own, so the time is wall time. A peer that is not installed, or
fails, has a row that says so.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from tests.benchmarks.timing import Row, absent, row

ITERATIONS = 100
SUBJECT = f"{ITERATIONS} candidates of its own demo"
UNIT = "µs per candidate"
LIMIT_SECONDS = 120
CHECK = "not compared: another search; the same hyperparameters give R Robyn's losses, see evaluation"

R_PROGRAM = """
suppressMessages(library(Robyn))
data("dt_simulated_weekly"); data("dt_prophet_holidays")
media <- c("tv_S", "ooh_S", "print_S", "facebook_S", "search_S", "newsletter")
ranges <- list()
for (m in media) {
  ranges[[paste0(m, "_alphas")]] <- c(0.5, 3)
  ranges[[paste0(m, "_gammas")]] <- c(0.3, 1)
  ranges[[paste0(m, "_thetas")]] <- c(0, 0.8)
}
ranges$train_size <- c(0.5, 0.8)
input <- suppressMessages(robyn_inputs(
  dt_input = dt_simulated_weekly, dt_holidays = dt_prophet_holidays, date_var = "DATE", dep_var = "revenue",
  dep_var_type = "revenue", prophet_vars = c("trend", "season", "holiday"), prophet_country = "DE",
  context_vars = c("competitor_sales_B", "events"), factor_vars = "events", paid_media_spends = media[1:5],
  paid_media_vars = media[1:5], organic_vars = "newsletter", window_start = "2016-01-01",
  window_end = "2018-12-31", adstock = "geometric", hyperparameters = ranges
))
took <- system.time(capture.output(suppressMessages(robyn_run(
  InputCollect = input, cores = 1, iterations = %d, trials = 1, ts_validation = TRUE
))))
cat("seconds", took[["elapsed"]], "\\n")
"""

PORT_PROGRAM = """
import tempfile, time
from importlib.resources import files
import pandas as pd
from robyn.data.entities import enums
from robyn.data.entities.holidays_data import HolidaysData
from robyn.data.entities.hyperparameters import ChannelHyperparameters, Hyperparameters
from robyn.data.entities.mmmdata import MMMData
from robyn.modeling.entities.modelrun_trials_config import TrialsConfig
from robyn.robyn import Robyn
demo = files("robyn") / "tutorials" / "resources"
data, holidays = (pd.read_csv(demo / f"dt_{name}.csv") for name in ("simulated_weekly", "prophet_holidays"))
media = ["tv_S", "ooh_S", "print_S", "facebook_S", "search_S"]
spec = MMMData.MMMDataSpec(
    dep_var="revenue", dep_var_type=enums.DependentVarType.REVENUE, date_var="DATE", window_start="2016-01-01",
    window_end="2018-12-31", paid_media_spends=media, paid_media_vars=media, organic_vars=["newsletter"],
    context_vars=["competitor_sales_B", "events"], factor_vars=["events"],
)
ranges = {
    m: ChannelHyperparameters(alphas=[0.5, 3], gammas=[0.3, 1], thetas=[0, 0.8]) for m in [*media, "newsletter"]
}
variables = [enums.ProphetVariableType.TREND, enums.ProphetVariableType.SEASON, enums.ProphetVariableType.HOLIDAY]
port = Robyn(working_dir=tempfile.mkdtemp(), console_log_level="ERROR", file_log_level="ERROR")
port.initialize(
    mmm_data=MMMData(data=data, mmmdata_spec=spec),
    holidays_data=HolidaysData(holidays, variables, [enums.ProphetSigns.DEFAULT] * 3, "DE"),
    hyperparameters=Hyperparameters(
        hyperparameters=ranges, adstock=enums.AdstockType.GEOMETRIC, lambda_=[0, 1], train_size=[0.5, 0.8]
    ),
)
port.feature_engineering(display_plots=False)
began = time.perf_counter()
port.train_models(TrialsConfig(trials=1, iterations=%d), ts_validation=True, cores=1, display_plots=False)
print("seconds", time.perf_counter() - began)
"""


def rows(repeats: int) -> Iterator[Row]:
    """A row each for R Robyn and for robynpy; once is enough for what takes seconds."""
    del repeats
    why = r_is_missing()
    yield (
        absent("peers", SUBJECT, "R Robyn", UNIT, why)
        if why
        else timed("R Robyn", ["Rscript", "-e", R_PROGRAM % ITERATIONS])
    )
    try:
        way = f"robynpy {version('robynpy')}"
    except PackageNotFoundError:
        yield absent("peers", SUBJECT, "robynpy", UNIT, "not installed")
        return
    yield timed(way, [sys.executable, "-c", PORT_PROGRAM % ITERATIONS])


def r_is_missing() -> str:
    """Why R Robyn cannot be timed here; empty if it can."""
    if shutil.which("Rscript") is None:
        return "not installed: there is no R"
    asked = ["Rscript", "-e", 'quit(status = !requireNamespace("Robyn", quietly = TRUE))']
    done = subprocess.run(asked, capture_output=True, check=False)
    return "not installed in R" if done.returncode else ""


def timed(way: str, command: list[str]) -> Row:
    """One run of a peer, which prints its seconds last."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        return absent("peers", SUBJECT, way, UNIT, f"not done after {LIMIT_SECONDS} s")
    words = done.stdout.split()
    if done.returncode or len(words) < 2 or words[-2] != "seconds":
        reason = (done.stderr.strip() or "no time was printed").splitlines()[-1]
        return absent("peers", SUBJECT, way, UNIT, f"failed: {reason}")
    return row("peers", SUBJECT, way, UNIT, [float(words[-1])], n=ITERATIONS, check=CHECK)
