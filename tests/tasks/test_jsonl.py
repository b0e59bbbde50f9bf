import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewise.errors import StorageError, TaskError
from linewise.tasks.jsonl import dump_jsonl, load_jsonl, task_from_json, task_to_json
from linewise.types import AssertTest, CallTest, Checker, Limits, StdinTest, Task

ADD: dict[str, Any] = {
    "id": "add",
    "prompt": "Add two numbers.",
    "tests": [{"kind": "call", "call": "add(2, 3)", "expected": "5"}],
}


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_smallest_task(tmp_path: Path) -> None:
    (task,) = load_jsonl(write(tmp_path / "t.jsonl", ADD))
    assert task == Task(id="add", prompt="Add two numbers.", tests=(CallTest(call="add(2, 3)", expected="5"),))


def test_every_field(tmp_path: Path) -> None:
    record = {
        "id": "x",
        "prompt": "p",
        "entry_point": "F.f",
        "checker_code": CHECKER_CODE,
        "signature": "def f(a):",
        "setup": "b = 1",
        "reference": "def f(a):\n    return a\n",
        "limits": {"cpu_seconds": 1, "memory_mb": 64},
        "metadata": {"split": "train"},
        "tests": [
            {"kind": "call", "call": "f(0.1)", "expected": "[nan]", "example": True, "tolerance": 1e-3},
            {"kind": "assert", "code": "assert f(b) == b", "example": False},
            {"kind": "stdin", "input": "1\n", "expected": "2\n", "tolerance": 0.1, "alternatives": ["3\n"]},
            {"kind": "call", "call": "f(1)", "expected": "{1}", "checker": "code", "alternatives": ["None", "1"]},
        ],
    }
    (task,) = load_jsonl(write(tmp_path / "t.jsonl", record))
    assert task == Task(
        id="x",
        prompt="p",
        entry_point="F.f",
        checker_code=CHECKER_CODE,
        signature="def f(a):",
        setup="b = 1",
        reference="def f(a):\n    return a\n",
        limits=Limits(cpu_seconds=1, memory_mb=64),
        metadata={"split": "train"},
        tests=(
            CallTest(call="f(0.1)", expected="[nan]", example=True, tolerance=1e-3),
            AssertTest(code="assert f(b) == b"),
            StdinTest(input="1\n", expected="2\n", tolerance=0.1, alternatives=("3\n",)),
            CallTest(call="f(1)", expected="{1}", checker=Checker.CODE, alternatives=("None", "1")),
        ),
    )


