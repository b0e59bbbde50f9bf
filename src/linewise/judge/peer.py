"""The program's process as the tests' process sees it: requests, replies, calls back. Standard library only."""

import io
import marshal
import os
import pickle
from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from operator import methodcaller
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any, NoReturn

from linewise.judge.exchange import SCALARS, Channel, refill, survey
from linewise.judge.proxy import ProgramError, Unsplittable, is_handle, make_exception
from linewise.judge.replies import Decoder, Incomparable
from linewise.judge.wire import WireError, decode_payload

TEST_MODULE = "tests"
"""Name of the module that the set-up code and the tests run in."""
MAX_CLAIMED_SECONDS = 3600.0
MAX_LINES_CHARS = 4096
"""Longer claims of executed lines are dropped: they would break the frame that they are passed on in."""


class Peer:
    """The program's process as this one sees it."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.decoder = Decoder(self)
        self.number = 0
        self.callables: list[Any] = []
        """Functions and iterators of the tests that the program may call, because it was given them."""
        self.thrown: list[BaseException] = []
        """What those have raised."""
        self.fault: WireError | None = None
        self.begin(None)

    def begin(self, test: int | None) -> None:
        """Forget what the test before has left."""
        self.test = test
        self.raised: BaseException | None = None
        self.line: int | None = None
        self.lines: str | None = None
        """Lines of the program that have run for the test, as its process tells them; None where it tells none."""
        self.obstacle = ""
        self.too_large = False
        self.program_seconds = 0.0

    def await_program(self) -> None:
        """Return when the program is loaded."""
        if self._receive().get("n") != 0:
            raise WireError("no greeting")

    def ask(self, target: int | str, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> Any:
        """Have the program's process call a handle or a primitive. Raises what that raises."""
        if self.fault is not None:
            raise self.fault
        arguments = args, kwargs or {}
        parts, plain = survey((*args, *arguments[1].values()))
        if self.channel.buffer:
            self._break("the program spoke out of turn")
        self.number += 1
        number = self.number
        pickled = None if plain else self._pickled(arguments)
        self._send((number, self.test, target, arguments if plain else None, pickled))
        while True:
            reply = self._receive()
            if type(reply.get("n")) is not int or reply["n"] != number:
                self._break("an answer to another question")
            seconds, lines = reply.get("cpu"), reply.get("lines")
            if "callback" not in reply:
                break
            self._call_back(reply)
        if type(seconds) is float and 0 <= seconds <= MAX_CLAIMED_SECONDS:
            self.program_seconds = seconds
        self.lines = lines if type(lines) is str and len(lines) <= MAX_LINES_CHARS else None
        try:
            return self._result(reply, parts)
        except WireError as fault:
            self.fault = fault
            raise

    def _result(self, reply: dict[str, Any], parts: list[Any]) -> Any:
        """What a reply says, once the arguments that the call has changed are changed here too."""
        if "too_large" in reply:
            self.too_large = True
            raise ValueError("the returned value is larger than the output limit")
        decode = self.decoder.decode
        changed = reply.get("changed", [])
        if type(changed) is not list:
            raise WireError("wrong changes")
        refills = [(self.decoder.part(entry, parts), decode(entry[1], parts)) for entry in changed]
        for part, inside in refills:
            refill(part, inside)
        if "value" in reply:
            return decode(reply["value"], parts)
        raise self._exception(reply.get("error"), parts)

    def _exception(self, error: Any, parts: list[Any]) -> BaseException:
        if type(error) is not dict or type(error.get("args")) is not list or type(error.get("text")) is not str:
            raise WireError("wrong description of an exception")
        thrown, line = error.get("thrown"), error.get("line")
        if type(thrown) is int and 0 <= thrown < len(self.thrown):
            return self.thrown[thrown]
        kind = self.decoder.exception_type(error.get("type"))
        handle = self.decoder.handle([error.get("handle"), "o", ""])
        args = [self.decoder.decode(argument, parts) for argument in error["args"]]
        self.line = line if type(line) is int else None
        self.raised = make_exception(kind, args, error["text"], handle)
        return self.raised

    def _call_back(self, reply: dict[str, Any]) -> None:
        """Call a function that the tests handed to the program, and tell it the result."""
        try:
            number = reply["callback"]
            args, kwargs = self.decoder.decode(reply.get("args"), []), self.decoder.decode(reply.get("kwargs"), [])
            known = type(number) is int and 0 <= number < len(self.callables)
            if not known or type(args) is not tuple or type(kwargs) is not dict or set(map(type, kwargs)) - {str}:
                raise WireError("a call of nothing")
        except WireError as fault:
            self.fault = fault
            raise
        try:
            value, thrown = self.callables[number](*args, **kwargs), None
        except BaseException as error:
            if self.fault is not None or isinstance(error, Unsplittable):
                raise
            thrown = len(self.thrown)
            self.thrown.append(error)
            value = sendable_exception(error)
        self._send((None, thrown, self._pickled(value)))

    def _pickled(self, value: Any) -> bytes:
        file = io.BytesIO()
        try:
            ArgumentPickler(file, self).dump(value)
        except Unsplittable as obstacle:
            self.obstacle = str(obstacle)
            raise
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            self.obstacle = f"a test hands an object to the program that cannot leave its process ({error})"
            raise Unsplittable(self.obstacle) from error
        return file.getvalue()

    def _send(self, message: tuple[Any, ...]) -> None:
        try:
            self.channel.send(marshal.dumps(message))
        except OSError:
            os._exit(0)  # the program has ended; no test may catch that

    def _receive(self) -> dict[str, Any]:
        try:
            payload = self.channel.receive()
            if payload is not None:
                return decode_payload(payload)
        except OSError:
            pass
        except WireError as fault:
            self.fault = fault
            raise
        os._exit(0)

    def _break(self, reason: str) -> NoReturn:
        self.fault = WireError(reason)
        raise self.fault


