"""Which step a token belongs to: every token has one, and a line without tokens leaves its change to the next."""

import numpy as np

from linewise.credit.steps import line_steps, valued_steps
from tests.credit.conftest import rollout, scores

PIECES = ("\n    ", "a", " = 1", "\n\n    ", "b = 2", "\n    return a", "\n", "")
"""Lines 2, 2, 2, 4, 4, 5, 5 and the end; blank line 3 has no token of its own."""


def test_lines_without_a_token_are_no_steps() -> None:
    steps = line_steps(rollout(PIECES), {1, 2, 3, 4, 5})
    assert steps.lines == (2, 4, 5)
    assert steps.step_of_token.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]


def test_lines_that_are_no_steps_join_the_next_or_the_last() -> None:
    assert line_steps(rollout(PIECES), {4}).step_of_token.tolist() == [0] * 8
    assert line_steps(rollout(PIECES), {2, 4}).step_of_token.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert line_steps(rollout(PIECES), {5}).lines == (5,)


def test_prose_before_the_program_leads_to_its_first_line_and_the_fence_ends_its_last() -> None:
    pieces = ("Here: ", "```\n", "x = 1\n", "y = 2\n", "```", "")
    free = rollout(pieces, header="", program=(10, 22))
    assert free.program.source == "x = 1\ny = 2\n"
    steps = line_steps(free, {1, 2})
    assert steps.lines == (1, 2)
    assert steps.step_of_token.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_program_without_a_sampled_line_is_one_step() -> None:
    steps = line_steps(rollout(("", "")), {1, 2})
    assert steps.lines == () and steps.step_of_token.tolist() == [0, 0]
    assert steps.sums(np.array([1.0, 2.0])).tolist() == [3]


def test_sums_and_numbers_per_token() -> None:
    steps = line_steps(rollout(PIECES), {2, 4, 5})
    assert steps.sums(np.arange(8.0)).tolist() == [3, 7, 18]
    assert steps.per_token([0.5, 1, 2]).tolist() == [0.5, 0.5, 0.5, 1, 1, 2, 2, 2]


def test_a_line_without_tokens_leaves_its_change_to_the_next_step() -> None:
    """The value after line 3 would be a step of its own; line 4 takes the change from line 2 on."""
    given = scores(line_values={0: 0.1, 2: 0.2, 3: 0.9, 4: 0.4, 5: 0.8})
    valued = valued_steps(rollout(PIECES), given.line_values)
    assert valued.before.tolist() == [0.1, 0.2, 0.4]
    assert valued.values.tolist() == [0.2, 0.4, 0.8]
