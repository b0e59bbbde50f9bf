"""Families of functions of lists of numbers."""

from collections.abc import Callable, Iterator
from functools import reduce
from itertools import accumulate, product
from typing import Any

from linewise.tasks.arena.parts import CONDITIONS, FOLDS, IDENTITY, TRANSFORMS, Condition, Fold, Transform, of_those
from linewise.tasks.arena.variant import NUMBERS, PAIRS, ROWS, Variant, each, identifier

Numbers = list[int]
ALL = (IDENTITY, *TRANSFORMS)


def _variant(family: str, topic: str = "lists", **fields: Any) -> Variant:
    """A function of one list of numbers, unless the fields say otherwise."""
    usual = {"parameters": {"numbers": "list[int]"}, "returns": "int", "inputs": each(NUMBERS)}
    return Variant(family=family, topic=topic, **(usual | fields))


def folds() -> Iterator[Variant]:
    """The sum or the product of something of the numbers that fulfil a condition."""
    for fold, transform, condition in product(FOLDS, ALL, CONDITIONS):
        yield _variant(
            "fold",
            name=identifier(fold.slug, transform.slug, condition.slug),
            prompt=f"Return {fold.of(of_those(transform, condition, 'numbers'))}.",
            bodies=_fold_bodies(fold, transform, condition),
            oracle=_fold_oracle(fold, transform, condition),
        )


def _fold_oracle(fold: Fold, transform: Transform, condition: Condition) -> Callable[[Numbers], int]:
    return lambda numbers: reduce(fold.combine, (transform.apply(x) for x in numbers if condition.holds(x)), fold.zero)


def _fold_bodies(fold: Fold, transform: Transform, condition: Condition) -> tuple[str, ...]:
    take = fold.update.format(e=transform.code.format(x="number"))
    test, negated = condition.code.format(x="number"), condition.negated.format(x="number")
    start = f"total = {fold.start}\n"
    return (
        f"{start}for number in numbers:\n    if {test}:\n        {take}\nreturn total",
        f"{start}for number in numbers:\n    if {negated}:\n        continue\n    {take}\nreturn total",
        f"chosen = [number for number in numbers if {test}]\n{start}for number in chosen:\n    {take}\nreturn total",
        f"{start}for index in range(len(numbers)):\n    number = numbers[index]\n    if {test}:\n        {take}\n"
        "return total",
    )


def counts() -> Iterator[Variant]:
    """How many numbers fulfil one condition, or one and another."""
    for first, second in product((None, *CONDITIONS), CONDITIONS):
        if first is second:
            continue
        both = second if first is None else _both(first, second)
        test, negated = both.code.format(x="number"), both.negated.format(x="number")
        yield _variant(
            "count",
            topic="conditions",
            name=identifier("count", both.slug),
            prompt=f"Return how many of the {both.of('numbers')} there are.",
            bodies=(
                f"count = 0\nfor number in numbers:\n    if {test}:\n        count += 1\nreturn count",
                f"count = 0\nfor number in numbers:\n    if {negated}:\n        continue\n    count += 1\nreturn count",
                f"chosen = []\nfor number in numbers:\n    if {test}:\n        chosen.append(number)\nreturn len(chosen)",
            ),
            oracle=lambda numbers, both=both: sum(map(both.holds, numbers)),
        )


def _both(first: Condition, second: Condition) -> Condition:
    return Condition(
        slug=f"{first.slug}_and_{second.slug}",
        phrase=f"numbers that are {first.predicate} and {second.predicate}",
        code=f"{first.code} and {second.code}",
        negated=f"{first.negated} or {second.negated}",
        holds=lambda x: first.holds(x) and second.holds(x),
    )


def collections() -> Iterator[Variant]:
    """A list of something of the numbers that fulfil a condition."""
    for transform, condition in product(ALL, CONDITIONS):
        made = transform.code.format(x="number")
        test, negated = condition.code.format(x="number"), condition.negated.format(x="number")
        yield _variant(
            "collect",
            name=identifier(transform.slug or "keep", condition.slug),
            prompt=f"Return a list of {of_those(transform, condition, 'numbers')}.",
            returns="list[int]",
            bodies=(
                f"result = []\nfor number in numbers:\n    if {test}:\n        result.append({made})\nreturn result",
                f"result = []\nfor number in numbers:\n    if {negated}:\n        continue\n"
                f"    result.append({made})\nreturn result",
                f"chosen = [number for number in numbers if {test}]\nreturn [{made} for number in chosen]",
            ),
            oracle=lambda numbers, t=transform, c=condition: [t.apply(x) for x in numbers if c.holds(x)],
        )


