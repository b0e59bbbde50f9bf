"""Completing prefixes: is any of K completions of a prefix a program that passes all tests?"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from linewise.errors import JudgeError
from linewise.prm.prefix import continued_program, is_continued, strays
from linewise.types import Completion, Judge, Policy, Prompt, Report, Sampling, Task

Watch = Callable[[str, int], Callable[[int], None]]
"""Told that a stage with so many pieces of work begins; gives a function that is told how many more are done."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the completions of one prefix said, and what they cost."""

    num_completions: int = 0
    num_passed: int = 0
    num_tokens: int = 0
    """Tokens sampled."""
    num_verdicts: int = 0
    """Programs judged; equal programs of one batch are judged once and counted where they first occur."""
    num_strays: int = 0
    """Completions that wrote on a line that they had to end; they pass for none. 0 with policies that can be told."""
    num_faults: int = 0
    """Completions that the judge could not judge; they pass for none."""

    def __add__(self, other: "Answer") -> "Answer":
        return Answer(**{name: value + getattr(other, name) for name, value in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Round:
    """The answers to one batch of prefixes."""

    answers: tuple[Answer, ...]
    seconds_generate: float
    seconds_judge: float


@dataclass(frozen=True, kw_only=True)
class Completer:
    """Draws and judges completions of many prefixes at once.

    The completions of a prefix are drawn in chunks: `first_chunk` of them, and where none passes the rest. With
    `first_chunk >= num_completions` there is one batch for generation and one for the judge.
    """

    policy: Policy
    judge: Judge
    num_completions: int
    """K."""
    first_chunk: int
    sampling: Sampling
    seed: int

    def __call__(self, jobs: Sequence[tuple[Task, Prompt]], *, purpose: str, watch: Watch) -> Round:
        """One answer for each prefix, in order. The random numbers depend on the prefix and on `purpose` alone."""
        answers = [Answer() for _ in jobs]
        seconds_generate = seconds_judge = 0.0
        chunks = [min(self.first_chunk, self.num_completions)]
        chunks += [self.num_completions - chunks[0]] * (self.num_completions > chunks[0])
        for number, chunk in enumerate(chunks):
            places = [place for place, answer in enumerate(answers) if not answer.num_passed]
            if not places:
                break
            asked = [jobs[place] for place in places]
            started = time.perf_counter()
            drawn = self._generate(asked, chunk, f"{purpose}, chunk {number}", watch)
            sampled = time.perf_counter()
            for place, answer in zip(places, self._judge(asked, drawn, watch), strict=True):
                answers[place] += answer
            seconds_generate += sampled - started
            seconds_judge += time.perf_counter() - sampled
        return Round(answers=tuple(answers), seconds_generate=seconds_generate, seconds_judge=seconds_judge)

    def _generate(
        self, jobs: Sequence[tuple[Task, Prompt]], num_samples: int, purpose: str, watch: Watch
    ) -> list[list[Completion]]:
        return self.policy.generate(
            [with_stream(prompt, purpose) for _, prompt in jobs],
            num_samples=num_samples,
            sampling=self.sampling,
            seed=self.seed,
            is_complete=is_continued,
            progress=watch("completing prefixes", len(jobs) * num_samples),
        )

    def _judge(
        self, jobs: Sequence[tuple[Task, Prompt]], drawn: Sequence[Sequence[Completion]], watch: Watch
    ) -> list[Answer]:
        sources = [
            [None if strays(prompt, one.text) else continued_program(prompt, one.text) for one in completions]
            for (_, prompt), completions in zip(jobs, drawn, strict=True)
        ]
        programs = {
            (task.id, source): task
            for (task, _), ours in zip(jobs, sources, strict=True)
            for source in ours
            if source is not None
        }
        advance = watch("judging", len(programs))
        reports: dict[tuple[str, str], Report | JudgeError] = {}
        results = self.judge.run_many((task, source) for (_, source), task in programs.items())
        for key, report in zip(programs, results, strict=True):
            reports[key] = report
            advance(1)
        answers = []
        counted: set[tuple[str, str]] = set()
        for (task, _), completions, ours in zip(jobs, drawn, sources, strict=True):
            keys = [(task.id, source) for source in ours if source is not None]
            verdicts = [reports[key] for key in keys]
            answers.append(
                Answer(
                    num_completions=len(completions),
                    num_passed=sum(isinstance(report, Report) and report.passed for report in verdicts),
                    num_tokens=sum(len(one.token_ids) for one in completions),
                    num_verdicts=len(set(keys) - counted),
                    num_strays=len(completions) - len(keys),
                    num_faults=sum(isinstance(report, JudgeError) for report in verdicts),
                )
            )
            counted.update(keys)
        return answers


def with_stream(prompt: Prompt, purpose: str) -> Prompt:
    """The prompt with random numbers that depend on its task, its text, its beginning and `purpose`, never on its place."""
    begun = None if prompt.begun is None else (prompt.begun.text, prompt.begun.token_ids)
    digest = hashlib.sha256(json.dumps([prompt.task_id, prompt.text, begun, purpose]).encode()).digest()
    return Prompt(**{**vars(prompt), "stream": int.from_bytes(digest[:8], "big")})
