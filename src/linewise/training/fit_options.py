"""Settings that every training of a token classifier has; torch-free, so that the command line can show them."""

from dataclasses import dataclass
from typing import Literal

from linewise.policy.lora import LoraOptions

FULL_LEARNING_RATE = 1e-5
LORA_LEARNING_RATE = 1e-4


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How a token classifier is fitted to judged programs: passes, updates, what is held out and when to stop."""

    epochs: int = 2
    """Passes over the training programs, unless the held-out loss stops improving."""
    programs_per_step: int = 32
    """Programs of an update."""
    learning_rate: float | None = None
    """None means 1e-5 for all weights, 1e-4 for LoRA."""
    warmup_share: float = 0.05
    """Share of the updates over which the learning rate rises; constant afterwards."""
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.95)
    max_grad_norm: float = 1.0
    tokens_per_micro_batch: int = 4096
    """Padded tokens in one forward and backward pass: the knob for memory."""
    held_out_share: float = 0.1
    """Share of the *tasks* that only measures."""
    evaluations_per_epoch: int = 4
    """Held-out measurements in each epoch; the best one's weights are kept."""
    patience: int = 4
    """Measurements without a better held-out loss after which training stops."""
    seed: int = 0
    """Same seed, same numbers (on a CPU)."""
    lora: LoraOptions = LoraOptions()
    """Low-rank adapters instead of full fine-tuning; the head always trains in full."""
    precision: Literal["auto", "bf16", "no"] = "auto"
    """bf16 autocast over float32 weights, or plain float32 ("no"); auto is bf16 where the device computes in it."""

    def __post_init__(self) -> None:
        """Refuses numbers with which nothing would be trained or measured."""
        for name in ("epochs", "programs_per_step", "tokens_per_micro_batch", "evaluations_per_epoch", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be 1 or more.")
        if not 0 < self.held_out_share < 1:
            raise ValueError(f"held_out_share={self.held_out_share} must lie between 0 and 1.")

    @property
    def resolved_learning_rate(self) -> float:
        """The learning rate, its default filled in."""
        if self.learning_rate is not None:
            return self.learning_rate
        return LORA_LEARNING_RATE if self.lora.rank else FULL_LEARNING_RATE