def searches() -> Iterator[Variant]:
    """The first or last number that fulfils a condition, or its position."""
    for (which, step), (what, name), condition, none in product(
        (("first", 1), ("last", -1)), (("", "find"), ("the position of ", "position")), CONDITIONS, (-1, 0)
    ):
        if what and none == 0:
            continue
        test = condition.code.format(x="number")
        plain = condition.code.format(x="numbers[index]")
        found = "index" if what else "number"
        order = "range(len(numbers))" if step == 1 else "range(len(numbers) - 1, -1, -1)"
        bodies = [
            f"for index in {order}:\n    if {plain}:\n        return {'index' if what else 'numbers[index]'}\nreturn {none}"
        ]
        if step == -1:
            pairs = "index, number in enumerate(numbers)" if what else "number in numbers"
            bodies.insert(0, f"found = {none}\nfor {pairs}:\n    if {test}:\n        found = {found}\nreturn found")
        elif what:
            bodies.insert(
                0, f"for index, number in enumerate(numbers):\n    if {test}:\n        return index\nreturn {none}"
            )
        else:
            bodies.insert(0, f"for number in numbers:\n    if {test}:\n        return number\nreturn {none}")
        yield _variant(
            "search",
            topic="loops",
            name=identifier(which, name, condition.slug, "or_zero" if none == 0 else ""),
            prompt=f"Return {what}the {which} of the {condition.of('numbers')}, or {none} if there is none.",
            bodies=tuple(bodies),
            oracle=_search_oracle(condition, step, bool(what), none),
        )


def _search_oracle(condition: Condition, step: int, position: bool, none: int) -> Callable[[Numbers], int]:
    def oracle(numbers: Numbers) -> int:
        places = [index for index, number in enumerate(numbers) if condition.holds(number)][::step]
        return none if not places else places[0] if position else numbers[places[0]]

    return oracle


def extremes() -> Iterator[Variant]:
    """The largest or smallest of something of the numbers that fulfil a condition."""
    for (word, sign, best), transform, condition in product(
        (("largest", ">", max), ("smallest", "<", min)), ALL[:8], CONDITIONS
    ):
        made, test = transform.code.format(x="number"), condition.code.format(x="number")
        chosen = f"chosen = [{made} for number in numbers if {test}]\nif not chosen:\n    return 0\n"
        yield _variant(
            "extreme",
            topic="conditions",
            name=identifier(word, transform.slug, condition.slug),
            prompt=f"Return the {word} of {of_those(transform, condition, 'numbers')}, or 0 if there are none.",
            bodies=(
                f"{chosen}best = chosen[0]\nfor value in chosen:\n    if value {sign} best:\n        best = value\nreturn best",
                f"{chosen}chosen.sort()\nreturn chosen[{-1 if best is max else 0}]",
                f"best = None\nfor number in numbers:\n    if {test}:\n        value = {made}\n"
                f"        if best is None or value {sign} best:\n            best = value\nreturn best or 0",
            ),
            oracle=lambda numbers, t=transform, c=condition, best=best: best(
                (t.apply(x) for x in numbers if c.holds(x)), default=0
            ),
        )


def choices() -> Iterator[Variant]:
    """A list that treats the numbers in one of two ways."""
    pairs = [(ALL[place], ALL[(place + gap) % 12]) for place in range(12) for gap in (2, 4, 7)]
    for condition, (first, second) in product(CONDITIONS, pairs):
        yes, no = first.code.format(x="number"), second.code.format(x="number")
        test, negated = condition.code.format(x="number"), condition.negated.format(x="number")
        yield _variant(
            "choose",
            topic="conditions",
            name=identifier(first.slug or "same", "if", condition.slug, "else", second.slug or "same"),
            prompt=f"Return a list of {first.of('the numbers')} if {condition.predicate}, "
            f"and otherwise of {second.of('the numbers')}.",
            returns="list[int]",
            bodies=(
                f"result = []\nfor number in numbers:\n    if {test}:\n        result.append({yes})\n    else:\n"
                f"        result.append({no})\nreturn result",
                f"result = []\nfor number in numbers:\n    if {negated}:\n        result.append({no})\n    else:\n"
                f"        result.append({yes})\nreturn result",
                f"result = []\nfor number in numbers:\n    value = {no}\n    if {test}:\n        value = {yes}\n"
                "    result.append(value)\nreturn result",
            ),
            oracle=lambda numbers, a=first, b=second, c=condition: [
                a.apply(x) if c.holds(x) else b.apply(x) for x in numbers
            ],
        )


