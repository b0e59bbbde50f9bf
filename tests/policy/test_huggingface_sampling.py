"""Drawing by inversion, on distributions whose cumulative sums are worked out by hand."""

import pytest

torch = pytest.importorskip("torch")

from linewise.policy.huggingface_sampling import BLOCK, draw  # noqa: E402
from linewise.types import Sampling  # noqa: E402

PROBABILITIES = [0.1, 0.4, 0.0, 0.3, 0.2]


def drawn(uniforms, sampling, probabilities=PROBABILITIES):
    logits = torch.tensor([probabilities] * len(uniforms)).log()
    return draw(logits, torch.tensor(uniforms), sampling)


def test_takes_the_first_token_whose_cumulative_probability_exceeds_the_uniform():
    result = drawn([0.0, 0.09, 0.11, 0.49, 0.51, 0.79, 0.81, 0.9999999], Sampling())
    assert result.token_ids.tolist() == [0, 0, 1, 1, 3, 3, 4, 4]
    expected = torch.tensor([0.1, 0.1, 0.4, 0.4, 0.3, 0.3, 0.2, 0.2]).log()
    torch.testing.assert_close(result.logprobs, expected)


def test_temperature_zero_takes_the_most_probable_and_reports_temperature_one():
    result = drawn([0.0, 0.99], Sampling(temperature=0.0))
    assert result.token_ids.tolist() == [1, 1]
    torch.testing.assert_close(result.logprobs, torch.tensor([0.4, 0.4]).log())


def test_temperature_half_squares_the_probabilities():
    # Squares 0.01, 0.16, 0, 0.09, 0.04 sum to 0.30: cumulative 0.0333, 0.5667, 0.5667, 0.8667, 1.
    result = drawn([0.03, 0.04, 0.56, 0.57, 0.86, 0.87], Sampling(temperature=0.5))
    assert result.token_ids.tolist() == [0, 1, 1, 3, 3, 4]
    torch.testing.assert_close(result.logprobs[0], torch.tensor(0.1).log())


def test_top_p_keeps_the_smallest_set_that_reaches_it():
    # 0.4 + 0.3 = 0.7 is the first sum to reach 0.6, so tokens 1 and 3 remain with 4/7 and 3/7.
    result = drawn([0.0, 0.57, 0.58, 0.9999999], Sampling(top_p=0.6))
    assert result.token_ids.tolist() == [1, 1, 3, 3]
    assert drawn([0.9999999], Sampling(top_p=0.01)).token_ids.tolist() == [1]


def test_blocks_do_not_change_the_answer():
    size = 3 * BLOCK + 17
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(size, generator=generator, dtype=torch.float64).pow(4)
    probabilities /= probabilities.sum()
    middles = probabilities.cumsum(0) - probabilities / 2
    wanted = (probabilities > 1e-5).nonzero()[:, 0]
    logits = probabilities.log().float().expand(len(wanted), -1)
    result = draw(logits, middles[wanted].float(), Sampling())
    assert result.token_ids.tolist() == wanted.tolist()


@pytest.mark.parametrize("uniform", [0.0, 0.25, 1 - 2**-24])
def test_never_draws_a_token_of_probability_zero(uniform):
    logits = torch.full((1, 700), -torch.inf)
    logits[0, 300] = 5.0
    result = draw(logits, torch.tensor([uniform]), Sampling())
    assert result.token_ids.tolist() == [300]
    assert result.logprobs.tolist() == [0.0]
