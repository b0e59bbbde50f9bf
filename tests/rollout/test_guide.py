"""Answers that begin with lines of the reference: where they are cut, what is judged, and who is blamed."""

import json
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from linewise.credit.rltf import fine_term
from linewise.errors import JudgeError
from linewise.policy import ScriptedPolicy
from linewise.prm.prefix import begin_at, continued_program, is_continued, steps_of
from linewise.rollout.collect import collect
from linewise.rollout.guide import Guide
from linewise.rollout.lines import first_sampled_line, line_end_tokens, program_tokens, token_lines
from linewise.rollout.program import extract_program, is_complete
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.rollout.records import sample_from_record, sample_to_record
from linewise.types import (
    Beginning,
    CallTest,
    Credit,
    Group,
    Outcome,
    Prompt,
    Report,
    Sample,
    Sampling,
    Task,
    Verdict,
)

TEXT = "\n    b = a\n    if b:\n        b = 2\n    return b"
TASK = Task(id="t", prompt="Do it.", tests=(CallTest(call="f(1)", expected="2"),), signature="def f(a):")
HEADER = 'def f(a):\n    """Do it."""'


def guide_of(*pieces: str) -> Guide:
    """A guide whose tokens are these pieces."""
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    spans = tuple(zip([0, *ends[:-1]], ends, strict=True))
    return Guide(text="".join(pieces), token_ids=tuple(range(10, 10 + len(pieces))), char_spans=spans)


def test_a_guide_is_cut_at_the_end_of_a_line_where_tokens_are_characters() -> None:
    guide = guide_of(*TEXT)
    assert guide.num_lines == 4
    assert [guide.begin(count).text for count in (1, 2, 3)] == [  # type: ignore[union-attr]
        "\n    b = a\n",
        "\n    b = a\n    if b:\n",
        "\n    b = a\n    if b:\n        b = 2\n",
    ]
    assert guide.begin(2) == Beginning(text=TEXT[:21], token_ids=tuple(range(10, 31)), ends_line=False)
    assert guide.begin(0) is None
    assert guide.begin(4) == guide.begin(99) == guide.begin(3), "one line is left to write"


def test_a_token_that_ends_a_line_gives_the_next_indentation_but_never_code() -> None:
    merged = guide_of(
        "\n   ", " b", " =", " a", "\n   ", " if", " b", ":", "\n       ", " b", " = 2", "\n   ", " return b"
    )
    assert merged.text == TEXT
    assert merged.begin(1) == Beginning(text="\n    b = a\n   ", token_ids=(10, 11, 12, 13, 14), ends_line=False)
    assert merged.begin(3) == Beginning(text=TEXT[:-9], token_ids=tuple(range(10, 22)), ends_line=False)
    torn = guide_of("\n    b =", " a\n    if", " b:", "\n        b = 2", "\n    return b")
    assert torn.begin(1) == Beginning(text="\n    b =", token_ids=(10,), ends_line=False), (
        "`if` is for the policy to write"
    )
    assert guide_of("\n    b = a\n    return", " b").begin(1) is None


@pytest.mark.parametrize(
    ("prompt", "rest", "source", "sampled"),
    [
        # A function whose header stands in the prompt ends at the first line at column 0.
        (
            Prompt(task_id="t", text=HEADER, header=HEADER),
            "    return 2\nf(1)",
            HEADER + "{}    return 2\n",
            "    return 2\n",
        ),
        # A fence ends it too.
        (
            Prompt(task_id="t", text="```python\n" + HEADER, header=HEADER, fenced=True),
            "    return 2\n```\nDone",
            HEADER + "{}    return 2\n",
            "    return 2\n",
        ),
        # A free answer is a whole program, of which the beginning is a part.
        (Prompt(task_id="t", text="# Do it"), "    return 2\n", "{}    return 2\n", "    return 2\n"),
    ],
)
def test_the_program_is_the_beginning_and_its_continuation(
    prompt: Prompt, rest: str, source: str, sampled: str
) -> None:
    given = "\n    b = a\n" if prompt.header else "\ndef f(a):\n    b = a\n"
    begun = Prompt(**{**vars(prompt), "begun": Beginning(text=given, token_ids=None, ends_line=False)})
    program = extract_program(begun, rest)
    assert program.source == source.format(given)
    assert program.source[program.header_chars :] == rest[program.start : program.end] == sampled
    assert program.header_chars == len(prompt.header) + len(given)
    whole = extract_program(prompt, given + rest)
    assert program.source == whole.source
    for place in range(1, len(rest) + 1):
        assert is_complete(begun, rest[:place]) == is_complete(prompt, given + rest[:place])


