"""What the tiers of isolation refuse, and that programs which do no harm run under each of them.

Every attack must get a truthful verdict in bounded time, and the next program its right one.
"""

import os
import platform
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linewise.judge import LocalJudge
from linewise.judge.capabilities import Tier, probe
from linewise.judge.syscalls import MACHINES
from linewise.types import CallTest, Limits, Outcome, StdinTest, Task, Verdict

LIMITS = Limits(cpu_seconds=0.4, total_cpu_seconds=1.0, memory_mb=256, output_bytes=1 << 16)
BOUND_SECONDS = 20.0
"""Far more than any of these programs should take on a crowded machine."""
F = Task(id="t", prompt="", tests=(CallTest(call="f()", expected="2"),), limits=LIMITS)
PATIENT_F = replace(F, limits=Limits(cpu_seconds=10, total_cpu_seconds=20))
"""For programs that do nothing wrong: their verdict must not hang on how busy the machine is."""
on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="the machine code is that of x86_64")


@pytest.fixture(scope="module", params=["T1", "T2", "T2g"])
def judge(request: pytest.FixtureRequest) -> Iterator[LocalJudge]:
    reason = probe().reasons[Tier(request.param)]
    if reason is not None:
        pytest.skip(f"{request.param} is not available here: {reason}")
    with LocalJudge(workers=1, tier=request.param) as judge:
        yield judge


@pytest.fixture(autouse=True)
def time_is_bounded_and_the_next_verdict_right(judge: LocalJudge) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < BOUND_SECONDS
    right = judge.run(PATIENT_F, "import os\ndef f(): return 2 + len(os.listdir())")
    assert right.passed, right
    assert right.tier == judge.tier
    assert judge.run(F, "def f(): return 3").verdict is Verdict.FAILED


def outcome(judge: LocalJudge, body: str, *, setup: str = "") -> Outcome:
    """What becomes of a program whose function `f` has this body."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return judge.run(F, f"import os, sys\n{setup}\ndef f():\n{lines}").outcomes[0]


def assert_refused(found: Outcome) -> None:
    """The program met an OSError, which ended it."""
    assert found.verdict is Verdict.RUNTIME_ERROR, found
    assert found.exception in ("PermissionError", "FileNotFoundError", "BlockingIOError", "OSError"), found


# ------------------------------------------------------------------------------------------------- processes and signals


@pytest.mark.parametrize(
    "attack",
    [
        "while True: os.fork()",
        "import posix\nwhile True: posix.fork()",
        "os.forkpty()",
        "import subprocess\nreturn subprocess.run(['/bin/true'])",
        "os.execv('/bin/true', ['true'])",
        "os.execv(sys.executable or '/usr/bin/python3', ['python3', '-c', 'pass'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "import multiprocessing\nmultiprocessing.get_context('fork').Process(target=print).start()",
        "os.setsid(); os.fork()",
    ],
)
def test_no_program_starts_another(judge: LocalJudge, attack: str) -> None:
    assert_refused(outcome(judge, attack))


def test_a_fork_bomb_that_does_not_give_up_strikes_its_limit(judge: LocalJudge) -> None:
    found = outcome(judge, "while True:\n    try: os.fork()\n    except OSError: pass")
    assert found.verdict is Verdict.TIMEOUT


def test_a_shell_does_not_run(judge: LocalJudge) -> None:
    assert outcome(judge, "return 2 if os.system('true') != 0 else 3").verdict is Verdict.PASSED


def test_a_thread_bomb_is_bounded(judge: LocalJudge) -> None:
    attack = """
