"""Which functions are tasks to train on, which are held out, and which only the corpus knows."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from linewise.tasks.arena import families_lists, families_texts
from linewise.tasks.arena.variant import Variant

NUM_HELDOUT = 6
"""Held-out tasks of each family."""
NUM_TRAIN = 16
"""Training tasks of each family."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """All functions of the arena, each in one part; no two do the same on the inputs of their tests."""

    train: tuple[Variant, ...]
    heldout: tuple[Variant, ...]
    corpus: tuple[Variant, ...]


@cache
def select() -> Selection:
    """The parts, drawn family by family; always the same."""
    families: dict[str, list[Variant]] = {}
    for variant in _distinct():
        families.setdefault(variant.family, []).append(variant)
    train, heldout, corpus = [], [], []
    for family, variants in families.items():
        drawn = random.Random(f"arena {family}").sample(variants, len(variants))
        heldout += drawn[:NUM_HELDOUT]
        train += drawn[NUM_HELDOUT : NUM_HELDOUT + NUM_TRAIN]
        corpus += drawn[NUM_HELDOUT + NUM_TRAIN :]
    return Selection(train=tuple(train), heldout=tuple(heldout), corpus=tuple(corpus))


def _distinct() -> Iterator[Variant]:
    """Every behaviour once, by the first variant that has it, and none that a constant comes near to."""
    seen = set()
    for family in (*families_lists.FAMILIES, *families_texts.FAMILIES):
        for variant in family():
            behaviour = variant.behaviour()
            if behaviour not in seen and variant.is_telling():
                seen.add(behaviour)
                yield variant
