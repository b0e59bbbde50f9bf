"""`evaluate` with a scripted policy and a judge that knows its answers, and what is computed from evaluations."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from linewise.errors import JudgeError, UserError
from linewise.evaluation.evaluate import TASKS_AT_ONCE, Evaluation, TaskResult, evaluate, merged, paired_difference
from linewise.policy import ScriptedPolicy
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.types import CallTest, Outcome, Prompt, Report, Sampling, Task, Verdict

BARE = PromptOptions(style=PromptStyle.BARE)
SAMPLING = Sampling(temperature=0.6, max_new_tokens=1000)
RIGHT, WRONG, ERROR, FAULT = "right = 1", "wrong = 1", "error = 1", "fault = 1"


def task(name: str, family: str = "") -> Task:
    tests = (CallTest(call="f()", expected="1"), CallTest(call="f()", expected="1"))
    return Task(id=name, prompt=name, tests=tests, metadata={"family": family} if family else {})


@dataclass(frozen=True)
class FakeJudge:
    """Decides by the program's first word, and remembers what it was asked."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    def run(self, task: Task, program: str) -> Report:
        raise NotImplementedError("an evaluation judges many programs at once")

    def run_many(self, programs: Iterable[tuple[Task, str]]) -> Iterator[Report | JudgeError]:
        for task, program in programs:
            self.asked.append((task.id, program))
            yield self.verdict(program)

    def verdict(self, program: str) -> Report | JudgeError:
        if program.startswith("fault"):
            return JudgeError("the worker is gone")
        second = {"right": Verdict.PASSED, "wrong": Verdict.FAILED, "error": Verdict.RUNTIME_ERROR}[program.split()[0]]
        return Report(outcomes=(Outcome(verdict=Verdict.PASSED), Outcome(verdict=second)))


def run(answers: dict[str, Sequence[str]], *, num_samples: int, tasks: Sequence[Task] | None = None) -> Evaluation:
    return evaluate(
        ScriptedPolicy(answers=lambda prompt: answers[prompt.task_id]),
        tasks or [task(name) for name in answers],
        FakeJudge(),
        num_samples=num_samples,
        sampling=SAMPLING,
        seed=7,
        prompts=BARE,
        name="scripted",
    )


def test_counts_and_estimates() -> None:
    answers = {"a": [RIGHT, WRONG, ERROR, WRONG], "b": [RIGHT, RIGHT, RIGHT, WRONG]}
    evaluation = run(answers, num_samples=4, tasks=[task("a", "lists"), task("b", "numbers")])
    assert evaluation.results == (
        TaskResult(
            task_id="a",
            family="lists",
            num_samples=4,
            num_passed=1,
            verdicts={"passed": 1, "failed": 2, "runtime_error": 1},
        ),
        TaskResult(task_id="b", family="numbers", num_samples=4, num_passed=3, verdicts={"passed": 3, "failed": 1}),
    )
    assert evaluation.verdicts == Counter(passed=4, failed=3, runtime_error=1)
    assert evaluation.pass_at_k(1).mean == pytest.approx((1 / 4 + 3 / 4) / 2)
    assert evaluation.pass_at_k(2).mean == pytest.approx((1 / 2 + 1) / 2), "two of four with one right: 1 - 3/6"
    assert evaluation.pass_at_k(4).mean == 1
    assert evaluation.pass_at_k(1).num_tasks == 2, "the interval is over tasks, not over programs"
    by_family = evaluation.by_family(2)
    assert list(by_family) == ["lists", "numbers"]
    assert (by_family["lists"].mean, by_family["numbers"].mean) == pytest.approx((1 / 2, 1.0))


def test_what_it_takes_to_repeat_it_is_kept() -> None:
    evaluation = run({"a": [RIGHT]}, num_samples=3)
    assert evaluation.policy == "scripted"
    assert (evaluation.num_samples, evaluation.seed) == (3, 7)
    assert (evaluation.sampling, evaluation.prompts) == (SAMPLING, BARE)
    assert evaluation.num_tokens == 3 * (len(RIGHT) + 1), "one for each character and one for the end"
    assert evaluation.num_judge_errors == 0
    assert evaluation.seconds_generate >= 0
    assert evaluation.seconds_judge >= 0


