"""Judges programs one after another on one zygote, which it replaces when anything is wrong with it."""

import threading
import time

from linewise.errors import JudgeError
from linewise.judge.capabilities import Tier
from linewise.judge.plan import Batch, Plan, request, split_requests
from linewise.judge.process import Child, ZygoteFault, ZygoteProcess, kill_group
from linewise.judge.split import SplitRun, SplitTranscript
from linewise.judge.transcript import Ending, Stop, Transcript
from linewise.types import Limits, Outcome, Report, Verdict

MAX_CHILDREN = 20_000
"""A zygote is replaced after so many children."""
ATTEMPTS = 2
PROGRAMS, TESTS = 0, 1
"""Zygotes of a worker: one forks children that run programs, the other those that run the assertions of split tests."""


class UnsplittableError(Exception):
    """Assertions turned out to need the process of the program."""


class Worker:
    """Its zygotes and the thread that calls `judge`. Only `stop` may be called from another thread."""

    def __init__(
        self,
        *,
        core: int | None,
        wall_factor: float,
        record_lines: bool,
        tier: Tier,
        libraries: tuple[str, ...],
    ) -> None:
        self.core = core
        self.record_lines = record_lines
        self.tier = tier
        self.libraries = libraries
        self.wall_factor = wall_factor
        self._zygotes: dict[int, ZygoteProcess] = {}
        self._stopped = False
        self._lock = threading.Lock()

    def judge(self, plan: Plan, limits: Limits, program: str, *, splittable: bool = False) -> Report:
        """Run `program` against all tests. Raises `JudgeError` if that failed twice through no fault of its own.

        Raises `UnsplittableError` where assertions turn out to need the process of the program. With `splittable` they are
        known not to: then it is the program that led them there, and the test is `crashed`.
        """
        faults: list[str] = []
        while len(faults) < ATTEMPTS:
            try:
                return self._judge(plan, limits, program, splittable)
            except (ZygoteFault, OSError) as fault:
                self.close()
                if self._stopped:
                    raise JudgeError("the judge was closed while it worked on this program") from fault
                faults.append(str(fault))
        raise JudgeError(f"no verdict after {ATTEMPTS} attempts: the judge's process failed ({'; '.join(faults)})")

    def _judge(self, plan: Plan, limits: Limits, program: str, splittable: bool) -> Report:
        started = time.monotonic()
        outcomes: list[Outcome] = []
        executed: list[frozenset[int] | None] = []
        charged = cpu_seconds = peak_memory_mb = 0.0
        while len(outcomes) < len(plan.tests):
            left = limits.total_cpu_seconds - charged
            if left <= 0:
                spent = Outcome(verdict=Verdict.TIMEOUT, message="the CPU time of all tests together is used up")
                outcomes.extend([spent] * (len(plan.tests) - len(outcomes)))
                break
            found, ending, loading_lines = self._run_child(
                plan, limits, program, first=len(outcomes), cpu_left=left, splittable=splittable
            )
            outcomes.extend(found)
            executed.extend([loading_lines, *(outcome.executed_lines for outcome in found)])
            # A program that sleeps is charged for that too, or else it could hold the worker for ever.
            awake = ending.wall_seconds - ending.starved_seconds
            charged += max(ending.cpu_seconds, awake / self.wall_factor)
            cpu_seconds += ending.cpu_seconds
            peak_memory_mb = max(peak_memory_mb, ending.peak_memory_mb)
            if found[-1].verdict is Verdict.SYNTAX_ERROR:
                outcomes.extend([found[-1]] * (len(plan.tests) - len(outcomes)))
        known = [lines for lines in executed if lines is not None]
        return Report(
            outcomes=tuple(outcomes),
            trust=plan.trust,
            tier=self.tier.value,
            executed_lines=frozenset().union(*known) if known else None,
            cpu_seconds=cpu_seconds,
            wall_seconds=time.monotonic() - started,
            peak_memory_mb=peak_memory_mb,
        )

    def _run_child(
        self, plan: Plan, limits: Limits, program: str, *, first: int, cpu_left: float, splittable: bool
    ) -> tuple[list[Outcome], Ending, frozenset[int] | None]:
        batch = plan.batch_at(first)
        cpu_seconds = min(limits.cpu_seconds, cpu_left)
        if batch.split:
            return self._run_split(
                plan, batch, limits, program, cpu_seconds=cpu_seconds, cpu_left=cpu_left, splittable=splittable
            )
        ask = request(plan, batch, program, limits, cpu_left=cpu_left, record_lines=self.record_lines)
        transcript = Transcript(plan, batch, program=program, nonce=ask.nonce, output_bytes=limits.output_bytes)
        transcript.record_lines = self.record_lines
        child = Child(self._ready_zygote(PROGRAMS), transcript, ask.frame, max_output_bytes=limits.output_bytes)
        try:
            ending = child.follow(cpu_seconds=cpu_seconds, total_cpu_seconds=cpu_left, wall_factor=self.wall_factor)
        except BaseException:  # also Ctrl-C: the child must not outlive it; raised again, so never a verdict
            if child.pid is not None:
                kill_group(child.pid)
            raise
        finally:
            child.close()
        if not transcript.begun:
            raise ZygoteFault("a child ended before it came to the program")
        return transcript.conclude(ending, bytes(child.output)), ending, transcript.loading_lines

    def _run_split(
        self,
        plan: Plan,
        batch: Batch,
        limits: Limits,
        program: str,
        *,
        cpu_seconds: float,
        cpu_left: float,
        splittable: bool,
    ) -> tuple[list[Outcome], Ending, frozenset[int] | None]:
        transcript = SplitTranscript(plan, batch, program=program, output_bytes=limits.output_bytes)
        zygotes = self._ready_zygote(PROGRAMS), self._ready_zygote(TESTS)
        transcript.record_lines = transcript.program.record_lines = self.record_lines
        requests = split_requests(plan, batch, program, limits, cpu_left=cpu_left, record_lines=self.record_lines)
        run = SplitRun(zygotes, transcript, requests, max_output_bytes=limits.output_bytes)
        try:
            ending = run.follow(cpu_seconds=cpu_seconds, total_cpu_seconds=cpu_left, wall_factor=self.wall_factor)
        except BaseException:  # as above
            run.close(kill=True)
            raise
        run.close()
        # A program that used up its time at once may have ended the run before the tests' child was under way.
        late = transcript.program.loaded and not transcript.begun and ending.stop is not Stop.CPU
        if late or not transcript.program.begun:
            raise ZygoteFault("a child ended before it came to its work")
        if transcript.obstacle and not splittable:
            raise UnsplittableError(transcript.obstacle)
        return transcript.conclude(ending, b""), ending, transcript.loading_lines

    def _ready_zygote(self, role: int) -> ZygoteProcess:
        zygote = self._zygotes.get(role)
        if zygote is not None and zygote.num_children < MAX_CHILDREN:
            return zygote
        if zygote is not None:
            self._close(role)
        zygote = ZygoteProcess(self.tier, self.libraries, self.core)
        with self._lock:
            self._zygotes[role] = zygote
        if self._stopped:
            raise ZygoteFault("the judge was closed")
        return zygote

    def stop(self) -> None:
        """Abort what `judge` is doing; safe from any thread."""
        self._stopped = True
        with self._lock:
            for zygote in self._zygotes.values():
                zygote.kill()

    def close(self) -> None:
        """End the zygotes. The next `judge` starts others."""
        for role in (PROGRAMS, TESTS):
            self._close(role)

    def _close(self, role: int) -> None:
        with self._lock:
            zygote = self._zygotes.pop(role, None)
        if zygote is not None:
            zygote.close()
