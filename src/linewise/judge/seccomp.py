"""The filter of system calls that each child loads: raw BPF, assembled once in the zygote. Standard library only.

The filter compares the architecture, walks a binary tree over the ranges of call numbers (about seven comparisons) and
for a few calls looks at their arguments. Loading takes about 0.1 ms, so it is one flat array with a few places where
the child's own process id is filled in.
"""

import ctypes
import errno
import struct
from collections.abc import Iterable

from linewise.judge.kernel import PR_SET_NO_NEW_PRIVS, Kernel
from linewise.judge.syscalls import ALLOWED, CHECKED, FIRST_UNKNOWN, MISSING, X32_BIT, Machine

LOAD, JUMP, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
"""BPF: load a word of the call's description, go on further down, three tests, and the end."""
NUMBER_AT, ARCHITECTURE_AT = 0, 4
ALLOW, KILL_PROCESS = 0x7FFF0000, 0x80000000
REFUSE, UNKNOWN = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
SET_MODE_FILTER, SPEC_ALLOW = 1, 4
"""SPEC_ALLOW: without it kernels before 5.16 slow the whole child down. The zygote holds nothing worth leaking."""
CLONE_THREAD, CLONE_NEW_ANY = 0x10000, 0x7E020000
AF_UNIX = 1
IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX. Left out: FIOASYNC and FIOSETOWN, which send signals."""
FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)
"""Duplicates, flags, locks, F_GETPIPE_SZ. Left out: F_SETOWN and F_SETSIG, which send any signal to anyone."""
PRCTLS = (15, 16)
"""PR_SET_NAME and PR_GET_NAME."""

INSTRUCTION = struct.Struct("=HBBI")
"""Operation, two jumps, operand: two 32-bit words, of which the second is the operand."""
Instruction = tuple[int, int, int, int]


def argument_at(index: int, *, high: bool = False) -> int:
    """Where the low (or high) half of an argument stands in the call's description; both machines are little-endian."""
    return 16 + 8 * index + (4 if high else 0)


class Filter:
    """The assembled filter. Build it in the zygote, `load` it in a child."""

    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        """Assemble it and forbid this process to gain privileges, without which a filter may not be loaded."""
        self._kernel = kernel
        code, self._own_id_at = assemble(machine)
        self._words = (ctypes.c_uint32 * (2 * len(code))).from_buffer_copy(
            b"".join(INSTRUCTION.pack(*line) for line in code)
        )
        self._program = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(self._words)))
        self._load = kernel.prepare("seccomp", SET_MODE_FILTER, SPEC_ALLOW, self._program)
        kernel.call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

    def load(self, own_id: int) -> None:
        """Restrict this process for good. `own_id`: its process id. Raises OSError."""
        words = self._words
        for index in self._own_id_at:
            words[2 * index + 1] = own_id
        if self._load() < 0:  # gVisor does not know the flag
            self._kernel.call("seccomp", SET_MODE_FILTER, 0, self._program)


def assemble(machine: Machine) -> tuple[list[Instruction], list[int]]:
    """The instructions, and the places of those whose operand is to become the child's process id."""
    checks, own_id_at = argument_checks()
    decided: dict[int, int] = {}  # call number -> what to return, or -1 minus the place of its check
    for name, numbers in ALLOWED.items():
        _decide(decided, name, numbers[machine.column], ALLOW)
    for name, numbers in MISSING.items():
        _decide(decided, name, numbers[machine.column], UNKNOWN)
    code: list[Instruction] = []
    for name, numbers in CHECKED.items():
        own_id_at[name] = [place + len(code) for place in own_id_at.get(name, [])]
        _decide(decided, name, numbers[machine.column], -len(code) - 1)
        code += checks[name]
    bounds = [(0, REFUSE)]
    for number in sorted(decided):
        bounds = _append(bounds, number, decided[number])
        if number + 1 not in decided:
            bounds = _append(bounds, number + 1, REFUSE)
    bounds = _append(bounds, FIRST_UNKNOWN, UNKNOWN)
    bounds = _append(bounds, X32_BIT, REFUSE)
    head: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (EQUAL, 1, 0, machine.audit),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER_AT),
    ]
    tree = _tree(bounds)
    start = len(head) + len(tree)
    for place, (operation, _, _, target) in enumerate(tree):
        if operation == JUMP:
            tree[place] = (JUMP, 0, 0, start + target - (len(head) + place + 1))
    places = [start + place for name in own_id_at for place in own_id_at[name]]
    return head + tree + code, places


def _decide(decided: dict[int, int], name: str, number: int | None, what: int) -> None:
    if number is not None and decided.setdefault(number, what) != what:
        raise AssertionError(f"two rules for call {number} ({name})")


def _append(bounds: list[tuple[int, int]], number: int, what: int) -> list[tuple[int, int]]:
    """Say that `what` holds from `number` on. What held from the same number on is replaced."""
    if bounds[-1][0] == number:
        bounds = bounds[:-1]
    return bounds if bounds and bounds[-1][1] == what else [*bounds, (number, what)]


def _tree(bounds: list[tuple[int, int]]) -> list[Instruction]:
    """A search tree over `bounds`; its leaves return, or jump to a check (a place relative to the first one)."""
    if len(bounds) == 1:
        what = bounds[0][1]
        return [(RETURN, 0, 0, what)] if what >= 0 else [(JUMP, 0, 0, -what - 1)]
    middle = len(bounds) // 2
    low, high = _tree(bounds[:middle]), _tree(bounds[middle:])
    if len(low) > 255:
        return [(AT_LEAST, 0, 1, bounds[middle][0]), (JUMP, 0, 0, len(low)), *low, *high]
    return [(AT_LEAST, len(low), 0, bounds[middle][0]), *low, *high]


def argument_checks() -> tuple[dict[str, list[Instruction]], dict[str, list[int]]]:
    """For each call of `CHECKED` its instructions, and the places among them that want the process id."""
    own: dict[str, list[int]] = {"kill": [1], "tgkill": [1], "tkill": [1], "prlimit64": [2]}
    to_itself = _one_of(0, [0])
    checks = {
        "clone": [
            (LOAD, 0, 0, argument_at(0)),
            (ANY_BIT, 0, 2, CLONE_THREAD),
            (ANY_BIT, 1, 0, CLONE_NEW_ANY),
            (RETURN, 0, 0, ALLOW),
            (RETURN, 0, 0, REFUSE),
        ],
        "fcntl": _one_of(1, FCNTLS),
        "ioctl": _one_of(1, IOCTLS),
        "prctl": _one_of(0, PRCTLS),
        "socketpair": _one_of(0, [AF_UNIX]),
        "kill": to_itself,
        "tgkill": to_itself,
        "tkill": to_itself,
        "prlimit64": _one_of(0, [0, 0]),
        "sendto": _null(4),  # a pair of datagram sockets could be sent from to any address
    }
    return checks, own


def _one_of(index: int, values: Iterable[int]) -> list[Instruction]:
    """Allow the call if the 32-bit argument is one of `values`."""
    values = list(values)
    tests = [(EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [(LOAD, 0, 0, argument_at(index)), *tests, (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]


def _null(index: int) -> list[Instruction]:
    """Allow the call if the 64-bit argument is zero."""
    return [
        (LOAD, 0, 0, argument_at(index)),
        (EQUAL, 0, 3, 0),
        (LOAD, 0, 0, argument_at(index, high=True)),
        (EQUAL, 0, 1, 0),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    ]
