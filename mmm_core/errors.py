"""What can go wrong in the numbers, as a tree.

    MMMError
    ├── ShapeError          an array has the wrong number of dimensions or does not fit its neighbour
    ├── RangeError          a value is outside the range its formula is defined for
    ├── LabelError          a name is unknown, missing or used twice
    └── UserError           the user's input is at fault; the message is the one sentence the user reads

``MMMError`` subclasses other than ``UserError`` are for callers of the library; the command line shows a ``UserError``
as one line and exits with status 2.
"""

from __future__ import annotations


class MMMError(Exception):
    """Base of all errors raised on purpose by this project."""


class ShapeError(MMMError, ValueError):
    """An array has the wrong shape."""


class RangeError(MMMError, ValueError):
    """A number lies outside its legal range."""


class LabelError(MMMError, KeyError):
    """A label is unknown, missing or duplicated."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; a sentence should stay a sentence.
        return str(self.args[0]) if self.args else ""


class UserError(MMMError):
    """Input of the user that cannot be used: one sentence that names file, key or row, and the remedy."""
