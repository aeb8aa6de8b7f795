"""Settings of the whole suite: the same examples every time, unless a nightly run asks for fresh ones."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

# A shell that starts a command in the background has it ignore Ctrl-C, and so all that it starts: tests that press it
# would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The first example of a kernel compiles it, so no deadline; and no timed assertion anywhere.
settings.register_profile("default", deadline=None, derandomize=True, max_examples=60, database=None)
settings.register_profile(
    "nightly",
    deadline=None,
    derandomize=False,
    max_examples=1000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