import threading
threading.stack_size(32768)
gate = threading.Event()
for _ in range(100_000): threading.Thread(target=gate.wait, daemon=True).start()
"""
    found = outcome(judge, attack)
    assert found.verdict in (Verdict.RUNTIME_ERROR, Verdict.TIMEOUT, Verdict.MEMORY), found


@pytest.mark.parametrize(
    "attack",
    [
        "os.kill(os.getppid() or 1, 9)",
        "os.kill(1, 9)",
        "os.kill(os.getppid() or 1, signal.SIGSTOP)",
        "os.kill(-1, 9)",
        "os.killpg(os.getpgid(os.getppid() or 1), 9)",
        "os.kill(PARENT, 9)",
        "signal.pidfd_send_signal(os.pidfd_open(os.getppid() or 1), 9)",
        "fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid() or 1)",
        "fcntl.fcntl(0, 10, 9)",  # F_SETSIG
        "fcntl.ioctl(0, 0x8901, struct.pack('i', PARENT))",  # FIOSETOWN
        "resource.prlimit(os.getppid() or 1, resource.RLIMIT_CPU, (0, 0))",
        "os.setpriority(os.PRIO_PROCESS, 0, -10)",
        "os.sched_setaffinity(0, {0})",
    ],
)
def test_no_program_reaches_its_zygote_or_another_process(judge: LocalJudge, attack: str) -> None:
    attack = attack.replace("PARENT", str(os.getpid()))
    assert_refused(outcome(judge, attack, setup="import fcntl, resource, signal, struct"))


@pytest.mark.parametrize(
    "stop", ["os.kill(os.getpid(), 19)", "os.kill(os.getpid(), 19)\nwhile True: pass", "signal.raise_signal(19)"]
)
def test_a_program_that_stops_itself_strikes_the_wall_limit(judge: LocalJudge, stop: str) -> None:
    assert outcome(judge, stop, setup="import signal").verdict is Verdict.TIMEOUT


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os.abort()", "signal.raise_signal(11)"])
def test_a_program_may_end_itself(judge: LocalJudge, end: str) -> None:
    assert outcome(judge, end, setup="import signal").verdict is Verdict.CRASHED


# --------------------------------------------------------------------------------------------------------- system calls

CALLS: dict[str, tuple[Any, ...]] = {
    "vfork": ((58, None),),
    "clone": ((56, 220), 17),
    "clone in a user namespace": ((56, 220), 0x10000000 | 17),
    "clone of a thread in a user namespace": ((56, 220), 0x10000000 | 0x10D00),
    "execve": ((59, 221), 0, 0, 0),
    "execveat": ((322, 281), -100, 0, 0, 0, 0),
    "ptrace": ((101, 117), 0),
    "process_vm_readv": ((310, 270), 1, 0, 0, 0, 0, 0),
    "pidfd_open": ((434, 434), 1, 0),
    "memfd_create": ((319, 279), b"x", 0),
    "memfd_secret": ((447, 447), 0),
    "shmget": ((29, 194), 0, 1 << 20, 0o1600),
    "msgget": ((68, 186), 0, 0o1600),
    "semget": ((64, 190), 0, 1, 0o1600),
    "mq_open": ((240, 180), b"x", 0o102, 0o600, 0),
    "unshare": ((272, 97), 0x10000000),
    "setns": ((308, 268), 0, 0),
    "mount": ((165, 40), b"tmpfs", b"/tmp", b"tmpfs", 0, 0),
    "umount": ((166, 39), b"/tmp", 2),
    "fsopen": ((430, 430), b"tmpfs", 0),
    "chroot": ((161, 51), b"."),
    "pivot_root": ((155, 41), b".", b"."),
    "setuid": ((105, 146), 0),
    "setresuid": ((117, 147), 0, 0, 0),
    "setgroups": ((116, 159), 0, 0),
    "capset": ((126, 91), 0, 0),
    "personality": ((135, 92), 0x0040000),
    "io_uring_setup": ((425, 425), 1, 0),
    "bpf": ((321, 280), 0, 0, 0),
    "keyctl": ((250, 219), 0, 0),
    "add_key": ((248, 217), b"user", b"x", b"x", 1, -3),
    "userfaultfd": ((323, 282), 1),
    "perf_event_open": ((298, 241), 0, 0, -1, -1, 0),
    "open_by_handle_at": ((304, 265), -100, 0, 0),
    "seccomp": ((317, 277), 1, 0, 0),
    "socket (vsock)": ((41, 198), 40, 1, 0),
    "x32 getpid": ((0x40000000 | 39, None),),
    "reboot": ((169, 142), 0, 0, 0, 0),
    "chmod": ((90, None), b"/tmp", 0),
    "fchmodat": ((268, 53), -100, b"/tmp", 0),
    "settimeofday": ((164, 170), 0, 0),
    "mknod": ((133, None), b"x", 0o10600, 0),
    "mknodat": ((259, 33), -100, b"x", 0o10600, 0),
}
"""Numbers on x86_64 and aarch64 (None where there is no such call), and arguments."""


@pytest.mark.skipif(platform.machine() not in MACHINES, reason="no numbers of system calls to try")
def test_dangerous_system_calls_are_refused(judge: LocalJudge) -> None:
    column = MACHINES[platform.machine()].column
    calls = {
        name: (numbers[column], *arguments)
        for name, (numbers, *arguments) in CALLS.items()
        if numbers[column] is not None
    }
    body = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result = libc.syscall(ctypes.c_long(number), *words)
    return ctypes.get_errno() if result < 0 else None
calls = {calls!r}
answers = {{name: call(*arguments) for name, arguments in calls.items()}}
assert call({(39, 172)[column]}) is None  # getpid: the way of calling works
assert call(435, 0, 0) == 38  # clone3 answers ENOSYS, so that libc falls back to clone
wrong = {{name: answer for name, answer in answers.items() if answer != 1}}
return 2 if not wrong else str(wrong)
"""
    found = outcome(judge, body)
    assert found.verdict is Verdict.PASSED, found


