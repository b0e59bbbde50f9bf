"""`linewise judge`: exit codes, the drawing, the JSON, and errors that name the remedy."""

import io
import json
from pathlib import Path

import pytest

from linewise.cli.main import main

ADD = {
    "id": "add",
    "prompt": "Add two numbers.",
    "tests": [
        {"kind": "call", "call": "add(2, 3)", "expected": "5"},
        {"kind": "call", "call": "add('a', 'b')", "expected": "'ab'"},
    ],
}
DOUBLE = {
    "id": "double",
    "prompt": "Print the double.",
    "tests": [{"kind": "stdin", "input": "4\n", "expected": "8\n"}],
}


@pytest.fixture
def one(tmp_path: Path) -> str:
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(ADD) + "\n")
    return str(path)


@pytest.fixture
def two(tmp_path: Path) -> str:
    path = tmp_path / "two.jsonl"
    path.write_text(json.dumps(ADD) + "\n" + json.dumps(DOUBLE) + "\n")
    return str(path)


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "program.py"
    path.write_text(text)
    return str(path)


def test_a_right_program(tmp_path: Path, one: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", program(tmp_path, "def add(a, b):\n    return a + b\n"), "--tests", one]) == 0
    out = capsys.readouterr().out
    assert "add: passed, 2 of 2 tests" in out
    assert "trust: values" in out


def test_a_wrong_program_is_drawn_with_its_line_and_values(
    tmp_path: Path, one: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", program(tmp_path, "def add(a, b):\n    return a - b\n"), "--tests", one]) == 1
    out = capsys.readouterr().out
    assert "line 2: TypeError: unsupported operand type(s) for -" in out
    failed = next(line for line in out.splitlines() if "add(2, 3)" in line)
    assert "failed" in failed
    assert failed.split()[-4:-2] == ["5", "-1"]


def test_json(tmp_path: Path, one: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", program(tmp_path, "def add(a, b): return 5"), "--tests", one, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["task_id"] == "add"
    assert report["verdict"] == "failed"
    assert (report["passed"], report["num_passed"], report["num_tests"]) == (False, 1, 2)
    assert [test["verdict"] for test in report["tests"]] == ["passed", "failed"]
    assert report["tests"][1]["actual"] == "5"


def rows_of(out: str) -> dict[int, list[str]]:
    """The words of each row of the drawn program, by line; a marker is dropped."""
    rows = [line.replace(">", " ", 1).split() for line in out.partition("ran:")[0].splitlines()]
    return {int(row[0]): row[1:] for row in rows if row and row[0].isdigit()}


SIGN = "def add(a, b):\n    if a == 2:\n        return a - b\n\n    return a + b\n\n\ndef unused():\n    return 1\n"


def test_lines_that_ran_are_drawn_with_their_suspicion(
    tmp_path: Path, one: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Worked by hand: test 1 fails and runs lines 2 and 3, test 2 passes and runs 2 and 5."""
    assert main(["judge", program(tmp_path, SIGN), "--tests", one, "--executed-lines"]) == 1
    out = capsys.readouterr().out
    rows = rows_of(out)
    assert rows[1][:2] == ["load", "def"]
    assert rows[2][:3] == ["2/2", "0.71", "if"]
    assert rows[3][:3] == ["1/2", "1.00", "return"]
    assert rows[4] == []
    assert rows[5][:3] == ["1/2", "0.00", "return"]
    assert rows[8][:2] == ["load", "def"]
    assert rows[9][:1] == ["return"], "no test ran it"
    assert "suspicion: Ochiai's coefficient" in out


def test_without_a_failure_no_line_is_suspicious(tmp_path: Path, one: str, capsys: pytest.CaptureFixture[str]) -> None:
    right = "def add(a, b):\r\n    return a + b\r\n"
    assert main(["judge", program(tmp_path, right), "--tests", one, "--executed-lines"]) == 0
    out = capsys.readouterr().out
    assert rows_of(out) == {1: ["load", "def", "add(a,", "b):"], 2: ["2/2", "return", "a", "+", "b"]}
    assert "suspicion" not in out


def test_the_error_line_is_marked_among_the_lines_that_ran(
    tmp_path: Path, one: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = program(tmp_path, "def add(a, b):\n    return a - b\n")
    assert main(["judge", path, "--tests", one, "--executed-lines"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith(">")] == ["2"]


def test_lines_that_ran_in_json(tmp_path: Path, one: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = program(tmp_path, SIGN)
    assert main(["judge", path, "--tests", one, "--executed-lines", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["executed_lines"] == [1, 2, 3, 5, 8]
    assert [test["executed_lines"] for test in report["tests"]] == [[2, 3], [2, 5]]
    assert report["suspiciousness"] == {"2": pytest.approx(0.5**0.5), "3": 1.0, "5": 0.0}
    assert main(["judge", path, "--tests", one, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["executed_lines"], report["suspiciousness"]) == (None, None)


def test_assertions_beside_the_program_only_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`globals` is one of the names that need the program's process."""
    tests = tmp_path / "globals.jsonl"
    test = {"kind": "assert", "code": "assert globals()['add'](1, 2) == 3"}
    tests.write_text(json.dumps({"id": "add", "prompt": "p", "tests": [test]}) + "\n")
    arguments = ["judge", program(tmp_path, "def add(a, b): return a + b"), "--tests", str(tests)]
    assert main(arguments) == 2
    assert "allow_in_process" in capsys.readouterr().err
    assert main([*arguments, "--allow-in-process"]) == 0
    assert "in_process" in capsys.readouterr().out


def test_a_syntax_error(tmp_path: Path, one: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", program(tmp_path, "def add(a, b)\n    return a"), "--tests", one]) == 1
    assert "line 1: SyntaxError: expected ':'" in capsys.readouterr().out


def test_a_program_from_standard_input(two: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("print(2 * int(input()))"))
    assert main(["judge", "-", "--tests", two, "--id", "double"]) == 0


def test_control_characters_do_not_reach_the_terminal(
    tmp_path: Path, two: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = program(tmp_path, "print('\\x1b[2J\\x1b]0;title\\x07 [bold]')  # \x1b[31m")
    assert main(["judge", path, "--tests", two, "--id", "double"]) == 1
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert "\x1b[31m" not in out
    assert "[bold]" in out


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ([], "holds 2 tasks (add, double): choose one with --id ID"),
        (["--id", "duble"], "holds no task 'duble'. Did you mean 'double'?"),
    ],
)
def test_the_task_must_be_named(
    tmp_path: Path, two: str, extra: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", program(tmp_path, ""), "--tests", two, *extra]) == 2
    assert words in capsys.readouterr().err


def test_missing_files_are_errors(tmp_path: Path, one: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", str(tmp_path / "none.py"), "--tests", one]) == 2
    assert "cannot read the program" in capsys.readouterr().err
    assert main(["judge", program(tmp_path, ""), "--tests", str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl" in capsys.readouterr().err


def test_help_explains_the_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["judge", "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert "--tests" in out
    assert "PROGRAM.py" in out
    assert "holds the program" in out
    assert "--executed-lines" in out
    assert "could forge" in " ".join(out.replace("│", " ").split())


def test_the_tiers_of_isolation_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "--capabilities", "--json"]) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert list(found["tiers"]) == ["T1", "T2", "T2g", "T3"]
    assert all(tier["available"] is (tier["reason"] is None) for tier in found["tiers"].values())
    code = main(["judge", "--capabilities"])
    out = " ".join(capsys.readouterr().out.split())
    assert code == (1 if found["best"] == "T3" else 0)
    assert f"Programs run under {found['best']}" in out or "No program is run without --unsafe" in out
    for name, tier in found["tiers"].items():
        assert f"{name} yes" in out or not tier["available"]


def test_program_and_tests_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge"]) == 2
    assert "--capabilities" in capsys.readouterr().err
