"""Scores of the lines of programs under a trained process reward model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from linewise.policy.batches import plan_batches
from linewise.policy.classifier import TOKENS_PER_BATCH, check_context, check_same_tokens
from linewise.policy.huggingface_load import render_chat
from linewise.policy.token_bytes import encode_answer
from linewise.prm.dataset import LinePlace, line_places
from linewise.prm.model import PRM, line_batch, line_scores, load_prm
from linewise.types import Completion, LineScore, Program, Prompt, Rollout


@dataclass(frozen=True, kw_only=True)
class _Sequence:
    index: int
    token_ids: tuple[int, ...]
    places: tuple[LinePlace, ...]


class LineScorer:
    """R_phi: scores the lines of sampled programs, on their own tokens."""

    def __init__(self, model: Any, tokenizer: Any, *, tokens_per_batch: int = TOKENS_PER_BATCH) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.tokens_per_batch = tokens_per_batch

    def __call__(self, rollouts: Sequence[Rollout]) -> list[tuple[LineScore, ...]]:
        """Scores of each program's sampled lines, clipped to [-1, 1]; lines of the prompt have none."""
        return self.score([(rollout.completion, rollout.program) for rollout in rollouts])

    def score(self, programs: Sequence[tuple[Completion, Program]]) -> list[tuple[LineScore, ...]]:
        """Scores of the lines of each (completion, program), in order.

        The lines of a program without a sampled line are `()`. Where one token ends several lines they share a score.
        Raises PolicyError for a sequence beyond the model's context length.
        """
        results: list[tuple[LineScore, ...]] = [()] * len(programs)
        sequences = [
            _Sequence(
                index=index,
                token_ids=completion.prompt_ids + completion.token_ids,
                places=line_places(completion, program),
            )
            for index, (completion, program) in enumerate(programs)
        ]
        check_context(self.model, max((len(one.token_ids) for one in sequences), default=0), PRM)
        for batch in plan_batches([one for one in sequences if one.places], self.tokens_per_batch):
            values = self._values(batch)
            for one in batch:
                ours, values = values[: len(one.places)], values[len(one.places) :]
                results[one.index] = tuple(
                    LineScore(line=place.line, score=value) for place, value in zip(one.places, ours, strict=True)
                )
        return results

    def check_tokenizer(self, other: Any) -> None:
        """Raises PolicyError unless token ids of the other tokeniser mean the same to this model."""
        check_same_tokens(self.tokenizer, other, PRM)

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> str | None:
        """The messages in the tokeniser's chat template, as the policy saw them; None without a template."""
        return render_chat(self.tokenizer, messages)

    def encode(self, prompt: Prompt, text: str) -> Completion:
        """A text that was not sampled as the completion of a prompt; its log-probabilities are 0."""
        return encode_answer(self.tokenizer, prompt, text)

    def _values(self, batch: Sequence[_Sequence]) -> list[float]:
        padded = line_batch(
            [one.token_ids for one in batch],
            [[place.position for place in one.places] for one in batch],
            pad_id=self.tokenizer.pad_token_id,
            device=self.model.device,
        )
        with torch.inference_mode():
            scores = line_scores(self.model, padded).clamp(-1, 1)
        values: list[float] = scores.tolist()
        return values


def load_scorer(folder: str | Path, *, device: str | torch.device = "cpu") -> LineScorer:
    """A trained process reward model, ready to score. Raises `PolicyError` for a model without a trained head."""
    loaded = load_prm(str(folder), device=device, trained=True)
    return LineScorer(loaded.model, loaded.tokenizer)
