"""The data that flows through Linewise, stage by stage. Frozen, torch-free.

    Task -> Prompt -> Completion -> Program -> Report -> Rollout -> Group -> Credit -> Sample

A later stage wraps an earlier one and never fills one of its fields. Shape legend: T is the number of sampled tokens of
one completion; lines are 1-based, as tracebacks and editors count them; character offsets are 0-based and half-open.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import sqrt
from typing import Protocol

import numpy as np
import numpy.typing as npt

from linewise.errors import JudgeError

Floats = npt.NDArray[np.float32]


# ---------------------------------------------------------------------------------------------------------------- tasks


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


# --------------------------------------------------------------------------------------------------- policy and rollout


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """The first part of an answer, sampled before or taken from a reference, from which a policy goes on."""

    text: str
    """What the answer says so far; the prompt's own `text` does not hold it."""
    token_ids: tuple[int, ...] | None
    """The tokens that wrote `text`, so that it need not be tokenised again; None where no token ends where it ends."""
    ends_line: bool
    """Whether what comes next must end the line, or the answer: its last line is whole and has no line end yet."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a policy continues. `text` is tokenised exactly once, as it stands."""

    task_id: str
    text: str
    header: str = ""
    """Program text that the prompt already ends with (a signature, say); the program is `header` + what is sampled."""
    special_tokens: bool = True
    """Whether the tokeniser adds its special tokens; False for a rendered chat template, which holds them already."""
    fenced: bool = False
    """Whether `header` stands inside an open Markdown code fence, so that a closing fence ends the program."""
    begun: Beginning | None = None
    """The beginning of the answer, where it is given; completions hold what comes after it."""
    stream: int | None = None
    """Names the random numbers of its completions; None: its index among the prompts of the call names them."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are drawn."""

    temperature: float = 1.0
    """0 means greedy."""
    top_p: float = 1.0
    max_new_tokens: int = 256


class StopReason(StrEnum):
    """Why sampling ended. Truncation is known, not guessed: it is `LENGTH` and nothing else."""

    EOS = "eos"
    PROGRAM_END = "program_end"
    LENGTH = "length"


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What a policy sampled, with the place of every token in the text.

    Example: ids `(12, 7)` with text `"ab="` and `char_spans ((0, 2), (2, 3))`: token 0 is `"ab"`, token 1 is `"="`.
    """

    prompt_ids: tuple[int, ...]
    """The prompt's tokens exactly as the model saw them."""
    token_ids: tuple[int, ...]
    """[T] sampled tokens, including the end-of-sequence token where one was sampled."""
    logprobs: tuple[float, ...]
    """[T] log-probability of each token under the sampler's distribution at temperature 1 (natural log)."""
    char_spans: tuple[tuple[int, int], ...]
    """[T] characters of `text` that each token wrote; contiguous; empty for special tokens."""
    text: str
    stop_reason: StopReason
    policy_version: int = 0
    """Number of updates the sampling policy had seen."""

    @property
    def truncated(self) -> bool:
        """Whether the completion was cut at the maximum length."""
        return self.stop_reason is StopReason.LENGTH


@dataclass(frozen=True, kw_only=True)
class Program:
    """The code inside a completion: `source[header_chars:] == completion.text[start:end]`."""

    source: str
    """What the judge runs."""
    header_chars: int
    """Leading characters of `source` that were not sampled: the prompt's header, and the answer's given beginning."""
    start: int
    end: int


# ---------------------------------------------------------------------------------------------------------------- judge


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


# --------------------------------------------------------------------------------------------------------------- credit


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One sampled and judged program."""

    task: Task
    completion: Completion
    program: Program
    report: Report
    begun: Beginning | None = None
    """The beginning of the answer, where it was given: its tokens are among the prompt's, and its text is not sampled."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rollouts of one task that were collected together."""

    task: Task
    rollouts: tuple[Rollout, ...]
    baseline: Report | None = None
    """The report of W_base, the program that these rollouts are compared with; None where there is none yet."""


@dataclass(frozen=True, kw_only=True)
class LineScore:
    """What a line-level judge says of one line of a program."""

    line: int
    """1-based line of the program; 0 is the state before its first sampled line."""
    score: float


