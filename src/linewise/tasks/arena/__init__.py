"""The arena: several hundred small functions put together from parts, for comparisons of methods on a CPU.

A family is a way to go about it (a fold over a list, a search, a recursion); a variant fills it with parts (a condition, a
transformation). Everything is made by code and the same on every machine. docs/arena-policy.md describes the set, and the
small policy that is pretrained on the variants that are no tasks.
"""

from linewise.tasks.arena.selection import select
from linewise.tasks.arena.variant import Variant
from linewise.types import CallTest, Limits, Task

__all__ = ["load_arena"]

LIMITS = Limits(cpu_seconds=0.5, total_cpu_seconds=1.0)
"""References take milliseconds; an endless loop must not cost more than what it teaches."""
NUM_EXAMPLES = 1
"""Tests of each task that may be shown; the rest are hidden."""


def load_arena() -> list[Task]:
    """The tasks of both splits, family by family.

    Each has the metadata `topic`, `family`, `split` ("train" or "heldout"), `source` and `license`.
    """
    parts = select()
    return [
        _task(variant, split)
        for split, variants in (("train", parts.train), ("heldout", parts.heldout))
        for variant in variants
    ]


def _task(variant: Variant, split: str) -> Task:
    tests = tuple(
        CallTest(
            call=f"{variant.name}({', '.join(map(repr, arguments))})", expected=expected, example=place < NUM_EXAMPLES
        )
        for place, (arguments, expected) in enumerate(zip(variant.inputs, variant.expected(), strict=True))
    )
    return Task(
        id=f"arena/{variant.family}/{variant.name}",
        prompt=variant.prompt,
        tests=tests,
        entry_point=variant.name,
        signature=variant.signature,
        reference=variant.source(0),
        limits=LIMITS,
        metadata={
            "topic": variant.topic,
            "family": variant.family,
            "split": split,
            "source": "linewise",
            "license": "Apache-2.0",
        },
    )
