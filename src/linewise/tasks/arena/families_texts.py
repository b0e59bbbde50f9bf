"""Families of functions of texts, words, dictionaries and single numbers."""

from collections.abc import Iterator
from functools import reduce
from itertools import product
from typing import Any

from linewise.tasks.arena.parts import (
    CONDITIONS,
    DIGIT_CONDITIONS,
    FOLDS,
    IDENTITY,
    LETTER_CONDITIONS,
    TRANSFORMS,
    WORD_CONDITIONS,
    WORD_TRANSFORMS,
    Transform,
    of_those,
)
from linewise.tasks.arena.variant import DIGITS, TABLES, TEXTS, WHOLE, WORDS, Variant, each, identifier

ALL = (IDENTITY, *TRANSFORMS)
LETTER_CHANGES = (
    Transform(slug="double", words="doubled", code="{x} * 2", apply=lambda x: x * 2),
    Transform(slug="upper", words="in upper case", code="{x}.upper()", apply=str.upper),
    Transform(slug="star", words="replaced by '*'", code="'*'", apply=lambda x: "*"),
    Transform(slug="dash", words="replaced by '-'", code="'-'", apply=lambda x: "-"),
    Transform(slug="mark", words="followed by '!'", code="{x} + '!'", apply=lambda x: x + "!"),
    Transform(slug="dot", words="after a '.'", code="'.' + {x}", apply=lambda x: "." + x),
)


def _variant(family: str, topic: str, **fields: Any) -> Variant:
    return Variant(family=family, topic=topic, **fields)


def letter_changes() -> Iterator[Variant]:
    """A text in which some characters are changed, or from which the others are dropped."""
    for change, condition, rest in product(LETTER_CHANGES, LETTER_CONDITIONS, ("kept", "dropped")):
        made, test = change.code.format(x="char"), condition.code.format(x="char")
        negated = condition.negated.format(x="char")
        kept = rest == "kept"
        other = "    else:\n        result += char\n" if kept else ""
        bodies = [f"result = ''\nfor char in text:\n    if {test}:\n        result += {made}\n{other}return result"]
        if kept:
            bodies.append(
                f"parts = []\nfor char in text:\n    if {negated}:\n        parts.append(char)\n    else:\n"
                f"        parts.append({made})\nreturn ''.join(parts)"
            )
        else:
            bodies.append(
                f"result = ''\nfor char in text:\n    if {negated}:\n        continue\n    result += {made}\nreturn result"
            )
        yield _variant(
            "change-letters",
            "strings",
            name=identifier(change.slug, condition.slug, "" if kept else "only"),
            prompt=f"Return text with the {condition.of('characters')} {change.words}"
            + (" and the others as they are." if kept else " and the others dropped."),
            parameters={"text": "str"},
            returns="str",
            inputs=each(TEXTS),
            bodies=tuple(bodies),
            oracle=lambda text, c=condition, t=change, kept=kept: "".join(
                str(t.apply(x)) if c.holds(x) else x if kept else "" for x in text
            ),
        )


def letter_places() -> Iterator[Variant]:
    """Where characters stand, or how many there are."""
    kinds = (
        ("count", "how many of the {} are in text", "count = 0\n", "count += 1", "count"),
        ("positions", "a list of the positions of the {} in text", "result = []\n", "result.append(index)", "result"),
        ("last", "the last position of the {} in text, or -1", "found = -1\n", "found = index", "found"),
        ("sum_positions", "the sum of the positions of the {} in text", "total = 0\n", "total += index", "total"),
    )
    for (slug, words, start, take, result), first, second in product(
        kinds, (None, *LETTER_CONDITIONS), LETTER_CONDITIONS
    ):
        if first is second or (first is not None and LETTER_CONDITIONS.index(first) > LETTER_CONDITIONS.index(second)):
            continue
        both = [second] if first is None else [first, second]
        test = " or ".join(c.code.format(x="char") for c in both)
        phrase = " and the ".join(c.of("characters") for c in both)
        yield _variant(
            "find-letters",
            "strings",
            name=identifier(slug, "_or_".join(c.slug for c in both)),
            prompt=f"Return {words.format(phrase)}.",
            parameters={"text": "str"},
            returns="list[int]" if slug == "positions" else "int",
            inputs=each(TEXTS),
            bodies=(
                f"{start}for index, char in enumerate(text):\n    if {test}:\n        {take}\nreturn {result}",
                f"{start}for index in range(len(text)):\n    char = text[index]\n    if {test}:\n        {take}\n"
                f"return {result}",
            ),
            oracle=lambda text, both=both, slug=slug: _places(text, both, slug),
        )


