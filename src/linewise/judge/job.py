"""What the parent asks of a child: a tuple, which travels as marshal and costs a child less than a dictionary would."""

from types import CodeType
from typing import Any, NamedTuple


class Job(NamedTuple):
    """One request. It goes from the parent to a child, which is why marshal is safe; never the other way."""

    role: str
    """`tests`, `script`, `program` or `examiner`."""
    cpu_seconds: float
    """For loading the program, and for each test."""
    total_cpu_seconds: float
    """What is left for everything that the child does."""
    max_cpu_seconds: int
    """RLIMIT_CPU, a backstop."""
    memory_bytes: int
    """On top of what the zygote holds."""
    output_bytes: int
    """Largest encoded result."""
    source: str = ""
    """The program; empty for an examiner, which must not hold it."""
    setup: CodeType | None = None
    first_test: int = 0
    """Index of the first of `tests` among the task's."""
    tests: tuple[Any, ...] = ()
    """For each test, whether it is a call, and its code; for an examiner the codes alone."""
    stdin: bytes = b""
    nonce: str = ""
    """What a claim of a passed assertion must carry."""
    record_lines: bool = False
    borrowed: frozenset[str] = frozenset()
    """Names that an examiner's tests may look up in the program."""
    modules: frozenset[str] = frozenset()
    """Modules that they use without importing them."""
