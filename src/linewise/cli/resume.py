"""`--out FOLDER` for something new, `--resume FOLDER` to go on with it."""

from collections.abc import Sequence
from pathlib import Path

from linewise.errors import UserError


def folder_to_resume(arguments: Sequence[str]) -> Path | None:
    """The folder after `--resume`, read before all else: its settings are the defaults of the other arguments."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == "--resume" and (equals or place + 1 < len(arguments)):
            return Path(value if equals else arguments[place + 1])
    return None


def chosen_folder(out: Path | None, resume: Path | None) -> Path:
    """The one that was given. Raises UserError unless it is exactly one of them."""
    if out is not None and resume is not None:
        raise UserError("--out starts a new run and --resume continues one: give one of them, not both.")
    folder = out or resume
    if folder is None:
        raise UserError("give --out FOLDER for a new run, or --resume FOLDER to continue one.")
    return folder