class ArgumentPickler(pickle.Pickler):
    """Writes arguments that marshal does not carry, with references in place of what stays here or lives there."""

    def __init__(self, file: io.BytesIO, peer: Peer) -> None:
        super().__init__(file)
        self.peer = peer

    def persistent_id(self, value: Any) -> tuple[str, int] | None:
        """The reference that stands for `value`; None for what is sent as it is."""
        kind = type(value)
        if kind in SCALARS or kind in (list, tuple, dict, set):
            return None
        if kind is Incomparable:
            self.peer.too_large = True  # it came from the program, so this is no fault of the tests
            raise ValueError(f"the program handed over {value}, which cannot be handed back")
        if is_handle(value):
            return "handle", value._linewise_number
        if isinstance(value, type) and value in self.peer.decoder.exceptions.numbers:
            return "handle", self.peer.decoder.exceptions.numbers[value]
        if isinstance(value, ProgramError) and "_linewise_handle" in vars(value):
            return "handle", value._linewise_handle._linewise_number
        if stays_here(value):
            return "function", self._number(value)
        if isinstance(value, Iterator):
            return "iterator", self._number(value.__next__)
        if (value if isinstance(value, type) else kind).__module__ == TEST_MODULE:
            raise Unsplittable("a test hands a class of its own, or an instance of it, to the program")
        return None

    def reducer_override(self, value: Any) -> Any:
        """How views of dictionaries are made again; everything else goes as usual."""
        if isinstance(value, KeysView):
            return methodcaller("keys"), (dict.fromkeys(value),)
        if isinstance(value, ValuesView):
            return methodcaller("values"), (dict(enumerate(value)),)
        return (methodcaller("items"), (dict(value),)) if isinstance(value, ItemsView) else NotImplemented

    def _number(self, function: Callable[..., Any]) -> int:
        self.peer.callables.append(function)
        return len(self.peer.callables) - 1


def stays_here(value: Any) -> bool:
    """Whether a function belongs to the tests, so that the program must call back. Standard functions go by name."""
    if isinstance(value, FunctionType):
        return value.__module__ == TEST_MODULE or "<" in value.__qualname__
    if isinstance(value, BuiltinMethodType):
        return not isinstance(value.__self__, ModuleType | None)
    return isinstance(value, MethodType)


def sendable_exception(error: BaseException) -> BaseException:
    """The same exception, or one of its nearest builtin type where the program could not know its type."""
    kind: Any = next(base for base in type(error).__mro__ if base.__module__ == "builtins")
    made: BaseException = kind.__new__(kind)
    made.args = tuple(argument for argument in error.args if type(argument) in SCALARS)
    return made