@on_x86
def test_the_32_bit_gate_is_closed(judge: LocalJudge) -> None:
    body = """
import ctypes, mmap
area = mmap.mmap(-1, 4096, prot=7)
area.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid of i386); int 0x80; ret
return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(area)))()
"""
    found = outcome(judge, body)
    # gVisor has no such gate: it answers an error, or takes the number for that of a 64-bit call and filters it.
    assert found.verdict is Verdict.CRASHED or int(found.actual or 0) < 0, found


def test_limits_cannot_be_raised(judge: LocalJudge) -> None:
    body = """
for kind in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU):
    try: resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError): pass
return bytearray(1 << 30)
"""
    assert outcome(judge, body, setup="import resource").verdict is Verdict.MEMORY


# ---------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    "path",
    ["/proc/self/environ", "/proc/self/maps", "/proc/PARENT/environ", "/proc/1/environ", "/etc/shadow", "SECRET"],
)
def test_files_of_the_user_and_proc_cannot_be_read(judge: LocalJudge, path: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("918273645")
    if judge.tier is Tier.T2G:
        secret.chmod(0o600)
        if path == "/proc/self/maps":
            pytest.skip("T2g has no means against it")
        if path.endswith("/environ") and Path("/proc/self/environ").stat().st_mode & 0o004:
            pytest.skip("this kernel lets every user read every environment, as gVisor does")
    path = path.replace("PARENT", str(os.getpid())).replace("SECRET", str(secret))
    assert_refused(outcome(judge, f"return open({path!r}, 'rb').read()"))
    assert_refused(outcome(judge, f"os.symlink({path!r}, 'link'); return open('link', 'rb').read()"))


def test_installed_packages_cannot_be_read(judge: LocalJudge) -> None:
    if judge.tier is Tier.T2G:
        pytest.skip("T2g has no means against it")
    folders = [entry for entry in sys.path if entry.endswith("-packages")]
    files = [str(path) for folder in folders for path in Path(folder).glob("*/__init__.py")][:50]
    assert files
    found = outcome(
        judge, f"for name in {files!r}:\n    try: return open(name).read()\n    except OSError: pass\nreturn 2"
    )
    assert found.verdict is Verdict.PASSED, found


def test_nothing_outside_the_box_can_be_changed(judge: LocalJudge, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    before = victim.stat()
    library = os.__file__
    attacks = [
        f"open({str(victim)!r}, 'w')",
        f"os.truncate({str(victim)!r}, 0)",
        f"os.unlink({str(victim)!r})",
        f"os.rename({str(victim)!r}, 'x')",
        f"os.link({str(victim)!r}, 'x'); open('x', 'w')",
        f"os.chmod({str(victim)!r}, 0o777)",
        f"os.utime({str(victim)!r}, (0, 0))",
        f"os.mkdir({str(tmp_path / 'new')!r})",
        f"os.symlink({str(victim)!r}, 'x'); open('x', 'w')",
        f"open({library!r}, 'a')",
        f"os.fchmod(os.open({library!r}, os.O_RDONLY), 0)",
        f"os.utime(os.open({library!r}, os.O_RDONLY), (0, 0))",
        f"os.setxattr({library!r}, 'user.x', b'x')",
        "open('/dev/sda', 'w')",
        "os.mknod('device', 0o20666, os.makedev(1, 1))",
    ]
    if judge.tier is not Tier.T2G:
        attacks.append("os.rmdir(os.getcwd())")
    for attack in attacks:
        assert_refused(outcome(judge, attack))
    assert victim.read_text() == "as it was"
    assert victim.stat().st_mode == before.st_mode
    assert victim.stat().st_mtime == before.st_mtime
    assert list(tmp_path.iterdir()) == [victim]
    assert Path(library).stat().st_mode & 0o400


def test_filling_the_disk_is_bounded(judge: LocalJudge) -> None:
    body = "for n in range(1000):\n    with open(str(n), 'wb') as file: file.write(bytes(1 << 24))"
    found = outcome(judge, body)
    if judge.tier is Tier.T1:
        assert found.exception == "OSError", found
        assert "No space left" in found.message
    else:
        assert found.verdict is Verdict.TIMEOUT, found


def test_a_flood_of_files_is_bounded(judge: LocalJudge) -> None:
    found = outcome(judge, "n = 0\nwhile True:\n    n += 1\n    open(str(n), 'w').close()")
    if judge.tier is Tier.T1:
        assert found.exception == "OSError", found
        assert "No space left" in found.message
    else:
        assert found.verdict is Verdict.TIMEOUT, found


def test_folders_nested_beyond_any_path_are_removed(judge: LocalJudge) -> None:
    found = outcome(judge, "for _ in range(3000):\n    os.mkdir('nested' * 8)\n    os.chdir('nested' * 8)\nreturn 2")
    assert found.verdict in (Verdict.PASSED, Verdict.TIMEOUT)


# -------------------------------------------------------------------------------------------------------------- network


@pytest.mark.parametrize(
    "attack",
    [
        "socket.create_connection(('127.0.0.1', PORT), timeout=1)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
        "socket.socket(socket.AF_INET6, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect('/run/x')",
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', ABSTRACT)",
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', ABSTRACT)",
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendmsg([b'x'], [], 0, ABSTRACT)",
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].connect(ABSTRACT)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "socket.socket(40, socket.SOCK_STREAM)",  # AF_VSOCK
        "socket.socket(38, socket.SOCK_SEQPACKET)",  # AF_ALG
        "socket.getaddrinfo('example.org', 80)",
    ],
)
def test_no_socket_leads_outside(judge: LocalJudge, attack: str) -> None:
    address = f"\0linewise-{os.getpid()}-{threading.get_ident()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
    ):
        listener.bind(address)
        listener.setblocking(False)
        server.setblocking(False)
        attack = attack.replace("PORT", str(server.getsockname()[1])).replace("ABSTRACT", repr(address))
        found = outcome(judge, attack, setup="import socket")
        assert found.verdict is Verdict.RUNTIME_ERROR, found
        assert found.exception in ("PermissionError", "OSError", "gaierror"), found
        with pytest.raises(BlockingIOError):
            listener.recv(1)
        with pytest.raises(BlockingIOError):
            server.accept()