class KlEstimator(StrEnum):
    """An estimator of KL(pi || ref) from one sampled token, with d = log pi - log ref (`losses/kl.py`)."""

    K1 = "k1"
    K2 = "k2"
    K3 = "k3"


class Need(StrEnum):
    """What a credit assigner reads beside verdicts; models compute it, or the judge records it, on request only."""

    EXECUTED_LINES = "executed_lines"
    REF_LOGPROBS = "ref_logprobs"
    VALUES = "values"
    LINE_SCORES = "line_scores"
    LINE_VALUES = "line_values"
    OUTCOME_PROBS = "outcome_probs"


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What models say of one rollout's tokens and lines when it is collected; None where nobody asked."""

    old_logprobs: Floats | None = None
    """[T] log-probabilities at temperature 1 under the policy that is about to learn, by the trainer's own forward pass."""
    ref_logprobs: Floats | None = None
    """[T] the same under the frozen reference policy."""
    values: Floats | None = None
    """[T] the critic's V(s_t): the return expected before token t is drawn."""
    line_scores: tuple[LineScore, ...] | None = None
    """The process reward model's R_phi(x, y^(1..m)) for each sampled line m, in [-1, 1]."""
    line_values: tuple[LineScore, ...] | None = None
    """V after each sampled line m, in [0, 1]: the expected outcome of going on from there; line 0 is the prompt alone."""
    outcome_probs: Floats | None = None
    """[T] an outcome critic's probability of the true outcome at each token."""


@dataclass(frozen=True, kw_only=True)
class ScoredGroup(Group):
    """A group, and what models say of its rollouts."""

    scores: tuple[Scores, ...]
    """One for each rollout, in order."""


@dataclass(frozen=True, kw_only=True)
class Credit:
    """Per-token numbers that a credit assigner writes for one rollout and a loss executes."""

    rewards: Floats
    """[T]"""
    advantages: Floats
    """[T] factor of each token's log-probability in the policy gradient."""
    weights: Floats
    """[T] chosen weight of each token's loss; 0 drops the token."""
    terms: Mapping[str, Floats]
    """name -> [T]: named parts whose sum is `advantages`; the report draws them."""
    returns: Floats | None = None
    """[T] what a critic is trained towards; None for an algorithm without one."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A rollout with its credit: what the buffer holds and the trainer draws."""

    rollout: Rollout
    credit: Credit
    scores: Scores = Scores()


# ------------------------------------------------------------------------------------------------------------ protocols


class Policy(Protocol):
    """Something that continues prompts."""

    @property
    def version(self) -> int:
        """Number of updates the weights have seen."""

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> str | None:
        """The messages in the model's chat template, ready for the assistant's answer; None without a template."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        num_samples: int,
        sampling: Sampling,
        seed: int,
        is_complete: Callable[[Prompt, str], bool],
        progress: Callable[[int], None] | None = None,
    ) -> list[list[Completion]]:
        """`num_samples` completions of each prompt, in order. A pure function of weights and arguments.

        `is_complete(prompt, text)` ends a completion with `PROGRAM_END` as soon as it says that its program is whole.
        A prompt with `begun` is continued on the very tokens of its beginning; `text` is what comes after them.
        `progress` is called with the number of completions finished since the last call.
        """


class Judge(Protocol):
    """Something that runs a program against the tests of a task."""

    def run(self, task: Task, program: str) -> Report:
        """Judge one program. Raises `JudgeError` where no verdict could be reached."""

    def run_many(self, programs: Iterable[tuple[Task, str]]) -> Iterator[Report | JudgeError]:
        """Judge programs on all workers and yield results in order; a fault of ours is yielded, not raised."""


class CreditAssigner(Protocol):
    """Turns the rollouts of one task into per-token credit; a pure function."""

    @property
    def needs(self) -> frozenset[Need]:
        """What it reads of the scores; all else may be None there."""

    def __call__(self, group: ScoredGroup) -> list[Credit]:
        """One credit for each rollout of the group, in order. An assigner without needs takes any `Group`."""
