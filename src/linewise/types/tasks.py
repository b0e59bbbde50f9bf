"""Programming problems and their tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Checker(StrEnum):
    """How a result is compared with what a test expects. A script's output is a list of lines, a line a list of words."""

    EXACT = "exact"
    UNORDERED = "unordered"
    """The items of the outermost list or tuple, or the lines of an output, in any order."""
    UNORDERED_DEEP = "unordered_deep"
    """The items of lists at every depth, or the lines and the words of each line, in any order."""
    SET = "set"
    """The distinct items of the outermost list, tuple or set, or the distinct lines."""
    CODE = "code"
    """The function `check` of the task's `checker_code` decides."""


@dataclass(frozen=True, kw_only=True)
class CallTest:
    """Evaluate `call` in the program's namespace; its value must equal the literal `expected`.

    Example: `CallTest(call="add(2, 3)", expected="5", example=True)`.
    """

    call: str
    """A Python expression, evaluated in the child."""
    expected: str
    """A Python literal. It is parsed and compared in the parent and never reaches the child."""
    example: bool = False
    """True: may be shown to the model. False: hidden."""
    tolerance: float | None = None
    """Relative and absolute tolerance of floats inside the value; None means exact."""
    checker: Checker = Checker.EXACT
    alternatives: tuple[str, ...] = ()
    """Further literals that are accepted beside `expected`."""


@dataclass(frozen=True, kw_only=True)
class AssertTest:
    """Execute `code` in the program's namespace; it must not raise. For tests that no call test can express."""

    code: str
    example: bool = False


@dataclass(frozen=True, kw_only=True)
class StdinTest:
    """Run the program as a script with `input` on stdin; stdout must equal `expected` line by line."""

    input: str
    expected: str
    example: bool = False
    tolerance: float | None = None
    """Relative and absolute tolerance of numbers among the words of a line; None compares lines as text."""
    checker: Checker = Checker.EXACT
    alternatives: tuple[str, ...] = ()
    """Further outputs that are accepted beside `expected`."""


TestCase = CallTest | AssertTest | StdinTest


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one program may use. CPU time is the primary limit, so that a loaded machine does not change verdicts."""

    cpu_seconds: float = 2.0
    """CPU seconds for each test."""
    total_cpu_seconds: float = 10.0
    """CPU seconds for all tests of a program together."""
    memory_mb: int = 512
    """Address space, in MiB, on top of what the judge's own process holds."""
    output_bytes: int = 1 << 20
    """Largest result or standard output of one test, in bytes."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A programming problem with its tests. The format is documented in docs/task-format.md."""

    id: str
    prompt: str
    """What to do, in words; shown to the model."""
    tests: tuple[TestCase, ...]
    entry_point: str | None = None
    """The function that the tests call, if any: `add`, or `Solution.add` for a method."""
    signature: str | None = None
    """Source that the program starts with, such as `def add(a: int, b: int) -> int:`; it ends without a newline."""
    setup: str | None = None
    """Code that runs after the program and before its tests, in the same namespace."""
    checker_code: str | None = None
    """Trusted code that runs in the judge's own process, for tests with the checker `CODE`: docs/task-format.md."""
    reference: str | None = None
    """A whole program that passes every test."""
    limits: Limits = Limits()
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Free keys. `split`, `family`, `source` and `license` are read by Linewise, and `trust`: `in_process` says that the
    assertions cannot run apart from the program."""

    @property
    def example_tests(self) -> tuple[TestCase, ...]:
        """The tests that may be shown to the model."""
        return tuple(test for test in self.tests if test.example)
