"""PPO's credit by hand, by its identities, and unbiased with the exact critic of a small process."""

import numpy as np
import pytest

from linewise.credit.gae import gae
from linewise.credit.ppo import PPO
from linewise.credit.reinforce_plus_plus import ReinforcePlusPlus
from linewise.credit.reward import TokenReward
from linewise.types import Need, Scores
from tests.credit.conftest import floats, group, rollout, scores
from tests.credit.mdp import Lines

PROCESS = Lines(3, frozenset({"aba", "bbb", "bba"}), {"": 0.4, "a": -0.3, "b": 0.8, "ab": 0.5})


def exact_critic(program: str) -> Scores:
    return scores(values=[PROCESS.value(program[:t]) for t in range(len(program))])


def test_by_hand() -> None:
    """Rewards (0, 0, 1), values .5 each, lambda .5: as in `gae`; the outcome's part is (.25, .5, 1)."""
    (credit,) = PPO(gae_lambda=0.5)(group(rollout(), scored=[scores(values=(0.5, 0.5, 0.5))]))
    np.testing.assert_allclose(credit.advantages, [0.125, 0.25, 0.5])
    np.testing.assert_allclose(credit.terms["outcome"], [0.25, 0.5, 1])
    np.testing.assert_allclose(credit.terms["values"], [-0.125, -0.25, -0.5])
    assert credit.returns is not None
    np.testing.assert_allclose(credit.returns, [0.625, 0.75, 1])


def test_the_kl_is_a_cost_at_its_token() -> None:
    assign = PPO(reward=TokenReward(kl_coef=0.1), gae_lambda=0.5)
    assert assign.needs == {Need.VALUES, Need.REF_LOGPROBS}
    scored = scores(values=(0.5, 0.5, 0.5), ref_logprobs=(-2, -1, -3))
    (credit,) = assign(group(rollout(), scored=[scored]))
    np.testing.assert_allclose(credit.rewards, [-0.1, 0, 0.8], rtol=1e-6)
    np.testing.assert_allclose(credit.terms["kl"], [-0.15, -0.1, -0.2], rtol=1e-6)
    np.testing.assert_allclose(credit.advantages, sum(credit.terms.values()), atol=1e-6)
    np.testing.assert_allclose(credit.advantages, gae(credit.rewards, floats(0.5, 0.5, 0.5), gae_lambda=0.5).advantages)


def test_without_values_and_at_lambda_one_it_is_the_return_to_go() -> None:
    ours = PPO(gae_lambda=1)(group(rollout(), scored=[scores(values=(0, 0, 0))]))
    np.testing.assert_array_equal(ours[0].advantages, ReinforcePlusPlus()(group(rollout()))[0].advantages)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.5, 1.0])
def test_with_the_exact_critic_it_is_unbiased_at_every_lambda(gae_lambda: float) -> None:
    ours = PROCESS.moments(PPO(gae_lambda=gae_lambda), exact_critic)
    np.testing.assert_allclose(ours.mean, PROCESS.exact_gradient, atol=1e-6)
    assert ours.variance < PROCESS.moments(ReinforcePlusPlus()).variance


def test_a_wrong_critic_biases_it_below_lambda_one_only() -> None:
    def wrong(program: str) -> Scores:
        return scores(values=[0.9 if program[:t].endswith("b") else 0.1 for t in range(len(program))])

    error = {
        gae_lambda: np.abs(PROCESS.moments(PPO(gae_lambda=gae_lambda), wrong).mean - PROCESS.exact_gradient).max()
        for gae_lambda in (0.0, 0.95, 1.0)
    }
    assert error[1.0] < 1e-6 < error[0.95] < error[0.0]
