"""The budget of a run: what counts, that it is kept to, and that a resumed run counts on."""

from dataclasses import replace
from pathlib import Path

import pytest

from linewise.errors import RunError
from linewise.recipes.equal_terms import Terms, on_equal_terms
from linewise.recipes.grpo import dapo, grpo
from linewise.recipes.vineppo import vineppo
from linewise.rollout.baselines import BaseProgram
from linewise.rollout.buffer import Buffer, BufferOptions
from linewise.training.budget import Spending, ends_part
from linewise.training.config import AnyRecipe
from linewise.training.run import train
from linewise.training.state import RunState
from linewise.values.monte_carlo import MonteCarloOptions
from tests.training.runs import metrics_of

TWO_COMPLETIONS = MonteCarloOptions(num_completions=2, first_chunk=2)


def small(recipe: AnyRecipe, policy: Path, tasks: Path, **changes: object) -> AnyRecipe:
    """16 programs a step, 2 evaluations, on the tiny policy."""
    terms = Terms(
        policy=str(policy),
        tasks=(f"jsonl:{tasks}",),
        budget=56,
        programs_per_step=16,
        max_new_tokens=24,
        evaluations=2,
        evaluation_samples=2,
        precision="no",
        workers=1,
        save_every=1,
    )
    return replace(on_equal_terms(recipe, terms, seed=0), **changes)  # type: ignore[arg-type]


def evaluated(run: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("step-")) for path in (run / "evaluations").iterdir())


def settings_of(parts: int, **budget: int) -> AnyRecipe:
    recipe = on_equal_terms(grpo(), Terms(evaluations=parts), seed=0)
    return replace(recipe, max_programs=budget.get("max_programs"), max_tokens=budget.get("max_tokens"))


# ---------------------------------------------------------------------------------------------------------- arithmetic


def test_the_share_is_that_of_the_scarcer_budget() -> None:
    spending = Spending(num_programs=30, num_tokens=400)
    assert spending.share(settings_of(1)) == 0
    assert spending.share(settings_of(1, max_programs=100)) == pytest.approx(0.3)
    assert spending.share(settings_of(1, max_programs=100, max_tokens=500)) == pytest.approx(0.8)
    assert not Spending(num_programs=100, num_tokens=0).is_over(settings_of(1, max_programs=100))
    assert Spending(num_programs=101, num_tokens=0).is_over(settings_of(1, max_programs=100))


@pytest.mark.parametrize(
    ("now", "then", "ends"),
    [(0, 10, True), (10, 20, False), (20, 30, True), (25, 26, True), (24, 25, False), (26, 49, False), (26, 90, True)],
)
def test_quarters_of_a_hundred_programs(now: int, then: int, ends: bool) -> None:
    """The start, 25, 50 and 75 are where something is measured: by the last policy that has not learned from more."""
    state = RunState(buffer=Buffer(options=BufferOptions()), num_programs=now)
    spending = Spending(num_programs=then, num_tokens=0)
    assert ends_part(settings_of(4, max_programs=100), state, spending) is ends


# ---------------------------------------------------------------------------------------------------------------- runs


def test_a_run_stops_before_the_step_that_would_exceed_its_budget(
    warm_policy: Path, task_file: Path, tmp_path: Path
) -> None:
    """56 programs pay for three steps of 16; half of them for one. More steps than that were allowed."""
    result = train(small(grpo(), warm_policy, task_file, steps=50), tmp_path / "run")
    rows = metrics_of(tmp_path / "run")
    assert [row["budget/programs"] for row in rows] == [16, 32, 48]
    assert rows[-1]["budget/spent"] == pytest.approx(48 / 56)
    assert [row["budget/tokens"] for row in rows][-1] == sum(row["tokens/sampled"] for row in rows)
    assert (result.state.step, result.state.num_programs, result.num_discarded) == (3, 48, 0)
    assert evaluated(tmp_path / "run") == [0, 1, 3]


