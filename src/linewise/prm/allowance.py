"""What labelling may still sample. A search that it does not pay for is given up, so that it is never exceeded."""

import sys
from dataclasses import dataclass
from typing import Protocol

from linewise.types import Sampling


class Counted(Protocol):
    """What was sampled, counted."""

    @property
    def programs(self) -> int:
        """Programs and completions."""

    @property
    def tokens(self) -> int:
        """Tokens of them."""


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """Programs and tokens that may be sampled, whatever for; None is no limit."""

    programs: int | None = None
    tokens: int | None = None

    def completions(self, sampling: Sampling) -> int:
        """How many programs or completions it pays for, however long they become; a huge number without a limit.

        Example: 10 programs and 200 tokens pay for 4 completions of at most 50 tokens.
        """
        programs = sys.maxsize if self.programs is None else self.programs
        return programs if self.tokens is None else min(programs, self.tokens // sampling.max_new_tokens)

    def after(self, sampled: Counted) -> "Allowance":
        """What is left of it."""
        return Allowance(
            programs=None if self.programs is None else self.programs - sampled.programs,
            tokens=None if self.tokens is None else self.tokens - sampled.tokens,
        )

    def part(self, index: int, count: int) -> "Allowance":
        """The first `index` of `count` equal parts of it, rounded down."""
        return Allowance(
            programs=None if self.programs is None else self.programs * index // count,
            tokens=None if self.tokens is None else self.tokens * index // count,
        )
