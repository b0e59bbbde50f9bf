"""The held-out numbers, worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewise.prm.metrics import (
    ScoredProgram,
    auc,
    calibration,
    calibration_error,
    first_error_rank,
    measure,
    places,
    rank_by_fit,
)


def scored(scores: list[float], labels: list[int]) -> ScoredProgram:
    return ScoredProgram(scores=tuple(scores), labels=tuple(labels))


def test_the_best_fit_comes_first() -> None:
    assert rank_by_fit([0.9, 0.8, -0.5, -0.9]) == [2, 3, 1, 0]
    assert rank_by_fit([-1.0, -1.0]) == [0, 1], "a first line can be the error"
    assert rank_by_fit([1.0, 1.0, 1.0]) == [2, 1, 0], "if there is an error at all, it is late"
    assert rank_by_fit([0.0, 0.0]) == [0, 1], "ties keep the order of the lines"
    assert rank_by_fit([]) == []


@given(scores=st.lists(st.integers(-8, 8).map(lambda value: value / 8), min_size=1, max_size=6))
def test_the_order_is_that_of_the_squared_error(scores: list[float]) -> None:
    labels = [[1] * first + [-1] * (len(scores) - first) for first in range(len(scores))]
    errors = [sum((score - label) ** 2 for score, label in zip(scores, ours, strict=True)) for ours in labels]
    assert rank_by_fit(scores) == sorted(range(len(scores)), key=lambda first: (errors[first], first))
    assert rank_by_fit([score / 16 for score in scores]) == rank_by_fit(scores), "shrunk scores, same order"


def test_the_lowest_score_would_miss_the_first_error() -> None:
    scores, labels = [0.9, -0.6, -0.8], [1, -1, -1]
    assert int(np.argmin(scores)) == 2
    assert first_error_rank(scores, labels) == 0


def test_neutral_lines_are_no_candidates() -> None:
    # With the neutral line's score of .3 before them, two lines would lie before the error.
    assert first_error_rank([0.8, -0.5, 0.3, -0.5], [1, -1, 0, -1]) == 0
    assert first_error_rank([0.8, 0.0], [1, 0]) is None


def test_all_numbers_by_hand() -> None:
    programs = [
        scored([0.8, 0.5, -0.5], [1, 0, -1]),  # signs right, .8 before the error, 0 before line 1: rank 0
        scored([0.5, -0.25, 0.25, -1.0], [1, 1, -1, -1]),  # two signs wrong; 0, .5, .25, .5 before: the error is third
        scored([1.0], [1]),
    ]
    metrics = measure(programs)
    errors = [0.04, 0.25, 0.25, 0.25, 1.5625, 1.5625, 0.0, 0.0]
    assert metrics.loss == pytest.approx(sum(errors) / 8)
    labels = np.array([1, 0, -1, 1, 1, -1, -1, 1])
    assert metrics.loss_of_mean == pytest.approx(labels.var())
    assert metrics.sign_accuracy == pytest.approx(5 / 7)
    # Places 0, 1/2; 0, 1/4, 2/4, 3/4; 0 with labels + -; + + - -; +: cut at 1/2, all seven are right.
    assert metrics.place_accuracy == 1
    assert metrics.first_error_top1 == pytest.approx(1 / 2)
    assert metrics.first_error_top3 == pytest.approx(1)
    assert metrics.place_top1 == pytest.approx(1 / 2), "the first errors are at 1 and 2"
    assert metrics.place_top3 == 1
    # Of 4 x 3 pairs (positives .8 .5 -.25 1, negatives -.5 .25 -1) only -.25 against .25 is in the wrong order.
    assert metrics.auc == pytest.approx(11 / 12)
    # Places of the positives 0 0 1/4 0, of the negatives 1/2 2/4 3/4: all pairs are in order.
    assert metrics.place_auc == 1
    assert (metrics.num_programs, metrics.num_lines, metrics.num_errors) == (3, 7, 2)


def test_what_the_place_alone_can_reach() -> None:
    programs = [scored([0.0] * 2, [1, -1]), scored([0.0] * 2, [-1, -1]), scored([0.0, 0.0, 0.0], [1, 0, 1])]
    assert places(programs).tolist() == [0, 0.5, 0, 0.5, 0, 0.5]
    metrics = measure(programs)
    # Labels + - - - + +: a cut at 1/2 gives + - + - + -, four of six right; always one sign gives three.
    assert metrics.place_accuracy == pytest.approx(4 / 6)
    assert metrics.place_top1 == pytest.approx(1 / 2), "at 1 and at 0"
    # Places of the positives 0 0 1/2, of the negatives 1/2 0 1/2: 2 + 2 wins, and ties 1 + 1 + 2.
    assert metrics.place_auc == pytest.approx((4 + 4 / 2) / 9)
    assert metrics.auc == 0.5


def test_always_one_sign_is_a_cut() -> None:
    metrics = measure([scored([0.0] * 3, [-1, -1, -1]), scored([0.0], [1])])
    assert metrics.place_accuracy == pytest.approx(3 / 4)


def test_a_model_that_knows_the_place_alone_beats_no_number() -> None:
    rng = np.random.default_rng(0)
    programs = []
    for _ in range(50):
        count = int(rng.integers(1, 9))
        first = int(rng.integers(0, count + 1))
        scores = [1 - 2 * index / count for index in range(count)]
        programs.append(scored(scores, [1] * first + [-1] * (count - first)))
    metrics = measure(programs)
    assert metrics.auc == pytest.approx(metrics.place_auc)
    assert metrics.auc > 0.6, "and yet it looks good beside chance"
    assert metrics.sign_accuracy <= metrics.place_accuracy


def test_nothing_gives_nan_and_no_error() -> None:
    metrics = measure([scored([0.3], [0])])
    assert metrics.loss == pytest.approx(0.09)
    assert all(math.isnan(value) for value in (metrics.sign_accuracy, metrics.first_error_top1, metrics.auc))
    record = metrics.to_record("heldout/")
    assert record["heldout/auc"] is None
    assert record["heldout/num_lines"] == 0


def test_auc_by_hand() -> None:
    assert auc([0.1, 0.2], [-1, 1]) == 1
    assert auc([0.2, 0.1], [-1, 1]) == 0
    assert auc([0.1, 0.1], [-1, 1]) == 0.5
    assert math.isnan(auc([0.1, 0.2], [1, 1]))


@given(
    pairs=st.lists(
        st.tuples(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), st.sampled_from([-1, 1])), min_size=2, max_size=12
    )
)
def test_auc_counts_pairs(pairs: list[tuple[float, int]]) -> None:
    up = [score for score, label in pairs if label > 0]
    down = [score for score, label in pairs if label < 0]
    if not up or not down:
        return
    wins = sum((one > other) + (one == other) / 2 for one in up for other in down)
    assert auc([score for score, _ in pairs], [label for _, label in pairs]) == pytest.approx(
        wins / len(up) / len(down)
    )


def test_calibration_by_hand() -> None:
    # Two bins, [-1, 0) and [0, 1]. Scores are clipped; a neutral line counts nowhere; 1 belongs to the last bin.
    programs = [scored([-2.0, -0.5, 0.0, 0.5, 1.0], [-1, 1, 0, 1, 1])]
    low, high = calibration(programs, num_bins=2)
    assert (low.low, low.high, low.count, low.score, low.recoverable) == (-1, 0, 2, -0.75, 0.5)
    assert (high.low, high.high, high.count, high.score, high.recoverable) == (0, 1, 2, 0.75, 1.0)
    # Gaps |.5 - .125| and |1 - .875|, two lines each.
    assert calibration_error([low, high]) == pytest.approx((0.375 + 0.125) / 2)


def test_empty_bins() -> None:
    bins = calibration([scored([0.95], [1])])
    assert [one.count for one in bins] == [0] * 9 + [1]
    assert math.isnan(bins[0].recoverable)
    assert bins[0].score == pytest.approx(-0.9)
    assert calibration_error(bins) == pytest.approx(1 - 0.975)
    assert math.isnan(calibration_error(calibration([])))


def test_scores_that_are_calibrated_have_no_error() -> None:
    programs = [scored([0.5] * 4, [1, 1, 1, -1]), scored([-0.5] * 4, [-1, -1, 1, -1])]
    assert calibration_error(calibration(programs)) == pytest.approx(0)
