"""IRCoCo (Li et al. 2024, arXiv:2401.16637): immediate rewards from an evaluator of unfinished programs.

The evaluator is a process reward model, read as a probability (`--prm FOLDER`). Deviations, beside those of the credit:

I1. The evaluator is trained on labels from unit tests instead of BLEU or edit similarity of the completed code.
I2. There is no supervised warm-up, and no supervised term.
"""

from linewise.credit.ircoco import IRCoCo
from linewise.losses.aggregate import Aggregation
from linewise.recipes.on_policy import LEARNING_RATE, on_policy
from linewise.training.config import LineValueSource, Recipe, UpdateOptions


def ircoco() -> Recipe[IRCoCo]:
    """IRCoCo: the change of an evaluator's forecast, line by line; `--prm FOLDER` names it (arXiv:2401.16637)."""
    return on_policy(
        IRCoCo(),
        line_values=LineValueSource.PRM,
        update=UpdateOptions(
            samples_per_step=64,
            learning_rate=LEARNING_RATE,
            weight_decay=0.0,
            aggregation=Aggregation.SEQUENCE_SUM,
            tokens_per_micro_batch=1024,
        ),
    )
