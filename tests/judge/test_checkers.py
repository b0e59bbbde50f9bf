"""Problems with several right answers: what each checker accepts, and that programs cannot abuse it."""

import itertools
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewise.errors import TaskError
from linewise.judge import LocalJudge
from linewise.judge.checkers import UncomparableError, accepts, load_check, plain
from linewise.judge.plan import plan_task
from linewise.judge.wire import Members, Opaque, Pairs, ValueEncoder, decode_value
from linewise.types import CallTest, Checker, StdinTest, Task, Verdict

UNORDERED, DEEP, SET, CODE = Checker.UNORDERED, Checker.UNORDERED_DEEP, Checker.SET, Checker.CODE


def received(value: object) -> Any:
    """A value as it comes out of a child."""
    return decode_value(ValueEncoder(1 << 20).encode(value))


@pytest.mark.parametrize(
    ("checker", "expected", "actual", "accepted"),
    [
        (UNORDERED, [1, 2, 2], [2, 1, 2], True),
        (UNORDERED, [1, 2, 2], [2, 1, 1], False),
        (UNORDERED, [1, 2, 2], [2, 1], False),
        (UNORDERED, [1, 2], (2, 1), False),
        (UNORDERED, (1, 2), (2, 1), True),
        (UNORDERED, [[1, 2], [3]], [[3], [1, 2]], True),
        (UNORDERED, [[1, 2], [3]], [[3], [2, 1]], False),
        (UNORDERED, [1, True], [True, 1], True),
        (UNORDERED, [1, True], [1, 1], False),
        (UNORDERED, [6, 0.5], [0.5, 6.0], True),
        (UNORDERED, ["a,b"], ["a", "b"], False),
        (UNORDERED, [10], ["a"], False),
        (UNORDERED, [{1: [2, 3]}, {4}], [{4}, {1: [2, 3]}], True),
        (UNORDERED, [float("nan"), 1], [1, float("nan")], True),
        (UNORDERED, None, None, True),
        (UNORDERED, [1], [object()], False),
        (DEEP, [[1, 2], [3]], [[3], [2, 1]], True),
        (DEEP, [[1, 2], [3]], [[3, 2], [1]], False),
        (DEEP, [[1, 2], [1, 2]], [[1, 2], [2, 2]], False),
        (DEEP, [(1, 2)], [(2, 1)], False),
        (DEEP, {"a": [1, 2]}, {"a": [2, 1]}, True),
        (DEEP, [1 + 2j, b"x"], [b"x", 1 + 2j], True),
        (DEEP, [[object]], [[3]], False),
        (SET, [1, 2, 2], [2, 1], True),
        (SET, [1, 2], {1, 2}, True),
        (SET, [1, 2], frozenset({1, 2, 3}), False),
        (SET, [[1], [2]], ([2], [1], [1]), True),
        (SET, [], None, False),
        (SET, None, None, True),
    ],
)
def test_orders(checker: Checker, expected: Any, actual: object, accepted: bool) -> None:
    assert accepts(checker, expected, received(actual)) is accepted


@pytest.mark.parametrize(
    ("expected", "actual", "accepted"),
    [
        ([0.1, 0.2], [0.2 + 1e-9, 0.1], True),
        ([0.1, 0.2], [0.2, 0.2], False),
        # Matched in order, 1.0 would take the only partner of 1.9.
        ([1.0, 1.9], [1.0 + 0.9e-6, 1.9], True),
        ([[0.1, 1], [0.2, 2]], [[0.2, 2], [0.1 + 1e-9, 1]], True),
        ([[0.1, 1], [0.2, 2]], [[0.2, 1], [0.1, 2]], False),
    ],
)
def test_any_order_within_a_tolerance(expected: list[Any], actual: object, accepted: bool) -> None:
    assert accepts(UNORDERED, expected, received(actual), 1e-6) is accepted


values = st.recursive(
    st.integers(-2, 2) | st.sampled_from([0.5, float("nan"), "a", "", None, True]),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.integers(0, 2), inner),
    max_leaves=6,
)


@given(st.lists(values, max_size=4), st.randoms(use_true_random=False))
def test_a_shuffled_list_is_accepted(items: list[Any], random: Any) -> None:
    shuffled = random.sample(items, len(items))
    assert accepts(UNORDERED, items, received(shuffled))
    assert accepts(DEEP, items, received(shuffled))
    assert accepts(SET, items, received([*shuffled, *items]))


