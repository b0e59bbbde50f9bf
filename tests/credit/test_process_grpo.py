"""Process supervision in GRPO: worked numbers, what it is equal to, and the hole that it has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewise.credit.grpo import GRPO
from linewise.credit.process_grpo import ProcessGRPO, standardised, sum_to_go
from linewise.credit.reward import TokenReward
from linewise.errors import UserError
from linewise.types import KlEstimator, Need, Scores
from tests.credit.conftest import group, rollout, scores

# Tokens 3, 5 and 6 end lines 2, 3 and 4: the line ends of lines 2 and 3 are in the first tokens of the lines after them.
PIECES = ("\n    ", "a", " = 1", "\n    ", "b = 2", "\n    ", "return a", "")
SHORT = ("\n    return 1", "")
EXACT = GRPO(eps=0)


def process(*programs: tuple[tuple[str, ...], dict[int, float]], weight: float = 1.0) -> list[list[float]]:
    """The process parts of a group of programs, each with the scores of its lines."""
    rollouts, scored = zip(*[(rollout(pieces), scores(lines=lines)) for pieces, lines in programs], strict=True)
    parts = ProcessGRPO(grpo=EXACT, weight=weight).process_parts(group(*rollouts, scored=scored))
    return [part.tolist() for part in parts]


def test_standardised_by_hand() -> None:
    np.testing.assert_allclose(standardised(np.array([1.0, 1, 1, -1]), 0), [0.5, 0.5, 0.5, -1.5])
    np.testing.assert_array_equal(standardised(np.array([0.1] * 3), 0.5), [0, 0, 0])
    np.testing.assert_array_equal(standardised(np.array([0.3]), 0.5), [0])
    assert len(standardised(np.array([]), 0.5)) == 0


def test_a_line_counts_at_its_tokens_and_at_all_before() -> None:
    part = sum_to_go(rollout(PIECES), {2: 1.0, 3: -3.0, 4: 0.5})
    np.testing.assert_array_equal(part, [-1.5, -1.5, -1.5, -1.5, -2.5, -2.5, 0.5, 0])


def test_by_hand() -> None:
    """One of two passes: +-.5 / sqrt(1/2). Lines (1, 1, -1) and (1), over the group (.5, .5, -1.5) and (.5); weight .5."""
    assign = ProcessGRPO(grpo=EXACT, weight=0.5)
    scored = [scores(lines={2: 1, 3: 1, 4: -1}), scores(lines={2: 1})]
    failed, passed = assign(group(rollout(PIECES, False), rollout(SHORT, True), scored=scored))
    outcome, expected = 0.5**0.5, [-0.25] * 4 + [-0.5, -0.5, -0.75, 0]
    np.testing.assert_allclose(failed.terms["process"], expected, rtol=1e-6)
    np.testing.assert_allclose(failed.advantages, np.array(expected) - outcome, rtol=1e-6)
    np.testing.assert_allclose(passed.advantages, [outcome + 0.25, outcome], rtol=1e-6)
    assert set(failed.terms) == {"outcome", "process"}
    np.testing.assert_array_equal(passed.rewards, [0, 1])


def test_neutral_lines_and_lines_of_the_header_are_left_out() -> None:
    """Whatever the model says of them; beyond [-1, 1] its scores are clipped."""
    padded = ("\n    # c", *PIECES)
    (plain, _), (more, _) = (
        process((PIECES, {2: 1, 3: 1, 4: -1}), (SHORT, {2: 1})),
        process((padded, {1: -1, 2: -1, 3: 5, 4: 1, 5: -7}), (SHORT, {2: 1})),
    )
    assert more == [plain[0], *plain]


def test_weight_nothing_is_grpo_exactly() -> None:
    grpo = GRPO(reward=TokenReward(kl_coef=0.1, kl_estimator=KlEstimator.K2))
    scored = [
        Scores(ref_logprobs=np.full(8, -0.5, dtype=np.float32), line_scores=scores(lines=lines).line_scores)
        for lines in ({2: 1.0, 3: -0.3}, {2: 0.2, 4: -1.0})
    ]
    one = group(rollout(PIECES, False), rollout(PIECES, True), scored=scored)
    for credit, plain in zip(ProcessGRPO(grpo=grpo, weight=0)(one), grpo(one), strict=True):
        for name in ("rewards", "advantages", "weights"):
            np.testing.assert_array_equal(getattr(credit, name), getattr(plain, name))
        assert {*credit.terms} == {*plain.terms, "process"}


@pytest.mark.parametrize("lines", [[{2: 0.1, 3: 0.1, 4: 0.1}, {2: 0.1}], [{}, {2: -0.4}], [{}, {}]])
def test_scores_that_tell_nothing_apart_are_grpo_exactly(lines: list[dict[int, float]]) -> None:
    one = group(rollout(PIECES, False), rollout(SHORT, True), scored=[scores(lines=numbers) for numbers in lines])
    for credit, plain in zip(ProcessGRPO()(one), GRPO()(one), strict=True):
        np.testing.assert_array_equal(credit.advantages, plain.advantages)


@given(st.lists(st.floats(-1, 1), min_size=6, max_size=6), st.floats(0.1, 0.5), st.floats(-0.4, 0.4))
def test_scale_and_origin_of_the_scores_do_not_matter(numbers: list[float], scale: float, origin: float) -> None:
    """In exact arithmetic. Scores that differ by next to nothing are left to eps."""
    numbers = [round(number, 2) for number in numbers]

    def parts(values: list[float]) -> list[list[float]]:
        return process(*[(PIECES, dict(enumerate(values[begin : begin + 3], start=2))) for begin in (0, 3)])

    if len(set(numbers)) > 1:
        np.testing.assert_allclose(parts([scale * number + origin for number in numbers]), parts(numbers), atol=1e-4)


def test_terms_sum_and_the_lines_of_a_group_sum_to_nothing() -> None:
    scored = [scores(lines={2: 0.9, 3: -0.2, 4: 0.3}), scores(lines={2: -0.7})]
    credits = ProcessGRPO()(group(rollout(PIECES, True), rollout(SHORT, False), scored=scored))
    for credit in credits:
        np.testing.assert_allclose(credit.advantages, sum(credit.terms.values()), atol=1e-6)
    # Before the first line's end all lines of a program are to come.
    assert sum(float(credit.terms["process"][0]) for credit in credits) == pytest.approx(0, abs=1e-6)


def test_further_lines_above_the_mean_pay() -> None:
    """The hole that stands in the documentation: nothing divides by the number of lines."""

    def first(num_safe: int) -> float:
        pieces = ("\n    a = 1",) * num_safe + ("\n    return 1",)
        return process((pieces, dict.fromkeys(range(2, num_safe + 2), 1.0)), (SHORT, {2: -1.0}))[0][0]

    assert first(4) > first(2) > first(1) > 0


def test_needs() -> None:
    assert ProcessGRPO().needs == {Need.LINE_SCORES}
    assert ProcessGRPO(grpo=GRPO(reward=TokenReward(kl_coef=0.1))).needs == {Need.LINE_SCORES, Need.REF_LOGPROBS}
    with pytest.raises(UserError, match="pay for wrong lines"):
        ProcessGRPO(weight=-1)
