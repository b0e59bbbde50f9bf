"""A trained outcome critic at work: q_t of judged programs, and p(pass) of the beginnings of any program."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from linewise.policy.batches import plan_batches
from linewise.policy.classifier import TOKENS_PER_BATCH, check_context, check_same_tokens, token_logits
from linewise.types import Completion, Floats, Program, Rollout
from linewise.values.classes import OutcomeClass, PassProbs, outcome_class
from linewise.values.outcome import CRITIC, load_outcome_critic, max_pool, outcome_batch, true_outcome_probs
from linewise.values.programs import pooled_tokens


@dataclass(frozen=True, kw_only=True)
class _Sequence:
    index: int
    token_ids: tuple[int, ...]
    prompt_length: int
    pooled: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class _Logits:
    tokens: torch.Tensor
    """[T, C] of the sampled tokens."""
    program: torch.Tensor
    """[C] max-pooled."""


class OutcomeScorer:
    """The critic, reading sampled programs on their own tokens."""

    def __init__(self, model: Any, tokenizer: Any, *, tokens_per_batch: int = TOKENS_PER_BATCH) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.tokens_per_batch = tokens_per_batch

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Floats]:
        """[T] q_t of each rollout: the probability that its token gives to its true outcome.

        Raises PolicyError for a sequence beyond the model's context length.
        """
        logits = self._logits([(rollout.completion, rollout.program) for rollout in rollouts])
        truths = [torch.tensor([outcome_class(rollout.report.verdict)]) for rollout in rollouts]
        return [
            true_outcome_probs(one.tokens[None], truth)[0].numpy() for one, truth in zip(logits, truths, strict=True)
        ]

    def pass_probs(self, programs: Sequence[tuple[Completion, Program]]) -> list[PassProbs]:
        """p(pass | w_1..t) at each token of each (completion, program), and p(pass | W) of the whole.

        Raises PolicyError for a sequence beyond the model's context length.
        """
        return [
            PassProbs(
                prefixes=one.tokens.softmax(dim=-1)[:, OutcomeClass.PASSED].numpy(),
                program=float(one.program.softmax(dim=-1)[OutcomeClass.PASSED]),
            )
            for one in self._logits(programs)
        ]

    def check_tokenizer(self, other: Any) -> None:
        """Raises PolicyError unless token ids of the other tokeniser mean the same to this model."""
        check_same_tokens(self.tokenizer, other, CRITIC)

    def _logits(self, programs: Sequence[tuple[Completion, Program]]) -> list[_Logits]:
        sequences = [
            _Sequence(
                index=index,
                token_ids=completion.prompt_ids + completion.token_ids,
                prompt_length=len(completion.prompt_ids),
                pooled=pooled_tokens(completion, program),
            )
            for index, (completion, program) in enumerate(programs)
        ]
        check_context(self.model, max((len(one.token_ids) for one in sequences), default=0), CRITIC)
        results: dict[int, _Logits] = {}
        for batch in plan_batches(sequences, self.tokens_per_batch):
            padded = outcome_batch(
                [one.token_ids for one in batch],
                [one.pooled for one in batch],
                pad_id=self.tokenizer.pad_token_id,
                device=self.model.device,
            )
            with torch.inference_mode():
                logits = token_logits(self.model, padded.token_ids, padded.mask)
                pooled = max_pool(logits, padded.pooled_mask).cpu()
            for row, one in enumerate(batch):
                tokens = logits[row, one.prompt_length : len(one.token_ids)].cpu()
                results[one.index] = _Logits(tokens=tokens, program=pooled[row])
        return [results[index] for index in range(len(programs))]


def load_outcome_scorer(folder: str | Path, *, device: str | torch.device = "cpu") -> OutcomeScorer:
    """A trained outcome critic, ready to score. Raises `PolicyError` for a model without a trained head."""
    loaded = load_outcome_critic(str(folder), device=device, trained=True)
    return OutcomeScorer(loaded.model, loaded.tokenizer)
