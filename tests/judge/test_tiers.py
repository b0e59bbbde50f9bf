"""Which tier a judge uses: the best one, never one below the minimum, and what it says where there is none.

Machines that lack a mechanism are imitated in a process of its own: a filter refuses the system calls (as Docker's
default profile does with unshare), or root becomes a plain user.
"""

import errno
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from linewise.errors import JudgeError, UserError
from linewise.judge import LocalJudge
from linewise.judge.capabilities import Capabilities, Tier, choose_tier, parse_tier, probe
from linewise.judge.kernel import NUMBERS
from linewise.judge.syscalls import ALLOWED, CHECKED, MACHINES, MISSING
from linewise.rollout.records import report_from_record, report_to_record
from linewise.types import Outcome, Report, Verdict

SOURCE = Path(__file__).parents[2] / "src"
COLUMN = MACHINES[platform.machine()].column if platform.machine() in MACHINES else 0
UNSHARE, LANDLOCK, SECCOMP = (NUMBERS[name][COLUMN] for name in ("unshare", "landlock_create_ruleset", "seccomp"))
PIDFD_OPEN = 434
PLAIN_USER = 12345
OTHER_GROUP = 54321
SCRIPT = """
import ctypes, json, os, struct, sys
refused, seccomp, plain_seccomp, alone, user, group, wanted = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
if alone:
    assert libc.unshare(0x10000000) == 0
    for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
if refused:
    code = [(0x20, 0, 0, 0)]
    if plain_seccomp:  # a second argument other than 0 is invalid
        code += [(0x15, 0, 4, seccomp), (0x20, 0, 0, 24), (0x15, 1, 0, 0), (6, 0, 0, 0x50016), (0x20, 0, 0, 0)]
    code += [(0x15, len(refused) - place, 0, number) for place, number in enumerate(refused)]
    code += [(6, 0, 0, 0x7FFF0000), (6, 0, 0, 0x50001)]
    lines = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in code))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.syscall(seccomp, 1, 0, struct.pack("@HP", len(code), ctypes.addressof(lines))) == 0
if user:
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
from linewise.errors import JudgeError
from linewise.judge import LocalJudge
from linewise.judge.capabilities import probe
from linewise.types import CallTest, Limits, Task
attacks = {
    "right": "return 2",
    "fork": "return os.fork()",
    "kill": "return os.kill(os.getppid() or 1, 9)",
    "socket": "import socket; return socket.socket()",
    "environ": "return open(f'/proc/{PARENT}/environ').read()",
    "write": "return open('/usr/linewise-test', 'w')",
    "library": "import sqlite3; sqlite3.connect('x').close(); return 2",
    "setuid": "return os.setuid(0) if os.getuid() else os.setuid(1)",
    "loop": "[0 for _ in iter(int, 1)]",
}
found = {"reasons": probe().reasons}
try:
    with LocalJudge(workers=1, **wanted) as judge:
        found["tier"] = judge.tier
        for name, attack in attacks.items():
            program = f"import os\\nPARENT = {os.getpid()}\\ndef f(): {attack}\\n"
            limits = Limits(cpu_seconds=0.1) if name == "loop" else Limits()
            task = Task(id="t", prompt="", tests=(CallTest(call="f()", expected="2"),), limits=limits)
            outcome = judge.run(task, program).outcomes[0]
            found[name] = outcome.exception or outcome.verdict
except JudgeError as error:
    found["error"] = str(error)
print(json.dumps(found))
"""


