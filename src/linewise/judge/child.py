"""What a forked child does: load one program, run its tests, write one frame for each. Standard library only.

Everything here shares a process with the program, which may read and change it. So nothing here decides: call tests
send their values, scripts their output, and the parent compares. Line, exception and message are advisory. Only
assertions claim to have passed, and `Trust.IN_PROCESS` says so.
"""

import atexit
import ctypes
import gc
import marshal
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from resource import RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_NPROC, setrlimit
from time import process_time, thread_time
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any, NoReturn

from linewise.judge.coverage import Recorder, new_recorder
from linewise.judge.job import Job
from linewise.judge.wire import HEADER, TooLargeError, Tree, ValueEncoder, encode_frame, safe_text

PROGRAM_FILE, SETUP_FILE, TEST_FILE = "<program>", "<setup>", "<test>"
"""File names of the code objects; tracebacks are sorted by them."""
MAX_MESSAGE_CHARS = 300
MAX_FILE_BYTES = 16 << 20
MAX_OPEN_FILES = 64
REQUEST_CHUNK = 1 << 14
"""Most requests can be read at once."""
BEGUN = encode_frame({"kind": "begun"})
PR_SET_PDEATHSIG = 1
PRCTL = ctypes.CDLL(None).prctl
ROLES: dict[str, Callable[[Job, "Reporter", int], None]] = {}
"""What else a child can be, by the job's `role`, given the descriptor that came with it; see `program` and `examiner`."""


def serve(
    result_fd: int, extra_fd: int | None, held_bytes: int, max_processes: int, isolate: Callable[[], None]
) -> NoReturn:
    """Run the job that waits on `result_fd` and end the process, whatever happens. The exit status means nothing.

    `extra_fd` is a script's output or the channel of a role. `isolate` restricts this process; what comes after it can do
    no more than the program.
    """
    try:
        os.setsid()
        PRCTL(PR_SET_PDEATHSIG, 9)
        job = read_job(result_fd)
        limit_resources(job, held_bytes, max_processes)
        if extra_fd is not None and job.role not in ROLES:
            redirect(job.stdin, extra_fd)
        isolate()
        gc.enable()
        run_job(job, result_fd, extra_fd)
    finally:
        os._exit(0)


def read_job(result_fd: int) -> Job:
    """The parent's request, a frame with a header of four bytes. That side is trusted, so marshal is safe this way."""
    data = os.read(result_fd, REQUEST_CHUNK)
    (length,) = HEADER.unpack_from(data)
    while len(data) < 4 + length:
        more = os.read(result_fd, 4 + length - len(data))
        if not more:
            raise EOFError("the parent went away")
        data += more
    return Job._make(marshal.loads(data[4:]))


def limit_resources(job: Job, held_bytes: int, max_processes: int) -> None:
    """Set the limits that the kernel enforces beside those of the zygote; the parent's clock is before RLIMIT_CPU."""
    space, seconds = held_bytes + job.memory_bytes, job.max_cpu_seconds
    setrlimit(RLIMIT_AS, (space, space))
    setrlimit(RLIMIT_CPU, (seconds, seconds))
    setrlimit(RLIMIT_NPROC, (max_processes, max_processes))


def limit_zygote() -> None:
    """Set those limits that are the same for every child in the zygote, which keeps far from them; they are inherited."""
    setrlimit(RLIMIT_FSIZE, (MAX_FILE_BYTES, MAX_FILE_BYTES))
    setrlimit(RLIMIT_NOFILE, (MAX_OPEN_FILES, MAX_OPEN_FILES))
    setrlimit(RLIMIT_CORE, (0, 0))


def run_job(job: Job, result_fd: int, extra_fd: int | None) -> None:
    """Run the job, writing frames to `result_fd`."""
    reporter = Alarm.reporter = Reporter(result_fd, job.cpu_seconds, job.total_cpu_seconds)
    os.write(result_fd, BEGUN)
    if job.record_lines:
        reporter.recorder = new_recorder()
    if extra_fd is None:
        run_tests(job, reporter)
    elif job.role in ROLES:
        ROLES[job.role](job, reporter, extra_fd)
    else:
        run_script(job, reporter)


