"""The dense line reward of arXiv 2410.17621: worked numbers, the margin between right and wrong, and the known hacks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewise.credit.ppo import PPO
from linewise.credit.psgpo import PSGPO, LineRewardForm, form_rewards
from linewise.credit.reward import TokenReward
from linewise.errors import UserError
from linewise.types import Need
from tests.credit.conftest import floats, group, rollout, scores

# Tokens end lines 2 (token 2), 3 and 4 (tokens 4 and 6). The line end of the header is in token 0, that of line 2 in token 3.
PIECES = ("\n    ", "a", " = 1", "\n    ", "b = 2", "\n    ", "return a", "")
FORMS = list(LineRewardForm)


def line_total(
    lines: dict[int, float], *, pieces: tuple[str, ...] = PIECES, passed: bool = False, assign: PSGPO | None = None
) -> float:
    """What the lines add to a program's reward."""
    part = (assign or PSGPO()).line_part(rollout(pieces, passed), scores(lines=lines))
    return float(part.sum(dtype=np.float64))


def padded(body: list[tuple[str, float]]) -> tuple[tuple[str, ...], dict[int, float]]:
    """A token for each line of a body, and the scores of lines 2, 3, ..."""
    return tuple(f"\n    {text}" for text, _ in body), dict(enumerate((score for _, score in body), start=2))


@pytest.mark.parametrize(
    ("form", "rewards"),
    [
        (LineRewardForm.PLAIN, [1 / 3, -1 / 6, -1 / 3]),
        (LineRewardForm.DIFFERENCE, [1, -1.5, -0.5]),
        (LineRewardForm.MINIMUM, [1, -1.5, -0.5]),
        (LineRewardForm.FIRST_ERROR, [0, -0.5, 0]),
    ],
)
def test_forms_by_hand(form: LineRewardForm, rewards: list[float]) -> None:
    np.testing.assert_allclose(form_rewards(np.array([1, -0.5, -1]), form, num_lines=3), rewards)
    assert len(form_rewards(np.array([]), form, num_lines=0)) == 0


def test_minimum_and_difference_differ_where_the_score_recovers() -> None:
    recovering = np.array([0.5, -1, 1])
    np.testing.assert_allclose(form_rewards(recovering, LineRewardForm.DIFFERENCE, num_lines=3), [0.5, -1.5, 2])
    np.testing.assert_allclose(form_rewards(recovering, LineRewardForm.MINIMUM, num_lines=3), [0.5, -1.5, 0])


def test_rewards_stand_at_the_tokens_that_end_the_lines() -> None:
    """A failing program: .25 * (1, -.5, -1) / 3. The newline of line 2 is in the first token of line 3."""
    scored = scores(lines={2: 1, 3: -0.5, 4: -1}, values=[0] * 8)
    (credit,) = PSGPO(ppo=PPO(gae_lambda=1))(group(rollout(PIECES, False), scored=[scored]))
    expected = [0, 0, 0, 0.25 / 3, 0, -0.125 / 3, -0.25 / 3, 0]
    np.testing.assert_allclose(credit.rewards, expected, rtol=1e-6)
    np.testing.assert_allclose(credit.advantages, np.cumsum(expected[::-1])[::-1], atol=1e-7)
    np.testing.assert_allclose(credit.advantages, sum(credit.terms.values()), atol=1e-6)
    assert set(credit.terms) == {"outcome", "lines", "values"}


def test_a_passing_program_weighs_its_lines_by_a_tenth() -> None:
    assert line_total({2: 1, 3: 1, 4: 1}, passed=True) == pytest.approx(0.025)
    assert line_total({2: 1, 3: 1, 4: 1}, passed=False) == pytest.approx(0.25)


def test_one_token_that_ends_two_lines_earns_both() -> None:
    part = PSGPO().line_part(rollout(("\n    a = 1\n    b = 2", "\n"), False), scores(lines={2: 1, 3: -1}))
    np.testing.assert_allclose(part, [0.125, -0.125])
    both = PSGPO().line_part(rollout(("\n    a = 1\n    b = 2\n", ""), False), scores(lines={2: 1, 3: 0.5}))
    np.testing.assert_allclose(both, [0.1875, 0])


def test_lines_of_the_header_earn_nothing() -> None:
    """The scorer reads the header's line at the token that holds its line end; it was not sampled."""
    assert line_total({1: 1, 2: -1, 3: -1, 4: -1}) == pytest.approx(-0.25)


