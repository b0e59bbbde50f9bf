"""`train`: one call that starts or resumes a run in a folder."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from linewise.errors import RunError
from linewise.rollout.buffer import Buffer
from linewise.training.checkpoint import list_checkpoints, load_checkpoint
from linewise.training.config import AnyRecipe
from linewise.training.loop import RunResult, Trainer
from linewise.training.progress import Display, SilentDisplay, live_display
from linewise.training.records import check_same, recipe_to_record
from linewise.training.run_folder import RunFolder
from linewise.training.session import Session, open_session
from linewise.training.state import RunState
from linewise.training.step import process_share

FREE_TO_CHANGE = ("steps", "workers", "save_every", "keep_checkpoints", "trackers")
"""Settings that may differ on resuming: they do not change what a step computes."""


def train(
    recipe: AnyRecipe,
    out: Path,
    *,
    resume: bool = False,
    console: Console | None = None,
    display: Display | None = None,
) -> RunResult:
    """Run a recipe in the folder `out`, or continue the run that is there.

    A resumed run gives the numbers of an uninterrupted one (same seed, same machine, CPU): weights, optimiser, schedule,
    buffer and history come from the newest whole checkpoint, what was recorded after it is rewound, and random numbers
    are functions of the seed and the step. Without a console nothing is printed; a `display` of the caller's own takes its
    place. Raises RunError for a folder that
    holds a run already, or holds none, or holds one of other settings.
    """
    folder = RunFolder(path=out)
    if resume:
        check_same_recipe(folder, recipe)
    else:
        folder.check_free()
    check_trackers(recipe.trackers)
    with open_session(recipe, folder) as session:
        main = session.accelerator.is_main_process
        if main and not resume:
            folder.create(recipe_to_record(recipe))
        session.accelerator.wait_for_everyone()
        if recipe.trackers:
            session.accelerator.init_trackers("linewise", config=_flat(recipe_to_record(recipe)))
        state = restore(session) if resume else fresh_state(session)
        with _display(console if main else None, recipe.steps, state.step) as shown:
            result = Trainer(session, state, display or shown).run()
        session.accelerator.end_training()
    return result


def fresh_state(session: Session) -> RunState:
    """The state before the first step: a buffer of this process's share, and what was spent before the run."""
    recipe, accelerator = session.recipe, session.accelerator
    share = partial(
        process_share, recipe, process_index=accelerator.process_index, num_processes=accelerator.num_processes
    )
    options = replace(recipe.buffer, capacity=share(recipe.buffer.capacity), warmup=share(recipe.buffer.warmup))
    return RunState(num_programs=recipe.spent_programs, num_tokens=recipe.spent_tokens, buffer=Buffer(options=options))


def restore(session: Session) -> RunState:
    """The newest checkpoint's state, weights loaded; the fresh start where the run was killed before its first one."""
    folder, accelerator = session.folder, session.accelerator
    checkpoints = list_checkpoints(folder.checkpoints)
    if checkpoints:
        state = load_checkpoint(checkpoints[-1], accelerator, session.tasks_by_id)
        session.policy.update_from(session.learner.unwrapped, version=state.step)
    else:
        state = fresh_state(session)
    if accelerator.is_main_process:
        folder.rewind(state.step)
    accelerator.wait_for_everyone()
    return state


def check_same_recipe(folder: RunFolder, recipe: AnyRecipe) -> None:
    """Raises RunError unless the folder holds a run of this recipe, but for the settings in FREE_TO_CHANGE."""
    check_same(folder.path, folder.read_config(), recipe_to_record(recipe), free=FREE_TO_CHANGE)


def check_trackers(names: Sequence[str]) -> None:
    """Raises RunError for a tracker whose package is missing; accelerate would leave it out without a word."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise RunError(
            f"--trackers {' '.join(missing)} needs a package that is not installed: pip install {' '.join(missing)}, or "
            "leave the tracker out."
        )


@contextmanager
def _display(console: Console | None, steps: int, done: int) -> Iterator[Display]:
    if console is None:
        yield SilentDisplay()
    else:
        with live_display(console, steps=steps, done=done) as display:
            yield display


def _flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names, as trackers want them."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, int | float | str | bool) else str(value)
    return flat