class Reporter:
    """Writes frames and knows when the test in progress began."""

    def __init__(self, fd: int, cpu_seconds: float, total_cpu_seconds: float) -> None:
        self.fd = fd
        self.cpu_seconds = cpu_seconds
        self.total_cpu_seconds = total_cpu_seconds
        self.started = 0.0
        self.recorder: Recorder | None = None
        """Tells which lines ran, if the job asks for them; every frame then carries them."""

    def begin(self) -> None:
        """Start the clock of a test. At its CPU limit the line is reported; the parent does the killing."""
        if self.recorder is not None:
            self.recorder.restart()
        self.started = thread_time()
        left = max(self.total_cpu_seconds - process_time(), 1e-6)  # 0 would stop the timer
        signal.setitimer(signal.ITIMER_PROF, min(self.cpu_seconds, left))

    def end(self) -> None:
        """Stop the clock."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def send(self, kind: str, test: int | None = None, **fields: Tree) -> None:
        """Write one frame."""
        content: dict[str, Tree] = {"kind": kind, "test": test, "cpu": thread_time() - self.started, **fields}
        if self.recorder is not None:
            content["lines"] = self.recorder.lines()
        frame = encode_frame(content)
        while frame:
            frame = frame[os.write(self.fd, frame) :]

    def send_error(self, error: BaseException, test: int | None) -> None:
        """Write the frame that describes an exception of the program."""
        if self.recorder is not None:
            self.recorder.note(error.__traceback__)
        kind = "memory" if isinstance(error, MemoryError) else "raised"
        if type(error) is AssertionError and raised_by_test(error.__traceback__):
            kind = "failed"
        message = safe_text(str, error)[:MAX_MESSAGE_CHARS]
        line = program_line(error.__traceback__, recursion=isinstance(error, RecursionError))
        self.send(kind, test, exception=type(error).__name__, line=line, message=message)


class Alarm:
    """Reports the line at the CPU limit. The zygote installs its handler: in a child that costs 50 page faults."""

    reporter: Reporter | None = None

    @classmethod
    def strike(cls, _signum: int, frame: FrameType | None) -> None:
        """Handle SIGPROF."""
        if cls.reporter is not None and cls.reporter.recorder is not None:
            cls.reporter.recorder.note(frame)
        while frame is not None and frame.f_code.co_filename != PROGRAM_FILE:
            frame = frame.f_back
        if cls.reporter is not None:
            cls.reporter.send("struck", line=frame.f_lineno if frame is not None else None)


def program_line(traceback: TracebackType | None, *, recursion: bool = False) -> int | None:
    """Line of the deepest frame that lies in the program; of a recursion, the line on which most frames stand.

    The recursion limit strikes wherever the deepest frame happens to be, often in a helper that is not at fault.
    """
    times: dict[int, int] = {}
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == PROGRAM_FILE:
            line = traceback.tb_lineno
            times[line] = times.get(line, 0) + 1
        traceback = traceback.tb_next
    return max(times, key=times.__getitem__) if recursion and times else line


def raised_by_test(traceback: TracebackType | None) -> bool:
    """Whether the deepest frame of ours lies in a test or in the set-up code, not in the program."""
    deepest = None
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        deepest = name if name in (PROGRAM_FILE, SETUP_FILE, TEST_FILE) else deepest
        traceback = traceback.tb_next
    return deepest in (SETUP_FILE, TEST_FILE)


def compile_program(source: str, reporter: Reporter) -> CodeType | None:
    """The program's code; None, and a frame, where it does not compile. Nothing of the program has run by then."""
    try:
        if reporter.recorder is not None:
            return reporter.recorder.compile(source, PROGRAM_FILE)
        return compile(source, PROGRAM_FILE, "exec", dont_inherit=True)
    except BaseException as error:  # noqa: BLE001  null bytes, lone surrogates, nesting: each raises another type
        reporter.send("syntax", None, **describe_syntax(error, source))
        return None


def new_module(name: str) -> dict[str, Any]:
    """The namespace of a fresh module that is registered under `name`, as dataclasses and pickle demand."""
    module = sys.modules[name] = ModuleType(name)
    return module.__dict__