def _places(text: str, conditions: list[Any], slug: str) -> object:
    places = [index for index, char in enumerate(text) if any(c.holds(char) for c in conditions)]
    match slug:
        case "count":
            return len(places)
        case "positions":
            return places
        case "last":
            return places[-1] if places else -1
    return sum(places)


def word_lists() -> Iterator[Variant]:
    """A list, a count or a text of some words."""
    for transform, condition, source in product(WORD_TRANSFORMS, WORD_CONDITIONS, ("words", "text")):
        made, test = transform.code.format(x="word"), condition.code.format(x="word")
        negated = condition.negated.format(x="word")
        of_text = source == "text"
        loop = "for word in text.split():" if of_text else "for word in words:"
        yield _variant(
            "words" if not of_text else "sentence",
            "strings",
            name=identifier(transform.slug or "keep", condition.slug, "in_text" if of_text else ""),
            prompt=f"Return a list of {of_those(transform, condition, 'words')}" + (" in text." if of_text else "."),
            parameters={"text": "str"} if of_text else {"words": "list[str]"},
            returns="list[int]" if transform.slug == "lengths" else "list[str]",
            inputs=each(TEXTS) if of_text else each(WORDS),
            bodies=(
                f"result = []\n{loop}\n    if {test}:\n        result.append({made})\nreturn result",
                f"result = []\n{loop}\n    if {negated}:\n        continue\n    result.append({made})\nreturn result",
            ),
            oracle=lambda given, c=condition, t=transform: [
                t.apply(x) for x in (given.split() if isinstance(given, str) else given) if c.holds(x)
            ],
        )


def word_choices() -> Iterator[Variant]:
    """The longest, shortest, first or last of some words."""
    kinds = (
        ("longest", "len(word) > len(best)", lambda words: max(words, key=len)),
        ("shortest", "len(word) < len(best)", lambda words: min(words, key=len)),
        ("alphabetically_first", "word < best", min),
        ("alphabetically_last", "word > best", max),
    )
    for (slug, better, pick), condition, none in product(kinds, WORD_CONDITIONS, ("", "none")):
        test = condition.code.format(x="word")
        yield _variant(
            "best-word",
            "strings",
            name=identifier(slug, condition.slug, "or_none" if none else ""),
            prompt=f"Return the {slug.replace('_', ' ')} of the {condition.of('words')}, or '{none}' if there are none.",
            parameters={"words": "list[str]"},
            returns="str",
            inputs=each(WORDS),
            bodies=(
                f"chosen = [word for word in words if {test}]\nif not chosen:\n    return '{none}'\nbest = chosen[0]\n"
                f"for word in chosen:\n    if {better}:\n        best = word\nreturn best",
                f"best = None\nfor word in words:\n    if {test}:\n        if best is None or {better}:\n"
                f"            best = word\nif best is None:\n    return '{none}'\nreturn best",
            ),
            oracle=lambda words, c=condition, pick=pick, none=none: pick([w for w in words if c.holds(w)] or [none]),
        )


