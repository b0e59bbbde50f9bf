"""Programs that attack assertions which run apart from them: the verdict stays true, and the next one is right."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewise.errors import JudgeError
from linewise.judge import LocalJudge
from linewise.judge.exchange import refill
from linewise.judge.plan import plan_task
from linewise.judge.replies import Decoder
from linewise.judge.split import SplitTranscript
from linewise.judge.transcript import Ending, Stop
from linewise.judge.wire import WireError, encode_frame
from linewise.types import AssertTest, Limits, Report, Task, Trust, Verdict

LIMITS = Limits(cpu_seconds=0.2, total_cpu_seconds=0.6, output_bytes=1 << 16)
WRITE = """
import json, os, struct
def write(**content):
    payload = json.dumps(content).encode()
    raw(struct.pack("!I", len(payload)) + payload)
def raw(data):
    for fd in range(3, 64):
        try:
            os.write(fd, data)
        except OSError:
            pass
"""


def task_of(*codes: str, setup: str | None = None) -> Task:
    tests = tuple(AssertTest(code=code) for code in codes)
    return Task(id="t", prompt="", tests=tests, entry_point="f", setup=setup, limits=LIMITS)


F = task_of("assert f(1) == 2", "assert f(20) == 4711")


def verdicts(report: Report) -> list[Verdict]:
    assert report.trust is Trust.SPLIT
    return [outcome.verdict for outcome in report.outcomes]


@pytest.fixture(autouse=True)
def next_program_is_judged_right(judge: LocalJudge):  # type: ignore[no-untyped-def]
    yield
    assert verdicts(judge.run(F, "def f(n): return 2 if n == 1 else 4711")) == [Verdict.PASSED] * 2
    assert verdicts(judge.run(F, "def f(n): return 2")) == [Verdict.PASSED, Verdict.FAILED]


@pytest.mark.parametrize("base", ["object", "int", "float", "str", "list", "dict", "tuple", "set"])
def test_an_object_that_agrees_with_everything_passes_nothing(judge: LocalJudge, base: str) -> None:
    program = (
        f"class Liar({base}):"
        + """
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __instancecheck__ = lambda *_: True
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __abs__ = __neg__ = lambda self, *_: self
    __ne__ = lambda *_: False
    __hash__ = __len__ = __int__ = __index__ = lambda _: 0
    __float__ = lambda _: 0.0
    __iter__ = lambda _: iter([])
    __repr__ = __str__ = __format__ = lambda *_: '0'
def f(n): return Liar()
"""
    )
    claims = [
        "f(1) == 2",
        "2 == f(1)",
        "not f(1) != 2",
        "abs(f(1) - 2) < 1e-6",
        "abs(2 - f(1)) < 1e-6",
        "-1 < f(1) + 2 < 4",
        "f(1) in (2, [], {})",
        "2 in f(1)",
        "[2] == [f(1)]",
        "(1, f(1)) == (1, 2)",
        "{2: 3}.get(f(1)) == 3",
        "len(f(1)) == 2",
        "str(f(1)) == '2'",
        "sorted(f(1)) == [2]",
        "__import__('math').isclose(f(1), 2)",
        "f(1) is True",
        "type(f(1)) is int",
        "f(1) * 2 == 4",
        "sum([f(1), 1]) == 3",
        "max(f(1), 2) == 2",
        "set(f(1)) == {2}",
    ]
    report = judge.run(task_of(*(f"assert {claim}" for claim in claims)), program)
    passed = [claim for claim, verdict in zip(claims, verdicts(report), strict=True) if verdict is Verdict.PASSED]
    assert passed == []


def test_instances_of_subclasses_equal_no_plain_value(judge: LocalJudge) -> None:
    program = "class int2(int): pass\nint2.__name__ = int2.__qualname__ = 'int'\nint2.__module__ = 'builtins'\n"
    assert verdicts(judge.run(F, program + "def f(n): return int2(2 if n == 1 else 4711)")) == [Verdict.FAILED] * 2


def test_what_the_tests_rely_on_cannot_be_replaced(judge: LocalJudge) -> None:
    program = """
import builtins, sys
class Yes:
    def __getattr__(self, name): return lambda *_, **__: True
    def __call__(self, *_, **__): return True
math = sys = Yes()
abs = sorted = isinstance = len = all = any = tuple = Yes()
for name in ("abs", "sorted", "isinstance", "len", "all", "any", "eval", "type", "tuple"):
    setattr(builtins, name, Yes())