def test_needs() -> None:
    assert PSGPO().needs == {Need.VALUES, Need.LINE_SCORES}
    assert PSGPO(ppo=PPO(reward=TokenReward(kl_coef=0.1))).needs == {Need.VALUES, Need.LINE_SCORES, Need.REF_LOGPROBS}
    with pytest.raises(UserError, match="pay for wrong lines"):
        PSGPO(failing_weight=-0.1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("passed", [True, False])
def test_zero_scores_are_sparse_ppo_exactly(form: LineRewardForm, passed: bool) -> None:
    values = [0.3, -0.2, 0.1, 0.7, 0.4, 0.9, 0.6, 0.05]
    one = group(rollout(PIECES, passed), scored=[scores(lines={2: 0, 3: 0, 4: 0}, values=values)])
    (dense,), (sparse,) = PSGPO(form=form)(one), PPO()(one)
    for name in ("rewards", "advantages", "weights", "returns"):
        np.testing.assert_array_equal(getattr(dense, name), getattr(sparse, name))


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.booleans(), st.sampled_from(FORMS), st.booleans())
def test_a_failing_program_never_earns_what_a_passing_one_does(
    numbers: list[float], passed: bool, form: LineRewardForm, count_neutral: bool
) -> None:
    """Whatever the model says, beyond [-1, 1] too: at most .25 against at least .975."""
    scored = scores(lines=dict(enumerate(numbers, start=2)), values=[0] * 8)
    assign = PSGPO(form=form, count_neutral=count_neutral)
    (credit,) = assign(group(rollout(PIECES, passed), scored=[scored]))
    earned = float(credit.rewards.sum(dtype=np.float64))
    low, high = (0.975, 1.025) if passed else (-0.25, 0.25)
    assert low - 1e-6 <= earned <= high + 1e-6


# What a policy could write to earn more without being right. The first body fails with a mean score below 0.

BODY = [("a = f()", 0.5), ("b = a / 0", -1.0), ("return b", -1.0)]
NEUTRAL = ["# a comment", "", '"""A docstring."""', "    # indented", "'text'"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("padding", NEUTRAL)
def test_neutral_lines_earn_nothing_and_dilute_nothing(form: LineRewardForm, place: int, padding: str) -> None:
    """Even where the model loves them."""
    pieces, lines = padded(BODY)
    more_pieces, more_lines = padded([*BODY[:place], *[(padding, 1.0)] * 3, *BODY[place:]])
    assign = PSGPO(form=form)
    before, after = (
        line_total(lines, pieces=pieces, assign=assign),
        line_total(more_lines, pieces=more_pieces, assign=assign),
    )
    assert before < 0
    assert after == pytest.approx(before)


def test_counting_neutral_lines_pays_for_comments() -> None:
    """The paper's T: three comments take a failing program from -.25/2 to -.25/4."""
    pieces, lines = padded(BODY)
    more_pieces, more_lines = padded([("# c", 0.0)] * 3 + BODY)
    paper = PSGPO(count_neutral=True)
    assert line_total(lines, pieces=pieces, assign=paper) == pytest.approx(-0.25 / 2)
    assert line_total(more_lines, pieces=more_pieces, assign=paper) == pytest.approx(-0.25 / 4)


def test_safe_lines_before_the_bug_pay_under_the_plain_form() -> None:
    """The hole that the paper's form has and that stands in the documentation: (-1) is -.25, (+1, -1) is 0."""
    assert line_total({2: -1.0}, pieces=("\n    return x",)) == pytest.approx(-0.25)
    pieces, lines = padded([("a = 0", 1.0), ("return x", -1.0)])
    assert line_total(lines, pieces=pieces) == pytest.approx(0)


@pytest.mark.parametrize("form", FORMS[1:])
@pytest.mark.parametrize("place", range(2))
def test_the_other_forms_do_not_pay_for_safe_lines(form: LineRewardForm, place: int) -> None:
    """Safe lines keep the prefix as recoverable as it was: +1 before the bug."""
    pieces, lines = padded(BODY)
    more_pieces, more_lines = padded([*BODY[:place], *[("pass", 1.0)] * 5, *BODY[place:]])
    assign = PSGPO(form=form)
    before = line_total(lines, pieces=pieces, assign=assign)
    assert before == pytest.approx(-0.25)
    assert line_total(more_lines, pieces=more_pieces, assign=assign) <= before + 1e-7


@pytest.mark.parametrize("form", FORMS)
def test_lines_after_the_bug_never_pay(form: LineRewardForm) -> None:
    """After the bug nothing is recoverable, so a right model scores every further line -1."""
    pieces, lines = padded(BODY)
    more_pieces, more_lines = padded([*BODY, *[("c = 1", -1.0)] * 5])
    assign = PSGPO(form=form)
    assert (
        line_total(more_lines, pieces=more_pieces, assign=assign)
        <= line_total(lines, pieces=pieces, assign=assign) + 1e-7
    )


def test_repeating_lines_cannot_beat_the_divisor() -> None:
    """Raw line scores made the paper's policy write more lines: ten good lines earn what one does."""
    one, ten = padded([("a = 1", 1.0)]), padded([("a = 1", 1.0)] * 10)
    assert line_total(one[1], pieces=one[0]) == pytest.approx(line_total(ten[1], pieces=ten[0])) == pytest.approx(0.25)


def test_a_program_without_a_scored_line() -> None:
    part = PSGPO().line_part(rollout(("",), False), scores(lines={}))
    np.testing.assert_array_equal(part, floats(0))
