r"""The beginnings of a sampled program, line by line, and how a policy goes on from one.

A prefix is continued on the sampled tokens, not on a second tokenisation: the model then stands where it stood when it
wrote the line. In most vocabularies a line end has no token of its own, so where the prefix is cut matters:

- `"x"`, `"\n    "`: the line end shares a token with the next line's indentation. The cut is *before* that token, so
  that the next line is free to be indented otherwise. Nothing but a line end may then follow (`Beginning.ends_line`);
  else the model could mend line m itself, `return a` becoming `return a + b`, and m would be called recoverable.
- `"):\n"`: the line end shares a token with the line. The cut is after the token.
- `")\n    return"`: no token ends where the line ends. The text up to the line's end is tokenised again. No vocabulary
  in use is known to have such tokens, since text is split at line ends before tokens are merged.
"""

from dataclasses import dataclass, replace

from linewise.rollout.lines import LINE_END, first_sampled_line, line_starts
from linewise.rollout.neutral import neutral_lines
from linewise.rollout.program import extract_program, is_complete
from linewise.types import Beginning, Completion, Program, Prompt


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The sampled lines of a program: the steps that are labelled.

    Lines of the header lie in the prompt and are no steps, nor is its last line where only a line end was sampled of
    it. Blank lines after the last line of code are none either.
    """

    first_line: int
    """1-based line of the program that is step 1."""
    ends: tuple[int, ...]
    """For each step, the offset in the completion's text at which its line ends, before the line end."""
    neutral: frozenset[int]
    """1-based steps that do nothing."""

    @property
    def num_lines(self) -> int:
        """T, the number of steps."""
        return len(self.ends)


def steps_of(program: Program) -> Steps:
    """The steps of a program; there are none where nothing but white space was sampled."""
    source, sampled = program.source, program.source[program.header_chars :]
    starts = line_starts(source)
    line_ends = [match.start() for match in LINE_END.finditer(source)] + [len(source)]
    first = first_sampled_line(program)
    last = sum(start < program.header_chars + len(sampled.rstrip()) for start in starts) if sampled.strip() else 0
    neutral = neutral_lines(source)
    lines = range(first, last + 1)
    return Steps(
        first_line=first,
        ends=tuple(line_ends[line - 1] - program.header_chars + program.start for line in lines),
        neutral=frozenset(line - first + 1 for line in lines if line in neutral),
    )


def begin_at(prompt: Prompt, completion: Completion, steps: Steps, step: int) -> Prompt:
    """The prompt whose answer has begun with steps 1 .. `step` of the completion, on the completion's own tokens.

    Blank lines at the end are left to the continuation, so that such a prefix is the same as the one before them. Where the
    prompt has begun already, the completion goes on from there.
    """
    while step > 1 and not completion.text[steps.ends[step - 2] : steps.ends[step - 1]].strip():
        step -= 1
    cut = steps.ends[step - 1]
    count = next(index for index, (_, end) in enumerate(completion.char_spans, start=1) if end >= cut)
    end = completion.char_spans[count - 1][1]
    over = completion.text[cut:end]
    token_ids: tuple[int, ...] | None = completion.token_ids[:count]
    if over and (over.strip() or over[-1] not in "\r\n"):
        token_ids, over = None, ""
    beginning = Beginning(text=completion.text[:cut] + over, token_ids=token_ids, ends_line=not over)
    return replace(prompt, begun=beginning if prompt.begun is None else _joined(prompt.begun, beginning))


def _joined(first: Beginning, second: Beginning) -> Beginning:
    known = first.token_ids is not None and second.token_ids is not None
    return Beginning(
        text=first.text + second.text,
        token_ids=(*first.token_ids, *second.token_ids) if known else None,  # type: ignore[misc]
        ends_line=second.ends_line,
    )


def is_continued(prompt: Prompt, text: str) -> bool:
    """Whether a continuation can end: its program is whole, or it has left the beginning's last line as it must not."""
    return strays(prompt, text) or is_complete(prompt, text)


def strays(prompt: Prompt, text: str) -> bool:
    """Whether a continuation writes on a line that was to be ended: it is then no continuation of those lines."""
    return prompt.begun is not None and prompt.begun.ends_line and text[:1] not in ("", "\r", "\n")


def continued_program(prompt: Prompt, text: str) -> str:
    """The program of the beginning and its continuation together."""
    return extract_program(prompt, text).source
