"""Every exception that Linewise raises on purpose.

    LinewiseError
    ├── UserError              something the user can mend; also a ValueError
    │   ├── TaskError          a task file or a task is malformed (names file, line, field)
    │   ├── PolicyError        a model cannot be found, fetched or loaded
    │   └── RunError           a run folder cannot be created, resumed or read
    ├── JudgeError             the judge itself failed; never a verdict, never a reward
    ├── NonFiniteLossError     training met a NaN or an infinity; the batch was saved
    └── StorageError           a disk is full or not writable; nothing that was there is lost

The command line prints a `LinewiseError` without a traceback and exits with 2. Any other exception is a bug of ours.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class LinewiseError(Exception):
    """Base class. The message gives the value, the rule and the remedy."""


class UserError(LinewiseError, ValueError):
    """Something in the user's input or setting is wrong."""


class TaskError(UserError):
    """A task, or a file of tasks, breaks the format."""


class PolicyError(UserError):
    """A model cannot be found, fetched, verified or loaded."""


class RunError(UserError):
    """A run folder cannot be created, resumed or read."""


class JudgeError(LinewiseError):
    """The judge could not reach a verdict. The rollout is dropped and counted, never rewarded."""


class NonFiniteLossError(LinewiseError):
    """The loss or its gradient is not finite. The message names the folder in which the batch was saved."""


class StorageError(LinewiseError):
    """Writing failed (disk full, no permission). What had been written before is still whole."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """For messages about unknown names: a sentence, with a space before it, that offers the closest; empty if none is."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{close[0]}'?" if close else ""
