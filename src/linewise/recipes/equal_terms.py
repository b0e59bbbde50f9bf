"""Recipes on equal terms: the settings that methods share when they are compared, so that they differ in the algorithm alone.

A recipe keeps its credit, loss, critic, buffer discipline, passes over its samples, supervised term and baseline. What it gets:

    starting policy, tasks, prompts, sampling, evaluation, budget, learning rate, programs a step, precision

Programs a step are laid out as tasks x samples with the ratio that is nearest to the recipe's own; what is counted in steps'
programs (buffer, samples and references of an update) is scaled along. A model that judges for a method is made within the same
budget (`recipes/equal_judges.py`).
"""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from linewise.errors import UserError
from linewise.recipes.on_policy import MAX_NEW_TOKENS, CreditT
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.training.config import EvaluationOptions, Recipe
from linewise.types import Sampling
from linewise.values.monte_carlo import MonteCarloOptions

LENGTHS = ("max_length", "cache_length")
"""Settings of a credit that speak of the longest answer, and follow it."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What all methods of a comparison have in common."""

    policy: str = "arena"
    """The policy that every run starts from: embedded model, folder or hub id."""
    tasks: tuple[str, ...] = ("arena",)
    """Task sets to train on; a set without a split means its training split."""
    budget: int = 4096
    """Programs that a run may sample in training, those counted that no update sees, and those that its judge is made of."""
    token_budget: int | None = None
    """Tokens that a run may sample in training; whichever budget is used up first ends the run."""
    programs_per_step: int = 64
    """Programs that an update learns from, laid out as tasks x samples in each recipe's own ratio."""
    learning_rate: float = 3e-4
    """Of the policy, for all methods."""
    critic_learning_rate: float | None = None
    """Of a critic with a backbone of its own; none keeps the recipe's."""
    judge_share: float = 0.5
    """At most this share of the budget, and of the token budget, is spent on the model that judges for a method, where it needs
    one: labels and a process reward model, or programs and an outcome critic. The rest is for its run."""
    judge_learning_rate: float | None = None
    """Of that model; none means that of the policy."""
    line_completions: int | None = None
    """K, completions of each line, for methods that value or label lines by sampling; none keeps the recipe's."""
    references: bool = True
    """Whether a supervised term on reference solutions stays, where a recipe has one; other methods see no reference."""
    temperature: float = 1.0
    """Of the programs that are trained on."""
    max_new_tokens: int = MAX_NEW_TOKENS
    """Most tokens of a program, in training and in evaluation."""
    prompts: PromptOptions = PromptOptions(style=PromptStyle.COMPLETION)
    """How a task becomes a prompt."""
    evaluations: int = 4
    """Evaluations of a run after the one at its start, evenly spaced over the budget."""
    evaluation_tasks: tuple[str, ...] = ()
    """Task sets to evaluate on; empty means the held-out split of the training sets."""
    evaluation_limit: int | None = None
    """Evaluate on only this many tasks, the same for all runs."""
    evaluation_samples: int = 8
    """Programs sampled for each task of an evaluation; the largest k of pass@k."""
    evaluation_temperature: float = 0.6
    """Of the programs of an evaluation."""
    precision: Literal["auto", "bf16", "no"] = "auto"
    """bf16 autocast over float32 master weights, or plain float32 ("no"); auto is bf16 where the device computes in it."""
    workers: int | None = None
    """Processes that judge; none means one per core."""
    save_every: int = 20
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        """Refuses terms under which no method could make a step, or nothing could be compared."""
        if not 4 <= self.programs_per_step <= self.budget:
            raise UserError(
                f"programs_per_step={self.programs_per_step} must lie between 4 and budget={self.budget}: a step takes at "
                "least so many programs from the budget. Raise the budget, or make steps smaller."
            )
        if self.evaluations < 1 or self.evaluation_samples < 1:
            raise UserError(
                f"evaluations={self.evaluations} and evaluation_samples={self.evaluation_samples} must be at least 1: without "
                "the last evaluation there is nothing to compare."
            )
        if not 0 < self.judge_share < 1:
            raise UserError(
                f"judge_share={self.judge_share} must lie between 0 and 1: a part of the budget makes the judge, and the rest "
                "the run."
            )


