"""Blame and praise by what the tests ran (ours): an inner method's credit, spread over the lines that earned it.

Tests say more than pass or fail: each says which lines it ran. With A_t the inner advantages (of GRPO, say), split at every
token into A+ = max(A, 0) and A- = min(A, 0), and n tokens in the program:

    A'_t = u A_t + (1 - u) [ sum_t' A-_t' * blame(line t) / sum_t' blame(line t')  +  the same of A+ and praise ]

    blame(l)  = ochiai(l) + (share of the failing tests whose error stands in line l)
    praise(l) = share of the passing tests that ran line l

    ochiai(l) = failed(l) / sqrt(F * (failed(l) + passed(l)))      (Abreu et al. 2007, eq. 3)

where failed(l) and passed(l) count the tests that ran line l, and F the failing ones. All sums run over the program's
tokens, so that the mass of either sign, sum_t A'_t, is just what the inner method gave: programs weigh as before, and only
the place changes. With u = 0 and one suspicious line, its tokens get A * n / (tokens of the line): RLTF's alpha.
Degenerate cases:

1. No sampled token on a line that is blamed (praised), as where lines were not recorded: that part stays as it was.
2. An error at a known line is blamed there even if the lines that ran are unknown, as of a syntax error. But a program that
   was cut at the maximum length breaks off somewhere, which is no line's fault: its syntax error blames nothing.
3. Lines that only loading ran (`def`, `import`) are in no test's lines: they get the share u alone.
4. Tokens outside the program (fence, end of sequence) keep their inner advantage.

The credit is a biased policy gradient, as RLTF's fine term is: it bets that a line which failing tests ran more often than
passing ones is the wrong one. u keeps part of the gradient unbiased.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from linewise.errors import UserError
from linewise.rollout.lines import token_lines
from linewise.types import Credit, CreditAssigner, Floats, Need, Report, Rollout, ScoredGroup, Verdict

InnerT_co = TypeVar("InnerT_co", bound=CreditAssigner, covariant=True)
LineWeights = Mapping[int, float]
"""1-based line -> how much of a program's credit it attracts; lines without any are absent."""


@dataclass(frozen=True, kw_only=True)
class LineVotes:
    """What a program's tests say of its lines."""

    blame: LineWeights
    """In [0, 2]: Ochiai's coefficient and the share of failing tests whose error stands there."""
    praise: LineWeights
    """In (0, 1]: the share of the passing tests that ran the line."""


def line_votes(report: Report) -> LineVotes:
    """Blame and praise of the lines. Tests whose lines are not known are counted nowhere, but for their error's line.

    Example: a test that ran lines 1 and 2 passed, one that ran 1 and 3 failed with an error in 3: blame {1: .71, 3: 2},
    praise {1: 1, 2: 1}.
    """
    runs: dict[bool, list[frozenset[int]]] = {True: [], False: []}
    errors: Counter[int] = Counter()
    for outcome in report.outcomes:
        passed = outcome.verdict is Verdict.PASSED
        if outcome.executed_lines is not None:
            runs[passed].append(outcome.executed_lines)
        if outcome.line is not None and not passed:
            errors[outcome.line] += 1
    num_failing = len(report.outcomes) - report.num_passed
    passed_lines, failed_lines = (Counter(line for lines in runs[passed] for line in lines) for passed in (True, False))
    blame = {
        line: count / sqrt(len(runs[False]) * (count + passed_lines[line])) for line, count in failed_lines.items()
    }
    for line, count in errors.items():
        blame[line] = blame.get(line, 0.0) + count / num_failing
    return LineVotes(blame=blame, praise={line: count / len(runs[True]) for line, count in passed_lines.items()})


def spread(advantages: Floats, lines: npt.NDArray[np.int64], weights: LineWeights) -> Floats:
    """[T] the sum of the program's advantages, laid out in proportion to the weights of the tokens' lines [T].

    Tokens of line 0 are outside the program and stay as they are; all do where no token stands on a weighted line.
    Example: advantages (1, 1, 1, 1), lines (2, 2, 3, 0), weights {3: .5}: (0, 0, 3, 1).
    """
    attraction = np.array([weights.get(line, 0.0) for line in lines.tolist()])
    attraction[lines == 0] = 0.0
    if attraction.sum() == 0:
        return advantages
    mass = advantages[lines > 0].sum(dtype=np.float64)
    return np.where(lines > 0, mass * attraction / attraction.sum(), advantages).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Suspiciousness(Generic[InnerT_co]):
    """The inner method's credit, moved to the lines that failing or passing tests ran."""

    inner: InnerT_co
    """What writes the advantages that are spread: `GRPO`, `RLOO` or any other."""
    uniform_share: float = 0.5
    """u, the part of the credit that stays where it was. One half as in RLTF, whose terms for program and line weigh the
    same; a choice that nobody has tuned."""

    def __post_init__(self) -> None:
        if not 0 <= self.uniform_share <= 1:
            raise UserError(
                f"uniform_share is {self.uniform_share}, but a share is in [0, 1]: 1 is the inner method, 0 moves all."
            )

    @property
    def needs(self) -> frozenset[Need]:
        """What the inner method needs; the lines come with the reports."""
        return self.inner.needs | {Need.EXECUTED_LINES}

    def __call__(self, group: ScoredGroup) -> list[Credit]:
        """A'_t of each program; the terms are `uniform`, `blame` and `praise`."""
        return [
            self._credit(rollout, credit) for rollout, credit in zip(group.rollouts, self.inner(group), strict=True)
        ]

    def _credit(self, rollout: Rollout, inner: Credit) -> Credit:
        broke_off = rollout.completion.truncated and rollout.report.verdict is Verdict.SYNTAX_ERROR
        votes = LineVotes(blame={}, praise={}) if broke_off else line_votes(rollout.report)
        lines = token_lines(rollout.completion, rollout.program)
        blamed = spread(np.minimum(inner.advantages, 0), lines, votes.blame)
        praised = spread(np.maximum(inner.advantages, 0), lines, votes.praise)
        moved = 1 - self.uniform_share
        terms: dict[str, Floats] = {
            "uniform": self.uniform_share * inner.advantages,
            "blame": moved * blamed,
            "praise": moved * praised,
        }
        return replace(inner, advantages=terms["uniform"] + terms["blame"] + terms["praise"], terms=terms)
