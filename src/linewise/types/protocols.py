"""What the parts of Linewise ask of each other."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from linewise.errors import JudgeError
from linewise.types.completions import Completion, Prompt, Sampling
from linewise.types.credits import Credit, Need, ScoredGroup
from linewise.types.reports import Report
from linewise.types.tasks import Task


class Policy(Protocol):
    """Something that continues prompts."""

    @property
    def version(self) -> int:
        """Number of updates the weights have seen."""

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> str | None:
        """The messages in the model's chat template, ready for the assistant's answer; None without a template."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        num_samples: int,
        sampling: Sampling,
        seed: int,
        is_complete: Callable[[Prompt, str], bool],
        progress: Callable[[int], None] | None = None,
    ) -> list[list[Completion]]:
        """`num_samples` completions of each prompt, in order. A pure function of weights and arguments.

        `is_complete(prompt, text)` ends a completion with `PROGRAM_END` as soon as it says that its program is whole.
        A prompt with `begun` is continued on the very tokens of its beginning; `text` is what comes after them.
        `progress` is called with the number of completions finished since the last call.
        """


class Judge(Protocol):
    """Something that runs a program against the tests of a task."""

    def run(self, task: Task, program: str) -> Report:
        """Judge one program. Raises `JudgeError` where no verdict could be reached."""

    def run_many(self, programs: Iterable[tuple[Task, str]]) -> Iterator[Report | JudgeError]:
        """Judge programs on all workers and yield results in order; a fault of ours is yielded, not raised."""


class CreditAssigner(Protocol):
    """Turns the rollouts of one task into per-token credit; a pure function."""

    @property
    def needs(self) -> frozenset[Need]:
        """What it reads of the scores; all else may be None there."""

    def __call__(self, group: ScoredGroup) -> list[Credit]:
        """One credit for each rollout of the group, in order. An assigner without needs takes any `Group`."""
