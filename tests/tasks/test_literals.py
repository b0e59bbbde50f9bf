import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewise.judge.compare import parse_literal
from linewise.tasks.literals import check_literal

LITERALS = [
    "1", " -2.5 ", "'a'", "b'a'", "None", "True", "[1, (2,), {3: {4}}]", "set()", "1+2j", "nan", "-inf", "float('nan')",
    "[float('inf')]", "frozenset({1, 2})", "frozenset()", "{'a': frozenset([1])}",
]  # fmt: skip
OTHERS = [
    "", "x", "f(1)", "[x]", "1 < 2", "'a", "{[]: 1}", "float(x)", "frozenset(1, 2)", "lambda: 1", "1; 2", "range(3)",
    "float(1)", "float('x')", "__import__('os')",
]  # fmt: skip


@pytest.mark.parametrize("text", LITERALS)
def test_literals(text: str) -> None:
    check_literal(text)
    parse_literal(text)


@pytest.mark.parametrize("text", OTHERS)
def test_no_literals(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        check_literal(text)
    with pytest.raises(ValueError, match=r".*"):
        parse_literal(text)


@pytest.mark.parametrize("text", ["...", "[1, (...,)]"])
def test_no_value_equals_an_ellipsis(text: str) -> None:
    with pytest.raises(ValueError, match="ellipsis"):
        check_literal(text)


def test_a_message_names_no_address() -> None:
    with pytest.raises(ValueError, match="malformed") as caught:
        check_literal("f(1)")
    assert "0x" not in str(caught.value)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner) | st.sets(st.integers())
    ),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(values)
def test_what_repr_writes_is_a_literal(value: object) -> None:
    check_literal(repr(value))
