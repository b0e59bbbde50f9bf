"""A file of records that a killed run leaves whole, and the journal beside it from which the run goes on.

`labels.jsonl` grows by whole blocks. `labels.jsonl.progress` holds the run's settings, one line for each finished block
(how long the file was after it, and its tally) and, for the block in progress, the result of each finished step. A
resumed run asks for the same steps in the same order, takes what the journal holds and computes the rest, so that what it
computes it computes in the same batches as an uninterrupted run.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from linewise.errors import StorageError, UserError


class Journal:
    """Opens the journal of a file, or starts one. Use it in a `with` statement."""

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        """Go on with `out`, or start it.

        Raises UserError where `out` was written with other settings, has no journal or is used by another run, and
        StorageError where it cannot be written.
        """
        self.out = out
        self.path = out.with_name(f"{out.name}.progress")
        self.blocks: list[dict[str, Any]] = []
        """The tallies of the finished blocks, in order."""
        self._lines: list[dict[str, Any]] = [{"settings": _plain(settings)}]
        self._steps: list[dict[str, Any]] = []
        self._next_step = 0
        if out.exists() and not self.path.exists():
            raise UserError(f"{out} exists and no {self.path.name} beside it says how to go on; choose another --out.")
        with _storage_errors(self.path):
            self._file: IO[bytes] = self.path.open("ab")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._file.close()
                raise UserError(
                    f"another run writes {out} at this moment; wait for it or choose another --out."
                ) from None
        try:
            self._read()
        except BaseException:  # also Ctrl-C: the lock must not outlive it
            self._file.close()
            raise

    def step(self, name: str, compute: Callable[[], Any]) -> Any:
        """The result of a step of the current block, as JSON gives it back: the recorded one, or a computed one."""
        if self._next_step < len(self._steps):
            recorded = self._steps[self._next_step]
            assert recorded["step"] == name, f"the journal holds '{recorded['step']}' where '{name}' is due"
            self._next_step += 1
            return recorded["value"]
        line = {"step": name, "value": _plain(compute())}
        with _storage_errors(self.path):
            _append(self._file, [line])
        self._steps.append(line)
        self._next_step += 1
        return line["value"]

    def finish_block(self, records: Iterable[Mapping[str, Any]], tally: Mapping[str, Any]) -> None:
        """Write the records of the current block, and with one rename make them count."""
        with _storage_errors(self.out):
            with self.out.open("ab") as out:
                _append(out, records)
                size = out.tell()
            self._lines.append({"block": _plain(tally), "size": size})
            self.blocks.append(self._lines[-1]["block"])
            self._steps, self._next_step = [], 0
            partial = self.path.with_name(f".{self.path.name}.partial")
            file = partial.open("wb")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _append(file, self._lines)
            partial.replace(self.path)
            self._file.close()
            self._file = file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def _read(self) -> None:
        """Take up what the journal says, and drop what a kill left half-written."""
        whole = self.path.read_bytes()
        whole = whole[: whole.rfind(b"\n") + 1]
        lines = [json.loads(line) for line in whole.split(b"\n") if line]
        with _storage_errors(self.path):
            # Settings under which nothing was done bind nobody: a mistyped policy can be set right.
            if not lines or (len(lines) == 1 and "settings" in lines[0]):
                self._file.truncate(0)
                _append(self._file, self._lines)
                lines = self._lines
            else:
                self._file.truncate(len(whole))
        self._check(lines[0].get("settings"))
        done = [line for line in lines if "block" in line]
        self._lines = [lines[0], *done]
        self.blocks = [line["block"] for line in done]
        self._steps = [line for line in lines if "step" in line]
        size = done[-1]["size"] if done else 0
        present = self.out.stat().st_size if self.out.exists() else 0
        if present < size:
            raise UserError(
                f"{self.out} has {present} bytes and {self.path.name} knows of {size}: it was changed. "
                "Restore it or choose another --out."
            )
        with _storage_errors(self.out), self.out.open("ab") as out:
            out.truncate(size)

    def _check(self, recorded: Mapping[str, Any] | None) -> None:
        wanted: Mapping[str, Any] = self._lines[0]["settings"]
        if recorded is None:
            raise UserError(f"{self.path} is no journal of this command; choose another --out.")
        for name in sorted({*wanted, *recorded}):
            if wanted.get(name) != recorded.get(name):
                raise UserError(
                    f"{self.out} was begun with {name} = {json.dumps(recorded.get(name))} and now it is "
                    f"{json.dumps(wanted.get(name))}; go on with the same settings, or choose another --out."
                )


def _append(file: IO[bytes], lines: Iterable[Mapping[str, Any]]) -> None:
    for line in lines:
        file.write(json.dumps(line).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"could not write {path}: {error.strerror}. Free some space or choose another --out; run the same command "
            "again to go on."
        ) from error
