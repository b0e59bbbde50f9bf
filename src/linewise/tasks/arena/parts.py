"""What the functions of the arena are put together from: conditions, transformations and folds of integers, and of text.

A part says the same thing three times: in words, as code (a template over `{x}`), and as a Python function, by which the
expected values of tests are computed. The code of a program is thus never checked against itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

VOWELS = "aeiou"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A property of one number, character or word."""

    slug: str
    """Its part of a function's name."""
    phrase: str
    """Words around `{noun}`: `even {noun}`, `{noun} greater than 3`."""
    code: str
    """An expression over `{x}`."""
    negated: str
    """The same expression turned round."""
    holds: Callable[..., bool]

    @property
    def predicate(self) -> str:
        """What comes after `is` or `are`: `even`, `greater than 3`."""
        return self.phrase.replace("{noun}", "").strip().removeprefix("of ")

    def of(self, noun: str) -> str:
        """The things that fulfil it, in words."""
        return self.phrase.format(noun=noun)


@dataclass(frozen=True, kw_only=True)
class Transform:
    """Something made of one number, character or word."""

    slug: str
    words: str
    """Words before `the numbers`: `the squares of`; empty for the identity."""
    code: str
    apply: Callable[..., object]

    def of(self, what: str) -> str:
        """`the squares of the numbers`, or `the numbers` alone."""
        return f"{self.words} {what}".strip()


