"""Task sets, named as `NAME[@SPLIT][:PATH]`. One file per format; none imports torch. Manual: docs/task-format.md."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from linewise.errors import TaskError, did_you_mean
from linewise.tasks.apps import APPS, find_apps, load_apps
from linewise.tasks.arena import load_arena
from linewise.tasks.humaneval import HUMANEVAL, load_humaneval
from linewise.tasks.jsonl import load_jsonl
from linewise.tasks.leetcode import LEETCODE, load_leetcode
from linewise.tasks.mbpp import MBPP, load_mbpp
from linewise.tasks.odex import ODEX, load_odex
from linewise.tasks.quixbugs import find_quixbugs, load_quixbugs
from linewise.tasks.starter import EASY, HARD, load_starter
from linewise.types import Task

__all__ = ["TaskSet", "available_sets", "load_tasks", "unique_tasks"]

EVERY_SPLIT = "all"
"""Split of any set that selects nothing away."""


@dataclass(frozen=True, kw_only=True)
class TaskSet:
    """A set that `load_tasks` knows."""

    name: str
    description: str
    splits: tuple[str, ...]
    """The splits that its tasks name; empty where the user's file decides."""
    load: Callable[[Path | None], list[Task]]
    """All tasks, from a path or from where the set is found by default."""
    place: Callable[[], str | None]
    """Where `load` finds it on this machine without a path; None where it would need a path or the hub."""
    default_split: str = EVERY_SPLIT
    """The split that the bare name means."""
    elsewhere: str = "the Hugging Face hub"
    """Where `load` finds it if `place` knows none, for people."""


def _load_starter(difficulties: Sequence[int]) -> Callable[[Path | None], list[Task]]:
    def load(path: Path | None) -> list[Task]:
        if path is not None:
            raise TaskError(
                f"the starter tasks are built in and take no path; got '{path}'. For a file use jsonl:{path}."
            )
        return load_starter(difficulties)

    return load


def _load_arena(path: Path | None) -> list[Task]:
    if path is not None:
        raise TaskError(f"the arena is built in and takes no path; got '{path}'. For a file use jsonl:{path}.")
    return load_arena()


def _load_jsonl(path: Path | None) -> list[Task]:
    if path is None:
        raise TaskError("the set 'jsonl' needs a file: jsonl:FILE.")
    return load_jsonl(path)


def _place(file: Path | None) -> str | None:
    return None if file is None else str(file)


def available_sets() -> tuple[TaskSet, ...]:
    """Every set, in the order of `linewise tasks list`."""
    return (
        TaskSet(
            name="starter",
            description="one-idea functions in families, made for a first run with a small model",
            splits=("train", "heldout"),
            load=_load_starter(EASY),
            place=lambda: "built in",
        ),
        TaskSet(
            name="starter-hard",
            description="the same families with branches, loops, recursion and parsing, for larger models",
            splits=("train", "heldout"),
            load=_load_starter(HARD),
            place=lambda: "built in",
        ),
        TaskSet(
            name="arena",
            description="functions put together from parts, for comparisons with the policy `arena`",
            splits=("train", "heldout"),
            load=_load_arena,
            place=lambda: "built in",
        ),
        TaskSet(
            name="mbpp",
            description="short problems, three assertions each (Austin et al. 2021)",
            splits=("train", "validation", "test", "prompt"),
            load=load_mbpp,
            place=lambda: _place(MBPP.find()),
        ),
        TaskSet(
            name="odex",
            description="one-expression functions (Wang et al. 2022); alone it means odex@plain",
            splits=("plain", "library"),
            load=load_odex,
            place=lambda: _place(ODEX.find()),
            default_split="plain",
        ),
        TaskSet(
            name="humaneval",
            description="functions with docstrings (Chen et al. 2021)",
            splits=("test",),
            load=load_humaneval,
            place=lambda: _place(HUMANEVAL.find()),
        ),
        TaskSet(
            name="leetcode",
            description="methods of a class, from LeetCode (Xia et al. 2025)",
            splits=("train", "test"),
            load=load_leetcode,
            place=lambda: _place(LEETCODE.find()),
        ),
        TaskSet(
            name="apps",
            description="interview and contest problems (Hendrycks et al. 2021): apps:FOLDER",
            splits=("train", "test"),
            load=load_apps,
            place=lambda: _place(find_apps() or APPS.find()),
        ),
        TaskSet(
            name="quixbugs",
            description="algorithms with a bug in one line, to be repaired (Lin et al. 2017)",
            splits=("test",),
            load=load_quixbugs,
            place=lambda: _place(find_quixbugs()),
            elsewhere="quixbugs:FILE",
        ),
        TaskSet(
            name="jsonl",
            description="your own tasks: jsonl:FILE (docs/task-format.md)",
            splits=(),
            load=_load_jsonl,
            place=lambda: None,
            elsewhere="your file",
        ),
    )


def load_tasks(spec: str) -> list[Task]:
    """The tasks that `NAME[@SPLIT][:PATH]` names, such as `starter@train`, `mbpp@test` or `jsonl:mine.jsonl`.

    Without a split a set gives all its tasks, but `odex` gives `odex@plain`; `@all` always gives all. Raises TaskError
    for an unknown set or split, a missing file, a broken task, or where the hub is out of reach.
    """
    head, _, path = spec.partition(":")
    name, has_split, split = head.partition("@")
    sets = {known.name: known for known in available_sets()}
    if name not in sets:
        raise TaskError(
            f"unknown task set '{name}' in '{spec}'.{did_you_mean(name, sets)} There are: {', '.join(sets)}."
        )
    chosen = split if has_split else sets[name].default_split
    # A wrong split of a published set is said before anything is fetched.
    if sets[name].splits:
        _check_split(chosen, sets[name].splits, spec)
    tasks = sets[name].load(Path(path) if path else None)
    if chosen == EVERY_SPLIT:
        return tasks
    _check_split(chosen, dict.fromkeys(task.metadata["split"] for task in tasks if "split" in task.metadata), spec)
    return [task for task in tasks if task.metadata.get("split") == chosen]


def unique_tasks(tasks: Iterable[Task]) -> list[Task]:
    """The tasks, each once. Raises TaskError where two different tasks share an id, by which verdicts are kept."""
    by_id: dict[str, Task] = {}
    for task in tasks:
        if by_id.setdefault(task.id, task) != task:
            raise TaskError(f"two different tasks have the id '{task.id}'; rename one of them.")
    return list(by_id.values())


def _check_split(split: str, known: Iterable[str], spec: str) -> None:
    splits = (*known, EVERY_SPLIT)
    if split not in splits:
        raise TaskError(
            f"'{spec}' has no split '{split}'.{did_you_mean(split, splits)} There are: {', '.join(splits)}."
        )
