"""Suspiciousness credit (ours): group-relative advantages, spread over the lines that the tests blame or praise."""

from linewise.credit.group import GroupBaseline
from linewise.credit.reinforce import Reinforce
from linewise.credit.suspiciousness import Suspiciousness
from linewise.losses.aggregate import Aggregation
from linewise.recipes.on_policy import LEARNING_RATE, on_policy
from linewise.training.config import Recipe, UpdateOptions


def suspiciousness() -> Recipe[Suspiciousness[Reinforce]]:
    """Suspiciousness: negative credit on lines that failing tests run, positive on those of passing ones (ours)."""
    return on_policy(
        Suspiciousness(inner=Reinforce(baseline=GroupBaseline.MEAN)),
        update=UpdateOptions(
            samples_per_step=64,
            learning_rate=LEARNING_RATE,
            weight_decay=0.0,
            aggregation=Aggregation.SEQUENCE_SUM,
            tokens_per_micro_batch=1024,
        ),
    )
