"""The judge of this machine: one zygote on each core."""

import os
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from linewise.errors import JudgeError, UserError
from linewise.judge.plan import Plan, plan_task
from linewise.judge.worker import UnsplittableError, Worker
from linewise.types import Report, Task, Trust

WINDOW = 32
"""Programs taken in advance for each worker, so that one slow program does not leave the others idle."""


class LocalJudge:
    """Runs programs in forked children of warm interpreters on this machine.

    Build it once and use it for any number of programs, from any thread; `close` it, or use it in a `with` statement.
    The isolation is that of resource limits (docs/judge.md says what that covers).

    Example:
        with LocalJudge() as judge:
            report = judge.run(task, "def add(a, b): return a + b")
    """

    def __init__(self, *, workers: int | None = None, wall_factor: float = 4.0, allow_in_process: bool = False) -> None:
        """Prepare the workers; their processes start with the first programs.

        Args:
            workers: programs judged at the same time; None means one for each core that this process may use.
            wall_factor: how many seconds may pass for each CPU second that a limit grants, for programs that sleep.
            allow_in_process: run assertions that cannot run apart from the program beside it. It can forge their
                verdicts, so never reward them. Without it, such tasks get a `JudgeError`.

        Raises:
            UserError: `workers` or `wall_factor` is less than 1.
            JudgeError: this system is not Linux.
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
        # With fewer workers than cores, two judges would be pinned to the same ones.
        pins = cores if self.workers == len(cores) > 1 else [None] * self.workers
        self._idle = deque(Worker(core=core, wall_factor=wall_factor) for core in pins)
        self._all = tuple(self._idle)
        self._local = threading.local()
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
                obstacle = str(error)
        if self.allow_in_process:
            return self._worker().judge(plan_task(task, in_process=True), task.limits, program)
        raise JudgeError(
            f"task '{task.id}' has assertions that cannot run apart from the program: {obstacle}. Verdicts beside it could "
            "be forged; rewrite them, as call tests for example, or use LocalJudge(allow_in_process=True) without rewards."
        )

    def _worker(self) -> Worker:
        """The worker of the calling thread. A zygote ends with the thread that started it, so they stay together."""
        worker: Worker | None = getattr(self._local, "worker", None)
        if worker is None:
            worker = self._local.worker = self._idle.popleft()
        return worker


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
