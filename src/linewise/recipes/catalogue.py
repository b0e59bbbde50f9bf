"""All recipes by name."""

from collections.abc import Callable, Mapping

from linewise.recipes.coderl import coderl
from linewise.recipes.grpo import cispo, dapo, dr_grpo, grpo, gspo
from linewise.recipes.ircoco import ircoco
from linewise.recipes.ppo import ppo
from linewise.recipes.process_grpo import process_grpo
from linewise.recipes.psgpo import dense_ppo
from linewise.recipes.reinforce import reinforce, rloo
from linewise.recipes.reinforce_plus_plus import reinforce_plus_plus, reinforce_plus_plus_baseline
from linewise.recipes.rltf import rltf
from linewise.recipes.stepcoder import stepcoder
from linewise.recipes.suspiciousness import suspiciousness
from linewise.recipes.tp_grpo import tp_grpo
from linewise.recipes.vineppo import vineppo
from linewise.training.config import AnyRecipe

RECIPES: Mapping[str, Callable[[], AnyRecipe]] = {
    "rltf": rltf,
    "ppo": ppo,
    "dense-ppo": dense_ppo,
    "reinforce": reinforce,
    "rloo": rloo,
    "grpo": grpo,
    "process-grpo": process_grpo,
    "dr-grpo": dr_grpo,
    "dapo": dapo,
    "gspo": gspo,
    "cispo": cispo,
    "reinforce++": reinforce_plus_plus,
    "reinforce++-baseline": reinforce_plus_plus_baseline,
    "vineppo": vineppo,
    "stepcoder": stepcoder,
    "coderl": coderl,
    "ircoco": ircoco,
    "tp-grpo": tp_grpo,
    "suspiciousness": suspiciousness,
}
"""What the command line knows by name; the first line of a function's docstring is what it says of it."""