def check(candidate): return True
def f(n): return 3
"""
    report = judge.run(
        task_of(
            "assert math.isclose(f(1), 2)",
            "assert sys.getsizeof(f(1)) == 0",
            "assert abs(f(1) - 2) < 1e-6",
            "assert sorted([f(1)]) == [2]",
            "assert isinstance(f(1), str)",
            "check(f)",
            setup="def check(candidate):\n    assert candidate(1) == 2",
        ),
        program,
    )
    assert Verdict.PASSED not in verdicts(report)


def test_patched_modules_change_no_verdict(judge: LocalJudge) -> None:
    program = """
import json, marshal, operator, os, pickle, time
json.JSONEncoder.encode = lambda *_: '{"n": 2, "value": true}'
marshal.loads = pickle.Unpickler.load = lambda *_: (2, 0, "bool", [[1], {}], None)
operator.is_ = operator.eq = time.thread_time = lambda *_: 1
def f(n): return 3
"""
    assert Verdict.PASSED not in verdicts(judge.run(F, program))


@pytest.mark.parametrize(
    "claim",
    [
        'write(kind="held", test=0, cpu=0.0, nonce="")',
        'write(kind="loaded"); write(kind="held", test=0, cpu=0.0, nonce="")',
        'write(kind="passed", test=0)',
        'write(kind="unsplittable", message="please")',
        "write(n=0)",
        "write(n=0); write(n=1, value=2)",
        "write(n=7, value=2)",
        'write(n=1, callback=0, args={"t": []}, kwargs={"d": []})',
        'raw(b"\\xff" * 100)',
        'raw(struct.pack("!I", 2) + b"[]")',
        'raw(struct.pack("!I", 5) + b"[[[[[")',
        'raw(b"\\0" * 70_000)',
    ],
)
def test_forged_messages_earn_nothing(judge: LocalJudge, claim: str) -> None:
    """At import, and inside the call that a test waits for."""
    assert Verdict.PASSED not in verdicts(judge.run(F, f"{WRITE}{claim}\ndef f(n): return 3"))
    assert Verdict.PASSED not in verdicts(judge.run(F, f"{WRITE}def f(n):\n    {claim}\n    return 3"))


@pytest.mark.parametrize(
    "content",
    [
        '"value": {"h": ["x", "o", ""]}',
        '"value": {"h": [1]}',
        '"value": {"m": 0}',
        '"value": {"m": -1}',
        '"value": {"p": ["Decimal", ["x"]]}',
        '"value": {"p": ["eval", ["2"]]}',
        '"value": {"p": ["Fraction", [1, 0]]}',
        '"value": {"x": 3}',
        '"value": {"s": [[1]]}',
        '"value": {"d": [1]}',
        '"value": {"t": 2}',
        '"value": 2, "changed": [[0, [1]]]',
        '"value": 2, "changed": 3',
        '"value": 2, "changed": [[]]',
        '"value": 2, "changed": [3]',
        '"error": {"type": [[], "eval"], "args": 3}',
        '"error": 3',
        '"cpu": 1.0',
        '"callback": 0, "args": {"t": []}, "kwargs": {"d": []}',
        '"callback": "x"',
    ],
)
def test_an_answer_that_breaks_the_protocol_is_a_crash(judge: LocalJudge, content: str) -> None:
    """The second request, after that for the name, is the call; its answer is written before the call returns."""
    answer = f"{{**{{'n': 2}}, **json.loads('{{{content}}}')}}"
    report = judge.run(F, f"{WRITE}def f(n):\n    write(**{answer})\n    os._exit(0)")
    assert verdicts(report) == [Verdict.CRASHED] * 2


def test_an_answer_given_twice_breaks_the_next(judge: LocalJudge) -> None:
    report = judge.run(F, f"{WRITE}def f(n):\n    write(n=2, value=2)\n    return 3")
    assert verdicts(report) == [Verdict.PASSED, Verdict.CRASHED]
    task = task_of("assert f(1) == 3\nassert f(2) == 2")
    assert verdicts(judge.run(task, f"{WRITE}def f(n):\n    write(n=2, value=3)\n    return 2")) == [Verdict.CRASHED]


BEGUN = encode_frame({"kind": "begun"})
LOADED = BEGUN + encode_frame({"kind": "loaded"})
HELD = [encode_frame({"kind": "held", "test": test, "nonce": ""}) for test in (0, 1)]
KILLED = Ending(stop=Stop.DONE, signal=9, cpu_seconds=0.1, wall_seconds=0.1, peak_memory_mb=1.0)


def split_transcript() -> SplitTranscript:
    plan = plan_task(F)
    return SplitTranscript(plan, plan.batches[0], program="def f(n): ...", output_bytes=1 << 16)


@pytest.mark.parametrize(
    "noise",
    [
        encode_frame({"kind": "held", "test": 0}),
        encode_frame({"kind": "raised", "exception": "E"}),
        encode_frame({"n": 2, "value": 2}),
        b"\xff" * 100,
    ],
)
def test_what_a_loaded_program_tells_the_parent_moves_no_verdict(noise: bytes) -> None:
    """Whichever of the two children the parent hears first: a loaded machine decides that."""
    for order in ("noise first", "tests first"):
        transcript = split_transcript()
        transcript.program.feed(LOADED)
        if order == "noise first":
            transcript.program.feed(noise)
        transcript.feed(LOADED + HELD[0])
        transcript.program.feed(noise)
        assert not transcript.finished
        transcript.feed(HELD[1])
        assert transcript.finished
        assert [outcome.verdict for outcome in transcript.conclude(KILLED, b"")] == [Verdict.PASSED] * 2


def test_answers_of_a_program_that_does_not_load_earn_nothing() -> None:
    transcript = split_transcript()
    transcript.feed(LOADED + HELD[0] + HELD[1])
    transcript.program.feed(BEGUN + b"\xff" * 100)
    assert [outcome.verdict for outcome in transcript.conclude(KILLED, b"")] == [Verdict.CRASHED] * 2


@pytest.mark.parametrize("value", ["10 ** 100_000", "[[1], 10 ** 100_000]", "nested(150)", "[{1: nested(150)}]"])
def test_a_value_that_cannot_be_handed_back_is_a_verdict(judge: LocalJudge, value: str) -> None:
    """It must not become a fault of the judge, by which a program could escape its verdict."""
    program = f"""