def on_equal_terms(recipe: Recipe[CreditT], terms: Terms, *, seed: int) -> Recipe[CreditT]:
    """The recipe under the common settings. A model that it reads is named and paid for by `recipes/equal_judges.py`."""
    old = recipe.collection
    num_tasks, num_samples = layout(terms.programs_per_step, num_tasks=old.tasks_per_step, num_samples=old.num_samples)
    scale = terms.programs_per_step / (old.tasks_per_step * old.num_samples)
    references = recipe.supervised.references_per_step * num_tasks / old.tasks_per_step * terms.references
    critic_rate, lines = terms.critic_learning_rate, terms.line_completions
    return replace(
        recipe,
        credit=with_longest_answer(recipe.credit, old.sampling.max_new_tokens, terms.max_new_tokens),
        policy=terms.policy,
        tasks=terms.tasks,
        steps=terms.budget // terms.programs_per_step,
        max_programs=terms.budget,
        max_tokens=terms.token_budget,
        seed=seed,
        collection=replace(
            old,
            tasks_per_step=num_tasks,
            num_samples=num_samples,
            sampling=Sampling(temperature=terms.temperature, max_new_tokens=terms.max_new_tokens),
            prompts=terms.prompts,
        ),
        buffer=replace(
            recipe.buffer,
            capacity=scaled(recipe.buffer.capacity, scale),
            warmup=scaled(recipe.buffer.warmup, scale),
        ),
        supervised=replace(recipe.supervised, references_per_step=math.ceil(references)),
        update=replace(
            recipe.update,
            samples_per_step=scaled(recipe.update.samples_per_step, scale),
            learning_rate=terms.learning_rate,
        ),
        vines=recipe.vines if lines is None else MonteCarloOptions(num_completions=lines, first_chunk=lines),
        critic=recipe.critic if critic_rate is None else replace(recipe.critic, learning_rate=critic_rate),
        evaluation=EvaluationOptions(
            tasks=terms.evaluation_tasks,
            limit=terms.evaluation_limit,
            limit_seed=0,
            num_samples=terms.evaluation_samples,
            budget_parts=terms.evaluations,
            sampling=Sampling(temperature=terms.evaluation_temperature, max_new_tokens=terms.max_new_tokens),
        ),
        precision=terms.precision,
        workers=terms.workers,
        save_every=terms.save_every,
        keep_checkpoints=1,
    )


def layout(num_programs: int, *, num_tasks: int, num_samples: int) -> tuple[int, int]:
    """(tasks, samples) with that product, and the ratio nearest to num_tasks : num_samples; of two the one of fewer samples.

    A method that samples several programs a task never gets a single one, which would leave it nothing to compare.
    Example: 64 programs at 16 : 4 are 16 x 4, at 8 : 8 they are 8 x 8; 16 programs at 16 : 4 are 8 x 2.
    """
    least = min(num_samples, 2)
    pairs = [(num_programs // each, each) for each in range(least, num_programs + 1) if num_programs % each == 0]
    wanted = math.log(num_tasks / num_samples)
    return min(pairs, key=lambda pair: (round(abs(math.log(pair[0] / pair[1]) - wanted), 9), pair[1]))


def scaled(count: int, scale: float) -> int:
    """A number of programs at another size of the step; at least 1."""
    return max(1, round(count * scale))


def with_longest_answer(credit: CreditT, old: int, new: int) -> CreditT:
    """The credit with the settings that speak of the longest answer in proportion to it."""
    settings: Any = credit
    lengths = {
        field.name: max(1, getattr(settings, field.name) * new // old)
        for field in fields(settings)
        if field.name in LENGTHS
    }
    changed: CreditT = replace(settings, **lengths)
    return changed