@given(st.lists(values, max_size=3), st.lists(values, max_size=3))
def test_what_any_order_accepts_is_a_permutation(items: list[Any], others: list[Any]) -> None:
    permutations = map(list, itertools.permutations(items))
    expected = any(accepts(Checker.EXACT, order, received(others)) for order in permutations)
    assert accepts(UNORDERED, items, received(others)) is expected


def test_chosen_members_cost_no_time() -> None:
    """Integers that collide in a hash table would make building one take minutes."""
    colliding = [number * ((1 << 61) - 1) for number in range(40_000)]
    before = time.process_time()
    assert not accepts(SET, [1], received(colliding[:30_000]))
    assert not accepts(DEEP, [1], Members(tuple(colliding)))
    with pytest.raises(UncomparableError, match="more than 10000 entries"):
        plain(Members(tuple(colliding)))
    assert time.process_time() - before < 5


def test_plain_values() -> None:
    value = {"a": [1, (2.5, None)], frozenset({1}): {b"x"}}
    assert plain(received(value)) == value
    with pytest.raises(UncomparableError, match="an object of the type Evil"):
        plain([Opaque("Evil", "x")])
    with pytest.raises(UncomparableError, match="unhashable"):
        plain(Pairs((([1], 2),)))


# ----------------------------------------------------------------------------------------------- through the whole judge


def verdicts(judge: LocalJudge, task: Task, program: str) -> list[Verdict]:
    return [outcome.verdict for outcome in judge.run(task, program).outcomes]


def test_calls(judge: LocalJudge) -> None:
    task = Task(
        id="t",
        prompt="",
        tests=(
            CallTest(call="f([1, 2])", expected="[2, 1]", checker=UNORDERED),
            CallTest(call="f([1, 3])", expected="[3, 1]"),
            CallTest(call="f(5)", expected="4", alternatives=("None", "[5]", "5")),
            CallTest(call="f(6)", expected="4", alternatives=("5",)),
        ),
    )
    assert verdicts(judge, task, "def f(x): return x") == ["passed", "failed", "passed", "failed"]


def script(expected: str, printed: str, **rules: Any) -> tuple[Task, str]:
    test = StdinTest(input="", expected=expected, **rules)
    return Task(id="t", prompt="", tests=(test,)), f"print({printed!r}, end='')"


@pytest.mark.parametrize(
    ("expected", "printed", "rules", "verdict"),
    [
        ("0.3333", "0.33333333", {"tolerance": 1e-3}, "passed"),
        ("0.3333", "0.34", {"tolerance": 1e-3}, "failed"),
        ("0.3333", "0.33333333", {}, "failed"),
        ("x 1.5\n2", "x  1.5000001 \n2.0\n\n", {"tolerance": 1e-6}, "passed"),
        ("x 1.5\n2", "y 1.5\n2", {"tolerance": 1e-6}, "failed"),
        ("1.5\n2", "1.5 2", {"tolerance": 1e-6}, "failed"),
        ("1.5\n2", "1.5", {"tolerance": 1e-6}, "failed"),
        ("1000000", "1000001", {"tolerance": 1e-3}, "failed"),
        ("1e3", "1000", {"tolerance": 1e-6}, "passed"),
        ("1.0", "nan", {"tolerance": 1e-6}, "failed"),
        ("5" * 5000, "5" * 5000, {"tolerance": 1e-6}, "passed"),
        ("a b\nc", "c\na b\n", {"checker": UNORDERED}, "passed"),
        ("a b\nc", "c\nb a", {"checker": UNORDERED}, "failed"),
        ("a b\nc", "c\nb a", {"checker": DEEP}, "passed"),
        ("a b\nc", "c a\nb", {"checker": DEEP}, "failed"),
        ("a\na\nb", "b\na", {"checker": SET}, "passed"),
        ("a\na\nb", "b", {"checker": SET}, "failed"),
        ("x 0.5\ny 2", "y 2\nx 0.5000001", {"checker": UNORDERED, "tolerance": 1e-6}, "passed"),
        ("YES\n1", "no", {"alternatives": ("NO", "no\n")}, "passed"),
        ("YES\n1", "YES", {"alternatives": ("NO",)}, "failed"),
    ],
)
def test_outputs(judge: LocalJudge, expected: str, printed: str, rules: dict[str, Any], verdict: str) -> None:
    assert verdicts(judge, *script(expected, printed, **rules)) == [verdict]


FACTORS = """
def check(input, expected, actual):
    if expected is None or actual is None:
        return actual is None and expected is None
    a, b = actual
    return a * b == 12 and a != 1 != b
"""


