"""LeetCodeDataset as it comes out of its reader. The counts are those of docs/leetcode.md."""

import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from linewise.judge import LocalJudge
from linewise.tasks import load_tasks
from linewise.tasks.jsonl import task_from_json, task_to_json
from linewise.tasks.leetcode import leetcode_task, load_leetcode
from linewise.types import AssertTest, CallTest, Checker, Limits, Report, Task, Verdict

ROW: dict[str, Any] = {
    "task_id": "double",
    "prompt": "from typing import *\n\n",
    "completion": "class Solution:\n    def double(self, nums: List[int]) -> List[int]:\n        return [n + n for n in nums]",
    "entry_point": "Solution().double",
    "test": "def check(candidate):\n    assert candidate(nums = [1,2]) == [2,4]\n",
    "query": "Double\xa0them. You may return the answer in any order.\nPlease complete the following python code precisely:\n",
    "meta": {"difficulty": "Easy", "lang_code": "class Solution:\n    def double(self, nums: List[int]) -> List[int]:"},
}


@pytest.fixture(scope="module")
def judge() -> Iterator[LocalJudge]:
    with LocalJudge(workers=1) as judge:
        yield judge


def test_row() -> None:
    assert leetcode_task(ROW) == Task(
        id="leetcode/double",
        prompt="Double them. You may return the answer in any order.",
        tests=(CallTest(call="Solution().double(nums=[1, 2])", expected="[2, 4]", checker=Checker.UNORDERED),),
        entry_point="Solution.double",
        signature="from typing import *\n\n\nclass Solution:\n    def double(self, nums: List[int]) -> List[int]:",
        reference="from typing import *\n\n\n" + ROW["completion"] + "\n",
        limits=Limits(cpu_seconds=5.0, total_cpu_seconds=15.0),
        metadata={"source": "leetcode", "license": "MIT", "family": "easy", "answers": "one"},
    )


def test_row_of_the_later_versions() -> None:
    later = {key: value for key, value in ROW.items() if key != "meta"}
    later |= {
        "problem_description": "Double.",
        "difficulty": "Easy",
        "starter_code": ROW["meta"]["lang_code"] + "\n        ",
    }
    task = leetcode_task(later)
    assert (task.prompt, task.metadata["family"]) == ("Double.", "easy")
    assert task.signature == leetcode_task(ROW).signature
    assert leetcode_task({**later, "starter_code": None}).signature is None


def converted(*assertions: str, words: str = "x", task_id: str = "x") -> list[Any]:
    test = "def check(candidate):\n" + "".join(f"    {line}\n" for line in assertions)
    return list(leetcode_task({**ROW, "test": test, "query": words, "task_id": task_id}).tests)


def test_forms_of_assertions() -> None:
    call = "Solution().double"
    assert converted(
        "assert candidate(a = 1) == -1",
        "assert candidate(a = 1) == [0.5]",
        "assert is_same_list(candidate(list_node([1])), list_node([1, 2]))",
        "assert is_same_tree(candidate(tree_node([1])), tree_node([1, None, 2, None, None]))",
        "assert candidate(a = 1) == candidate(a = 2)",
        "assert is_same_tree(candidate(1), list_node([1]))",
        "assert candidate(a = 1) in (1, 2)",
    ) == [
        CallTest(call=f"{call}(a=1)", expected="-1"),
        CallTest(call=f"{call}(a=1)", expected="[0.5]", tolerance=1e-5),
        CallTest(call=f"list_values({call}(list_node([1])))", expected="[1, 2]"),
        CallTest(call=f"tree_values({call}(tree_node([1])))", expected="[1, None, 2]"),
        AssertTest(code=f"candidate = {call}\nassert candidate(a=1) == candidate(a=2)"),
        AssertTest(code=f"candidate = {call}\nassert is_same_tree(candidate(1), list_node([1]))"),
        AssertTest(code=f"candidate = {call}\nassert candidate(a=1) in (1, 2)"),
    ]
    assert converted("x = 3", "assert candidate(x) == 3") == [
        AssertTest(code=f"candidate = {call}\nx = 3\nassert candidate(x) == 3")
    ]


