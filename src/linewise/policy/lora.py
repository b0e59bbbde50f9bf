"""Settings of low-rank adapters; torch-free, so that the command line can show them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LoraOptions:
    """Low-rank adapters (arXiv:2106.09685): W + alpha / rank * B A, of which only A and B are trained."""

    rank: int = 0
    """Rank of the update; 0 trains all weights instead."""
    alpha: int = 32
    """Numerator of the update's scale alpha / rank."""
    dropout: float = 0.0
    """Probability with which an adapter's input is dropped in training."""
    target_modules: str = "all-linear"
    """`all-linear` (every linear layer but the output layer), or a regular expression of module names."""
