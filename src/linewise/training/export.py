"""A trained model as a folder that `from_pretrained` reads."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from linewise.policy.huggingface import HuggingFacePolicy
from linewise.training.run_folder import storage_errors


def export_policy(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the model, LoRA adapters merged, with its tokeniser; an earlier export is replaced when the new one is whole.

    Raises StorageError where the disk is full or not writable.
    """
    with replaced_folder(folder) as partial:
        HuggingFacePolicy(model, tokenizer, dtype=torch.float32).save_pretrained(partial)


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A path beside `folder` to write into; it takes the place of `folder` when the block ends well.

    Raises StorageError where the disk is full or not writable.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    with storage_errors(folder):
        shutil.rmtree(partial, ignore_errors=True)
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
