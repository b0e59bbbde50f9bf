"""Line values from fresh completions: by hand, with a policy whose answers are written here."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from linewise.judge import LocalJudge
from linewise.policy.scripted import ScriptedPolicy
from linewise.rollout.collect import collect
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.types import CallTest, Completion, LineScore, Prompt, Rollout, Sampling, Task
from linewise.values.monte_carlo import MonteCarloOptions, MonteCarloValues, Valuation

TASK = Task(
    id="f",
    prompt="Do it.",
    tests=(CallTest(call="f(1)", expected="4"),),
    entry_point="f",
    signature="def f(x):",
)
PROMPTS = PromptOptions(style=PromptStyle.COMPLETION)
SAMPLING = Sampling(max_new_tokens=64)
RIGHT, WRONG = "\n    a = x + 1\n    return a * 2\n", "\n    a = x - 1\n    return a * 2\n"


class Counting:
    """A policy that remembers how many completions of each beginning it was asked for."""

    version = 0

    def __init__(self, answers: Callable[[str], Sequence[str]]) -> None:
        self.inner = ScriptedPolicy(answers=lambda prompt: answers(begun(prompt)))
        self.asked: dict[str, int] = {}

    def render_chat(self, messages: object) -> str | None:
        return None

    def generate(self, prompts: Sequence[Prompt], *, num_samples: int, **options: Any) -> list[list[Completion]]:
        for prompt in prompts:
            self.asked[begun(prompt)] = self.asked.get(begun(prompt), 0) + num_samples
        return self.inner.generate(prompts, num_samples=num_samples, **options)


def begun(prompt: Prompt) -> str:
    return "" if prompt.begun is None else prompt.begun.text


def answers(start: str) -> Sequence[str]:
    """One of two programs at first; after the right line one of four endings is wrong, after the wrong line all are."""
    if not start:
        return (RIGHT, WRONG)
    return ("\n    return a * 2\n",) * 3 + ("\n    return a\n",)


def value(num_completions: int, first_chunk: int) -> tuple[Valuation, Counting, Sequence[Rollout]]:
    policy = Counting(answers)
    with LocalJudge(workers=1) as judge:
        collection = collect(policy, judge, [TASK], num_samples=4, sampling=SAMPLING, seed=0, prompts=PROMPTS)
        policy.asked.clear()
        (group,) = collection.groups
        valuer = MonteCarloValues(
            policy=policy,
            judge=judge,
            options=MonteCarloOptions(num_completions=num_completions, first_chunk=first_chunk),
            sampling=SAMPLING,
            prompts=PROMPTS,
            seed=0,
        )
        return valuer(group.rollouts, purpose="test"), policy, group.rollouts


def scores(*pairs: tuple[int, float]) -> tuple[LineScore, ...]:
    return tuple(LineScore(line=line, score=score) for line, score in pairs)


def test_values_by_hand_and_equal_states_share_their_completions() -> None:
    valuation, policy, rollouts = value(num_completions=8, first_chunk=8)
    first = len(rollouts[0].program.source[: rollouts[0].program.header_chars].splitlines()) + 1
    right = scores((0, 0.5), (first, 0.75), (first + 1, 1.0))
    wrong = scores((0, 0.5), (first, 0.0), (first + 1, 0.0))
    assert valuation.values == (right, wrong, right, wrong)
    # Four programs, but three states: the prompt, and two first lines.
    assert policy.asked == {"": 8, "\n    a = x + 1": 8, "\n    a = x - 1": 8}
    assert valuation.num_programs == 24
    assert valuation.num_verdicts == 4, "equal programs are judged once"


def test_adaptive_k_asks_again_only_where_completions_disagree() -> None:
    valuation, policy, _ = value(num_completions=8, first_chunk=4)
    assert policy.asked == {"": 8, "\n    a = x + 1": 8, "\n    a = x - 1": 4}
    assert valuation.num_programs == 20


def test_the_bias_of_adaptive_k_is_as_the_docstring_says() -> None:
    """Exact, by summing over all outcomes of three completions and six more."""
    first, total = 3, 9
    for p in (0.2, 0.5, 0.8):
        expected = 0.0
        for passed in range(first + 1):
            chance = math.comb(first, passed) * p**passed * (1 - p) ** (first - passed)
            mixed = 0 < passed < first
            mean = (passed + (total - first) * p) / total if mixed else passed / first
            expected += chance * mean
        bias = (1 - first / total) * p * (1 - p) * (p ** (first - 1) - (1 - p) ** (first - 1))
        assert expected - p == pytest.approx(bias)


def test_numbers_from_which_nothing_follows_are_refused() -> None:
    with pytest.raises(ValueError, match="num_completions=0"):
        MonteCarloOptions(num_completions=0)
