"""Bootstrap intervals against distributions that can be worked out exactly."""

import numpy as np
import pytest
from scipy import stats

from linewise.evaluation.intervals import CONFIDENCE, Estimate, bootstrap_mean


@pytest.mark.parametrize(
    ("per_task", "low", "high"),
    [
        # The mean of two resamples is 0, 1/2 or 1 with chances 1/4, 1/2, 1/4: both tails are heavier than 2.5 %.
        ([0.0, 1.0], 0.0, 1.0),
        # 4 * mean ~ Binomial(4, 1/4): P(0) = 0.316, P(<= 2) = 0.949, P(<= 3) = 0.996.
        ([0.0, 0.0, 0.0, 1.0], 0.0, 0.75),
        # The mirror image.
        ([1.0, 1.0, 1.0, 0.0], 0.25, 1.0),
    ],
)
def test_by_hand(per_task: list[float], low: float, high: float) -> None:
    estimate = bootstrap_mean(per_task)
    assert estimate.mean == pytest.approx(np.mean(per_task), abs=1e-12)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-12)
    assert estimate.num_tasks == len(per_task)
    assert estimate.confidence == CONFIDENCE == 0.95


def test_of_tasks_that_pass_or_fail_it_is_the_binomial_quantile() -> None:
    num_tasks, num_passed = 50, 15
    estimate = bootstrap_mean([1.0] * num_passed + [0.0] * (num_tasks - num_passed))
    low, high = stats.binom.ppf([0.025, 0.975], num_tasks, num_passed / num_tasks) / num_tasks
    assert estimate.low == pytest.approx(low, abs=0.021), "one task of fifty, for the resampling is random"
    assert estimate.high == pytest.approx(high, abs=0.021)


def test_its_width_falls_with_the_root_of_the_number_of_tasks() -> None:
    values = np.random.default_rng(0).uniform(size=100)
    few, many = bootstrap_mean(values), bootstrap_mean(np.tile(values, 4))
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(2.0, rel=0.06)
    spread = 2 * 1.96 * values.std() / 10
    assert few.high - few.low == pytest.approx(spread, rel=0.06)


@pytest.mark.parametrize("per_task", [[0.25], [0.5, 0.5, 0.5], [0.0, 0.0]])
def test_one_task_or_equal_values_have_width_0(per_task: list[float]) -> None:
    estimate = bootstrap_mean(per_task)
    assert estimate.low == estimate.mean == estimate.high == per_task[0]
    assert estimate.num_tasks == len(per_task)


def test_same_values_same_interval_and_the_seed_decides() -> None:
    values = np.random.default_rng(1).uniform(size=30)
    assert bootstrap_mean(values) == bootstrap_mean(values)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


def test_the_global_generator_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr]
    bootstrap_mean([0.0, 1.0, 0.5])
    assert (np.random.get_state()[1] == before).all()  # type: ignore[union-attr]


def test_no_task_has_no_mean() -> None:
    with pytest.raises(ValueError, match="no task was evaluated"):
        bootstrap_mean([])


def test_as_text() -> None:
    assert str(Estimate(mean=0.3125, low=0.25, high=0.375, num_tasks=4)) == "0.312 [0.250, 0.375]"


@pytest.mark.parametrize(
    ("low", "high", "excludes"),
    [(0.01, 0.2, True), (-0.2, -0.01, True), (-0.1, 0.1, False), (0.0, 0.1, False), (-0.1, 0.0, False)],
)
def test_excludes_zero(low: float, high: float, excludes: bool) -> None:
    assert Estimate(mean=(low + high) / 2, low=low, high=high, num_tasks=3).excludes_zero is excludes
