"""The loss terms of one update: what is trained with which loss, and what is reported of it."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from linewise.losses.aggregate import Aggregation, StepSize, sequence_scales
from linewise.losses.kl import kl
from linewise.losses.options import RatioLevel
from linewise.losses.sft import cross_entropy
from linewise.losses.surrogate import clipped_tokens, importance_ratios, surrogate
from linewise.losses.value import value_loss
from linewise.training.batch import Batch, Example, bears_loss, example_from_sample, has_weight
from linewise.training.config import CriticKind, CriticOptions, UpdateOptions
from linewise.training.learner import LossTerm
from linewise.types import KlEstimator, Sample
from linewise.values.critic import PolicyOutputs


def policy_lengths(samples: Sequence[Sample]) -> list[int]:
    """Number of loss-bearing tokens of each sample."""
    return [int((sample.credit.weights != 0).sum()) for sample in samples]


def policy_term(
    samples: Sequence[Sample], options: UpdateOptions, critic: CriticOptions, step: StepSize, *, max_length: int
) -> LossTerm[PolicyOutputs]:
    """The policy-gradient term of some samples, with KL penalty and shared critic.

    `step` is the size over all processes, `max_length` the most tokens that are sampled.
    """
    scales = sequence_scales(options.aggregation, policy_lengths(samples), step, max_length=max_length)
    examples = [example_from_sample(sample, float(scale)) for sample, scale in zip(samples, scales, strict=True)]
    shared = critic.kind is CriticKind.SHARED and any(example.returns is not None for example in examples)
    return LossTerm(
        name="policy",
        loss=lambda outputs, batch: _policy_loss(outputs, batch, options, critic if shared else None),
        examples=examples,
        keeps=has_weight if shared or options.kl.coef else bears_loss,
        diagnose=lambda outputs, batch: _diagnose_policy(outputs, batch, options),
    )


def _policy_loss(
    outputs: PolicyOutputs, batch: Batch, options: UpdateOptions, shared_critic: CriticOptions | None
) -> Tensor:
    old = outputs.logprobs.detach() if batch.old_logprobs is None else batch.old_logprobs
    mask = batch.sequences.response_mask
    loss = surrogate(outputs.logprobs, old, batch.advantages, batch.weights, mask, options.surrogate)
    if options.kl.coef:
        assert batch.ref_logprobs is not None, "a penalty needs the reference's log-probabilities"
        # A token without weight has no KL: the exponential of k3 could overflow there, and 0 times infinity is no number.
        reference = torch.where(batch.weights != 0, batch.ref_logprobs, outputs.logprobs.detach())
        loss = loss + options.kl.coef * batch.weights * kl(outputs.logprobs, reference, options.kl.estimator)
    if shared_critic is not None:
        assert outputs.values is not None
        loss = loss + shared_critic.coef * _value_loss(outputs.values, batch, shared_critic)
    return loss


def _diagnose_policy(outputs: PolicyOutputs, batch: Batch, options: UpdateOptions) -> dict[str, Tensor]:
    found = {"entropy": outputs.entropy}
    if batch.old_logprobs is not None and options.surrogate.ratio_level is not RatioLevel.NONE:
        mask = batch.sequences.response_mask
        ratios = importance_ratios(outputs.logprobs, batch.old_logprobs, mask, options.surrogate.ratio_level)
        found["policy/clip_fraction"] = clipped_tokens(
            ratios, batch.advantages, batch.weights, options.surrogate
        ).float()
        # Of KL(old || new): the samples are the old policy's, so its estimator takes the two the other way round.
        found["policy/kl_old"] = kl(batch.old_logprobs, outputs.logprobs, KlEstimator.K3)
    return found


def value_term(samples: Sequence[Sample], critic: CriticOptions, step: StepSize) -> LossTerm[Tensor]:
    """The critic's term, a mean over tokens; `step` is the size over all processes."""
    scales = sequence_scales(Aggregation.TOKEN_MEAN, policy_lengths(samples), step)
    return LossTerm(
        name="value",
        loss=lambda values, batch: _value_loss(values, batch, critic),
        examples=[example_from_sample(sample, float(scale)) for sample, scale in zip(samples, scales, strict=True)],
        keeps=has_weight,
    )


def _value_loss(values: Tensor, batch: Batch, critic: CriticOptions) -> Tensor:
    assert batch.old_values is not None and batch.returns is not None, "the credit of a run with a critic has returns"
    return value_loss(values, batch.old_values, batch.returns, batch.weights, clip=critic.clip)


def supervised_term(
    references: Sequence[Example], aggregation: Aggregation, step: StepSize, *, weight: float, max_length: int
) -> LossTerm[PolicyOutputs]:
    """The cross-entropy term of the references; `step` is the size over all processes."""
    lengths = [len(reference.response_ids) for reference in references]
    scales = sequence_scales(aggregation, lengths, step, max_length=max_length)
    return LossTerm(
        name="supervised",
        loss=lambda outputs, batch: cross_entropy(outputs.logprobs, batch.weights),
        examples=[
            replace(reference, scale=weight * float(scale)) for reference, scale in zip(references, scales, strict=True)
        ],
    )
