"""Checkpoints, written beside their final name and renamed when whole: a kill at any moment leaves the last one intact."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from safetensors import SafetensorError

from linewise.errors import RunError, StorageError
from linewise.training.state import RunState, state_from_record, state_to_record
from linewise.types import Task

PREFIX = "step-"


def checkpoint_name(step: int) -> str:
    """Folder name of a checkpoint, so that names sort as steps do."""
    return f"{PREFIX}{step:06d}"


def list_checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(path for path in folder.glob(f"{PREFIX}*") if path.is_dir())


def save_checkpoint(folder: Path, state: RunState, accelerator: Accelerator, *, keep: int) -> Path:
    """The checkpoint of a run: see `write_checkpoint`."""
    return write_checkpoint(folder, state.step, state_to_record(state), accelerator, keep=keep)


def write_checkpoint(folder: Path, step: int, state: Mapping[str, Any], accelerator: Accelerator, *, keep: int) -> Path:
    """Write weights (safetensors), optimiser, schedule and the state, as JSON; then remove all but the `keep` newest.

    Saving the same step again is a no-op. Raises StorageError with the remedy where the disk is full or not writable; no
    older checkpoint is touched before the new one is whole.
    """
    final = folder / checkpoint_name(step)
    partial = folder / f".{checkpoint_name(step)}.partial"
    if final.exists():
        return final
    try:
        if accelerator.is_main_process:
            folder.mkdir(parents=True, exist_ok=True)
            # What a killed process left half-written goes first: it holds the space that this one needs.
            for leftover in folder.glob(".*.partial"):
                shutil.rmtree(leftover, ignore_errors=True)
            partial.mkdir()
        accelerator.wait_for_everyone()
        accelerator.save_state(str(partial))
        (partial / f"state-{accelerator.process_index}.json").write_text(json.dumps(state))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            flush_folder(partial)
            partial.rename(final)
    except (OSError, SafetensorError, RuntimeError) as error:
        # torch and safetensors report a full disk as errors of their own, without an errno.
        shutil.rmtree(partial, ignore_errors=True)
        free = shutil.disk_usage(folder if folder.exists() else folder.parent).free / 2**30
        raise StorageError(
            f"could not write the checkpoint of step {step} to {final}: {error}. {free:.2f} GiB are free there. "
            "Free some space or point --out to another disk, then continue with --resume; older checkpoints are whole."
        ) from error
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        for old in list_checkpoints(folder)[:-keep]:
            shutil.rmtree(old)
    return final


def load_checkpoint(path: Path, accelerator: Accelerator, tasks: Mapping[str, Task]) -> RunState:
    """Restore a run: see `read_checkpoint`."""
    return state_from_record(read_checkpoint(path, accelerator), tasks)


def read_checkpoint(path: Path, accelerator: Accelerator) -> dict[str, Any]:
    """Restore weights, optimiser and schedule in place and return the state that was written with them.

    Raises RunError where it was made by another number of processes, each of which has samples of its own.
    """
    then, now = len(list(path.glob("state-*.json"))), accelerator.num_processes
    if then != now:
        raise RunError(
            f"the checkpoint {path} was made by {then} processes, not by the {now} of now. Resume with as many processes as "
            "the run had."
        )
    state_file = path / f"state-{accelerator.process_index}.json"
    accelerator.load_state(str(path))
    record: dict[str, Any] = json.loads(state_file.read_text())
    return record


def flush_folder(folder: Path) -> None:
    """Force a folder's files and its names to the disk, so that a rename never outruns what it names."""
    for path in [*(path for path in folder.rglob("*") if path.is_file()), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
