"""One zygote process and the children that it forks, as the parent sees them."""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from linewise.judge import box
from linewise.judge.capabilities import ENVIRONMENT, Tier
from linewise.judge.transcript import Ending, Stop, Transcript
from linewise.judge.wire import ENDED, KILL, READY, RUN, STARTED

START_SECONDS = 60.0
"""How long a zygote may take to become ready on a crowded machine."""
ANSWER_SECONDS = 20.0
"""How long a zygote may take to start a child, or to bury it once it has been killed."""
PATIENCE_MS = 8
"""Most programs end within it. Until then the parent sleeps through their frames, which saves it a wake-up for each."""
CPU_GRACE = 0.08
"""CPU seconds beyond the limit in which a child may say at which line it was struck. Its timer counts in ticks of the kernel
and lags behind the clock that the parent reads, the more so the more processes share the core."""
HANGUP_SECONDS = 0.5
"""How long a child may live on after it has closed its socket."""
MIN_WALL_SECONDS = 1.0
"""Wall limits are never shorter: on a crowded machine a process may wait so long for a core."""
MAX_STARVED_SHARE = 0.95
"""At most so much of the time that has passed may count as waiting for a core, so that wall limits stay limits."""
CHUNK = 1 << 18
MAX_CHUNKS = 16
"""More than a socket or a pipe holds, so that all is read of a child that has ended."""
CREDENTIAL = struct.Struct("iII")
"""Process, user and group id, as `struct ucred` has them."""
CREDENTIAL_SPACE = socket.CMSG_SPACE(CREDENTIAL.size) if hasattr(socket, "CMSG_SPACE") else 0


class ZygoteFault(Exception):  # noqa: N818  it is not an error of the program, and never leaves the judge
    """The zygote is gone, late or incoherent; what it was doing has to be done again by another one."""


