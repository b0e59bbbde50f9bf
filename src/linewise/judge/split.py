"""One split run as the parent sees it: a child with the program, a child with the assertions, a socket between the two.

The two are forked by different zygotes, so that no process that ever ran a program is an ancestor of one that decides.
"""

import os
import select
import socket
import time
from contextlib import ExitStack

from linewise.judge.plan import Batch, Plan, Request
from linewise.judge.process import (
    ANSWER_SECONDS,
    HANGUP_SECONDS,
    PATIENCE_MS,
    Child,
    Clock,
    ZygoteFault,
    ZygoteProcess,
    kill_group,
    process_cpu_seconds,
)
from linewise.judge.transcript import Ending, Stop, Transcript
from linewise.judge.wire import ENDED, KILL, Tree
from linewise.types import Outcome, Verdict


class ProgramTranscript(Transcript):
    """Reads the frames of the program's child: how loading went, then lines at CPU limits, which are advisory.

    Nothing else that it says after the program was loaded counts, whatever it is. A verdict that depended on it would depend
    on which of the two children the parent hears first.
    """

    deaf = False
    """Whether the stream broke after that."""

    @property
    def over(self) -> bool:
        """Whether nothing that the child may still send is read."""
        return self.deaf or super().over

    def feed(self, data: bytes) -> None:
        """Read bytes from the child. Never raises; `broken` is set where they break the protocol before the tests."""
        if self.deaf:
            return
        super().feed(data)
        if self.loaded and self.broken:
            self.broken, self.deaf = False, True

    @property
    def complete(self) -> bool:
        """Whether the program failed to load, so that no test can run."""
        return self.load_error is not None

    @property
    def struck_line(self) -> int | None:
        """The line at which the CPU limit struck last."""
        return self._struck_line

    @property
    def struck_lines(self) -> frozenset[int] | None:
        """The lines that had run by then."""
        return self._struck_lines

    def _read(self, content: dict[str, Tree]) -> None:
        if self.loaded and content.get("kind") == "struck":
            self._struck_line, self._struck_lines = self._line(content), self._executed(content)
        elif not self.loaded:
            super()._read(content)


class SplitTranscript(Transcript):
    """Reads the frames of the tests' child, which is trusted, and joins them with what became of the program."""

    def __init__(self, plan: Plan, batch: Batch, *, program: str, output_bytes: int) -> None:
        super().__init__(plan, batch, program=program, nonce="", output_bytes=output_bytes)
        self.program = ProgramTranscript(plan, batch, program=program, nonce="", output_bytes=output_bytes)
        self.obstacle = ""
        """Why the assertions cannot run apart from the program; empty where they could."""

    @property
    def finished(self) -> bool:
        """Whether nothing that may still come can change an outcome."""
        return self.complete or self.broken or self.program.complete or self.program.broken or bool(self.obstacle)

    def _read(self, content: dict[str, Tree]) -> None:
        if content.get("kind") == "unsplittable":
            self.obstacle = str(content.get("message"))
        else:
            super()._read(content)

    def _read_test(self, kind: Tree, content: dict[str, Tree]) -> None:
        if kind == "too_large":
            message = "the program handed over a value larger than the output limit"
            self.outcomes.append(Outcome(verdict=Verdict.OUTPUT_LIMIT, message=message))
        else:
            super()._read_test(kind, content)

    @property
    def loading_lines(self) -> frozenset[int] | None:
        """Lines that ran while the program was loaded; None where they are not known."""
        return self.program.loading_lines

    def conclude(self, ending: Ending, output: bytes) -> list[Outcome]:
        """Outcomes of the first tests of the batch, at least one; of all of them where the program did not load."""
        if not self.program.loaded:
            self.outcomes = []  # it answered while it was being loaded, in the name of what it would become
        self.load_error = self.program.load_error or self.load_error
        self.loaded = self.loaded and self.program.loaded
        self.broken = self.broken or self.program.broken
        self._struck_line, self._struck_lines = self.program.struck_line, self.program.struck_lines
        return super().conclude(ending, output)

    def _unanswered(self, ending: Ending) -> Outcome:
        if self.obstacle:
            return Outcome(verdict=Verdict.CRASHED, message=f"the program led its tests astray: {self.obstacle}")
        return super()._unanswered(ending)


