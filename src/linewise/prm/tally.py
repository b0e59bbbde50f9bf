"""Counting what labelling did: programs, cost against the linear scan, false negatives, audit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from linewise.prm.completer import Round
from linewise.prm.labels import Kind, LabelledProgram


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Sums over programs and prefixes; the tallies of two blocks add up."""

    num_sampled: int = 0
    """Programs sampled and judged."""
    num_dropped: int = 0
    """Programs that the judge could not judge."""
    num_skipped: int = 0
    """Programs that the selection cannot keep, which were not searched."""
    num_given_up: int = 0
    """Programs left out since the allowance did not pay for the rest of their search."""
    sampled_tokens: int = 0
    """Tokens of the sampled programs; so for the next."""
    sampled_verdicts: int = 0
    num_correct: int = 0
    num_revised: int = 0
    num_wrong: int = 0
    num_written: int = 0
    """Programs that the selection kept."""
    num_positive: int = 0
    """Lines labelled +1, in searched programs; so for the next two."""
    num_neutral: int = 0
    num_negative: int = 0
    num_searches: int = 0
    """Failing programs with at least one line."""
    num_queries: int = 0
    """Answers that the searches took."""
    num_prefixes: int = 0
    """Distinct prefixes completed for them; the other queries shared an answer."""
    num_completions: int = 0
    num_verdicts: int = 0
    num_tokens: int = 0
    """Tokens of the searches' completions."""
    num_strays: int = 0
    num_faults: int = 0
    full_completions: int = 0
    """queries * K: the searches without early stop and sharing."""
    linear_completions: int = 0
    """T * K for each failing program: the linear scan."""
    num_recoverable: int = 0
    """Distinct prefixes with a completion that passed."""
    sum_false_negative: float = 0.0
    """Sum over those of (1 - p)^K, p the share of their completions that passed."""
    num_audits: int = 0
    num_lost: int = 0
    """Audits of which no completion passed, though the labels call the prefix recoverable."""
    num_found: int = 0
    """Audits of which one passed, though the labels call the prefix not recoverable."""
    audit_completions: int = 0
    audit_tokens: int = 0
    audit_verdicts: int = 0
    seconds_generate: float = 0.0
    seconds_judge: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    @classmethod
    def total(cls, records: Iterable[Mapping[str, Any]]) -> Self:
        """The sum of tallies in their JSON form."""
        return sum((cls(**record) for record in records), cls())

    def to_record(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @property
    def programs(self) -> int:
        """Everything sampled: programs, completions and those of audits. What a budget counts."""
        return self.num_sampled + self.num_dropped + self.num_completions + self.audit_completions

    @property
    def tokens(self) -> int:
        """Tokens of all that."""
        return self.sampled_tokens + self.num_tokens + self.audit_tokens

    @property
    def verdicts(self) -> int:
        """Distinct programs judged, of all that."""
        return self.sampled_verdicts + self.num_verdicts + self.audit_verdicts

    @property
    def num_labelled(self) -> int:
        """Lines that got a label other than 0."""
        return self.num_positive + self.num_negative

    @property
    def false_negative_rate(self) -> float | None:
        """Estimated chance that a recoverable prefix is called unrecoverable; None without a recoverable prefix.

        The mean of (1 - p)^K over prefixes that were seen to be recoverable, with p observed. Those that were missed are
        not in it, and their p is smaller: read it as a lower bound.
        """
        return self.sum_false_negative / self.num_recoverable if self.num_recoverable else None

    @property
    def contradiction_rate(self) -> float | None:
        """Share of audited prefixes whose second test contradicts their labels; None without an audit."""
        return (self.num_lost + self.num_found) / self.num_audits if self.num_audits else None


def false_negative_rate(success: float, num_completions: int) -> float:
    """(1 - p)^K: the chance that none of K completions of a prefix passes of which a share p would.

    Example: 0.36 at p = 0.05 and K = 20.
    """
    return float((1 - success) ** num_completions)


def tally_of_round(done: Round, *, num_completions: int, is_audit: bool = False) -> Tally:
    """What the prefixes of one round cost; K is `num_completions`."""
    seconds = Tally(seconds_generate=done.seconds_generate, seconds_judge=done.seconds_judge)
    completions = sum(answer.num_completions for answer in done.answers)
    tokens, verdicts = (sum(getattr(one, name) for one in done.answers) for name in ("num_tokens", "num_verdicts"))
    if is_audit:
        return seconds + Tally(audit_completions=completions, audit_tokens=tokens, audit_verdicts=verdicts)
    passed = [answer for answer in done.answers if answer.num_passed]
    shares = [answer.num_passed / answer.num_completions for answer in passed]
    return seconds + Tally(
        num_prefixes=len(done.answers),
        num_completions=completions,
        num_verdicts=verdicts,
        num_tokens=tokens,
        num_strays=sum(answer.num_strays for answer in done.answers),
        num_faults=sum(answer.num_faults for answer in done.answers),
        num_recoverable=len(passed),
        sum_false_negative=sum(false_negative_rate(share, num_completions) for share in shares),
    )


def tally_of_programs(programs: Sequence[LabelledProgram], *, num_completions: int) -> Tally:
    """What labelled programs say: kinds, labels, what their searches would have cost alone, and audits."""
    searched = [program for program in programs if program.kind is not Kind.CORRECT and program.labels]
    audits = [(program, audit) for program in searched for audit in program.audits]
    num_queries = sum(len(program.queries) for program in searched)
    kinds = [program.kind for program in programs]
    labels = [label for program in programs for label in program.labels]
    return Tally(
        num_correct=kinds.count(Kind.CORRECT),
        num_revised=kinds.count(Kind.REVISED),
        num_wrong=kinds.count(Kind.WRONG),
        num_positive=labels.count(1),
        num_neutral=labels.count(0),
        num_negative=labels.count(-1),
        num_searches=len(searched),
        num_queries=num_queries,
        full_completions=num_queries * num_completions,
        linear_completions=sum(len(program.labels) for program in searched) * num_completions,
        num_audits=len(audits),
        num_lost=sum(expected(program, audit.lines) and not audit.recoverable for program, audit in audits),
        num_found=sum(not expected(program, audit.lines) and audit.recoverable for program, audit in audits),
    )


def expected(program: LabelledProgram, lines: int) -> bool:
    """Whether the search holds the prefix of so many lines recoverable."""
    return lines <= max((query.lines for query in program.queries if query.recoverable), default=0)
