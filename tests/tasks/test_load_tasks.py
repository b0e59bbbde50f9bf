import json
import subprocess
import sys
from pathlib import Path

import pytest

from linewise.errors import TaskError
from linewise.tasks import available_sets, load_tasks


def write(path: Path, *splits: str | None) -> Path:
    test = {"kind": "call", "call": "f()", "expected": "1"}
    with path.open("w") as file:
        for number, split in enumerate(splits):
            metadata = {} if split is None else {"split": split}
            file.write(json.dumps({"id": str(number), "prompt": "", "tests": [test], "metadata": metadata}) + "\n")
    return path


def test_jsonl_and_its_splits(tmp_path: Path) -> None:
    path = write(tmp_path / "a:b.jsonl", "train", "test", None)
    assert [task.id for task in load_tasks(f"jsonl:{path}")] == ["0", "1", "2"]
    assert [task.id for task in load_tasks(f"jsonl@all:{path}")] == ["0", "1", "2"]
    assert [task.id for task in load_tasks(f"jsonl@test:{path}")] == ["1"]
    with pytest.raises(TaskError, match=r"has no split 'tests'\. Did you mean 'test'\? There are: train, test, all\."):
        load_tasks(f"jsonl@tests:{path}")
    with pytest.raises(TaskError, match=r"has no split ''\. There are: train, test, all\."):
        load_tasks(f"jsonl@:{path}")


def test_starter() -> None:
    everything = load_tasks("starter")
    train, held_out = load_tasks("starter@train"), load_tasks("starter@heldout")
    assert len(everything) == len(train) + len(held_out)
    assert {task.metadata["split"] for task in train} == {"train"}
    assert {task.metadata["split"] for task in held_out} == {"heldout"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "mbppp",
            r"unknown task set 'mbppp'.* Did you mean 'mbpp'\? There are: starter, starter-hard, arena, mbpp, ",
        ),
        ("", "unknown task set ''"),
        # A wrong split is said before anything is fetched.
        ("mbpp@tests", r"no split 'tests'\. Did you mean 'test'\?"),
        ("odex@train", r"no split 'train'\. .*There are: plain, library, all"),
        ("jsonl", "needs a file: jsonl:FILE"),
        ("starter:x.jsonl", "take no path"),
        ("humaneval:/nowhere/x.gz", "no file /nowhere/x.gz; check the path after the colon"),
        ("jsonl:/nowhere/x", "cannot read the task file /nowhere/x"),
    ],
)
def test_faults(spec: str, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        load_tasks(spec)


def test_available_sets_names_what_load_tasks_takes() -> None:
    names = "starter starter-hard arena mbpp odex humaneval leetcode apps quixbugs jsonl"
    assert [known.name for known in available_sets()] == names.split()


def test_the_splits_named_are_those_of_the_tasks(data: Path) -> None:
    assert data.is_dir()
    for known in available_sets():
        if known.name not in ("jsonl", "apps"):
            # Of LeetCode, only the file of the training split is there.
            present = {"train"} if known.name == "leetcode" else set(known.splits)
            assert {task.metadata["split"] for task in known.load(None)} == present
            assert known.place() is not None


def test_tasks_import_no_torch() -> None:
    code = (
        "import sys, linewise.tasks, linewise.cli.tasks; sys.exit('torch' in sys.modules or 'datasets' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