class SplitRun:
    """The two children of one split batch. Construct, `follow`, `close`."""

    def __init__(
        self,
        zygotes: tuple[ZygoteProcess, ZygoteProcess],
        transcript: SplitTranscript,
        requests: tuple[Request, Request],
        *,
        max_output_bytes: int,
    ) -> None:
        """Have the first zygote fork the program's child and the second the tests'. Raises `ZygoteFault`."""
        self.transcript = transcript
        self.started = time.monotonic()
        self.children: list[Child] = []
        transcripts = (transcript.program, transcript)
        with ExitStack() as theirs, ExitStack() as undo:
            undo.callback(self.close, kill=True)
            ends = socket.socketpair()
            for end in ends:
                theirs.callback(end.close)
            for zygote, log, request, end in zip(zygotes, transcripts, requests, ends, strict=True):
                child = Child(zygote, log, request.frame, max_output_bytes=max_output_bytes, channel=end)
                self.children.append(child)
                end.close()  # or else the other child would not see this one end
            undo.pop_all()

    def follow(self, *, cpu_seconds: float, total_cpu_seconds: float, wall_factor: float) -> Ending:
        """Read what the children send until both have ended, or end them at a limit. Raises `ZygoteFault`.

        The limits are those of `Child.follow`; the CPU time of both children counts.
        """
        program, tests = self.children
        tests.await_hangup(PATIENCE_MS)
        clock = Clock(cpu_seconds, total_cpu_seconds, wall_factor, self.started)
        stop = self._watch(clock)
        for child in (program, tests):
            if child.packet is None:
                child.zygote.send(KILL)
        for child in (program, tests):
            if not child.ends_within(ANSWER_SECONDS):
                raise ZygoteFault("it did not bury a child")
            child.drain()
        return self._ending(stop, clock.starved)

    def _ending(self, stop: Stop | None, starved_seconds: float) -> Ending:
        endings = [ENDED.unpack(child.packet) for child in self.children if child.packet is not None]
        signals = [os.WTERMSIG(status) if os.WIFSIGNALED(status) else None for status, _, _ in endings]
        return Ending(
            stop=stop,
            signal=signals[0] or signals[1],
            cpu_seconds=sum(used for _, used, _ in endings),
            wall_seconds=time.monotonic() - self.started,
            peak_memory_mb=max(peak_kb for _, _, peak_kb in endings) / 1024,
            starved_seconds=starved_seconds,
        )

    def _watch(self, clock: Clock) -> Stop | None:
        """Follow the children to their end. Returns why they must be ended; None where both ended by themselves."""
        tests = self.children[1]
        poll = select.poll()
        owners: dict[int, Child] = {}
        for child in self.children:
            for fd in (child.zygote.control.fileno(), child.results.fileno()):
                poll.register(fd, select.POLLIN)
                owners[fd] = child
        while True:
            for child in self.children:
                child.drain()
            if tests.hung_up:
                return None if all(child.ends_within(HANGUP_SECONDS) for child in self.children) else Stop.DONE
            if self.transcript.finished:
                return Stop.DONE
            progress = self.transcript.progress + self.transcript.program.progress
            stop = clock.stop(self._cpu_seconds(), progress, [child.pid for child in self.children])
            if stop is not None:
                return stop
            for fd, event in poll.poll(clock.next_check_ms(self._cpu_seconds())):
                child = owners[fd]
                if fd == child.zygote.control.fileno():
                    child.take_packet()
                elif event & select.POLLHUP:
                    child.hung_up = True
                    poll.unregister(fd)  # its end would wake the poll forever

    def _cpu_seconds(self) -> float:
        return sum(process_cpu_seconds(child.pid) for child in self.children)

    def close(self, *, kill: bool = False) -> None:
        """Close the parent's descriptors; with `kill`, end what their zygotes may not have ended."""
        for child in self.children:
            if kill and child.pid is not None:
                kill_group(child.pid)
            child.close()
