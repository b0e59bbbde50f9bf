"""What a person sees while the runs of a comparison go on: a bar for all runs, and one for the stage of the current one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from linewise.evaluation.compare import Run


class RunsDisplay:
    """The display of every run, one after another. Where the output is no terminal, one line for each run is printed."""

    def __init__(self, progress: Progress, *, num_runs: int, programs: int) -> None:
        self._progress = progress
        self._programs = programs
        self._runs: TaskID = progress.add_task("programs of all runs", total=num_runs * programs)
        self._stage: TaskID = progress.add_task("", total=None)
        self._name = ""
        self._ended = 0

    def begin(self, name: str) -> None:
        """A run begins, or is read back."""
        self._name = name

    def end(self, name: str, run: Run) -> None:
        """A run has ended."""
        self._ended += 1
        self._progress.update(self._runs, completed=self._ended * self._programs)
        estimate = run.points[-1].evaluation.pass_at_k(1)
        self._progress.console.print(
            f"{name}: pass@1 {estimate} over tasks after {run.cost.steps} steps, {run.cost.programs} programs",
            highlight=False,
            soft_wrap=True,
        )

    def stage(self, name: str, total: int) -> None:
        """Restart the stage's bar."""
        self._progress.reset(self._stage, description=f"{self._name}: {name}", total=total, completed=0)

    def advance(self, pieces: int) -> None:
        """Move the stage's bar."""
        self._progress.advance(self._stage, pieces)

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Move the bar of all runs by the programs of the current one."""
        done = self._ended * self._programs + min(metrics["budget/programs"], self._programs)
        self._progress.update(self._runs, completed=done)

    def note(self, text: str) -> None:
        """Nothing: what a single run would say is told of the comparison as a whole."""


@contextmanager
def runs_display(console: Console, *, num_runs: int, programs: int) -> Iterator[RunsDisplay]:
    """A display of so many runs of so many programs each."""
    columns = (TextColumn("{task.description:<40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield RunsDisplay(progress, num_runs=num_runs, programs=programs)
