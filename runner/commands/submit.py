"""``mmm submit SPEC --address http://head:8265``: run an experiment as a job of a cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from cluster.stores import BadStore, check_store
from mmm_core.errors import UserError
from runner.commands import validate
from runner.commands.run import with_execution
from runner.portfolio import PortfolioSpec, is_portfolio, load_portfolio
from runner.spec import ExperimentSpec, load_spec
from runner.submission import connect, job_of, portfolio_job_of, user_errors


def run(
    spec: str | Path,
    address: str,
    *,
    data: str | None = None,
    overrides: Sequence[str] = (),
    runs: str | None = None,
    workers: int | None = None,
    insecure: bool = False,
    warn: Callable[[str], None],
) -> str:
    """Check a spec, of one model or of many, here and submit it; returns the job's id at once.

    Args:
        spec: path of a spec file. address: of the job server, such as http://127.0.0.1:8265.
        data: replaces data.path; a URI is read by the cluster and not checked here. overrides: key=value.
        runs: URI that the cluster writes the run folder to; default: kept by the cluster for ``mmm fetch``.
        workers: as many of the cluster at most; default all.
        insecure: also to a cluster elsewhere that asks for no token. warn: is told what is unwise.
    Raises:
        UserError: the spec, its data or the cluster cannot be used; nothing was submitted.
    """
    if runs is not None:
        _check_runs(runs)
    asked = _load(spec, data, overrides, workers)
    _check(asked, warn)
    client = connect(address, insecure=insecure)
    if client.sends_token_in_clear:
        warn(f"the token crosses the network to {address} in clear; use https, or a tunnel to its loopback")
    if not client.asks_for_token:
        warn(f"{address} asks nobody for a token: whoever reaches it can run anything there")
    with tempfile.TemporaryDirectory(prefix="mmm-") as folder, user_errors():
        if isinstance(asked, PortfolioSpec):
            job = portfolio_job_of(asked, Path(folder), output=runs, insecure=insecure)
        else:
            job = job_of(asked, Path(folder), output=runs, insecure=insecure)
        return client.submit(job)


def _load(
    spec: str | Path, data: str | None, overrides: Sequence[str], workers: int | None
) -> ExperimentSpec | PortfolioSpec:
    if is_portfolio(spec):
        portfolio = load_portfolio(spec, data=data, overrides=overrides)
        return portfolio.with_execution(lambda each: with_execution(each, workers, None, None))
    return with_execution(load_spec(spec, data=data, overrides=overrides), workers, None, None)


def _check(asked: ExperimentSpec | PortfolioSpec, warn: Callable[[str], None]) -> None:
    """What can be said here of what is here: wrong input is refused, of many models as long as one can be run."""
    if isinstance(asked, ExperimentSpec):
        if not _is_elsewhere(asked):
            validate.validate_spec(asked)
        return
    found = [m for m in asked.members if not _is_elsewhere(m.spec)]
    checked = validate.check_members(replace(asked, members=tuple(found)))
    refused = [model for model in checked if model.result is None]
    if refused and len(refused) == len(asked.members):
        raise UserError(refused[0].message)
    for model in refused:
        warn(f"model {model.name} cannot be run and will be left out: {model.message}")


def _is_elsewhere(spec: ExperimentSpec) -> bool:
    return "://" in spec.data.path


def _check_runs(uri: str) -> None:
    try:
        check_store(uri)
    except BadStore as error:
        raise UserError(f"--runs {error}; leave it out to have the run folder kept for mmm fetch") from error
