"""TP-GRPO (arXiv:2507.23317): GRPO whose advantages a judge of lines corrects; the judge is a process reward model.

Deviations, beside those of the credit and of `recipes/grpo.py` (G1, G3):

T1. The judge is a trained process reward model (`--prm FOLDER`) instead of a large language model that labels thoughts.
"""

from linewise.credit.tp_grpo import TPGRPO
from linewise.losses.aggregate import Aggregation
from linewise.losses.options import SurrogateOptions
from linewise.recipes.on_policy import LEARNING_RATE, on_policy
from linewise.training.config import Recipe, UpdateOptions


def tp_grpo() -> Recipe[TPGRPO]:
    """TP-GRPO: GRPO with a judge of lines; `--prm FOLDER` names it (arXiv:2507.23317)."""
    return on_policy(
        TPGRPO(),
        update=UpdateOptions(
            samples_per_step=64,
            learning_rate=LEARNING_RATE,
            weight_decay=0.0,
            aggregation=Aggregation.TOKEN_MEAN,
            surrogate=SurrogateOptions(clip_low=0.2, clip_high=0.2),
            tokens_per_micro_batch=1024,
        ),
    )