def test_what_was_spent_before_a_run_is_spent(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    """20 of 56 programs are gone: the rest pays for two steps of 16. Half of the budget, 28, pays for none."""
    recipe = small(grpo(), warm_policy, task_file, spent_programs=20, spent_tokens=300)
    result = train(recipe, tmp_path / "run")
    rows = metrics_of(tmp_path / "run")
    assert [row["budget/programs"] for row in rows] == [36, 52]
    assert rows[-1]["budget/tokens"] == 300 + sum(row["tokens/sampled"] for row in rows)
    assert rows[-1]["samples"] == 32
    assert rows[-1]["budget/spent"] == pytest.approx(52 / 56)
    assert (result.state.step, result.num_discarded) == (2, 0)
    assert evaluated(tmp_path / "run") == [0, 2]
    train(replace(recipe, steps=1), tmp_path / "parts")
    train(recipe, tmp_path / "parts", resume=True)
    assert metrics_of(tmp_path / "parts") == rows


def test_a_budget_that_is_spent_before_the_first_step(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    recipe = small(grpo(), warm_policy, task_file, spent_programs=41)
    with pytest.raises(
        RunError, match=r"samples 16 programs and 0 tokens after 41 programs and 0 tokens before the run, more"
    ):
        train(recipe, tmp_path / "run")


def test_a_token_budget_ends_a_run_too(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    train(small(grpo(), warm_policy, task_file), tmp_path / "free")
    tokens = [row["budget/tokens"] for row in metrics_of(tmp_path / "free")]
    limit = int(tokens[1]) + 1
    result = train(small(grpo(), warm_policy, task_file, max_tokens=limit), tmp_path / "run")
    assert metrics_of(tmp_path / "run")[-1]["budget/tokens"] == tokens[1]
    assert result.state.num_programs == 32
    assert result.num_discarded == 16, "how long programs are is known when they are sampled"


def test_completions_that_value_lines_count(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    recipe = small(vineppo(), warm_policy, task_file, max_programs=92, steps=20, vines=TWO_COMPLETIONS)
    result = train(recipe, tmp_path / "run")
    rows = metrics_of(tmp_path / "run")
    assert all(row["auxiliary/programs"] > 0 for row in rows)
    assert result.state.num_programs == sum(row["rollout/programs"] + row["auxiliary/programs"] for row in rows) <= 92
    assert result.state.num_tokens == sum(row["tokens/sampled"] + row["tokens/auxiliary"] for row in rows)
    assert len(rows) < 20
    assert result.state.num_programs + max(result.num_discarded, 16) > 92, "another step would have been too much"


def test_greedy_programs_to_compare_with_count(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    recipe = small(grpo(), warm_policy, task_file)
    recipe = replace(recipe, collection=replace(recipe.collection, base_program=BaseProgram.LATEST_GREEDY))
    train(recipe, tmp_path / "run")
    rows = metrics_of(tmp_path / "run")
    assert [row["auxiliary/programs"] for row in rows] == [4] * len(rows), "one for each task"
    assert [row["budget/programs"] for row in rows] == [20, 40], "a third step would end at 60, above 56"


def test_groups_left_out_count(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    """What was sampled in all rounds is what the budget pays for, though fewer programs become samples."""
    recipe = small(dapo(), warm_policy, task_file, max_programs=80, steps=20)
    result = train(recipe, tmp_path / "run")
    rows = metrics_of(tmp_path / "run")
    left_out = sum(row["rollout/groups_left_out"] for row in rows)
    assert left_out > 0
    assert result.state.num_programs == rows[-1]["samples"] + 4 * left_out <= 80


def test_a_resumed_run_counts_on(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    recipe = small(vineppo(), warm_policy, task_file, max_programs=92, steps=20, vines=TWO_COMPLETIONS)
    stop = 1
    whole = train(recipe, tmp_path / "whole")
    train(replace(recipe, steps=stop), tmp_path / "parts")
    resumed = train(recipe, tmp_path / "parts", resume=True)
    assert whole.state.step > stop
    assert metrics_of(tmp_path / "parts") == metrics_of(tmp_path / "whole")
    assert set(evaluated(tmp_path / "parts")) == {*evaluated(tmp_path / "whole"), stop}
    assert resumed.num_discarded == whole.num_discarded
    assert resumed.after is not None
    assert whole.after is not None
    assert resumed.after.results == whole.after.results


def test_a_budget_too_small_for_a_step(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    recipe = small(vineppo(), warm_policy, task_file, max_programs=20)
    with pytest.raises(RunError, match=r"more than the budget \(max_programs=20, max_tokens=None\) allows"):
        train(recipe, tmp_path / "run")