def dictionaries() -> Iterator[Variant]:
    """A dictionary made of some words or numbers."""
    kinds = (
        ("count", "how often it occurs", "result[word] = result.get(word, 0) + 1", lambda ws, w: ws.count(w)),
        ("length", "its length", "result[word] = len(word)", lambda ws, w: len(w)),
        ("first_letter", "its first letter", "result[word] = word[0]", lambda ws, w: w[0]),
        ("last_letter", "its last letter", "result[word] = word[-1]", lambda ws, w: w[-1]),
        ("reverse", "its reverse", "result[word] = word[::-1]", lambda ws, w: w[::-1]),
        (
            "vowels",
            "its number of vowels",
            "result[word] = sum((char in 'aeiou' for char in word))",
            lambda ws, w: sum(x in "aeiou" for x in w),
        ),
    )
    for (slug, words, take, value), condition in product(kinds, WORD_CONDITIONS):
        test, negated = condition.code.format(x="word"), condition.negated.format(x="word")
        kind = "str" if slug in ("first_letter", "last_letter", "reverse") else "int"
        yield _variant(
            "map-words",
            "dictionaries",
            name=identifier("map", slug, condition.slug),
            prompt=f"Return a dictionary that maps each of the {condition.of('words')} to {words}.",
            parameters={"words": "list[str]"},
            returns=f"dict[str, {kind}]",
            inputs=each(WORDS),
            bodies=(
                f"result = {{}}\nfor word in words:\n    if {test}:\n        {take}\nreturn result",
                f"result = {{}}\nfor word in words:\n    if {negated}:\n        continue\n    {take}\nreturn result",
            ),
            oracle=lambda words, c=condition, value=value: {w: value(words, w) for w in words if c.holds(w)},
        )


def tables() -> Iterator[Variant]:
    """What a table of numbers holds under conditions on keys or values."""
    for (by_key, condition), transform in product(
        [(False, c) for c in CONDITIONS] + [(True, c) for c in WORD_CONDITIONS], ALL[:8]
    ):
        test = condition.code.format(x="key" if by_key else "value")
        made = transform.code.format(x="value")
        what = condition.of("keys" if by_key else "values")
        for slug, words, start, take, result, returns in (
            ("sum", f"the sum of {transform.of('the values')}", "total = 0\n", f"total += {made}", "total", "int"),
            (
                "table",
                f"a dictionary with {transform.of('the values')}",
                "result = {}\n",
                f"result[key] = {made}",
                "result",
                "dict[str, int]",
            ),
        ):
            yield _variant(
                f"{slug}-of-table",
                "dictionaries",
                name=identifier(slug, transform.slug, "keys" if by_key else "values", condition.slug),
                prompt=f"Return {words} of table, but only for {what}.",
                parameters={"table": "dict[str, int]"},
                returns=returns,
                inputs=each(TABLES),
                bodies=(
                    f"{start}for key, value in table.items():\n    if {test}:\n        {take}\nreturn {result}",
                    f"{start}for key in table:\n    value = table[key]\n    if {test}:\n        {take}\nreturn {result}",
                ),
                oracle=lambda table, c=condition, t=transform, by_key=by_key, slug=slug: _table(
                    {k: t.apply(v) for k, v in table.items() if c.holds(k if by_key else v)}, slug
                ),
            )


def _table(chosen: dict[str, Any], slug: str) -> object:
    return sum(chosen.values()) if slug == "sum" else chosen


def digits() -> Iterator[Variant]:
    """A fold of the digits of a number."""
    for fold, transform, condition in product(FOLDS, ALL[:9], DIGIT_CONDITIONS):
        take = fold.update.format(e=transform.code.format(x="digit"))
        test = condition.code.format(x="digit")
        yield _variant(
            "digits",
            "numbers",
            name=identifier("digit", fold.slug, transform.slug, condition.slug),
            prompt=f"Return {fold.of(of_those(transform, condition, 'digits'))} of n.",
            parameters={"n": "int"},
            returns="int",
            inputs=each(DIGITS),
            bodies=(
                f"total = {fold.start}\nwhile n > 0:\n    digit = n % 10\n    if {test}:\n        {take}\n    n //= 10\n"
                "return total",
                f"total = {fold.start}\nfor char in str(n):\n    digit = int(char)\n    if {test}:\n        {take}\n"
                "return total",
            ),
            oracle=lambda n, f=fold, t=transform, c=condition: reduce(
                f.combine, (t.apply(int(x)) for x in str(n) if c.holds(int(x))), f.zero
            ),
        )