NEIGHBOURS = (
    ("sums", "the sums", "{b} + {a}", lambda a, b: b + a),
    ("differences", "the differences", "{b} - {a}", lambda a, b: b - a),
    ("products", "the products", "{b} * {a}", lambda a, b: b * a),
    ("larger", "the larger", "max({a}, {b})", max),
    ("smaller", "the smaller", "min({a}, {b})", min),
    ("distances", "the distances", "abs({b} - {a})", lambda a, b: abs(b - a)),
)


def neighbours() -> Iterator[Variant]:
    """A list made of numbers and the ones one, two or three places before them."""
    for (slug, words, code, combine), gap, transform in product(NEIGHBOURS, (1, 2, 3), ALL[:9]):
        indexed = transform.code.format(x="value")
        value = code.format(a=f"numbers[index - {gap}]", b="numbers[index]")
        places = "one place" if gap == 1 else f"{gap} places"
        loop = f"for index in range({gap}, len(numbers)):"
        yield _variant(
            "neighbours",
            topic="loops",
            name=identifier(transform.slug, slug, f"gap_{gap}"),
            prompt=f"Return a list of {transform.of(words)} of each number and the one {places} before it.",
            returns="list[int]",
            bodies=(
                f"result = []\n{loop}\n    value = {value}\n    result.append({indexed})\nreturn result",
                f"result = []\nfor before, after in zip(numbers, numbers[{gap}:]):\n"
                f"    value = {code.format(a='before', b='after')}\n    result.append({indexed})\nreturn result",
            ),
            oracle=lambda numbers, f=combine, t=transform, gap=gap: [
                t.apply(f(a, b)) for a, b in zip(numbers, numbers[gap:], strict=False)
            ],
        )


def running() -> Iterator[Variant]:
    """A running sum, product or count of the numbers that fulfil a condition."""
    kinds = (
        ("sum", "sums", "total = 0\n", "total += number", lambda a, b: a + b, 0),
        ("product", "products", "total = 1\n", "total *= number", lambda a, b: a * b, 1),
        ("count", "counts", "total = 0\n", "total += 1", lambda a, b: a + 1, 0),
    )
    for (slug, words, start, take, combine, zero), condition, transform in product(kinds, CONDITIONS, ALL[:5]):
        test, negated = condition.code.format(x="number"), condition.negated.format(x="number")
        made = transform.code.format(x="total")
        yield _variant(
            "running",
            topic="loops",
            name=identifier("running", slug, transform.slug, condition.slug),
            prompt=f"Return a list of {transform.of('the running ' + words)} of the {condition.of('numbers')}.",
            returns="list[int]",
            bodies=(
                f"result = []\n{start}for number in numbers:\n    if {test}:\n        {take}\n"
                f"        result.append({made})\nreturn result",
                f"result = []\n{start}for number in numbers:\n    if {negated}:\n        continue\n    {take}\n"
                f"    result.append({made})\nreturn result",
            ),
            oracle=lambda numbers, f=combine, c=condition, t=transform, zero=zero: [
                t.apply(x) for x in list(accumulate([x for x in numbers if c.holds(x)], f, initial=zero))[1:]
            ],
        )


def rows() -> Iterator[Variant]:
    """A fold of every row of a table, or of the whole table."""
    for fold, transform, condition in product(FOLDS, ALL[:6], CONDITIONS):
        take = fold.update.format(e=transform.code.format(x="number"))
        test = condition.code.format(x="number")
        inner = f"    for number in row:\n        if {test}:\n            {take}\n"
        one = _fold_oracle(fold, transform, condition)
        yield _variant(
            "rows",
            name=identifier("row", fold.slug, transform.slug, condition.slug),
            prompt=f"Return a list with {fold.of(of_those(transform, condition, 'numbers'))} of each row.",
            parameters={"rows": "list[list[int]]"},
            returns="list[int]",
            inputs=each(ROWS),
            bodies=(
                f"result = []\nfor row in rows:\n    total = {fold.start}\n{inner}    result.append(total)\nreturn result",
            ),
            oracle=lambda rows, one=one: [one(row) for row in rows],
        )
        yield _variant(
            "table",
            topic="loops",
            name=identifier("table", fold.slug, transform.slug, condition.slug),
            prompt=f"Return {fold.of(of_those(transform, condition, 'numbers'))} in all rows.",
            parameters={"rows": "list[list[int]]"},
            inputs=each(ROWS),
            bodies=(f"total = {fold.start}\nfor row in rows:\n{inner}return total",),
            oracle=lambda rows, one=one: one([x for row in rows for x in row]),
        )


