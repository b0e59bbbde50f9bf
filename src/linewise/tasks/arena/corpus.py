"""Programs to pretrain a small policy on: functions of the arena's families that are no task of it, with mistakes.

Every program is a variant that neither split holds, in one of its several forms, with other names for its variables and
with the faults of `faults.py`. A model that has read them writes a right program now and then, and a wrong one often.
"""

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass

from linewise.tasks.arena.faults import with_faults
from linewise.tasks.arena.selection import select
from linewise.tasks.arena.variant import Variant

SYNONYMS = {
    "number": ("number", "value", "num", "item", "x"),
    "total": ("total", "total", "acc", "result"),
    "result": ("result", "result", "output", "items"),
    "index": ("index", "i", "place"),
    "char": ("char", "c", "letter"),
    "word": ("word", "w", "name"),
    "value": ("value", "entry", "v"),
    "digit": ("digit", "d"),
    "chosen": ("chosen", "kept", "selected"),
    "best": ("best", "top"),
    "count": ("count", "total", "seen"),
    "found": ("found", "answer"),
    "rest": ("rest", "others"),
    "parts": ("parts", "pieces"),
}
"""Names that a local variable may have."""
RENAMED = 0.15
"""How often a local variable gets one of them; a small model needs most of its training to keep to names that vary."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A program of the corpus, right or wrong."""

    family: str
    signature: str
    prompt: str
    body: str
    """Indented by four spaces, without a newline at its end."""


class _Renamed(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self.names.get(node.id, node.id)
        return node


def drafts(seed: int, *, faults: float) -> Iterator[Draft]:
    """Programs without end, the same for the same seed. Families are drawn alike, then their variants.

    `faults` scales the rates of all mistakes; 0 leaves every program right.
    """
    numbers = random.Random(f"arena corpus {seed}")
    families: dict[str, list[Variant]] = {}
    for variant in select().corpus:
        families.setdefault(variant.family, []).append(variant)
    names = list(families)
    while True:
        variant = numbers.choice(families[numbers.choice(names)])
        form = numbers.randrange(len(variant.bodies))
        yield Draft(
            family=variant.family,
            signature=variant.signature,
            prompt=variant.prompt,
            body=with_faults(_renamed(variant, form, numbers), numbers, faults),
        )


def _renamed(variant: Variant, form: int, numbers: random.Random) -> ast.FunctionDef:
    """The function in one of its forms, with other names for its local variables."""
    (function,) = ast.parse(variant.source(form)).body
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)} | {*variant.parameters}
    names: dict[str, str] = {}
    for name in sorted(used & {*SYNONYMS} - {*variant.parameters}):
        other = numbers.choice(SYNONYMS[name])
        # Two variables must not become one.
        if numbers.random() < RENAMED and other not in used and other not in names.values():
            names[name] = other
    renamed = _Renamed(names).visit(function)
    assert isinstance(renamed, ast.FunctionDef)
    return renamed
