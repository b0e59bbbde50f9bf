"""Random numbers without hidden state: every stream is a function of the run's seed, its purpose and a counter.

A resumed run needs no saved generator: it asks for the same streams by the same names.
"""

import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def stream(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """The generator of one purpose, such as `stream(0, "draw", step)`."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *counters]))


def derive_seed(seed: int, purpose: str, *counters: int) -> int:
    """A 63-bit seed of one purpose, for libraries that take an integer."""
    return int(stream(seed, purpose, *counters).integers(2**63 - 1))


def visit(items: Sequence[Item], *, visit_index: int, count: int, seed: int) -> list[Item]:
    """The items of the `visit_index`-th visit, `count` at a time through epochs that are each shuffled anew.

    Every item is visited once before any is visited twice. Example: 5 items, 2 a visit: visit 2 takes the last item of the
    first epoch and the first of the second.
    """
    assert items and count > 0
    chosen: list[Item] = []
    for position in range(visit_index * count, (visit_index + 1) * count):
        epoch, index = divmod(position, len(items))
        order = stream(seed, "visit", epoch).permutation(len(items))
        chosen.append(items[order[index]])
    return chosen


def subset(items: Sequence[Item], limit: int | None, seed: int) -> list[Item]:
    """`limit` items drawn by the seed, in their given order; all of them where `limit` is None or not smaller."""
    if limit is None or limit >= len(items):
        return list(items)
    chosen = stream(seed, "subset").permutation(len(items))[:limit]
    return [items[index] for index in sorted(chosen.tolist())]