# ------------------------------------------------------------------------------------------------ what must go on working

HARMLESS = {
    "threads": """
import queue, threading
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    assert list(pool.map(lambda n: n * n, range(20))) == [n * n for n in range(20)]
q = queue.Queue()
thread = threading.Thread(target=q.put, args=(2,)); thread.start(); thread.join()
return q.get(timeout=5)
""",
    "sqlite3": """
import sqlite3
with sqlite3.connect("data.db") as base:
    base.execute("create table t (a integer)"); base.execute("insert into t values (2)")
    return base.execute("select a from t").fetchone()[0]
""",
    "tempfile": """
import shutil, tempfile
with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile() as file, tempfile.TemporaryFile():
    open(os.path.join(folder, "a"), "w").write("22")
    shutil.copyfile(os.path.join(folder, "a"), "b")
    os.rename("b", "c"); os.makedirs("d/e"); shutil.move("c", "d/e/c"); shutil.rmtree("d")
return 2
""",
    "asyncio": "import asyncio\nasync def main():\n    await asyncio.sleep(0.001)\n    return 2\nreturn asyncio.run(main())",
    "imports": """
import multiprocessing, ssl, hashlib, zlib, bz2, lzma, uuid, ctypes, xml.etree.ElementTree, csv, email, unittest, doctest
import logging, decimal, zoneinfo, pprint, secrets, inspect, platform, glob, pathlib, argparse, http.client, curses, readline
assert hashlib.sha256(b"").hexdigest().startswith("e3b0")
uuid.uuid4(); secrets.token_hex(); ssl.create_default_context; os.cpu_count(); platform.python_version()
return 2
""",
    "files": """
from pathlib import Path
Path("x").write_text("ab")
with open("x", "r+b") as file:
    file.truncate(1)
assert sorted(os.listdir()) == ["x"] and Path("x").stat().st_size == 1 and open(os.devnull, "w").write("x") == 1
os.symlink("x", "y"); os.replace("y", "z"); os.unlink("z")
return 2
""",
    "time": "import time, signal\ntime.sleep(0.01); signal.alarm(0)\nreturn 2 if time.time() > 0 else 0",
    "recursion": "import resource\nsys.setrecursionlimit(10**5)\nresource.setrlimit(resource.RLIMIT_STACK, "
    "resource.getrlimit(resource.RLIMIT_STACK))\nreturn 2",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_programs_pass(judge: LocalJudge, name: str) -> None:
    limits = Limits(cpu_seconds=5, total_cpu_seconds=10)
    task = Task(id="t", prompt="", tests=F.tests, limits=limits)
    lines = "".join(f"    {line}\n" for line in HARMLESS[name].splitlines())
    report = judge.run(task, f"import os, sys\ndef f():\n{lines}")
    assert report.passed, report


def test_scripts_read_and_print(judge: LocalJudge) -> None:
    task = Task(id="t", prompt="", tests=(StdinTest(input="1 2\n", expected="3\n"),), limits=LIMITS)
    assert judge.run(task, "import sys\nprint(sum(map(int, input().split())), file=sys.stdout)").passed
    assert judge.run(task, "import os\nos.write(1, b'3')").passed
    assert judge.run(task, "print(4)").verdict is Verdict.FAILED


def test_time_lines_and_memory_are_measured_from_outside(judge: LocalJudge) -> None:
    limits = Limits(cpu_seconds=0.3, total_cpu_seconds=0.6)
    task = Task(id="t", prompt="", tests=(CallTest(call="f(1)", expected="2"),) * 2, limits=limits)
    with LocalJudge(workers=1, tier=judge.tier, wall_factor=50) as patient:
        report = patient.run(task, "def f(n):\n    while True:\n        n += 1\n")
    assert [found.verdict for found in report.outcomes] == [Verdict.TIMEOUT] * 2
    assert report.outcomes[0].line in (2, 3)
    assert 0.25 < report.cpu_seconds < 1.0
    error = outcome(judge, "a = 1\nreturn a / 0")
    assert (error.exception, error.line) == ("ZeroDivisionError", 5)
    assert judge.run(F, "def f(): return len(bytearray(100 << 20)) and 2").peak_memory_mb > 100
    assert outcome(judge, "return bytearray(1 << 30)").verdict is Verdict.MEMORY