def test_a_beginning_outside_the_code_block_is_no_program() -> None:
    prompt = Prompt(task_id="t", text="Q", begun=Beginning(text="Here:\n", token_ids=None, ends_line=False))
    program = extract_program(prompt, "```python\ndef f(a):\n    return a\n```\nDone.")
    assert program.source == "def f(a):\n    return a\n"
    assert (program.header_chars, program.start) == (0, 10)


class LineJudge:
    """Fails with an error on a line, and keeps what it has run."""

    def __init__(self, line: int | None) -> None:
        self.line = line
        self.sources: list[str] = []

    def run(self, task: Task, program: str) -> Report:
        """An error on the line, or a pass."""
        self.sources.append(program)
        if self.line is None:
            return Report(outcomes=(Outcome(verdict=Verdict.PASSED),))
        return Report(
            outcomes=(Outcome(verdict=Verdict.RUNTIME_ERROR, exception="NameError", line=self.line, message=""),)
        )

    def run_many(self, programs: Iterable[tuple[Task, str]]) -> Iterator[Report | JudgeError]:
        """Verdicts one by one."""
        yield from (self.run(*one) for one in programs)


def guided(answer: str, judge: LineJudge, num_lines: int = 2) -> Group:
    """A group of one program, begun with lines of the reference."""
    (group,) = collect(
        ScriptedPolicy(answers=lambda _prompt: [answer]),
        judge,
        [TASK],
        num_samples=1,
        sampling=Sampling(max_new_tokens=100),
        seed=0,
        prompts=PromptOptions(style=PromptStyle.COMPLETION),
        begun=[guide_of(*TEXT).begin(num_lines)],
    ).groups
    return group


def test_what_is_given_is_judged_and_bears_no_token() -> None:
    judge = LineJudge(None)
    (rollout,) = guided("        b = 3\n    return b\n", judge).rollouts
    given = HEADER + "\n    b = a\n    if b:\n"
    assert judge.sources == [rollout.program.source] == [given + "        b = 3\n    return b\n"]
    assert rollout.completion.prompt_ids == tuple(map(ord, given)), "what the policy saw"
    assert rollout.completion.text == "        b = 3\n    return b\n", "what it wrote, and nothing else"
    assert rollout.program.header_chars == len(given)
    # Lines 1 and 2 are the header's, 3 and 4 the guide's.
    lines = token_lines(rollout.completion, rollout.program)
    assert lines.tolist() == [5] * 14 + [6] * 13 + [0], "the last token ends the answer"
    assert first_sampled_line(rollout.program) == 5
    assert [end.line for end in line_end_tokens(rollout.completion, rollout.program)] == [5, 6]
    assert program_tokens(rollout.completion, rollout.program).sum() == len(rollout.completion.text)


@pytest.mark.parametrize(("line", "blamed"), [(3, 0), (4, 0), (5, 14), (6, 13)])
def test_an_error_in_what_is_given_blames_no_token(line: int, blamed: int) -> None:
    (rollout,) = guided("        b = 3\n    return b\n", LineJudge(line)).rollouts
    assert (fine_term(rollout) != 0).sum() == blamed


def test_a_prefix_of_a_guided_program_begins_with_the_guide() -> None:
    (rollout,) = guided("        b = 3\n    return b\n", LineJudge(None)).rollouts
    prompt = Prompt(task_id="t", text=HEADER, header=HEADER, begun=rollout.begun)
    steps = steps_of(rollout.program)
    assert (steps.first_line, steps.num_lines) == (5, 2)
    state = begin_at(prompt, rollout.completion, steps, 1)
    assert state.begun is not None
    assert state.begun.text == "\n    b = a\n    if b:\n        b = 3"
    assert state.begun.token_ids == (*range(10, 31), *map(ord, "        b = 3"))
    assert state.begun.ends_line
    assert continued_program(state, "\n    return 0\nprint()") == (
        HEADER + "\n    b = a\n    if b:\n        b = 3\n    return 0\n"
    )
    assert is_continued(state, "\n    return 0\np")
    assert not is_continued(state, "\n    return 0\n")


def test_records_keep_what_was_given_and_say_nothing_where_nothing_was() -> None:
    for num_lines in (2, 0):
        (rollout,) = guided("    return b\n", LineJudge(None), num_lines).rollouts
        ones = np.ones(len(rollout.completion.token_ids), dtype=np.float32)
        sample = Sample(rollout=rollout, credit=Credit(rewards=ones, advantages=ones, weights=ones, terms={}))
        record = json.loads(json.dumps(sample_to_record(sample)))
        assert ("begun" in record) == bool(num_lines)
        assert sample_from_record(record, {"t": TASK}).rollout == rollout
