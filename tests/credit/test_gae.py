"""GAE by hand and by its identities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewise.credit.gae import gae, rewards_to_go


def floats(*values: float) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)


@pytest.mark.parametrize(
    ("gamma", "gae_lambda", "advantages"),
    [
        (1.0, 1.0, (0.5, 0.5, 0.5)),
        (1.0, 0.0, (0.0, 0.0, 0.5)),
        (1.0, 0.5, (0.125, 0.25, 0.5)),
        (0.5, 1.0, (-0.25, 0.0, 0.5)),
    ],
)
def test_by_hand(gamma: float, gae_lambda: float, advantages: tuple[float, ...]) -> None:
    result = gae(floats(0, 0, 1), floats(0.5, 0.5, 0.5), gamma=gamma, gae_lambda=gae_lambda)
    np.testing.assert_allclose(result.advantages, advantages, atol=1e-7)
    np.testing.assert_allclose(result.returns, np.add(advantages, 0.5), atol=1e-7)


sequences = st.lists(st.tuples(st.floats(-2, 2, width=32), st.floats(-2, 2, width=32)), min_size=1, max_size=20)


@given(sequences, st.floats(0, 1))
def test_without_values_and_at_lambda_one_it_is_the_reward_to_go(
    pairs: list[tuple[float, float]], gamma: float
) -> None:
    rewards = floats(*(reward for reward, _ in pairs))
    expected = [
        sum(gamma ** (later - place) * float(rewards[later]) for later in range(place, len(rewards)))
        for place in range(len(rewards))
    ]
    result = gae(rewards, np.zeros_like(rewards), gamma=gamma, gae_lambda=1.0)
    np.testing.assert_allclose(result.advantages, expected, atol=1e-4)


@given(sequences)
def test_at_lambda_one_the_returns_do_not_depend_on_the_values(pairs: list[tuple[float, float]]) -> None:
    rewards, values = floats(*(reward for reward, _ in pairs)), floats(*(value for _, value in pairs))
    ours = gae(rewards, values, gae_lambda=1.0).returns
    np.testing.assert_allclose(ours, gae(rewards, np.zeros_like(values), gae_lambda=1.0).returns, atol=1e-4)


def test_one_value_for_each_token() -> None:
    with pytest.raises(AssertionError, match="one value"):
        gae(floats(0, 1), floats(0))


def test_tokens_that_the_policy_did_not_write_are_no_steps() -> None:
    """Rewards flow over the span, undiscounted, and what stands in it counts nowhere."""
    rewards, values = floats(0, 9, 9, 0, 1), floats(0.5, 7, 7, 0.25, 0.5)
    written = np.array([True, False, False, True, True])
    result = gae(rewards, values, gamma=0.5, gae_lambda=0.5, written=written)
    alone = gae(rewards[written], values[written], gamma=0.5, gae_lambda=0.5)
    np.testing.assert_array_equal(result.advantages[written], alone.advantages)
    np.testing.assert_array_equal(result.returns[written], alone.returns)
    np.testing.assert_array_equal(result.advantages[~written], [0, 0])
    np.testing.assert_array_equal(result.returns[~written], [0, 0])


def test_rewards_to_go_do_not_stop_before_a_span_of_others() -> None:
    """The known defect elsewhere: the tokens before the span get a return of 0."""
    written = np.array([True, False, True])
    np.testing.assert_array_equal(rewards_to_go(floats(0, 5, 1), written=written), [1, 0, 1])
    np.testing.assert_array_equal(rewards_to_go(floats(-1, 0, 1)), [0, 1, 1])
