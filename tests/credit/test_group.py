"""Methods that compare within a group: worked numbers, and expected gradients over all groups of a small exact process."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from linewise.credit.dapo import DAPO, overlong_penalty
from linewise.credit.dr_grpo import DrGRPO
from linewise.credit.group import GroupBaseline, baselines, is_constant
from linewise.credit.grpo import GRPO
from linewise.credit.reinforce import Reinforce
from linewise.credit.reinforce_plus_plus import ReinforcePlusPlus
from linewise.credit.reward import OutcomeReward, TokenReward
from linewise.credit.rloo import RLOO
from linewise.errors import UserError
from linewise.types import Credit, Need, ScoredGroup, Scores
from tests.credit.conftest import floats, group, rollout, scores
from tests.credit.mdp import Lines, moments

KL = TokenReward(kl_coef=0.5)
PROCESS = Lines(2, frozenset({"ab", "bb"}), {"": 0.4, "a": -0.3, "b": 0.8})


def one_of_three() -> ScoredGroup:
    """Returns (1, 0, 0); programs of 3, 1 and 2 tokens."""
    return group(rollout(), rollout(["x"], False), rollout(["x", ""], False))


def first_numbers(credits: list[Credit]) -> list[float]:
    for credit in credits:
        assert np.ptp(credit.advantages) == 0, "every token has its program's advantage"
    return [float(credit.advantages[0]) for credit in credits]


@pytest.mark.parametrize(
    ("assign", "advantages"),
    [
        (Reinforce(), [1, 0, 0]),
        (Reinforce(baseline=GroupBaseline.MEAN), [2 / 3, -1 / 3, -1 / 3]),
        (Reinforce(baseline=GroupBaseline.OTHERS), [1, -1 / 2, -1 / 2]),
        (RLOO(), [1, -1 / 2, -1 / 2]),
        (DrGRPO(), [2 / 3, -1 / 3, -1 / 3]),
        (GRPO(eps=0), [2 / 3**0.5, -1 / 3**0.5, -1 / 3**0.5]),  # sd = sqrt((4 + 1 + 1) / 9 / 2) = 1/sqrt(3)
        (DAPO(eps=0), [2 / 3**0.5, -1 / 3**0.5, -1 / 3**0.5]),  # +1 / -1 standardises to the same, nothing is overlong
        (ReinforcePlusPlus(), [1, 0, 0]),
        (ReinforcePlusPlus(baseline=GroupBaseline.MEAN), [2 / 3, -1 / 3, -1 / 3]),
    ],
)
def test_by_hand(assign: Callable[[ScoredGroup], list[Credit]], advantages: list[float]) -> None:
    credits = assign(one_of_three())
    assert first_numbers(credits) == pytest.approx(advantages)
    assert [len(credit.advantages) for credit in credits] == [3, 1, 2]
    assert [credit.weights.tolist() for credit in credits] == [[1, 1, 1], [1], [1, 1]]


def test_the_group_is_standardised_by_bessels_deviation() -> None:
    """Returns 1 and 0: the deviation is sqrt(1/2), not 1/2, so A = +-.5 / (.7071 + eps)."""
    credits = GRPO(eps=0.1)(group(rollout(), rollout(["x"], False)))
    assert first_numbers(credits) == pytest.approx([0.5 / 0.80710678, -0.5 / 0.80710678])


@pytest.mark.parametrize("reward", OutcomeReward)
@pytest.mark.parametrize("assign", [RLOO, DrGRPO, GRPO])
def test_equal_rewards_give_zeros(assign: type[RLOO] | type[DrGRPO] | type[GRPO], reward: OutcomeReward) -> None:
    """Seven times -0.3 has a mean that is not -0.3 in binary; a deviation of 0 would make much of it."""
    credits = assign(reward=TokenReward(outcome=reward))(group(*[rollout(["x"], False)] * 7))
    assert first_numbers(credits) == [0] * 7


def test_alone_in_the_group() -> None:
    alone = group(rollout())
    assert first_numbers(RLOO()(alone)) == [1], "compared with 0: no bias"
    assert first_numbers(DrGRPO()(alone)) == first_numbers(GRPO()(alone)) == [0]


def test_baselines_by_hand() -> None:
    returns = np.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(baselines(returns, GroupBaseline.MEAN), [1 / 3] * 3)
    np.testing.assert_allclose(baselines(returns, GroupBaseline.OTHERS), [0, 1 / 2, 1 / 2])
    np.testing.assert_allclose(baselines(returns, GroupBaseline.NONE), [0, 0, 0])


# The rollouts of these have log-ratios to the reference of (1, 0, 0) and 0: KL returns are -.5 and 0.
SCORED = (scores(ref_logprobs=(-2, -1, -1)), scores(ref_logprobs=(-1,)))


def test_a_kl_cost_is_part_of_the_return_and_a_term_of_its_own() -> None:
    """Returns 1 - .5 and 0: their mean is .25, of which .5 is outcome and -.25 is KL."""
    first, second = DrGRPO(reward=KL)(group(rollout(), rollout(["x"], False), scored=SCORED))
    np.testing.assert_allclose(first.rewards, [-0.5, 0, 1], atol=1e-7)
    np.testing.assert_allclose(first.advantages, [0.25] * 3, atol=1e-7)
    np.testing.assert_allclose(first.terms["outcome"], [0.5] * 3, atol=1e-7)
    np.testing.assert_allclose(first.terms["kl"], [-0.25] * 3, atol=1e-7)
    np.testing.assert_allclose(second.advantages, [-0.25], atol=1e-7)


def test_reinforce_plus_plus_goes_by_the_rewards_to_go() -> None:
    """The KL cost of token 0 is no business of the tokens after it."""
    first, second = ReinforcePlusPlus(reward=KL, baseline=GroupBaseline.MEAN)(
        group(rollout(), rollout(["x"], False), scored=SCORED)
    )
    np.testing.assert_allclose(first.rewards, [-0.5, 0, 1], atol=1e-7)
    np.testing.assert_allclose(first.advantages, [0, 0.5, 0.5], atol=1e-7)
    np.testing.assert_allclose(second.advantages, [-0.5], atol=1e-7)
    discounted = ReinforcePlusPlus(gamma=0.5)(group(rollout()))
    np.testing.assert_allclose(discounted[0].advantages, [0.25, 0.5, 1])


@pytest.mark.parametrize("assign", [Reinforce, RLOO, GRPO, DrGRPO, DAPO, ReinforcePlusPlus])
def test_terms_add_up_and_needs_follow_the_options(assign: Callable[..., RLOO]) -> None:
    assert assign().needs == frozenset()
    assert assign(reward=KL).needs == {Need.REF_LOGPROBS}
    for credit in assign(reward=KL)(group(rollout(), rollout(["x"], False), scored=SCORED)):
        np.testing.assert_allclose(credit.advantages, sum(credit.terms.values()), atol=1e-6)
        assert credit.returns is None


@pytest.mark.parametrize(("length", "penalty"), [(0, 0), (16, 0), (17, -0.25), (18, -0.5), (20, -1), (25, -1)])
def test_overlong_penalty_by_hand(length: int, penalty: float) -> None:
    assert overlong_penalty(length, max_length=20, cache_length=4) == penalty


def test_dapo_punishes_length_among_equal_outcomes() -> None:
    """Lmax 3, Lc 2: 3 tokens cost 1 and 1 token costs nothing, so the returns are (0, 1) and A = -+.5 / sqrt(1/2)."""
    long, short = DAPO(max_length=3, cache_length=2, eps=0)(group(rollout(), rollout(["x"])))
    np.testing.assert_allclose(long.terms["overlong"], [-(0.5**0.5)] * 3, rtol=1e-6)
    np.testing.assert_allclose(long.terms["outcome"], [0] * 3)
    np.testing.assert_allclose(short.advantages, [0.5**0.5], rtol=1e-6)
    np.testing.assert_allclose(long.rewards, [0, 0, 0])
    with pytest.raises(UserError, match="a fifth"):
        DAPO(max_length=3, cache_length=4)


def test_constant_groups_are_known() -> None:
    assert is_constant(group(rollout(), rollout()))
    assert is_constant(group(rollout(["x"], False)))
    assert not is_constant(one_of_three())


@pytest.mark.parametrize("size", [2, 3])
def test_rloo_is_unbiased_and_dr_grpo_is_short_by_the_programs_own_share(size: int) -> None:
    exact = PROCESS.exact_gradient
    np.testing.assert_allclose(PROCESS.group_gradient(RLOO(), size), exact, atol=1e-6)
    np.testing.assert_allclose(PROCESS.group_gradient(DrGRPO(), size), (size - 1) / size * exact, atol=1e-6)
    assert np.abs(exact).min() > 0.01


def test_the_others_mean_lowers_the_variance() -> None:
    """Of one program's estimate, over all groups of four."""
    alone = PROCESS.moments(Reinforce())
    np.testing.assert_allclose(alone.mean, PROCESS.exact_gradient, atol=1e-6)
    probs, estimates = [], []
    for programs in itertools.product(PROCESS.programs, repeat=4):
        credit = RLOO()(group(*map(PROCESS.rollout, programs)))[0]
        probs.append(float(np.prod([PROCESS.prob(program) for program in programs])))
        estimates.append(PROCESS.gradient(programs[0], credit))
    compared = moments(probs, estimates)
    np.testing.assert_allclose(compared.mean, PROCESS.exact_gradient, atol=1e-6)
    assert compared.variance < 0.8 * alone.variance