@pytest.mark.parametrize(
    ("words", "task_id", "checker"),
    [
        ("Return them in any order.", "x", Checker.UNORDERED),
        ("The result may be returned in any order.", "x", Checker.UNORDERED),
        ("Return the combinations in any order.", "combination-sum", Checker.UNORDERED_DEEP),
        ("The lists may be returned in any order.", "find-the-difference-of-two-arrays", Checker.EXACT),
        ("Return how many.\nTake them in any order.", "x", Checker.EXACT),
        ("Return all.", "word-ladder-ii", Checker.UNORDERED),
    ],
)
def test_orders(words: str, task_id: str, checker: Checker) -> None:
    (test,) = converted("assert candidate(1) == [[1, 2]]", words=words, task_id=task_id)
    assert test.checker is checker
    (number,) = converted("assert candidate(1) == 2", words=words, task_id=task_id)
    assert number.checker is Checker.EXACT


NODES = leetcode_task(
    {
        **ROW,
        "test": "def check(candidate):\n"
        "    assert is_same_tree(candidate(tree_node([3, 1, None, 0, 2])), tree_node([3, None, 1, 2, 0]))\n"
        "    assert is_same_tree(candidate(tree_node([])), tree_node([]))\n"
        "    assert candidate(list_node([7, 8]).next.val) == 8\n",
    }
)
MIRROR = """
class Solution:
    def double(self, node):
        if isinstance(node, TreeNode):
            node.left, node.right = self.double(node.right), self.double(node.left)
        return node
"""


def test_nodes_are_built_and_read(judge: LocalJudge) -> None:
    own_node = (
        "class TreeNode:\n    def __init__(self, x):\n        self.val = x\n        self.left = self.right = None\n"
    )
    for program in (MIRROR, own_node + MIRROR):
        report = judge.run(NODES, program)
        assert report.passed, report.outcomes
    report = judge.run(NODES, "class Solution:\n    def double(self, node):\n        return node\n")
    assert [outcome.verdict for outcome in report.outcomes] == [Verdict.FAILED, Verdict.PASSED, Verdict.PASSED]


def test_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a-train.jsonl.gz", "a-test.jsonl.gz"):
        (tmp_path / name).write_bytes(gzip.compress(json.dumps(ROW).encode()))
        (task,) = load_leetcode(tmp_path / name)
        assert task.metadata["split"] == ("test" if "test" in name else "train")

    def load_dataset(name: str, config: str, *, split: str) -> list[dict[str, Any]]:
        assert name == "newfacade/LeetCodeDataset"
        return [{**ROW, "task_id": split}]

    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    monkeypatch.delenv("LINEWISE_DATA", raising=False)
    assert [task.id for task in load_tasks("leetcode")] == ["leetcode/train", "leetcode/test"]
    assert [task.id for task in load_tasks("leetcode@test")] == ["leetcode/test"]


def test_train(data: Path) -> None:
    assert data.is_dir()
    tasks = load_tasks("leetcode@train")
    tests = [test for task in tasks for test in task.tests]
    assert len(tasks) == 1890
    assert Counter(type(test) for test in tests) == {CallTest: 4752}
    orders = Counter(test.checker for test in tests if isinstance(test, CallTest))
    assert orders == {Checker.EXACT: 4640, Checker.UNORDERED: 104, Checker.UNORDERED_DEEP: 8}
    assert Counter(task.metadata["answers"] for task in tasks) == {"one": 1857, "several": 33}
    assert all(task.signature for task in tasks)
    for task in tasks:
        assert task_from_json(task_to_json(task), task.id) == task


def test_references(data: Path, judge: LocalJudge) -> None:
    """Every tenth; all of them take a minute (docs/leetcode.md names those that fail)."""
    assert data.is_dir()
    tasks = load_tasks("leetcode@train")[::10]
    reports = judge.run_many((task, task.reference or "") for task in tasks)
    failing = []
    for task, report in zip(tasks, reports, strict=True):
        assert isinstance(report, Report), report
        if not report.passed:
            failing.append((task.id, report.outcomes[0].message))
    assert failing == [("leetcode/make-array-empty", "No module named 'sortedcontainers'")]
