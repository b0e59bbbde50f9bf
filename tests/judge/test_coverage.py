"""Which lines ran: the recorders alone, against the interpreter's own tracing, and through the judge."""

import builtins
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import CodeType, FrameType, SimpleNamespace
from typing import Any

import pytest

from linewise.judge import LocalJudge
from linewise.judge.coverage import (
    MAX_LINES,
    BlockRecorder,
    MonitoringRecorder,
    Recorder,
    decode_lines,
    encode_lines,
    new_recorder,
)
from linewise.types import AssertTest, CallTest, Limits, Outcome, StdinTest, Task, TestCase, Trust, Verdict

FILE = "<program>"
PROGRAMS = dict(part.split("\n", 1) for part in Path(__file__).with_name("programs.txt").read_text().split("### ")[1:])
"""Small programs by name, at least one for each kind of statement."""
LIMITS = Limits(cpu_seconds=0.15, total_cpu_seconds=1.0)


@pytest.fixture
def recorder() -> Iterator[BlockRecorder]:
    recorder = BlockRecorder()
    yield recorder
    recorder.close()


def run(code: CodeType, namespace: dict[str, Any]) -> BaseException | None:
    try:
        exec(code, namespace)
    except Exception as error:  # noqa: BLE001  the program's own
        return error
    return None


def recorded(recorder: Recorder, source: str) -> set[int]:
    code = recorder.compile(source, FILE)
    recorder.restart()
    error = run(code, {"__name__": "program"})
    if error is not None:
        recorder.note(error.__traceback__)
    lines = decode_lines(recorder.lines(), source.count("\n") + 1)
    assert lines is not None
    return set(lines)


