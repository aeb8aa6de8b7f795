"""How a spec names its models: as a list, as a table beside it, or by key columns of its own long table.

Whatever the form, a model comes down to a name and changes: paths of keys and their values, as ``--set`` has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmm_core.errors import UserError
from runner.names import folder_names
from runner.source import is_missing, near_name, read_table
from runner.spec import parse_value, read_yaml

if TYPE_CHECKING:
    import pandas as pd

# What joins the values of several key columns to a name.
JOINT = "-"
# Keys that belong to all models together.
COMMON = ("name", "models", "portfolio", "execution", "tracking")


@dataclass(frozen=True)
class Named:
    """A model as it was named: ``keys`` are its values of the key columns, ``changes`` pairs of (path, value).

    ``spec`` is there where a model brings its whole spec, which then is not made of the common one.
    """

    name: str
    where: str
    keys: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[tuple[str, Any], ...] = ()
    spec: Mapping[str, Any] | None = None


def named_models(tree: Mapping[str, Any], path: Path, read: Callable[[str], pd.DataFrame]) -> list[Named]:
    """The models of a spec, in their order.

    Args:
        tree: the spec, its own data path absolute. path: its file. read: as of ``load_panel``.
    Raises:
        UserError: ``models`` is in none of the forms, a name is missing or stands twice.
    """
    models = tree["models"]
    if isinstance(models, str):
        found = _of_file(models, path)
    elif isinstance(models, Mapping):
        found = list(_by_keys(models, tree, path, read))
    elif isinstance(models, list):
        found = [_of_entry(entry, f"{path}: models[{i}]") for i, entry in enumerate(models)]
    else:
        raise UserError(
            f"{path}: models: expected a list of models, the path of a table of them, or by: [columns of the data]"
        )
    if not found:
        raise UserError(f"{path}: models: there is none; name at least one")
    _check_names(found)
    return found


def _check_names(found: Sequence[Named]) -> None:
    seen: dict[str, str] = {}
    for model in found:
        if model.name in seen:
            raise UserError(f"{model.where}: the name {model.name!r} stands twice; rename one")
        seen[model.name] = model.where
        for key, _ in model.changes:
            if key.split(".")[0] in COMMON:
                raise UserError(
                    f"{model.where}: {key} is for all models together; set it at the top of the spec"
                )


# ----------------------------------------------------------------------------------------------------- a list, a table


def _of_entry(entry: Any, where: str) -> Named:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
        raise UserError(f"{where}: expected a name and what is different, such as {{name: DE, data: de.csv}}")
    keys = entry.get("keys", {})
    if not isinstance(keys, Mapping) or not all(isinstance(v, str) for pair in keys.items() for v in pair):
        raise UserError(f"{where}: keys: expected words by name, such as {{country: DE}}")
    spec = entry.get("spec")
    rest = {key: value for key, value in entry.items() if key not in ("name", "keys", "spec")}
    if spec is not None and (rest or not isinstance(spec, Mapping)):
        raise UserError(f"{where}: spec: expected a whole spec, and no other key of the model beside it")
    return Named(entry["name"], f"{where} ({entry['name']})", dict(keys), tuple(_changes(rest)), spec)


def _changes(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and values of a mapping: a mapping goes down into the spec's own, anything else replaces what is there."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if path == "data" and isinstance(value, str):
            yield "data.path", value
        elif isinstance(value, Mapping) and value:
            yield from _changes(value, f"{path}.")
        else:
            yield path, value


def _of_file(name: str, path: Path) -> list[Named]:
    file = path.parent / Path(name).expanduser()
    if file.suffix.lower() in (".yaml", ".yml", ".json"):
        entries = read_yaml(file)
        if not isinstance(entries, list):
            raise UserError(f"{file}: expected a list of models, each with a name")
        return [_of_entry(entry, f"{file}: entry {i + 1}") for i, entry in enumerate(entries)]
    table = read_table(str(file), "correct models in the spec")
    if "name" not in table:
        raise UserError(f"{file}: there is no column 'name'; every row needs the name of its model")
    rows = table.to_dict("records")
    return [_of_row(row, f"{file}: row {i + 1}") for i, row in enumerate(rows)]


def _of_row(row: Mapping[Any, Any], where: str) -> Named:
    """A model of a table: a column a key, an empty cell for what is as in the spec."""
    if is_missing(row["name"]):
        raise UserError(f"{where}: has no name; fill it or delete the row")
    name = str(row["name"])
    changes = [
        ("data.path" if column == "data" else str(column), _cell(column, value, where))
        for column, value in row.items()
        if column != "name" and not is_missing(value)
    ]
    return Named(name, f"{where} ({name})", changes=tuple(changes))


def _cell(column: Any, value: Any, where: str) -> Any:
    # Paths and key values stay text, also where they look like a number or, as NO does, like a word of YAML.
    is_text = str(column) == "data" or str(column).startswith("data.") or str(column).endswith("country")
    if is_text:
        return str(value)
    read = parse_value(value, f"{where}, {column}") if isinstance(value, str) else value
    # What wrote the table may have had to make a column with empty cells one of decimals.
    return int(read) if isinstance(read, float) and read.is_integer() else read


# ------------------------------------------------------------------------------------------------- columns of the data


def _by_keys(
    models: Mapping[str, Any], tree: Mapping[str, Any], path: Path, read: Callable[[str], pd.DataFrame]
) -> Iterator[Named]:
    for key in models:
        if key not in ("by", "each", "overrides"):
            raise UserError(f"{path}: models.{key}: unknown key; expected by, each or overrides")
    by = models.get("by")
    by = [by] if isinstance(by, str) else by
    if not isinstance(by, list) or not by or not all(isinstance(column, str) for column in by):
        raise UserError(f"{path}: models.by: expected columns of the data, such as [brand, country]")
    found = _key_values(by, tree, path, read)
    overrides = _mapping(models, "overrides", path)
    names = [JOINT.join(values) for values in found]
    for name in overrides:
        if str(name) not in names:
            raise UserError(
                f"{path}: models.overrides: there is no model {name!r}; {near_name(str(name), names)}"
            )
    for name, values in zip(names, found, strict=True):
        keys = dict(zip(by, values, strict=True))
        own = overrides.get(name) or {}
        if not isinstance(own, Mapping):
            raise UserError(f"{path}: models.overrides.{name}: expected keys of the spec and their values")
        changes = [(f"data.where.{column}", value) for column, value in keys.items()]
        changes += [(key, _filled(value, keys)) for key, value in _changes(_mapping(models, "each", path))]
        yield Named(name, f"{path}: models.overrides.{name}", keys, (*changes, *_changes(own)))


def _mapping(models: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    value = models.get(key) or {}
    if not isinstance(value, Mapping):
        raise UserError(f"{path}: models.{key}: expected a mapping, got {value!r}")
    return value


def _key_values(
    by: Sequence[str], tree: Mapping[str, Any], path: Path, read: Callable[[str], pd.DataFrame]
) -> list[tuple[str, ...]]:
    """Values of the key columns that stand together in the data, in the order in which they first do."""
    data = tree.get("data")
    file = data.get("path") if isinstance(data, Mapping) else None
    if not isinstance(file, str):
        raise UserError(f"{path}: data.path: is missing; models.by are columns of that table")
    table = read(file)
    for column in by:
        if column not in table:
            known = [str(name) for name in table.columns]
            raise UserError(f"{file}: there is no column {column!r} (models.by); {near_name(column, known)}")
    rows = table[list(by)].drop_duplicates()
    found = []
    for values in rows.itertuples(index=False):
        if any(is_missing(value) for value in values):
            raise UserError(
                f"{file}: column {by[0]!r}: a row has no value (models.by); fill it or delete the row"
            )
        found.append(tuple(str(value).strip() for value in values))
    return found


def _filled(value: Any, keys: Mapping[str, str]) -> Any:
    """Text in which ``{column}`` stands for the model's value of that key column."""
    if isinstance(value, str):
        for column, own in keys.items():
            value = value.replace(f"{{{column}}}", own)
    elif isinstance(value, list):
        return [_filled(entry, keys) for entry in value]
    return value


def file_names(names: Sequence[str], prefix: str) -> dict[str, str]:
    """Model -> the name of its spec and, with a time and a digest, of its run folder: legal, and none twice.

    Args:
        names: all different. prefix: the name of the whole, which they begin with.
    """
    whole = {f"{prefix}{JOINT}{name}": name for name in names}
    return {whole[text]: folder for text, folder in folder_names(list(whole)).items()}
