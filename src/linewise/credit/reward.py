"""What a program earns, and where: the reward that the policy-gradient methods share.

    r_t = 1[t last] * R(W) - kl_coef * kl_t

The outcome R(W) of the whole program stands at its last token, as in RLHF (Ouyang et al. 2022, arXiv:2203.02155, section
3.5), and the cost of leaving the reference policy at each token. It is the sum of named parts, so that credit can say
what came from where.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from linewise.credit.kl import kl_cost
from linewise.credit.rltf import coarse_reward
from linewise.errors import UserError
from linewise.types import Floats, Group, KlEstimator, Need, Report, Rollout, ScoredGroup, Scores

Parts = Mapping[str, Floats]
"""name -> [T]: parts of a rollout's per-token rewards."""


class OutcomeReward(StrEnum):
    """R(W), the reward of a whole program by its report."""

    PASSED = "passed"
    """1 if every test passes, else 0."""
    SIGNED = "signed"
    """1 if every test passes, else -1."""
    PASS_RATE = "pass_rate"
    """The fraction of tests that pass, in [0, 1]."""
    COARSE = "coarse"
    """+1 all tests pass, -0.3 a test fails, -0.6 a runtime error, -1 a syntax error: the numbers of CodeRL
    (arXiv:2207.01780), RLTF (arXiv:2307.04349) and StepCoder (arXiv:2402.01391) alike."""


def outcome_reward(report: Report, reward: OutcomeReward) -> float:
    """R(W). Example: 2 of 4 tests passed and the others failed: 0, -1, 0.5 and -0.3."""
    match reward:
        case OutcomeReward.PASSED:
            return float(report.passed)
        case OutcomeReward.SIGNED:
            return 1.0 if report.passed else -1.0
        case OutcomeReward.PASS_RATE:
            return report.pass_rate
        case OutcomeReward.COARSE:
            return coarse_reward(report)


@dataclass(frozen=True, kw_only=True)
class TokenReward:
    """Per-token rewards: the outcome at the last token, and the KL cost where it has a coefficient."""

    outcome: OutcomeReward = OutcomeReward.PASSED
    """R(W)."""
    kl_coef: float = 0.0
    """beta, the price of a nat of KL to the reference policy; 0 asks for no reference."""
    kl_estimator: KlEstimator = KlEstimator.K1
    """How the KL is estimated at a token; with k1 the gradient is that of KL(pi || ref)."""

    def __post_init__(self) -> None:
        if self.kl_coef < 0:
            raise UserError(f"kl_coef is {self.kl_coef}, but a cost is not negative; 0 switches it off.")

    @property
    def needs(self) -> frozenset[Need]:
        """The reference's log-probabilities where the KL has a price."""
        return frozenset((Need.REF_LOGPROBS,)) if self.kl_coef > 0 else frozenset()

    def parts(self, rollout: Rollout, scores: Scores) -> dict[str, Floats]:
        """The parts `outcome` and, where it has a price, `kl` of one rollout's rewards.

        The KL speaks of `old_logprobs`, or of the sampler's own log-probabilities where nobody computed them: the same
        numbers up to rounding, for samples of the newest policy.
        """
        outcome = np.zeros(len(rollout.completion.token_ids), dtype=np.float32)
        outcome[-1:] = outcome_reward(rollout.report, self.outcome)
        parts: dict[str, Floats] = {"outcome": outcome}
        if self.kl_coef > 0:
            assert scores.ref_logprobs is not None, "the reference's log-probabilities were asked for"
            logprobs = scores.old_logprobs
            if logprobs is None:
                logprobs = np.asarray(rollout.completion.logprobs, dtype=np.float32)
            parts["kl"] = (-self.kl_coef * kl_cost(logprobs, scores.ref_logprobs, self.kl_estimator)).astype(np.float32)
        return parts

    def of_group(self, group: Group) -> list[dict[str, Floats]]:
        """[G] the parts of each rollout's rewards."""
        return [self.parts(rollout, scores) for rollout, scores in zip(group.rollouts, scores_of(group), strict=True)]


def scores_of(group: Group) -> tuple[Scores, ...]:
    """[G] the scores of a group's rollouts; empty ones for a group that nobody scored."""
    return group.scores if isinstance(group, ScoredGroup) else (Scores(),) * len(group.rollouts)


def total(parts: Parts) -> Floats:
    """[T] the sum of the parts, of which there is at least one."""
    summed: Floats = np.sum([*parts.values()], axis=0, dtype=np.float32)
    return summed