def of_those(transform: Transform, condition: Condition, noun: str) -> str:
    """`the squares of the even numbers`."""
    return transform.of(f"the {condition.of(noun)}")


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A running value: `start`, and a statement that takes the expression `{e}` into it."""

    slug: str
    words: str
    start: str
    update: str
    """A statement over `{e}` and the variable `total`."""
    combine: Callable[..., int]
    zero: int

    def of(self, what: str) -> str:
        """`the sum of the numbers`."""
        return f"{self.words} {what}"


def _compared(
    slug: str, words: str, operator: str, opposite: str, holds: Callable[[int, int], bool], k: int
) -> Condition:
    return Condition(
        slug=f"{slug}_{k}",
        phrase=f"{{noun}} {words} {k}",
        code=f"{{x}} {operator} {k}",
        negated=f"{{x}} {opposite} {k}",
        holds=lambda x: holds(x, k),
    )


EVEN = Condition(
    slug="even", phrase="even {noun}", code="{x} % 2 == 0", negated="{x} % 2 != 0", holds=lambda x: x % 2 == 0
)
ODD = Condition(
    slug="odd", phrase="odd {noun}", code="{x} % 2 == 1", negated="{x} % 2 != 1", holds=lambda x: x % 2 == 1
)
POSITIVE = Condition(
    slug="positive", phrase="positive {noun}", code="{x} > 0", negated="{x} <= 0", holds=lambda x: x > 0
)
NEGATIVE = Condition(
    slug="negative", phrase="negative {noun}", code="{x} < 0", negated="{x} >= 0", holds=lambda x: x < 0
)


def above(k: int) -> Condition:
    """Greater than k."""
    return _compared("above", "greater than", ">", "<=", lambda x, k: x > k, k)


def below(k: int) -> Condition:
    """Less than k."""
    return _compared("below", "less than", "<", ">=", lambda x, k: x < k, k)


def at_least(k: int) -> Condition:
    """Not less than k."""
    return _compared("from", "of at least", ">=", "<", lambda x, k: x >= k, k)


def at_most(k: int) -> Condition:
    """Not greater than k."""
    return _compared("up_to", "of at most", "<=", ">", lambda x, k: x <= k, k)


def multiple(k: int) -> Condition:
    """Divisible by k."""
    return Condition(
        slug=f"multiple_{k}",
        phrase=f"{{noun}} divisible by {k}",
        code=f"{{x}} % {k} == 0",
        negated=f"{{x}} % {k} != 0",
        holds=lambda x: x % k == 0,
    )


def no_multiple(k: int) -> Condition:
    """Not divisible by k."""
    return Condition(
        slug=f"not_multiple_{k}",
        phrase=f"{{noun}} not divisible by {k}",
        code=f"{{x}} % {k} != 0",
        negated=f"{{x}} % {k} == 0",
        holds=lambda x: x % k != 0,
    )


CONDITIONS = (
    EVEN,
    ODD,
    POSITIVE,
    NEGATIVE,
    *(above(k) for k in (2, 3, 4, 5, 7)),
    *(below(k) for k in (3, 4, 6, 8)),
    *(at_least(k) for k in (2, 3, 5, 6)),
    *(at_most(k) for k in (2, 4, 5, 7)),
    *(multiple(k) for k in (3, 4, 5)),
    *(no_multiple(k) for k in (3, 4)),
)
"""Properties of an integer."""

DIGIT_CONDITIONS = tuple(c for c in CONDITIONS if c not in (POSITIVE, NEGATIVE))
"""Properties of a digit; it is never negative."""

IDENTITY = Transform(slug="", words="", code="{x}", apply=lambda x: x)


def plus(k: int) -> Transform:
    """Each number plus k."""
    return Transform(slug=f"plus_{k}", words=f"{k} more than each of", code=f"{{x}} + {k}", apply=lambda x: x + k)


def minus(k: int) -> Transform:
    """Each number minus k."""
    return Transform(slug=f"minus_{k}", words=f"{k} less than each of", code=f"{{x}} - {k}", apply=lambda x: x - k)


def times(k: int) -> Transform:
    """Each number times k."""
    return Transform(slug=f"times_{k}", words=f"{k} times each of", code=f"{{x}} * {k}", apply=lambda x: x * k)


TRANSFORMS = (
    Transform(slug="squares", words="the squares of", code="{x} * {x}", apply=lambda x: x * x),
    Transform(slug="cubes", words="the cubes of", code="{x} ** 3", apply=lambda x: x**3),
    Transform(slug="halves", words="the rounded down halves of", code="{x} // 2", apply=lambda x: x // 2),
    Transform(slug="sizes", words="the absolute values of", code="abs({x})", apply=abs),
    Transform(slug="negatives", words="the negatives of", code="-{x}", apply=lambda x: -x),
    plus(1),
    plus(2),
    plus(5),
    minus(1),
    minus(3),
    times(2),
    times(3),
    times(10),
)
"""What is made of an integer, the identity aside."""

FOLDS = (
    Fold(slug="sum", words="the sum of", start="0", update="total += {e}", combine=lambda a, b: a + b, zero=0),
    Fold(slug="product", words="the product of", start="1", update="total *= {e}", combine=lambda a, b: a * b, zero=1),
)
"""How integers become one."""


def _text(slug: str, phrase: str, code: str, holds: Callable[[str], bool]) -> Condition:
    return Condition(slug=slug, phrase=phrase, code=code, negated=f"not {code}", holds=holds)


def same_letter(letter: str) -> Condition:
    """Equal to one letter."""
    return Condition(
        slug=f"is_{letter}",
        phrase=f"{{noun}} equal to '{letter}'",
        code=f"{{x}} == '{letter}'",
        negated=f"{{x}} != '{letter}'",
        holds=lambda x: x == letter,
    )


LETTER_CONDITIONS = (
    _text("vowel", "{noun} that are vowels", f"{{x}} in '{VOWELS}'", lambda x: x in VOWELS),
    _text("digit", "{noun} that are digits", "{x}.isdigit()", str.isdigit),
    _text("upper", "upper case {noun}", "{x}.isupper()", str.isupper),
    _text("lower", "lower case {noun}", "{x}.islower()", str.islower),
    _text("letter", "{noun} that are letters", "{x}.isalpha()", str.isalpha),
    Condition(
        slug="space",
        phrase="{noun} that are spaces",
        code="{x} == ' '",
        negated="{x} != ' '",
        holds=lambda x: x == " ",
    ),
    Condition(
        slug="no_vowel",
        phrase="{noun} that are not vowels",
        code=f"{{x}} not in '{VOWELS}'",
        negated=f"{{x}} in '{VOWELS}'",
        holds=lambda x: x not in VOWELS,
    ),
    *(same_letter(letter) for letter in "abeost"),
)
"""Properties of a character."""


def longer(k: int) -> Condition:
    """Words of more than k letters."""
    return Condition(
        slug=f"longer_{k}",
        phrase=f"{{noun}} longer than {k}",
        code=f"len({{x}}) > {k}",
        negated=f"len({{x}}) <= {k}",
        holds=lambda x: len(x) > k,
    )


def shorter(k: int) -> Condition:
    """Words of fewer than k letters."""
    return Condition(
        slug=f"shorter_{k}",
        phrase=f"{{noun}} shorter than {k}",
        code=f"len({{x}}) < {k}",
        negated=f"len({{x}}) >= {k}",
        holds=lambda x: len(x) < k,
    )


def _starting(letter: str) -> Condition:
    return _text(
        f"starting_{letter}",
        f"{{noun}} that start with '{letter}'",
        f"{{x}}.startswith('{letter}')",
        lambda x: x.startswith(letter),
    )


def _ending(letter: str) -> Condition:
    return _text(
        f"ending_{letter}",
        f"{{noun}} that end with '{letter}'",
        f"{{x}}.endswith('{letter}')",
        lambda x: x.endswith(letter),
    )


def _holding(letter: str) -> Condition:
    return Condition(
        slug=f"with_{letter}",
        phrase=f"{{noun}} that contain '{letter}'",
        code=f"'{letter}' in {{x}}",
        negated=f"'{letter}' not in {{x}}",
        holds=lambda x: letter in x,
    )


WORD_CONDITIONS = (
    *(longer(k) for k in (2, 3, 4)),
    *(shorter(k) for k in (3, 4, 5)),
    *(_starting(letter) for letter in "abst"),
    *(_ending(letter) for letter in "dest"),
    *(_holding(letter) for letter in "aeot"),
)
"""Properties of a word."""

WORD_TRANSFORMS = (
    IDENTITY,
    Transform(slug="lengths", words="the lengths of", code="len({x})", apply=len),
    Transform(slug="reversed", words="the reverses of", code="{x}[::-1]", apply=lambda x: x[::-1]),
    Transform(slug="upper", words="the upper case forms of", code="{x}.upper()", apply=str.upper),
    Transform(slug="first_letters", words="the first letters of", code="{x}[0]", apply=lambda x: x[0]),
    Transform(slug="last_letters", words="the last letters of", code="{x}[-1]", apply=lambda x: x[-1]),
)
"""What is made of a word."""
