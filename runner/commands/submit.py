"""``mmm submit SPEC --address http://head:8265``: run an experiment as a job of a cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.stores import BadStore, check_store
from mmm_core.errors import UserError
from runner.commands import validate
from runner.commands.run import with_execution
from runner.spec import load_spec
from runner.submission import connect, job_of, user_errors


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
    """Check a spec here and submit it; returns the job's id at once.

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
    decoded = with_execution(load_spec(spec, data=data, overrides=overrides), workers, None, None)
    if "://" not in decoded.data.path:
        validate.run(spec, data=data, overrides=overrides)
    client = connect(address, insecure=insecure)
    if client.sends_token_in_clear:
        warn(f"the token crosses the network to {address} in clear; use https, or a tunnel to its loopback")
    if not client.asks_for_token:
        warn(f"{address} asks nobody for a token: whoever reaches it can run anything there")
    with tempfile.TemporaryDirectory(prefix="mmm-") as folder, user_errors():
        return client.submit(job_of(decoded, Path(folder), output=runs, insecure=insecure))


def _check_runs(uri: str) -> None:
    try:
        check_store(uri)
    except BadStore as error:
        raise UserError(f"--runs {error}; leave it out to have the run folder kept for mmm fetch") from error
