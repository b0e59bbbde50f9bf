"""Which tiers of isolation this machine offers, and which one a judge uses."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from linewise.errors import JudgeError, UserError

UNSAFE_VARIABLE = "LINEWISE_JUDGE_UNSAFE"
"""Set to 1, it means `unsafe=True` for every judge that is not told otherwise."""
ENVIRONMENT = {"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
"""The whole environment of a zygote and of the programs, and of the probe."""
PROBE_SECONDS = 60.0


class Tier(StrEnum):
    """How programs are isolated, strongest first. docs/judge.md says what each one covers."""

    T1 = "T1"
    T2 = "T2"
    T2G = "T2g"
    T3 = "T3"

    @property
    def meaning(self) -> str:
        """What the tier consists of, in a few words."""
        return MEANINGS[self]

    def at_least(self, minimum: "Tier") -> bool:
        """Whether this tier isolates as well as `minimum`, or better."""
        order = list(Tier)
        return order.index(self) <= order.index(minimum)


MEANINGS = {
    Tier.T1: "namespaces, a RAM-backed box of limited size, no /proc, no network; and T2",
    Tier.T2: "system calls filtered, files by Landlock, resource limits",
    Tier.T2G: "system calls filtered, a user id of its own, resource limits",
    Tier.T3: "resource limits only: unsafe",
}
REMEDIES = {
    Tier.T1: "allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone; "
    "docker run --security-opt seccomp=unconfined)",
    Tier.T2: "use a kernel from 5.13 on with Landlock among its security modules (lsm=landlock,...)",
    Tier.T2G: "start as root with the capabilities CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID and SETUID, and with a "
    "Python that every user can read",
}


UNSAFE_ADVICE = (
    "In a machine with nothing of value, unsafe=True (--unsafe) or the environment variable "
    f"{UNSAFE_VARIABLE}=1 runs them with hardly any protection."
)


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a probe found."""

    reasons: dict[Tier, str | None]
    """For each tier why it is not available; None where it is."""
    libraries: tuple[str, ...]
    """Shared libraries that the standard library loads."""

    @property
    def best(self) -> Tier:
        """The strongest tier that is available."""
        return next(tier for tier in Tier if self.reasons[tier] is None)

    def choose(self, *, minimum: Tier, unsafe: bool) -> Tier:
        """The tier that a judge uses. Raises `JudgeError` rather than go below `minimum`, or to T3 without `unsafe`."""
        best = self.best
        if (best is Tier.T3 and unsafe) or (best is not Tier.T3 and best.at_least(minimum)):
            return best
        missing = "; ".join(f"{tier}: {reason}" for tier, reason in self.reasons.items() if reason is not None)
        minimum = minimum if minimum.at_least(Tier.T2G) else Tier.T2G
        ways = "; or ".join(f"for {tier}, {text}" for tier, text in REMEDIES.items() if tier.at_least(minimum))
        raise JudgeError(
            f"the best isolation here is {best} ({best.meaning}), and programs that nobody trusts need at least {minimum}. "
            f"Not available: {missing}. Remedy: {ways}. {UNSAFE_ADVICE}"
        )


def choose_tier(minimum: Tier, exactly: Tier | None, unsafe: bool) -> tuple[Tier, tuple[str, ...]]:
    """The tier that a judge uses and the libraries that it needs. Raises `JudgeError` where the machine lacks it.

    Args:
        minimum: the weakest tier to accept.
        exactly: the only tier to accept, whatever the minimum.
        unsafe: whether T3 may be used.
    """
    temporary_folder()
    if exactly is Tier.T3:
        if not unsafe:
            raise JudgeError(f"tier T3 was asked for: {Tier.T3.meaning}. {UNSAFE_ADVICE}")
        return Tier.T3, ()
    found = probe()
    if exactly is None:
        return found.choose(minimum=minimum, unsafe=unsafe), found.libraries
    if found.reasons[exactly] is not None:
        raise JudgeError(
            f"tier {exactly} ({exactly.meaning}) is not available here: {found.reasons[exactly]}. "
            f"Remedy: {REMEDIES[exactly]}; or ask for another tier, {found.best} at best."
        )
    return exactly, found.libraries


def temporary_folder() -> str:
    """The folder in which programs get their boxes. Raises `JudgeError` where there is none that can be written in."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise JudgeError(
            f"programs need a folder to work in, and this machine has none: {error.strerror}. Remedy: set TMPDIR to a "
            "folder that can be written in, such as /dev/shm; or docker run --tmpfs /tmp."
        ) from error


@cache
def probe() -> Capabilities:
    """Try all tiers once in a throwaway process, in about 0.2 s; later calls answer at once. Raises `JudgeError`."""
    script = Path(__file__).with_name("probe.py")
    try:
        done = subprocess.run(
            [sys.executable, "-s", "-S", "-P", "-B", str(script)],
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
            cwd=temporary_folder(),
            env=ENVIRONMENT,
            start_new_session=True,
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        detail = (getattr(error, "stderr", None) or str(error)).strip()[-1000:]
        raise JudgeError(f"the tiers of isolation could not be tried: {detail}") from error
    reasons = {tier: found["tiers"].get(tier) for tier in Tier}
    return Capabilities(reasons=reasons, libraries=tuple(found["libraries"]))


def parse_tier(value: "str | Tier") -> Tier:
    """The tier called `value`. Raises `UserError`."""
    try:
        return Tier(value)
    except ValueError as error:
        raise UserError(f"there is no tier '{value}'; choose one of {', '.join(Tier)}.") from error


def unsafe_by_environment() -> bool:
    """Whether the environment accepts programs that are not isolated."""
    return os.environ.get(UNSAFE_VARIABLE) == "1"
