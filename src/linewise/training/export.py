"""The trained policy as a folder that `from_pretrained` reads."""

import shutil
from pathlib import Path
from typing import Any

import torch

from linewise.policy.huggingface import HuggingFacePolicy
from linewise.training.run_folder import storage_errors


def export_policy(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the model, LoRA adapters merged, with its tokeniser; an earlier export is replaced when the new one is whole.

    Raises StorageError where the disk is full or not writable.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    with storage_errors(folder):
        shutil.rmtree(partial, ignore_errors=True)
        HuggingFacePolicy(model, tokenizer, dtype=torch.float32).save_pretrained(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
