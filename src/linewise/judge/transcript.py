"""Turns the frames of one child into outcomes. Whatever the child sent, each test gets exactly one verdict."""

import signal
from dataclasses import dataclass, replace
from enum import StrEnum

from linewise.judge.child import MAX_MESSAGE_CHARS
from linewise.judge.compare import describe
from linewise.judge.coverage import decode_lines
from linewise.judge.plan import Batch, Plan
from linewise.judge.wire import FrameReader, Tree, WireError, decode_value
from linewise.types import CallTest, Outcome, Verdict

FRAME_OVERHEAD = 1 << 14
"""Bytes that a frame may need besides a result of the largest size."""
MAX_ACTUAL_CHARS = 200
MAX_NAME_CHARS = 100
MAX_CLAIMED_SECONDS = 3600.0
"""A child that claims to have used more CPU time is not believed."""


class Stop(StrEnum):
    """Why the parent ended a child."""

    CPU = "CPU time limit"
    WALL = "wall time limit"
    OUTPUT = "output limit"
    DONE = "nothing more to say"
    """All frames came, or one that breaks the protocol."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a child ended. Verdicts use it only where the child gave no answer."""

    stop: Stop | None
    """Why the parent ended it; None where it ended by itself."""
    signal: int | None
    """The signal that ended it, if any."""
    cpu_seconds: float
    wall_seconds: float
    peak_memory_mb: float
    starved_seconds: float = 0.0
    """How much of the wall time it waited for a core, as far as a wall limit made the parent ask."""


