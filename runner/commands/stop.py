"""``mmm stop JOB``: end a job of a cluster; what it did is kept for ``mmm fetch``."""

from __future__ import annotations

from runner.submission import connect, user_errors


def run(address: str, job: str, *, insecure: bool = False) -> bool:
    """Have a job end; False when it had ended already.

    Args:
        address: of the job server. job: its id. insecure: as in ``submit``.
    Raises:
        UserError: no such job or cluster.
    """
    client = connect(address, insecure=insecure)
    with user_errors():
        return client.stop(job)
