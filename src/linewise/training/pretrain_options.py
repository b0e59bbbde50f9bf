"""The settings of pretraining; torch-free, so that `linewise pretrain --help` is quick."""

from dataclasses import dataclass

from linewise.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ModelSize:
    """The shape of a Llama-type model."""

    hidden_size: int = 192
    intermediate_size: int = 512
    num_layers: int = 3
    num_heads: int = 6
    num_key_value_heads: int = 2
    vocabulary: int = 768
    """Tokens of the tokeniser, which is trained on the corpus; at least 258."""


@dataclass(frozen=True, kw_only=True)
class PretrainOptions:
    """How the small policy of the arena is made. AdamW, a warm-up, then a cosine down to a tenth of the learning rate."""

    steps: int = 700
    """Number of updates."""
    programs_per_step: int = 16
    """Programs read for an update; none is read twice."""
    seed: int = 0
    """Names the corpus and the first weights. Same seed, same model (on one machine with one number of threads)."""
    faults: float = 1.0
    """Scales the rates of all mistakes in the corpus; 0 makes every program right, and leaves RL little to do."""
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    warmup_share: float = 0.05
    """Share of the updates over which the learning rate rises from 0."""
    max_grad_norm: float = 1.0
    """The gradient is scaled down to this norm where it is larger."""
    model: ModelSize = ModelSize()

    def __post_init__(self) -> None:
        """Refuses numbers with which nothing could be trained."""
        for name, value in (("steps", self.steps), ("programs-per-step", self.programs_per_step)):
            if value < 1:
                raise UserError(f"--{name} is {value}: give a number from 1 on.")
        if self.faults < 0:
            raise UserError(f"--faults is {self.faults}: it scales rates of mistakes, so give 0 or more.")
        if self.model.vocabulary < 258:
            raise UserError(f"--model.vocabulary is {self.model.vocabulary}: 256 bytes and 2 special tokens need 258.")
