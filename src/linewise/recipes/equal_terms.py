"""Recipes on equal terms: the settings that methods share when they are compared, so that they differ in the algorithm alone.

A recipe keeps its credit, loss, critic, buffer discipline, passes over its samples, supervised term and baseline. What it gets:

    starting policy, tasks, prompts, sampling, evaluation, budget, learning rate, programs a step, precision

Programs a step are laid out as tasks x samples with the ratio that is nearest to the recipe's own; what is counted in steps'
programs (buffer, samples and references of an update) is scaled along.
"""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from linewise.errors import UserError
from linewise.recipes.on_policy import MAX_NEW_TOKENS
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.training.config import AnyRecipe, EvaluationOptions, needs_prm
from linewise.types import CreditAssigner, Need, Sampling
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
    """Programs that a run may sample in training, those counted that no update sees."""
    token_budget: int | None = None
    """Tokens that a run may sample in training; whichever budget is used up first ends the run."""
    programs_per_step: int = 64
    """Programs that an update learns from, laid out as tasks x samples in each recipe's own ratio."""
    learning_rate: float = 3e-4
    """Of the policy, for all methods."""
    critic_learning_rate: float | None = None
    """Of a critic with a backbone of its own; none keeps the recipe's."""
    line_completions: int | None = None
    """K, completions of each line, for methods that value lines by sampling; none keeps the recipe's."""
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


def on_equal_terms(recipe: AnyRecipe, terms: Terms, *, seed: int) -> AnyRecipe:
    """The recipe under the common settings. Raises UserError for one that needs a model trained outside the budget."""
    if needs_prm(recipe) or Need.OUTCOME_PROBS in recipe.credit.needs:
        raise UserError(
            f"{type(recipe.credit).__name__} reads a model that judges lines or tokens, and what that model was trained on "
            "stands outside any budget of programs: leave it out, and compare its runs by hand."
        )
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


def with_longest_answer(credit: CreditAssigner, old: int, new: int) -> CreditAssigner:
    """The credit with the settings that speak of the longest answer in proportion to it."""
    settings: Any = credit
    lengths = {
        field.name: max(1, getattr(settings, field.name) * new // old)
        for field in fields(settings)
        if field.name in LENGTHS
    }
    changed: CreditAssigner = replace(settings, **lengths)
    return changed
