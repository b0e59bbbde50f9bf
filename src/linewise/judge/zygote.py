"""A warm interpreter that forks one child for each program and reports how it ended. Standard library only.

It is executed by path (never forked from the trainer), serves one program at a time and never sees a program: those go
from the parent straight to the child. It runs `python -s -S -P`, which is `-I -S` except that the interpreter still
reads PYTHONHASHSEED from the environment that the parent composed, so that sets iterate alike in every run.

Requests on the control socket: RUN with the child's end of the run's socket and, for a script, of its output pipe, and
KILL. Answers: READY once, then for each run STARTED with the child's id and ENDED with its wait status and usage. In a
process namespace of its own, STARTED also carries the id as a credential, which the kernel translates for the reader.
"""

import _sitebuiltins
import atexit
import builtins
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from linewise.judge.isolation import Isolation

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
EXTRA_PROCESSES = 64
"""How many processes and threads a program may add to those that its user already runs (no limit for root)."""
LOOK_MS = 2
"""How often to look whether a child has ended, where the kernel does not tell."""
PRELOADED = """
    abc bisect cmath collections contextlib copy dataclasses datetime decimal enum fractions functools heapq itertools
    json math operator random re statistics string threading time typing
""".split()  # noqa: SIM905
"""Modules that programs use often; each one more makes every fork dearer, any other is imported when asked for."""
WARM_UP = """
import math
from collections import defaultdict
class Pair:
    def __init__(self, left):
        self.left = left
def f(n):
    return [{"a": (n, 1.5), n: {n}} for _ in range(3)]
def g(n):
    raise ValueError(f"{n}")
"""


def main() -> NoReturn:
    """Serve requests until the parent closes the control socket or ends."""
    control = socket.socket(fileno=int(sys.argv[1]))
    parent, scratch, own_id = int(sys.argv[2]), Path.cwd(), os.getpid()
    setup = json.loads(sys.argv[3])
    load_package()
    from linewise.judge import box
    from linewise.judge.isolation import Isolation

    def end(*_signal: object) -> NoReturn:
        """Leave nothing behind. The death signal may interrupt the end itself, which then runs anew and to its end."""
        if os.getpid() == own_id:  # a child inherits the handler
            kill_descendants()
            os.chdir("/")
            box.remove(scratch)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    try:
        prctl = ctypes.CDLL(None).prctl
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        if os.getppid() == parent:  # else it ended before the death signal was set
            if setup["core"] is not None:
                with suppress(OSError):
                    os.sched_setaffinity(0, {setup["core"]})
            os.umask(0o022)
            isolation = Isolation(setup["tier"], map(Path, setup["libraries"]))
            inner = isolation.split()
            if inner == 0:
                preload()
                serve(control, isolation)
            else:
                control.close()  # so that the parent sees the end of the inner process
                os.waitpid(inner, 0)
    except Exception:  # noqa: BLE001  the parent reads it if this process does not start
        sys.excepthook(*sys.exc_info())
    finally:
        end()


def preload() -> None:
    """Import what programs use, without hooks that would run at each fork (reseeding `random` costs 0.3 ms)."""
    register, os.register_at_fork = os.register_at_fork, lambda **_hooks: None
    for name in PRELOADED:
        importlib.import_module(name)
    os.register_at_fork = register
    sys.modules["random"].seed(0)
    builtins.exit = _sitebuiltins.Quitter("exit", "")  # `site` would define these two
    builtins.quit = _sitebuiltins.Quitter("quit", "")
    sys.argv = ["program.py"]


