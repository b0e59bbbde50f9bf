"""Line values by Monte Carlo (VinePPO, Kazemnejad et al. 2024, arXiv:2410.01679, section 4.1).

    V(s_m) = (number of passing programs among K fresh completions of lines 1 .. m) / K

s_0 is the prompt alone. After the last line nothing is left to sample: that state's value is the outcome, 1 or 0. A prefix is
continued on its own sampled tokens; the states of all programs are completed in one batch and judged in another, and equal
prefixes share their completions: a group's programs share s_0, and every first line that two of them have in common.

Adaptive K (ours): with `first_chunk` < K a state whose first completions agree gets no more. That is cheaper, and no longer
unbiased: with k of K in the first chunk the bias is  (1 - k/K) p (1-p) (p^(k-1) - (1-p)^(k-1)),  0 at p = 1/2 and at most about
.06 for k = 3, K = 9. The default draws all K.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from linewise.prm.completer import Answer, Completer
from linewise.prm.prefix import begin_at, steps_of
from linewise.rollout.prompts import PromptOptions, build_prompt
from linewise.types import Judge, LineScore, Policy, Prompt, Rollout, Sampling, Task


@dataclass(frozen=True, kw_only=True)
class MonteCarloOptions:
    """How line values are estimated, for credit that reads them."""

    num_completions: int = 9
    """K, fresh completions of each state; the paper's number."""
    first_chunk: int = 9
    """Completions drawn first; the rest only where they disagree. K or more draws all at once, without bias."""

    def __post_init__(self) -> None:
        """Refuses numbers of completions from which nothing follows."""
        if self.num_completions < 1 or self.first_chunk < 1:
            raise ValueError(
                f"num_completions={self.num_completions} and first_chunk={self.first_chunk} must be at least 1."
            )


@dataclass(frozen=True, kw_only=True)
class Valuation:
    """Line values, and what they cost."""

    values: tuple[tuple[LineScore, ...], ...]
    """For each program, the value of the state before its first line (line 0) and after each line."""
    num_programs: int
    """Completions sampled."""
    num_tokens: int
    """Tokens sampled."""
    num_verdicts: int
    """Programs judged."""


@dataclass(frozen=True, kw_only=True)
class _State:
    """A state of one program, and the prompt that continues it."""

    line: int
    prompt: Prompt


@dataclass(frozen=True, kw_only=True)
class MonteCarloValues:
    """V of every line's state, from fresh completions of the policy."""

    policy: Policy
    judge: Judge
    options: MonteCarloOptions
    sampling: Sampling
    prompts: PromptOptions
    seed: int

    def __call__(
        self, rollouts: Sequence[Rollout], *, purpose: str, progress: Callable[[int], None] | None = None
    ) -> Valuation:
        """The values of each program's states, in order. Random numbers depend on the prefix and on `purpose` alone.

        Completions that the judge could not judge count for nothing; a state without one that it could has the value 0.
        """
        states = [self._states(rollout) for rollout in rollouts]
        tasks = {state.prompt: rollout.task for rollout, ours in zip(rollouts, states, strict=True) for state in ours}
        jobs = [(task, prompt) for prompt, task in tasks.items()]
        answers = dict(zip(tasks, self._answers(jobs, purpose, progress), strict=True))
        return Valuation(
            values=tuple(
                (
                    *(LineScore(line=state.line, score=pass_rate(answers[state.prompt])) for state in ours),
                    *last_line(rollout),
                )
                for rollout, ours in zip(rollouts, states, strict=True)
            ),
            num_programs=sum(answer.num_completions for answer in answers.values()),
            num_tokens=sum(answer.num_tokens for answer in answers.values()),
            num_verdicts=sum(answer.num_verdicts for answer in answers.values()),
        )

    def _states(self, rollout: Rollout) -> list[_State]:
        prompt = replace(build_prompt(rollout.task, self.policy, self.prompts), begun=rollout.begun)
        steps = steps_of(rollout.program)
        states = [_State(line=0, prompt=prompt)]
        for step in range(1, steps.num_lines):
            begun = begin_at(prompt, rollout.completion, steps, step)
            states.append(_State(line=steps.first_line + step - 1, prompt=begun))
        return states

    def _answers(
        self, jobs: Sequence[tuple[Task, Prompt]], purpose: str, progress: Callable[[int], None] | None
    ) -> list[Answer]:
        chunks = [min(self.options.first_chunk, self.options.num_completions)]
        chunks += [self.options.num_completions - chunks[0]] * (self.options.num_completions > chunks[0])
        answers = [Answer() for _ in jobs]
        for number, chunk in enumerate(chunks):
            places = [place for place, answer in enumerate(answers) if number == 0 or undecided(answer)]
            if not places:
                break
            completer = Completer(
                policy=self.policy,
                judge=self.judge,
                num_completions=chunk,
                first_chunk=chunk,
                sampling=self.sampling,
                seed=self.seed,
            )
            drawn = completer(
                [jobs[place] for place in places],
                purpose=f"{purpose}, part {number}",
                watch=lambda stage, _total: (
                    progress if progress is not None and stage.startswith("completing") else lambda _done: None
                ),
            )
            for place, answer in zip(places, drawn.answers, strict=True):
                answers[place] += answer
        return answers


def last_line(rollout: Rollout) -> tuple[LineScore, ...]:
    """The outcome as the value after the last line; nothing for a program without a sampled line."""
    steps = steps_of(rollout.program)
    if not steps.num_lines:
        return ()
    return (LineScore(line=steps.first_line + steps.num_lines - 1, score=float(rollout.report.passed)),)


def pass_rate(answer: Answer) -> float:
    """Share of the judged completions that passed, in [0, 1]; 0 where none was judged."""
    judged = answer.num_completions - answer.num_faults
    return answer.num_passed / judged if judged else 0.0


def undecided(answer: Answer) -> bool:
    """Whether some completions passed and some did not."""
    return 0 < answer.num_passed < answer.num_completions - answer.num_faults
