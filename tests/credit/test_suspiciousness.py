"""Blame and praise by hand, and what they never change: the mass of each sign."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewise.credit.group import GroupBaseline
from linewise.credit.ppo import PPO
from linewise.credit.reinforce import Reinforce
from linewise.credit.reward import OutcomeReward, TokenReward
from linewise.credit.rltf import alpha
from linewise.credit.suspiciousness import Suspiciousness, line_votes, spread
from linewise.errors import UserError
from linewise.types import Need, Outcome, Report, StopReason, Verdict
from tests.credit.conftest import floats, group, rollout, scores

PIECES = ("\n    if x:", "\n        ", "y = 1", "\n    ", "return y", " / 0", "")
"""Lines 2, 3, 3, 4, 4, 4 and the end of sequence."""
SIGNED = TokenReward(outcome=OutcomeReward.COARSE)


def outcome(verdict: Verdict, *lines: int, error: int | None = None) -> Outcome:
    return Outcome(verdict=verdict, line=error, executed_lines=frozenset(lines) if lines else None)


PASS = outcome(Verdict.PASSED, 2, 3)
FAIL = outcome(Verdict.FAILED, 2, 4)
ERROR = outcome(Verdict.RUNTIME_ERROR, 2, 4, error=4)


def report(*outcomes: Outcome) -> Report:
    return Report(outcomes=outcomes)


def credit_of(*outcomes: Outcome, uniform_share: float = 0.0, stop: StopReason = StopReason.EOS) -> np.ndarray:
    assign = Suspiciousness(inner=Reinforce(reward=SIGNED), uniform_share=uniform_share)
    (credit,) = assign(group(rollout(PIECES, report(*outcomes), stop=stop)))
    return credit.advantages


def test_votes_by_hand() -> None:
    votes = line_votes(report(PASS, FAIL))
    assert votes.blame == pytest.approx({2: 1 / 2**0.5, 4: 1})
    assert votes.praise == {2: 1, 3: 1}
    votes = line_votes(report(PASS, FAIL, ERROR, outcome(Verdict.TIMEOUT)))
    assert votes.blame == pytest.approx({2: 2 / (2 * 3) ** 0.5, 4: 1 + 1 / 3})


def test_blame_goes_to_the_line_that_failing_tests_ran() -> None:
    """-.3 on 6 program tokens: blame .71 on one token of line 2 and 1 on three of line 4, that is -1.8 over 3.71."""
    unit = -0.3 * 6 / (1 / 2**0.5 + 3)
    np.testing.assert_allclose(credit_of(PASS, FAIL), [unit / 2**0.5, 0, 0, unit, unit, unit, -0.3], rtol=1e-5)


def test_praise_goes_to_the_lines_that_passing_tests_ran() -> None:
    """+1 on 6 program tokens; line 2 ran in both tests, line 3 in one and line 4 in one: (1, .5, .5, .5, .5, .5) / 3.5."""
    both = credit_of(PASS, outcome(Verdict.PASSED, 2, 4))
    np.testing.assert_allclose(both, [6 / 3.5, *[3 / 3.5] * 5, 1], rtol=1e-5)


def test_one_suspicious_line_gets_rltfs_alpha() -> None:
    tokens = credit_of(outcome(Verdict.RUNTIME_ERROR, error=3))
    scale = alpha(np.array([True] * 6 + [False]), np.array([False, True, True, False, False, False, False]))
    np.testing.assert_allclose(tokens, [0, -0.6 * scale, -0.6 * scale, 0, 0, 0, -0.6], rtol=1e-6)


@pytest.mark.parametrize("unknown", [outcome(Verdict.FAILED), outcome(Verdict.TIMEOUT, 1), outcome(Verdict.PASSED)])
def test_what_is_not_known_is_uniform(unknown: Outcome) -> None:
    tokens = credit_of(unknown)
    assert np.ptp(tokens) == 0 and tokens[0] != 0


def test_a_program_that_was_cut_breaks_off_without_blame() -> None:
    syntax = outcome(Verdict.SYNTAX_ERROR, error=4)
    np.testing.assert_allclose(credit_of(syntax), [0, 0, 0, -2, -2, -2, -1])
    np.testing.assert_allclose(credit_of(syntax, stop=StopReason.LENGTH), [-1] * 7)


def test_the_uniform_share_stays() -> None:
    uniform, moved = credit_of(PASS, FAIL, uniform_share=1), credit_of(PASS, FAIL)
    np.testing.assert_allclose(uniform, [-0.3] * 7)
    np.testing.assert_allclose(credit_of(PASS, FAIL, uniform_share=0.25), 0.25 * uniform + 0.75 * moved, rtol=1e-5)
    with pytest.raises(UserError, match="a share is in"):
        Suspiciousness(inner=Reinforce(), uniform_share=1.5)


def test_spread_by_hand() -> None:
    lines = np.array([2, 2, 3, 0])
    np.testing.assert_array_equal(spread(floats(1, 1, 1, 1), lines, {3: 0.5}), [0, 0, 3, 1])
    np.testing.assert_array_equal(spread(floats(1, 1, 1, 1), lines, {0: 1, 4: 1}), [1, 1, 1, 1])


tests = st.builds(
    lambda verdict, lines, error: Outcome(verdict=verdict, executed_lines=lines, line=error),
    st.sampled_from([Verdict.PASSED, Verdict.FAILED, Verdict.RUNTIME_ERROR]),
    st.none() | st.frozensets(st.integers(1, 5)),
    st.none() | st.integers(1, 5),
)


@given(st.lists(st.lists(tests, min_size=1, max_size=4), min_size=2, max_size=3), st.floats(0, 1))
def test_every_program_keeps_the_mass_of_its_uniform_credit(outcomes: list[list[Outcome]], share: float) -> None:
    inner = Reinforce(reward=SIGNED, baseline=GroupBaseline.OTHERS)
    one = group(*(rollout(PIECES, report(*ours)) for ours in outcomes))
    for uniform, moved in zip(inner(one), Suspiciousness(inner=inner, uniform_share=share)(one), strict=True):
        assert moved.advantages.sum() == pytest.approx(uniform.advantages.sum(), abs=1e-4)
        assert np.abs(moved.advantages).sum() == pytest.approx(np.abs(uniform.advantages).sum(), abs=1e-4)
        np.testing.assert_allclose(moved.advantages, sum(moved.terms.values()), atol=1e-5)


def test_over_a_critic_each_sign_keeps_its_mass_and_the_critic_its_targets() -> None:
    one = group(rollout(PIECES, report(PASS, FAIL)), scored=[scores(values=(0.9, 0.2, 0.8, 0.1, 0.6, 0.3, 0.5))])
    inner = PPO(gae_lambda=0)
    (before,), (after,) = inner(one), Suspiciousness(inner=inner, uniform_share=0)(one)
    for sign in (1, -1):
        assert np.clip(sign * before.advantages, 0, None).sum() > 0.1
    assert after.terms["blame"].sum() == pytest.approx(np.minimum(before.advantages, 0).sum(), abs=1e-6)
    assert after.terms["praise"].sum() == pytest.approx(np.maximum(before.advantages, 0).sum(), abs=1e-6)
    np.testing.assert_array_equal(after.returns, before.returns)
    assert Suspiciousness(inner=inner).needs == {Need.VALUES, Need.EXECUTED_LINES}
