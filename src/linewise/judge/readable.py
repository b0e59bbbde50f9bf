"""Which files a program needs to read: Python's standard library and what that loads. Standard library only."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
EXTRAS = ("/etc/ld.so.cache", "/usr/share/zoneinfo")
UNWANTED = ("_test", "_xx", "xx", "_tkinter", "_ctypes_test", "nis", "ossaudiodev")
"""Extension modules (by the start of their name) that no program has a use for here."""
PACKAGES = re.compile(r"(site|dist)-packages")
"""Names of the folders with installed packages: some hold the expected answers of benchmarks."""


def library_folders() -> list[Path]:
    """Where the standard library lies."""
    folders = {Path(entry).resolve() for entry in sys.path if entry and Path(entry).is_dir()}
    return sorted(path for path in folders if not PACKAGES.search(str(path)))


def package_folders(folders: Iterable[Path]) -> list[Path]:
    """The folders with installed packages directly in `folders` or in a `python3.X` below them."""
    found = set[Path]()
    for folder in folders:
        for place in (folder, *folder.glob("python*")):
            found.update(place.glob("site-packages"), place.glob("dist-packages"))
    return sorted(path for path in found if path.is_dir() and not path.is_symlink())


def library_entries() -> Iterator[Path]:
    """The modules of the standard library, one by one, without the folders of installed packages."""
    for folder in library_folders():
        for path in folder.iterdir():
            if not PACKAGES.fullmatch(path.name):
                yield path


def import_extensions() -> None:
    """Import every extension module, so that `shared_libraries` sees what they load. Only in a process to be ended."""
    for folder in library_folders():
        for path in folder.glob("*.so"):
            name = path.name.partition(".")[0]
            if not name.startswith(UNWANTED):
                with suppress(Exception):  # a module whose library is not installed is not missed by anyone
                    import_module(name)


def shared_libraries() -> list[Path]:
    """The shared libraries that this process has loaded."""
    names = {line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    return sorted(Path(name) for name in names if name.startswith("/") and ".so" in Path(name).name)


def open_to_others(path: Path) -> bool:
    """Whether any user may reach `path`, judged by the permissions of the folders above it."""
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


def library_is_public() -> bool:
    """Whether any user who reaches the standard library may read it."""
    folders = library_folders()
    return all(path.stat().st_mode & 0o004 for folder in folders for path in (folder, *folder.glob("os.py")))


def existing(names: tuple[str, ...]) -> list[Path]:
    """Those of `names` that exist."""
    return [Path(name) for name in names if os.path.exists(name)]  # noqa: PTH110  half the time
