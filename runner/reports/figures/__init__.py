"""Panels: each draws one thing into one box of a sheet."""
