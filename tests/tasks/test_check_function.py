import ast

import pytest

from linewise.errors import TaskError
from linewise.tasks.check_function import function_named, hidden_tests
from linewise.types import AssertTest, CallTest, TestCase


def convert(body: str, parameter: str = "candidate") -> list[TestCase]:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return hidden_tests(function_named(ast.parse(f"def check({parameter}):\n{lines}"), "check"), "f")


def test_lone_assertions() -> None:
    assert convert("'''doc'''\nprint\nassert True, 'fine'\nassert candidate(1) == 2\nassert candidate(2) != 3") == [
        CallTest(call="f(1)", expected="2"),
        AssertTest(code="assert f(2) != 3"),
    ]


def test_the_parameter_may_have_any_name() -> None:
    assert convert("assert solve(1) == 2", parameter="solve") == [CallTest(call="f(1)", expected="2")]


def test_what_uses_a_local_name_stays_with_it() -> None:
    tests = convert(
        "import random\nassert candidate(1) == 2\nx = [1]\nassert candidate(x) == 3\n"
        "for y in range(2):\n    assert candidate(y) == y\nassert candidate(5) == 6\nassert x == [1]"
    )
    assert tests == [
        CallTest(call="f(1)", expected="2"),
        CallTest(call="f(5)", expected="6"),
        AssertTest(
            code="import random\nx = [1]\nassert f(x) == 3\nfor y in range(2):\n    assert f(y) == y\nassert x == [1]"
        ),
    ]


@pytest.mark.parametrize(
    "effect",
    ["candidate(1)", "a.b = 1", "a[0] = 1", "with a:\n    pass", "del a", "try:\n    b = 1\nexcept E:\n    b = 2"],
)
def test_an_effect_holds_all_that_follows(effect: str) -> None:
    (test,) = convert(f"{effect}\nassert candidate(2) == 3")
    assert isinstance(test, AssertTest)
    assert test.code.endswith("assert f(2) == 3")
    assert "candidate" not in test.code


def test_an_assertion_that_does_not_call_the_function_stays_after_what_ran() -> None:
    (test,) = convert("x = candidate('file')\nassert os.path.exists('file')")
    assert test == AssertTest(code="x = f('file')\nassert os.path.exists('file')")


def test_a_body_without_assertions_is_a_test_if_it_calls() -> None:
    assert convert("candidate(1).check()") == [AssertTest(code="f(1).check()")]
    assert convert("import os\nx = 1") == []


def test_an_early_return_ends_the_check_only() -> None:
    (test,) = convert("x = candidate(1)\nif x:\n    return\nassert x == 0")
    assert isinstance(test, AssertTest)
    for value, passes in ((0, True), (1, True), ("", False)):
        namespace = {"f": lambda _, value=value: value}
        if passes:
            exec(test.code, namespace)
        else:
            with pytest.raises(AssertionError):
                exec(test.code, namespace)


def test_errors() -> None:
    with pytest.raises(TaskError, match="must take one argument"):
        convert("pass", parameter="a, b")
    with pytest.raises(TaskError, match="must define a function 'check'"):
        function_named(ast.parse("x = 1"), "check")
