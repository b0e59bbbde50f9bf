"""A zygote of its own world: user, process, network, IPC, host name and mount namespaces. Standard library only.

After `enter` a zygote forks: the outer process waits and cleans up, the inner one is process 1 of a new world, so that
everything below it ends with it. There `seal` swaps the file system for
one that holds Python's library, a few devices and the box: read-only, without /proc, without installed packages.
"""

import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from linewise.judge import readable
from linewise.judge.kernel import Kernel

NEW_NS, NEW_UTS, NEW_IPC = 0x00020000, 0x04000000, 0x08000000
NEW_USER, NEW_PID, NEW_NET = 0x10000000, 0x20000000, 0x40000000
READ_ONLY, NO_SUID, NO_DEVICES, NO_EXEC = 1, 2, 4, 8
"""Flags of mount(2) and attributes of mount_setattr(2) alike."""
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000
AT_RECURSIVE, DETACH = 0x8000, 2
BOX = Path("/tmp")
BOX_BYTES, BOX_FILES = 64 << 20, 4096
INNER_PROGRAM_ID = 1
"""The user id of programs inside, where the zygote may map a second one."""


def enter(kernel: Kernel, program_id: int | None) -> bool:
    """Leave the parent's namespaces; returns whether `program_id` is known inside, as `INNER_PROGRAM_ID`.

    The process itself stays in its process namespace: only a child that it forks next is process 1 of the new one.

    Args:
        kernel: makes the system calls.
        program_id: user id outside for the programs; None means that they keep the caller's.

    Raises:
        OSError: the kernel refuses a namespace.
    """
    own_user, own_group = os.getuid(), os.getgid()
    mapper, go = (None, -1) if program_id is None else _start_mapper(program_id, own_user, own_group)
    try:
        kernel.call("unshare", NEW_USER | NEW_PID | NEW_NET | NEW_IPC | NEW_UTS)
    except OSError:
        if mapper is not None:
            os.close(go)
            os.waitpid(mapper, 0)
        raise
    mapped = False
    if mapper is not None:
        os.write(go, b"g")
        os.close(go)
        mapped = os.waitpid(mapper, 0)[1] == 0
    if not mapped:
        with suppress(FileNotFoundError):
            Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{own_user} {own_user} 1")
        Path("/proc/self/gid_map").write_text(f"{own_group} {own_group} 1")
    return mapped


def _start_mapper(program_id: int, own_user: int, own_group: int) -> tuple[int, int]:
    """Fork the process that maps two ids: that takes a privilege which the caller gives up by entering."""
    wait, go = os.pipe()
    target, pid = os.getpid(), os.fork()
    if pid != 0:
        os.close(wait)
        return pid, go
    status = 1
    try:
        os.close(go)
        if os.read(wait, 1):
            for kind, own in (("uid", own_user), ("gid", own_group)):
                Path(f"/proc/{target}/{kind}_map").write_text(f"{own} {own} 1\n{INNER_PROGRAM_ID} {program_id} 1\n")
            status = 0
    finally:
        os._exit(status)


def seal(kernel: Kernel, folder: Path, user: int, group: int, libraries: Iterable[Path]) -> None:
    """Make a new file system in `folder` and change to its box, which belongs to `user` and `group`. Raises OSError.

    Both ids must be known in this user namespace, or the kernel refuses the box.

    The folders of `libraries` are visible in it besides the standard library.
    """
    shown = _outermost({*readable.library_folders(), *(path.parent for path in libraries)})
    kernel.call("unshare", NEW_NS)
    _mount(kernel, None, Path("/"), RECURSIVE | PRIVATE)
    _mount(kernel, "tmpfs", folder, NO_SUID | NO_DEVICES, "mode=0755,size=1m,nr_inodes=4096")
    for path in [*shown, *readable.existing(readable.EXTRAS)]:
        _show(kernel, path, folder, READ_ONLY | NO_SUID | NO_DEVICES)
    for path in readable.existing(readable.DEVICES):
        _show(kernel, path, folder, READ_ONLY | NO_SUID | NO_EXEC)
    for path in readable.package_folders(shown):
        _mount(kernel, "tmpfs", _below(folder, path), READ_ONLY | NO_SUID | NO_DEVICES, "size=4k,nr_inodes=2")
    _link_like_outside(folder)
    box = _below(folder, BOX)
    box.mkdir()
    options = f"mode=0700,uid={user},gid={group},size={BOX_BYTES},nr_inodes={BOX_FILES}"
    _mount(kernel, "tmpfs", box, NO_SUID | NO_DEVICES | NO_EXEC, options)
    _set_flags(kernel, folder, READ_ONLY | NO_SUID | NO_DEVICES, recursive=False)
    os.chdir(folder)
    kernel.call("pivot_root", b".", b".")
    kernel.call("umount2", b".", DETACH)
    os.chdir(BOX)


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """`paths` without those below another one of them."""
    found = set(paths)
    return sorted(path for path in found if not found.intersection(path.parents))


def _below(root: Path, path: Path) -> Path:
    """Where `path` lies under a new root."""
    return root / path.relative_to("/")


def _show(kernel: Kernel, path: Path, root: Path, flags: int) -> None:
    """Make `path` visible at the same place under `root`."""
    target = _below(root, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    _mount(kernel, str(path), target, BIND | RECURSIVE)
    _set_flags(kernel, target, flags, recursive=True)


def _link_like_outside(root: Path) -> None:
    """Repeat the links /lib and /lib64, through which the loader finds what lies below /usr."""
    for name in ("lib", "lib64"):
        outside = Path("/", name)
        if outside.is_symlink() and not (root / name).exists():
            (root / name).symlink_to(outside.readlink())


def _mount(kernel: Kernel, source: str | None, target: Path, flags: int, options: str | None = None) -> None:
    name = None if source is None else os.fsencode(source)
    kind = b"tmpfs" if source == "tmpfs" else None
    kernel.call("mount", name, os.fsencode(target), kind, flags, None if options is None else options.encode())


def _set_flags(kernel: Kernel, target: Path, flags: int, *, recursive: bool) -> None:
    """Set mount attributes, also on mounts below, and keep those already set (a plain user may not clear them)."""
    attributes = struct.pack("=4Q", flags, 0, 0, 0)
    at_current_folder = -100
    how = AT_RECURSIVE if recursive else 0
    kernel.call("mount_setattr", at_current_folder, os.fsencode(target), how, attributes, len(attributes))
