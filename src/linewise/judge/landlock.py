"""Landlock: a process gives up every file but those that are named. Standard library only; Linux 5.13 and later.

The ruleset is built once in the zygote; each child restricts itself with it, after which it can read Python's standard
library, write in its box, and nothing else. From version 4 on the rules also refuse TCP, from 6 on abstract sockets
and signals to processes outside the child.
"""

import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from linewise.judge.kernel import Kernel

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_DIR, MAKE_REG, MAKE_SYM, REFER, TRUNCATE = 1 << 7, 1 << 8, 1 << 12, 1 << 13, 1 << 14
NUM_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights over files each version of Landlock knows; later versions know as many as 5."""
READ = READ_FILE | READ_DIR
CHANGE = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | REFER | TRUNCATE
ON_FILES = READ_FILE | WRITE_FILE | TRUNCATE
"""The rights that a rule about a single file may name."""
ALL_TCP, ALL_SCOPES = 0b11, 0b11
CREATE_VERSION, RULE_PATH_BENEATH, LOG_OFF = 1, 1, 1


def version(kernel: Kernel) -> int:
    """The kernel's version of Landlock. Raises OSError where there is none."""
    return kernel.call("landlock_create_ruleset", 0, 0, CREATE_VERSION)


class Ruleset:
    """A set of rules under construction; `restrict` applies it to the calling process for good."""

    def __init__(self, kernel: Kernel) -> None:
        """Create one that refuses everything the kernel's version can refuse. Raises OSError."""
        self._kernel = kernel
        self.version = version(kernel)
        self._handled = (1 << NUM_FILE_RIGHTS.get(self.version, 16)) - 1
        fields = [self._handled]
        if self.version >= 4:
            fields.append(ALL_TCP)
        if self.version >= 6:
            fields.append(ALL_SCOPES)
        attributes = struct.pack(f"={len(fields)}Q", *fields)
        self._fd = kernel.call("landlock_create_ruleset", attributes, len(attributes), 0)
        self._restrict = kernel.prepare("landlock_restrict_self", self._fd, LOG_OFF if self.version >= 7 else 0)

    def allow(self, paths: Iterable[Path], rights: int) -> None:
        """Grant `rights` over files, and over folders with what they hold. What does not exist is passed over."""
        for path in paths:
            with suppress(FileNotFoundError):
                folder = path.is_dir()
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
                granted = rights & self._handled if folder else rights & ON_FILES & self._handled
                try:
                    attributes = struct.pack("=Qi", granted, fd)
                    self._kernel.call("landlock_add_rule", self._fd, RULE_PATH_BENEATH, attributes, 0)
                finally:
                    os.close(fd)

    def restrict(self) -> None:
        """Apply the rules. `no_new_privs` must have been set. Raises OSError."""
        if self._restrict() < 0:  # it may not know the flag
            self._kernel.call("landlock_restrict_self", self._fd, 0)
        os.close(self._fd)
