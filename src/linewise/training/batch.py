"""From samples and references to padded tensors: what one forward pass sees."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from linewise.policy.huggingface_logprobs import SequenceBatch
from linewise.types import Floats, Sample


@dataclass(frozen=True, kw_only=True)
class Example:
    """One sequence to train on: a prompt that bears no loss, a response that does.

    Example: prompt `(5, 6)`, response `(7, 8, 9)` with `weights [1, 1, 0]` trains on tokens 7 and 8.
    """

    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    advantages: Floats
    """[T]"""
    weights: Floats
    """[T] 0 drops a token."""
    scale: float = 1.0
    """Factor of the whole sequence, from the aggregation over the step."""
    old_logprobs: Floats | None = None
    """[T] None where the loss has no ratio."""
    ref_logprobs: Floats | None = None
    """[T] None without a reference policy."""
    old_values: Floats | None = None
    """[T] None without a critic."""
    returns: Floats | None = None
    """[T] None without a critic."""

    @property
    def length(self) -> int:
        """Tokens of prompt and response."""
        return len(self.prompt_ids) + len(self.response_ids)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Padded tensors of one micro-batch."""

    sequences: SequenceBatch
    """Token ids and masks, ready for the model."""
    advantages: Float[Tensor, "B T"]
    """0 on padding."""
    weights: Float[Tensor, "B T"]
    """0 on padding."""
    scales: Float[Tensor, " B"]
    old_logprobs: Float[Tensor, "B T"] | None = None
    """0 on padding; None where the examples have none."""
    ref_logprobs: Float[Tensor, "B T"] | None = None
    """0 on padding; None where the examples have none."""
    old_values: Float[Tensor, "B T"] | None = None
    """0 on padding; None where the examples have none."""
    returns: Float[Tensor, "B T"] | None = None
    """0 on padding; None where the examples have none."""


def example_from_sample(sample: Sample, scale: float) -> Example:
    """The training sequence of a sample: tokens exactly as they were sampled."""
    completion = sample.rollout.completion
    return Example(
        prompt_ids=completion.prompt_ids,
        response_ids=completion.token_ids,
        advantages=sample.credit.advantages,
        weights=sample.credit.weights,
        scale=scale,
        old_logprobs=sample.scores.old_logprobs,
        ref_logprobs=sample.scores.ref_logprobs,
        old_values=sample.scores.values,
        returns=sample.credit.returns,
    )


def has_weight(example: Example) -> bool:
    """Whether a sequence can have a gradient in a loss that does not look at its advantages."""
    return example.scale != 0 and bool(np.any(example.weights != 0))


def bears_loss(example: Example) -> bool:
    """Whether a sequence can have a gradient: some token has a weight and an advantage, and the scale is not 0."""
    return example.scale != 0 and bool(np.any((example.weights != 0) & (example.advantages != 0)))


def plan_micro_batches(examples: Sequence[Example], token_budget: int) -> list[list[Example]]:
    """Split examples into micro-batches of at most `token_budget` padded tokens, similar lengths together.

    Longest first, so that running out of memory shows at once. A single longer example makes a batch of its own.
    Ties keep the given order, so the plan is a function of its arguments.
    """
    batches: list[list[Example]] = []
    longest_prompt = longest_response = 0
    for example in sorted(examples, key=lambda example: -example.length):
        prompt = max(longest_prompt, len(example.prompt_ids))
        response = max(longest_response, len(example.response_ids))
        if batches and (prompt + response) * (len(batches[-1]) + 1) <= token_budget:
            batches[-1].append(example)
            longest_prompt, longest_response = prompt, response
        else:
            batches.append([example])
            longest_prompt, longest_response = len(example.prompt_ids), len(example.response_ids)
    return batches


def collate(examples: Sequence[Example], *, pad_id: int, device: torch.device) -> Batch:
    """Pad one micro-batch: prompts on the left, responses on the right, so that every response starts in one column.

    Credit and sampled tokens must agree in length; an assertion says so, for a silent broadcast would train on noise.
    """
    for example in examples:
        shape = (len(example.response_ids),)
        assert example.advantages.shape == example.weights.shape == shape, (
            "credit must have one number per sampled token"
        )
    prompts = [example.prompt_ids for example in examples]
    responses = [example.response_ids for example in examples]
    prompt_width, response_width = max(map(len, prompts)), max(map(len, responses))
    prompt_ids = torch.full((len(examples), prompt_width), pad_id)
    response_ids = torch.full((len(examples), response_width), pad_id)
    prompt_mask = torch.zeros(prompt_ids.shape, dtype=torch.bool)
    response_mask = torch.zeros(response_ids.shape, dtype=torch.bool)
    for row, example in enumerate(examples):
        prompt_ids[row, prompt_width - len(example.prompt_ids) :] = torch.tensor(example.prompt_ids)
        prompt_mask[row, prompt_width - len(example.prompt_ids) :] = True
        length = len(example.response_ids)
        response_ids[row, :length] = torch.tensor(example.response_ids)
        response_mask[row, :length] = True

    def padded(arrays: Sequence[Floats]) -> Float[Tensor, "B T"]:
        tensor = torch.zeros(response_ids.shape)
        for row, array in enumerate(arrays):
            tensor[row, : len(array)] = torch.from_numpy(array)
        return tensor.to(device)

    def padded_if_known(arrays: Sequence[Floats | None]) -> Float[Tensor, "B T"] | None:
        known = [array for array in arrays if array is not None]
        assert len(known) in (0, len(arrays)), "all examples of a batch have it, or none"
        return padded(known) if known else None

    return Batch(
        sequences=SequenceBatch(
            prompt_ids=prompt_ids.to(device),
            prompt_mask=prompt_mask.to(device),
            response_ids=response_ids.to(device),
            response_mask=response_mask.to(device),
        ),
        advantages=padded([example.advantages for example in examples]),
        weights=padded([example.weights for example in examples]),
        old_logprobs=padded_if_known([example.old_logprobs for example in examples]),
        ref_logprobs=padded_if_known([example.ref_logprobs for example in examples]),
        old_values=padded_if_known([example.old_values for example in examples]),
        returns=padded_if_known([example.returns for example in examples]),
        scales=torch.tensor([example.scale for example in examples], dtype=torch.float32, device=device),
    )
