"""The judge of this machine: one zygote on each core."""

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from itertools import islice
from types import TracebackType
from typing import Self

from linewise.errors import JudgeError, UserError
from linewise.judge.capabilities import Tier, choose_tier, parse_tier, unsafe_by_environment
from linewise.judge.plan import Plan, plan_task
from linewise.judge.worker import UnsplittableError, Worker
from linewise.types import Report, Task, TestCase, Trust

WINDOW = 32
"""Programs taken in advance for each worker, so that one slow program does not leave the others idle."""


class LocalJudge:
    """Runs programs in forked children of warm interpreters on this machine.

    Build it once and use it for any number of programs, from any thread; `close` it, or use it in a `with` statement.
    Programs run under the best tier of isolation that this machine offers, and under none less than `min_tier`
    (docs/judge.md says what each covers). `tier` names it.

    Example:
        with LocalJudge() as judge:
            report = judge.run(task, "def add(a, b): return a + b")
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        wall_factor: float = 4.0,
        record_lines: bool = False,
        allow_in_process: bool = False,
        min_tier: str = Tier.T2G,
        tier: str | None = None,
        unsafe: bool | None = None,
    ) -> None:
        """Prepare the workers; their processes start with the first programs.

        Args:
            workers: programs judged at the same time; None means one for each core that this process may use.
            wall_factor: how many seconds may pass for each CPU second that a limit grants, for programs that sleep.
            record_lines: whether reports tell which lines ran; docs/judge.md says what it costs.
            allow_in_process: run assertions that cannot run apart from the program beside it. It can forge their
                verdicts, so never reward them. Without it, such tasks get a `JudgeError`.
            min_tier: the weakest isolation to accept: T1, T2 or T2g.
            tier: use exactly this tier instead of the best one.
            unsafe: accept T3 where nothing better can be had; None asks LINEWISE_JUDGE_UNSAFE in the environment.

        Raises:
            UserError: `workers` or `wall_factor` is less than 1, or a tier is unknown.
            JudgeError: this system is not Linux, or does not offer the isolation that is asked for.
        """
        if sys.platform != "linux":
            raise JudgeError(f"the judge needs Linux 5.3 or later and this is {sys.platform}; use a container or a VM.")
        cores = sorted(os.sched_getaffinity(0))
        self.allow_in_process = allow_in_process
        self.workers = len(cores) if workers is None else workers
        if self.workers < 1:
            raise UserError(f"workers is {workers}; it must be at least 1, or None for one on each core.")
        if wall_factor < 1:
            raise UserError(f"wall_factor is {wall_factor}; it must be at least 1, since CPU time takes wall time.")
        unsafe = unsafe_by_environment() if unsafe is None else unsafe
        self.tier, libraries = choose_tier(parse_tier(min_tier), None if tier is None else parse_tier(tier), unsafe)
        # With fewer workers than cores, two judges would be pinned to the same ones.
        pins = cores if self.workers == len(cores) > 1 else [None] * self.workers
        self._idle = deque(
            Worker(core=core, wall_factor=wall_factor, record_lines=record_lines, tier=self.tier, libraries=libraries)
            for core in pins
        )
        self._all = tuple(self._idle)
        self._local = threading.local()
        self._splittable: dict[tuple[tuple[TestCase, ...], str | None, str], bool] = {}
        """For tests and a reference that met an obstacle to running apart: whether the reference passes them so."""
        self._closed = False
        self._executor = ThreadPoolExecutor(self.workers, thread_name_prefix="linewise-judge")

    def run(self, task: Task, program: str) -> Report:
        """Judge one program. Raises `JudgeError` where no verdict could be reached, `TaskError` for a broken task."""
        return _result(self._submit(task, program))

    def run_many(self, programs: Iterable[tuple[Task, str]]) -> Iterator[Report | JudgeError]:
        """Judge programs on all workers and yield results in order; a fault of the judge is yielded, not raised.

        `programs` is read as results are taken, at most 32 programs for each worker in advance.
        """
        pending: deque[Future[Report]] = deque()
        try:
            for task, program in programs:
                pending.append(self._submit(task, program))
                while pending and (pending[0].done() or len(pending) >= WINDOW * self.workers):
                    yield _settled(pending.popleft())
            while pending:
                yield _settled(pending.popleft())
        finally:
            for future in pending:
                future.cancel()

    def run_unordered(self, programs: Iterable[tuple[Task, str]]) -> Iterator[tuple[int, Report | JudgeError]]:
        """Like `run_many`, but each result comes as soon as it is there, with the place of its program in `programs`.

        One endless loop then holds up nothing. `programs` is read no further ahead than in `run_many`.
        """
        pending: dict[Future[Report], int] = {}
        try:
            for place, (task, program) in enumerate(programs):
                pending[self._submit(task, program)] = place
                if len(pending) >= WINDOW * self.workers:
                    wait(pending, return_when=FIRST_COMPLETED)
                for future in [future for future in pending if future.done()]:
                    yield pending.pop(future), _settled(future)
            while pending:
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    yield pending.pop(future), _settled(future)
        finally:
            for future in pending:
                future.cancel()

    async def run_async(self, task: Task, program: str) -> Report:
        """`run` for asyncio: other coroutines go on meanwhile. Cancelling it gives up a program that waits for its turn."""
        future = self._submit(task, program)
        waiter = asyncio.wrap_future(future)
        try:
            await asyncio.wait([waiter])
        finally:
            _hear(waiter)
        return _result(future)

    async def run_many_async(
        self, programs: Iterable[tuple[Task, str]]
    ) -> AsyncIterator[tuple[int, Report | JudgeError]]:
        """`run_unordered` for asyncio, with the same back-pressure."""
        pending: dict[asyncio.Future[Report], tuple[int, Future[Report]]] = {}
        jobs = enumerate(programs)
        more = True
        try:
            while more or pending:
                for place, (task, program) in islice(jobs, WINDOW * self.workers - len(pending)):
                    future = self._submit(task, program)
                    pending[asyncio.wrap_future(future)] = (place, future)
                more = len(pending) == WINDOW * self.workers
                if pending:
                    done, _rest = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                    for waiter in done:
                        place, future = pending.pop(waiter)
                        _hear(waiter)
                        yield place, _settled(future)
        finally:
            for waiter in pending:
                _hear(waiter)

    def close(self) -> None:
        """End all processes. A program that is being judged gets a `JudgeError`."""
        self._closed = True
        self._executor.shutdown(wait=False, cancel_futures=True)
        for worker in self._all:
            worker.stop()
        self._executor.shutdown(wait=True)
        for worker in self._all:
            worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _submit(self, task: Task, program: str) -> Future[Report]:
        if self._closed:
            raise JudgeError("this judge is closed; build another one.")
        plan = plan_task(task)
        return self._executor.submit(lambda: self._judge(task, plan, program))

    def _judge(self, task: Task, plan: Plan, program: str) -> Report:
        obstacle = plan.split.obstacle if plan.split is not None else ""
        if plan.split is not None and task.metadata.get("trust") == Trust.IN_PROCESS:
            obstacle = obstacle or "its metadata say so"
        if not obstacle:
            try:
                return self._worker().judge(plan, task.limits, program)
            except UnsplittableError as error:
                if self._reference_passes(task, plan):
                    return self._worker().judge(plan, task.limits, program, splittable=True)
                obstacle = str(error)
        if self.allow_in_process:
            return self._worker().judge(plan_task(task, in_process=True), task.limits, program)
        raise JudgeError(
            f"task '{task.id}' has assertions that cannot run apart from the program: {obstacle}. Verdicts beside it could "
            "be forged; rewrite them, as call tests for example, or use LocalJudge(allow_in_process=True), on the command line "
            "--allow-in-process, without rewards."
        )

    def _reference_passes(self, task: Task, plan: Plan) -> bool:
        """Whether the task's own program passes apart from the tests, so that another one that does not led them astray."""
        if task.reference is None:
            return False
        key = plan.tests, task.setup, task.reference
        if key not in self._splittable:
            try:
                self._splittable[key] = self._worker().judge(plan, task.limits, task.reference).passed
            except UnsplittableError:
                self._splittable[key] = False
        return self._splittable[key]

    def _worker(self) -> Worker:
        """The worker of the calling thread. A zygote ends with the thread that started it, so they stay together."""
        worker: Worker | None = getattr(self._local, "worker", None)
        if worker is None:
            worker = self._local.worker = self._idle.popleft()
        return worker


def _hear(waiter: asyncio.Future[Report]) -> None:
    """Cancel a future that is not done, and with it its program; take note of an exception, or asyncio would log it."""
    if not waiter.cancel() and not waiter.cancelled():
        waiter.exception()


def _result(future: Future[Report]) -> Report:
    try:
        return future.result()
    except CancelledError as error:
        raise JudgeError("the judge was closed before it came to this program") from error


def _settled(future: Future[Report]) -> Report | JudgeError:
    try:
        return _result(future)
    except JudgeError as error:
        return error
