"""`linewise` itself: the overview, unknown commands, and exceptions as exit codes."""

import subprocess
import sys
from types import ModuleType

import pytest

from linewise import __version__
from linewise.cli.main import COMMANDS, main, usage
from linewise.errors import JudgeError, StorageError, TaskError


def command(monkeypatch: pytest.MonkeyPatch, outcome: object) -> list[list[str]]:
    """Put a command in the place of `report` that raises or returns `outcome`; gives the arguments of its calls."""
    calls: list[list[str]] = []

    def run(arguments: list[str]) -> object:
        calls.append(arguments)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    module = ModuleType("linewise.cli.report")
    module.main = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "linewise.cli.report", module)
    return calls


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_command(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == 0
    captured = capsys.readouterr()
    assert captured.out == usage() + "\n"
    assert captured.err == ""
    for name, text in COMMANDS.items():
        assert f"  {name:<10}{text}\n" in captured.out
    assert "linewise COMMAND [options]" in captured.out


def test_no_command_is_an_error_that_shows_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert usage() in captured.out + captured.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize(("name", "hint"), [("evla", " Did you mean 'eval'?"), ("quantum", "")])
def test_an_unknown_command_gets_the_nearest_name_and_the_overview(
    name: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"linewise: unknown command '{name}'.{hint}\n\n{usage()}\n"


@pytest.mark.parametrize("code", [0, 1])
def test_a_command_gets_the_rest_of_the_line_and_gives_the_exit_code(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = command(monkeypatch, code)
    assert main(["report", "runs/first", "--out", "x"]) == code
    assert calls == [["runs/first", "--out", "x"]]


@pytest.mark.parametrize("kind", [TaskError, JudgeError, StorageError])
def test_our_errors_are_one_line_and_exit_2(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, kind("7 is too many: at most 3. Lower it."))
    assert main(["report"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "linewise report: 7 is too many: at most 3. Lower it.\n"


def test_ctrl_c_exits_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command(monkeypatch, KeyboardInterrupt())
    assert main(["report"]) == 130
    assert capsys.readouterr().err == "linewise report: interrupted\n"


def test_a_missing_package_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"))
    assert main(["report"]) == 2
    err = capsys.readouterr().err
    assert "needs the package 'torch" in err
    assert "pip install 'linewise[train]'" in err


@pytest.mark.parametrize(
    "bug",
    [
        ModuleNotFoundError("No module named 'linewise.gone'", name="linewise.gone"),
        ImportError("half of a circle"),
        ValueError("a bug"),
        AssertionError("a bug"),
    ],
)
def test_a_bug_of_ours_is_not_dressed_up(bug: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, bug)
    with pytest.raises(type(bug), match=str(bug)):
        main(["report"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "rltf"],
        ["eval", "--policy", "stub", "--tasks", "starter"],
        ["judge", "program.py", "--tests", "tasks.jsonl"],
        ["tasks", "list"],
        ["report", "runs/first"],
    ],
)
def test_an_unknown_option_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--no-such-option"])
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no-such-option" in captured.err


def test_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "linewise.cli.main", "nope"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("linewise: unknown command 'nope'.")
