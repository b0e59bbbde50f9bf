"""What a person sees while a run goes on: a bar for the run, a bar for the stage, and the newest numbers."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

StepLine = Callable[[int, Mapping[str, float]], str]
"""(step, its metrics) -> the line that a person reads."""


class Display(Protocol):
    """Where a run tells what it does."""

    def stage(self, name: str, total: int) -> None:
        """A stage of the step begins; `total` pieces of work."""

    def advance(self, pieces: int) -> None:
        """Some pieces of the stage are done."""

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """A step is done."""

    def note(self, text: str) -> None:
        """Something a person should read."""


class SilentDisplay:
    """Tells nothing: for tests, and for all processes but the first."""

    def stage(self, name: str, total: int) -> None:
        """Nothing."""

    def advance(self, pieces: int) -> None:
        """Nothing."""

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


class LiveDisplay:
    """Two bars and a line per step. Where the output is no terminal, only the lines are printed."""

    def __init__(self, progress: Progress, run: TaskID, stage: TaskID, line: StepLine) -> None:
        self._progress = progress
        self._line = line
        self._run = run
        self._stage = stage

    def stage(self, name: str, total: int) -> None:
        """Restart the stage's bar."""
        self._progress.reset(self._stage, description=name, total=total, completed=0)

    def advance(self, pieces: int) -> None:
        """Move the stage's bar."""
        self._progress.advance(self._stage, pieces)

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Move the run's bar and print the step's line."""
        self._progress.update(self._run, completed=step)
        self._progress.console.print(self._line(step, metrics), highlight=False)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, highlight=False)


def step_line(step: int, metrics: Mapping[str, float]) -> str:
    """One line with the numbers that people watch."""
    nan = float("nan")
    seconds = sum(value for name, value in metrics.items() if name.startswith("seconds/"))
    return (
        f"step {step:>4}  pass {metrics.get('rollout/pass_rate', nan):.3f}"
        f"  tests {metrics.get('rollout/tests_passed', nan):.3f}"
        f"  syntax {metrics.get('verdict/syntax_error', nan):.2f}"
        f"  loss {metrics.get('loss/total', nan):+.2f}"
        # While a critic warms up the policy has no gradient.
        f"  grad {metrics.get('grad_norm', metrics.get('critic/grad_norm', nan)):.2f}  {seconds:.0f} s"
    )


@contextmanager
def live_display(console: Console, *, steps: int, done: int, line: StepLine = step_line) -> Iterator[LiveDisplay]:
    """A display for a run of `steps` steps of which `done` are done; `line` makes the line of a step."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        run = progress.add_task("steps", total=steps, completed=done)
        stage = progress.add_task("", total=None)
        yield LiveDisplay(progress, run, stage, line)