def nested(depth):
    return [nested(depth - 1)] if depth else []
def f(n): return {value}
def g(value): return 4711
def h(function): return function({value})
"""
    task = task_of("assert g(f(1)) == 4711", "assert h(lambda x: x) == 0", "assert g(1) == 4711")
    expected = [Verdict.OUTPUT_LIMIT, Verdict.OUTPUT_LIMIT, Verdict.PASSED]
    assert verdicts(judge.run(task, program)) == expected


def test_a_program_that_leads_the_tests_astray_is_judged_where_the_reference_does_not(judge: LocalJudge) -> None:
    setup = "class Own: pass\ndef choose(name): return {'a': 4711}.get(name, Own())"
    task = task_of("assert f(choose) == 4711", "assert f(len) is None", setup=setup)
    honest = "def f(function): return function('a') if function is not len else None"
    astray = "def f(function): return function('b') if function is not len else None"
    with pytest.raises(JudgeError, match="class of its own"):
        judge.run(task, astray)  # as far as one can know, the tests are at fault
    with pytest.raises(JudgeError, match="class of its own"):
        judge.run(replace(task, reference=astray), astray)
    report = judge.run(replace(task, reference=honest), astray)
    assert verdicts(report) == [Verdict.CRASHED, Verdict.PASSED]
    assert "astray" in report.outcomes[0].message
    assert verdicts(judge.run(replace(task, reference=honest), honest)) == [Verdict.PASSED] * 2


@pytest.mark.parametrize(
    "flood", ["raw(b'x' * 65536)", "write(n=0)", "write(kind='struck', line=1)", "write(n=2, callback=0)"]
)
def test_floods_end(judge: LocalJudge, flood: str) -> None:
    started = time.monotonic()
    assert Verdict.PASSED not in verdicts(judge.run(F, f"{WRITE}while True: {flood}"))
    assert Verdict.PASSED not in verdicts(judge.run(F, f"{WRITE}def f(n):\n    while True: {flood}"))
    assert time.monotonic() - started < 40


@pytest.mark.parametrize(
    ("ending", "verdict"),
    [
        ("os._exit(0)", Verdict.CRASHED),
        ("os.kill(os.getpid(), 9)", Verdict.CRASHED),
        ("os.closerange(3, 200)", Verdict.CRASHED),
        ("os.closerange(3, 200)\n        while True: pass", Verdict.CRASHED),
        ("os.kill(os.getpid(), 19)", Verdict.TIMEOUT),
        ("time.sleep(100)", Verdict.TIMEOUT),
        ("sys.exit(0)", Verdict.RUNTIME_ERROR),
        ("raise MemoryError", Verdict.MEMORY),
        ("raise StopIteration", Verdict.RUNTIME_ERROR),
        ("raise GeneratorExit", Verdict.RUNTIME_ERROR),
        ("raise KeyboardInterrupt", Verdict.RUNTIME_ERROR),
        ("raise AssertionError", Verdict.RUNTIME_ERROR),
    ],
)
def test_not_answering_never_passes_and_the_rest_runs(judge: LocalJudge, ending: str, verdict: Verdict) -> None:
    program = f"import os, sys, time\ndef f(n):\n    if n == 1:\n        {ending}\n    return 4711"
    assert verdicts(judge.run(F, program)) == [verdict, Verdict.PASSED]


def test_a_test_that_catches_everything_cannot_hide_a_dead_program(judge: LocalJudge) -> None:
    task = task_of("try:\n    f(1)\nexcept BaseException:\n    pass")
    assert verdicts(judge.run(task, "import os\ndef f(n): os._exit(0)")) == [Verdict.CRASHED]
    assert verdicts(judge.run(task, f"{WRITE}def f(n): write(n=9)")) == [Verdict.CRASHED]
    assert verdicts(judge.run(task, "def f(n): return 'x' * 100_000")) == [Verdict.OUTPUT_LIMIT]


def test_a_loop_that_ignores_signals_costs_its_limit(judge: LocalJudge) -> None:
    program = "import signal\nfor n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n"
    program += "    except (OSError, ValueError): pass\ndef f(n):\n    while True: pass"
    report = judge.run(F, program)
    assert verdicts(report) == [Verdict.TIMEOUT] * 2
    assert report.cpu_seconds < 1.0


def test_a_fork_of_the_program_cannot_answer_for_it(judge: LocalJudge) -> None:
    assert Verdict.PASSED not in verdicts(judge.run(F, "import os\ndef f(n):\n    os.fork()\n    return 3"))


def test_members_that_collide_cost_the_limit_and_no_more(judge: LocalJudge) -> None:
    program = "def f(n):\n    return {i * ((1 << 61) - 1): 0 for i in range(1, 3000)} if n == 1 else 4711"
    report = judge.run(task_of("assert f(1) == {}"), program)
    assert Verdict.PASSED not in verdicts(report)
    assert report.cpu_seconds < 1.0


def test_the_program_never_holds_what_the_tests_expect(judge: LocalJudge) -> None:
    program = """