def branches() -> Iterator[Variant]:
    """One of two or three results for a number."""
    pairs = [(ALL[place], ALL[(place + gap) % 12]) for place in range(12) for gap in (1, 3, 5)]
    for condition, (first, second) in product(CONDITIONS, pairs):
        yes, no = first.code.format(x="n"), second.code.format(x="n")
        test, negated = condition.code.format(x="n"), condition.negated.format(x="n")
        yield _variant(
            "branch",
            "numbers",
            name=identifier(first.slug or "same", "when", condition.slug, "or", second.slug or "same"),
            prompt=f"Return {_single(first)} if n is {condition.predicate}, and {_single(second)} otherwise.",
            parameters={"n": "int"},
            returns="int",
            inputs=each(WHOLE),
            bodies=(
                f"if {test}:\n    return {yes}\nreturn {no}",
                f"if {negated}:\n    return {no}\nreturn {yes}",
                f"result = {no}\nif {test}:\n    result = {yes}\nreturn result",
            ),
            oracle=lambda n, a=first, b=second, c=condition: a.apply(n) if c.holds(n) else b.apply(n),
        )


def _single(transform: Transform) -> str:
    """What is made of one number n: `the square of n`."""
    words = transform.words.replace(" each of", "")
    singular = {
        "the squares of": "the square of",
        "the cubes of": "the cube of",
        "the negatives of": "the negative of",
        "the rounded down halves of": "the rounded down half of",
        "the absolute values of": "the absolute value of",
    }
    return f"{singular.get(words, words)} n".strip()


def grades() -> Iterator[Variant]:
    """A word for a number, by two bounds."""
    names = (("low", "middle", "high"), ("small", "medium", "large"), ("cold", "mild", "hot"), ("few", "some", "many"))
    for (low, mid, high), a, b, inclusive in product(names, (0, 2, 3, 4), (6, 7, 8, 9), (False, True)):
        first, last = ("<=", ">=") if inclusive else ("<", ">")
        words = (f"at most {a}", f"at least {b}") if inclusive else (f"less than {a}", f"greater than {b}")
        yield _variant(
            "grade",
            "numbers",
            name=identifier(low, mid, high, "to" if inclusive else "", str(a), str(b)),
            prompt=f"Return '{low}' if n is {words[0]}, '{high}' if n is {words[1]}, and '{mid}' otherwise.",
            parameters={"n": "int"},
            returns="str",
            inputs=each(WHOLE),
            bodies=(
                f"if n {first} {a}:\n    return '{low}'\nif n {last} {b}:\n    return '{high}'\nreturn '{mid}'",
                f"if n {first} {a}:\n    return '{low}'\nelif n {last} {b}:\n    return '{high}'\nelse:\n    return '{mid}'",
                f"result = '{mid}'\nif n {first} {a}:\n    result = '{low}'\nif n {last} {b}:\n    result = '{high}'\n"
                "return result",
            ),
            oracle=lambda n, bounds=(a, b), names=(low, mid, high), inclusive=inclusive: names[
                1 + (n >= bounds[1] if inclusive else n > bounds[1]) - (n <= bounds[0] if inclusive else n < bounds[0])
            ],
        )


def steps() -> Iterator[Variant]:
    """A sum, product or count over n, n - step, n - 2 step and so on, by recursion."""
    for fold, step, transform in product(FOLDS, (1, 2, 3, 4), ALL[:12]):
        name = identifier("steps", fold.slug, transform.slug, f"by_{step}")
        sign = fold.update[len("total ")]
        made = transform.code.format(x="n")
        if sign == "*" and " " in made:
            made = f"({made})"
        yield _variant(
            "steps",
            "recursion",
            name=name,
            prompt=f"Return {fold.of(transform.of('the positive numbers'))} n, n - {step}, n - {2 * step} and so on.",
            parameters={"n": "int"},
            returns="int",
            inputs=each((4, 0, 1, 2, 5, 9, 7)),
            bodies=(
                f"if n <= 0:\n    return {fold.start}\nreturn {made} {sign} {name}(n - {step})",
                f"if n <= 0:\n    return {fold.start}\nrest = {name}(n - {step})\nreturn rest {sign} {made}",
            ),
            oracle=lambda n, f=fold, t=transform, step=step: reduce(
                f.combine, (t.apply(x) for x in range(n, 0, -step)), f.zero
            ),
        )


FAMILIES = (
    letter_changes,
    letter_places,
    word_lists,
    word_choices,
    dictionaries,
    tables,
    digits,
    branches,
    grades,
    steps,
)