def test_equal_programs_are_judged_once_and_counted_each() -> None:
    judge = FakeJudge()
    evaluation = evaluate(
        ScriptedPolicy(answers=lambda prompt: [RIGHT, WRONG]),
        [task("a"), task("b")],
        judge,
        num_samples=6,
        sampling=SAMPLING,
        seed=0,
        prompts=BARE,
    )
    assert sorted(judge.asked) == [("a", RIGHT), ("a", WRONG), ("b", RIGHT), ("b", WRONG)]
    assert [(result.num_samples, result.num_passed) for result in evaluation.results] == [(6, 3), (6, 3)]


def test_many_tasks_keep_their_order_and_the_progress_adds_up() -> None:
    tasks = [task(f"t{index}") for index in range(2 * TASKS_AT_ONCE + 1)]
    counts: list[int] = []
    seeds: list[int] = []

    @dataclass(frozen=True, kw_only=True)
    class Recording(ScriptedPolicy):
        def generate(self, prompts: Sequence[Prompt], *, seed: int, **options: object) -> list[list[object]]:  # type: ignore[override]
            seeds.append(seed)
            assert len(prompts) <= TASKS_AT_ONCE
            return super().generate(prompts, seed=seed, **options)  # type: ignore[arg-type, return-value]

    evaluation = evaluate(
        Recording(answers=lambda prompt: [RIGHT if prompt.task_id.endswith("0") else WRONG]),
        tasks,
        FakeJudge(),
        num_samples=2,
        sampling=SAMPLING,
        seed=5,
        prompts=BARE,
        progress=counts.append,
    )
    assert [result.task_id for result in evaluation.results] == [one.id for one in tasks]
    assert [result.num_passed for result in evaluation.results] == [2 * one.id.endswith("0") for one in tasks]
    assert sum(counts) == 2 * len(tasks)
    assert len(set(seeds)) == len(seeds) == 3, "each batch of tasks has random numbers of its own"


def test_a_fault_of_the_judge_is_counted_and_never_a_failed_program() -> None:
    evaluation = run({"a": [RIGHT, FAULT, WRONG, FAULT], "b": [RIGHT]}, num_samples=4)
    first = evaluation.results[0]
    assert (first.num_samples, first.num_passed) == (2, 1)
    assert first.verdicts == {"passed": 1, "failed": 1}
    assert evaluation.num_judge_errors == 2
    assert evaluation.num_samples == 4, "what was asked for"
    assert evaluation.pass_at_k(1).mean == pytest.approx((1 / 2 + 1) / 2)
    with pytest.raises(ValueError, match="there are 2"):
        evaluation.pass_at_k(3)


def test_a_task_that_loses_all_its_programs_stops_the_evaluation() -> None:
    with pytest.raises(UserError, match=r"failed on every program of 1 tasks \(b.*the worker is gone.*--workers"):
        run({"a": [RIGHT], "b": [FAULT]}, num_samples=2)


def test_no_tasks_have_no_mean() -> None:
    evaluation = replace(run({"a": [RIGHT]}, num_samples=1), results=())
    assert evaluation.verdicts == Counter()
    with pytest.raises(ValueError, match="no task was evaluated"):
        evaluation.pass_at_k(1)


def test_parts_of_several_processes_are_one_evaluation() -> None:
    parts = run({"a": [RIGHT, FAULT]}, num_samples=2), run({"b": [WRONG], "c": [RIGHT]}, num_samples=2)
    slow, fast = replace(parts[0], seconds_generate=3.0), replace(parts[1], seconds_generate=1.0, seconds_judge=9.0)
    whole = merged([slow, fast])
    assert whole.results == parts[0].results + parts[1].results
    assert whole.num_judge_errors == 1
    assert whole.num_tokens == parts[0].num_tokens + parts[1].num_tokens
    assert (whole.seconds_generate, whole.seconds_judge) == (3.0, 9.0), "they ran side by side"
    assert whole.pass_at_k(1).mean == pytest.approx((1 + 0 + 1) / 3)


# ----------------------------------------------------------------------------------------------------------------- JSON


