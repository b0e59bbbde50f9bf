"""What the judge needs to know about a task, worked out once for all programs that it judges."""

import marshal
import secrets
import warnings
from dataclasses import dataclass, replace
from functools import lru_cache
from types import CodeType

from linewise.errors import TaskError
from linewise.judge.checkers import Check, CheckFunction, check_of, load_check
from linewise.judge.child import SETUP_FILE, TEST_FILE
from linewise.judge.job import Job
from linewise.judge.names import SplitPlan, plan_split
from linewise.judge.wire import HEADER
from linewise.types import AssertTest, CallTest, Limits, StdinTest, Task, TestCase, Trust


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Consecutive tests that one run of the program serves: a stdin test alone, calls together, assertions together."""

    first: int
    stop: int
    """Index after the last test."""
    script: bool
    """Whether this is a stdin test."""
    split: bool = False
    """Whether these are assertions that run in a process apart from the program."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The tests of a task, compiled and split into batches. `checks` stay in the parent."""

    tests: tuple[TestCase, ...]
    checks: tuple[Check | None, ...]
    """For each test: what it accepts; None for assertions."""
    codes: tuple[CodeType | None, ...]
    """For each test: what the child evaluates; None for stdin tests."""
    setup: CodeType | None
    batches: tuple[Batch, ...]
    trust: Trust
    split: SplitPlan | None
    """What the assertions need; None where they run beside the program, and where there are none."""

    def batch_at(self, test: int) -> Batch:
        """The rest, from index `test` on, of the batch that it belongs to."""
        batch = next(batch for batch in self.batches if batch.first <= test < batch.stop)
        return batch if batch.first == test else replace(batch, first=test)


def plan_task(task: Task, *, in_process: bool = False) -> Plan:
    """The plan of a task. Raises `TaskError` where a test or the set-up code is not Python or not a literal.

    With `in_process`, assertions run beside the program.
    """
    try:
        return _plan(task.tests, task.setup, task.entry_point, task.checker_code, in_process)
    except TaskError as error:
        raise TaskError(f"task '{task.id}': {error}") from error


@lru_cache(maxsize=4096)
def _plan(
    tests: tuple[TestCase, ...], setup: str | None, entry_point: str | None, checker_code: str | None, in_process: bool
) -> Plan:
    if not tests:
        raise TaskError("it has no tests, so no program can be judged; give it at least one.")
    batches: list[Batch] = []
    for index, test in enumerate(tests):
        script = isinstance(test, StdinTest)
        split = isinstance(test, AssertTest) and not in_process
        first = index
        if batches and not script and not batches[-1].script and batches[-1].split is split:
            first = batches.pop().first
        batches.append(Batch(first=first, stop=index + 1, script=script, split=split))
    assertions = [test.code for test in tests if isinstance(test, AssertTest)]
    codes = tuple(_code(index, test) for index, test in enumerate(tests))
    setup_code = None if setup is None else _compile("setup", setup, SETUP_FILE, "exec")
    function = None if checker_code is None else load_check(checker_code)
    return Plan(
        tests=tests,
        checks=tuple(_check(index, test, function) for index, test in enumerate(tests)),
        codes=codes,
        setup=setup_code,
        batches=tuple(batches),
        trust=(Trust.IN_PROCESS if in_process else Trust.SPLIT) if assertions else Trust.VALUES,
        split=plan_split(assertions, setup or "", entry_point) if assertions and not in_process else None,
    )


def _check(index: int, test: TestCase, function: CheckFunction | None) -> Check | None:
    if isinstance(test, AssertTest):
        return None
    try:
        return check_of(test, function)
    except TaskError as error:
        raise TaskError(f"tests[{index}].{error}") from error


def _code(index: int, test: TestCase) -> CodeType | None:
    if isinstance(test, CallTest):
        return _compile(f"tests[{index}].call", test.call.strip(), TEST_FILE, "eval")
    if isinstance(test, AssertTest):
        return _compile(f"tests[{index}].code", test.code, TEST_FILE, "exec")
    return None


def _compile(field: str, source: str, filename: str, mode: str) -> CodeType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code: CodeType = compile(source, filename, mode, dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        rule = "an expression" if mode == "eval" else "Python code"
        raise TaskError(f"{field} is {source!r}, which is not {rule} ({error}).") from error
    return code


@dataclass(frozen=True, kw_only=True)
class Request:
    """The bytes that a child reads, and the nonce that its claims of passed assertions must carry."""

    frame: bytes
    nonce: str


def request(
    plan: Plan, batch: Batch, source: str, limits: Limits, *, cpu_left: float, record_lines: bool = False
) -> Request:
    """What a child needs to run `batch`: the program and the inputs, never an expected value.

    The child reports at which line it was struck by the limit of one test, or when `cpu_left` seconds were used.
    """
    nonce = secrets.token_hex(8) if plan.trust is Trust.IN_PROCESS else ""
    indices = range(batch.first, batch.stop)
    first = plan.tests[batch.first]
    tests = () if batch.script else tuple((isinstance(plan.tests[i], CallTest), plan.codes[i]) for i in indices)
    job = _job("script" if batch.script else "tests", limits, cpu_left)._replace(
        source=source,
        setup=plan.setup,
        first_test=batch.first,
        tests=tests,
        stdin=first.input.encode("utf-8", "replace") if isinstance(first, StdinTest) else b"",
        nonce=nonce,
        record_lines=record_lines,
    )
    return _framed(job)


def split_requests(
    plan: Plan, batch: Batch, source: str, limits: Limits, *, cpu_left: float, record_lines: bool = False
) -> tuple[Request, Request]:
    """What the program's child and the tests' child of a split batch need: the program, and all of the rest."""
    assert plan.split is not None
    program = _job("program", limits, cpu_left)._replace(
        source=source, setup=plan.split.imports, record_lines=record_lines
    )
    examiner = _job("examiner", limits, cpu_left)._replace(
        setup=plan.setup,
        first_test=batch.first,
        tests=plan.codes[batch.first : batch.stop],
        borrowed=plan.split.borrowed,
        modules=plan.split.modules,
    )
    return _framed(program), _framed(examiner)


def _job(role: str, limits: Limits, cpu_left: float) -> Job:
    return Job(
        role=role,
        cpu_seconds=limits.cpu_seconds,
        total_cpu_seconds=cpu_left,
        max_cpu_seconds=int(limits.total_cpu_seconds) + 2,
        memory_bytes=limits.memory_mb << 20,
        output_bytes=limits.output_bytes,
    )


def _framed(job: Job) -> Request:
    payload = marshal.dumps(tuple(job))
    return Request(frame=HEADER.pack(len(payload)) + payload, nonce=job.nonce)
