"""Judges programs one after another on one zygote, which it replaces when anything is wrong with it."""

import threading
import time

from linewise.errors import JudgeError
from linewise.judge.capabilities import Tier
from linewise.judge.plan import Plan, request
from linewise.judge.process import Child, ZygoteFault, ZygoteProcess, kill_group
from linewise.judge.transcript import Ending, Transcript
from linewise.types import Limits, Outcome, Report, Verdict

MAX_CHILDREN = 20_000
"""A zygote is replaced after so many children."""
ATTEMPTS = 2


class Worker:
    """One zygote and the thread that calls `judge`. Only `stop` may be called from another thread."""

    def __init__(
        self,
        *,
        core: int | None,
        wall_factor: float,
        record_lines: bool = False,
        tier: Tier = Tier.T3,
        libraries: tuple[str, ...] = (),
    ) -> None:
        self.core = core
        self.record_lines = record_lines
        self.tier = tier
        self.libraries = libraries
        self.wall_factor = wall_factor
        self._zygote: ZygoteProcess | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def judge(self, plan: Plan, limits: Limits, program: str) -> Report:
        """Run `program` against all tests. Raises `JudgeError` if that failed twice through no fault of its own."""
        faults: list[str] = []
        while len(faults) < ATTEMPTS:
            try:
                return self._judge(plan, limits, program)
            except (ZygoteFault, OSError) as fault:
                self.close()
                if self._stopped:
                    raise JudgeError("the judge was closed while it worked on this program") from fault
                faults.append(str(fault))
        raise JudgeError(f"no verdict after {ATTEMPTS} attempts: the judge's process failed ({'; '.join(faults)})")

    def _judge(self, plan: Plan, limits: Limits, program: str) -> Report:
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
            found, ending, loading_lines = self._run_child(plan, limits, program, first=len(outcomes), cpu_left=left)
            outcomes.extend(found)
            executed.extend([loading_lines, *(outcome.executed_lines for outcome in found)])
            # A program that sleeps is charged for that too, or else it could hold the worker for ever.
            charged += max(ending.cpu_seconds, ending.wall_seconds / self.wall_factor)
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
        self, plan: Plan, limits: Limits, program: str, *, first: int, cpu_left: float
    ) -> tuple[list[Outcome], Ending, frozenset[int] | None]:
        batch = plan.batch_at(first)
        cpu_seconds = min(limits.cpu_seconds, cpu_left)
        ask = request(plan, batch, program, limits, cpu_left=cpu_left, record_lines=self.record_lines)
        transcript = Transcript(plan, batch, program=program, nonce=ask.nonce, output_bytes=limits.output_bytes)
        transcript.record_lines = self.record_lines
        child = Child(self._ready_zygote(), transcript, ask.frame, max_output_bytes=limits.output_bytes)
        try:
            ending = child.follow(cpu_seconds=cpu_seconds, total_cpu_seconds=cpu_left, wall_factor=self.wall_factor)
        except BaseException:
            if child.pid is not None:
                kill_group(child.pid)
            raise
        finally:
            child.close()
        if not transcript.begun:
            raise ZygoteFault("a child ended before it came to the program")
        return transcript.conclude(ending, bytes(child.output)), ending, transcript.loading_lines

    def _ready_zygote(self) -> ZygoteProcess:
        if self._zygote is not None and self._zygote.num_children >= MAX_CHILDREN:
            self.close()
        if self._zygote is None:
            zygote = ZygoteProcess(self.tier, self.libraries, self.core)
            with self._lock:
                self._zygote = zygote
            if self._stopped:
                raise ZygoteFault("the judge was closed")
        return self._zygote

    def stop(self) -> None:
        """Abort what `judge` is doing; safe from any thread."""
        self._stopped = True
        with self._lock:
            if self._zygote is not None:
                self._zygote.kill()

    def close(self) -> None:
        """End the zygote. The next `judge` starts another one."""
        with self._lock:
            zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.close()
