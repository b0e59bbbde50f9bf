"""The child that holds the tests of a split run, and no code of the program: it decides. Standard library only.

What the program's process sends is decoded by a total decoder and never executed. A reply that breaks the protocol, or
none, ends this process without a word about the test in progress, and the parent makes a crash of it.
"""

import builtins
import importlib
import io
import marshal
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from time import thread_time
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any, NoReturn

from linewise.judge.child import MAX_MESSAGE_CHARS, ROLES, Reporter
from linewise.judge.exchange import CHUNK, RICH_BY_NAME, SCALARS, Channel, refill, survey
from linewise.judge.proxy import (
    KINDS,
    ExceptionTypes,
    Handle,
    ProgramError,
    Unsplittable,
    is_handle,
    make_exception,
)
from linewise.judge.wire import MAX_DEPTH, Opaque, WireError, decode_payload, decode_value, safe_text

TEST_MODULE = "tests"
"""Name of the module that the set-up code and the tests run in."""
MAX_CLAIMED_SECONDS = 3600.0


def run_examiner(job: dict[str, Any], reporter: Reporter, channel_fd: int) -> None:
    """Run the set-up code and the assertions, with a frame for each."""
    peer = Peer(Channel(channel_fd, job["output_bytes"] + CHUNK), reporter)
    namespace = TestNamespace(peer, job["borrowed"], job["modules"])
    sys.modules[TEST_MODULE] = ModuleType(TEST_MODULE)
    try:
        peer.await_program()
        if job["setup"] is not None and not run_code(job["setup"], namespace, peer, reporter, None):
            return
        reporter.send("loaded")
        for test, code in enumerate(job["tests"], start=job["first_test"]):
            if not run_code(code, namespace, peer, reporter, test):
                return
    except WireError:
        reporter.send("broken")


ROLES["examiner"] = run_examiner


def run_code(
    code: Any, namespace: dict[str, Any], peer: "Peer", reporter: Reporter, test: int | None
) -> bool:
    """Run one test, or the set-up code, and write its frame. Returns whether to go on."""
    reporter.started = thread_time()
    peer.begin(test)
    error: BaseException | None = None
    try:
        exec(code, namespace)
    except BaseException as caught:  # noqa: BLE001  the program may have raised anything
        error = caught
    reporter.started -= peer.program_seconds
    # What the peer remembers comes first: code such as `except BaseException: pass` may have swallowed the exception.
    if peer.fault is not None:
        raise peer.fault
    if peer.obstacle:
        reporter.send("unsplittable", test, message=peer.obstacle)
        return False
    if peer.too_large:
        reporter.send("too_large", test)
    elif error is not None:
        send_error(error, peer, reporter, test)
    elif test is not None:
        reporter.send("held", test, nonce="")
    return not isinstance(error, MemoryError) and (test is not None or error is None)


def send_error(error: BaseException, peer: "Peer", reporter: Reporter, test: int | None) -> None:
    """Write the frame that describes what a test raised, itself or on behalf of the program."""
    from_program = error is peer.raised
    kind = "memory" if isinstance(error, MemoryError) else "raised"
    if type(error) is AssertionError and not from_program:
        kind = "failed"
    message = safe_text(str, error)[:MAX_MESSAGE_CHARS]
    line = peer.line if from_program else None
    reporter.send(kind, test, exception=type(error).__name__, line=line, message=message)


class TestNamespace(dict[str, Any]):
    """Globals of the tests. Names that they do not bind themselves are looked up in the program, each time anew.

    Only `borrowed` names are: the program must not replace the builtins and modules that the tests rely on.
    """

    __test__ = False

    def __init__(self, peer: "Peer", borrowed: frozenset[str], modules: frozenset[str]) -> None:
        super().__init__(__name__=TEST_MODULE, __builtins__=builtins)
        self.peer = peer
        self.borrowed = borrowed
        self.modules = modules

    def __missing__(self, name: str) -> Any:
        if name in self.borrowed:
            found = self.peer.ask("name", (name,))
            if type(found) is tuple and len(found) == 2 and found[0] is True:
                if type(found[1]) is not Handle and is_handle(found[1]):
                    self[name] = found[1]  # a function or class; other values may change
                return found[1]
        elif name in self.modules:
            module = self[name] = importlib.import_module(name)
            return module
        raise KeyError(name)


class Peer:
    """The program's process as this one sees it."""

    def __init__(self, channel: Channel, reporter: Reporter) -> None:
        self.channel = channel
        self.reporter = reporter
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
        arguments = [args, kwargs or {}]
        parts, plain = survey(arguments)
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
            seconds = reply.get("cpu")
            if "callback" not in reply:
                break
            self._call_back(reply)
        if type(seconds) is float and 0 <= seconds <= MAX_CLAIMED_SECONDS:
            self.program_seconds = seconds
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
        except BaseException as error:  # noqa: BLE001  it belongs to the program's caller
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


class Incomparable:
    """A value nested too deeply, or an integer with too many digits; it equals nothing but itself."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Decoder:
    """Turns replies into values. Raises `WireError` for what no honest child writes."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
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
                return {key: value for key, value in map(_pair, items)}
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
            self.handles[key] = (kind == "c" and standard_class(name)) or KINDS[kind](self.peer, number)
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
    kind = next(base for base in type(error).__mro__ if base.__module__ == "builtins")
    made = kind.__new__(kind)
    made.args = tuple(argument for argument in error.args if type(argument) in SCALARS)
    assert isinstance(made, BaseException)
    return made
