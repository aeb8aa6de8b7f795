"""Runs beside one another: what was asked, what the data were, what came out, and what of that is more than noise."""

from __future__ import annotations

from runner.comparison.differences import Comparison, compare_runs

__all__ = ["Comparison", "compare_runs"]
