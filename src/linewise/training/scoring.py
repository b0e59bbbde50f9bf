"""What models say of freshly judged programs: old and reference log-probabilities, values, line scores.

Scores are taken when programs are collected, under the weights of that moment, and stay with the sample: an importance ratio
or a clipped value loss compares with them later.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from linewise.policy.huggingface_logprobs import SequenceBatch
from linewise.prm.rank import LineJudge
from linewise.training.batch import Example, collate, plan_micro_batches
from linewise.types import Floats, Group, Rollout, ScoredGroup, Scores
from linewise.values.monte_carlo import Valuation


class LineValuer(Protocol):
    """Something that samples to find what the states after a program's lines are worth."""

    def __call__(
        self, rollouts: Sequence[Rollout], *, purpose: str, progress: Callable[[int], None] | None
    ) -> Valuation:
        """The values of each program's states; equal arguments give equal numbers."""


class TokenJudge(Protocol):
    """Something that gives one number for each token of a program."""

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Floats]:
        """[T] for each program."""


@dataclass(frozen=True, kw_only=True)
class TokenPass:
    """A model's forward pass as a `TokenJudge`: no gradient, no dropout."""

    model: Any
    forward: Callable[[Any, SequenceBatch], Tensor]
    pad_id: int
    device: torch.device
    tokens_per_batch: int

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Floats]:
        """[T] for each program, in order."""
        numbers: dict[int, Floats] = {}
        examples = [_example(rollout) for rollout in rollouts]
        places = {id(example): place for place, example in enumerate(examples)}
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                for micro in plan_micro_batches(examples, self.tokens_per_batch):
                    batch = collate(micro, pad_id=self.pad_id, device=self.device)
                    output = self.forward(self.model, batch.sequences).float().cpu().numpy()
                    for row, example in enumerate(micro):
                        numbers[places[id(example)]] = output[row, : len(example.response_ids)].copy()
        finally:
            self.model.train(was_training)
        return [numbers[place] for place in range(len(rollouts))]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Groups with their scores."""

    groups: tuple[ScoredGroup, ...]
    valuation: Valuation | None = None
    """What sampling for line values cost; None where nothing was sampled."""


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Asks each model that the run has; what it has not stays None."""

    old_logprobs: TokenJudge | None = None
    ref_logprobs: TokenJudge | None = None
    values: TokenJudge | None = None
    line_scores: LineJudge | None = None
    outcome_probs: TokenJudge | None = None
    line_values: LineValuer | None = None

    def __call__(
        self, groups: Sequence[Group], *, purpose: str = "", progress: Callable[[int], None] | None = None
    ) -> Scored:
        """The groups with the scores of their rollouts; all rollouts go to a model together.

        What is sampled for values depends on `purpose`, and `progress` is told how many programs of it are done.
        """
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        if not rollouts:
            return Scored(groups=())
        judges: dict[str, TokenJudge | LineJudge | None] = {
            "old_logprobs": self.old_logprobs,
            "ref_logprobs": self.ref_logprobs,
            "values": self.values,
            "line_scores": self.line_scores,
            "outcome_probs": self.outcome_probs,
        }
        answers: dict[str, Sequence[Any]] = {
            name: judge(rollouts) for name, judge in judges.items() if judge is not None
        }
        valuation = None
        if self.line_values is not None:
            valuation = self.line_values(rollouts, purpose=purpose, progress=progress)
            answers["line_values"] = valuation.values
        scores = [Scores(**{name: ours[place] for name, ours in answers.items()}) for place in range(len(rollouts))]
        scored = []
        for group in groups:
            ours, scores = scores[: len(group.rollouts)], scores[len(group.rollouts) :]
            scored.append(ScoredGroup(**vars(group), scores=tuple(ours)))
        return Scored(groups=tuple(scored), valuation=valuation)


def _example(rollout: Rollout) -> Example:
    ones = np.ones(len(rollout.completion.token_ids), dtype=np.float32)
    return Example(
        prompt_ids=rollout.completion.prompt_ids,
        response_ids=rollout.completion.token_ids,
        advantages=ones,
        weights=ones,
    )
