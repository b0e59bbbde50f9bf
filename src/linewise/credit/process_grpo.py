"""Process supervision in GRPO (DeepSeekMath, Shao et al. 2024, arXiv:2402.03300, section 4.1.3), beside the outcome.

    A_it = A_i + weight * sum_(m: line m of program i ends at or after t) (r_im - mu) / (sd + eps)

A_i is GRPO's standardised outcome. r_im is a process reward model's score of line m; mu and sd are the mean and the
standard deviation of all scored lines of all programs of the group. Each part is standardised apart from the other, so
that neither's scale decides how much it says.

Degenerate cases: equal scores, a single scored line in the group, and none give a process part of exactly 0. So does what
comes after a program's last scored line. Where all programs pass, or none does, the process part alone is left.

Deviations:

1. The paper has either outcomes or process rewards. The sum is ours, in the spirit of process-supervision-guided policy
   optimisation (Dai et al., arXiv:2410.17621, section 3.3), and so is `weight`; with 0 it is GRPO exactly.
2. sd divides by n - 1, and eps: as in `credit/grpo.py`.
3. Steps are sampled lines that are not neutral (blank, comment, docstring), scores are clipped to [-1, 1], and where one
   token ends two lines it gets both: as in `credit/psgpo.py`.
4. **Nothing bounds the process part**, which PSGPO's 1/T and lambda do. Lines above the group's mean add up, so further
   lines of that kind pay, and a failing program may get more than a passing one. A small `weight` is the only remedy.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from linewise.credit.group import GroupBaseline, Returns, baselines
from linewise.credit.grpo import GRPO, inverse_deviation
from linewise.credit.psgpo import code_line_scores
from linewise.credit.reward import scores_of
from linewise.errors import UserError
from linewise.rollout.lines import line_end_tokens
from linewise.types import Credit, Floats, Group, Need, Rollout


def standardised(numbers: Returns, eps: float) -> Returns:
    """[n] (r - mu) / (sd + eps); zeros for equal numbers, for one and for none.

    Example: (1, 1, 1, -1), eps 0: mean 1/2, sd 1, so (1/2, 1/2, 1/2, -3/2).
    """
    if len(numbers) == 0:
        return numbers
    return (numbers - baselines(numbers, GroupBaseline.MEAN)) * inverse_deviation(numbers, eps)


def sum_to_go(rollout: Rollout, rewards: Mapping[int, float]) -> Floats:
    """[T] the sum of the rewards (1-based line -> reward) of the lines that end at a token or after it."""
    ends = {end.line: end.token for end in line_end_tokens(rollout.completion, rollout.program)}
    at_end = np.zeros(len(rollout.completion.token_ids), dtype=np.float64)
    for line, reward in rewards.items():
        assert line in ends, "a scored line has sampled characters"
        at_end[ends[line]] += reward
    return np.cumsum(at_end[::-1])[::-1].astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class ProcessGRPO:
    """GRPO's advantage plus the standardised scores of the lines to come."""

    grpo: GRPO = GRPO()
    """The outcome part; its eps serves the lines too."""
    weight: float = 0.25
    """Of the process part, which grows with the number of lines while the outcome part does not. Ours, and not tuned."""

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise UserError(
                f"weight is {self.weight}, but a negative one would pay for wrong lines; 0 leaves GRPO alone."
            )

    @property
    def needs(self) -> frozenset[Need]:
        """The scores of the lines, and what GRPO needs."""
        return self.grpo.needs | {Need.LINE_SCORES}

    def __call__(self, group: Group) -> list[Credit]:
        """A_it of each program; the terms are GRPO's (`outcome`, ...) and `process`. Rewards are the outcome's."""
        processes = self.process_parts(group)
        return [
            Credit(
                rewards=credit.rewards,
                advantages=credit.advantages + process,
                weights=credit.weights,
                terms={**credit.terms, "process": process},
            )
            for credit, process in zip(self.grpo(group), processes, strict=True)
        ]

    def process_parts(self, group: Group) -> list[Floats]:
        """[G] the weighted process part [T] of each program."""
        scored = [
            code_line_scores(rollout, scores) for rollout, scores in zip(group.rollouts, scores_of(group), strict=True)
        ]
        flat = np.array([score for lines in scored for score in lines.values()], dtype=np.float64)
        rewards = iter((self.weight * standardised(flat, self.grpo.eps)).tolist())
        return [
            sum_to_go(rollout, {line: next(rewards) for line in lines})
            for rollout, lines in zip(group.rollouts, scored, strict=True)
        ]
