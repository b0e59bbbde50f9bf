"""Settings of the outcome critic's training; torch-free, so that the command line can show them."""

from dataclasses import dataclass

from linewise.training.fit_options import FitOptions

ALGORITHM = "outcome critic"
"""What config.json calls the training."""


@dataclass(frozen=True, kw_only=True)
class OutcomeTrainOptions(FitOptions):
    """How an outcome critic is trained (CodeRL, arXiv:2207.01780, section 3.2)."""

    critic: str | None = None
    """Causal model that it starts from; none means the policy itself. The paper's is smaller than its policy. It must have
    the policy's tokens."""
