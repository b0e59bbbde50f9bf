"""GRPO with process supervision (arXiv:2402.03300, section 4.1.3): the outcome, and a process reward model's line scores.

Deviations, beside those of the credit and of `recipes/grpo.py` (G1 to G3), whose update this is:

S1. The process reward model is trained on line labels (`prm/label.py`) instead of steps of mathematics; `--prm FOLDER`.
S2. The paper trains the reward model anew while the policy learns; here it stays as it is.
"""

from linewise.credit.process_grpo import ProcessGRPO
from linewise.recipes.grpo import grpo
from linewise.recipes.on_policy import on_policy
from linewise.training.config import Recipe


def process_grpo() -> Recipe[ProcessGRPO]:
    """GRPO with process supervision beside the outcome; `--prm FOLDER` names the judge of lines (arXiv:2402.03300)."""
    return on_policy(ProcessGRPO(), update=grpo().update)
