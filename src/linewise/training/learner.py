"""One update of a model's weights: micro-batches, gradients, clipping, AdamW. Forward passes and losses are functions to it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel

from linewise.errors import NonFiniteLossError
from linewise.policy.huggingface_logprobs import SequenceBatch
from linewise.training.batch import Batch, Example, bears_loss, collate, plan_micro_batches
from linewise.training.config import UpdateOptions

OutputsT = TypeVar("OutputsT")
"""What a forward pass gives for the response tokens: log-probabilities, values."""


def no_diagnostics(_outputs: object, _batch: Batch) -> dict[str, Tensor]:
    """Nothing to report beside the loss."""
    return {}


@dataclass(frozen=True, kw_only=True)
class LossTerm(Generic[OutputsT]):
    """Examples and the loss they are trained with."""

    name: str
    loss: Callable[[OutputsT, Batch], Tensor]
    """Per-token loss [B, T]."""
    examples: Sequence[Example]
    keeps: Callable[[Example], bool] = bears_loss
    """Whether a sequence can have a gradient; others are left out of the forward pass."""
    diagnose: Callable[[OutputsT, Batch], dict[str, Tensor]] = no_diagnostics
    """Name -> [B, T] numbers without gradient; their mean over the response tokens is reported."""


@dataclass(frozen=True, kw_only=True)
class UpdateMetrics:
    """What one update did."""

    losses: dict[str, float]
    """Name of each term -> its value, summed over micro-batches and processes."""
    grad_norm: float
    """Before clipping."""
    learning_rate: float
    num_tokens: int
    """Tokens that went through the model, without padding."""
    num_micro_batches: int
    diagnostics: dict[str, float]
    """Means over response tokens of what the terms diagnose."""


@dataclass(frozen=True, kw_only=True)
class Accumulated:
    """What the gradients now in `.grad` are made of."""

    losses: dict[str, float]
    tokens: int
    micro_batches: int
    diagnostics: dict[str, float]


@dataclass
class Mean:
    """A running mean over tokens."""

    total: float = 0.0
    count: int = 0

    def add(self, mean: float, count: int) -> None:
        """Take in `count` more tokens with that mean."""
        self.total, self.count = self.total + mean * count, self.count + count


@dataclass(frozen=True, kw_only=True)
class Backward:
    """What one forward and backward pass gave."""

    loss: float
    diagnostics: dict[str, float]
    """Means over the response tokens."""
    num_response_tokens: int


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """One forward pass of one term."""

    term: int
    examples: Sequence[Example]


class Learner(Generic[OutputsT]):
    """A trained model with its optimiser. `accumulate` computes gradients, `apply` uses them."""

    def __init__(
        self,
        model: PreTrainedModel,
        options: UpdateOptions,
        *,
        forward: Callable[[Any, SequenceBatch], OutputsT],
        pad_id: int,
        accelerator: Accelerator,
    ) -> None:
        self.forward = forward
        self.options = options
        self.pad_id = pad_id
        self.accelerator = accelerator
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimiser = AdamW(
            trainable, lr=options.learning_rate, betas=options.betas, weight_decay=options.weight_decay, fused=False
        )
        # The first update already learns: warm-up starts at 1/warmup, not at 0. Not prepared by accelerate, which would
        # step it once per process; this schedule counts updates.
        self.schedule = LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / max(1, options.warmup_steps)))
        self.model, self.optimiser = accelerator.prepare(model, optimiser)
        # Accelerate makes a prepared model return float32 logits, a second copy of the largest tensor there is.
        # Autocast is entered in `_backward` instead, and the logits stay in half precision.
        accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        accelerator.register_for_checkpointing(self.schedule)

    @property
    def unwrapped(self) -> PreTrainedModel:
        """The model without the wrappers of distributed training."""
        model: PreTrainedModel = self.accelerator.unwrap_model(self.model)
        return model

    def accumulate(
        self, terms: Sequence[LossTerm[OutputsT]], progress: Callable[[int, int], None] | None = None
    ) -> Accumulated:
        """Gradients of the sum of all terms into `.grad`; nothing else changes, so it can be abandoned.

        Raises NonFiniteLossError at the first micro-batch whose loss is not finite.
        """
        self.model.train()
        self.optimiser.zero_grad()
        plan = self._plan(terms)
        losses = {term.name: 0.0 for term in terms}
        means: dict[str, Mean] = {}
        tokens = 0
        for index, micro in enumerate(plan):
            batch = collate(micro.examples, pad_id=self.pad_id, device=self.accelerator.device)
            # Gradients cross processes once an update: at the last micro-batch, which every process has.
            if index < len(plan) - 1:
                with self.accelerator.no_sync(self.model):
                    done = self._backward(batch, terms[micro.term])
            else:
                done = self._backward(batch, terms[micro.term])
            losses[terms[micro.term].name] += done.loss
            if micro.examples[0].scale != 0:  # else it fills up, and says nothing of the samples
                for name, mean in done.diagnostics.items():
                    means.setdefault(name, Mean()).add(mean, done.num_response_tokens)
                tokens += sum(example.length for example in micro.examples)
            if progress is not None:
                progress(index + 1, len(plan))
        return Accumulated(
            losses=losses,
            tokens=tokens,
            micro_batches=len(plan),
            diagnostics={name: mean.total / mean.count for name, mean in means.items()},
        )

    def apply(self, accumulated: Accumulated) -> UpdateMetrics:
        """One step of the optimiser with the accumulated gradients.

        Raises NonFiniteLossError before anything changes if the gradient's norm is not finite.
        """
        norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), self.options.max_grad_norm))
        if not math.isfinite(norm):
            raise NonFiniteLossError(f"the gradient's norm is {norm}")
        rate = float(self.schedule.get_last_lr()[0])
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()
        return UpdateMetrics(
            losses=accumulated.losses,
            grad_norm=norm,
            learning_rate=rate,
            num_tokens=accumulated.tokens,
            num_micro_batches=accumulated.micro_batches,
            diagnostics=accumulated.diagnostics,
        )

    def forget_moments(self) -> None:
        """Let the optimiser start anew from the weights as they are; the learning rate goes on as it was."""
        self.optimiser.state.clear()

    def _plan(self, terms: Sequence[LossTerm[OutputsT]]) -> list[MicroBatch]:
        """Micro-batches of all terms; every process makes the same number, filling up with sequences of scale 0."""
        plan = [
            MicroBatch(term=index, examples=examples)
            for index, term in enumerate(terms)
            for examples in plan_micro_batches(
                [example for example in term.examples if term.keeps(example)], self.options.tokens_per_micro_batch
            )
        ]
        count = torch.tensor([len(plan)], device=self.accelerator.device)
        most = int(self.accelerator.gather(count).max())
        nothing = np.zeros(1, dtype=np.float32)
        idle = Example(
            prompt_ids=(self.pad_id,),
            response_ids=(self.pad_id,),
            advantages=nothing,
            weights=nothing,
            scale=0.0,
            old_logprobs=nothing,
            ref_logprobs=nothing,
            old_values=nothing,
            returns=nothing,
        )
        return plan + [MicroBatch(term=0, examples=[idle])] * (most - len(plan))

    def _backward(self, batch: Batch, term: LossTerm[OutputsT]) -> Backward:
        with self.accelerator.autocast():
            outputs = self.forward(self.model, batch.sequences)
        per_token = term.loss(outputs, batch)
        assert per_token.shape == batch.weights.shape, "a loss returns one number per token"
        loss = (per_token.sum(dim=1) * batch.scales).sum()
        if not torch.isfinite(loss):
            raise NonFiniteLossError(f"the loss of the term '{term.name}' is {loss.item()}")
        # Distributed gradients are averaged over processes, while the scales already speak of the global step.
        self.accelerator.backward(loss * self.accelerator.num_processes)
        mask = batch.sequences.response_mask
        with torch.no_grad():
            diagnostics = {name: float(one[mask].mean()) for name, one in term.diagnose(outputs, batch).items()}
        return Backward(loss=float(loss.detach()), diagnostics=diagnostics, num_response_tokens=int(mask.sum()))
