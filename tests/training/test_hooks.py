"""Dynamic sampling, and hooks inside a step: who is visited, what is given, what is remembered."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import pytest

from linewise.credit.grpo import GRPO
from linewise.errors import JudgeError, RunError
from linewise.policy import ScriptedPolicy
from linewise.rollout.buffer import Buffer, BufferOptions
from linewise.rollout.cccs import CCCS
from linewise.rollout.guide import Guide, Stage
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.rollout.roml import RoMLOptions, TaskSampler
from linewise.training.config import CollectionOptions, Recipe
from linewise.training.hooks import Hooks, HookState, Visited, hooks_from_record, hooks_to_record
from linewise.training.prorl import Plateau
from linewise.training.scoring import Scorer
from linewise.training.seeds import visit
from linewise.training.state import RunState
from linewise.training.step import Collector, is_from_scratch, process_share
from linewise.types import CallTest, Outcome, Prompt, Report, Sampling, Task, Verdict

TASKS = [
    Task(id=name, prompt=name, tests=(CallTest(call="f(1)", expected="1"),), signature="def f(a):")
    for name in ("a", "b", "c", "d")
]
RECIPE = Recipe(
    credit=GRPO(),
    collection=CollectionOptions(
        tasks_per_step=2,
        num_samples=2,
        sampling=Sampling(max_new_tokens=60),
        prompts=PromptOptions(style=PromptStyle.COMPLETION),
        dynamic_sampling=True,
        max_rounds=4,
    ),
    buffer=BufferOptions(capacity=16, warmup=4),
)


class WordJudge:
    """Passes programs with `good`, and cannot judge those with `broken`."""

    def run(self, task: Task, program: str) -> Report:
        """One verdict."""
        if "broken" in program:
            raise JudgeError("broken")
        return Report(outcomes=(Outcome(verdict=Verdict.PASSED if "good" in program else Verdict.FAILED),))

    def run_many(self, programs: Iterable[tuple[Task, str]]) -> Iterator[Report | JudgeError]:
        """Verdicts one by one."""
        for task, program in programs:
            try:
                yield self.run(task, program)
            except JudgeError as error:
                yield error


def collector(answers: Callable[[Prompt], Sequence[str]], hooks: Hooks | None = None) -> Collector:
    return Collector(
        recipe=RECIPE if hooks is None else hooks.recipe,  # type: ignore[arg-type]
        hooks=hooks or Hooks(recipe=RECIPE, tasks=TASKS),  # type: ignore[arg-type]
        policy=ScriptedPolicy(answers=answers),
        judge=WordJudge(),
        scorer=Scorer(),
    )


def words(**answers: str) -> Callable[[Prompt], Sequence[str]]:
    return lambda prompt: [f"\n    {word}\n" for word in answers[prompt.task_id].split()]


FRESH = RunState(buffer=Buffer(options=RECIPE.buffer))

# ------------------------------------------------------------------------------------------------- dynamic sampling


def test_constant_groups_are_left_out_and_others_sampled_in_their_place() -> None:
    """Tasks a and b teach nothing; c and d come until four samples are held."""
    collected = collector(words(a="good good", b="bad bad", c="good bad", d="bad good")).fill(FRESH)
    entries = collected.state.buffer.entries
    assert {entry.sample.rollout.task.id for entry in entries} == {"c", "d"}
    assert len(entries) == 4
    assert collected.state.rounds == len(collected.collections) == 2, "four tasks, two a round"
    assert collected.num_left_out == 2
    assert [one.success for one in sorted(collected.visited, key=lambda one: one.task_id)] == [1, 0, 0.5, 0.5]


def test_without_dynamic_sampling_constant_groups_stay() -> None:
    plain = replace(RECIPE, collection=replace(RECIPE.collection, dynamic_sampling=False))
    one = collector(words(a="good good", b="bad bad", c="good bad", d="bad good"))
    collected = replace(one, recipe=plain).fill(FRESH)  # type: ignore[arg-type]
    assert (len(collected.collections), collected.num_left_out) == (1, 0)
    assert len(collected.state.buffer.entries) == 4


def test_the_shares_of_processes_are_those_of_their_tasks() -> None:
    """Each process fills its buffer in one round, and learns from all of it."""

    def shares(tasks: int, processes: int) -> list[int]:
        recipe = replace(RECIPE, collection=replace(RECIPE.collection, tasks_per_step=tasks))
        return [
            process_share(recipe, 4 * tasks, process_index=index, num_processes=processes)  # type: ignore[arg-type]
            for index in range(processes)
        ]

    assert shares(4, 1) == [16]
    assert shares(4, 2) == [8, 8]
    assert shares(3, 2) == [8, 4]


def test_after_max_rounds_a_step_makes_do_with_what_it_has() -> None:
    """Only task d has mixed outcomes: two visits in four rounds give four samples, not the eight that were wanted."""
    state = replace(FRESH, buffer=Buffer(options=BufferOptions(capacity=16, warmup=8)))
    collected = collector(words(a="good good", b="bad bad", c="bad bad", d="bad good")).fill(state)
    assert len(collected.collections) == 4
    assert {entry.sample.rollout.task.id for entry in collected.state.buffer.entries} == {"d"}
    assert len(collected.state.buffer.entries) == 4
    assert collected.num_left_out == 6


def test_nothing_to_learn_from_is_a_clear_error() -> None:
    with pytest.raises(RunError, match=r"in 4 rounds of sampling no task had both.*too hard or too easy.*no-dynamic"):
        collector(words(a="bad bad", b="bad bad", c="good good", d="bad bad")).fill(FRESH)
    with pytest.raises(RunError, match="4 collections in a row gave no usable sample: every program met a fault"):
        collector(words(a="broken", b="broken", c="broken", d="broken")).fill(FRESH)


# ----------------------------------------------------------------------------------------------------------- hooks

TEXT = "\n    x\n    if a:\n        good\n"
GUIDE = Guide(
    text=TEXT,
    token_ids=tuple(map(ord, TEXT)),
    char_spans=tuple((place, place + 1) for place in range(len(TEXT))),
    conditionals=(1,),
)


def test_without_hooks_tasks_are_visited_in_turn_and_programs_written_from_scratch() -> None:
    hooks = Hooks(recipe=RECIPE, tasks=TASKS)  # type: ignore[arg-type]
    for index in range(5):
        visits = hooks.visits(HookState(), index)
        assert [one.task for one in visits] == visit(TASKS, visit_index=index, count=2, seed=0)
        assert all(one.begun is None and one.weight == 1 for one in visits)
    visited = [Visited(task_id="a", kind="a", weight=1.0, num_lines=0, success=1.0)]
    assert hooks.after(HookState(), visited) == HookState()
    assert hooks.metrics(HookState(), visited) == {}


def test_a_task_with_a_guide_begins_with_it_until_it_is_solved() -> None:
    recipe = replace(RECIPE, collection=replace(RECIPE.collection, tasks_per_step=4, dynamic_sampling=False))
    hooks = Hooks(
        recipe=recipe,  # type: ignore[arg-type]
        tasks=TASKS,
        guides={"a": GUIDE},
        curriculum=CCCS(guides={"a": GUIDE}, window=1),
    )
    seen: list[Prompt] = []

    def answers(prompt: Prompt) -> list[str]:
        seen.append(prompt)
        return ["    good\n"] if prompt.begun else ["\n    bad\n"]

    collected = collector(answers, hooks).fill(replace(FRESH, buffer=Buffer(options=BufferOptions())))
    assert {prompt.task_id: prompt.begun and prompt.begun.text for prompt in seen} == {
        "a": "\n    x\n",
        **dict.fromkeys("bcd"),
    }
    assert collected.state.history.keys() == {"b", "c", "d"}, "a guided program is no W_base"
    assert [is_from_scratch(group) for group in collected.collections[0].groups].count(False) == 1
    by_task = {one.task_id: (one.num_lines, one.success) for one in collected.visited}
    assert by_task == {"a": (1, 1.0), "b": (0, 0.0), "c": (0, 0.0), "d": (0, 0.0)}
    state = hooks.after(HookState(), collected.visited)
    assert state.stages == {"a": Stage(index=1)}
    assert all(one.begun is None for one in hooks.visits(state, 1)), "the task was solved, so it is the original one"
    assert hooks.metrics(state, collected.visited) == {
        "roll_in/share": 0.25,
        "roll_in/lines": 0.25,
        "roll_in/stage": 1.0,
    }


def test_visits_are_matched_with_groups_where_some_could_not_be_judged() -> None:
    hooks = Hooks(recipe=RECIPE, tasks=TASKS, sampler=TaskSampler(tasks=TASKS, options=RoMLOptions(alpha=0.05)))  # type: ignore[arg-type]
    phi = {"a": 0.7, "b": 0.1, "c": 0.1, "d": 0.1}
    visits = hooks.visits(HookState(task_probs=phi), 0)
    assert visits[0].weight == 1.0, "the first share is drawn from the original distribution"
    assert visits[1].weight == pytest.approx(0.25 / phi[visits[1].task.id])
    one = collector(words(a="good", b="broken", c="bad", d="bad"), hooks)
    state = replace(FRESH, hooks=HookState(task_probs=phi))
    found = {}
    for index in range(20):
        visits = one.visits_of_round(replace(state, rounds=index))
        collection = one.collect_round(state, visits, None, None)
        visited = hooks.visited(visits, collection.groups)
        assert [each.task_id for each in visited] == [each.task.id for each in visits if each.task.id != "b"]
        found.update({each.task_id: each.success for each in visited})
    assert found == {"a": 1.0, "c": 0.0, "d": 0.0}


def test_what_hooks_remember_survives_json() -> None:
    state = HookState(
        stages={"a": Stage(index=2, recent=(0.25, 0.1), best=0.3), "b": Stage()},
        task_probs={"a": 0.1, "b": 0.9},
        plateau=Plateau(rates=(0.1, 0.2), num_resets=3),
    )
    assert hooks_from_record(json.loads(json.dumps(hooks_to_record(state)))) == state
