"""RLTF: multi-granularity feedback from unit tests (Liu et al. 2023, arXiv:2307.04349, sections 3.3 and 3.4).

The paper minimises, for a program W with tokens w_S .. w_E sampled for problem D,

    L_rl = - R(W) * sum_t log p(w_t | D, w_<t),        L_total = L_sl + L_coarse + L_fine + L_adaptive

so each term is a factor of every token's log-probability, and the three terms add up to one `advantage` per token:

    A_t = [R_coarse(W) - R_coarse(W_base)]  +  alpha * R_fine(W) * 1[t in span]  +  [R_adaptive(W) - R_adaptive(W_base)]

L_sl, the cross-entropy on references, is no credit; it stands in `losses/sft.py`.

Where the paper's text and its released code differ, this file is the paper; `ReleasedRLTF` is the code. Deviations:

1. Coarse and adaptive terms cover *every* sampled token, also the one that ends the program (end of sequence, closing
   fence), since ending the program there was the policy's choice as well.
2. Memory, output-limit and crash verdicts, which the paper does not have, count as runtime errors; they are *global*
   where no line is known.
3. A program whose error line lies in the prompt (a signature) has no token to blame: its fine term is 0.
4. Before a problem has a W_base its reward is compared with 0.
5. `Baseline.GROUP` (ours) compares with the mean reward of the group's other programs. With W_base = the best so far, a
   problem that was solved once never rewards a pass again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from linewise.rollout.lines import program_tokens, tokens_of_line
from linewise.rollout.pieces import ends_inside_triple_quotes
from linewise.types import Credit, Floats, Group, Need, Outcome, Report, Rollout, Verdict

Mask = npt.NDArray[np.bool_]
RewardFn = Callable[[Report], float]

PASSED_REWARD = 1.0
FAILED_REWARD = -0.3
ERROR_REWARD = -0.6
SYNTAX_REWARD = -1.0
FINE_REWARD = -0.3


class FineClass(StrEnum):
    """Which tokens an error is blamed on (paper, Table 2)."""

    LINE = "line"
    GLOBAL = "global"
    IGNORE = "ignore"


class Baseline(StrEnum):
    """What a program's coarse and adaptive rewards are compared with."""

    PROGRAM = "program"
    """R(W_base), the reward of the group's baseline program (paper: the best so far; code: the latest greedy)."""
    GROUP = "group"
    """The mean reward of the other programs of the group (ours, deviation 5)."""


def coarse_reward(report: Report) -> float:
    """R_coarse: +1 all tests pass, -0.3 a test fails, -0.6 any error but a syntax error, -1 syntax error (section 3.3)."""
    match report.verdict:
        case Verdict.PASSED:
            return PASSED_REWARD
        case Verdict.FAILED:
            return FAILED_REWARD
        case Verdict.SYNTAX_ERROR:
            return SYNTAX_REWARD
        case _:
            return ERROR_REWARD


def adaptive_reward(report: Report) -> float:
    """R_adaptive = -0.3 + 1.3 * N_pass / (N_pass + N_fail), in [-0.3, 1] (section 3.3)."""
    return -0.3 + 1.3 * report.pass_rate


def fine_class(error: Outcome, *, truncated: bool, source: str) -> FineClass:
    """Which tokens an error is blamed on (paper, Table 2), by exception type, position and truncation.

    The wording of messages is never looked at: it changes between versions of Python.
    """
    if error.verdict is Verdict.SYNTAX_ERROR:
        if error.exception in ("IndentationError", "TabError") or ends_inside_triple_quotes(source):
            return FineClass.IGNORE
        return FineClass.GLOBAL if truncated or error.line is None else FineClass.LINE
    if error.verdict is Verdict.TIMEOUT or error.exception == "RecursionError" or error.line is None:
        return FineClass.GLOBAL
    return FineClass.LINE


def fine_span(rollout: Rollout) -> Mask:
    """[T] tokens that the fine term blames; all False for a program without an error and for the class *ignore*."""
    error, program = rollout.report.error, rollout.program
    nothing = np.zeros(len(rollout.completion.token_ids), dtype=bool)
    if error is None:
        return nothing
    match fine_class(error, truncated=rollout.completion.truncated, source=program.source):
        case FineClass.IGNORE:
            return nothing
        case FineClass.GLOBAL:
            return program_tokens(rollout.completion, program)
        case FineClass.LINE:
            assert error.line is not None, "an error without a line is global"
            return tokens_of_line(rollout.completion, program, error.line)


def alpha(program: Mask, span: Mask) -> float:
    """Alpha = (program tokens) / (tokens in the span), so that a one-line span weighs as much as a whole program.

    0 for an empty span. Example: a span of 3 tokens in a program of 12 gives 4.
    """
    return float(program.sum() / span.sum()) if span.any() else 0.0


