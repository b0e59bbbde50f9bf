"""One function of the arena: its words, several equal programs, and what it must return."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from textwrap import indent

Argument = int | str | list[int] | list[list[int]] | list[str] | dict[str, int]

NUMBERS: tuple[list[int], ...] = (
    [4, 7, -3, 2, 5],
    [],
    [3],
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    [0, -1, -2, -3, -4, -5, -6],
    [8, 5, 8, 5, 2, 2],
    [6, 12, 15, 20, -8],
)
TEXTS: tuple[str, ...] = (
    "the best dog ate a bone",
    "",
    "a",
    "Toast 12 sat at TED",
    "obese cat eats oats too",
    "Bad  3 abbots stood",
    "is it so odd",
)
WORDS: tuple[list[str], ...] = (
    ["stone", "at", "bad", "tree"],
    [],
    ["to"],
    ["abbot", "test", "a", "sad", "boots"],
    ["end", "set", "ode", "tea", "east"],
    ["so", "bed", "so", "art"],
    ["taste", "bead", "dots", "sea"],
)
TABLES: tuple[dict[str, int], ...] = (
    {"stone": 4, "at": 7, "bad": -3, "tree": 2},
    {},
    {"to": 3},
    {"abbot": 5, "test": 6, "a": 0, "sad": 10, "boots": 8},
    {"end": -1, "set": -6, "ode": 1, "tea": 12},
    {"so": 2, "bed": 5, "art": 5},
    {"taste": 9, "bead": 15, "dots": 20, "sea": -4},
)
ROWS: tuple[list[list[int]], ...] = (
    [[4, 7, -3], [2, 5]],
    [],
    [[3]],
    [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
    [[], [0, -1], [-2, -6, -5]],
    [[8, 5], [8, 5, 2], []],
    [[12, 15, 20], [-8, 6, 10]],
)
WHOLE: tuple[int, ...] = (6, 0, -3, 1, 2, 3, 4, 5, 7, 8, 9, 10, -6, 15)
DIGITS: tuple[int, ...] = (472, 10, 3, 98, 5560, 123456, 789)
PAIRS: tuple[tuple[int, int], ...] = ((2, 9), (0, 0), (3, 3), (1, 12), (5, 6), (4, 1), (7, 15))


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A function of some family, told apart from all others by what it does.

    Example: family `fold`, name `sum_squares_even`, parameters `numbers: list[int]`.
    """

    topic: str
    family: str
    name: str
    prompt: str
    parameters: Mapping[str, str]
    """Name -> type, in order."""
    returns: str
    bodies: tuple[str, ...]
    """Programs that do the same, without indentation; the first is the task's reference."""
    inputs: tuple[tuple[Argument, ...], ...]
    """Arguments of the tests; the first is the example."""
    oracle: Callable[..., object]
    """What the function must return, computed without its code."""

    @property
    def signature(self) -> str:
        """The line that the function begins with."""
        listed = ", ".join(f"{name}: {kind}" for name, kind in self.parameters.items())
        return f"def {self.name}({listed}) -> {self.returns}:"

    def source(self, form: int) -> str:
        """The whole function in one of its forms."""
        return f"{self.signature}\n{indent(self.bodies[form], '    ')}\n"

    def expected(self) -> tuple[str, ...]:
        """The literal that each of `inputs` must give."""
        return tuple(repr(self.oracle(*arguments)) for arguments in self.inputs)

    def behaviour(self) -> tuple[str, ...]:
        """What tells it from every other function: its types, its tests and their results."""
        return (*self.parameters.values(), self.returns, repr(self.inputs), *self.expected())

    def is_telling(self) -> bool:
        """Whether neither a constant nor an argument handed back comes near to passing its tests."""
        expected = self.expected()
        handed = [
            sum(repr(given[place]) == right for given, right in zip(self.inputs, expected, strict=True))
            for place in range(len(self.parameters))
        ]
        commonest = max(expected.count(value) for value in expected)
        return commonest <= 0.8 * len(expected) and max(handed) <= 0.8 * len(expected)


def each(values: tuple[Argument, ...]) -> tuple[tuple[Argument, ...], ...]:
    """The inputs of a function of one argument."""
    return tuple((value,) for value in values)


def identifier(*parts: str) -> str:
    """A function's name from the slugs that are not empty."""
    return "_".join(part for part in parts if part)
