"""VinePPO by hand, its sum, and the reason for it: unbiased, with a variance that falls as K grows."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewise.credit.reinforce import Reinforce
from linewise.credit.reward import TokenReward
from linewise.credit.steps import line_steps
from linewise.credit.vineppo import VinePPO
from linewise.types import Need, Scores
from tests.credit.conftest import group, rollout, scores
from tests.credit.mdp import Lines, moments

PIECES = ("\n    ", "a", " = 1", "\n    ", "b = 2", "\n    return a", "\n", "")
"""Lines 2, 2, 2, 3, 3, 4, 4 and the end."""
PROCESS = Lines(
    4, frozenset({"aaba", "abbb", "bbba", "bbbb", "baaa", "babb"}), {"": 0.4, "a": -0.3, "b": 0.8, "ab": 0.5}
)


def test_by_hand() -> None:
    """V: .5 -> .75 -> .25 -> end; a program that passes: +.25, -.5, 1 - .25."""
    scored = scores(line_values={0: 0.5, 2: 0.75, 3: 0.25, 4: 1.0})
    (credit,) = VinePPO()(group(rollout(PIECES), scored=[scored]))
    np.testing.assert_allclose(credit.advantages, [0.25, 0.25, 0.25, -0.5, -0.5, 0.75, 0.75, 0.75])
    np.testing.assert_allclose(credit.terms["outcome"], [0, 0, 0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(credit.terms["values"], [0.25, 0.25, 0.25, -0.5, -0.5, -0.25, -0.25, -0.25])
    np.testing.assert_allclose(credit.rewards, [0] * 7 + [1])
    assert credit.returns is None and VinePPO().needs == {Need.LINE_VALUES}


def test_a_program_without_a_sampled_line_is_compared_with_the_prompt() -> None:
    (credit,) = VinePPO()(group(rollout(("",), False), scored=[scores(line_values={0: 0.25})]))
    np.testing.assert_allclose(credit.advantages, [-0.25])


values = st.floats(0, 1)


@given(st.lists(values, min_size=4, max_size=4), st.booleans(), st.lists(values, min_size=8, max_size=8))
def test_over_the_lines_it_sums_to_the_return_minus_the_prompts_value(
    numbers: list[float], passed: bool, ref: list[float]
) -> None:
    scored = scores(line_values=dict(zip((0, 2, 3, 4), numbers, strict=True)), ref_logprobs=ref)
    for assign in (VinePPO(), VinePPO(reward=TokenReward(kl_coef=0.1))):
        one = rollout(PIECES, passed)
        (credit,) = assign(group(one, scored=[scored]))
        steps = line_steps(one, (2, 3, 4)).step_of_token
        over_lines = sum(float(credit.advantages[steps == step][0]) for step in range(3))
        assert over_lines == pytest.approx(credit.rewards.sum() - numbers[0], abs=1e-4)
        np.testing.assert_allclose(credit.advantages, sum(credit.terms.values()), atol=1e-5)


def line_values(program: str, of: Callable[[str], float]) -> Scores:
    return scores(line_values={0: of(""), **{t: of(program[:t]) for t in range(1, len(program) + 1)}})


def test_exact_values_give_the_exact_gradient() -> None:
    ours = PROCESS.moments(VinePPO(), lambda program: line_values(program, PROCESS.value))
    np.testing.assert_allclose(ours.mean, PROCESS.exact_gradient, atol=1e-6)


def sampling_variance(process: Lines, num_completions: int) -> float:
    """What K completions for each beginning add to the variance, exactly: the estimate is linear in the values.

    The value of each beginning is an independent mean of K outcomes, with variance V (1 - V) / K.
    """
    added = 0.0
    for program in process.programs:
        (base,) = VinePPO()(group(process.rollout(program), scored=[line_values(program, lambda _one: 0.0)]))
        for t in range(process.horizon):
            bumped = scores(line_values={line: float(line == t) for line in range(process.horizon + 1)})
            (moved,) = VinePPO()(group(process.rollout(program), scored=[bumped]))
            slope = process.gradient(program, moved) - process.gradient(program, base)
            value = process.value(program[:t])
            added += process.prob(program) * float(slope @ slope) * value * (1 - value) / num_completions
    return added


LONG = Lines(5, frozenset(one for one in map("".join, itertools.product("ab", repeat=5)) if one.count("b") >= 2))
"""A program passes with two lines "b" of five, .81 of all."""


def test_the_variance_falls_with_the_number_of_completions() -> None:
    exact = LONG.moments(VinePPO(), lambda program: line_values(program, LONG.value)).variance
    alone = LONG.moments(Reinforce()).variance
    one, nine = exact + sampling_variance(LONG, 1), exact + sampling_variance(LONG, 9)
    assert alone > 1.3 * one
    assert one > 3 * nine > 3 * exact


def test_sampled_values_are_unbiased_and_have_that_variance() -> None:
    """At K = 1 each value is 0 or 1; the joint distribution of programs and values is enumerated."""
    probs, estimates = [], []
    for program, drawn in itertools.product(PROCESS.programs, itertools.product((0, 1), repeat=PROCESS.horizon)):
        exact = [PROCESS.value(program[:t]) for t in range(PROCESS.horizon)]
        chances = [value if one else 1 - value for one, value in zip(drawn, exact, strict=True)]
        if not (prob := PROCESS.prob(program) * float(np.prod(chances))):
            continue
        given_values = scores(line_values={**dict(enumerate(map(float, drawn))), PROCESS.horizon: 0.0})
        (credit,) = VinePPO()(group(PROCESS.rollout(program), scored=[given_values]))
        probs.append(prob)
        estimates.append(PROCESS.gradient(program, credit))
    sampled = moments(probs, estimates)
    np.testing.assert_allclose(sampled.mean, PROCESS.exact_gradient, atol=1e-6)
    exactly = PROCESS.moments(VinePPO(), lambda program: line_values(program, PROCESS.value)).variance
    assert sampled.variance == pytest.approx(exactly + sampling_variance(PROCESS, 1), rel=1e-4)