def serve(control: socket.socket, isolation: "Isolation") -> None:
    """Warm up, then answer requests until the control socket is closed."""
    from linewise.judge import child, examiner, program, wire

    child.warm_up(WARM_UP, ["f(2)", "g(2)"])
    child.ROLES.update(program=program.run_program, examiner=examiner.run_examiner)
    program.warm_up(WARM_UP, "f")
    examiner.warm_up("def check(candidate):\n    assert candidate([1, 'a']) == [1, 2.5]\ncheck(f)\ncheck(f)")
    for name in [name for name in sys.modules if name.startswith("linewise")]:
        del sys.modules[name]
    atexit._clear()
    held_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    own_tasks = count_own_tasks()  # /proc may be gone after this
    isolation.seal()
    child.limit_zygote()
    max_processes = EXTRA_PROCESSES + (own_tasks if isolation.program_id is None else 0)
    gc.collect()
    gc.freeze()
    gc.disable()
    control.send(wire.READY)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    while True:
        request, fds, _flags, _address = socket.recv_fds(control, 16, 2)
        if not request:
            return
        if request != wire.RUN:
            continue  # a KILL that crossed with ENDED
        pid = os.fork()
        if pid == 0:
            os.close(control.fileno())
            child.serve(fds[0], fds[1] if len(fds) > 1 else None, held_bytes, max_processes, isolation.apply)
        for fd in fds:
            os.close(fd)
        report_start(control, wire.STARTED.pack(pid), pid if isolation.own_processes else None)
        await_end(pid, control, wire.KILL)
        kill_group(pid)
        _, status, usage = os.wait4(pid, 0)
        if isolation.own_processes:
            kill_everything()
        else:
            kill_descendants()
        control.send(wire.ENDED.pack(status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss))
        isolation.tidy()


def load_package() -> None:
    """Make `linewise.judge` importable without what the packages themselves import: this process has no numpy."""
    folder = Path(__file__).resolve().parent
    for name, path in (("linewise", folder.parent), ("linewise.judge", folder)):
        package = sys.modules[name] = ModuleType(name)
        package.__path__ = [str(path)]


def report_start(control: socket.socket, packet: bytes, named: int | None) -> None:
    """Send STARTED. `named`: the process to name in a credential."""
    if named is None:
        control.send(packet)
    else:
        credential = struct.pack("iII", named, os.getuid(), os.getgid())
        control.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credential)])


def await_end(pid: int, control: socket.socket, kill: bytes) -> None:
    """Return when the child has ended by itself or by a KILL request. It stays unreaped, so its id stays its own."""
    poll = select.poll()
    poll.register(control.fileno(), select.POLLIN)
    pidfd: int | None = None
    with suppress(OSError):  # gVisor has no such descriptors: then the child is looked after now and then
        pidfd = os.pidfd_open(pid)
        poll.register(pidfd, select.POLLIN)
    while True:
        ready = [fd for fd, _event in poll.poll(None if pidfd is not None else LOOK_MS)]
        if pidfd in ready or (pidfd is None and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)):
            break
        if not ready:
            continue
        request = control.recv(16)
        if not request:
            sys.exit()
        if request == kill:
            kill_group(pid)
            os.kill(pid, signal.SIGKILL)  # it may not lead its own group yet
    if pidfd is not None:
        os.close(pidfd)


def kill_group(pid: int) -> None:
    """Kill every process of the child's group. The child must not have been reaped."""
    with suppress(ProcessLookupError):  # it may have ended before it led a group
        os.killpg(pid, signal.SIGKILL)


def kill_descendants() -> None:
    """Kill and reap every process that a program left behind, also those that left its session."""
    while True:
        try:
            pid, _status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            for stray in children():
                os.kill(stray, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(-1, 0)


def kill_everything() -> None:
    """Kill and reap every other process. Only for process 1 of a namespace, where nobody else's are visible."""
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def children() -> Iterator[int]:
    """Ids of the direct children; orphans become direct children, because this process is a subreaper."""
    for pid, fields in _processes():
        if int(fields[1]) == os.getpid():
            yield pid


def count_own_tasks() -> int:
    """Threads that the user runs now."""
    return sum(int(fields[17]) for pid, fields in _processes() if _owner(pid) == os.getuid())


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Each process with the fields of its `stat` file that follow the name: state, parent, group, ..."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has ended
                yield int(folder.name), (folder / "stat").read_text().rpartition(")")[2].split()


def _owner(pid: int) -> int | None:
    try:
        return Path("/proc", str(pid)).stat().st_uid
    except OSError:
        return None


if __name__ == "__main__":
    main()
