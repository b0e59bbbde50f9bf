"""Puts a tier of isolation into force: once for a zygote, then for each of its children. Standard library only.

A zygote calls `split`, warms up, calls `seal`; each child calls `apply` before it touches the program. Whatever of a
tier cannot be had raises OSError: a zygote does not start rather than run programs under less than it was told.
"""

import os
import signal
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from linewise.judge import box, landlock, namespaces, readable
from linewise.judge.kernel import PR_SET_PDEATHSIG, Kernel
from linewise.judge.seccomp import Filter
from linewise.judge.syscalls import machine

NAMESPACES, LANDLOCK, USER, NOTHING = "T1", "T2", "T2g", "T3"
FIRST_PROGRAM_ID, NUM_PROGRAM_IDS = 61184, 4096
"""User ids for programs, by the zygote's process id. systemd reserves these numbers for short-lived services."""
USER_CAPABILITIES = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "KILL": 5, "SETGID": 6, "SETUID": 7}
"""What it takes to run programs under another user id and to clean up after them."""
NO_CAPABILITIES = struct.pack("=Ii", 0x20080522, 0), bytes(24)


class Isolation:
    """One tier, for one zygote."""

    def __init__(self, tier: str, libraries: Iterable[Path]) -> None:
        """Prepare `tier`. `libraries`: shared libraries that modules of the standard library load."""
        self.tier = tier
        self.libraries = list(libraries)
        self.box = Path.cwd()
        self.ruleset: landlock.Ruleset | None = None
        self.program_id: int | None = None
        """The user id of programs; None where they keep the zygote's."""
        self.group_id: int | None = None
        if tier != NOTHING:
            self.machine = machine()
            self.kernel = Kernel(self.machine.column)

    @property
    def own_processes(self) -> bool:
        """Whether process ids here differ from those of the parent's world, and nobody else's processes are visible."""
        return self.tier == NAMESPACES

    def split(self) -> int:
        """Enter namespaces where the tier has them. Like a fork: 0 goes on as the zygote, else wait for that process."""
        if self.tier != NAMESPACES:
            return 0
        others = _may_change_user() and readable.library_is_public()
        if namespaces.enter(self.kernel, _free_user_id() if others else None):
            self.program_id = self.group_id = namespaces.INNER_PROGRAM_ID
        inner = os.fork()
        if inner == 0:
            self.kernel.call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        return inner

    def seal(self) -> None:
        """Restrict the zygote's own view as far as its children need it, and prepare what they apply."""
        if self.tier == NOTHING:
            return
        if self.tier == NAMESPACES:
            user = os.getuid() if self.program_id is None else self.program_id
            group = os.getgid() if self.group_id is None else self.group_id
            namespaces.seal(self.kernel, self.box, user, group, self.libraries)
            self.box = namespaces.BOX
        else:
            self._choose_user()
        if self.program_id is not None:
            os.setgroups([])
        if self.tier != USER:
            self._prepare_landlock()
        self._drop_capabilities = self.kernel.prepare("capset", *NO_CAPABILITIES)
        self._die_with_parent = self.kernel.prepare("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        self.filter = Filter(self.kernel, self.machine)

    def _choose_user(self) -> None:
        """Give programs a user id of their own if this process may, and if that user could read the library."""
        hindrance = self._why_no_user()
        if hindrance is None:
            number = _free_user_id()
            try:
                os.chown(self.box, number, number)
                self.program_id = self.group_id = number
            except OSError as error:  # a rootless container may hold a single user
                hindrance = f"programs need a user id of their own, and {number} cannot be one here: {error.strerror}"
        if hindrance is not None and self.tier == USER:
            raise OSError(hindrance)

    def _why_no_user(self) -> str | None:
        """What keeps programs from having a user id of their own, if anything."""
        if not _may_change_user():
            return "programs need a user id of their own, and this process may not give them one"
        folders = readable.library_folders()
        if not readable.library_is_public() or not all(map(readable.open_to_others, folders)):
            return f"other users cannot read {', '.join(map(str, folders))}"
        if not readable.open_to_others(self.box):
            return f"other users cannot reach {self.box.parent}, where temporary files go; point TMPDIR elsewhere"
        return None

    def _prepare_landlock(self) -> None:
        try:
            rules = landlock.Ruleset(self.kernel)
        except OSError:
            if self.tier == NAMESPACES:
                return  # its mounts alone decide what can be read and written
            raise
        # In namespaces the folders of installed packages are covered up, so that whole folders can be named.
        inside = self.tier == NAMESPACES
        rules.allow(readable.library_folders(), landlock.READ if inside else landlock.READ_DIR)
        if not inside:
            rules.allow(readable.library_entries(), landlock.READ)
        rules.allow([*self.libraries, *readable.existing(readable.EXTRAS)], landlock.READ)
        rules.allow(readable.existing(readable.DEVICES), landlock.READ | landlock.WRITE_FILE)
        rules.allow([self.box], landlock.READ | landlock.CHANGE)
        self.ruleset = rules

    def apply(self) -> None:
        """Restrict this process, a fresh child, for good."""
        if self.tier == NOTHING:
            return
        user, group = self.program_id, self.group_id
        if user is not None and group is not None:
            os.setresgid(group, group, group)
            os.setresuid(user, user, user)
        if self._drop_capabilities() < 0:
            self.kernel.call("capset", *NO_CAPABILITIES)  # it says why
        self._die_with_parent()  # a change of user clears it
        if self.ruleset is not None:
            self.ruleset.restrict()
        self.filter.load(os.getpid())

    def tidy(self) -> None:
        """Empty the box after a program, and replace it if the program could and did remove it."""
        try:
            box.empty(self.box)
        except (FileNotFoundError, NotADirectoryError):
            if not self.box.is_symlink() and not self.box.exists():
                self.box.mkdir(stat.S_IRWXU)
                if self.program_id is not None and self.group_id is not None:
                    os.chown(self.box, self.program_id, self.group_id)
                os.chdir(self.box)
                return
            raise


def _may_change_user() -> bool:
    """Whether this is root with all that the change takes."""
    if os.getuid() != 0:
        return False
    lines = Path("/proc/self/status").read_text().splitlines()
    effective = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff"))
    return all(effective >> bit & 1 for bit in USER_CAPABILITIES.values())


def _free_user_id() -> int:
    return FIRST_PROGRAM_ID + os.getpid() % NUM_PROGRAM_IDS
