"""Bootstrap intervals over tasks: another set of tasks of the same kind is what the reader cares about."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES = 9999
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over tasks with its interval."""

    mean: float
    low: float
    high: float
    num_tasks: int
    confidence: float = CONFIDENCE

    def __str__(self) -> str:
        """Example: `0.312 [0.250, 0.375]`."""
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


def bootstrap_mean(per_task: Sequence[float], *, seed: int = 0) -> Estimate:
    """Mean over tasks with a percentile bootstrap interval, resampling whole tasks.

    Programs of one task are not independent, so they are never resampled on their own. One task, or equal values, give
    an interval of width 0. Raises ValueError for no task.
    """
    values = np.asarray(per_task, dtype=np.float64)
    if values.size == 0:
        raise ValueError("no task was evaluated, so there is no mean")
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return Estimate(mean=mean, low=mean, high=mean, num_tasks=values.size)
    interval = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        batch=1000,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(mean=mean, low=float(interval.low), high=float(interval.high), num_tasks=values.size)
