"""Objects of the program as the tests see them: handles that ask the program's process. Standard library only.

No operator with a plain value on its other side is passed on: `f(x) == 3` and `f(x) - 3` would tell the program which
value is expected and let it answer at will. A handle equals no plain value, and arithmetic with one is a TypeError. Between
two handles (`Vector(1) + Vector(2) == Vector(3)`) the program's own methods decide. `x in handle` iterates and compares
here.
"""

import builtins
import sys
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

UNARY = {
    "__neg__": "neg",
    "__pos__": "pos",
    "__abs__": "abs",
    "__invert__": "invert",
    "__bool__": "bool",
    "__int__": "int",
    "__float__": "float",
    "__complex__": "complex",
    "__bytes__": "bytes",
    "__index__": "index",
    "__trunc__": "trunc",
    "__floor__": "floor",
    "__ceil__": "ceil",
    "__len__": "len",
    "__iter__": "iter",
    "__next__": "next",
    "__reversed__": "reversed",
    "__str__": "str",
    "__repr__": "repr",
    "__hash__": "hash",
    "__copy__": "copy",
}
BINARY = {
    "__eq__": "eq",
    "__ne__": "ne",
    "__lt__": "lt",
    "__le__": "le",
    "__gt__": "gt",
    "__ge__": "ge",
    "__add__": "add",
    "__sub__": "sub",
    "__mul__": "mul",
    "__truediv__": "truediv",
    "__floordiv__": "floordiv",
    "__mod__": "mod",
    "__divmod__": "divmod",
    "__pow__": "pow",
    "__matmul__": "matmul",
    "__and__": "and_",
    "__or__": "or_",
    "__xor__": "xor",
    "__lshift__": "lshift",
    "__rshift__": "rshift",
    "__iadd__": "iadd",
    "__isub__": "isub",
    "__imul__": "imul",
}
FORWARDED = {
    "__getitem__": "getitem",
    "__setitem__": "setitem",
    "__delitem__": "delitem",
    "__setattr__": "setattr",
    "__delattr__": "delattr",
    "__format__": "format",
    "__round__": "round",
}
"""Methods whose arguments are passed on as they are: the test itself hands them to the program."""


class Asker(Protocol):
    """Who sends a request to the program's process and returns the answer."""

    def ask(self, target: int | str, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> Any:
        """Call a handle or a primitive there. Raises what the program raises."""


class Unsplittable(BaseException):
    """A test does what cannot be done apart from the program. No `except Exception` of the test may catch it."""


class Handle:
    """Stands for an object of the program."""

    __slots__ = ("_linewise_asker", "_linewise_number")
    _linewise_asker: Asker
    _linewise_number: int

    def __init__(self, asker: Asker, number: int) -> None:
        object.__setattr__(self, "_linewise_asker", asker)
        object.__setattr__(self, "_linewise_number", number)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # `isinstance` asks for it where the type itself does not fit
        """The class, as the program has it."""
        return self.__getattr__("__class__")

    def __getattr__(self, name: str) -> Any:
        return self._linewise_asker.ask("getattr", (self, name))

    def __deepcopy__(self, memo: object) -> Any:
        return self._linewise_asker.ask("deepcopy", (self,))

    def __enter__(self) -> Any:
        return self.__getattr__("__enter__")()

    def __exit__(self, *_error: object) -> Any:
        return self.__getattr__("__exit__")(None, None, None)


class CallableHandle(Handle):
    """Stands for a function or a method of the program, or for another object that can be called."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it in the program's process."""
        return self._linewise_asker.ask(self._linewise_number, args, kwargs)


class ClassHandle(CallableHandle):
    """Stands for a class of the program."""

    __slots__ = ()

    def __instancecheck__(self, instance: object) -> bool:
        return is_handle(instance) and self._linewise_asker.ask("isinstance", (instance, self)) is True

    def __subclasscheck__(self, kind: object) -> bool:
        return is_handle(kind) and self._linewise_asker.ask("issubclass", (kind, self)) is True

    def __mro_entries__(self, bases: object) -> NoReturn:
        raise Unsplittable("a test derives a class from one of the program")


KINDS = {"o": Handle, "f": CallableHandle, "c": ClassHandle}


def is_handle(value: object) -> bool:
    """Whether a value stands for an object of the program. (`isinstance` would ask the program.)"""
    return type(value) in (Handle, CallableHandle, ClassHandle)


def _forward(primitive: str) -> Callable[..., Any]:
    def method(self: Handle, *args: Any) -> Any:
        return self._linewise_asker.ask(primitive, (self, *args))

    return method


def _between_handles(primitive: str) -> Callable[..., Any]:
    def method(self: Handle, other: object) -> Any:
        if not is_handle(other):
            return NotImplemented
        return self._linewise_asker.ask(primitive, (self, other))

    return method


for _name, _primitive in (UNARY | FORWARDED).items():
    setattr(Handle, _name, _forward(_primitive))
for _name, _primitive in BINARY.items():
    setattr(Handle, _name, _between_handles(_primitive))


# ----------------------------------------------------------------------------------------------------------- exceptions


class ProgramError:
    """Base, beside a builtin one, of exceptions whose type the program defines."""

    _linewise_handle: Handle
    _linewise_text: str

    def __str__(self) -> str:
        return self._linewise_text

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_linewise"):  # an instance that the test made itself
            raise AttributeError(name)
        return getattr(self._linewise_handle, name)


class ExceptionTypes:
    """Types that stand for exception types of the program, one for each handle, so that `except` finds them."""

    def __init__(self) -> None:
        self.by_number: dict[int, type[BaseException]] = {}
        self.numbers: dict[type[BaseException], int] = {}

    def find(self, chain: list[tuple[int, str, str]], base_name: str) -> type[BaseException]:
        """The type with these bases, nearest first, above the builtin type `base_name`."""
        base = getattr(builtins, base_name, None)
        found = base if isinstance(base, type) and issubclass(base, BaseException) else Exception
        for number, name, module in reversed(chain):
            if number not in self.by_number:
                self.by_number[number] = self._loaded(module, name, found) or self._make(number, name, found)
            found = self.by_number[number]
        return found

    def _loaded(self, module: str, name: str, base: type[BaseException]) -> type[BaseException] | None:
        """The standard library's type of that name, such as `json.JSONDecodeError`."""
        if module.partition(".")[0] not in sys.stdlib_module_names:
            return None
        kind = getattr(sys.modules.get(module), name, None)
        return kind if isinstance(kind, type) and issubclass(kind, base) else None

    def _make(self, number: int, name: str, base: type[BaseException]) -> type[BaseException]:
        bases = (base,) if issubclass(base, ProgramError) else (ProgramError, base)
        try:
            kind: type[BaseException] = type(name, bases, {})
        except (TypeError, ValueError):  # a name with a null byte, or a base that cannot be had
            kind = type("Exception", (ProgramError, Exception), {})
        self.numbers[kind] = number
        return kind


def make_exception(kind: type[BaseException], args: list[Any], text: str, handle: Handle) -> BaseException:
    """An exception of that type. Some types do not take their own `args`; then they are set afterwards."""
    try:
        error = kind(*args)
    except Exception:  # noqa: BLE001  any of the standard library's types may refuse in its own way
        error = kind.__new__(kind)
        error.args = tuple(args)
    if isinstance(error, ProgramError):
        error._linewise_text = text
        error._linewise_handle = handle
    return error
