"""The child that holds the tests of a split run, and no code of the program: it decides. Standard library only.

What the program's process sends is decoded by a total decoder and never executed. A reply that breaks the protocol, or
none, ends this process without a word about the test in progress, and the parent makes a crash of it.
"""

import builtins
import importlib
import os
import socket
import sys
from time import thread_time
from types import ModuleType
from typing import Any

from linewise.judge.child import MAX_MESSAGE_CHARS, TEST_FILE, Reporter
from linewise.judge.exchange import CHUNK, Channel
from linewise.judge.job import Job
from linewise.judge.peer import TEST_MODULE, Peer
from linewise.judge.proxy import Handle, Unsplittable, is_handle
from linewise.judge.wire import WireError, encode_payload, safe_text


def run_examiner(job: Job, reporter: Reporter, channel_fd: int) -> None:
    """Run the set-up code and the assertions, with a frame for each."""
    peer = Peer(Channel(channel_fd, job.output_bytes + CHUNK))
    namespace = TestNamespace(peer, job.borrowed, job.modules)
    sys.modules[TEST_MODULE] = ModuleType(TEST_MODULE)
    try:
        peer.await_program()
        if job.setup is not None and not run_code(job.setup, namespace, peer, reporter, None):
            return
        reporter.send("loaded")
        for test, code in enumerate(job.tests, start=job.first_test):
            if not run_code(code, namespace, peer, reporter, test):
                return
    except WireError:
        reporter.send("broken")


def run_code(code: Any, namespace: dict[str, Any], peer: Peer, reporter: Reporter, test: int | None) -> bool:
    """Run one test, or the set-up code, and write its frame. Returns whether to go on."""
    reporter.started = thread_time()
    peer.begin(test)
    error: BaseException | None = None
    try:
        exec(code, namespace)
    except BaseException as caught:  # noqa: BLE001  the program may have raised anything
        error = caught
        if isinstance(caught, Unsplittable):
            peer.obstacle = str(caught)
    reporter.started -= peer.program_seconds
    # What the peer remembers comes first: code such as `except BaseException: pass` may have swallowed the exception.
    if peer.fault is not None:
        raise peer.fault
    if peer.obstacle:
        reporter.send("unsplittable", test, message=peer.obstacle)
        return False
    if peer.too_large:
        reporter.send("too_large", test, lines=peer.lines)
    elif error is not None:
        send_error(error, peer, reporter, test)
    elif test is not None:
        reporter.send("held", test, nonce="", lines=peer.lines)
    return not isinstance(error, MemoryError) and (test is not None or error is None)


def send_error(error: BaseException, peer: Peer, reporter: Reporter, test: int | None) -> None:
    """Write the frame that describes what a test raised, itself or on behalf of the program."""
    from_program = error is peer.raised
    kind = "memory" if isinstance(error, MemoryError) else "raised"
    if type(error) is AssertionError and not from_program:
        kind = "failed"
    message = safe_text(str, error)[:MAX_MESSAGE_CHARS]
    line = peer.line if from_program else None
    reporter.send(kind, test, exception=type(error).__name__, line=line, message=message, lines=peer.lines)


class TestNamespace(dict[str, Any]):
    """Globals of the tests. Names that they do not bind themselves are looked up in the program, each time anew.

    Only `borrowed` names are: the program must not replace the builtins and modules that the tests rely on.
    """

    __test__ = False

    def __init__(self, peer: Peer, borrowed: frozenset[str], modules: frozenset[str]) -> None:
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


def warm_up(code: str) -> None:
    """Run a test in the zygote itself, against answers written in advance; the first one would cost each child more."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # one answer at a time can be read
    tests = (compile(code, TEST_FILE, "exec"),) * 2
    job = Job("examiner", 10.0, 3600.0, 3600, 1 << 30, 1 << 16, tests=tests, borrowed=frozenset({"f"}))
    replies: list[dict[str, Any]] = [{"value": {"t": [True, {"h": [0, "f", ""]}]}}]
    replies += [{"value": [1, 2.5]}, {"value": [1, 2.5], "changed": [[0, [1, "b"]]]}] * 2
    null = os.open(os.devnull, os.O_WRONLY)
    with ours, theirs:
        channel = Channel(theirs.fileno(), CHUNK)
        for number, reply in enumerate([{}, *replies]):
            channel.send(encode_payload({"n": number, "cpu": 0.0, **reply}))
        run_examiner(job, Reporter(null, 10.0, 3600.0), ours.fileno())
    os.close(null)
    sys.modules.pop(TEST_MODULE)