def test_k1_in_the_reward_gives_the_gradient_of_the_divergence() -> None:
    """E of REINFORCE++'s estimate = grad (P(pass) - beta KL(pi || ref)), the right side by finite differences."""
    reference = Lines(2, PROCESS.passing, {"": -0.2, "a": 0.9, "b": 0.1})

    def scored(program: str) -> Scores:
        return scores(old_logprobs=PROCESS.log_prob(program), ref_logprobs=reference.log_prob(program))

    def objective(process: Lines) -> float:
        divergence = sum(
            process.prob(one) * (sum(process.log_prob(one)) - sum(reference.log_prob(one))) for one in process.programs
        )
        return process.value("") - KL.kl_coef * divergence

    def derivative(state: str, step: float = 1e-5) -> float:
        moved = [
            Lines(2, PROCESS.passing, {**PROCESS.logits, state: PROCESS.logits[state] + sign * step})
            for sign in (1, -1)
        ]
        return (objective(moved[0]) - objective(moved[1])) / (2 * step)

    exact = [derivative(state) for state in PROCESS.states]
    for assign in (ReinforcePlusPlus(reward=KL), Reinforce(reward=KL)):
        np.testing.assert_allclose(PROCESS.moments(assign, scored).mean, exact, atol=1e-5)
    assert np.abs(np.array(exact) - PROCESS.exact_gradient).min() > 0.01


def test_the_samplers_own_logprobs_stand_in_for_the_policys() -> None:
    """Without `old_logprobs` the completion's are used: -1 each against -2, -1, -1."""
    (credit,) = Reinforce(reward=KL)(group(rollout(), scored=[SCORED[0]]))
    np.testing.assert_allclose(credit.rewards, floats(-0.5, 0, 1), atol=1e-7)
    (other,) = Reinforce(reward=KL)(
        group(rollout(), scored=[scores(ref_logprobs=(-2, -1, -1), old_logprobs=(-2, -1, -1))])
    )
    np.testing.assert_allclose(other.rewards, floats(0, 0, 1), atol=1e-7)
