"""Best-of-N by hand."""

from collections.abc import Sequence

import pytest

from linewise.evaluation.evaluate import Evaluation, evaluate, picked_pass_rate
from linewise.evaluation.rerank import reranking
from linewise.judge import LocalJudge
from linewise.policy import ScriptedPolicy
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.types import CallTest, Rollout, Sampling, Task

TASKS = [
    Task(id=name, prompt=name, tests=(CallTest(call="f()", expected=value),))
    for name, value in (("a", "1"), ("b", "2"))
]


def test_the_best_valued_program_is_picked() -> None:
    assert picked_pass_rate([0.1, 0.9, 0.5], [True, False, True]) == 0
    assert picked_pass_rate([0.1, 0.9, 0.5], [False, True, False]) == 1
    assert picked_pass_rate([0.9, 0.9, 0.5], [False, True, True]) == 0.5, "ties are drawn from"


def run(values: Sequence[float] | None) -> Evaluation:
    """Each task gets programs that give 1, 2, 3 and 3."""
    answers = [f"def f():\n    return {value}\n" for value in (1, 2, 3, 3)]
    with LocalJudge(workers=1) as judge:
        return evaluate(
            ScriptedPolicy(answers=lambda prompt: answers),
            TASKS,
            judge,
            num_samples=4,
            sampling=Sampling(max_new_tokens=100),
            seed=0,
            prompts=PromptOptions(style=PromptStyle.BARE),
            ranker=None if values is None else lambda rollouts: values,
        )


def test_reranking_by_hand() -> None:
    # The first program is ranked best: it solves task a and not task b.
    evaluation = run([0.9, 0.5, 0.1, 0.1])
    assert [one.picked for one in evaluation.results] == [1, 0]
    result = reranking(evaluation)
    assert (result.first.mean, result.picked.mean, result.any.mean) == (0.25, 0.5, 1.0)
    assert result.gain.mean == 0.25
    assert (result.gain.low, result.gain.high) == (-0.25, 0.75)
    assert Evaluation.from_json(evaluation.to_json()) == evaluation


def test_equal_values_are_a_random_choice() -> None:
    result = reranking(run([0.0] * 4))
    assert result.picked.mean == result.first.mean == 0.25
    assert (result.gain.low, result.gain.high) == (0, 0)


def test_without_a_ranker_nothing_was_picked() -> None:
    evaluation = run(None)
    assert {one.picked for one in evaluation.results} == {None}
    with pytest.raises(ValueError, match="without a ranker"):
        reranking(evaluation)


def test_a_ranker_sees_the_rollouts_of_one_task() -> None:
    seen: list[set[str]] = []

    def ranker(rollouts: Sequence[Rollout]) -> list[float]:
        seen.append({rollout.task.id for rollout in rollouts})
        return [0.0] * len(rollouts)

    with LocalJudge(workers=1) as judge:
        evaluate(
            ScriptedPolicy(answers=lambda prompt: ["def f():\n    return 1\n"]),
            TASKS,
            judge,
            num_samples=2,
            sampling=Sampling(max_new_tokens=100),
            seed=0,
            prompts=PromptOptions(style=PromptStyle.BARE),
            ranker=ranker,
        )
    assert seen == [{"a"}, {"b"}]
