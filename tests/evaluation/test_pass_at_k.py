"""pass@k: numbers by hand, the definition by enumeration, and its limits."""

from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest

from linewise.evaluation.pass_at_k import pass_at_k


@pytest.mark.parametrize(
    ("num_samples", "num_passed", "k", "expected"),
    [
        (4, 1, 1, 1 / 4),
        (4, 1, 2, 1 / 2),  # 1 - C(3, 2) / C(4, 2) = 1 - 3/6
        (5, 2, 3, 9 / 10),  # 1 - C(3, 3) / C(5, 3) = 1 - 1/10
        (10, 3, 2, 8 / 15),  # 1 - C(7, 2) / C(10, 2) = 1 - 21/45
        (10, 8, 3, 1.0),  # only two fail, so three cannot all fail
        (7, 0, 7, 0.0),
        (7, 1, 7, 1.0),
        (1, 1, 1, 1.0),
        (1, 0, 1, 0.0),
    ],
)
def test_by_hand(num_samples: int, num_passed: int, k: int, expected: float) -> None:
    assert pass_at_k(num_samples, num_passed, k) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("num_samples", range(1, 8))
def test_it_is_the_mean_over_all_subsets_of_size_k(num_samples: int) -> None:
    for num_passed in range(num_samples + 1):
        programs = [True] * num_passed + [False] * (num_samples - num_passed)
        for k in range(1, num_samples + 1):
            subsets = [any(chosen) for chosen in combinations(programs, k)]
            expected = Fraction(sum(subsets), len(subsets))
            assert pass_at_k(num_samples, num_passed, k) == pytest.approx(float(expected), abs=1e-12)


def test_at_k_1_it_is_the_share_that_passed() -> None:
    for num_passed in range(21):
        assert pass_at_k(20, num_passed, 1) == pytest.approx(num_passed / 20, abs=1e-12)


def test_it_grows_with_k_and_with_what_passed() -> None:
    table = np.array([[pass_at_k(12, passed, k) for k in range(1, 13)] for passed in range(13)])
    assert (np.diff(table, axis=0) >= 0).all()
    assert (np.diff(table, axis=1) >= -1e-12).all()
    assert table.min() == 0
    assert table.max() == 1


def test_it_is_unbiased_where_the_plug_in_is_too_low() -> None:
    """Over Binomial(n, p) counts the mean is 1 - (1 - p)^k exactly; that of 1 - (1 - c/n)^k is smaller."""
    n, k, p = 10, 4, 0.3
    chances = [comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    truth = 1 - (1 - p) ** k
    assert sum(chance * pass_at_k(n, c, k) for c, chance in enumerate(chances)) == pytest.approx(truth, abs=1e-12)
    assert sum(chance * (1 - (1 - c / n) ** k) for c, chance in enumerate(chances)) < truth - 0.01


def test_large_counts_stay_exact() -> None:
    expected = 1 - Fraction(comb(99_990, 100), comb(100_000, 100))
    assert pass_at_k(100_000, 10, 100) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize(("num_samples", "k"), [(4, 5), (4, 0), (4, -1), (0, 1)])
def test_k_must_lie_between_1_and_the_samples(num_samples: int, k: int) -> None:
    with pytest.raises(ValueError, match=rf"pass@{k} needs .* there are {num_samples}.*--num-samples"):
        pass_at_k(num_samples, 0, k)


@pytest.mark.parametrize("num_passed", [-1, 5])
def test_no_more_can_pass_than_were_sampled(num_passed: int) -> None:
    with pytest.raises(ValueError, match=f"{num_passed} of 4 samples cannot have passed"):
        pass_at_k(4, num_passed, 1)