def traced(source: str) -> set[int]:
    """The lines that the interpreter's own tracing tells."""
    lines: set[int] = set()

    def trace(frame: FrameType, event: str, _value: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename != FILE:
            return None
        if event == "line":
            lines.add(frame.f_lineno)
        return trace

    code = compile(source, FILE, "exec", dont_inherit=True)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run(code, {"__name__": "program"})
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize("name", PROGRAMS)
def test_blocks_agree_with_the_interpreters_own_tracing(recorder: BlockRecorder, name: str) -> None:
    assert recorded(recorder, PROGRAMS[name]) == traced(PROGRAMS[name]) - {0}


def test_hand_worked_lines(recorder: BlockRecorder) -> None:
    assert recorded(recorder, PROGRAMS["branches"]) == {1, 2, 4, 5, 10, 11}
    assert recorded(recorder, PROGRAMS["raises at once"]) == {1, 2, 3, 7}
    assert recorded(recorder, PROGRAMS["caught"]) == {1, 2, 3, 5, 6, 7, 9, 11, 12, 18, 19, 20}


def test_a_statement_counts_with_all_of_its_lines(recorder: BlockRecorder) -> None:
    source = "x = [\n    1,\n\n    2,\n]\nif (x and\n        not x):\n    y = 1\ndef f(\n    a=1,\n):\n    return a\n"
    assert recorded(recorder, source) == {1, 2, 3, 4, 5, 6, 7, 9, 10}


@pytest.mark.parametrize("name", PROGRAMS)
def test_instrumented_programs_do_what_they_did(recorder: BlockRecorder, name: str) -> None:
    plain: dict[str, Any] = {"__name__": "program"}
    marked: dict[str, Any] = {"__name__": "program"}
    errors = [
        run(compile(PROGRAMS[name], FILE, "exec", dont_inherit=True), plain),
        run(recorder.compile(PROGRAMS[name], FILE), marked),
    ]
    assert [described(error) for error in errors[:1]] == [described(error) for error in errors[1:]]
    assert list(plain) == list(marked)
    for key, value in plain.items():
        other = marked[key]
        if inspect.isfunction(value) or inspect.isclass(value):
            assert (value.__doc__, value.__name__, list(vars(value))) == (
                other.__doc__,
                other.__name__,
                list(vars(other)),
            )
        if isinstance(value, int | str | list | dict | tuple) and key != "__builtins__":
            assert value == other


def described(error: BaseException | None) -> object:
    """Type, text and traceback of an exception."""
    if error is None:
        return None
    frames, traceback = [], error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == FILE:
            frames.append((traceback.tb_frame.f_code.co_name, traceback.tb_lineno))
        traceback = traceback.tb_next
    return type(error), str(error), frames


def test_a_restart_forgets_and_the_time_limit_bounds_a_block(recorder: BlockRecorder) -> None:
    source = "import sys\ndef f(look):\n    a = 1\n    look()\n    b = 2\n    c = 3\n    return a\n"
    namespace: dict[str, Any] = {}
    exec(recorder.compile(source, FILE), namespace)
    seen: list[frozenset[int] | None] = []

    def look() -> None:
        recorder.note(sys._getframe())
        seen.append(decode_lines(recorder.lines(), 9))

    recorder.restart()
    namespace["f"](look)
    assert seen == [frozenset({3, 4})]
    recorder.restart()
    namespace["f"](list)
    assert decode_lines(recorder.lines(), 9) == {3, 4, 5, 6, 7}
    recorder.restart()
    assert decode_lines(recorder.lines(), 9) == frozenset()


def test_a_program_that_cannot_be_instrumented_runs_all_the_same(recorder: BlockRecorder) -> None:
    source = "x = 0\nif x == 0: y = 0\n" + "".join(f"elif x == {n}: y = {n}\n" for n in range(1, 900))
    namespace: dict[str, Any] = {}
    recorder.restart()
    exec(recorder.compile(source, FILE), namespace)
    assert namespace["y"] == 0
    assert recorder.lines() is None


def test_syntax_errors_are_those_of_the_compiler(recorder: BlockRecorder) -> None:
    for source in ("def f(n)\n    return n", "return 5", "x = '\0'", "def f():\n    nonlocal x", "x = '\ud800'"):
        with pytest.raises((SyntaxError, ValueError)) as plain:
            compile(source, FILE, "exec", dont_inherit=True)
        with pytest.raises(plain.type) as ours:
            recorder.compile(source, FILE)
        assert str(ours.value) == str(plain.value)


def test_the_recorder_of_this_interpreter_leaves_nothing_behind() -> None:
    names = set(vars(builtins))
    recorder = new_recorder()
    assert isinstance(recorder, MonitoringRecorder if sys.version_info >= (3, 12) else BlockRecorder)
    recorded(recorder, "x = 1")
    recorder.close()
    assert set(vars(builtins)) == names
    new_recorder().close()  # its place is free again


# ----------------------------------------------------------------------------------------------------------- monitoring


class FakeMonitoring:
    """What `MonitoringRecorder` uses of `sys.monitoring`, for interpreters without it: tells lines by `settrace`."""

    DISABLE = object()
    events = SimpleNamespace(LINE=32)

    def __init__(self) -> None:
        self.callback: Callable[[CodeType, int], object] | None = None
        self.watched: list[CodeType] = []
        self.disabled: set[tuple[CodeType, int]] = set()
        self.calls = 0

    def use_tool_id(self, _tool: int, _name: str) -> None: ...

    def free_tool_id(self, _tool: int) -> None: ...

    def register_callback(self, _tool: int, _event: int, callback: Callable[[CodeType, int], object] | None) -> None:
        self.callback = callback

    def set_local_events(self, _tool: int, code: CodeType, _events: int) -> None:
        self.watched.append(code)

    def restart_events(self) -> None:
        self.disabled.clear()

    def trace(self, frame: FrameType, event: str, _value: object) -> Any:
        place = (frame.f_code, frame.f_lineno)
        if event == "line" and frame.f_code in self.watched and place not in self.disabled and self.callback:
            self.calls += 1
            if self.callback(*place) is self.DISABLE:
                self.disabled.add(place)
        return self.trace


def test_the_monitoring_recorder_hears_each_line_once_in_each_step() -> None:
    fake = FakeMonitoring()
    recorder = MonitoringRecorder(fake)
    namespace: dict[str, Any] = {}
    code = recorder.compile("def f(n):\n    for i in range(n):\n        x = [\n            i]\n    return n\n", FILE)
    before = sys.gettrace()
    sys.settrace(fake.trace)
    try:
        recorder.restart()
        exec(code, namespace)
        assert decode_lines(recorder.lines(), 5) == {1}
        for _ in range(2):
            recorder.restart()
            fake.calls = 0
            namespace["f"](50)
            assert decode_lines(recorder.lines(), 5) == {2, 3, 4, 5}
            assert fake.calls == 4
    finally:
        sys.settrace(before)
    recorder.close()
    assert fake.callback is None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with CPython 3.12")
@pytest.mark.parametrize("name", PROGRAMS)
def test_monitoring_agrees_with_the_interpreters_own_tracing(name: str) -> None:
    recorder = new_recorder()
    try:
        assert recorded(recorder, PROGRAMS[name]) == traced(PROGRAMS[name]) - {0}
    finally:
        recorder.close()


# ---------------------------------------------------------------------------------------------------------------- lines


def test_lines_travel_as_digits() -> None:
    assert encode_lines(1 << 1 | 1 << 5) == "22"
    assert decode_lines("22", 5) == {1, 5}
    assert decode_lines("22", 4) == {1}
    assert decode_lines(encode_lines((1 << 20_000) - 1), 20_000) == frozenset(range(1, MAX_LINES + 1))


@pytest.mark.parametrize(
    "text", [None, 7, "", "-2", "x", "0x", ["22"], {"22": 1}, "f" * (MAX_LINES // 4 + 2), "\ud800"]
)
def test_what_is_no_set_of_lines_is_unknown(text: object) -> None:
    assert decode_lines(text, 10) is None


# ------------------------------------------------------------------------------------------------------------ the judge


def task_of(*tests: TestCase) -> Task:
    return Task(id="t", prompt="", tests=tests, limits=LIMITS)


def lines_of(outcomes: tuple[Outcome, ...]) -> list[set[int] | None]:
    return [None if outcome.executed_lines is None else set(outcome.executed_lines) for outcome in outcomes]


CALLS = task_of(*(CallTest(call=f"f({n})", expected="1") for n in range(4)))
PROGRAM = """\
import math
def f(n):
    if n == 0:
        return 1
    if n == 1:
        n = 1 // 0
        n = 5
    while n == 2:
        math.sqrt(2)
    return 2
"""


def test_each_test_tells_its_lines(recording: LocalJudge) -> None:
    report = recording.run(CALLS, PROGRAM)
    assert [outcome.verdict for outcome in report.outcomes] == [
        Verdict.PASSED,
        Verdict.RUNTIME_ERROR,
        Verdict.TIMEOUT,
        Verdict.FAILED,
    ]
    assert lines_of(report.outcomes) == [
        {3, 4},
        {3, 5, 6},
        {3, 5, 8, 9},
        {3, 5, 8, 10},
    ]
    assert report.executed_lines == {1, 2, 3, 4, 5, 6, 8, 9, 10}


def test_lines_are_unknown_unless_they_are_asked_for(judge: LocalJudge) -> None:
    report = judge.run(CALLS, PROGRAM)
    assert report.executed_lines is None
    assert lines_of(report.outcomes) == [None] * 4


def test_lines_of_assertions_and_scripts() -> None:
    program = "import sys\ndef f(n):\n    if n:\n        return 1\n    return 0\n"
    program += "if __name__ == '__main__':\n    x = f(int(input()))\n    sys.exit(print(x))\n    y = 1\n"
    task = task_of(AssertTest(code="assert f(1)"), StdinTest(input="0\n", expected="0"), AssertTest(code="assert f(0)"))
    beside = replace(task, metadata={"trust": "in_process"})
    with LocalJudge(workers=1, record_lines=True, allow_in_process=True) as judge:
        report, apart = judge.run(beside, program), judge.run(task, program)
    assert apart.trust is Trust.SPLIT
    assert [outcome.verdict for outcome in apart.outcomes] == [outcome.verdict for outcome in report.outcomes]
    assert lines_of(apart.outcomes) == lines_of(report.outcomes)
    assert apart.executed_lines == report.executed_lines
    assert [outcome.verdict for outcome in report.outcomes] == [Verdict.PASSED, Verdict.PASSED, Verdict.FAILED]
    assert lines_of(report.outcomes) == [{3, 4}, {1, 2, 3, 5, 6, 7, 8}, {3, 5}]
    assert report.executed_lines == {1, 2, 3, 4, 5, 6, 7, 8}
    assert report.trust is Trust.IN_PROCESS


def test_lines_of_split_assertions_that_fail_in_the_program(recording: LocalJudge) -> None:
    program = "def f(n):\n    if n:\n        return 1 // 0\n    while True:\n        n += 1\n"
    task = task_of(AssertTest(code="assert 1"), AssertTest(code="assert f(1)"), AssertTest(code="assert f(0)"))
    report = recording.run(task, program)
    assert [outcome.verdict for outcome in report.outcomes] == [Verdict.PASSED, Verdict.RUNTIME_ERROR, Verdict.TIMEOUT]
    assert [outcome.line for outcome in report.outcomes][1] == 3
    assert [outcome.executed_lines for outcome in report.outcomes] == [None, {2, 3}, {2, 4, 5}]
    broken = recording.run(task, "x = 1\ny = 1 // 0\nz = 1\n")
    assert lines_of(broken.outcomes) == [{1, 2}] * 3


def test_lines_of_programs_that_do_not_load(recording: LocalJudge) -> None:
    assert lines_of(recording.run(CALLS, "x = 1\ny = 1 // 0\nz = 1\n").outcomes) == [{1, 2}] * 4
    assert lines_of(recording.run(CALLS, "x = 1\nwhile x:\n    x = 2\ny = 1\n").outcomes) == [{1, 2, 3}] * 4
    report = recording.run(CALLS, "def f(n)\n    return n")
    assert report.verdict is Verdict.SYNTAX_ERROR
    assert lines_of(report.outcomes) == [set()] * 4
    assert report.executed_lines == frozenset()


def test_where_the_process_ends_unheard_the_lines_are_unknown(recording: LocalJudge) -> None:
    program = "import os\ndef f(n):\n    if n == 1:\n        os._exit(0)\n"
    program += "    if n == 2:\n        return sum(range(10**12))\n    return 1"
    report = recording.run(CALLS, program)
    assert [outcome.verdict for outcome in report.outcomes] == [
        Verdict.PASSED,
        Verdict.CRASHED,
        Verdict.TIMEOUT,
        Verdict.PASSED,
    ]
    assert lines_of(report.outcomes) == [{3, 5, 7}, None, None, {3, 5, 7}]
    assert report.executed_lines == {1, 2, 3, 5, 7}


def test_a_program_that_tampers_with_its_marks_changes_no_verdict_of_another(recording: LocalJudge) -> None:
    vandal = "import builtins\nfor name in list(vars(builtins)):\n    if ' ' in name:\n"
    vandal += "        vars(builtins)[name].clear()\ndef f(n):\n    return 1"
    assert recording.run(CALLS, vandal).trust is Trust.VALUES
    assert lines_of(recording.run(CALLS, "def f(n):\n    return 1").outcomes) == [{2}] * 4


def test_recording_changes_no_verdict_and_no_line(judge: LocalJudge, recording: LocalJudge) -> None:
    for source in PROGRAMS.values():
        task = task_of(CallTest(call="f(0)", expected="0"), CallTest(call="x", expected="1"))
        plain, other = judge.run(task, source), recording.run(task, source)
        for one, two in zip(plain.outcomes, other.outcomes, strict=True):
            assert (one.verdict, one.exception, one.line, one.message) == (
                two.verdict,
                two.exception,
                two.line,
                two.message,
            )
