"""The trained policy as a folder that `from_pretrained` reads."""

import shutil
from pathlib import Path
from typing import Any

from linewise.policy.huggingface import merged_weights
from linewise.policy.huggingface_forward import unwrap
from linewise.training.run_folder import storage_errors


def export_policy(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the model, LoRA adapters merged, with its tokeniser; an earlier export is replaced when the new one is whole.

    Raises StorageError where the disk is full or not writable.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    with storage_errors(folder):
        shutil.rmtree(partial, ignore_errors=True)
        weights = {name: weight() for name, weight in merged_weights(model).items()}
        unwrap(model).save_pretrained(partial, state_dict=weights)
        tokenizer.save_pretrained(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
