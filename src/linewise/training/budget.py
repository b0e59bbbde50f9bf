"""The budget of a run: how many programs, or tokens, it may sample in training, whatever they are for.

What was sampled before the run for a model that it reads (`spent_programs`, `spent_tokens`) is spent from the beginning.
A step is made where the budget pays for all that its collection has sampled, and else it is not made: the policy that comes out
has learned from no more than the budget. What a step samples is known in advance but for completions that value lines and for
groups that dynamic sampling leaves out; only there may a last collection be thrown away.
"""

import math
from dataclasses import dataclass

from linewise.errors import RunError
from linewise.training.config import AnyRecipe
from linewise.training.state import RunState

ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What all processes of a run have sampled in training, and what was sampled for it before."""

    num_programs: int
    num_tokens: int

    @classmethod
    def of(cls, state: RunState) -> "Spending":
        """What was sampled up to this state."""
        return cls(num_programs=state.num_programs, num_tokens=state.num_tokens)

    def share(self, recipe: AnyRecipe) -> float:
        """Share of the budget, in [0, 1] where it is kept to: of programs or of tokens, whichever is larger; 0 without one."""
        programs = 0.0 if recipe.max_programs is None else self.num_programs / recipe.max_programs
        return max(programs, 0.0 if recipe.max_tokens is None else self.num_tokens / recipe.max_tokens)

    def is_over(self, recipe: AnyRecipe) -> bool:
        """Whether it is more than the budget."""
        return self.share(recipe) > 1


def can_pay_for_a_round(recipe: AnyRecipe, state: RunState) -> bool:
    """Whether the budget may pay for another step, of which one round of sampling is the least."""
    least = recipe.collection.tasks_per_step * recipe.collection.num_samples
    after = Spending(num_programs=state.num_programs + least, num_tokens=state.num_tokens)
    if after.is_over(recipe):
        check_first_step(recipe, state, after)
        return False
    return True


def check_first_step(recipe: AnyRecipe, state: RunState, spending: Spending) -> None:
    """Raises RunError where the budget does not pay for a single step."""
    if state.step == 0:
        programs, tokens = spending.num_programs - state.num_programs, spending.num_tokens - state.num_tokens
        spent = f" after {state.num_programs} programs and {state.num_tokens} tokens before the run"
        before = spent if state.num_programs else ""
        raise RunError(
            f"the first step samples {programs} programs and {tokens} tokens{before}, more than the budget "
            f"(max_programs={recipe.max_programs}, max_tokens={recipe.max_tokens}) allows a whole run: raise the "
            "budget, or make steps smaller."
        )


def ends_part(recipe: AnyRecipe, state: RunState, spending: Spending) -> bool:
    """Whether the state is the last one that some i/n of the budget pays for, n = `evaluation.budget_parts`.

    That is so where i/n lies between what is spent and what will be after the next step. Example: of 100 programs 20 are
    spent and the next step makes it 30: with n = 4 the quarter pays for 20 and no more.
    """
    parts = recipe.evaluation.budget_parts
    now, then = Spending.of(state).share(recipe) * parts, spending.share(recipe) * parts
    return math.ceil(now - ROUNDING) < then - ROUNDING


def spending_metrics(recipe: AnyRecipe, spending: Spending) -> dict[str, float]:
    """What is spent after a step: programs, tokens and, where there is a budget, the share of it."""
    share = spending.share(recipe)
    return {
        "budget/programs": spending.num_programs,
        "budget/tokens": spending.num_tokens,
        **({"budget/spent": share} if share else {}),
    }
