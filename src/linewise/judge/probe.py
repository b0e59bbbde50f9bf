"""Tries every tier of isolation in a throwaway process and prints what became of it as JSON. Standard library only.

Nothing is concluded from version numbers or settings: each tier is put into force as for a zygote and a child, and the
child then checks that it cannot do what the tier forbids. Run as `python -s -S -P -B probe.py`.
"""

import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType

CHECKS: dict[str, Callable[[], object]] = {
    "start a process": os.fork,
    "open a socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "signal another process": lambda: os.kill(os.getppid() or -1, 0),
}
"""What every tier must refuse."""


def main() -> None:
    """Print `{"libraries": [...], "tiers": {tier: null or the reason why not}}`."""
    folder = Path(__file__).resolve().parent
    for name, path in (("linewise", folder.parent), ("linewise.judge", folder)):
        package = sys.modules[name] = ModuleType(name)
        package.__path__ = [str(path)]
    from linewise.judge.isolation import LANDLOCK, NAMESPACES, USER

    libraries = in_child(lambda: json.dumps(loaded_libraries()))
    found = [] if libraries is None else json.loads(libraries)
    tiers = {tier: in_child(lambda tier=tier: attempt(tier, found)) for tier in (NAMESPACES, LANDLOCK, USER)}  # type: ignore[misc]
    print(json.dumps({"libraries": found, "tiers": tiers}))


def loaded_libraries() -> list[str]:
    """The shared libraries behind the extension modules of the standard library."""
    from linewise.judge import readable

    readable.import_extensions()
    own = set(readable.library_folders())
    return [str(path) for path in readable.shared_libraries() if own.isdisjoint(path.parents)]


def in_child(work: Callable[[], str | None]) -> str | None:
    """What `work` returns or raises, in a forked process."""
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            try:
                text = work()
            except Exception as error:  # noqa: BLE001  every reason is reported
                text = str(error) or type(error).__name__
            if text is not None:
                os.write(sink, text.encode())
        finally:
            os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as file:
        answer = file.read().decode("utf-8", "replace")
    os.waitpid(pid, 0)
    return answer or None


def attempt(tier: str, libraries: list[str]) -> str | None:
    """Put `tier` into force and check it. Returns the reason why it cannot be had, or None."""
    from linewise.judge import box
    from linewise.judge.isolation import Isolation

    scratch = Path(tempfile.mkdtemp(prefix="linewise-probe-", dir=Path.cwd()))
    try:
        os.chdir(scratch)
        isolation = Isolation(tier, map(Path, libraries))
        inner = isolation.split()
        if inner:
            os.waitpid(inner, 0)
            return None  # the inner process has written its answer
        isolation.seal()

        def confined() -> str | None:
            isolation.apply()
            return check(tier)

        reason = in_child(confined)
        if isolation.own_processes:
            if reason is not None:
                raise OSError(reason)
            os._exit(0)
        return reason
    finally:
        os.chdir("/")
        box.remove(scratch)


def check(tier: str) -> str | None:
    """What is wrong with the tier that this process is under, or None."""
    from linewise.judge.isolation import USER

    Path("probe").write_text("x")
    Path("probe").unlink()
    for what, act in CHECKS.items():
        with suppress(OSError):
            act()
            return f"a program could {what}"
    if tier != USER:
        for path in ("/proc/self/environ", "/etc/passwd"):
            with suppress(OSError):
                Path(path).read_bytes()
                return f"a program could read {path}"
    return None


if __name__ == "__main__":
    main()
