"""The child that holds the program of a split run: it answers what the tests' child asks. Standard library only.

Everything here shares a process with the program, which may answer whatever it likes. It can do no more than that: the
assertions are evaluated elsewhere, by code that it cannot reach, on values that have been decoded.
"""

import copy
import io
import marshal
import math
import operator
import os
import pickle
import socket
import sys
import types
from collections.abc import Callable, Iterator
from functools import partial
from time import thread_time
from typing import Any

from linewise.judge.child import MAX_MESSAGE_CHARS, Reporter, load_program, program_line
from linewise.judge.exchange import MUTABLE, RICH, Channel, contents, survey
from linewise.judge.job import Job
from linewise.judge.wire import MAX_OPAQUE_CHARS, TooLargeError, ValueEncoder, encode_payload, safe_text

OPERATORS = """
    eq ne lt le gt ge add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift iadd isub imul neg pos invert
    index getitem setitem delitem
""".split()  # noqa: SIM905
FUNCTIONS = (
    *(abs, bool, bytes, complex, divmod, float, format, getattr, hash, int, isinstance, issubclass, iter, len, next),
    *(repr, reversed, round, setattr, delattr, str, math.ceil, math.floor, math.trunc, copy.copy, copy.deepcopy),
)
PRIMITIVES: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in OPERATORS},
    **{function.__name__: function for function in FUNCTIONS},
}
"""What the tests' child may ask for besides calls of the program's own objects, taken before the program can patch them."""
UNNAMED = {kind: name for name, kind in vars(types).items() if isinstance(kind, type)}
"""Classes such as that of generators, which the module `types` names."""
MAX_REQUEST_BYTES = 1 << 31
"""The tests are trusted; this only catches a broken stream."""


def run_program(job: Job, reporter: Reporter, channel_fd: int) -> None:
    """Load the program, greet the tests' child, then answer its requests until it ends."""
    namespace = load_program(job, reporter)
    if namespace is not None:
        reporter.end()
        Responder(Channel(channel_fd, MAX_REQUEST_BYTES), namespace, job.output_bytes, reporter).serve()


class Exports:
    """Objects of the program that the tests' child has a handle of. They live as long as the process."""

    def __init__(self) -> None:
        self.objects: list[Any] = []
        self.numbers: dict[int, int] = {}

    def number(self, value: object) -> int:
        """The object's handle; the same one each time, so that `is` means the same on both sides."""
        known = self.numbers.get(id(value))
        if known is None:
            known = self.numbers[id(value)] = len(self.objects)
            self.objects.append(value)
        return known


class ReplyEncoder(ValueEncoder):
    """Encodes what `ValueEncoder` does not: handles, standard types, and arguments of the call that is being answered."""

    def __init__(self, limit: int, exports: Exports, parts: list[Any]) -> None:
        super().__init__(limit)
        self.exports = exports
        self.indices = {id(part): index for index, part in enumerate(parts)}

    def encode(self, value: Any, depth: int = 0) -> Any:
        """The tree of `value`. No method of the program's classes is called."""
        kind = type(value)
        if kind in MUTABLE and id(value) in self.indices:
            self.spend(8)
            return {"m": self.indices[id(value)]}
        rich = RICH.get(kind)
        if rich is not None:
            parts = rich.parts(value)
            if parts is not None:
                self.spend(16)
                return {"p": [kind.__name__, [self.encode(part, depth + 1) for part in parts]]}
        return super().encode(value, depth)

    def encode_contents(self, part: Any) -> Any:
        """The tree of what a mutable argument holds now."""
        inside = contents(part)
        return self.encode(inside) if type(inside) is bytes else [self.encode(item, 1) for item in inside]

    def _opaque(self, value: object) -> Any:
        self.spend(64)
        if isinstance(value, type) and issubclass(value, BaseException):
            return {"x": describe_exception_type(value, self.exports)}
        kind = "c" if isinstance(value, type) else "f" if callable(value) else "o"
        return {"h": [self.exports.number(value), kind, class_name(value) if isinstance(value, type) else ""]}


def class_name(kind: type) -> str:
    """Where the tests' child finds a standard class for itself, as `module:name`; nothing useful for other classes."""
    if kind in UNNAMED:
        return f"types:{UNNAMED[kind]}"
    return safe_text(lambda kind: f"{kind.__module__}:{kind.__qualname__}", kind)[:MAX_OPAQUE_CHARS]


def describe_exception_type(kind: type[BaseException], exports: Exports) -> list[Any]:
    """Handles and names of an exception type and its bases, up to the nearest builtin one, which comes last."""
    chain: list[Any] = []
    for base in kind.__mro__:
        if base.__module__ == "builtins":
            return [chain, base.__name__]
        if issubclass(base, BaseException):
            chain.append([exports.number(base), base.__name__, safe_text(str, base.__module__)])
    return [chain, "Exception"]


class ArgumentUnpickler(pickle.Unpickler):
    """Reads arguments that marshal does not carry: handles become objects again, functions of the tests call back."""

    def __init__(self, data: bytes, responder: "Responder") -> None:
        super().__init__(io.BytesIO(data))
        self.responder = responder

    def persistent_load(self, pid: tuple[str, int]) -> Any:
        """What a reference stands for."""
        kind, number = pid
        if kind == "handle":
            return self.responder.exports.objects[number]
        return self.responder.iterator(number) if kind == "iterator" else self.responder.function(number)


