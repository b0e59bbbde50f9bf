"""Best-of-N: how often the program that a ranker puts first passes, beside a random one and the best one there is."""

from dataclasses import dataclass

from linewise.evaluation.evaluate import Evaluation
from linewise.evaluation.intervals import Estimate, bootstrap_mean
from linewise.evaluation.pass_at_k import pass_at_k


@dataclass(frozen=True, kw_only=True)
class Reranking:
    """What ranking gains, over the tasks of one evaluation."""

    first: Estimate
    """pass@1 of a program drawn at random."""
    picked: Estimate
    """Pass rate of the program that is ranked best among N."""
    any: Estimate
    """pass@N: the most that any ranking could reach."""
    gain: Estimate
    """Paired difference `picked` - `first`, task by task."""


def reranking(evaluation: Evaluation) -> Reranking:
    """The estimates of an evaluation that was made with a ranker, with bootstrap intervals over tasks.

    Raises ValueError for one that was made without.
    """
    first = [pass_at_k(one.num_samples, one.num_passed, 1) for one in evaluation.results]
    picked = [one.picked for one in evaluation.results if one.picked is not None]
    if len(picked) < len(first):
        raise ValueError("this evaluation was made without a ranker, so no program was picked")
    return Reranking(
        first=bootstrap_mean(first),
        picked=bootstrap_mean(picked),
        any=bootstrap_mean([float(one.num_passed > 0) for one in evaluation.results]),
        gain=bootstrap_mean([after - before for before, after in zip(first, picked, strict=True)]),
    )