class Transcript:
    """Reads the frames of one child, which runs `batch` of `plan`.

    Frames must come in order: `begun`, then `loaded`, then one for each test. In each step one `struck` frame (the line
    at the CPU limit) may come before. Any other frame breaks the protocol, and nothing after it is read.
    """

    def __init__(self, plan: Plan, batch: Batch, *, program: str, nonce: str, output_bytes: int) -> None:
        self.plan = plan
        self.batch = batch
        self.num_lines = program.count("\n") + program.count("\r") + 1
        self.nonce = nonce
        self.record_lines = False
        """Whether the child was asked which lines run. What it says unasked is not read."""
        self.begun = False
        """Whether the child got as far as the program. Until then, any failure is the judge's own."""
        self.loaded = False
        self.outcomes: list[Outcome] = []
        """One for each test of the batch that is decided, in order."""
        self.load_error: Outcome | None = None
        """Set where the program or the set-up code failed, so that no test could run."""
        self.ended = False
        """Whether a script ran to its end or raised; its output is judged at the end."""
        self.broken = False
        self.progress = 0
        """Number of steps that were completed: the load and each test."""
        self._reader = FrameReader(output_bytes + FRAME_OVERHEAD)
        self._struck = False
        self._struck_line: int | None = None
        self._script_error: Outcome | None = None
        self._lines: list[frozenset[int] | None] = []
        """Lines that ran in each completed step."""
        self._struck_lines: frozenset[int] | None = None

    @property
    def complete(self) -> bool:
        """Whether the child has nothing more to say."""
        done = len(self.outcomes) == self.batch.stop - self.batch.first
        memory = bool(self.outcomes) and self.outcomes[-1].verdict is Verdict.MEMORY
        return self.load_error is not None or self.ended or done or memory

    @property
    def over(self) -> bool:
        """Whether nothing that the child may still send is read."""
        return self.complete or self.broken

    @property
    def struck(self) -> bool:
        """Whether the child has said at which line the CPU limit struck it in the step that it is in."""
        return self._struck

    def feed(self, data: bytes) -> None:
        """Read bytes from the child. Never raises; `broken` is set where they break the protocol."""
        if self.broken:
            return
        try:
            for content in self._reader.feed(data):
                if self.complete:
                    return
                self._read(content)
        except WireError:
            self.broken = True

    def _read(self, content: dict[str, Tree]) -> None:
        kind = content.get("kind")
        if not self.begun and kind == "begun":
            self.begun = True
            return
        if kind == "struck" and not self._struck:
            self._struck = True
            self._struck_line, self._struck_lines = self._line(content), self._executed(content)
            return
        self.progress += 1
        if not self.loaded:
            self._read_load(kind, content)
        elif content.get("test") != self.batch.first + len(self.outcomes):
            raise WireError("a frame for another test")
        elif self.batch.script:
            self._read_script(kind, content)
        else:
            self._read_test(kind, content)
        self._lines.append(self._executed(content))
        self._struck, self._struck_line, self._struck_lines = False, None, None

    def _read_load(self, kind: Tree, content: dict[str, Tree]) -> None:
        if kind == "loaded":
            self.loaded = True
        elif kind == "syntax":
            self.load_error = self._error(Verdict.SYNTAX_ERROR, content)
        elif kind in ("raised", "failed"):
            self.load_error = self._error(Verdict.RUNTIME_ERROR, content)
        elif kind == "memory":
            self.load_error = self._error(Verdict.MEMORY, content)
        else:
            raise WireError("an unknown frame before the tests")

    def _read_script(self, kind: Tree, content: dict[str, Tree]) -> None:
        if kind in ("raised", "failed"):
            self._script_error = self._error(Verdict.RUNTIME_ERROR, content)
        elif kind == "memory":
            self._script_error = self._error(Verdict.MEMORY, content)
        elif kind != "ended":
            raise WireError("an unknown frame of a script")
        self.ended = True

    def _read_test(self, kind: Tree, content: dict[str, Tree]) -> None:
        index = self.batch.first + len(self.outcomes)
        test = self.plan.tests[index]
        is_call = isinstance(test, CallTest)
        if kind == "value" and is_call and "value" in content:
            self.outcomes.append(self._compare(index, content))
        elif kind == "held" and not is_call and content.get("nonce") == self.nonce:
            self.outcomes.append(Outcome(verdict=Verdict.PASSED, cpu_seconds=_seconds(content)))
        elif kind == "failed":
            self.outcomes.append(self._error(Verdict.RUNTIME_ERROR if is_call else Verdict.FAILED, content))
        elif kind == "raised":
            self.outcomes.append(self._error(Verdict.RUNTIME_ERROR, content))
        elif kind == "memory":
            self.outcomes.append(self._error(Verdict.MEMORY, content))
        elif kind == "too_large" and is_call:
            message = "the returned value is larger than the output limit"
            self.outcomes.append(Outcome(verdict=Verdict.OUTPUT_LIMIT, message=message, cpu_seconds=_seconds(content)))
        else:
            raise WireError("an unknown frame of a test")

    def _compare(self, index: int, content: dict[str, Tree]) -> Outcome:
        check = self.plan.checks[index]
        assert check is not None
        value = decode_value(content["value"])
        difference = check.value_difference(value)
        return Outcome(
            verdict=Verdict.PASSED if difference is None else Verdict.FAILED,
            message=difference or "",
            actual=describe(value, MAX_ACTUAL_CHARS),
            cpu_seconds=_seconds(content),
        )

    def _error(self, verdict: Verdict, content: dict[str, Tree]) -> Outcome:
        exception, message = content.get("exception"), content.get("message")
        return Outcome(
            verdict=verdict,
            exception=exception[:MAX_NAME_CHARS] if isinstance(exception, str) else None,
            line=self._line(content),
            message=message[:MAX_MESSAGE_CHARS] if isinstance(message, str) else "",
            cpu_seconds=_seconds(content),
        )

    def _line(self, content: dict[str, Tree]) -> int | None:
        line = content.get("line")
        return min(max(line, 1), self.num_lines) if type(line) is int else None

    def _executed(self, content: dict[str, Tree]) -> frozenset[int] | None:
        if not self.record_lines:
            return None
        if content.get("kind") == "syntax":
            return frozenset()
        return decode_lines(content.get("lines"), self.num_lines)

    def conclude(self, ending: Ending, output: bytes) -> list[Outcome]:
        """Outcomes of the first tests of the batch, at least one; of all of them where the program did not load."""
        outcomes = self._conclude(ending, output)
        if not self.record_lines:
            return outcomes
        lines = [*self._lines, self._struck_lines]
        if not self.loaded:
            return [replace(outcome, executed_lines=self.loading_lines) for outcome in outcomes]
        return [replace(outcome, executed_lines=ran) for outcome, ran in zip(outcomes, lines[1:], strict=False)]

    @property
    def loading_lines(self) -> frozenset[int] | None:
        """Lines that ran while the program was loaded; None where they are not known."""
        return self._lines[0] if self._lines else self._struck_lines

    def _conclude(self, ending: Ending, output: bytes) -> list[Outcome]:
        remaining = self.batch.stop - self.batch.first
        if self.load_error is not None:
            return [self.load_error] * remaining
        if self.ended and ending.stop is not Stop.OUTPUT:
            return [self._judge_output(output, ending.cpu_seconds)]
        if self.complete and not self.ended:
            return self.outcomes
        unanswered = self._unanswered(ending)
        return [*self.outcomes, unanswered] if self.loaded else [unanswered] * remaining

    def _judge_output(self, output: bytes, cpu_seconds: float) -> Outcome:
        check = self.plan.checks[self.batch.first]
        assert check is not None
        if self._script_error is not None:
            return self._script_error
        text = output.decode("utf-8", "replace")
        difference = check.output_difference(text)
        return Outcome(
            verdict=Verdict.PASSED if difference is None else Verdict.FAILED,
            message=difference or "",
            actual=text if len(text) <= MAX_ACTUAL_CHARS else text[: MAX_ACTUAL_CHARS - 3] + "...",
            cpu_seconds=cpu_seconds,
        )

    def _unanswered(self, ending: Ending) -> Outcome:
        """The outcome of the test that was running when the child ended."""
        verdict, line = Verdict.CRASHED, None
        if ending.stop is Stop.OUTPUT:
            verdict, message = Verdict.OUTPUT_LIMIT, ending.stop.value
        elif ending.stop in (Stop.CPU, Stop.WALL):
            verdict, line, message = Verdict.TIMEOUT, self._struck_line, ending.stop.value
        elif self.broken:
            message = "the program wrote to the judge's own descriptor"
        elif ending.signal is not None:
            message = f"the process was killed: {signal.strsignal(ending.signal)}"
        else:
            message = "the process ended before the test did"
        before = sum(outcome.cpu_seconds for outcome in self.outcomes)
        return Outcome(verdict=verdict, line=line, message=message, cpu_seconds=max(ending.cpu_seconds - before, 0.0))


def _seconds(content: dict[str, Tree]) -> float:
    """CPU seconds of a test as the child measured them."""
    seconds = content.get("cpu")
    return seconds if type(seconds) is float and 0 <= seconds <= MAX_CLAIMED_SECONDS else 0.0