def fine_term(rollout: Rollout) -> Floats:
    """[T] alpha * R_fine * 1[t in span], with R_fine = -0.3 (section 3.3)."""
    span = fine_span(rollout)
    scale = alpha(program_tokens(rollout.completion, rollout.program), span)
    return (scale * FINE_REWARD * span).astype(np.float32)


def baseline_rewards(group: Group, reward: RewardFn, baseline: Baseline) -> list[float]:
    """[G] what each rollout's reward is compared with; 0 where there is nothing to compare with."""
    if baseline is Baseline.PROGRAM:
        return [0.0 if group.baseline is None else reward(group.baseline)] * len(group.rollouts)
    rewards = [reward(rollout.report) for rollout in group.rollouts]
    others = len(rewards) - 1
    return [(sum(rewards) - own) / others if others else 0.0 for own in rewards]


@dataclass(frozen=True, kw_only=True)
class RLTF:
    """The paper's three terms; each can be switched off for an ablation."""

    coarse: bool = True
    """Reward of the whole program by its verdict, minus the baseline."""
    fine: bool = True
    """Penalty on the tokens of the error line (or of the whole program)."""
    adaptive: bool = True
    """Reward of the whole program by the share of tests it passes, minus the baseline."""
    baseline: Baseline = Baseline.PROGRAM
    """What coarse and adaptive rewards are compared with."""
    needs: ClassVar[frozenset[Need]] = frozenset()

    def __call__(self, group: Group) -> list[Credit]:
        """A_t of each rollout; `rewards` is the same sum without the baselines."""
        coarse_base = baseline_rewards(group, coarse_reward, self.baseline)
        adaptive_base = baseline_rewards(group, adaptive_reward, self.baseline)
        return [
            self._credit(rollout, coarse_base=base, adaptive_base=adaptive)
            for rollout, base, adaptive in zip(group.rollouts, coarse_base, adaptive_base, strict=True)
        ]

    def _credit(self, rollout: Rollout, *, coarse_base: float, adaptive_base: float) -> Credit:
        whole = np.ones(len(rollout.completion.token_ids), dtype=np.float32)
        coarse, adaptive = coarse_reward(rollout.report), adaptive_reward(rollout.report)
        terms: dict[str, Floats] = {}
        rewards = np.zeros_like(whole)
        if self.coarse:
            terms["coarse"] = (coarse - coarse_base) * whole
            rewards += coarse * whole
        if self.fine:
            terms["fine"] = fine_term(rollout)
            rewards += terms["fine"]
        if self.adaptive:
            terms["adaptive"] = (adaptive - adaptive_base) * whole
            rewards += adaptive * whole
        return Credit(rewards=rewards, advantages=sum_terms(terms, len(whole)), weights=whole, terms=terms)


@dataclass(frozen=True, kw_only=True)
class ReleasedRLTF:
    """What the released code computes: one weight w_t = q_t * [R - 0.3 m_t - R_base] per token.

    R is the adaptive reward for a program that runs (it *replaces* the -0.3), else the coarse one; m_t marks the error
    span without alpha; q_t, a CodeRL critic's probability of the true outcome, is 1 here. The code's loss is a mean over
    tokens: combine it with `token_mean`. Its W_base is the latest greedy decode.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()

    def __call__(self, group: Group) -> list[Credit]:
        """w_t of each rollout, with its parts `outcome` and `fine`."""
        base = 0.0 if group.baseline is None else released_reward(group.baseline)
        return [self._credit(rollout, base) for rollout in group.rollouts]

    def _credit(self, rollout: Rollout, base: float) -> Credit:
        whole = np.ones(len(rollout.completion.token_ids), dtype=np.float32)
        reward = released_reward(rollout.report)
        fine = (FINE_REWARD * fine_span(rollout)).astype(np.float32)
        terms: dict[str, Floats] = {"outcome": (reward - base) * whole, "fine": fine}
        return Credit(
            rewards=reward * whole + fine, advantages=sum_terms(terms, len(whole)), weights=whole, terms=terms
        )


def released_reward(report: Report) -> float:
    """R of the released code: adaptive for a program that runs, -0.6 for a runtime error, -1 for a syntax error."""
    return adaptive_reward(report) if report.error is None else coarse_reward(report)


def sum_terms(terms: dict[str, Floats], length: int) -> Floats:
    """[T] the sum of the terms; zeros where there are none."""
    total: Floats = np.sum([*terms.values(), np.zeros(length, dtype=np.float32)], axis=0, dtype=np.float32)
    return total
