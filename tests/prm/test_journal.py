"""A killed run goes on to the same file as an uninterrupted one."""

import json
from pathlib import Path

import pytest

from linewise.errors import StorageError, UserError
from linewise.judge import LocalJudge
from linewise.policy.scripted import ScriptedPolicy
from linewise.prm.journal import Journal
from linewise.prm.label import label_block
from linewise.prm.labels import label_to_record, read_labels
from linewise.types import Task
from tests.prm.conftest import RIGHT, RIGHT_WITH_COMMENT, SUM, WRONG_AT_1, WRONG_AT_3, options, scripted

TASKS = [Task(**{**vars(SUM), "id": name}) for name in ("one", "two", "three", "four")]
SETTINGS = {"seed": 0, "limit": None}


class Killed(BaseException):
    """What stands for a kill."""


class Mortal(ScriptedPolicy):
    """Dies at its n-th batch."""

    def generate(self, *args, **options):
        Mortal.left -= 1
        if Mortal.left < 0:
            raise Killed
        return super().generate(*args, **options)


def run(out: Path, judge: LocalJudge, batches: int = 10_000) -> int:
    """Label the four tasks in two blocks; returns how many batches were generated."""
    Mortal.left = batches
    policy = Mortal(answers=scripted([RIGHT, WRONG_AT_3, WRONG_AT_1], (RIGHT, RIGHT_WITH_COMMENT)).answers)
    with Journal(out, SETTINGS) as journal:
        for ours in (TASKS[:2], TASKS[2:])[len(journal.blocks) :]:
            block = label_block(policy, judge, ours, options(audits=1), name="p", step=journal.step)
            tally = {**block.tally.to_record(), "seconds_generate": 0.0, "seconds_judge": 0.0}
            journal.finish_block(map(label_to_record, block.programs), tally)
    return batches - Mortal.left


def test_killed_at_every_batch_it_ends_with_the_same_file(tmp_path: Path, judge: LocalJudge) -> None:
    whole = tmp_path / "whole.jsonl"
    num_batches = run(whole, judge)
    assert num_batches > 8
    killed = tmp_path / "killed.jsonl"
    kills = 0
    while True:
        try:
            run(killed, judge, batches=2)  # two batches of generation a life, which one round needs at most
            break
        except Killed:
            kills += 1
            assert kills < num_batches
    assert kills >= 4
    assert killed.read_bytes() == whole.read_bytes()
    assert (
        killed.with_name("killed.jsonl.progress").read_bytes() == whole.with_name("whole.jsonl.progress").read_bytes()
    )
    assert len(read_labels(whole)) == 16


def test_a_finished_run_generates_nothing_more(tmp_path: Path, judge: LocalJudge) -> None:
    out = tmp_path / "labels.jsonl"
    run(out, judge)
    before = out.read_bytes()
    assert run(out, judge) == 0
    assert out.read_bytes() == before


def test_half_written_ends_are_dropped(tmp_path: Path, judge: LocalJudge) -> None:
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    run(whole, judge)
    with pytest.raises(Killed):
        run(torn, judge, batches=9)
    with torn.open("a") as file:
        file.write('{"task_id": "three", "lab')
    with torn.with_name("torn.jsonl.progress").open("a") as file:
        file.write('{"step": "round 7", "val')
    run(torn, judge)
    assert torn.read_bytes() == whole.read_bytes()


def test_a_file_of_other_settings_is_not_touched(tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    with Journal(out, SETTINGS) as journal:
        journal.finish_block([{"a": 1}], {})
    before = out.read_bytes()
    with pytest.raises(UserError, match="begun with seed = 0 and now it is 1; go on with the same settings, or choose"):
        Journal(out, {**SETTINGS, "seed": 1})
    assert out.read_bytes() == before


def test_settings_under_which_nothing_was_done_bind_nobody(tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    with Journal(out, SETTINGS):
        pass
    other = {**SETTINGS, "seed": 1}
    with Journal(out, other) as journal:
        journal.step("first", lambda: 1)
    with pytest.raises(UserError, match="begun with seed = 1 and now it is 0"):
        Journal(out, SETTINGS)
    with Journal(out, other) as journal:
        assert journal.step("first", lambda: pytest.fail("computed twice")) == 1


def test_what_cannot_be_gone_on_from(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.jsonl"
    foreign.write_text("{}\n")
    with pytest.raises(
        UserError, match=r"no foreign\.jsonl\.progress beside it says how to go on; choose another --out"
    ):
        Journal(foreign, SETTINGS)
    out = tmp_path / "labels.jsonl"
    with Journal(out, SETTINGS) as journal:
        with pytest.raises(UserError, match="another run writes"):
            Journal(out, SETTINGS)
        journal.finish_block([{"a": 1}], {})
        with pytest.raises(UserError, match="another run writes"):
            Journal(out, SETTINGS)
    out.write_text("")
    with pytest.raises(UserError, match=r"has 0 bytes and labels\.jsonl\.progress knows of 9: it was changed"):
        Journal(out, SETTINGS)
    with pytest.raises(StorageError, match="Free some space or choose another --out"):
        Journal(tmp_path / "none" / "labels.jsonl", SETTINGS)


def test_steps_are_recorded_once_and_given_back_as_json_gives_them(tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    with Journal(out, SETTINGS) as journal:
        assert journal.step("first", lambda: {"pair": (1, 2)}) == {"pair": [1, 2]}
    with Journal(out, SETTINGS) as journal:
        assert journal.step("first", lambda: pytest.fail("computed twice")) == {"pair": [1, 2]}
        assert journal.step("second", lambda: 3) == 3
        journal.finish_block([], {"num_sampled": 1})
        assert journal.step("first", lambda: 4) == 4
    lines = [json.loads(line) for line in out.with_name("labels.jsonl.progress").read_text().splitlines()]
    assert lines == [{"settings": SETTINGS}, {"block": {"num_sampled": 1}, "size": 0}, {"step": "first", "value": 4}]
