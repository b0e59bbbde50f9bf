"""Whitened advantages: mean 0 and deviation 1 over all tokens of a step that bear loss.

Advantages are whitened, never rewards: scaling rewards would break the margin between a passing and a failing program that
dense rewards rest on (arXiv:2410.17621, section 3.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from linewise.types import Credit, Sample

EPS = 1e-8


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Sums over the loss-bearing tokens of some samples; those of several processes add up."""

    count: float
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """0 without tokens."""
        return self.total / self.count if self.count else 0.0

    @property
    def deviation(self) -> float:
        """The population's standard deviation; 0 without tokens."""
        return max(self.squares / self.count - self.mean**2, 0.0) ** 0.5 if self.count else 0.0


def moments(samples: Sequence[Sample]) -> Moments:
    """The sums of these samples' advantages."""
    kept = [sample.credit.advantages[sample.credit.weights != 0].astype(np.float64) for sample in samples]
    values = np.concatenate(kept) if kept else np.zeros(0)
    return Moments(count=len(values), total=float(values.sum()), squares=float((values**2).sum()))


def whiten(samples: Sequence[Sample], over: Moments) -> list[Sample]:
    """The samples with advantages (A - mean) / (deviation + 1e-8) at loss-bearing tokens, 0 elsewhere.

    The terms are scaled alike, and one more, `whitening`, holds what the mean takes away, so that they still add up. Example:
    advantages (1, 3), mean 2, deviation 1: (-1, 1). Advantages that are all equal become 0.
    """
    return [replace(sample, credit=_whitened(sample.credit, over)) for sample in samples]


def _whitened(credit: Credit, over: Moments) -> Credit:
    kept = (credit.weights != 0).astype(np.float64)
    scale = kept / (over.deviation + EPS)
    shift = -over.mean * scale
    return replace(
        credit,
        advantages=(credit.advantages * scale + shift).astype(np.float32),
        terms={
            **{name: (term * scale).astype(np.float32) for name, term in credit.terms.items()},
            "whitening": shift.astype(np.float32),
        },
    )
