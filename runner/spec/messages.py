"""What pydantic found wrong, as one sentence: key path, what is wrong, what was expected."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from runner.spec.experiment import ExperimentSpec
from runner.spec.fields import suggest

# What pydantic calls a problem -> what we call it; {given} is what stood there.
WORDS = {
    "missing": "is missing; add it",
    "model_type": "expected a mapping of keys, got {given}",
    "dict_type": "expected a mapping of keys, got {given}",
    "tuple_type": "expected a list, got {given}",
    "string_type": "expected text, got {given}",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "int_type": "expected a whole number, got {given}",
    "float_type": "expected a number, got {given}",
    "finite_number": "expected a finite number, got {given}",
    "bool_type": "expected true or false, got {given}",
    "invalid_key": "a key must be text; put it into quotes",
    "recursion_loop": "the entry contains itself",
}


def sentence(error: ValidationError) -> str:
    """The first problem as ``key.path: what is wrong``, and how many more there are."""
    problems = error.errors(include_url=False)
    first = problems[0]
    path, message = _key_path(first["loc"]), _message(first)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if message.startswith("."):  # a validator that knows the rest of the path
        return f"{path}{message}{more}"
    return f"{path}: {message}{more}" if path else f"{message}{more}"


def _message(problem: ErrorDetails) -> str:
    kind, loc = problem["type"], problem["loc"]
    given = _short(problem.get("input"))
    if kind == "extra_forbidden":
        return f"unknown key{suggest(str(loc[-1]), _known_keys(loc[:-1]))}"
    if kind == "mmm":
        return str(problem["ctx"]["message"])
    if kind in ("literal_error", "enum"):
        return f"expected {problem['ctx']['expected']}, got {given}".replace("'", "")
    if kind == "string_type" and isinstance(problem["input"], bool):
        return f"expected text, got {given}; YAML reads NO, on and yes as true or false, put them into quotes"
    if kind in WORDS:
        return WORDS[kind].format(given=given)
    message = problem["msg"].replace("Input should be", "expected")
    return f"{message[0].lower()}{message[1:]}, got {given}"


def _short(value: Any) -> str:
    """What stood in the file, in the words of YAML and on one line."""
    words = {None: "nothing", True: "true", False: "false"}
    is_word = value is None or isinstance(value, bool)
    text = words[value] if is_word else " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _key_path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not (part.startswith(("function-", "literal[", "constrained-")) or part in ("int", "str")):
            path += f".{part}" if path else part
    return path


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """Keys that may stand at a place of the spec."""
    model: type[BaseModel] | None = ExperimentSpec
    for part in loc:
        if model is not None and isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation)
    return list(model.model_fields) if model is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
