"""Recipes on equal terms: what is the same in all of them, and what stays their own."""

from dataclasses import replace

import pytest

from linewise.credit.dapo import DAPO
from linewise.errors import UserError
from linewise.recipes.catalogue import RECIPES
from linewise.recipes.equal_terms import Terms, layout, on_equal_terms
from linewise.recipes.grpo import dapo
from linewise.recipes.ppo import CRITIC_LEARNING_RATE, ppo
from linewise.recipes.rltf import rltf
from linewise.recipes.vineppo import vineppo


@pytest.mark.parametrize(
    ("num_programs", "own", "expected"),
    [
        (64, (16, 4), (16, 4)),
        (64, (8, 8), (8, 8)),
        (16, (16, 4), (8, 2)),
        (64, (8, 4), (16, 4)),  # 16 x 4 and 8 x 8 are equally near; fewer samples
        (32, (8, 4), (8, 4)),
        (12, (24, 2), (6, 2)),  # a single program a task would leave a group nothing to compare
        (12, (24, 1), (12, 1)),
    ],
)
def test_layouts_by_hand(num_programs: int, own: tuple[int, int], expected: tuple[int, int]) -> None:
    assert layout(num_programs, num_tasks=own[0], num_samples=own[1]) == expected


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_differ_in_the_algorithm_alone(name: str) -> None:
    terms = Terms(programs_per_step=16, budget=100, token_budget=5000, learning_rate=7e-5, critic_learning_rate=9e-5)
    own = RECIPES[name]()
    recipe = on_equal_terms(own, terms, seed=3)
    reference = on_equal_terms(rltf(), terms, seed=3)
    for common in (
        "policy",
        "tasks",
        "seed",
        "steps",
        "max_programs",
        "max_tokens",
        "evaluation",
        "precision",
        "workers",
    ):
        assert getattr(recipe, common) == getattr(reference, common), common
    assert recipe.steps == 6, "sixteen programs fit six times into a hundred"
    assert recipe.collection.sampling == reference.collection.sampling
    assert recipe.collection.prompts == reference.collection.prompts
    assert recipe.collection.tasks_per_step * recipe.collection.num_samples == 16
    assert recipe.update.samples_per_step == recipe.buffer.warmup == 16
    assert (recipe.update.learning_rate, recipe.critic.learning_rate) == (7e-5, 9e-5)
    assert recipe.credit == own.credit
    assert recipe.update.surrogate == own.update.surrogate
    assert recipe.collection.dynamic_sampling == own.collection.dynamic_sampling
    assert recipe.supervised.weight == own.supervised.weight


def test_references_follow_the_tasks_of_a_step_or_go() -> None:
    assert on_equal_terms(rltf(), Terms(programs_per_step=16), seed=0).supervised.references_per_step == 8
    without = on_equal_terms(rltf(), Terms(references=False), seed=0)
    assert without.supervised.references_per_step == 0


def test_what_speaks_of_the_longest_answer_follows_it() -> None:
    """DAPO's penalty falls on the last 12 of 64 tokens: of 128 on the last 24."""
    credit = on_equal_terms(dapo(), Terms(max_new_tokens=128), seed=0).credit
    assert isinstance(credit, DAPO)
    assert (credit.max_length, credit.cache_length) == (128, 24)


def test_the_critic_keeps_its_rate_unless_one_is_given() -> None:
    assert on_equal_terms(ppo(), Terms(), seed=0).critic.learning_rate == CRITIC_LEARNING_RATE


def test_completions_of_lines_are_the_recipes_own_unless_given() -> None:
    assert on_equal_terms(vineppo(), Terms(), seed=0).vines.num_completions == 9
    vines = on_equal_terms(vineppo(), Terms(line_completions=3), seed=0).vines
    assert (vines.num_completions, vines.first_chunk) == (3, 3), "all at once, without bias"


def test_a_larger_buffer_stays_larger() -> None:
    own = rltf()
    own = replace(own, buffer=replace(own.buffer, capacity=640, warmup=320))
    buffer = on_equal_terms(own, Terms(programs_per_step=32), seed=0).buffer
    assert (buffer.capacity, buffer.warmup) == (320, 160)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"budget": 32}, "budget=32"),
        ({"programs_per_step": 2}, "programs_per_step=2"),
        ({"evaluations": 0}, "at least 1"),
        ({"judge_share": 1.0}, "judge_share=1.0 must lie between 0 and 1"),
    ],
)
def test_terms_that_leave_nothing(settings: dict[str, float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Terms(**settings)  # type: ignore[arg-type]
