"""What the program's process answers, as values of the tests' process. Total: any bytes give a value or a `WireError`.

Real sets and dictionaries are built, although keys may have been chosen to collide: the tests' process has a CPU limit.
Standard library only.
"""

import sys
from typing import Any

from linewise.judge.exchange import RICH_BY_NAME, SCALARS
from linewise.judge.proxy import KINDS, Asker, ExceptionTypes
from linewise.judge.wire import MAX_DEPTH, Opaque, WireError, decode_value


class Incomparable:
    """A value nested too deeply, or an integer with too many digits; it equals nothing but itself."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Decoder:
    """Turns replies into values. Raises `WireError` for what no honest child writes."""

    def __init__(self, asker: Asker) -> None:
        self.asker = asker
        self.handles: dict[tuple[int, str], Any] = {}
        self.exceptions = ExceptionTypes()

    def decode(self, tree: Any, parts: list[Any], depth: int = 0) -> Any:
        """The value of a tree; `parts` are the mutable arguments that it may refer to."""
        if type(tree) is list:
            return self._items(tree, parts, depth)
        if type(tree) is not dict:
            return tree
        ((tag, body),) = tree.items() if len(tree) == 1 else [("", None)]
        if tag in "tszd" and tag and type(body) is list:
            return self._container(tag, self._items(body, parts, depth))
        if tag == "m":
            return self.part([body], parts)
        if tag == "h":
            return self.handle(body)
        if tag == "x":
            return self.exception_type(body)
        if tag == "p":
            return self._rich(body, parts, depth)
        value = decode_value(tree, depth)
        return Incomparable(value.text) if type(value) is Opaque else value

    def _items(self, items: list[Any], parts: list[Any], depth: int) -> list[Any]:
        if depth > MAX_DEPTH + 2:
            raise WireError("nested too deeply")
        if SCALARS.issuperset(map(type, items)):
            return items
        return [self.decode(item, parts, depth + 1) for item in items]

    def _container(self, tag: str, items: list[Any]) -> Any:
        if tag == "t":
            return tuple(items)
        try:
            if tag == "d":
                return dict(map(_pair, items))
            return set(items) if tag == "s" else frozenset(items)
        except TypeError as error:
            raise WireError("a member that has no hash") from error

    def _rich(self, body: Any, parts: list[Any], depth: int) -> Any:
        if type(body) is not list or len(body) != 2 or type(body[0]) is not str or type(body[1]) is not list:
            raise WireError("a value is a name and its parts")
        if body[0] not in RICH_BY_NAME:
            raise WireError("an unknown type of values")
        return RICH_BY_NAME[body[0]].build(self._items(body[1], parts, depth + 1))

    def part(self, entry: Any, parts: list[Any]) -> Any:
        """The mutable argument whose index comes first in `entry`."""
        if type(entry) is list and entry and type(entry[0]) is int and 0 <= entry[0] < len(parts):
            return parts[entry[0]]
        raise WireError("no such argument")

    def handle(self, body: Any) -> Any:
        """What stands for an object; always the same for the same one, or a standard class itself."""
        if type(body) is not list or tuple(map(type, body)) != (int, str, str) or body[1] not in KINDS:
            raise WireError("an unknown kind of handle")
        number, kind, name = body
        key = (number, kind)
        if key not in self.handles:
            self.handles[key] = (kind == "c" and standard_class(name)) or KINDS[kind](self.asker, number)
        return self.handles[key]

    def exception_type(self, body: Any) -> type[BaseException]:
        """The exception type that stands for one of the program, or is builtin."""
        if type(body) is not list or len(body) != 2 or type(body[0]) is not list or type(body[1]) is not str:
            raise WireError("an exception type is its handles and a builtin base")
        for entry in body[0]:
            if type(entry) is not list or tuple(map(type, entry)) != (int, str, str):
                raise WireError("a base of an exception type is a handle and two names")
        return self.exceptions.find(body[0], body[1])


def _pair(pair: Any) -> tuple[Any, Any]:
    if type(pair) is not list or len(pair) != 2:
        raise WireError("a dictionary entry must be a pair")
    return pair[0], pair[1]


def standard_class(name: str) -> type | None:
    """The class `module:name` of the standard library, if its module is loaded here."""
    module, _, path = name.partition(":")
    if module.partition(".")[0] not in sys.stdlib_module_names:
        return None
    found = getattr(sys.modules.get(module), path, None)
    return found if isinstance(found, type) else None
