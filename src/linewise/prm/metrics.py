"""How good line scores are, against line labels of programs that were not trained on. Torch-free.

The labels of a program read +1 ... +1 -1 ... -1, neutral lines (0) in between. Sign, first error line and AUC speak of
non-neutral lines only; the squared error speaks of all.

So the place of a line tells much about its label, and a model that has learned nothing but the place looks good beside chance.
Therefore each number stands beside what the place i / n of a line, the i-th (from 0) of n, can reach by itself. Its rules are
fitted to the very programs that are measured, which favours it a little where they are few.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

NUM_BINS = 10


@dataclass(frozen=True, kw_only=True)
class ScoredProgram:
    """Scores and labels of a program's lines, side by side, in the order of the lines."""

    scores: tuple[float, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """Non-neutral lines whose clipped score lies in [low, high); the last bin holds 1 as well."""

    low: float
    high: float
    count: int
    score: float
    """Mean clipped score; the middle of an empty bin."""
    recoverable: float
    """Share of lines labelled +1; NaN for an empty bin. Calibrated scores R give (R + 1) / 2."""


@dataclass(frozen=True, kw_only=True)
class PrmMetrics:
    """Held-out quality. A share of nothing is NaN."""

    loss: float
    """Mean of (R - l)^2 over all lines, scores not clipped."""
    loss_of_mean: float
    """The same for a model that gives every line the mean label: the loss to beat."""
    sign_accuracy: float
    """Share of non-neutral lines with (R > 0) = (l > 0)."""
    place_accuracy: float
    """The same for the best rule "+1 before place c, -1 from there on", always one sign among them: the accuracy to beat."""
    first_error_top1: float
    """Share of programs with an error whose first -1 line comes first in `rank_by_fit`."""
    first_error_top3: float
    """The same for the first three lines."""
    place_top1: float
    """The same where the most frequent index of the first -1 line is named for every program."""
    place_top3: float
    """The same for the three most frequent ones."""
    auc: float
    """P(score of a +1 line > score of a -1 line), ties counting half."""
    place_auc: float
    """The same for the score -i / n."""
    calibration_error: float
    """Mean over lines of |share of +1 - (mean score + 1) / 2| of their bin."""
    num_programs: int
    num_lines: int
    """Non-neutral lines."""
    num_errors: int
    """Programs with a -1 line."""

    def to_record(self, prefix: str = "") -> dict[str, Any]:
        """Flat JSON form; NaN becomes None."""
        return {
            prefix + name: None if isinstance(value, float) and np.isnan(value) else value
            for name, value in asdict(self).items()
        }


def rank_by_fit(scores: Sequence[float]) -> list[int]:
    """Indices of lines, the likeliest first error first: by the sum of the scores *before* the line, the largest first.

    If line m is the first error the labels read +1 before it and -1 from it on. Of the squared error of such labels,
    sum_(i<m) (R_i - 1)^2 + sum_(i>=m) (R_i + 1)^2, only -4 sum_(i<m) R_i depends on m: this is the order of the least-squares
    fit. It does not change when all scores are shrunk, as those of a model that has just begun to learn are. Ties keep
    the order of the lines. Example: scores .9, .8, -.5, -.9 have 0, .9, 1.7, 1.2 before them: order 2, 3, 1, 0.
    """
    before = np.cumsum([0.0, *scores])[:-1] if len(scores) else np.zeros(0)
    order: list[int] = np.argsort(-before, kind="stable").tolist()
    return order


def first_error_rank(scores: Sequence[float], labels: Sequence[int]) -> int | None:
    """Place (from 0) of the first -1 line in `rank_by_fit` of the non-neutral lines; None without a -1."""
    kept = [(score, label) for score, label in zip(scores, labels, strict=True) if label != 0]
    first = next((index for index, (_, label) in enumerate(kept) if label < 0), None)
    return None if first is None else rank_by_fit([score for score, _ in kept]).index(first)


def auc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """P(score of a positive > score of a negative) by ranks, ties half (Mann and Whitney); NaN without both signs."""
    labels = np.asarray(labels)
    ranks = stats.rankdata(scores)
    positive, negative = int((labels > 0).sum()), int((labels < 0).sum())
    if positive == 0 or negative == 0:
        return float("nan")
    return float((ranks[labels > 0].sum() - positive * (positive + 1) / 2) / (positive * negative))


def calibration(programs: Sequence[ScoredProgram], num_bins: int = NUM_BINS) -> list[CalibrationBin]:
    """Bins of equal width over the clipped scores of non-neutral lines, with the share of recoverable lines in each."""
    scores, labels = _decided(programs)
    scores = scores.clip(-1, 1)
    edges = np.linspace(-1, 1, num_bins + 1)
    places = np.minimum(np.searchsorted(edges, scores, side="right") - 1, num_bins - 1)
    bins = []
    for index in range(num_bins):
        inside = places == index
        low, high = float(edges[index]), float(edges[index + 1])
        count = int(inside.sum())
        bins.append(
            CalibrationBin(
                low=low,
                high=high,
                count=count,
                score=float(scores[inside].mean()) if count else (low + high) / 2,
                recoverable=float((labels[inside] > 0).mean()) if count else float("nan"),
            )
        )
    return bins


def calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Mean over lines of |share of +1 - (mean score + 1) / 2| of their bin; NaN without lines."""
    total = sum(one.count for one in bins)
    gaps = sum(one.count * abs(one.recoverable - (one.score + 1) / 2) for one in bins if one.count)
    return gaps / total if total else float("nan")


def places(programs: Sequence[ScoredProgram]) -> npt.NDArray[np.float64]:
    """The place i / n of every non-neutral line, the i-th (from 0) of its program's n, in the order of the lines."""
    counts = [sum(label != 0 for label in one.labels) for one in programs]
    return np.array([index / count for count in counts for index in range(count)], dtype=np.float64)


def best_cut_accuracy(places: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    """Greatest share of labels with (place < c) = (label > 0) over all c; NaN without labels.

    Example: places 0, .5, 0, .5 with labels +1, -1, -1, -1 give 3/4, by c = 0 (all -1) or c = .5.
    """
    if not labels.size:
        return float("nan")
    return max(_mean((places < cut) == (labels > 0)) for cut in [*np.unique(places), np.inf])


def most_frequent_share(indices: Sequence[int], count: int) -> float:
    """Share of the indices that are among the `count` most frequent ones; NaN without any. Example: 1, 1, 2, 5 and 1: 1/2."""
    return sum(number for _, number in Counter(indices).most_common(count)) / len(indices) if indices else float("nan")


def measure(programs: Sequence[ScoredProgram]) -> PrmMetrics:
    """All numbers of `PrmMetrics`."""
    all_scores = np.array([score for program in programs for score in program.scores], dtype=np.float64)
    all_labels = np.array([label for program in programs for label in program.labels], dtype=np.float64)
    scores, labels = _decided(programs)
    ranks = [rank for one in programs if (rank := first_error_rank(one.scores, one.labels)) is not None]
    firsts = [[label for label in one.labels if label].index(-1) for one in programs if -1 in one.labels]
    by_place = places(programs)
    return PrmMetrics(
        loss=_mean((all_scores - all_labels) ** 2),
        loss_of_mean=float(all_labels.var()) if all_labels.size else float("nan"),
        sign_accuracy=_mean((scores > 0) == (labels > 0)),
        place_accuracy=best_cut_accuracy(by_place, labels),
        first_error_top1=_mean([rank < 1 for rank in ranks]),
        first_error_top3=_mean([rank < 3 for rank in ranks]),
        place_top1=most_frequent_share(firsts, 1),
        place_top3=most_frequent_share(firsts, 3),
        auc=auc(scores, labels),
        place_auc=auc(-by_place, labels),
        calibration_error=calibration_error(calibration(programs)),
        num_programs=len(programs),
        num_lines=len(labels),
        num_errors=len(ranks),
    )


def _decided(programs: Sequence[ScoredProgram]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Scores and labels of all non-neutral lines."""
    pairs = [
        (score, label) for one in programs for score, label in zip(one.scores, one.labels, strict=True) if label != 0
    ]
    return np.array([score for score, _ in pairs], dtype=np.float64), np.array([label for _, label in pairs], dtype=int)


def _mean(values: npt.ArrayLike) -> float:
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()) if array.size else float("nan")
