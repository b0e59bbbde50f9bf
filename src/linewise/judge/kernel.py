"""System calls that Python does not offer, through ctypes. Standard library only."""

import ctypes
import os
from collections.abc import Callable
from functools import partial
from typing import Any

NUMBERS = {
    "capset": (126, 91),
    "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "seccomp": (317, 277),
    "umount2": (166, 39),
    "unshare": (272, 97),
}
"""On x86_64 and on aarch64."""
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
_LIBC = ctypes.CDLL(None, use_errno=True)
_QUICK = ctypes.CDLL(None).syscall
"""Without the copy of errno, which costs a child some page faults."""
_QUICK.restype = ctypes.c_long


class Kernel:
    """Makes system calls by name. Build it before the fork: ctypes pays for its first use."""

    def __init__(self, column: int) -> None:
        """Take the numbers of an architecture (`syscalls.Machine.column`)."""
        self._numbers = {name: numbers[column] for name, numbers in NUMBERS.items()}
        self._syscall = _LIBC.syscall
        self._syscall.restype = ctypes.c_long

    def prepare(self, name: str, *arguments: Any) -> Callable[[], int]:
        """A call made ready, for a child that is in a hurry: it runs no Python. Negative where the kernel refuses."""
        words = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
        return partial(_QUICK, ctypes.c_long(self._numbers[name]), *words)

    def call(self, name: str, *arguments: Any) -> int:
        """Make a call; integers are passed as 64 bits. Raises OSError."""
        words = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
        result: int = self._syscall(ctypes.c_long(self._numbers[name]), *words)
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")
        return result
