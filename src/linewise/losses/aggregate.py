"""How per-token losses become one number: one scale for each sequence, from the lengths of the whole step.

    L = sum_b scale_b * sum_t loss_bt

Worked example, two sequences of lengths 1 and 3, every per-token loss 1: `SEQUENCE_SUM` gives (1 + 3) / 2 = 2,
`TOKEN_MEAN` gives 4 / 4 = 1, `SEQUENCE_MEAN` gives (1 + 1) / 2 = 1, weighing the tokens (1/2, 1/6). `CONSTANT` with
maximum length 4 gives 4 / (2 * 4) = 1/2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from linewise.errors import UserError
from linewise.types import Floats


class Aggregation(StrEnum):
    """What the sum over tokens and sequences is divided by."""

    SEQUENCE_SUM = "sequence_sum"
    """Sum over tokens, mean over sequences: RLTF's formula, and the policy gradient's."""
    TOKEN_MEAN = "token_mean"
    """Mean over all tokens: the released RLTF code, and every Hugging Face cross-entropy."""
    SEQUENCE_MEAN = "sequence_mean"
    """Mean over sequences of the mean over tokens: GRPO."""
    CONSTANT = "constant"
    """Sum over tokens, divided by the number of sequences times a constant length: Dr. GRPO."""


@dataclass(frozen=True, kw_only=True)
class StepSize:
    """Size of a whole step, over all micro-batches and processes."""

    num_sequences: int
    num_tokens: int
    """Tokens that bear loss."""

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "StepSize":
        """The size of a step whose sequences have these numbers of loss-bearing tokens."""
        return cls(num_sequences=len(lengths), num_tokens=sum(lengths))


def sequence_scales(
    aggregation: Aggregation, lengths: Sequence[int], step: StepSize, *, max_length: int | None = None
) -> Floats:
    """[B] the scale of each sequence with these numbers of loss-bearing tokens, in a step of that size.

    A sequence of length 0 gets scale 0. `max_length` is what `CONSTANT` divides by, as a rule the most tokens that are
    sampled. Raises UserError where it needs one and there is none.
    """
    counts = np.asarray(lengths, dtype=np.float64)
    match aggregation:
        case Aggregation.SEQUENCE_SUM:
            scales = np.full_like(counts, 1 / max(step.num_sequences, 1))
        case Aggregation.TOKEN_MEAN:
            scales = np.full_like(counts, 1 / max(step.num_tokens, 1))
        case Aggregation.SEQUENCE_MEAN:
            scales = 1 / (max(step.num_sequences, 1) * np.maximum(counts, 1))
        case Aggregation.CONSTANT:
            if max_length is None or max_length < 1:
                raise UserError(
                    f"The aggregation 'constant' divides by the maximum length, which is {max_length}: give a positive one, "
                    "as a rule the most tokens that are sampled for an answer."
                )
            scales = np.full_like(counts, 1 / (max(step.num_sequences, 1) * max_length))
    return np.where(counts > 0, scales, 0).astype(np.float32)
