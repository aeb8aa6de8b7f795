"""The command line ``mmm``: a thin skin over ``runner.commands``, one file a command.

``verbs`` names the commands, ``options`` holds what several of them take, ``app`` is the way in. Nothing heavy is
imported here: every command is loaded when it is called, and loads what it needs itself, so that ``mmm --help`` answers
at once.
"""

from __future__ import annotations

from runner.cli.app import app, main

__all__ = ["app", "main"]
