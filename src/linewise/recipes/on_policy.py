"""What the recipes without references have in common, sized so that SmolLM2-135M learns within minutes on two cores."""

from typing import TypeVar

from linewise.rollout.baselines import BaseProgram
from linewise.rollout.buffer import BufferOptions
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.training.config import (
    CollectionOptions,
    CriticOptions,
    EvaluationOptions,
    LineValueSource,
    Recipe,
    SupervisedOptions,
    UpdateOptions,
)
from linewise.types import CreditAssigner, Sampling

CreditT = TypeVar("CreditT", bound=CreditAssigner)

MAX_NEW_TOKENS = 64
LEARNING_RATE = 2e-5
"""For a model of a hundred million parameters and tens of updates; papers use 1e-6 for billions and thousands."""


def on_policy(
    credit: CreditT,
    *,
    update: UpdateOptions,
    tasks_per_step: int = 8,
    num_samples: int = 8,
    critic: CriticOptions | None = None,
    base_program: BaseProgram = BaseProgram.NONE,
    dynamic_sampling: bool = False,
    supervised: SupervisedOptions | None = None,
    line_values: LineValueSource = LineValueSource.COMPLETIONS,
) -> Recipe[CreditT]:
    """Every sample is used by the updates of its own step; without `supervised` there is no supervised term."""
    num_programs = tasks_per_step * num_samples
    return Recipe(
        credit=credit,
        steps=10,
        collection=CollectionOptions(
            tasks_per_step=tasks_per_step,
            num_samples=num_samples,
            sampling=Sampling(temperature=1.0, top_p=1.0, max_new_tokens=MAX_NEW_TOKENS),
            prompts=PromptOptions(style=PromptStyle.COMPLETION),
            base_program=base_program,
            dynamic_sampling=dynamic_sampling,
        ),
        buffer=BufferOptions(capacity=num_programs, warmup=num_programs, max_staleness=0, max_uses=1),
        supervised=supervised or SupervisedOptions(references_per_step=0),
        evaluation=EvaluationOptions(sampling=Sampling(temperature=0.6, max_new_tokens=MAX_NEW_TOKENS)),
        update=update,
        critic=critic or CriticOptions(),
        line_values=line_values,
    )
