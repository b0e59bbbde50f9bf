"""Task sets, named on the command line as `NAME[@SPLIT][:PATH]`. One file per format; none imports torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from linewise.errors import TaskError
from linewise.tasks.humaneval import load_humaneval
from linewise.tasks.jsonl import load_jsonl
from linewise.tasks.mbpp import load_mbpp
from linewise.tasks.odex import load_odex
from linewise.tasks.starter import load_starter
from linewise.types import Task


@dataclass(frozen=True, kw_only=True)
class TaskSet:
    """A set that `load_tasks` knows."""

    description: str
    load: Callable[[Path | None], list[Task]]
    """From a path, or from where the set is found by default."""
    splits: tuple[str, ...]


def _load_starter(path: Path | None) -> list[Task]:
    if path is not None:
        raise TaskError(f"the starter tasks are built in and take no path; got '{path}'. For a file use jsonl:{path}.")
    return load_starter()


def _load_jsonl(path: Path | None) -> list[Task]:
    if path is None:
        raise TaskError("the set 'jsonl' needs a file: jsonl:FILE.")
    return load_jsonl(path)


TASK_SETS: Mapping[str, TaskSet] = {
    "starter": TaskSet(
        description="built in: small functions in families", load=_load_starter, splits=("train", "heldout")
    ),
    "mbpp": TaskSet(
        description="974 short problems, three assertions each",
        load=load_mbpp,
        splits=("train", "validation", "test", "prompt"),
    ),
    "odex": TaskSet(
        description="one-expression functions; the split `train` needs no third-party library",
        load=load_odex,
        splits=("train", "library"),
    ),
    "humaneval": TaskSet(description="164 functions with check functions", load=load_humaneval, splits=("test",)),
    "jsonl": TaskSet(description="your own tasks: jsonl:FILE", load=_load_jsonl, splits=()),
}


def load_tasks(spec: str) -> list[Task]:
    """The tasks that `NAME[@SPLIT][:PATH]` names, such as `starter@train`, `mbpp@test` or `jsonl:mine.jsonl`.

    Without a split all tasks are returned. Raises TaskError for an unknown set or split, a missing file or a bad task.
    """
    name, _, path = spec.partition(":")
    name, _, split = name.partition("@")
    if name not in TASK_SETS:
        raise TaskError(
            f"unknown task set '{name}'.{_did_you_mean(name, tuple(TASK_SETS))} There are: {', '.join(TASK_SETS)}."
        )
    tasks = TASK_SETS[name].load(Path(path) if path else None)
    if not split:
        return tasks
    splits = tuple(dict.fromkeys(task.metadata.get("split", "") for task in tasks))
    if split not in splits:
        raise TaskError(
            f"the task set '{spec}' has no split '{split}'.{_did_you_mean(split, splits)} There are: {', '.join(splits)}."
        )
    return [task for task in tasks if task.metadata.get("split") == split]


def _did_you_mean(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
