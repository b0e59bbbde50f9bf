"""The rules of the task format. Each fault is a TaskError with the place, the value, the rule and the remedy."""

import ast
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from linewise.errors import TaskError, did_you_mean
from linewise.tasks.literals import check_literal
from linewise.types import Checker, Limits

LONGEST_VALUE = 80
"""Characters of a wrong value that an error shows."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A type of JSON value."""

    name: str
    types: tuple[type, ...]

    def fits(self, value: object) -> bool:
        """Whether a value is of this kind. In Python True is an int; here it is not."""
        return isinstance(value, self.types) and (not isinstance(value, bool) or bool in self.types)


STRING = Kind(name="a string", types=(str,))
STRING_OR_NULL = Kind(name="a string or null", types=(str, type(None)))
BOOLEAN = Kind(name="true or false", types=(bool,))
INTEGER = Kind(name="a whole number", types=(int,))
NUMBER = Kind(name="a number", types=(int, float))
NUMBER_OR_NULL = Kind(name="a number or null", types=(int, float, type(None)))
OBJECT = Kind(name="an object", types=(dict,))
LIST = Kind(name="a list", types=(list,))


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What an object may hold."""

    required: Mapping[str, Kind]
    optional: Mapping[str, Kind]

    def check(self, record: object, where: str) -> dict[str, Any]:
        """The object itself. Raises TaskError for a wrong, unknown or missing field."""
        known = {**self.required, **self.optional}
        if not isinstance(record, dict):
            raise TaskError(f"{where}: {_shown(record)} must be an object with the fields {', '.join(known)}.")
        for name, value in record.items():
            if name not in known:
                raise TaskError(
                    f"{where}: unknown field '{name}'.{did_you_mean(name, known)} There are: {', '.join(known)}."
                )
            if not known[name].fits(value):
                raise TaskError(f"{where}, field '{name}': {_shown(value)} must be {known[name].name}; change it.")
        for name in self.required:
            if name not in record:
                raise TaskError(f"{where}, field '{name}': it is missing; add {self.required[name].name}.")
        return record


TASK = Rule(
    required={"id": STRING, "prompt": STRING, "tests": LIST},
    optional={
        "entry_point": STRING_OR_NULL,
        "signature": STRING_OR_NULL,
        "setup": STRING_OR_NULL,
        "checker_code": STRING_OR_NULL,
        "reference": STRING_OR_NULL,
        "limits": OBJECT,
        "metadata": OBJECT,
    },
)
COMPARED = {"example": BOOLEAN, "tolerance": NUMBER_OR_NULL, "checker": STRING, "alternatives": LIST}
TESTS = {
    "call": Rule(required={"kind": STRING, "call": STRING, "expected": STRING}, optional=COMPARED),
    "assert": Rule(required={"kind": STRING, "code": STRING}, optional={"example": BOOLEAN}),
    "stdin": Rule(required={"kind": STRING, "input": STRING, "expected": STRING}, optional=COMPARED),
}
CHECKERS = tuple(Checker)
WITH_TOLERANCE = (Checker.EXACT, Checker.UNORDERED)
CHECK_ARGUMENTS = 3
ENTRY_POINT = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)?")
LIMITS = Rule(
    required={}, optional={field.name: INTEGER if field.type in (int, "int") else NUMBER for field in fields(Limits)}
)


def check_task(record: object, where: str) -> dict[str, Any]:
    """The object itself, if it is a task. Raises TaskError at the first fault."""
    values = TASK.check(record, where)
    if not values["id"].strip():
        raise TaskError(f"{where}, field 'id': it is empty; give the task a name.")
    if not values["tests"]:
        raise TaskError(f"{where}, field 'tests': the list is empty; a task needs at least one test.")
    for name, value in LIMITS.check(values.get("limits", {}), f"{where}, field 'limits'").items():
        if not 0 < value < math.inf:
            raise TaskError(f"{where}, field 'limits.{name}': {value} must be above 0 and finite; change it.")
    for name, value in values.get("metadata", {}).items():
        if not isinstance(value, str):
            raise TaskError(f"{where}, field 'metadata.{name}': {_shown(value)} must be a string; write it in quotes.")
    _check_code_fields(values, where)
    for index, test in enumerate(values["tests"]):
        _check_test(test, f"{where}, field 'tests[{index}]'", has_code=values.get("checker_code") is not None)
    return values


def _check_code_fields(values: dict[str, Any], where: str) -> None:
    entry_point, signature, setup = (values.get(name) for name in ("entry_point", "signature", "setup"))
    if entry_point is not None and not ENTRY_POINT.fullmatch(entry_point):
        raise TaskError(
            f"{where}, field 'entry_point': {_shown(entry_point)} must be the name of a function, or Class.method."
        )
    if signature is not None:
        place = f"{where}, field 'signature'"
        if signature.endswith("\n"):
            raise TaskError(f"{place}: {_shown(signature)} must end without a newline; cut it.")
        _check_code(f"{signature} pass", place, shown=signature, rule="code that ends with the colon of a `def` line")
    if values.get("checker_code") is not None:
        _check_checker_code(values["checker_code"], f"{where}, field 'checker_code'")
    if setup is not None:
        _check_code(setup, f"{where}, field 'setup'", shown=setup, rule="Python code")


def _check_checker_code(code: str, where: str) -> None:
    _check_code(code, where, shown=code, rule="Python code")
    functions = [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    if not functions or len(functions[-1].args.posonlyargs + functions[-1].args.args) != CHECK_ARGUMENTS:
        raise TaskError(f"{where}: {_shown(code)} must define a function check(input, expected, actual); add it.")


def _check_test(record: object, where: str, *, has_code: bool) -> None:
    kind = record.get("kind") if isinstance(record, dict) else None
    if not isinstance(kind, str) or kind not in TESTS:
        raise TaskError(
            f"{where}, field 'kind': {_shown(kind)} must be one of {', '.join(TESTS)}.{did_you_mean(str(kind), TESTS)}"
        )
    values = TESTS[kind].check(record, where)
    if kind == "assert":
        _check_code(values["code"], f"{where}, field 'code'", shown=values["code"], rule="Python statements")
        return
    if kind == "call":
        call = values["call"]
        _check_code(call.strip(), f"{where}, field 'call'", shown=call, rule="a Python expression", mode="eval")
    _check_comparison(values, where, literals=kind == "call", has_code=has_code)


def _check_comparison(values: dict[str, Any], where: str, *, literals: bool, has_code: bool) -> None:
    """The fields that say which results a test accepts."""
    accepted = {"expected": values["expected"]}
    accepted |= {f"alternatives[{index}]": text for index, text in enumerate(values.get("alternatives", ()))}
    for field, text in accepted.items():
        if not isinstance(text, str):
            raise TaskError(f"{where}, field '{field}': {_shown(text)} must be a string; change it.")
        if literals:
            _check_literal(text, f"{where}, field '{field}'")
    tolerance, checker = values.get("tolerance"), values.get("checker", Checker.EXACT)
    if checker not in CHECKERS:
        names = [str(known) for known in CHECKERS]
        raise TaskError(
            f"{where}, field 'checker': {_shown(checker)} must be one of {', '.join(names)}.{did_you_mean(checker, names)}"
        )
    if checker == Checker.CODE and not has_code:
        raise TaskError(f"{where}, field 'checker': 'code' needs the task's field 'checker_code'; add it.")
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise TaskError(f"{where}, field 'tolerance': {tolerance} must be above 0 and finite; null means exact.")
    if tolerance is not None and checker not in WITH_TOLERANCE:
        raise TaskError(f"{where}, field 'tolerance': the checker '{checker}' takes no tolerance; leave it out.")


def _check_literal(text: str, where: str) -> None:
    try:
        check_literal(text)
    except ValueError as error:
        raise TaskError(
            f"{where}: {_shown(text)} must be a Python literal ({error}); "
            "write the value itself, strings in quotes, or use a test of the kind 'assert'."
        ) from error


def _check_code(code: str, where: str, *, shown: str, rule: str, mode: str = "exec") -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as `is` with a literal: unwise, but not wrong
            compile(code, "<task>", mode, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise TaskError(f"{where}: {_shown(shown)} must be {rule} ({error}); mend it.") from error


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."
