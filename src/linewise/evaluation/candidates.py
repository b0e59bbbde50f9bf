"""Programs that are improved after they were sampled: where one can be cut, how it goes on, how it is shown for repair."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from linewise.errors import JudgeError
from linewise.prm.completer import with_stream
from linewise.rollout.program import extract_program
from linewise.types import Beginning, Completion, Floats, Program, Prompt, Report, StopReason, Task, Verdict


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A program, as an answer to the task's plain prompt."""

    completion: Completion
    program: Program
    report: Report | JudgeError | None = None
    """What the example tests said; None before they ran."""

    @property
    def passes(self) -> bool:
        """Whether the example tests ran and passed."""
        return isinstance(self.report, Report) and self.report.passed


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A prompt for one new program."""

    prompt: Prompt
    start: Completion | None = None
    """The beginning that it goes on from, which the prompt holds as `begun`; None for a program from scratch."""


def visible(task: Task) -> Task:
    """The task as it is known before it is scored: its example tests alone, and no reference."""
    return replace(task, tests=task.example_tests, reference=None)


def candidate(prompt: Prompt, completion: Completion) -> Candidate:
    """The program in a completion."""
    return Candidate(completion=completion, program=extract_program(prompt, completion.text))


def spread(asks: Sequence[Ask], count: int, purpose: str) -> list[Ask]:
    """`count` asks from a few, as evenly as can be, each with random numbers of its own.

    Example: 3 prompts and a count of 8 are asked 3, 3 and 2 times. Beyond `count` prompts the rest is left out.
    """
    shares = [count // len(asks) + (place < count % len(asks)) for place in range(len(asks))]
    repeated = [ask for ask, share in zip(asks, shares, strict=True) for _ in range(share)]
    return [replace(ask, prompt=with_stream(ask.prompt, f"{purpose}, {place}")) for place, ask in enumerate(repeated)]


def cuts_of(one: Candidate) -> list[int]:
    r"""Numbers of tokens after which a program can be cut: the last one wrote a character of it, and none behind it.

    Example: tokens `"\n return"`, `" 1"`, `"\n"` and one that ends the answer: 1, 2 and 3.
    """
    spans, program = one.completion.char_spans, one.program
    return [
        count for count, (begin, end) in enumerate(spans, start=1) if begin < end and program.start < end <= program.end
    ]


def num_program_tokens(one: Candidate) -> int:
    """Tokens up to the last place where the program can be cut; 0 where there is none."""
    return max(cuts_of(one), default=0)


def best_cut(one: Candidate, prefixes: Floats) -> int:
    """Number of tokens of the beginning with the highest p(pass | w_1..t), the shortest of equal ones; 0 without a cut.

    Example: p = .2, .7, .4, .9, of which the last token ends the answer and wrote nothing: 2 tokens are kept.
    """
    cuts = cuts_of(one)
    return cuts[int(np.argmax(prefixes[[count - 1 for count in cuts]]))] if cuts else 0


def begin_at(prompt: Prompt, one: Candidate, count: int) -> Ask:
    """The prompt, to go on from the first `count` tokens of a program."""
    if not count:
        return Ask(prompt=prompt)
    whole = one.completion
    start = replace(
        whole,
        token_ids=whole.token_ids[:count],
        logprobs=whole.logprobs[:count],
        char_spans=whole.char_spans[:count],
        text=whole.text[: whole.char_spans[count - 1][1]],
    )
    begun = Beginning(text=start.text, token_ids=start.token_ids, ends_line=False)
    return Ask(prompt=replace(prompt, begun=begun), start=start)


def joined(ask: Ask, answer: Completion, prompt_ids: tuple[int, ...], limit: int) -> Completion:
    """The answer, after the beginning that it went on from, as a completion of the plain prompt, cut after `limit` tokens."""
    if ask.start is None:
        return replace(answer, prompt_ids=prompt_ids)
    start, shift = ask.start, len(ask.start.text)
    spans = start.char_spans + tuple((begin + shift, end + shift) for begin, end in answer.char_spans)
    num_tokens = len(spans)
    return replace(
        answer,
        prompt_ids=prompt_ids,
        token_ids=(start.token_ids + answer.token_ids)[:limit],
        logprobs=(start.logprobs + answer.logprobs)[:limit],
        char_spans=spans[:limit],
        text=(start.text + answer.text)[: spans[:limit][-1][1]],
        stop_reason=answer.stop_reason if num_tokens <= limit else StopReason.LENGTH,
    )


def repair_task(task: Task, failed: Candidate) -> Task:
    """The task with a failed program, its outcome and its error type after its words."""
    assert isinstance(failed.report, Report), "a program that nobody could judge has no outcome"
    source = failed.program.source
    if failed.program.header_chars and task.signature is not None:
        # The header may repeat the task's words in a docstring.
        source = task.signature + source[failed.program.header_chars :]
    words = f"{task.prompt.rstrip()}\n\nThis program {fate(failed.report)}:\n\n{source.strip()}\n\nWrite it correctly."
    return replace(task, prompt=words)


def fate(report: Report) -> str:
    """The outcome of a failed program and the type of its error, in words."""
    error = report.error
    if error is None:
        return "gives a wrong result"
    kind = error.exception or str(error.verdict).replace("_", " ")
    return f"does not compile ({kind})" if error.verdict is Verdict.SYNTAX_ERROR else f"stops with an error ({kind})"