def can_become_others() -> bool:
    """Whether this is root that can be another user: a container may withhold the capabilities, or hold one user only."""
    try:
        subprocess.run(["true"], user=PLAIN_USER, group=OTHER_GROUP, extra_groups=[], check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return os.getuid() == 0


needs_root = pytest.mark.skipif(not can_become_others(), reason="only root can become another user")
needs_numbers = pytest.mark.skipif(platform.machine() not in MACHINES, reason="no numbers of system calls to refuse")


@cache
def public_python() -> str:
    """An interpreter of this version that every user may run. Skips where there is none."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [
        Path(getattr(sys, "_base_executable", sys.executable)),
        Path("/usr/local/bin", version),
        Path("/usr/bin", version),
    ]
    for path in candidates:
        if path.exists() and all(folder.stat().st_mode & 1 for folder in (path.resolve(), *path.resolve().parents)):
            return str(path)
    pytest.skip(f"no {version} that every user may run")


def judge_elsewhere(
    *refused: int,
    plain_seccomp: bool = False,
    alone: bool = False,
    user: int = 0,
    group: int | None = None,
    python: str | None = None,
    folder: Path = Path("/tmp"),
    **wanted: Any,
) -> dict[str, Any]:
    """What a judge finds where system calls are refused, or as another user, whose group has the same number by default.

    With `plain_seccomp` the kernel knows no flags of a filter, and `alone` it knows no user but root. `folder` is for
    temporary files.
    """
    setup = [refused, SECCOMP, plain_seccomp, alone, user, user if group is None else group, wanted]
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    done = subprocess.run(
        [python or sys.executable, "-B", "-c", SCRIPT, json.dumps(setup)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(SOURCE), *packages]),
            "TMPDIR": str(folder),
        },
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def assert_isolated(found: dict[str, Any], tier: str) -> None:
    assert found.get("tier") == tier, found
    assert found["right"] == found["library"] == "passed"
    assert {found[name] for name in ("fork", "kill", "socket", "write", "setuid")} <= {
        "PermissionError",
        "FileNotFoundError",
        "OSError",
    }, found
    everyone_may_read = tier == "T2g" and Path("/proc/self/environ").stat().st_mode & 0o004  # on gVisor
    assert found["environ"] in ("PermissionError", "FileNotFoundError") or everyone_may_read
    assert found["loop"] == "timeout"


def skip_unless(tier: Tier) -> None:
    reason = probe().reasons[tier]
    if reason is not None:
        pytest.skip(f"{tier} is not available here: {reason}")


@needs_numbers
def test_without_user_namespaces_a_judge_uses_t2() -> None:
    skip_unless(Tier.T2)
    found = judge_elsewhere(UNSHARE)
    assert_isolated(found, "T2")
    assert "unshare" in found["reasons"]["T1"]


@needs_numbers
def test_a_minimum_is_never_lowered() -> None:
    found = judge_elsewhere(UNSHARE, min_tier="T1")
    assert "tier" not in found
    assert "at least T1" in found["error"]
    assert "unshare: Operation not permitted" in found["error"]
    assert "user namespaces" in found["error"]
    found = judge_elsewhere(UNSHARE, tier="T1", unsafe=True)
    assert "T1" in found["error"]


@needs_root
@needs_numbers
def test_without_landlock_root_gives_programs_a_user_of_their_own() -> None:
    assert_isolated(judge_elsewhere(UNSHARE, LANDLOCK, python=public_python()), "T2g")


@needs_root
@needs_numbers
def test_root_of_a_container_with_a_single_user_keeps_its_id() -> None:
    """As in a rootless container without subordinate ids."""
    skip_unless(Tier.T1)
    assert_isolated(judge_elsewhere(alone=True, python=public_python()), "T1")
    found = judge_elsewhere(UNSHARE, alone=True, python=public_python())
    assert_isolated(found, "T2")
    assert "cannot be one here: Invalid argument" in found["reasons"]["T2g"]


@needs_root
@needs_numbers
def test_a_folder_that_others_cannot_reach_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    found = judge_elsewhere(UNSHARE, LANDLOCK, python=public_python(), folder=tmp_path)
    assert f"cannot reach {tmp_path}" in found["error"]


@needs_root
@needs_numbers
def test_a_plain_user_without_namespaces_and_landlock_is_refused() -> None:
    found = judge_elsewhere(UNSHARE, LANDLOCK, user=PLAIN_USER, python=public_python())
    assert "need at least T2g" in found["error"]
    assert "LINEWISE_JUDGE_UNSAFE=1" in found["error"]
    assert found["reasons"]["T1"] is not None
    assert found["reasons"]["T2"] is not None
    found = judge_elsewhere(UNSHARE, LANDLOCK, user=PLAIN_USER, python=public_python(), unsafe=True)
    assert found["tier"] == "T3"
    assert found["right"] == "passed"


@needs_root
def test_a_plain_user_with_namespaces() -> None:
    skip_unless(Tier.T1)
    assert_isolated(judge_elsewhere(user=PLAIN_USER, python=public_python()), "T1")


@needs_root
def test_the_group_of_a_plain_user_need_not_have_the_users_number() -> None:
    skip_unless(Tier.T1)  # `docker run --user 1000` leaves the group 0
    for group in (0, OTHER_GROUP):
        assert_isolated(judge_elsewhere(user=PLAIN_USER, group=group, python=public_python()), "T1")


@needs_root
@needs_numbers
def test_a_plain_user_without_namespaces() -> None:
    skip_unless(Tier.T2)
    assert_isolated(judge_elsewhere(UNSHARE, user=PLAIN_USER, python=public_python()), "T2")


@needs_numbers
def test_namespaces_without_landlock() -> None:
    skip_unless(Tier.T1)
    assert_isolated(judge_elsewhere(LANDLOCK), "T1")


@needs_root
@needs_numbers
def test_what_gvisor_lacks_is_not_needed() -> None:
    """It has neither Landlock, nor flags of a filter, nor descriptors that tell the end of a process."""
    found = judge_elsewhere(UNSHARE, LANDLOCK, PIDFD_OPEN, plain_seccomp=True, python=public_python())
    assert_isolated(found, "T2g")


@needs_numbers
def test_without_seccomp_nothing_is_left_but_to_refuse() -> None:
    found = judge_elsewhere(SECCOMP)
    assert "seccomp" in found["error"]


# ------------------------------------------------------------------------------------------------------------ the choice

NONE = Capabilities(reasons={Tier.T1: "a", Tier.T2: "b", Tier.T2G: "c", Tier.T3: None}, libraries=())


def test_the_best_tier_is_chosen() -> None:
    for tier in (Tier.T1, Tier.T2, Tier.T2G):
        found = replace(NONE, reasons={**NONE.reasons, tier: None, Tier.T2G: None})
        assert found.choose(minimum=Tier.T2G, unsafe=False) is tier
        for minimum in Tier:
            if tier.at_least(minimum):
                assert found.choose(minimum=minimum, unsafe=False) is tier
            else:
                with pytest.raises(JudgeError, match=f"at least {minimum}"):
                    found.choose(minimum=minimum, unsafe=True)


def test_t3_is_used_only_if_it_is_called_unsafe() -> None:
    assert NONE.choose(minimum=Tier.T2G, unsafe=True) is Tier.T3
    for minimum in Tier:
        with pytest.raises(JudgeError, match="T1: a; T2: b; T2g: c"):
            NONE.choose(minimum=minimum, unsafe=False)
    with pytest.raises(JudgeError, match="unsafe=True"):
        choose_tier(Tier.T3, Tier.T3, unsafe=False)
    with pytest.raises(JudgeError, match="T3"):
        LocalJudge(tier="T3")


def test_the_environment_may_say_unsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linewise.judge.capabilities.probe", lambda: NONE)
    with pytest.raises(JudgeError):
        LocalJudge(workers=1)
    monkeypatch.setenv("LINEWISE_JUDGE_UNSAFE", "1")
    with LocalJudge(workers=1) as judge:
        assert judge.tier is Tier.T3
    with pytest.raises(JudgeError):
        LocalJudge(workers=1, unsafe=False)


def test_without_a_folder_to_write_in_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_usable() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none_usable)  # as in `docker run --read-only`
    for tier in (None, "T3"):
        with pytest.raises(JudgeError, match=r"found in \['/tmp'\]. Remedy: set TMPDIR"):
            LocalJudge(workers=1, tier=tier, unsafe=True)


def test_an_unknown_tier_is_named() -> None:
    with pytest.raises(UserError, match="no tier 'T9'; choose one of T1, T2, T2g, T3"):
        parse_tier("T9")
    with pytest.raises(UserError, match="no tier"):
        LocalJudge(min_tier="best")


def test_the_tier_survives_a_record() -> None:
    report = Report(outcomes=(Outcome(verdict=Verdict.PASSED),), tier="T2")
    record = json.loads(json.dumps(report_to_record(report)))
    assert report_from_record(record) == report
    del record["tier"]  # a record from before there were tiers
    assert report_from_record(record).tier == ""


# ------------------------------------------------------------------------------------------------------------ the tables


@pytest.mark.parametrize("column", [0, 1])
def test_numbers_of_system_calls_are_those_of_the_headers(column: int) -> None:
    header = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm-generic/unistd.h")[column]
    if not Path(header).exists():
        pytest.skip(f"no {header}")
    known = {}
    for line in Path(header).read_text().splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "#define" and words[1].startswith("__NR") and words[2].isdigit():
            known.setdefault(words[1].removeprefix("__NR3264_").removeprefix("__NR_"), int(words[2]))
    known.setdefault("newfstatat", known.get("fstatat", -1))
    ours = {name: numbers[column] for name, numbers in {**ALLOWED, **CHECKED, **MISSING, **NUMBERS}.items()}
    assert {name: number for name, number in ours.items() if number is not None and number != known.get(name)} == {}
