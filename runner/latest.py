"""Which run a user means: a run folder, or a spec file for its newest run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mmm_core.errors import UserError
from runner.portfolio import PortfolioFolder, is_portfolio, load_portfolio
from runner.resolve import as_run
from runner.run_folder import RunFolder, a_model_of, is_portfolio_folder
from runner.spec import load_spec


def find_run(source: str | Path, runs: str | Path = "runs") -> RunFolder:
    """The run folder at ``source``, or the newest run of the spec file there.

    Args:
        source: a run folder, or a spec file. runs: where run folders of specs are looked for.
    Raises:
        UserError: it is neither, it is about several models, or no run of the spec has finished.
    """
    source = Path(source)
    if source.is_dir() or not source.exists():
        return RunFolder.open(source)
    if is_portfolio(source):
        raise UserError(_which_model(source, Path(runs)))
    spec = load_spec(source)
    named = runs_named(spec.name, runs)
    digest = as_run(spec).digest if named else ""
    return RunFolder(_newest(source, Path(runs), named, digest))


def find_portfolio(source: str | Path, runs: str | Path = "runs") -> PortfolioFolder | None:
    """The folder of several models at ``source``, or that of the newest run of their spec; None where it is one run.

    Args:
        source, runs: as of ``find_run``.
    Raises:
        UserError: the spec cannot be used, or no run of it has finished.
    """
    source = Path(source)
    if is_portfolio_folder(source):
        return PortfolioFolder.open(source)
    if not source.is_file() or not is_portfolio(source):
        return None
    portfolio = load_portfolio(source)
    named = runs_named(portfolio.name, runs)
    return PortfolioFolder.open(_newest(source, Path(runs), named, portfolio.digest))


def runs_named(name: str, runs: str | Path) -> list[Path]:
    """Run folders of a name, of one model or of several, oldest first; not those of a name that begins with it."""
    pattern = re.compile(re.escape(name) + r"-\d{8}T\d{6}Z-[0-9a-f]{8}")
    found = (path.parent for path in Path(runs).glob("*/manifest.json"))
    # Names sort by time: all that stands before the timestamp is the same.
    return sorted(path for path in found if pattern.fullmatch(path.name))


def _newest(source: Path, runs: Path, named: Sequence[Path], digest: str) -> Path:
    """The newest finished run of exactly this spec; UserError where there is none."""
    own = [path for path in named if path.name.endswith(f"-{digest[:8]}")]
    finished = [path for path in own if RunFolder(path).manifest()["status"] == "done"]
    if finished:
        return finished[-1]
    if own:
        raise UserError(
            f"{own[-1]}: the run of {source} did not finish; go on with it first: mmm resume {own[-1]}"
        )
    hint = f"start one with: mmm run {source}"
    if named:
        hint = f"the newest with other settings is {named[-1]}, give that folder to use it"
    raise UserError(f"{source}: no run of exactly this spec in {runs}; {hint}")


def _which_model(source: Path, runs: Path) -> str:
    """How to name one model of a spec of several: its run folder, by an example where there is one."""
    portfolio = load_portfolio(source)
    wholes = [path for path in runs_named(portfolio.name, runs) if is_portfolio_folder(path)]
    way = f"run it first: mmm run {source}, then give the run folder of one"
    if wholes:
        way = f"give the run folder of one, {a_model_of(wholes[-1])}"
    return f"{source}: names several models, and this is about one; {way}"
