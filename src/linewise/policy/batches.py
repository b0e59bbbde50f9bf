"""Sequences of tokens, put together so that little of a batch is padding. Torch-free."""

from collections.abc import Iterable
from typing import Protocol, TypeVar


class HasTokens(Protocol):
    """A sequence of tokens with whatever belongs to it."""

    @property
    def token_ids(self) -> tuple[int, ...]:
        """Prompt and completion."""


SequenceT = TypeVar("SequenceT", bound=HasTokens)


def plan_batches(sequences: Iterable[SequenceT], token_budget: int) -> list[list[SequenceT]]:
    """Batches of at most `token_budget` padded tokens, similar lengths together, the longest first.

    A longer sequence makes a batch of its own. Ties keep the given order, so the plan is a function of its arguments.
    Example: lengths 3, 9, 4, 8 and a budget of 18 give [9, 8], [4, 3].
    """
    batches: list[list[SequenceT]] = []
    for one in sorted(sequences, key=lambda one: -len(one.token_ids)):
        if batches and len(batches[-1][0].token_ids) * (len(batches[-1]) + 1) <= token_budget:
            batches[-1].append(one)
        else:
            batches.append([one])
    return batches
