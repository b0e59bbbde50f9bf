"""The runs of a comparison: where they lie, how one is brought to its end, and what they share."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from linewise.evaluation.compare_runs import FINISHED, finished_text
from linewise.training.config import AnyRecipe
from linewise.training.progress import Display
from linewise.training.run_folder import RunFolder, storage_errors, write_text


def folder_of(out: Path, method: str, seed: int) -> Path:
    """Where all of a method and seed lies."""
    return out / method / f"seed-{seed}"


def finish(recipe: AnyRecipe, folder: Path, display: Display) -> None:
    """Bring a run to its end, from wherever it is."""
    # Imported here, so that --help and errors in settings need no torch.
    from linewise.training.run import train

    run = RunFolder(path=folder)
    if (folder / FINISHED).exists():
        return
    result = train(recipe, folder, resume=run.config.exists(), display=display)
    write_text(folder / FINISHED, finished_text(discarded_programs=result.num_discarded))
    # A finished run is never resumed; its policy stays.
    shutil.rmtree(run.checkpoints, ignore_errors=True)


def take_start(folder: Path, others: Sequence[Path]) -> None:
    """Take over the evaluation of the starting policy from a run of the same seed, which is the same in every method."""
    ours = RunFolder(path=folder).evaluations / "step-000000.json"
    made = [path for other in others if (path := RunFolder(path=other).evaluations / ours.name).exists()]
    if made and not ours.exists():
        with storage_errors(ours):
            ours.parent.mkdir(parents=True, exist_ok=True)
        write_text(ours, made[0].read_text())
