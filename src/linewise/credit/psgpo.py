"""The dense reward of process-supervision-guided policy optimisation (Dai et al., arXiv:2410.17621, section 3.3), in PPO.

    r_t = 1[t last] * R(W) + sum_m 1[t = end of line m] * lambda * r_m - kl_coef * kl_t,      A = GAE(r, V)

    r_m = R_phi(x, y^(1..m)) / T        lambda = 0.25 where the program fails, 0.025 where it passes

R_phi is a process reward model's score in [-1, 1] (clipped here), T the number of the program's lines. lambda depends on
the outcome, so rewards are assembled after the run. Whatever the scores, the lines add at most lambda to a program's
reward: without the KL a failing program earns at most .25 and a passing one at least .975 (`R(W)` 0 or 1).

Against reward hacking the paper divides by T and has the model score comments 0. Here, moreover:

1. A neutral line (blank, comment, docstring: `rollout.neutral`) earns exactly 0, whatever the model says of it.
2. T counts the other lines only. With `count_neutral` it counts all, as the paper's does: comments then dilute the
   negative mean of a failing program, so writing them pays.
3. **What still pays under the defaults**: lines of code that do no harm, written *before* the first wrong one, raise the
   mean of a failing program (scores (-1): -.25; scores (+1, -1): 0). The other forms have no such hole, since their sum
   does not depend on how many lines are right. With R_0 = 0 and over the lines that are not neutral:

| form | r_m | sum over lines |
|---|---|---|
| plain | R_m / T | the mean score |
| difference | R_m - R_(m-1) | the last score |
| minimum | min(R_1 .. R_m) - min(R_1 .. R_(m-1)), R_1 at line 1 | the least score |
| first error | R_m at the first line with R_m < 0, else 0 | that score, or 0 |

4. Lines of the prompt earn nothing, nor does a header's last line where only its line end was sampled. Where one token
   ends two lines, it earns the rewards of both.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from linewise.credit.ppo import PPO
from linewise.credit.reward import scores_of
from linewise.errors import UserError
from linewise.rollout.lines import first_sampled_line, line_end_tokens
from linewise.rollout.neutral import neutral_lines
from linewise.types import Credit, Floats, Group, Need, Rollout, Scores


class LineRewardForm(StrEnum):
    """How the scores of a program's lines become their rewards."""

    PLAIN = "plain"
    """The score over the number of lines: the paper's."""
    DIFFERENCE = "difference"
    """The change of the score."""
    MINIMUM = "minimum"
    """The fall of the least score so far."""
    FIRST_ERROR = "first_error"
    """The score of the first line that has a negative one, and nothing else."""


def form_rewards(scores: npt.NDArray[np.float64], form: LineRewardForm, *, num_lines: int) -> npt.NDArray[np.float64]:
    """[K] r_m from the scores [K] of a program's lines that are not neutral; `num_lines` is T of the plain form.

    The absolute value of their sum is at most 1 for scores in [-1, 1]. Example: scores (1, -.5, -1), T 3: plain
    (1/3, -1/6, -1/3), difference (1, -1.5, -.5), minimum (1, -1.5, -.5), first error (0, -.5, 0).
    """
    match form:
        case LineRewardForm.PLAIN:
            return scores / max(num_lines, 1)
        case LineRewardForm.DIFFERENCE:
            return np.diff(scores, prepend=0.0)
        case LineRewardForm.MINIMUM:
            return np.diff(np.minimum.accumulate(scores), prepend=0.0)
        case LineRewardForm.FIRST_ERROR:
            rewards = np.zeros_like(scores)
            first = np.flatnonzero(scores < 0)[:1]
            rewards[first] = scores[first]
            return rewards


def code_line_scores(rollout: Rollout, scores: Scores) -> dict[int, float]:
    """1-based line -> R_m, clipped to [-1, 1], of the sampled lines that are not neutral, in their order."""
    assert scores.line_scores is not None, "the scores of the lines were asked for"
    first, neutral = first_sampled_line(rollout.program), neutral_lines(rollout.program.source)
    scored = {one.line: one.score for one in scores.line_scores}
    return {line: min(max(scored[line], -1.0), 1.0) for line in sorted(scored) if line >= first and line not in neutral}


@dataclass(frozen=True, kw_only=True)
class PSGPO:
    """PPO with a reward for every line."""

    ppo: PPO = PPO()
    """Outcome, KL and GAE; with scores 0 the credit is exactly this one's."""
    failing_weight: float = 0.25
    """lambda of a program that fails a test."""
    passing_weight: float = 0.025
    """lambda of a program that passes all."""
    form: LineRewardForm = LineRewardForm.PLAIN
    """How scores become rewards."""
    count_neutral: bool = False
    """Whether T counts neutral lines; they pay nothing either way."""

    def __post_init__(self) -> None:
        if min(self.failing_weight, self.passing_weight) < 0:
            raise UserError(
                f"failing_weight is {self.failing_weight} and passing_weight {self.passing_weight}, but a negative one "
                "would pay for wrong lines; 0 switches the line rewards off."
            )

    @property
    def needs(self) -> frozenset[Need]:
        """The scores of the lines, and what PPO needs."""
        return self.ppo.needs | {Need.LINE_SCORES}

    def __call__(self, group: Group) -> list[Credit]:
        """PPO's credit with the part `lines` in the reward."""
        return [
            self.ppo.credit(
                {**self.ppo.reward.parts(rollout, scores), "lines": self.line_part(rollout, scores)}, scores
            )
            for rollout, scores in zip(group.rollouts, scores_of(group), strict=True)
        ]

    def line_part(self, rollout: Rollout, scores: Scores) -> Floats:
        """[T] lambda * r_m at the token that ends line m, 0 elsewhere."""
        weight = self.passing_weight if rollout.report.passed else self.failing_weight
        ends = {end.line: end.token for end in line_end_tokens(rollout.completion, rollout.program)}
        part = np.zeros(len(rollout.completion.token_ids), dtype=np.float64)
        for line, reward in self._line_rewards(rollout, scores).items():
            assert line in ends, "a scored line has sampled characters"
            part[ends[line]] += weight * reward
        assert abs(part.sum()) <= weight + 1e-9, "the lines of a program add at most lambda"
        return part.astype(np.float32)

    def _line_rewards(self, rollout: Rollout, scores: Scores) -> dict[int, float]:
        """1-based line -> r_m, of the sampled lines that are not neutral."""
        scored = code_line_scores(rollout, scores)
        num_lines = self._num_sampled_lines(rollout, scores) if self.count_neutral else len(scored)
        rewards = form_rewards(np.array([*scored.values()], dtype=np.float64), self.form, num_lines=num_lines)
        return dict(zip(scored, rewards.tolist(), strict=True))

    def _num_sampled_lines(self, rollout: Rollout, scores: Scores) -> int:
        first = first_sampled_line(rollout.program)
        return sum(one.line >= first for one in scores.line_scores or ())