class ZygoteProcess:
    """A running zygote. Construct, `start_child` any number of times, one after another, then `close`."""

    def __init__(self, tier: Tier, libraries: Sequence[str] = (), core: int | None = None) -> None:
        """Start the process under a tier of isolation, pinned to `core` if one is given. Raises `ZygoteFault`.

        `libraries`: shared libraries that programs may load (`Capabilities.libraries`).
        """
        self.num_children = 0
        self.own_processes = tier is Tier.T1
        """Whether the zygote counts processes otherwise than this process does."""
        self.scratch = tempfile.mkdtemp(prefix="linewise-judge-")
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if self.own_processes:
            self.control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        script = Path(__file__).with_name("zygote.py")
        setup = json.dumps({"tier": tier, "libraries": list(libraries), "core": core})
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-s", "-S", "-P", "-B", str(script), str(theirs.fileno()), str(os.getpid()), setup],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=self.scratch,
                env=ENVIRONMENT,
                start_new_session=True,
            )
        try:
            self._await_ready()
        except BaseException:  # also Ctrl-C: no process may be left behind
            self.close()
            raise

    def _await_ready(self) -> None:
        try:
            ready, _ = self.receive(time.monotonic() + START_SECONDS)
        except ZygoteFault as fault:
            self.process.kill()
            assert self.process.stderr is not None
            reason = self.process.stderr.read().decode("utf-8", "replace")[-1000:]
            raise ZygoteFault(f"it did not start: {reason.strip() or fault}") from fault
        if ready != READY:
            raise ZygoteFault(f"it greeted with {ready!r}")

    def receive(self, deadline: float) -> tuple[bytes, int | None]:
        """The zygote's next packet, and the process that its credential names, if it has one, as this process counts.

        Raises `ZygoteFault` if none comes until `deadline` (monotonic seconds).
        """
        self.control.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            packet, ancillary, _flags, _address = self.control.recvmsg(
                64, CREDENTIAL_SPACE if self.own_processes else 0
            )
        except OSError as error:
            raise ZygoteFault(f"no answer: {error}") from error
        if not packet:
            raise ZygoteFault("it ended")
        named = [CREDENTIAL.unpack(data)[0] for _level, kind, data in ancillary if kind == socket.SCM_CREDENTIALS]
        return packet, named[0] if named else None

    def send(self, packet: bytes, fds: list[int] | None = None) -> None:
        """Send a packet and descriptors. Raises `ZygoteFault`."""
        self.control.settimeout(ANSWER_SECONDS)
        try:
            socket.send_fds(self.control, [packet], fds or [])
        except OSError as error:
            raise ZygoteFault(f"it takes no requests: {error}") from error

    def kill(self) -> None:
        """Kill the process at once; safe from any thread. `close` is still due."""
        self.process.kill()

    def close(self) -> None:
        """End the process with everything below it and remove its folder."""
        self.control.close()  # it sees the end of the socket, kills its child and empties its folder
        try:
            self.process.wait(timeout=ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()
        box.remove(Path(self.scratch))


class Child:
    """One forked child, from the request to its end."""

    def __init__(
        self,
        zygote: ZygoteProcess,
        transcript: Transcript,
        frame: bytes,
        *,
        max_output_bytes: int,
        channel: socket.socket | None = None,
    ) -> None:
        """Have `zygote` fork and send the request `frame` to the child. Raises `ZygoteFault`.

        `channel` is the child's end of a socket to another child; this one stays open here.
        """
        self.zygote = zygote
        self.transcript = transcript
        self.max_output_bytes = max_output_bytes
        self.output = bytearray()
        self.started = time.monotonic()
        self.hung_up = False
        """Whether the child has closed its socket; an honest one does so by ending."""
        self.pid: int | None = None
        self.packet: bytes | None = None
        """The ENDED packet, once it has come."""
        with ExitStack() as theirs, ExitStack() as ours:
            self.results, their_results = socket.socketpair()
            ours.callback(self.results.close)
            theirs.callback(their_results.close)
            fds = [their_results.fileno()]
            self.output_fd: int | None = None
            if transcript.batch.script:
                self.output_fd, their_output = os.pipe()
                ours.callback(os.close, self.output_fd)
                theirs.callback(os.close, their_output)
                os.set_blocking(self.output_fd, False)
                fds.append(their_output)
            elif channel is not None:
                fds.append(channel.fileno())
            zygote.num_children += 1
            zygote.send(RUN, fds)
            theirs.close()
            self._send_request(frame)
            self._ours = ours.pop_all()

    def _send_request(self, frame: bytes) -> None:
        self.results.settimeout(ANSWER_SECONDS)
        try:
            self.results.sendall(frame)
        except TimeoutError as error:
            raise ZygoteFault("the child does not read its request") from error
        except OSError:
            pass  # it has already ended; its zygote tells how
        self.results.setblocking(False)

    def close(self) -> None:
        """Close the parent's descriptors."""
        self._ours.close()

    def follow(self, *, cpu_seconds: float, total_cpu_seconds: float, wall_factor: float) -> Ending:
        """Read what the child sends until it has ended, or end it at a limit. Raises `ZygoteFault`.

        Args:
            cpu_seconds: CPU seconds for the load and for each test.
            total_cpu_seconds: CPU seconds for everything that this child does.
            wall_factor: the same limits, times this factor, hold for the wall time; at least 1 second each.
        """
        self.await_hangup(PATIENCE_MS)
        clock = Clock(cpu_seconds, total_cpu_seconds, wall_factor, self.started)
        stop = self._watch(clock)
        if self.packet is None:
            self.zygote.send(KILL)
            if not self.ends_within(ANSWER_SECONDS):
                raise ZygoteFault("it did not bury a child")
        self.drain()
        assert self.packet is not None
        status, used, peak_kb = ENDED.unpack(self.packet)
        return Ending(
            stop=Stop.OUTPUT if len(self.output) > self.max_output_bytes else stop,
            signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            cpu_seconds=used,
            wall_seconds=time.monotonic() - self.started,
            peak_memory_mb=peak_kb / 1024,
            starved_seconds=clock.starved,
        )

    def await_hangup(self, milliseconds: int) -> None:
        """Wait until the child closes its socket. Frames do not end the wait: it polls for nothing else."""
        poll = select.poll()
        poll.register(self.results.fileno(), 0)
        self.hung_up = bool(poll.poll(milliseconds))

    def _watch(self, clock: "Clock") -> Stop | None:
        """Follow the child to its end. Returns why it must be ended; None where it ended by itself."""
        poll = select.poll()
        poll.register(self.zygote.control.fileno(), select.POLLIN)
        poll.register(self.results.fileno(), select.POLLIN)
        if self.output_fd is not None:
            poll.register(self.output_fd, select.POLLIN)
        while self.packet is None:
            self.drain()
            if len(self.output) > self.max_output_bytes:
                return Stop.OUTPUT
            if self.hung_up:
                return None if self.ends_within(HANGUP_SECONDS) else Stop.DONE
            if self.transcript.over:
                return Stop.DONE
            clock.grace = 0.0 if self.transcript.struck else CPU_GRACE
            stop = clock.stop(process_cpu_seconds(self.pid), self.transcript.progress, [self.pid])
            if stop is not None:
                return stop
            for fd, event in poll.poll(clock.next_check_ms(process_cpu_seconds(self.pid))):
                if fd == self.zygote.control.fileno():
                    self.take_packet()
                elif fd == self.results.fileno():
                    self.hung_up = bool(event & select.POLLHUP)
                elif not event & select.POLLIN:
                    poll.unregister(fd)  # closed: its end would wake the poll forever
        return None

    def ends_within(self, seconds: float) -> bool:
        """Whether the zygote reports the child's end in time."""
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self.zygote.control.fileno(), select.POLLIN)
        while self.packet is None:
            if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
                return False
            self.take_packet()
        return True

    def take_packet(self) -> None:
        """Read what the zygote says of the child. Raises `ZygoteFault`."""
        packet, named = self.zygote.receive(time.monotonic() + ANSWER_SECONDS)
        if len(packet) == STARTED.size and self.pid is None:
            self.pid = named if self.zygote.own_processes else STARTED.unpack(packet)[0]
        elif len(packet) == ENDED.size and self.pid is not None:
            self.packet = packet
        else:
            raise ZygoteFault("an answer out of turn")

    def drain(self) -> None:
        """Read what is there, at most a little more than the limits allow."""
        _read_all(lambda: self.results.recv(CHUNK), self._feed)
        if self.output_fd is not None:
            output_fd = self.output_fd
            _read_all(lambda: os.read(output_fd, CHUNK), self._keep_output)

    def _feed(self, data: bytes) -> bool:
        self.transcript.feed(data)
        return not self.transcript.over

    def _keep_output(self, data: bytes) -> bool:
        self.output += data
        return len(self.output) <= self.max_output_bytes


