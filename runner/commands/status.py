"""``mmm status [JOB]``: how jobs of a cluster stand."""

from __future__ import annotations

from cluster.jobs import JobState
from runner.submission import connect, user_errors


def run(address: str, job: str | None = None, *, insecure: bool = False) -> list[JobState]:
    """One job, or all that the cluster knows of, newest first.

    Args:
        address: of the job server. job: its id. insecure: as in ``submit``.
    Raises:
        UserError: no such job or cluster.
    """
    client = connect(address, insecure=insecure)
    with user_errors():
        return client.jobs() if job is None else [client.state(job)]
