"""Empties the folder that programs write in, whatever they left there. Standard library only.

Trees may be deeper than a path may be long or than Python may recurse, so each folder found is first moved to the top:
every one is emptied at depth one, in time linear in the number of entries.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def empty(box: Path) -> None:
    """Remove everything in `box`. Nothing may be running that changes it. Raises OSError if it is no folder."""
    top = os.open(box, FOLDER)
    try:
        names = os.listdir(top)  # noqa: PTH208  `iterdir` takes no descriptor
        if names:
            _empty(top, names)
    finally:
        os.close(top)


def _empty(top: int, names: list[str]) -> None:
    os.fchmod(top, 0o700)
    moved, prefix = 0, os.urandom(12).hex()  # a name that no program can have guessed
    while names:
        name = names.pop()
        if not stat.S_ISDIR(os.stat(name, dir_fd=top, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=top)
            continue
        os.chmod(name, 0o700, dir_fd=top)  # it is a folder, so no link is followed
        folder = os.open(name, FOLDER, dir_fd=top)
        try:
            for entry in os.listdir(folder):  # noqa: PTH208
                if stat.S_ISDIR(os.stat(entry, dir_fd=folder, follow_symlinks=False).st_mode):
                    moved += 1
                    names.append(f"{prefix}-{moved}")
                    os.chmod(entry, 0o700, dir_fd=folder)  # or else its `..` could not be changed
                    os.rename(entry, names[-1], src_dir_fd=folder, dst_dir_fd=top)
                else:
                    os.unlink(entry, dir_fd=folder)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=top)


def remove(box: Path) -> None:
    """Remove `box` with all that it holds, as far as this user may."""
    with suppress(OSError):
        empty(box)
        box.rmdir()
