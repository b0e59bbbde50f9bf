"""A recipe as JSON and back: config.json is a complete record from which the same recipe can be built again."""

import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar

from linewise.errors import RunError
from linewise.training.config import AnyRecipe


def recipe_to_record(recipe: AnyRecipe) -> dict[str, Any]:
    """JSON form of a recipe; `algorithm` names the credit assigner."""
    return {"algorithm": type(recipe.credit).__name__, **json.loads(json.dumps(asdict(recipe)))}


def recipe_from_record(record: Mapping[str, Any], kind: Any) -> AnyRecipe:
    """The recipe of `recipe_to_record`; `kind` is its type, such as `Recipe[GRPO]` or `Recipe[FGO[PPO]]`.

    Raises RunError where the record is of another algorithm or has unknown settings.
    """
    (credit_type,) = typing.get_args(kind)
    name = (typing.get_origin(credit_type) or credit_type).__name__
    if record.get("algorithm") != name:
        raise RunError(f"this run's algorithm is {record.get('algorithm')}, not {name}.")
    settings = {name: value for name, value in record.items() if name != "algorithm"}
    recipe: AnyRecipe = decode(kind, settings)
    return recipe


def decode(kind: Any, record: Any) -> Any:
    """The dataclass `kind` that `json.dumps(asdict(...))` wrote as `record`. Raises RunError for unknown settings."""
    return _decode(kind, record, {})


def check_same(place: Path, then: Mapping[str, Any], now: Mapping[str, Any], *, free: Sequence[str] = ()) -> None:
    """Raises RunError unless the run in `place`, of settings `then`, has the settings `now`, but for those in `free`.

    The error names the setting itself, `update.learning_rate` say, wherever it is nested.
    """
    for name, old, new in _differences(then, now):
        if name.partition(".")[0] not in free:
            told = f" Free to change are: {', '.join(free)}." if free else ""
            raise RunError(
                f"the run in {place} has {name} = {old}, not {new}: a resumed run must be the same run. Drop the "
                f"override, or start a new run with --out.{told}"
            )


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(dotted name, old, new) of every setting of `now` that is another one in `then`."""
    for name, new in now.items():
        old = then.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from ((f"{name}.{inner}", one, other) for inner, one, other in _differences(old, new))
        elif old != new:
            yield name, old, new


def _decode(hint: Any, value: Any, types_of: Mapping[TypeVar, Any]) -> Any:
    """The value of type `hint` that JSON wrote as `value`; `types_of` says what a class's type variables stand for."""
    if isinstance(hint, TypeVar):
        return _decode(types_of[hint], value, {})
    origin, parameters = typing.get_origin(hint), typing.get_args(hint)
    if is_dataclass(origin) and isinstance(origin, type):
        variables: tuple[TypeVar, ...] = getattr(origin, "__parameters__", ())
        return _decode_fields(origin, value, dict(zip(variables, parameters, strict=True)))
    if is_dataclass(hint) and isinstance(hint, type):
        return _decode_fields(hint, value, {})
    if origin in (typing.Union, types.UnionType):
        (inner,) = (parameter for parameter in parameters if parameter is not type(None))
        return None if value is None else _decode(inner, value, types_of)
    if origin is tuple:
        hints_of_items = [parameters[0]] * len(value) if parameters[-1] is Ellipsis else parameters
        return tuple(_decode(inner, item, types_of) for inner, item in zip(hints_of_items, value, strict=True))
    if origin is Literal:
        return value
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    return hint(value)


def _decode_fields(kind: type, value: Mapping[str, Any], types_of: Mapping[TypeVar, Any]) -> Any:
    hints = typing.get_type_hints(kind)
    unknown = value.keys() - {field.name for field in fields(kind)}
    if unknown:
        raise RunError(
            f"config.json has the unknown setting {sorted(unknown)[0]!r} in {kind.__name__}: it was written by another "
            "version of Linewise. Resume with that version."
        )
    return kind(**{name: _decode(hints[name], item, types_of) for name, item in value.items()})