class Responder:
    """Answers requests, one after another; while it waits for a callback it answers others."""

    def __init__(self, channel: Channel, namespace: dict[str, Any], limit: int, reporter: Reporter) -> None:
        self.channel = channel
        self.limit = limit
        self.reporter = reporter
        self.exports = Exports()
        self.test: int | None = None
        self.request = 0
        """Number of the request that is being answered."""
        self.thrown: dict[int, tuple[int, BaseException]] = {}
        """Exceptions that came out of callbacks, by identity: the tests' child has the originals."""
        self.primitives = PRIMITIVES | {"name": lambda name: (name in namespace, namespace.get(name))}

    def serve(self) -> None:
        """Say that the program is loaded, then answer until the tests' child has ended."""
        self.channel.send(encode_payload({"n": 0}))
        while (request := self.channel.receive()) is not None:
            self.answer(marshal.loads(request))

    def answer(self, request: tuple[Any, ...]) -> None:
        """Do what one request says and send the reply."""
        number, test, target, arguments, pickled = request
        if test != self.test:
            self.test = test
            self.reporter.begin()
        outer, self.request = self.request, number
        parts: list[Any] = []
        try:
            function = self.primitives[target] if type(target) is str else self.exports.objects[target]
            args, kwargs = ArgumentUnpickler(pickled, self).load() if pickled else arguments
            parts, _ = survey((*args, *kwargs.values()))
            before = list(map(contents, parts))
            try:
                value = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  the program may raise anything
                self.reply("error", parts, before, partial(self.describe, error))
            else:
                self.reply("value", parts, before, lambda encoder: encoder.encode(value))
        except MemoryError as error:
            self.send({"error": self.describe(error, ReplyEncoder(self.limit, self.exports, []))})
        self.request = outer

    def reply(self, kind: str, parts: list[Any], before: list[Any], encode: Callable[[ReplyEncoder], Any]) -> None:
        """Send a result, and the new contents of those arguments that the call has changed."""
        encoder = ReplyEncoder(self.limit, self.exports, parts)
        try:
            content = {kind: encode(encoder)}
            after = zip(parts, before, strict=True)
            changed = [[i, encoder.encode_contents(part)] for i, (part, old) in enumerate(after) if differs(part, old)]
            if changed:
                content["changed"] = changed
        except TooLargeError:
            content = {"too_large": True}
        self.send(content)

    def send(self, content: dict[str, Any]) -> None:
        """Send a message about the request that is being answered."""
        recorder = self.reporter.recorder
        lines = {} if recorder is None else {"lines": recorder.lines()}
        seconds = thread_time() - self.reporter.started
        self.channel.send(encode_payload({"n": self.request, "cpu": seconds, **lines, **content}))

    def describe(self, error: BaseException, encoder: ReplyEncoder) -> Any:
        """What the tests' child needs to raise the exception again, and what the report says about it."""
        if self.reporter.recorder is not None:
            self.reporter.recorder.note(error.__traceback__)
        thrown, _ = self.thrown.get(id(error), (None, None))
        return {
            "type": describe_exception_type(type(error), self.exports),
            "args": [encoder.encode(argument, 1) for argument in error.args] if type(error.args) is tuple else [],
            "text": safe_text(str, error)[:MAX_MESSAGE_CHARS],
            "line": program_line(error.__traceback__),
            "handle": self.exports.number(error),
            "thrown": thrown,
        }

    def call_back(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the tests and return what it returns; its exceptions are raised here."""
        encoder = ReplyEncoder(self.limit, self.exports, [])
        self.send({"callback": number, "args": encoder.encode(args), "kwargs": encoder.encode(kwargs)})
        while (message := self.channel.receive()) is not None:
            request = marshal.loads(message)
            if request[0] is not None:
                self.answer(request)
                continue
            _, thrown, pickled = request
            value = ArgumentUnpickler(pickled, self).load()
            if thrown is None:
                return value
            self.thrown[id(value)] = (thrown, value)
            raise value
        raise EOFError("the tests' child has ended")

    def function(self, number: int) -> Callable[..., Any]:
        """What stands for a function of the tests."""

        def callback(*args: Any, **kwargs: Any) -> Any:
            return self.call_back(number, args, kwargs)

        return callback

    def iterator(self, number: int) -> Iterator[Any]:
        """What stands for an iterator of the tests."""
        while True:
            try:
                item = self.call_back(number, (), {})
            except StopIteration:
                return
            yield item


def differs(part: Any, before: Any) -> bool:
    """Whether a container holds other objects than it did, or in another order."""
    now = contents(part)
    if type(now) is bytes:
        return bool(now != before)
    return len(now) != len(before) or not all(map(operator.is_, now, before))


def warm_up(source: str, name: str) -> None:
    """Answer a few requests in the zygote itself; the first ones would cost each child more."""
    ours, theirs = socket.socketpair()
    null = os.open(os.devnull, os.O_WRONLY)
    reporter = Reporter(null, 10.0, 3600.0)
    with ours, theirs:
        channel = Channel(theirs.fileno(), MAX_REQUEST_BYTES)
        asked: list[tuple[int | str, tuple[Any, ...]]] = [("name", (name,)), (0, (2,)), (0, (2,)), ("len", ([2],))]
        for number, (target, args) in enumerate(asked, start=1):
            channel.send(marshal.dumps((number, 0, target, (args, {}), None)))
        theirs.shutdown(socket.SHUT_WR)
        job = Job("program", 10.0, 3600.0, 3600, 1 << 30, 1 << 16, source=source)
        run_program(job, reporter, ours.fileno())
    reporter.end()
    os.close(null)
    sys.modules.pop("program")
