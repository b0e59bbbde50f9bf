"""Loading what a command samples from. Imports torch only where it loads."""

from typing import TYPE_CHECKING

from linewise.cli.pretrain import ensure_policy
from linewise.cli.quiet import quiet_libraries

if TYPE_CHECKING:
    from linewise.policy.huggingface import HuggingFacePolicy


def device() -> str:
    """The accelerator where there is one, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def load_named_policy(name: str) -> "HuggingFacePolicy":
    """A policy by name, built first where it is one that is built here. Raises PolicyError where it cannot be loaded."""
    from linewise.policy.huggingface import load_policy

    quiet_libraries()
    ensure_policy(name)
    return load_policy(name, device=device())