def _read_all(read: Callable[[], bytes], take: Callable[[bytes], bool]) -> None:
    """Hand to `take` what can be read without waiting, until it says False; not for ever, since limits are checked between."""
    with suppress(BlockingIOError, ConnectionResetError):
        for _ in range(MAX_CHUNKS):
            data = read()
            if not data or not take(data):
                return


class Clock:
    """The limits of one child: for each step (the load, each test) and for all together, CPU first, then wall."""

    def __init__(self, cpu_seconds: float, total_cpu_seconds: float, wall_factor: float, started: float) -> None:
        self.cpu_seconds = cpu_seconds
        self.total_cpu_seconds = total_cpu_seconds
        self.wall_factor = wall_factor
        self.started = started
        self.progress = 0
        self.cpu_mark = 0.0
        self.wall_mark = started
        self.grace = CPU_GRACE
        """CPU seconds granted beyond each limit."""
        self.starved = 0.0
        """Seconds that the processes are known to have waited for a core, by which the wall limits are extended."""

    def stop(self, cpu: float, progress: int, pids: Sequence[int | None]) -> Stop | None:
        """Which limit has been reached, if any.

        Args:
            cpu: CPU seconds that the processes have used so far.
            progress: number of steps that they have completed.
            pids: the processes, whose time in wait for a core is not counted; None for one that is not known yet.
        """
        now = time.monotonic()
        if progress != self.progress:
            self.progress, self.cpu_mark, self.wall_mark = progress, cpu, now
        if self._cpu_left(cpu) <= 0:
            return Stop.CPU
        if self._wall_left(now) > 0:
            return None
        # Looked up only now: few programs come here. What was waited for before counts for later steps too.
        starved = sum(map(starved_seconds, pids))
        self.starved = min(starved, (now - self.started) * MAX_STARVED_SHARE)
        return Stop.WALL if self._wall_left(now) <= 0 else None

    def next_check_ms(self, cpu: float) -> float:
        """Milliseconds after which a limit could have been reached."""
        left = min(self._cpu_left(cpu), self._wall_left(time.monotonic()))
        return max(left * 1000 + 1, 1)

    def _cpu_left(self, cpu: float) -> float:
        return min(self.cpu_mark + self.cpu_seconds, self.total_cpu_seconds) + self.grace - cpu

    def _wall_left(self, now: float) -> float:
        step = self.wall_mark + max(self.cpu_seconds * self.wall_factor, MIN_WALL_SECONDS)
        total = self.started + max(self.total_cpu_seconds * self.wall_factor, MIN_WALL_SECONDS)
        return min(step, total) + self.starved - now


def process_cpu_seconds(pid: int | None) -> float:
    """CPU time that a process has used, by its own clock; 0 before it is known and after it has ended."""
    if pid is None:
        return 0.0
    try:
        return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) returns
    except OSError:
        return 0.0


def starved_seconds(pid: int | None) -> float:
    """How long the main thread of a process has waited for a core while it could have run; 0 where nobody says."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def kill_group(pid: int) -> None:
    """Kill what is left of a child whose zygote is gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