def test_code_decides_with_plain_values(judge: LocalJudge) -> None:
    test = CallTest(call="factors()", expected="[3, 4]", checker=CODE)
    task = Task(id="t", prompt="", tests=(test,), checker_code=FACTORS)
    for returned, verdict, message in (
        ("[2, 6]", "passed", ""),
        ("(4, 3)", "passed", ""),
        ("[1, 12]", "failed", "the checker refused it"),
        ("None", "failed", "the checker refused it"),
        ("[2]", "failed", "the checker raised ValueError: not enough values"),
        ("type('int', (int,), {'__mul__': lambda *a: 12})(5), 5", "failed", "was not asked: it holds an object"),
    ):
        outcome = judge.run(task, f"def factors(): return {returned}").outcomes[0]
        assert outcome.verdict == verdict, returned
        assert message in outcome.message


def test_code_sees_input_and_expected_and_cannot_spoil_them(judge: LocalJudge) -> None:
    code = """
def check(input, expected, actual):
    given = [int(word) for word in input.strip("f()").split(",")]
    expected.append(sum(given))
    return expected == [7, sum(given)] and actual == len(given)
"""
    tests = (CallTest(call="f(1,2,3)", expected="[7]", checker=CODE),) * 2
    task = Task(id="t", prompt="", tests=tests, checker_code=code)
    assert verdicts(judge, task, "def f(*a): return len(a)") == ["passed", "passed"]
    assert verdicts(judge, task, "def f(*a): return 2") == ["failed", "failed"]


def test_code_for_scripts(judge: LocalJudge) -> None:
    code = "def check(input, expected, actual):\n    return sorted(map(int, actual.split())) == sorted(input.split()) "
    loud = "def check(input, expected, actual):\n    raise SystemExit(0)"
    vague = "def check(input, expected, actual):\n    return 1"
    right = "def check(input, expected, actual):\n    return input.split() == actual.split()[::-1] != expected"
    test = StdinTest(input="1 2\n", expected="x", checker=CODE)
    for text, verdict, message in (
        (code, "failed", "refused"),
        (loud, "failed", "the checker raised SystemExit"),
        (vague, "failed", "must answer True or False"),
        (right, "passed", ""),
    ):
        task = Task(id="t", prompt="", tests=(test,), checker_code=text)
        outcome = judge.run(task, "print(*reversed(input().split()))").outcomes[0]
        assert outcome.verdict == verdict, text
        assert message in outcome.message


@pytest.mark.parametrize(
    ("test", "code", "message"),
    [
        (CallTest(call="f()", expected="1", checker=CODE), None, r"tests\[0\]\.checker is 'code' and the task has no"),
        (CallTest(call="f()", expected="1", checker=SET, tolerance=0.1), None, "the checker 'set' takes none"),
        (CallTest(call="f()", expected="1", alternatives=("g()",)), None, "'g\\(\\)', which is not a Python literal"),
        (CallTest(call="f()", expected="1"), "check = 3", "must define a function check"),
        (CallTest(call="f()", expected="1"), "1 / 0", "cannot be loaded \\(ZeroDivisionError"),
        (CallTest(call="f()", expected="1"), "def", "cannot be loaded \\(SyntaxError"),
    ],
)
def test_faults_of_tasks(test: CallTest, code: str | None, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        plan_task(Task(id="t", prompt="", tests=(test,), checker_code=code))


def test_code_is_not_given_to_the_program(judge: LocalJudge) -> None:
    task = Task(
        id="t",
        prompt="",
        tests=(CallTest(call="hunt()", expected="'none'", checker=CODE),),
        checker_code="def check(input, expected, actual):\n    secret_marker = 1\n    return actual == expected\n",
    )
    hunt = """
import gc, sys
def hunt():
    found = [o for o in gc.get_objects() if isinstance(o, str) and 'secret' + '_marker' in o]
    frames = list(sys._current_frames().values())
    while frames:
        frame = frames.pop()
        found += [v for v in frame.f_locals.values() if isinstance(v, (str, bytes)) and 'secret' + '_marker' in str(v)]
        frames += [frame.f_back] if frame.f_back else []
    return 'none' if not found else 'found'
"""
    assert verdicts(judge, task, hunt) == ["passed"]


def test_a_check_function_is_loaded_once_for_a_task() -> None:
    check = load_check(
        "calls = []\ndef check(input, expected, actual):\n    calls.append(1)\n    return len(calls) == 2\n"
    )
    assert [check("", None, None), check("", None, None)] == [False, True]
