"""What running a program against its tests said."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt


class Verdict(StrEnum):
    """What became of one test, or of a program. A fault of the judge is a `JudgeError`, never one of these."""

    PASSED = "passed"
    FAILED = "failed"
    RUNTIME_ERROR = "runtime_error"
    SYNTAX_ERROR = "syntax_error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    CRASHED = "crashed"


class Trust(StrEnum):
    """How far a verdict can be trusted.

    `VALUES`: results are compared in the parent. `SPLIT`: assertions run in a process without the program.
    `IN_PROCESS`: the test shares a process with the program, which could forge it.
    """

    VALUES = "values"
    SPLIT = "split"
    IN_PROCESS = "in_process"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of one test. The parent decides `verdict`; the rest comes from the child and is advisory."""

    verdict: Verdict
    exception: str | None = None
    """Name of the exception's type, such as `ZeroDivisionError`."""
    line: int | None = None
    """1-based line of the program: of the deepest frame inside it, or of the syntax error."""
    message: str = ""
    actual: str | None = None
    """What the program returned or printed, shortened, for people to read."""
    executed_lines: frozenset[int] | None = None
    """1-based lines that ran in this test, or in loading where that failed; None where they are not known."""
    cpu_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """What running one program against all tests of one task said."""

    outcomes: tuple[Outcome, ...]
    """One for each test of the task, in order. A syntax error stands in every one of them."""
    trust: Trust = Trust.VALUES
    """The weakest level among the tests."""
    tier: str = ""
    """The isolation under which it ran: T1, T2, T2g or T3 (docs/judge.md); empty where nobody said."""
    executed_lines: frozenset[int] | None = None
    """1-based lines that ran in loading the program or in any test; None where they were not recorded."""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_memory_mb: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return all(outcome.verdict is Verdict.PASSED for outcome in self.outcomes)

    @property
    def num_passed(self) -> int:
        """Number of tests that passed."""
        return sum(outcome.verdict is Verdict.PASSED for outcome in self.outcomes)

    @property
    def pass_rate(self) -> float:
        """Fraction of tests that passed, in [0, 1]."""
        return self.num_passed / len(self.outcomes)

    @property
    def error(self) -> Outcome | None:
        """The first outcome that is an error: neither passed nor a wrong answer."""
        calm = (Verdict.PASSED, Verdict.FAILED)
        return next((outcome for outcome in self.outcomes if outcome.verdict not in calm), None)

    @property
    def verdict(self) -> Verdict:
        """The program's verdict: its first error, else FAILED if a test failed, else PASSED."""
        if self.error is not None:
            return self.error.verdict
        return Verdict.PASSED if self.passed else Verdict.FAILED

    @property
    def suspiciousness(self) -> Mapping[int, float] | None:
        """Ochiai's coefficient of each executed line, in [0, 1]; the larger, the more suspicious. None: no test told lines.

            s(l) = failed(l) / sqrt(F * (failed(l) + passed(l)))

        where failed(l) and passed(l) count the failing and passing tests that executed line l, and F all failing tests
        (Abreu et al., "On the Accuracy of Spectrum-based Fault Localization", 2007, equation 3). A test fails with any
        verdict but PASSED. Tests whose lines are unknown are left out, also of F. Without a failing test every line has 0.

        Lines that no test executed are absent; all are where nothing ran (a syntax error). Absent are also lines that only
        loading the program ran (`def`, `import`, constants): every call test shares them, so they would dilute the first
        place. The lines come in ascending order.

        Example: a test that ran lines 1 and 2 passed, one that ran 1 and 3 failed: {1: 0.71, 2: 0.0, 3: 1.0}.
        """
        known = [outcome for outcome in self.outcomes if outcome.executed_lines is not None]
        if not known:
            return None
        failed, passed, num_failed = Counter[int](), Counter[int](), 0
        for outcome in known:
            failing = outcome.verdict is not Verdict.PASSED
            num_failed += failing
            (failed if failing else passed).update(outcome.executed_lines or ())
        return {
            line: failed[line] / sqrt(num_failed * (failed[line] + passed[line])) if num_failed else 0.0
            for line in sorted(failed.keys() | passed.keys())
        }
