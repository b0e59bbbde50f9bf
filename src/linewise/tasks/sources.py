"""Where a benchmark's rows come from: a path, the data folder, or the Hugging Face hub."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linewise.errors import TaskError

DATA_VARIABLE = "LINEWISE_DATA"
"""Environment variable that names a folder with local copies, such as `mbpp/mbpp.jsonl`."""


def local_file(name: str, path: Path | None) -> Path | None:
    """The explicit path, else the file of that name in the data folder, else None. Raises TaskError for a missing path."""
    if path is not None:
        if not path.is_file():
            raise TaskError(f"there is no file {path}; check the path after the colon of the task set.")
        return path
    folder = os.environ.get(DATA_VARIABLE)
    file = Path(folder) / name if folder else None
    return file if file is not None and file.is_file() else None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a JSON-lines file, gzipped or not. Raises TaskError with the line of the first fault."""
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")
    rows: list[dict[str, Any]] = []
    with opened as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    rows.append(json.loads(line))
                except json.JSONDecodeError as error:
                    raise TaskError(
                        f"{path}, line {number}, column {error.colno}: no valid JSON ({error.msg})."
                    ) from error
    return rows


def hub_rows(dataset: str, split: str, *, file: str) -> Iterator[dict[str, Any]]:
    """The rows of one split of a data set on the Hugging Face hub. Raises TaskError with the remedies."""
    remedy = f"Or set {DATA_VARIABLE} to a folder that holds {file}, or name the file after a colon."
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise TaskError(
            f"reading {dataset} from the hub needs the package 'datasets': pip install 'linewise[hub]'. {remedy}"
        ) from error
    try:
        rows = load_dataset(dataset, split=split)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise TaskError(
            f"could not load {dataset} ({split}) from the hub: {reason}. Check the network. {remedy}"
        ) from error
    yield from rows
