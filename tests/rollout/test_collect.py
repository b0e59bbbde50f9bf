"""Collection with a scripted policy and a judge that only keeps a list."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewise.errors import JudgeError
from linewise.policy import ScriptedPolicy
from linewise.rollout.collect import Collection, collect
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.types import CallTest, Judge, Outcome, Prompt, Report, Sampling, StopReason, Task, Verdict

# A busy machine is no fault of the code.
STEADY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def make_task(name: str) -> Task:
    return Task(id=name, prompt=name, tests=(CallTest(call="f(1)", expected="1"),), signature="def f(a):")


A, B, C = make_task("a"), make_task("b"), make_task("c")
HEAD = {task.id: f'def f(a):\n    """{task.id}"""' for task in (A, B, C)}


@dataclass
class ListingJudge:
    """Passes programs with `good`, fails on those with `broken`, and keeps a list of all."""

    jobs: list[tuple[str, str]] = field(default_factory=list)

    def run(self, task: Task, program: str) -> Report:
        """One verdict; it says on its face which program it is of."""
        self.jobs.append((task.id, program))
        if "broken" in program:
            raise JudgeError(f"no verdict on {task.id}")
        verdict = Verdict.PASSED if "good" in program else Verdict.FAILED
        return Report(outcomes=(Outcome(verdict=verdict, message=f"{task.id}: {program}"),))

    def run_many(self, programs: Iterable[tuple[Task, str]]) -> Iterator[Report | JudgeError]:
        """Verdicts one by one, as they are asked for."""
        for task, program in programs:
            try:
                yield self.run(task, program)
            except JudgeError as error:
                yield error


def collect_from(
    answers: Mapping[str, list[str]],
    judge: Judge,
    tasks: tuple[Task, ...],
    *,
    num_samples: int | None = None,
    baselines: Mapping[str, Report] | None = None,
    max_new_tokens: int = 100,
    progress: list[int] | None = None,
) -> Collection:
    def answer(prompt: Prompt) -> list[str]:
        assert prompt.text == HEAD[prompt.task_id]
        return answers[prompt.task_id]

    return collect(
        ScriptedPolicy(answers=answer, version=4),
        judge,
        tasks,
        num_samples=num_samples or max(map(len, answers.values())),
        sampling=Sampling(max_new_tokens=max_new_tokens),
        seed=0,
        prompts=PromptOptions(style=PromptStyle.COMPLETION),
        baselines=baselines,
        progress=None if progress is None else progress.append,
    )


def test_groups_follow_the_tasks_and_rollouts_the_samples() -> None:
    answers = {"a": ["\n    good", "\n    bad"], "b": ["\n    bad", "\n    good"], "c": ["\n    x", "\n    y"]}
    judge = ListingJudge()
    collection = collect_from(answers, judge, (C, A, B))
    assert [group.task for group in collection.groups] == [C, A, B]
    for group in collection.groups:
        assert [rollout.completion.text for rollout in group.rollouts] == answers[group.task.id]
        for rollout in group.rollouts:
            assert rollout.task is group.task
            assert rollout.program.source == HEAD[group.task.id] + rollout.completion.text
            assert rollout.report.outcomes[0].message == f"{group.task.id}: {rollout.program.source}"
            assert rollout.completion.policy_version == 4
    assert [[rollout.report.passed for rollout in group.rollouts] for group in collection.groups[1:]] == [
        [True, False],
        [False, True],
    ]
    assert (collection.num_judge_errors, collection.empty_tasks, collection.faults) == (0, (), ())
    assert collection.seconds_generate >= 0 and collection.seconds_judge >= 0


def test_each_distinct_program_is_judged_once() -> None:
    # The second differs from the first in what follows the program, which `is_complete` cuts at its first character.
    answers = {"a": ["\n    good\n", "\n    good\nprint(1)", "\n    bad\n", "\n    good\n"], "b": ["\n    good\n"]}
    judge = ListingJudge()
    collection = collect_from(answers, judge, (A, B))
    source = {name: f"{head}\n    good\n" for name, head in HEAD.items()}
    assert judge.jobs == [("a", source["a"]), ("a", HEAD["a"] + "\n    bad\n"), ("b", source["b"])]
    first, second = collection.groups
    assert [rollout.report.passed for rollout in first.rollouts] == [True, True, False, True]
    assert len(second.rollouts) == 4, "copies are judged once but all stay"
    assert first.rollouts[0].completion != first.rollouts[1].completion
    assert first.rollouts[0].program == first.rollouts[1].program
    assert first.rollouts[1].completion.stop_reason is StopReason.PROGRAM_END
    assert first.rollouts[1].completion.text == "\n    good\np"


def test_equal_programs_of_two_tasks_are_judged_for_each() -> None:
    judge = ListingJudge()
    twin = Task(id="twin", prompt="a", tests=A.tests, signature=A.signature)
    collect(
        ScriptedPolicy(answers=lambda prompt: ["\n    good"]),
        judge,
        (A, twin),
        num_samples=2,
        sampling=Sampling(),
        seed=0,
        prompts=PromptOptions(),
    )
    assert judge.jobs == [("a", HEAD["a"] + "\n    good"), ("twin", HEAD["a"] + "\n    good")]


def test_a_task_drawn_twice_has_two_groups() -> None:
    judge = ListingJudge()
    collection = collect_from({"a": ["\n    good"]}, judge, (A, A), num_samples=2)
    assert [(group.task.id, len(group.rollouts)) for group in collection.groups] == [("a", 2), ("a", 2)]
    assert len(judge.jobs) == 1


def test_faults_of_the_judge_are_dropped_and_counted() -> None:
    answers = {
        "a": ["\n    broken", "\n    good", "\n    broken", "\n    bad"],
        "b": ["\n    broken", "\n    broken()"],
        "c": ["\n    bad"],
    }
    collection = collect_from(answers, ListingJudge(), (A, B, C))
    assert [group.task.id for group in collection.groups] == ["a", "c"]
    assert [rollout.completion.text for rollout in collection.groups[0].rollouts] == ["\n    good", "\n    bad"]
    assert collection.empty_tasks == ("b",)
    assert collection.num_judge_errors == 2 + 4, "every rollout that was dropped, copies too"
    assert collection.faults == ("no verdict on a",) * 2 + ("no verdict on b",) * 4


def test_baselines_go_into_their_groups() -> None:
    base = Report(outcomes=(Outcome(verdict=Verdict.CRASHED),))
    collection = collect_from(
        {"a": ["\n    x"], "b": ["\n    x"]}, ListingJudge(), (A, B), baselines={"b": base, "z": base}
    )
    assert [group.baseline for group in collection.groups] == [None, base]
    without = collect_from({"a": ["\n    x"]}, ListingJudge(), (A,))
    assert without.groups[0].baseline is None


def test_tokens_are_counted_also_those_of_dropped_programs() -> None:
    answers = {"a": ["\n    good", "\n    broken and long"]}
    progress: list[int] = []
    collection = collect_from(answers, ListingJudge(), (A, A), max_new_tokens=12, progress=progress)
    # "\n    good" and its end; the other is cut at 12 before it can end.
    assert collection.num_tokens == 2 * (9 + 1 + 12)
    assert collection.num_judge_errors == 2
    assert sum(progress) == 4
    assert not any(rollout.completion.truncated for group in collection.groups for rollout in group.rollouts)


def test_nothing_to_do() -> None:
    collection = collect_from({"a": ["x"]}, ListingJudge(), ())
    assert (collection.groups, collection.empty_tasks, collection.num_tokens) == ((), (), 0)


def test_a_judge_that_loses_a_verdict_is_a_bug_that_shows() -> None:
    class Forgetful(ListingJudge):
        def run_many(self, programs: Iterable[tuple[Task, str]]) -> Iterator[Report | JudgeError]:
            return iter(list(super().run_many(programs))[:-1])

    with pytest.raises(ValueError, match="shorter"):
        collect_from({"a": ["\n    x", "\n    y"]}, Forgetful(), (A,))


@STEADY
@given(
    answers=st.fixed_dictionaries(
        {name: st.lists(st.sampled_from(["\n    good", "\n    bad", "\n    broken", "x"]), min_size=1) for name in HEAD}
    ),
    num_samples=st.integers(1, 5),
)
def test_every_sample_is_a_rollout_or_a_fault(answers: dict[str, list[str]], num_samples: int) -> None:
    judge = ListingJudge()
    collection = collect_from(answers, judge, (A, B, C), num_samples=num_samples)
    rollouts = [rollout for group in collection.groups for rollout in group.rollouts]
    assert len(rollouts) + collection.num_judge_errors == 3 * num_samples
    assert len(collection.faults) == collection.num_judge_errors
    assert not any("broken" in rollout.program.source for rollout in rollouts)
    assert all(group.rollouts for group in collection.groups)
    assert sorted([*(group.task.id for group in collection.groups), *collection.empty_tasks]) == ["a", "b", "c"]
    assert len(judge.jobs) == len(set(judge.jobs))
    for task in (A, B, C):
        drawn = {answers[task.id][index % len(answers[task.id])] for index in range(num_samples)}
        assert {source for name, source in judge.jobs if name == task.id} == {HEAD[task.id] + text for text in drawn}
