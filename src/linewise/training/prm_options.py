"""Settings of the process reward model's training; torch-free, so that the command line can show them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from linewise.training.fit_options import FitOptions

ALGORITHM = "process reward model"
"""What config.json calls the training."""
ProgramKind = Literal["correct", "revised", "wrong"]


@dataclass(frozen=True, kw_only=True)
class PrmTrainOptions(FitOptions):
    """How a process reward model is trained. The paper (arXiv:2410.17621) states the loss and the data selection alone."""

    labels: tuple[Path, ...]
    """Files of labelled programs."""
    policy: str = "smollm2-135m"
    """Causal model that it starts from: embedded name, folder or hub id. It must have the tokens of the labelled programs."""
    kinds: tuple[ProgramKind, ...] = ("revised",)
    """Classes of programs to train on: the paper's Revised Only was its only choice above the baseline (table 3)."""

    def __post_init__(self) -> None:
        """Refuses numbers with which nothing would be trained or measured."""
        super().__post_init__()
        if not self.kinds:
            raise ValueError("kinds is empty: name at least one of correct, revised, wrong.")
