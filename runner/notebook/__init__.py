"""Runs, models and plans as objects for notebooks: tables as pandas frames, pictures of the report, short HTML.

``load_run`` opens a finished run; nothing here computes a number that the run folder or ``mmm_core`` does not have.
"""

from __future__ import annotations

from runner.notebook.model import Model
from runner.notebook.picture import Picture
from runner.notebook.plan import Plan
from runner.notebook.run import Run, load_run

__all__ = ["Model", "Picture", "Plan", "Run", "load_run"]
