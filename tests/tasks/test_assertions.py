import ast

import pytest

from linewise.tasks.assertions import called_name, convert_assertion, functions_of, signature_of
from linewise.types import AssertTest, CallTest

PROGRAM = frozenset({"f", "g"})


def convert(code: str) -> CallTest | AssertTest:
    (statement,) = ast.parse(code).body
    test = convert_assertion(statement, PROGRAM, example=True)
    assert isinstance(test, CallTest | AssertTest)
    assert test.example
    return test


@pytest.mark.parametrize(
    ("code", "call", "expected"),
    [
        ("assert f(1, k='a') == [1, 2]", "f(1, k='a')", "[1, 2]"),
        ("assert -1 == f(1)", "f(1)", "-1"),
        ("assert f(1) == 2, 'message'", "f(1)", "2"),
        ("assert sorted(f(x)) == [1]", "sorted(f(x))", "[1]"),
        ("assert f(1)['a'] == 3", "f(1)['a']", "3"),
        ("assert f() == set()", "f()", "set()"),
        ("assert f(1) is None", "f(1)", "None"),
        ("assert f(1) is True", "f(1)", "True"),
        # A true value need not equal True.
        ("assert f([1])", "bool(f([1]))", "True"),
        ("assert not f([1])", "bool(f([1]))", "False"),
        # Constant expressions are worked out.
        ("assert f() == tuple([1, 2])", "f()", "(1, 2)"),
        ("assert f() == set([1])", "f()", "{1}"),
        ("assert f() == (3 + 5, 3 * 5)", "f()", "(8, 15)"),
        ("assert f() == ['a'] + ['b']", "f()", "['a', 'b']"),
    ],
)
def test_becomes_a_call(code: str, call: str, expected: str) -> None:
    assert convert(code) == CallTest(call=call, expected=expected, example=True)


@pytest.mark.parametrize(
    "code",
    [
        # As calls these would carry the expected value into the child.
        "assert abs(f(1) - 0.5) < 1e-06",
        "assert math.isclose(f(1), 0.5)",
        "assert isclose(f(1), 0.5)",
        "assert all((f(x) == 1 for x in y))",
        "assert (f(1) == 2) == True",
        # No literal is expected.
        "assert f(1) == g(1)",
        "assert f(1) == sys.getsizeof(1)",
        "assert f(1) == 2 ** 3",
        "assert f(1) == 'a' * 3",
        "assert f(1) == 1 + ''",
        # Other comparisons, and none at all.
        "assert f(1) != 2",
        "assert f(1) == 2 == 2",
        "assert f(1) is 'a'",
        "assert f(1) in (1, 2)",
        "assert len([1]) == 1",
        "assert isinstance(f(1), str)",
        "f(1)",
    ],
)
def test_stays_code(code: str) -> None:
    assert convert(code) == AssertTest(code=code, example=True)


def test_called_name_and_signature() -> None:
    source = (
        "def helper(a):\n    return a\nclass C: pass\ndef g(a, /, b: int = 2, *c, d=[1], **e) -> list[int]:\n    pass\n"
    )
    assert functions_of(source) == {"helper", "g"}
    assert called_name(ast.parse("assert set(g(helper(1))) == 1").body, functions_of(source)) == "g"
    assert called_name(ast.parse("assert C()").body, functions_of(source)) is None
    assert signature_of(source, "g") == "def g(a, /, b: int=2, *c, d=[1], **e) -> list[int]:"
    assert signature_of(source, "C") is None
