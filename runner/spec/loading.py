"""From a file to a checked spec: strict YAML, overrides, paths relative to the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mmm_core.errors import UserError
from runner.spec.experiment import SHORT_PATHS, ExperimentSpec, file_entries
from runner.spec.fields import suggest
from runner.spec.messages import sentence

try:
    from yaml import CSafeLoader as FastLoader
except ImportError:  # PyYAML was built without libyaml
    from yaml import SafeLoader as FastLoader  # type: ignore[assignment]


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice: the second would silently win."""


class _FastUniqueKeyLoader(FastLoader):
    """The same by libyaml, in a tenth of the time; it says less well what is wrong."""


def _unique_mapping(loader: yaml.SafeLoader | FastLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key is not a word", key_node.start_mark)
        if key_node.value in seen:
            problem = f"the key {key_node.value!r} stands twice"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        seen.add(key_node.value)
    return loader.construct_mapping(node, deep=True)


for _loader in (_UniqueKeyLoader, _FastUniqueKeyLoader):
    _loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def _loaded(text: str) -> Any:
    """Plain data of YAML; what libyaml refuses is read once more, for the words in which it is told."""
    try:
        return yaml.load(text, Loader=_FastUniqueKeyLoader)
    except (yaml.YAMLError, ValueError):
        return yaml.load(text, Loader=_UniqueKeyLoader)


def read_yaml(path: Path) -> Any:
    """Plain data of a YAML or JSON file; UserError when it is missing, empty or not YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; give the path of a spec file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: this is a directory; give the path of a spec file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    try:
        tree = _loaded(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that there is not, such as 2024-13-01
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise UserError(f"{path}: not valid YAML: {reason}{where}") from error
    if tree is None:
        raise UserError(f"{path}: the file is empty; a spec needs name, data, outcome and channels")
    return tree


def apply_override(tree: dict[str, Any], override: str) -> None:
    """Set one key of a spec: ``search.iterations=300``, ``channels.tv.spend=cost``; the value is YAML.

    An entry of a list is found by its name or by its position from 0.

    Raises:
        UserError: no ``=``, or a key on the way that is not a mapping or list.
    """
    path, equals, text = override.partition("=")
    if not equals or not all(path.strip().split(".")):
        raise UserError(f"--set {override}: expected key=value, for example search.iterations=300")
    value = parse_value(text, f"--set {override}")
    set_key(tree, path.strip(), value, f"--set {override}")


def parse_value(text: str, label: str) -> Any:
    """A value as YAML reads it; ``label`` is how messages call where it stands."""
    try:
        return _loaded(text)
    except (yaml.YAMLError, ValueError):
        raise UserError(f"{label}: the value is not valid YAML; put text into quotes") from None


def set_key(tree: dict[str, Any], path: str, value: Any, label: str) -> None:
    """Set one key of a spec by its path, such as ``channels.tv.spend``; ``label`` is how messages call the change.

    Raises:
        UserError: as ``apply_override``.
    """
    keys = path.split(".")
    if not all(keys):
        raise UserError(f"{label}: {path!r} is no key; expected one such as search.iterations")
    node: Any = tree
    for key in keys[:-1]:
        place = _place(node, key, label)
        if isinstance(node, dict) and node.get(place) is None:
            node[place] = {}
        node = node[place]
    node[_place(node, keys[-1], label)] = value


def _place(node: Any, key: str, label: str) -> Any:
    """Where a key of an override points to: a key of a mapping, or a position in a list."""
    if isinstance(node, dict):
        return key
    if not isinstance(node, list):
        raise UserError(f"{label}: {key!r} is inside something that is not a mapping; correct the key")
    if key.isdecimal() and int(key) < len(node):
        return int(key)
    named = [item.get("name") if isinstance(item, dict) else item for item in node]
    if key in named:
        return named.index(key)
    raise UserError(f"{label}: {key!r} is neither a position nor a name in that list{suggest(key, named)}")


def decode(tree: Any, source: str) -> ExperimentSpec:
    """A spec from plain data.

    Raises:
        UserError: one sentence with source, key path and what was expected.
    """
    if not isinstance(tree, dict):
        raise UserError(f"{source}: expected a mapping with name, data, outcome and channels")
    if "models" in tree:
        raise UserError(
            f"{source}: names several models, and this is about one; give the run folder of one, or its spec.yaml"
        )
    try:
        return ExperimentSpec.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{source}: {sentence(error)}") from None


def load_spec(path: str | Path, *, data: str | None = None, overrides: Sequence[str] = ()) -> ExperimentSpec:
    """Read, override and check a spec file; paths in it are relative to the file itself.

    Args:
        path: YAML or JSON file.
        data: replaces ``data.path``; relative to the current directory.
        overrides: ``key=value`` strings, see ``apply_override``.
    Raises:
        UserError: anything wrong with the file or its contents.
    """
    path = Path(path)
    tree = read_yaml(path)
    if isinstance(tree, dict):
        for override in overrides:
            apply_override(tree, override)
        if data is not None:
            entry = tree.setdefault("data", {})
            if isinstance(entry, dict):
                entry["path"] = str(data if "://" in str(data) else Path(data).absolute())
        absolute_paths(tree, path.parent)
    return decode(tree, str(path))


def _long_form(tree: dict[str, Any]) -> None:
    """Write out the short form of an entry that is a path alone."""
    for section, key in SHORT_PATHS:
        parent = tree if section is None else tree.get(section)
        if isinstance(parent, dict) and isinstance(parent.get(key), str):
            parent[key] = {"path": parent[key]}


def absolute_paths(tree: dict[str, Any], folder: Path) -> None:
    """Let the paths in a spec, which are relative to its file's folder, be absolute."""
    _long_form(tree)
    for entry in file_entries(tree):
        path = entry["path"]
        if isinstance(path, str) and path and "://" not in path:
            entry["path"] = _absolute(folder, path)


def _absolute(folder: Path, path: str) -> str:
    try:
        return str((folder / Path(path).expanduser()).resolve())
    except (OSError, RuntimeError, ValueError):  # a path that no file can have; reading it says so
        return path
