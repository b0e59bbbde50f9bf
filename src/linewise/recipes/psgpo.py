"""Process-supervision-guided policy optimisation (Dai et al. 2024, arXiv:2410.17621) as a run of four phases.

    1. baseline   PPO from the starting policy with the unit-test reward alone; the policy is exported four times on the way
    2. label      lines of programs of those four policies, labelled by completing their beginnings
    3. prm        a process reward model, trained on the labels
    4. final      PPO from the starting policy again, with the model as dense reward, as the critic's start, or as both

The mathematics stands in `credit/psgpo.py` (dense reward), `prm/label.py` (labels), `training/prm.py` (model) and
`values/critic.py` (ValueInit); here stand the numbers. Deviations:

D1. Steps, programs and learning rates are those of `recipes/ppo.py` (its P1 to P3): a model of a hundred million parameters
    on two cores instead of one of billions.
D2. K = 8 completions of a prefix instead of 20, since labels are most of the cost; `--label.num-completions 20` gives the
    paper's.
D3. ValueInit rescales the head to (score + 1) / 2, a probability, and the critic learns alone in its first two steps; the
    paper says neither.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from linewise.credit.ppo import PPO
from linewise.credit.psgpo import PSGPO
from linewise.credit.reward import TokenReward
from linewise.prm.label import LabelOptions
from linewise.recipes.on_policy import MAX_NEW_TOKENS, on_policy
from linewise.recipes.ppo import CRITIC_LEARNING_RATE, ppo, ppo_update
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.training.config import CriticOptions, Recipe
from linewise.training.fit_options import FitOptions
from linewise.types import Sampling

NUM_POLICIES = 4
"""Policies of the baseline run whose programs are labelled, spread over it, its last export included."""


SHARED = ("policy", "tasks", "limit_tasks", "seed", "evaluation", "precision", "workers", "lora")
"""Settings of the baseline that hold for the last phase too."""


class Use(StrEnum):
    """What the process reward model is used for in the last phase: the paper's four columns."""

    BASELINE = "baseline"
    """For nothing: the outcome alone."""
    DENSE = "dense"
    """As dense reward."""
    VALUE = "value"
    """As the critic's initial weights."""
    BOTH = "both"
    """As dense reward and as the critic's initial weights."""


@dataclass(frozen=True, kw_only=True)
class Phases:
    """The settings of the four phases."""

    use: Use = Use.BOTH
    """What the process reward model is used for in the last phase."""
    baseline: Recipe[PPO]
    """Phase 1. Its policy, tasks, seed and evaluation are those of all phases."""
    label: LabelOptions
    """Phase 2."""
    label_limit: int | None = None
    """Label programs of only this many tasks, drawn by the seed."""
    prm: FitOptions
    """Phase 3."""
    final: Recipe[PSGPO]
    """Phase 4."""

    def __post_init__(self) -> None:
        """Refuses a baseline run that is too short for four policies, and settings that the last phase would not heed."""
        if self.baseline.steps < NUM_POLICIES:
            raise ValueError(
                f"baseline.steps={self.baseline.steps} is too short: {NUM_POLICIES} policies of the run are labelled. Give at "
                f"least {NUM_POLICIES}."
            )
        usual = dense_ppo()
        for name in (*SHARED, "prm"):
            value = getattr(self.final, name)
            if value not in (getattr(usual, name), getattr(self.baseline, name)):
                raise ValueError(
                    f"final.{name}={value} would not be heeded: all phases share the baseline's. Set it as baseline.{name}, or "
                    "run the last phase alone with `linewise train dense-ppo`."
                )


def dense_ppo() -> Recipe[PSGPO]:
    """PPO with a process reward model as dense reward; `--prm FOLDER` names it (arXiv:2410.17621)."""
    return on_policy(
        PSGPO(ppo=PPO(reward=TokenReward(kl_coef=0.01), gae_lambda=0.95)),
        tasks_per_step=16,
        num_samples=4,
        update=ppo_update(),
        critic=CriticOptions(learning_rate=CRITIC_LEARNING_RATE, warmup_steps=2),
    )


def psgpo() -> Phases:
    """PSGPO: PPO, line labels, a process reward model, PPO with it (arXiv:2410.17621)."""
    return Phases(
        baseline=ppo(),
        label=LabelOptions(
            num_samples=4,
            num_completions=8,  # paper: 20 (D2)
            first_chunk=4,
            sampling=Sampling(temperature=1.0, max_new_tokens=MAX_NEW_TOKENS),
            prompts=PromptOptions(style=PromptStyle.COMPLETION),
        ),
        prm=FitOptions(programs_per_step=16),
        final=dense_ppo(),
    )


def baseline_of(phases: Phases) -> Recipe[PPO]:
    """The recipe of phase 1: its policy is exported after every quarter of the steps."""
    return replace(phases.baseline, export_every=phases.baseline.steps // NUM_POLICIES)


def final_of(phases: Phases, prm: str) -> Recipe[PSGPO] | Recipe[PPO]:
    """The recipe of phase 4 with the process reward model in the folder `prm`, used as `phases.use` says.

    What all phases share comes from the baseline's settings: policy, tasks, seed, evaluation, precision, workers.
    """
    first, final = phases.baseline, phases.final
    critic = final.critic
    if phases.use in (Use.VALUE, Use.BOTH):
        critic = replace(critic, init=prm, rescale=True)
    shared: dict[str, Any] = {**{name: getattr(first, name) for name in SHARED}, "critic": critic}
    if phases.use in (Use.DENSE, Use.BOTH):
        return replace(final, **shared, prm=prm)
    # Without the dense reward the credit is PPO's own, which asks for no line scores.
    outcome: Recipe[PPO] = Recipe(**{**vars(final), "credit": final.credit.ppo, **shared})
    return outcome
