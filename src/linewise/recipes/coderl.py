"""CodeRL (Le et al. 2022, arXiv:2207.01780): token weights from an outcome critic, a greedy baseline, L_ce + L_rl.

The critic is trained beforehand: `linewise coderl critic --policy P --tasks T --out FOLDER`. Deviations:

C1. 16 tasks x 4 programs a step instead of 256 sequences, and a learning rate of 2e-5 instead of 2e-6.
C2. The actor is the policy of the run, not CodeT5; the critic is decoder-only.
"""

from linewise.credit.coderl import CodeRL
from linewise.losses.aggregate import Aggregation
from linewise.recipes.on_policy import LEARNING_RATE, on_policy
from linewise.rollout.baselines import BaseProgram
from linewise.training.config import Recipe, SupervisedOptions, UpdateOptions


def coderl() -> Recipe[CodeRL]:
    """CodeRL: token weights from an outcome critic; `--outcome-critic FOLDER` names it (arXiv:2207.01780)."""
    return on_policy(
        CodeRL(),
        tasks_per_step=16,
        num_samples=4,
        base_program=BaseProgram.LATEST_GREEDY,  # paper: a greedy decode
        supervised=SupervisedOptions(references_per_step=16, weight=1.0),  # paper: equal weights
        update=UpdateOptions(
            samples_per_step=64,  # paper: 256 (C1)
            learning_rate=LEARNING_RATE,  # paper: 2e-6 (C1)
            weight_decay=0.05,
            aggregation=Aggregation.SEQUENCE_SUM,  # paper: the sum over tokens
            tokens_per_micro_batch=1024,
        ),
    )
