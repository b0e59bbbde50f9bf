"""Where a benchmark's rows come from: a path, the data folder, an installed package or the Hugging Face hub."""

import gzip
import json
import os
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from linewise.errors import TaskError
from linewise.types import Task

DATA_VARIABLE = "LINEWISE_DATA"
"""Environment variable that names a folder with local copies, such as `mbpp/mbpp.jsonl`."""

Fields = Mapping[str, type | tuple[type, ...]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One published problem."""

    values: Mapping[str, Any]
    where: str
    """Where it stands, for errors: `data/mbpp.jsonl, line 7`."""
    split: str | None = None
    """The hub's split that it is from."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A published data set."""

    file: str
    """Its file below the data folder."""
    hub_id: str
    config: str
    """Name of its configuration on the hub."""
    hub_splits: tuple[str, ...]
    fields: Fields
    """The fields that a row must have, with their JSON types."""
    convert: Callable[[Mapping[str, Any]], Task | None]
    """The task of a row; None for a row that cannot be judged, such as one without tests, which is left out."""
    packaged: Callable[[], Path | None] = lambda: None
    """Finds the file inside an installed package."""
    revision: str | None = None
    """Branch of the hub's repository, where it is not the main one."""
    splits_are_files: bool = False
    """Whether rows do not say their split: then it is the hub's, or `test` for a file with `test` in its name."""

    def find(self, path: Path | None = None) -> Path | None:
        """The file to read: the given path, in the data folder, in a package; None where only the hub has it.

        Raises TaskError if the given path is no file.
        """
        if path is not None:
            if not path.is_file():
                raise TaskError(f"there is no file {path}; check the path after the colon of the task set.")
            return path
        folder = os.environ.get(DATA_VARIABLE)
        file = Path(folder) / self.file if folder else None
        return file if file is not None and file.is_file() else self.packaged()

    def load(self, path: Path | None = None) -> list[Task]:
        """All tasks. Raises TaskError for rows that are not of this data set, or where the hub is out of reach."""
        file = self.find(path)
        found = [self.task(row, file) for row in (read_rows(file) if file else self._hub_rows())]
        tasks = [task for task in found if task is not None]
        if not tasks:
            raise TaskError(f"{file or self.hub_id} holds no task; fetch it again.")
        return tasks

    def task(self, row: Row, file: Path | None = None) -> Task | None:
        """The task of a row, which stands in `file` or else on the hub. Raises TaskError."""
        task = self._converted(row)
        if task is None or not self.splits_are_files:
            return task
        split = row.split or ("test" if file is not None and "test" in file.name.lower() else "train")
        return replace(task, metadata={"split": split, **task.metadata})

    def _converted(self, row: Row) -> Task | None:
        for name, kind in self.fields.items():
            if not isinstance(row.values.get(name), kind):
                raise TaskError(
                    f"{row.where}, field '{name}': {row.values.get(name)!r} is missing or of the wrong type; "
                    f"a row must have the fields of {self.hub_id}."
                )
        try:
            with warnings.catch_warnings():
                # Published code has escapes such as "\\w" in plain strings, of which every parse would warn.
                warnings.simplefilter("ignore")
                return self.convert(row.values)
        except SyntaxError as error:
            raise TaskError(f"{row.where}: its code or its tests are no Python ({error}).") from error
        except TaskError as error:
            raise TaskError(f"{row.where}: {error}") from error

    def _hub_rows(self) -> Iterator[Row]:
        remedy = f"Or set {DATA_VARIABLE} to a folder that holds {self.file}, or name the file after a colon."
        try:
            from datasets import load_dataset
        except ImportError as error:
            raise TaskError(
                f"reading {self.hub_id} from the hub needs 'datasets': pip install 'linewise[hub]'. {remedy}"
            ) from error
        branch = {} if self.revision is None else {"revision": self.revision}
        for split in self.hub_splits:
            try:
                values = load_dataset(self.hub_id, self.config, split=split, **branch)
            except (OSError, ValueError, RuntimeError) as error:
                reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
                raise TaskError(
                    f"could not load {self.hub_id} ({split}) from the hub: {reason}. Check the network. {remedy}"
                ) from error
            for row in rows_of(values, f"{self.hub_id} ({split}), row"):
                yield replace(row, split=split)


def read_rows(path: Path) -> Iterator[Row]:
    """The JSON objects of a JSON-lines file, gzipped or not. Raises TaskError with the line of the first fault."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise TaskError(f"cannot read {path}: {error}. Fetch the file again.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                values = json.loads(line)
            except json.JSONDecodeError as error:
                raise TaskError(f"{where}, column {error.colno}: no valid JSON ({error.msg}).") from error
            except (ValueError, RecursionError) as error:
                raise TaskError(f"{where}: unreadable JSON ({error}). Fetch the file again.") from error
            if not isinstance(values, dict):
                raise TaskError(f"{where}: {str(values)[:60]!r} must be a JSON object, one a line.")
            yield Row(values=values, where=where)


def rows_of(values: Iterable[Mapping[str, Any]], where: str) -> Iterator[Row]:
    """Rows that are numbered from 1 after the words `where`."""
    for number, row in enumerate(values, start=1):
        yield Row(values=row, where=f"{where} {number}")
