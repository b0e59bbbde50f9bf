"""How well an outcome critic tells outcomes apart, on programs of tasks that it was not trained on. Torch-free."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from linewise.prm.metrics import auc
from linewise.values.classes import OutcomeClass


@dataclass(frozen=True, kw_only=True)
class PredictedProgram:
    """What a critic said of one program, and what became of it."""

    probs: tuple[float, ...]
    """[C] p(u | W) of each outcome, in the order of `OutcomeClass`."""
    outcome: OutcomeClass


@dataclass(frozen=True, kw_only=True)
class OutcomeMetrics:
    """Held-out quality. A share of nothing is NaN."""

    loss: float
    """Mean of - log p(true outcome), in nats."""
    loss_of_shares: float
    """The same for a critic that always says the shares of the training programs: the loss to beat."""
    accuracy: float
    """Share of programs whose likeliest outcome is the true one."""
    majority_accuracy: float
    """The same for a critic that always says the most frequent outcome held out: the accuracy to beat."""
    accuracy_of_class: tuple[float, ...]
    """[C] the accuracy among the programs of each outcome."""
    confusion: tuple[tuple[int, ...], ...]
    """[C, C] programs of the outcome in the row, said to be that of the column."""
    auc: float
    """P(p(pass) of a program that passes > that of one that does not), ties counting half."""
    num_programs: int

    def to_record(self, prefix: str = "") -> dict[str, Any]:
        """Flat JSON form; NaN becomes None."""
        return {prefix + name: _plain(value) for name, value in asdict(self).items()}


def measure_outcomes(programs: Sequence[PredictedProgram], shares: Sequence[float]) -> OutcomeMetrics:
    """All numbers; `shares` [C] are those of the outcomes in training, none of them 0 for an outcome that is held out.

    Example: two programs, passed and failed, of which the critic says "passed" with .9 and .6: accuracy 1/2, AUC 1.
    """
    assert programs, "something is held out"
    probs = np.array([one.probs for one in programs], dtype=np.float64)
    truths = np.array([int(one.outcome) for one in programs])
    said = probs.argmax(axis=1)
    confusion = np.zeros((len(OutcomeClass), len(OutcomeClass)), dtype=int)
    np.add.at(confusion, (truths, said), 1)
    counts = confusion.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_class = np.diag(confusion) / counts
        true_probs = probs[np.arange(len(truths)), truths]
        loss, loss_of_shares = -np.log(true_probs).mean(), -np.log(np.asarray(shares)[truths]).mean()
    signs = np.where(truths == OutcomeClass.PASSED, 1, -1)
    return OutcomeMetrics(
        loss=float(loss),
        loss_of_shares=float(loss_of_shares),
        accuracy=float((said == truths).mean()),
        majority_accuracy=float(counts.max() / len(truths)),
        accuracy_of_class=tuple(of_class.tolist()),
        confusion=tuple(map(tuple, confusion.tolist())),
        auc=auc(probs[:, OutcomeClass.PASSED], signs),
        num_programs=len(programs),
    )


def outcome_shares(outcomes: Sequence[OutcomeClass]) -> tuple[float, ...]:
    """[C] share of each outcome, one program of each added (Laplace), so that none is 0."""
    counts = np.bincount([int(outcome) for outcome in outcomes], minlength=len(OutcomeClass)) + 1
    return tuple((counts / counts.sum()).tolist())


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
