"""The binary search for the first line from which no completion leads back to a right program. Pure."""

import math
from collections.abc import Collection
from dataclasses import dataclass

POSITIVE, NEUTRAL, NEGATIVE = 1, 0, -1
"""Labels of a line: some completion of the program up to it passes; it does nothing; no completion passes."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """The state of one search over lines 1 .. `high` at the start (arXiv:2410.17621, section 3.2).

        a = 0, b = T; while b - a > 1: m = (a + b) // 2; if a completion of y^(1..m) passes then a = m else b = m

    Lines up to a are then recoverable, line a + 1 is the first wrong one. The search takes it as given that the prompt
    alone is recoverable, that the whole program is not, and that recoverability is lost once (monotonicity). Degenerate
    cases: a program of one line needs no query, and of no lines neither.
    """

    low: int = 0
    """a: the longest prefix, in lines, that is known to be recoverable."""
    high: int
    """b: the shortest prefix that is known not to be."""

    @property
    def query(self) -> int | None:
        """Number of lines of the prefix to be completed next; None where the search has ended."""
        return (self.low + self.high) // 2 if self.high - self.low > 1 else None

    def answered(self, *, recoverable: bool) -> "Search":
        """The state after the answer to `query`."""
        middle = self.query
        assert middle is not None, "the search has ended"
        return Search(low=middle, high=self.high) if recoverable else Search(low=self.low, high=middle)


def line_labels(num_lines: int, num_recoverable: int, neutral: Collection[int]) -> tuple[int, ...]:
    """The labels of lines 1 .. `num_lines`, of which the first `num_recoverable` are recoverable; the comment rule first.

    Example: 4 lines, 2 recoverable, line 2 neutral: `(1, 0, -1, -1)`.
    """
    return tuple(
        NEUTRAL if line in neutral else POSITIVE if line <= num_recoverable else NEGATIVE
        for line in range(1, num_lines + 1)
    )


def most_queries(num_lines: int) -> int:
    """ceil(log2 T), the most queries that a search over T lines makes."""
    return math.ceil(math.log2(num_lines)) if num_lines > 1 else 0
