"""Resets of the reference policy on a plateau (ProRL, arXiv:2505.24864, section 3; Scaling Up RL, arXiv:2507.12507).

With a penalty beta KL(pi || ref), the optimum for the reward r is

    pi*(y) = ref(y) exp(r(y) / beta) / Z

so training stops at a distance from the reference that the penalty sets. A reset makes the current policy the reference,
ref <- pi, and forgets the optimiser's moments. After k resets, each made at the optimum, the reference is

    ref_k(y) = ref_0(y) exp(k r(y) / beta) / Z_k

and the optimum is what it will be after one more. A reset is due where the training pass rate no longer grows:

    mean(p_{t-w+1} .. p_t) - mean(p_{t-2w+1} .. p_{t-w}) <= tolerance

with w steps in each window; after a reset both windows begin anew.

Deviations. 1: the paper resets when validation stagnates or falls, by hand; here it is the pass rate of the programs that are
trained on, by the rule above. 2: the learning rate's warm-up is not repeated. 3: samples in the buffer, whose log-probabilities
are those of the old reference, are dropped.
"""

from dataclasses import dataclass, replace

import numpy as np

from linewise.rollout.buffer import Buffer
from linewise.training.config import ResetOptions


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """The training pass rates since the last reset, as far as they are compared; a value."""

    rates: tuple[float, ...] = ()
    """At most two windows of them, oldest first."""
    num_resets: int = 0

    def after(self, rate: float, options: ResetOptions) -> "Plateau":
        """With the rate of one more step; `num_resets` is one higher where a reset is due."""
        if not options.window:
            return self
        rates = (*self.rates, rate)[-2 * options.window :]
        if len(rates) < 2 * options.window:
            return replace(self, rates=rates)
        growth = float(np.mean(rates[options.window :]) - np.mean(rates[: options.window]))
        if growth > options.tolerance:
            return replace(self, rates=rates)
        return Plateau(num_resets=self.num_resets + 1)


def without_entries(buffer: Buffer) -> Buffer:
    """The buffer emptied; its samples count as stale."""
    return replace(buffer, entries=(), num_stale=buffer.num_stale + len(buffer.entries))
