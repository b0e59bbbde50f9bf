"""RoML: weights, quantiles, the refit, and that the worst kind of task is found."""

import numpy as np
import pytest

from linewise.errors import UserError
from linewise.rollout.roml import FLOOR, RoMLOptions, TaskSampler, weighted_quantile
from linewise.types import CallTest, Task


def task(name: str, family: str) -> Task:
    return Task(id=name, prompt="", tests=(CallTest(call="f()", expected="1"),), metadata={"family": family})


TASKS = [task("a", "easy"), task("b", "easy"), task("c", "easy"), task("d", "hard")]
OPTIONS = RoMLOptions(alpha=0.05, key="family")


def test_quantiles_by_hand() -> None:
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([2.0, 1.0, 1.0])
    assert [weighted_quantile(values, weights, share) for share in (0.25, 0.26, 0.5, 0.6, 0.99)] == [1, 2, 2, 3, 3]
    assert weighted_quantile(np.arange(5.0), np.ones(5), 0.2) == 0, "the lowest fifth is one value of five"


def test_draws_are_weighted_by_the_original_distribution() -> None:
    sampler = TaskSampler(tasks=TASKS, options=OPTIONS)
    assert sampler.original() == {"easy": 0.75, "hard": 0.25}
    phi = {"easy": 0.25, "hard": 0.75}
    picks = sampler.draw(phi, 5000, np.random.default_rng(0))
    plain, others = picks[:1000], picks[1000:]
    assert {pick.weight for pick in plain} == {1.0}
    assert np.mean([pick.task.id == "d" for pick in plain]) == pytest.approx(0.25, abs=0.04)
    assert {(pick.task.metadata["family"], pick.weight) for pick in others} == {("easy", 3.0), ("hard", 1 / 3)}
    assert np.mean([pick.task.id == "d" for pick in others]) == pytest.approx(0.75, abs=0.03)
    assert np.mean([pick.task.id == "b" for pick in others]) == pytest.approx(0.25 / 3, abs=0.02)
    # A weighted mean over draws of phi is a mean over the original distribution.
    hard = sum(pick.weight for pick in others if pick.task.id == "d") / sum(pick.weight for pick in others)
    assert hard == pytest.approx(0.25, abs=0.03)
    assert sampler.draw(phi, 7, np.random.default_rng(1)) == sampler.draw(phi, 7, np.random.default_rng(1))


def test_the_refit_by_hand() -> None:
    """Returns .1 and .2 are the lowest two of five (beta .4); their weights 3 and 1/3 share the new phi as 9 : 1."""
    sampler = TaskSampler(tasks=TASKS, options=RoMLOptions(alpha=0.05, beta=0.4, key="family"))
    kinds = ["easy", "hard", "easy", "hard", "easy"]
    weights = [3.0, 1 / 3, 1.0, 1 / 3, 3.0]
    phi = sampler.refit({"easy": 0.25, "hard": 0.75}, kinds, weights, [0.1, 0.2, 0.5, 0.6, 0.9])
    assert phi == pytest.approx({"easy": (0.25 + 0.9) / 2, "hard": (0.75 + 0.1) / 2})
    # The weighted quantile is the larger one where alpha is: .9 of the weight 23/3 lies at .9.
    sampler = TaskSampler(tasks=TASKS, options=RoMLOptions(alpha=0.9, beta=0.4, key="family"))
    assert sampler.threshold(np.array(weights), np.array([0.1, 0.2, 0.5, 0.6, 0.9])) == 0.9


def test_ties_at_the_lowest_return_are_all_refitted_on() -> None:
    """Below 0 there is nothing: with R < q instead of R <= q no task would be left."""
    sampler = TaskSampler(tasks=TASKS, options=OPTIONS)
    phi = sampler.refit({}, ["hard", "hard", "easy", "easy"], [1.0] * 4, [0.0, 0.0, 0.0, 1.0])
    assert phi == pytest.approx({"easy": (0.75 + 1 / 3) / 2, "hard": (0.25 + 2 / 3) / 2})
    assert sampler.refit(phi, [], [], []) == phi


def test_a_kind_that_is_never_refitted_on_keeps_a_finite_weight() -> None:
    sampler = TaskSampler(tasks=TASKS, options=OPTIONS)
    phi: dict[str, float] = {}
    for _ in range(2000):
        phi = sampler.refit(phi, ["hard"], [1.0], [0.0])
    assert sum(phi.values()) == pytest.approx(1)
    assert phi["easy"] == pytest.approx(0.75 * FLOOR, rel=1e-2)
    assert all(np.isfinite(pick.weight) for pick in sampler.draw(phi, 100, np.random.default_rng(0)))


def test_the_worst_kind_is_found_and_left_when_it_is_learned() -> None:
    sampler = TaskSampler(tasks=TASKS, options=OPTIONS)
    phi: dict[str, float] = {}
    rng = np.random.default_rng(0)
    worst = []
    for step in range(60):
        picks = sampler.draw(phi, 24, rng)
        hard = 0.1 if step < 30 else 0.95
        returns = [hard if pick.task.id == "d" else 0.9 for pick in picks]
        phi = sampler.refit(phi, [sampler.kind(pick.task) for pick in picks], [pick.weight for pick in picks], returns)
        worst.append(phi["hard"])
    assert worst[29] > 0.95
    assert worst[59] < 0.1


def test_settings_that_are_no_shares_and_keys_that_tasks_lack_are_refused() -> None:
    with pytest.raises(ValueError, match=r"roml\.alpha=1\.0 must lie between 0 and 1"):
        RoMLOptions(alpha=1.0)
    with pytest.raises(ValueError, match=r"roml\.original_share=2"):
        RoMLOptions(original_share=2)
    with pytest.raises(UserError, match=r"roml\.key=level, but 4 of 4 tasks have no such metadata, the first being a"):
        TaskSampler(tasks=TASKS, options=RoMLOptions(alpha=0.05, key="level"))