def pairwise() -> Iterator[Variant]:
    """A list made of two lists, position by position."""
    inputs = tuple((a, NUMBERS[(index + 3) % len(NUMBERS)]) for index, a in enumerate(NUMBERS))
    for (slug, words, code, combine), condition in product(NEIGHBOURS, CONDITIONS):
        value, test = code.format(a="left", b="right"), condition.code.format(x="value")
        yield _variant(
            "pairwise",
            name=identifier("pair", slug, condition.slug),
            prompt=f"Return a list of {words} of numbers and others at the same positions that are {condition.predicate}.",
            parameters={"numbers": "list[int]", "others": "list[int]"},
            returns="list[int]",
            inputs=inputs,
            bodies=(
                f"result = []\nfor left, right in zip(numbers, others):\n    value = {value}\n    if {test}:\n"
                "        result.append(value)\nreturn result",
                f"result = []\nfor index in range(min(len(numbers), len(others))):\n"
                f"    value = {code.format(a='numbers[index]', b='others[index]')}\n    if {test}:\n"
                "        result.append(value)\nreturn result",
            ),
            oracle=lambda a, b, f=combine, c=condition: [
                f(x, y) for x, y in zip(a, b, strict=False) if c.holds(f(x, y))
            ],
        )


def recursions() -> Iterator[Variant]:
    """A fold of every second or third number, by recursion."""
    for (fold, skip), transform, condition in product(product(FOLDS, (2, 3)), ALL[:7], CONDITIONS):
        made, test = transform.code.format(x="numbers[0]"), condition.code.format(x="numbers[0]")
        name = identifier(fold.slug, transform.slug, condition.slug, f"every_{skip}")
        sign = fold.update[len("total ")]
        every = "second" if skip == 2 else "third"
        one = _fold_oracle(fold, transform, condition)
        yield _variant(
            "recursion",
            topic="recursion",
            name=name,
            prompt=f"Return {fold.of(of_those(transform, condition, 'numbers'))} among every {every} of them.",
            bodies=(
                f"if not numbers:\n    return {fold.start}\nrest = {name}(numbers[{skip}:])\nif {test}:\n"
                f"    return rest {sign} {_bracketed(made, sign)}\nreturn rest",
                f"if len(numbers) == 0:\n    return {fold.start}\nhead = {fold.start}\nif {test}:\n    head = {made}\n"
                f"return head {sign} {name}(numbers[{skip}:])",
            ),
            oracle=lambda numbers, one=one, skip=skip: one(numbers[::skip]),
        )


def _bracketed(code: str, sign: str) -> str:
    return f"({code})" if sign == "*" and any(f" {operator} " in code for operator in ("+", "-", "//")) else code


def ranges() -> Iterator[Variant]:
    """A fold of the whole numbers between two bounds."""
    for fold, transform, condition in product(FOLDS, ALL[:9], CONDITIONS):
        take = fold.update.format(e=transform.code.format(x="number"))
        test, negated = condition.code.format(x="number"), condition.negated.format(x="number")
        start = f"total = {fold.start}\n"
        one = _fold_oracle(fold, transform, condition)
        yield _variant(
            "range",
            topic="loops",
            name=identifier("range", fold.slug, transform.slug, condition.slug),
            prompt=f"Return {fold.of(of_those(transform, condition, 'numbers'))} from low to high.",
            parameters={"low": "int", "high": "int"},
            inputs=PAIRS,
            bodies=(
                f"{start}for number in range(low, high + 1):\n    if {test}:\n        {take}\nreturn total",
                f"{start}number = low\nwhile number <= high:\n    if {test}:\n        {take}\n    number += 1\nreturn total",
                f"{start}for number in range(low, high + 1):\n    if {negated}:\n        continue\n    {take}\nreturn total",
            ),
            oracle=lambda low, high, one=one: one(list(range(low, high + 1))),
        )


FAMILIES = (
    folds,
    counts,
    collections,
    searches,
    extremes,
    choices,
    neighbours,
    running,
    rows,
    pairwise,
    recursions,
    ranges,
)