def test_byte_order_mark_blank_lines_and_carriage_returns(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    second = {**ADD, "id": "line\u2028separator"}
    path.write_bytes(b"\xef\xbb\xbf\r\n" + json.dumps(ADD).encode() + b"\r\n\r\n" + json.dumps(second).encode())
    assert [task.id for task in load_jsonl(path)] == ["add", "line\u2028separator"]


ONE = "field 'tests[0]'"
CALL = {"kind": "call", "call": "f()", "expected": "1"}
CHECKER_CODE = "def check(input, expected, actual):\n    return True\n"
FAULTS = [
    # fields of a task
    ({"id": 3}, "field 'id': 3 must be a string"),
    ({"id": " "}, "field 'id': it is empty"),
    ({"prompt": None}, "field 'prompt': None must be a string"),
    ({"promt": "x"}, "unknown field 'promt'. Did you mean 'prompt'?"),
    ({"tests": []}, "field 'tests': the list is empty"),
    ({"tests": {}}, "field 'tests': {} must be a list"),
    ({"entry_point": "a b"}, "field 'entry_point': 'a b' must be the name"),
    ({"entry_point": "A.b.c"}, "field 'entry_point': 'A.b.c' must be the name of a function, or Class.method"),
    ({"signature": "def f(a)"}, "field 'signature': 'def f(a)' must be code that ends with the colon"),
    ({"signature": "def f(a):\n"}, "must end without a newline"),
    ({"setup": "x ="}, "field 'setup': 'x =' must be Python code"),
    ({"metadata": {"level": 3}}, "field 'metadata.level': 3 must be a string"),
    ({"limits": {"cpu_second": 1}}, "unknown field 'cpu_second'. Did you mean 'cpu_seconds'?"),
    ({"limits": {"cpu_seconds": 0}}, "field 'limits.cpu_seconds': 0 must be above 0"),
    ({"limits": {"cpu_seconds": float("nan")}}, "field 'limits.cpu_seconds': nan must be above 0"),
    ({"limits": {"cpu_seconds": float("inf")}}, "must be above 0 and finite"),
    ({"limits": {"memory_mb": 1.5}}, "field 'memory_mb': 1.5 must be a whole number"),
    ({"limits": {"memory_mb": True}}, "field 'memory_mb': True must be a whole number"),
    # fields of a test
    ({"tests": ["x"]}, f"{ONE}, field 'kind': None must be one of call, assert, stdin"),
    ({"tests": [{"kind": "cal"}]}, "'cal' must be one of call, assert, stdin. Did you mean 'call'?"),
    ({"tests": [{"kind": "call", "call": "f()"}]}, f"{ONE}, field 'expected': it is missing; add a string"),
    ({"tests": [{"kind": "call", "call": "f(", "expected": "1"}]}, f"{ONE}, field 'call': 'f(' must be a Python expr"),
    ({"tests": [{"kind": "call", "call": "x = 1", "expected": "1"}]}, f"{ONE}, field 'call': 'x = 1' must be"),
    ({"tests": [{"kind": "call", "call": "f()", "expected": "g()"}]}, f"{ONE}, field 'expected': 'g()' must be a Pyth"),
    ({"tests": [{"kind": "call", "call": "f()", "expected": 5}]}, f"{ONE}, field 'expected': 5 must be a string"),
    ({"tests": [{"kind": "call", "call": "f()", "expected": "1", "example": 1}]}, "'example': 1 must be true or false"),
    ({"tests": [{"kind": "call", "call": "f()", "expected": "1", "tolerance": -1}]}, "'tolerance': -1 must be above 0"),
    ({"tests": [{"kind": "assert", "code": "assert"}]}, f"{ONE}, field 'code': 'assert' must be Python statements"),
    ({"tests": [{"kind": "assert", "code": "return 1"}]}, "must be Python statements"),
    (
        {"tests": [{**CALL, "checker": "unorderd"}]},
        f"{ONE}, field 'checker': 'unorderd' must be one of exact, unordered",
    ),
    ({"tests": [{**CALL, "checker": "unorderd"}]}, "Did you mean 'unordered'?"),
    ({"tests": [{**CALL, "checker": 1}]}, f"{ONE}, field 'checker': 1 must be a string"),
    ({"tests": [{**CALL, "checker": "code"}]}, f"{ONE}, field 'checker': 'code' needs the task's field 'checker_code'"),
    (
        {"tests": [{**CALL, "checker": "set", "tolerance": 0.1}]},
        f"{ONE}, field 'tolerance': the checker 'set' takes no",
    ),
    (
        {"tests": [{**CALL, "alternatives": ["2", "g()"]}]},
        f"{ONE}, field 'alternatives[1]': 'g()' must be a Python lit",
    ),
    ({"tests": [{**CALL, "alternatives": [2]}]}, f"{ONE}, field 'alternatives[0]': 2 must be a string"),
    ({"tests": [{**CALL, "alternatives": "2"}]}, f"{ONE}, field 'alternatives': '2' must be a list"),
    ({"checker_code": "def check(:"}, "field 'checker_code': 'def check(:' must be Python code"),
    ({"checker_code": "def check(a):\n    pass"}, "must define a function check(input, expected, actual)"),
    ({"checker_code": "x = 1"}, "field 'checker_code': 'x = 1' must define a function check"),
    ({"tests": [{"kind": "assert", "code": "", "checker": "set"}]}, "unknown field 'checker'"),
    ({"tests": [{"kind": "stdin", "input": "", "expects": ""}]}, "unknown field 'expects'. Did you mean 'expected'?"),
]


@pytest.mark.parametrize(("change", "message"), FAULTS, ids=[message for _, message in FAULTS])
def test_faults_name_file_line_and_field(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "t.jsonl", {**ADD, "id": "first"}, {**ADD, **change})
    with pytest.raises(TaskError) as caught:
        load_jsonl(path)
    assert str(caught.value).startswith(f"{path}, line 2")
    assert message in str(caught.value)


def test_faults_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    for text, message in (
        ('{"id": "a",}', "line 1, column 12: no valid JSON"),
        ("[1]", "line 1: [1] must be an object"),
        ('{"id": "a", "id": "b"}', "line 1: the field 'id' stands there twice"),
        ("[" * 200_000, "line 1: the JSON is nested too deeply"),
        ("\n\n", "holds no task"),
        (f"{json.dumps(ADD)}\n\n{json.dumps(ADD)}", "line 3, field 'id': 'add' is the id of line 1 too"),
    ):
        path.write_text(text)
        with pytest.raises(TaskError) as caught:
            load_jsonl(path)
        assert message in str(caught.value)


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="No such file or directory"):
        load_jsonl(tmp_path / "missing.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b"\xe9")
    with pytest.raises(TaskError, match=r"no UTF-8 text \(byte 0\)"):
        load_jsonl(tmp_path / "latin.jsonl")
    with pytest.raises(StorageError, match="cannot write"):
        dump_jsonl([], tmp_path)


def test_a_number_too_long_to_read(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text('\n{"id": ' + "9" * 5000 + "}")
    with pytest.raises(TaskError, match=r"line 2: Exceeds the limit .*; write a shorter number\.$"):
        load_jsonl(path)


def test_long_values_are_cut() -> None:
    with pytest.raises(TaskError) as caught:
        task_from_json({**ADD, "setup": "x = " + "(" * 10_000})
    assert len(str(caught.value)) < 300


texts = st.text(st.characters(codec="utf-8"), max_size=20)
positive = st.floats(min_value=1e-9, max_value=1e9)
checkers = st.sampled_from([Checker.EXACT, Checker.UNORDERED])
calls = st.builds(
    CallTest,
    call=st.sampled_from(["f(1)", "f('é\\n')", "  f(x)[0]"]),
    expected=st.one_of(st.integers(), st.floats(), texts, st.lists(st.booleans())).map(repr),
    example=st.booleans(),
    tolerance=st.none() | positive,
    checker=checkers,
    alternatives=st.lists(texts.map(repr), max_size=2).map(tuple),
)
asserts = st.builds(AssertTest, code=st.sampled_from(["assert f(1)", "x = 1\nassert x"]), example=st.booleans())
stdins = st.builds(
    StdinTest,
    input=texts,
    expected=texts,
    example=st.booleans(),
    checker=st.sampled_from(Checker),
    alternatives=st.lists(texts, max_size=2).map(tuple),
)
tasks = st.builds(
    Task,
    id=texts.filter(str.strip),
    prompt=texts,
    tests=st.lists(calls | asserts | stdins, min_size=1, max_size=4).map(tuple),
    entry_point=st.none() | st.sampled_from(["f", "größe"]),
    signature=st.none() | st.sampled_from(["def f(x):", "import re\n\ndef f(x: int) -> int:"]),
    setup=st.none() | st.just("x = 1"),
    checker_code=st.just(CHECKER_CODE),
    reference=st.none() | texts,
    limits=st.builds(
        Limits,
        cpu_seconds=positive,
        total_cpu_seconds=positive,
        memory_mb=st.integers(1, 9999),
        output_bytes=st.integers(1, 1 << 30),
    ),
    metadata=st.dictionaries(texts, texts, max_size=3),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(st.lists(tasks, min_size=1, max_size=3, unique_by=lambda task: task.id))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, many: list[Task]) -> None:
    path = tmp_path_factory.getbasetemp() / "round.jsonl"
    dump_jsonl(many, path)
    assert load_jsonl(path) == many
    assert [task_from_json(task_to_json(task)) for task in many] == many