def describe_syntax(error: BaseException, source: str) -> dict[str, Tree]:
    """Exception, line and message of a program that does not compile."""
    name, line, message = "SyntaxError", None, safe_text(str, error)
    if isinstance(error, SyntaxError):
        name, line, message = type(error).__name__, error.lineno, str(error.msg)
    if line is None and "\0" in source:
        line = source.count("\n", 0, source.index("\0")) + 1
    return {"exception": name, "line": line, "message": (message or type(error).__name__)[:MAX_MESSAGE_CHARS]}


def load_program(job: Job, reporter: Reporter) -> dict[str, Any] | None:
    """Run the program and the set-up code. Returns their namespace; None, and a frame, where that failed."""
    reporter.begin()
    code = compile_program(job.source, reporter)
    if code is None:
        return None
    namespace = new_module("program")
    try:
        exec(code, namespace)
        if job.setup is not None:
            exec(job.setup, namespace)
    except BaseException as error:  # noqa: BLE001  the program may raise anything
        reporter.end()
        reporter.send_error(error, None)
        return None
    reporter.send("loaded")
    return namespace


def run_tests(job: Job, reporter: Reporter) -> None:
    """Run call tests and assertions, each with a frame of its own."""
    namespace = load_program(job, reporter)
    if namespace is None:
        return
    for test, (is_call, code) in enumerate(job.tests, start=job.first_test):
        reporter.begin()
        try:
            value = eval(code, namespace)
            reporter.end()
            if is_call:
                send_value(value, test, job.output_bytes, reporter)
            else:
                reporter.send("held", test, nonce=job.nonce)
        except BaseException as error:  # noqa: BLE001  the program may raise anything
            reporter.end()
            reporter.send_error(error, test)
            if isinstance(error, MemoryError):
                return


def send_value(value: object, test: int, limit: int, reporter: Reporter) -> None:
    """Write the frame that holds what a call returned."""
    try:
        reporter.send("value", test, value=ValueEncoder(limit).encode(value))
    except TooLargeError:
        reporter.send("too_large", test)


def warm_up(source: str, calls: list[str]) -> None:
    """Run a program once in the zygote itself: the first compile, exception and frame cost a millisecond otherwise."""
    tests = tuple((True, compile(call, TEST_FILE, "eval")) for call in calls)
    job = Job("tests", 10.0, 3600.0, 3600, 1 << 30, 1 << 16, source=source, tests=tests)
    payload = marshal.dumps(tuple(job))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(HEADER.pack(len(payload)) + payload)
        job = read_job(theirs.fileno())
    fd = os.open(os.devnull, os.O_WRONLY)
    reporter = Reporter(fd, 10.0, 3600.0)
    run_tests(job, reporter)
    reporter.recorder = new_recorder()
    run_tests(job, reporter)
    reporter.recorder.close()
    os.close(fd)
    sys.modules.pop("program")
    signal.signal(signal.SIGPROF, Alarm.strike)
    PRCTL(PR_SET_PDEATHSIG, signal.SIGTERM)


# -------------------------------------------------------------------------------------------------------------- scripts


def redirect(text: bytes, output_fd: int) -> None:
    """Put `text` on standard input, as a file would be, and `output_fd` on standard output."""
    input_fd = os.memfd_create("stdin")
    with open(input_fd, "wb", closefd=False) as file:
        file.write(text)
    os.lseek(input_fd, 0, os.SEEK_SET)
    os.dup2(input_fd, 0)
    os.dup2(output_fd, 1)
    os.close(input_fd)
    os.close(output_fd)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  they stay open
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def run_script(job: Job, reporter: Reporter) -> None:
    """Run the program as `__main__` and end it as the interpreter would: threads, exit handlers, flush."""
    reporter.begin()
    code = compile_program(job.source, reporter)
    if code is None:
        return
    reporter.send("loaded")
    try:
        with suppress(SystemExit):
            exec(code, new_module("__main__"))
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001  the program may raise anything
        reporter.end()
        reporter.send_error(error, job.first_test)
        return
    reporter.end()
    reporter.send("ended", job.first_test)