import gc, sys
def f(n):
    found = set()
    frame = sys._getframe()
    while frame is not None:
        found.update(map(repr, frame.f_locals.values()))
        found.update(map(repr, frame.f_globals.values()))
        frame = frame.f_back
    for thing in gc.get_objects():
        if isinstance(thing, (dict, list, tuple)):
            found.add(repr(thing))
    return any("".join(reversed("546372819")) in text for text in found)
"""
    task = task_of("assert f(1) is False or SECRET == f(2)", setup="SECRET = 918273645")
    assert judge.run(task, program).passed
    leak = program.replace("def f(n):", "secret = 918273645\ndef f(n):")
    assert verdicts(judge.run(task, leak)) == [Verdict.FAILED]  # the search finds what is there


def test_callbacks_reach_no_more_than_the_function_that_was_handed_over(judge: LocalJudge) -> None:
    program = """
def f(function):
    stolen = []
    for name in ("__globals__", "__code__", "__self__"):
        thing = getattr(function, name, None)
        stolen.append(repr(getattr(thing, "co_consts", thing)))
    return any("918273645" in text for text in stolen)
"""
    task = task_of("SECRET = 918273645\nassert f(lambda x: x + SECRET) is False")
    assert judge.run(task, program).passed


TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**16) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from("tszdhxpmifbco"), inner, min_size=1, max_size=1)
        | st.tuples(
            st.sampled_from(["Decimal", "Fraction", "date", "range", "deque", "Counter"]), st.lists(inner, max_size=3)
        ).map(lambda parts: {"p": list(parts)})
    ),
)


class Nobody:
    """Answers no request."""

    def ask(self, target: int | str, args: tuple[object, ...], kwargs: dict[str, object] | None = None) -> object:
        raise AssertionError("decoding asks nothing")


@given(TREES)
def test_any_reply_decodes_to_a_value_or_a_wire_error(tree: object) -> None:
    parts: list[object] = [[1], {2: 3}, {4}, bytearray(b"5")]
    try:
        value = Decoder(Nobody()).decode(tree, parts)
    except WireError:
        return
    for part in parts:
        try:
            refill(part, value)
        except WireError:
            assert type(value) is not bytes or type(part) is not bytearray


def test_the_two_children_have_different_parents(unsafe_judge: LocalJudge) -> None:
    """Without process namespaces, in which every parent has the id 1."""
    task = task_of("import os\nassert f(1) != os.getppid() and f(1) != os.getpid()", "assert f(1) > 1")
    assert unsafe_judge.run(task, "import os\ndef f(n): return os.getppid()").passed
