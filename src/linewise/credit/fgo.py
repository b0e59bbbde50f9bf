"""Fine-grained optimisation of StepCoder (Dou et al. 2024, arXiv:2402.01391, section 3.3): no loss on code that never ran.

    weight_t = 0 if the line of token t was not executed by any test, else the inner method's weight

What did not run had no part in the outcome, so its gradient is noise. The mask touches the loss alone: rewards, returns
and the ratios of whole sequences still see every token. The paper's inner method is PPO with the reward `coarse`.
Everything is kept, since nothing would be left to learn from, where

1. the program has a syntax error (else -1 would have no gradient),
2. nobody recorded lines (`LocalJudge(record_lines=True)`), or no sampled line is among those that ran.

What the paper leaves open: lines that hold nothing to run (comments, blank lines, a bare `else:`) were not executed, so they
are dropped; tokens outside the program (fence, end of sequence) are kept.

`ExecutionMask.RANDOM` is the control: as many tokens are dropped, drawn at random among the program's.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Generic, TypeVar

import numpy as np

from linewise.rollout.lines import Mask, token_lines
from linewise.types import Credit, CreditAssigner, Need, Rollout, ScoredGroup, Verdict

InnerT_co = TypeVar("InnerT_co", bound=CreditAssigner, covariant=True)


class ExecutionMask(StrEnum):
    """Which tokens keep their weight."""

    EXECUTED = "executed"
    """Those of lines that ran."""
    RANDOM = "random"
    """As many, at random: a control for what fewer tokens do by themselves."""


def executed_tokens(rollout: Rollout) -> Mask:
    """[T] True for the tokens of lines that ran, and outside the program; all True where that is not known."""
    lines, executed = token_lines(rollout.completion, rollout.program), rollout.report.executed_lines
    if executed is None or rollout.report.verdict is Verdict.SYNTAX_ERROR:
        return np.ones(len(lines), dtype=bool)
    ran = np.isin(lines, sorted(executed))
    return ran | (lines == 0) if ran.any() else np.ones(len(lines), dtype=bool)


def shuffled_tokens(rollout: Rollout, kept: Mask) -> Mask:
    """[T] a mask with as many True among the program's tokens as `kept` has, placed at random; a function of the tokens."""
    inside = np.flatnonzero(token_lines(rollout.completion, rollout.program))
    mask = kept.copy()
    mask[inside] = np.random.default_rng(rollout.completion.token_ids).permutation(kept[inside])
    return mask


@dataclass(frozen=True, kw_only=True)
class FGO(Generic[InnerT_co]):
    """The inner method's credit, with the weights of code that never ran set to 0."""

    inner: InnerT_co
    """What writes rewards and advantages: `PPO` in the paper, or any other."""
    mask: ExecutionMask = ExecutionMask.EXECUTED
    """Which tokens are kept."""

    @property
    def needs(self) -> frozenset[Need]:
        """The lines that ran, and what the inner method needs."""
        return self.inner.needs | {Need.EXECUTED_LINES}

    def __call__(self, group: ScoredGroup) -> list[Credit]:
        """The inner credits with their weights masked; all else is untouched."""
        return [
            replace(credit, weights=credit.weights * self._kept(rollout))
            for rollout, credit in zip(group.rollouts, self.inner(group), strict=True)
        ]

    def _kept(self, rollout: Rollout) -> Mask:
        kept = executed_tokens(rollout)
        return shuffled_tokens(rollout, kept) if self.mask is ExecutionMask.RANDOM else kept