def test_json_round_trip() -> None:
    answers = {"a": [RIGHT, FAULT], "é": [WRONG, ERROR]}
    evaluation = run(answers, num_samples=2, tasks=[task("a", "lists"), task("é")])
    text = evaluation.to_json()
    again = Evaluation.from_json(text)
    assert again == evaluation
    assert again.to_json() == text
    assert isinstance(again.prompts.style, PromptStyle)
    assert again.pass_at_k(1) == evaluation.pass_at_k(1)


def without_results(record: dict[str, object]) -> object:
    return {name: value for name, value in record.items() if name != "results"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: [],
        lambda record: {},
        lambda record: None,
        lambda record: "text",
        without_results,
        lambda record: record | {"surprise": 1},
        lambda record: record | {"results": [{"task_id": "a"}]},
        lambda record: record | {"results": 3},
        lambda record: record | {"sampling": {"heat": 1}},
        lambda record: record | {"prompts": {}},
    ],
)
def test_other_json_is_refused(spoil: Callable[[dict[str, object]], object]) -> None:
    record = json.loads(run({"a": [RIGHT]}, num_samples=1).to_json())
    with pytest.raises(UserError, match="no evaluation"):
        Evaluation.from_json(json.dumps(spoil(record)))


def test_half_a_file_is_refused() -> None:
    text = run({"a": [RIGHT]}, num_samples=1).to_json()
    for end in (0, 1, len(text) // 2, len(text) - 1):
        with pytest.raises(UserError, match="no evaluation"):
            Evaluation.from_json(text[:end])


def test_an_unknown_prompt_style_is_refused() -> None:
    record = json.loads(run({"a": [RIGHT]}, num_samples=1).to_json())
    with pytest.raises(UserError, match="no evaluation"):
        Evaluation.from_json(json.dumps(record | {"prompts": {"style": "prose", "num_examples": 0}}))


# ---------------------------------------------------------------------------------------------------- paired difference


def passed(**counts: int) -> Evaluation:
    """An evaluation in which so many of four programs passed for each task."""
    answers = {name: [RIGHT] * count + [WRONG] * (4 - count) for name, count in counts.items()}
    return run(answers, num_samples=4)


def test_paired_difference_by_hand() -> None:
    before, after = passed(a=1, b=2, c=4), passed(a=3, b=2, c=4)
    change = paired_difference(before, after)
    assert change.mean == pytest.approx((2 / 4 + 0 + 0) / 3)
    assert change.num_tasks == 3
    # Three draws of {1/2, 0, 0}: the sum of (1/2)s is Binomial(3, 1/3); P(0) = 0.30, P(<= 2) = 0.963, P(3) = 0.037.
    assert (change.low, change.high) == pytest.approx((0.0, 0.5))
    assert not change.excludes_zero
    at_2 = paired_difference(before, after, k=2)
    assert at_2.mean == pytest.approx((1 - 1 / 2) / 3), "a: from 1 - 3/6 to 1; b and c: the same"


def test_pairing_removes_the_spread_between_tasks() -> None:
    before, after = passed(a=0, b=1, c=2, d=3), passed(a=1, b=2, c=3, d=4)
    change = paired_difference(before, after)
    assert (change.low, change.mean, change.high) == pytest.approx((1 / 4, 1 / 4, 1 / 4))
    assert change.excludes_zero
    assert after.pass_at_k(1).low < before.pass_at_k(1).high, "unpaired, the intervals overlap"


def test_pairs_are_found_by_id_and_the_sign_follows_the_order() -> None:
    before, after = passed(a=0, b=4), passed(b=4, a=2)
    assert paired_difference(before, after).mean == pytest.approx(1 / 4)
    assert paired_difference(after, before).mean == pytest.approx(-1 / 4)
    assert paired_difference(before, before).mean == 0


def test_only_the_same_tasks_can_be_paired() -> None:
    with pytest.raises(ValueError, match="'c' is in one only"):
        paired_difference(passed(a=1, b=1), passed(a=1, b=1, c=1))


def test_pairing_uses_the_programs_that_each_task_has() -> None:
    before = run({"a": [RIGHT, FAULT, FAULT, WRONG]}, num_samples=4)
    assert paired_difference(before, passed(a=4)).mean == pytest.approx(1 - 1 / 2)
