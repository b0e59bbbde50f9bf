"""Whitened advantages by hand."""

import numpy as np
import pytest

from linewise.training.whitening import Moments, moments, whiten
from linewise.types import Completion, Credit, Program, Report, Rollout, Sample, StopReason, Task


def sample(advantages: list[float], weights: list[float] | None = None) -> Sample:
    numbers = np.array(advantages, dtype=np.float32)
    completion = Completion(
        prompt_ids=(1,),
        token_ids=(2,) * len(advantages),
        logprobs=(0.0,) * len(advantages),
        char_spans=((0, 0),) * len(advantages),
        text="",
        stop_reason=StopReason.EOS,
    )
    rollout = Rollout(
        task=Task(id="a", prompt="", tests=()),
        completion=completion,
        program=Program(source="", header_chars=0, start=0, end=0),
        report=Report(outcomes=()),
    )
    kept = np.ones_like(numbers) if weights is None else np.array(weights, dtype=np.float32)
    credit = Credit(
        rewards=numbers, advantages=numbers, weights=kept, terms={"one": 0.25 * numbers, "two": 0.75 * numbers}
    )
    return Sample(rollout=rollout, credit=credit)


def test_by_hand() -> None:
    samples = [sample([1.0, 3.0]), sample([5.0])]
    over = moments(samples)
    assert (over.count, over.mean, over.deviation) == (3, 3.0, pytest.approx((8 / 3) ** 0.5))
    white = whiten(samples, over)
    values = np.concatenate([one.credit.advantages for one in white])
    np.testing.assert_allclose(values, [-(1.5**0.5), 0.0, 1.5**0.5], rtol=1e-6)
    for one in white:
        np.testing.assert_allclose(sum(one.credit.terms.values()), one.credit.advantages, atol=1e-6)
    np.testing.assert_array_equal(white[0].credit.rewards, samples[0].credit.rewards)


def test_tokens_without_weight_neither_count_nor_learn() -> None:
    (white,) = whiten([sample([1.0, 100.0, 3.0], [1.0, 0.0, 1.0])], moments([sample([1.0, 3.0])]))
    np.testing.assert_allclose(white.credit.advantages, [-1.0, 0.0, 1.0], rtol=1e-6)


def test_equal_advantages_become_zero_and_no_tokens_are_no_error() -> None:
    samples = [sample([2.0, 2.0])]
    assert whiten(samples, moments(samples))[0].credit.advantages.tolist() == [0.0, 0.0]
    assert moments([]) == Moments(count=0, total=0.0, squares=0.0)


def test_moments_of_parts_add_up() -> None:
    parts = [moments([sample([1.0, 2.0])]), moments([sample([6.0])])]
    whole = moments([sample([1.0, 2.0]), sample([6.0])])
    summed = Moments(
        count=sum(one.count for one in parts),
        total=sum(one.total for one in parts),
        squares=sum(one.squares for one in parts),
    )
    assert summed == whole
