"""StepCoder's mask by hand and its point on a small process: less variance, no bias; a random mask has a bias."""

import dataclasses

import numpy as np
import pytest

from linewise.credit.fgo import FGO, ExecutionMask, executed_tokens, shuffled_tokens
from linewise.credit.ppo import PPO
from linewise.credit.reinforce import Reinforce
from linewise.types import Credit, Need, Outcome, Report, ScoredGroup, Verdict
from tests.credit.conftest import group, rollout, scores
from tests.credit.mdp import CreditFn, Lines

PIECES = ("\n    if x:", "\n        ", "return 1", "\n    # c", "\n    return 2", "\n", "```", "")
"""Lines 2, 3, 3, 4, 5, 5 (its line end), and two tokens outside the program."""


def report(executed: set[int] | None, verdict: Verdict = Verdict.FAILED) -> Report:
    lines = None if executed is None else frozenset(executed)
    return Report(outcomes=(Outcome(verdict=verdict, executed_lines=lines),), executed_lines=lines)


def kept(one: Report) -> list[int]:
    mask = executed_tokens(rollout(PIECES, one, program=(0, sum(map(len, PIECES[:6])))))
    return mask.astype(int).tolist()


def test_by_hand() -> None:
    """Line 3 did not run, and line 4 holds nothing to run."""
    assert kept(report({1, 2, 5})) == [1, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "unknown",
    [report(None), report(set()), report({1}, Verdict.TIMEOUT), report({2}, Verdict.SYNTAX_ERROR)],
)
def test_everything_is_kept_where_nothing_is_known_to_have_run(unknown: Report) -> None:
    assert kept(unknown) == [1] * 8


def test_only_the_weights_change() -> None:
    one = group(rollout(PIECES, report({2, 5})), scored=[scores(values=[0.5] * 8)])
    (inner,), (masked,) = PPO()(one), FGO(inner=PPO())(one)
    assert masked.weights.tolist() == [1, 0, 0, 0, 1, 1, 0, 1]
    for name in ("rewards", "advantages", "returns", "terms"):
        assert getattr(masked, name) is not None
        np.testing.assert_equal(getattr(masked, name), getattr(inner, name))
    assert FGO(inner=PPO()).needs == {Need.VALUES, Need.EXECUTED_LINES}


def test_weights_of_the_inner_method_are_kept() -> None:
    @dataclasses.dataclass(frozen=True)
    class Halved:
        needs: frozenset[Need] = frozenset()

        def __call__(self, one: ScoredGroup) -> list[Credit]:
            return [dataclasses.replace(credit, weights=credit.weights / 2) for credit in Reinforce()(one)]

    (masked,) = FGO(inner=Halved())(group(rollout(PIECES, report({2, 5}))))
    assert masked.weights.tolist() == [0.5, 0, 0, 0, 0.5, 0.5, 0, 0.5]


def test_the_control_drops_as_many_tokens_of_the_program() -> None:
    places = set()
    for seed in range(20):
        one = rollout(PIECES, report({2, 5}), program=(0, sum(map(len, PIECES[:6]))))
        tokens = tuple(np.random.default_rng(seed).integers(100, size=8).tolist())
        one = dataclasses.replace(one, completion=dataclasses.replace(one.completion, token_ids=tokens))
        mask = shuffled_tokens(one, executed_tokens(one))
        assert mask[:6].sum() == 3 and mask[6:].all()
        np.testing.assert_array_equal(mask, shuffled_tokens(one, executed_tokens(one)))
        places.add(tuple(mask.tolist()))
    assert len(places) > 5, "it is a function of the tokens, and not the same for all"


# Line 1 is a branch: after "a" line 2 never runs, and only after "b" does it decide.
BRANCH = Lines(2, frozenset({"aa", "ab", "bb"}), {"": 0.3, "a": -0.4, "b": 0.2})


def branch_report(program: str) -> Report:
    ran = {1} if program[0] == "a" else {1, 2}
    verdict = Verdict.PASSED if program in BRANCH.passing else Verdict.FAILED
    return report(ran, verdict)


def judged(assign: FGO[Reinforce] | Reinforce, seed: int = 0) -> CreditFn:
    """The assigner, on programs whose reports say which lines ran; the seed names their tokens."""

    def credit(one: ScoredGroup) -> list[Credit]:
        (old,) = one.rollouts
        program = old.program.source.replace("\n", "")
        tokens = tuple(100 * seed + ord(letter) for letter in program)
        completion = dataclasses.replace(old.completion, token_ids=tokens)
        rollout = dataclasses.replace(old, completion=completion, report=branch_report(program))
        return assign(dataclasses.replace(one, rollouts=(rollout,)))

    return credit


def test_what_did_not_run_is_noise() -> None:
    """The mask takes away variance and no gradient; a random one of the same density takes away gradient."""
    plain, masked = (BRANCH.moments(judged(assign)) for assign in (Reinforce(), FGO(inner=Reinforce())))
    np.testing.assert_allclose(plain.mean, BRANCH.exact_gradient, atol=1e-6)
    np.testing.assert_allclose(masked.mean, BRANCH.exact_gradient, atol=1e-6)
    assert masked.variance < 0.9 * plain.variance
    control = FGO(inner=Reinforce(), mask=ExecutionMask.RANDOM)
    means = [BRANCH.moments(judged(control, seed)).mean for seed in range(20)]
    assert np.abs(np.mean(means, axis=0) - BRANCH.exact_gradient)[0] > 0.05
