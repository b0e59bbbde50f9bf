"""Labelling under a budget: what it pays for by hand, that it is never exceeded, and who gets what of it."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import linewise.judge
from linewise.cli import prm_label
from linewise.cli.prm_label import Label, blocks_of, fingerprint, following
from linewise.judge import LocalJudge
from linewise.policy.scripted import ScriptedPolicy
from linewise.prm.allowance import Allowance
from linewise.prm.journal import Journal
from linewise.prm.label import label_block
from linewise.prm.labels import Kind
from linewise.prm.tally import Tally
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.types import Completion, Sampling, Task
from tests.prm.conftest import RIGHT, RIGHT_WITH_COMMENT, SUM, WRONG_AT_1, WRONG_AT_3, options, scripted

TASKS = [Task(**{**vars(SUM), "id": f"t{index}"}) for index in range(5)]


def test_what_it_pays_for_by_hand() -> None:
    """Tokens pay for completions of full length: 200 for four of at most 50."""
    sampling = Sampling(max_new_tokens=50)
    assert Allowance(programs=10, tokens=200).completions(sampling) == 4
    assert Allowance(programs=3, tokens=200).completions(sampling) == 3
    assert Allowance().completions(sampling) > 10**9
    spent = Tally(num_sampled=2, num_dropped=1, num_completions=3, audit_completions=4, sampled_tokens=5, num_tokens=6)
    assert Allowance(programs=12, tokens=20).after(spent) == Allowance(programs=2, tokens=9)
    assert Allowance(programs=7).part(1, 2) == Allowance(programs=3)


@pytest.mark.parametrize(
    ("programs", "cost", "kinds"), [(4, 3, []), (7, 7, [Kind.REVISED]), (9, 9, [Kind.REVISED, Kind.WRONG])]
)
def test_a_search_that_is_not_paid_for_is_given_up(
    programs: int, cost: int, kinds: list[Kind], judge: LocalJudge
) -> None:
    """Two programs; line 2 of the first is recoverable at once, of the second not: 2 + (1 + 2) + (2 + 2) with all K = 2.

    4 pay for one prefix of the first round and then for none; 7 for the first program's second prefix.
    """
    policy = scripted([WRONG_AT_3, WRONG_AT_1], [RIGHT, RIGHT.replace("0\n", "0\n    # count\n", 1)])
    block = label_block(policy, judge, [SUM], options(num_samples=2), name="p", allowance=Allowance(programs=programs))
    assert block.tally.programs == cost <= programs
    assert [one.kind for one in block.programs] == kinds
    assert block.tally.num_given_up == 2 - len(kinds)
    whole = label_block(policy, judge, [SUM], options(num_samples=2), name="p")
    assert whole.tally.programs == 9
    assert block.programs == whole.programs[: len(kinds)], "what is labelled is labelled as without a limit"


def test_tokens_are_kept_to_as_well(judge: LocalJudge) -> None:
    policy = scripted([WRONG_AT_3, WRONG_AT_1], [RIGHT])
    settings = options(num_samples=2, sampling=Sampling(max_new_tokens=100))
    samples = label_block(policy, judge, [SUM], settings, name="p", allowance=Allowance(programs=2)).tally
    assert samples.programs == 2
    limit = samples.tokens + 399
    tally = label_block(policy, judge, [SUM], settings, name="p", allowance=Allowance(tokens=limit)).tally
    assert tally.num_prefixes >= 1
    assert samples.tokens < tally.tokens <= limit
    assert tally.num_given_up >= 1


def test_audits_are_paid_for_too(judge: LocalJudge) -> None:
    policy = scripted([WRONG_AT_1], [RIGHT])
    settings = options(num_samples=1, audits=2)
    whole = label_block(policy, judge, [SUM], settings, name="p").tally
    assert (whole.num_audits, whole.audit_completions) == (2, 4)
    assert whole.programs == whole.num_sampled + whole.num_completions + 4
    limit = Allowance(programs=whole.programs - 1)
    short = label_block(policy, judge, [SUM], settings, name="p", allowance=limit).tally
    assert (short.num_audits, short.audit_completions, short.num_given_up) == (1, 2, 0)


def test_policies_get_equal_parts_and_blocks_are_as_large_as_they_can_be() -> None:
    """60 programs for two policies, 2 samples and K = 2: a task is begun for 6. The first 30 pay for 3 tasks (18) and 2 (9).

    The second has what the first left, and ends with its tasks.
    """
    command = Label(
        policy=("a", "b"),
        tasks=("x",),
        out=Path("labels.jsonl"),
        num_samples=2,
        completions=2,
        max_programs=60,
        tasks_at_once=3,
    )
    blocks = blocks_of(command, TASKS)
    name, first, allowance = next(blocks)
    assert (name, len(first), allowance.programs) == ("a", 3, 30)
    block = following(blocks, Tally(num_sampled=6, num_completions=12))
    assert block is not None
    assert (block[0], len(block[1]), block[2].programs) == ("a", 2, 12)
    assert {task.id for task in (*first, *block[1])} == {task.id for task in TASKS}
    block = following(blocks, Tally(num_sampled=4, num_completions=5))
    assert block is not None
    assert (block[0], len(block[1]), block[2].programs) == ("b", 3, 33)
    block = following(blocks, Tally(num_sampled=6))
    assert block is not None
    assert (block[0], len(block[1])) == ("b", 2)
    assert following(blocks, Tally(num_sampled=4)) is None


def test_without_a_budget_tasks_keep_their_order() -> None:
    blocks = blocks_of(Label(policy=("a",), tasks=("x",), out=Path("l"), tasks_at_once=3), TASKS)
    assert [task.id for task in next(blocks)[1]] == ["t0", "t1", "t2"]
    block = following(blocks, Tally(num_sampled=10**6))
    assert block is not None
    assert [task.id for task in block[1]] == ["t3", "t4"]
    assert following(blocks, Tally()) is None


class Killed(BaseException):
    """What stands for a kill."""


class Counting(ScriptedPolicy):
    """Counts what it samples, and dies when it is asked for a batch too many."""

    batches = programs = tokens = 0

    def generate(self, prompts: Any, *, num_samples: int, **settings: Any) -> list[list[Completion]]:
        if Counting.batches == 0:
            raise Killed
        Counting.batches -= 1
        drawn = super().generate(prompts, num_samples=num_samples, **settings)
        Counting.programs += sum(map(len, drawn))
        Counting.tokens += sum(len(one.token_ids) for ours in drawn for one in ours)
        return drawn


def test_killed_at_every_batch_it_charges_what_was_sampled_once(
    tmp_path: Path, judge: LocalJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task takes 9 of 34 programs: policy a has 17 of them for one task and half a search (16), b the rest for two (18)."""
    answers = scripted([WRONG_AT_3, WRONG_AT_1], (RIGHT, RIGHT_WITH_COMMENT)).answers
    monkeypatch.setattr(prm_label, "load_named_policy", lambda _name: Counting(answers=answers))
    monkeypatch.setattr(linewise.judge, "LocalJudge", lambda **_settings: nullcontext(judge))

    def label(out: Path, batches: int) -> Tally:
        Counting.batches, Counting.programs, Counting.tokens = batches, 0, 0
        command = Label(
            policy=("a", "b"),
            tasks=("x",),
            out=out,
            num_samples=2,
            completions=2,
            first_chunk=1,
            audits=0,
            max_new_tokens=4000,
            prompts=PromptOptions(style=PromptStyle.COMPLETION),
            max_programs=34,
            tasks_at_once=1,
        )
        with Journal(out, fingerprint(command)) as journal:
            prm_label.run(command, TASKS, journal, lambda _stage, _total: lambda _done: None)
            return Tally.total(journal.blocks)

    whole = label(tmp_path / "whole.jsonl", 1000)
    assert (whole.programs, whole.tokens) == (Counting.programs, Counting.tokens)
    assert (whole.programs, whole.num_sampled, whole.num_given_up) == (34, 8, 1)
    kills = 0
    while True:
        try:
            resumed = label(tmp_path / "killed.jsonl", 2)  # a round needs two batches at most
            break
        except Killed:
            kills += 1
            assert kills < 100
    assert kills > 4
    assert (resumed.programs, resumed.tokens) == (whole.programs, whole.tokens)
    assert resumed.num_given_up == whole.num_given_up
    assert (tmp_path / "killed.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
