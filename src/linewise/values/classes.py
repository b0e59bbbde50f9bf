"""The four outcomes of a program that CodeRL's critic tells apart (arXiv:2207.01780, section 3.2). Torch-free."""

from dataclasses import dataclass
from enum import IntEnum

from linewise.types import Floats, Verdict


class OutcomeClass(IntEnum):
    """What became of a program; the value is the place of its logit."""

    COMPILE_ERROR = 0
    RUNTIME_ERROR = 1
    FAILED = 2
    PASSED = 3

    @property
    def words(self) -> str:
        """For people: `compile error`."""
        return self.name.lower().replace("_", " ")


def outcome_class(verdict: Verdict) -> OutcomeClass:
    """The outcome of a verdict. Timeouts, memory, output limits and crashes, which the paper has not, are runtime errors."""
    match verdict:
        case Verdict.PASSED:
            return OutcomeClass.PASSED
        case Verdict.FAILED:
            return OutcomeClass.FAILED
        case Verdict.SYNTAX_ERROR:
            return OutcomeClass.COMPILE_ERROR
        case _:
            return OutcomeClass.RUNTIME_ERROR


@dataclass(frozen=True, kw_only=True)
class PassProbs:
    """What a critic says of one program's chance to pass."""

    prefixes: Floats
    """[T] p(pass | w_1..t) after each sampled token, in (0, 1)."""
    program: float
    """p(pass | W) of the whole program, in (0, 1)."""
