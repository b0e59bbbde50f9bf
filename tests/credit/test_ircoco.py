"""IRCoCo's immediate rewards by hand; the difference form is the one of low variance."""

import numpy as np

from linewise.credit.ircoco import ImmediateReward, IRCoCo
from linewise.types import Need, Scores
from tests.credit.conftest import group, rollout, scores
from tests.credit.mdp import Lines

PIECES = ("\n    ", "a = 1", "\n    ", "return a", "")
"""Lines 2, 2, 3, 3 and the end."""
PROCESS = Lines(3, frozenset({"aba", "abb", "bbb", "bba"}), {"": 0.4, "a": -0.3, "b": 0.8, "ab": 0.5})


def test_by_hand() -> None:
    one = group(rollout(PIECES, False), scored=[scores(line_values={0: 0.5, 2: 0.75, 3: 0.25})])
    (difference,), (absolute,) = IRCoCo()(one), IRCoCo(form=ImmediateReward.ABSOLUTE)(one)
    np.testing.assert_allclose(difference.advantages, [0.25, 0.25, -0.5, -0.5, -0.5])
    np.testing.assert_allclose(absolute.advantages, [0.75, 0.75, 0.25, 0.25, 0.25])
    for credit in (difference, absolute):
        np.testing.assert_array_equal(credit.rewards, credit.advantages)
        np.testing.assert_array_equal(credit.terms["immediate"], credit.advantages)
    assert IRCoCo().needs == {Need.LINE_VALUES}


def test_without_a_sampled_line_nothing_changed() -> None:
    one = group(rollout(("",), False), scored=[scores(line_values={0: 0.5})])
    assert IRCoCo()(one)[0].advantages.tolist() == [0]
    assert IRCoCo(form=ImmediateReward.ABSOLUTE)(one)[0].advantages.tolist() == [0.5]


def exact_evaluator(program: str) -> Scores:
    return scores(line_values={t: PROCESS.value(program[:t]) for t in range(len(program) + 1)})


def test_both_forms_are_unbiased_with_the_exact_evaluator_and_the_difference_varies_less() -> None:
    """V(s_i) is a baseline of the step from s_i: it takes away variance and no gradient."""
    difference = PROCESS.moments(IRCoCo(), exact_evaluator)
    absolute = PROCESS.moments(IRCoCo(form=ImmediateReward.ABSOLUTE), exact_evaluator)
    np.testing.assert_allclose(difference.mean, PROCESS.exact_gradient, atol=1e-6)
    np.testing.assert_allclose(absolute.mean, PROCESS.exact_gradient, atol=1e-6)
    assert absolute.variance > 2 * difference.variance
