"""The statistics of a comparison: by hand, by identities, and by simulation."""

import json
from pathlib import Path

import numpy as np
import pytest

from linewise.errors import RunError
from linewise.evaluation import compare as module
from linewise.evaluation.compare import (
    Cost,
    Point,
    Run,
    bootstrap_table,
    compare,
    mean_cost,
    seed_factor,
    table_of,
    tasks_with,
)
from linewise.evaluation.compare_runs import FINISHED, Spent, finished_text, programs_before, read_run
from linewise.evaluation.evaluate import Evaluation, TaskResult
from linewise.evaluation.intervals import bootstrap_mean
from linewise.evaluation.report.compare import render
from linewise.rollout.prompts import PromptOptions
from linewise.types import Sampling


def evaluation(passed: list[int], *, num_samples: int = 4, short: int | None = None) -> Evaluation:
    """A task for each number; `short` is the place of a task that lost a program."""
    results = tuple(
        TaskResult(
            task_id=f"t{index}",
            family="",
            num_samples=num_samples - (index == short),
            num_passed=count,
            verdicts={},
        )
        for index, count in enumerate(passed)
    )
    return Evaluation(
        results=results,
        policy="",
        num_samples=num_samples,
        sampling=Sampling(),
        prompts=PromptOptions(),
        seed=0,
        seconds_generate=2.0,
        seconds_judge=1.0,
    )


COST = Cost(
    steps=2,
    programs=32,
    auxiliary_programs=0,
    tokens=320,
    verdicts=30,
    discarded_programs=0,
    seconds={"train": 4.0, "evaluate": 1.0},
)


def run(method: str, seed: int, passed: list[int]) -> Run:
    start = Point(part=0.0, programs=0, evaluation=evaluation([1] * len(passed)))
    return Run(
        method=method,
        seed=seed,
        points=(start, Point(part=1.0, programs=32, evaluation=evaluation(passed))),
        cost=COST,
    )


# ------------------------------------------------------------------------------------------------------------ bootstrap


def test_the_factor_of_five_seeds_by_hand() -> None:
    """sqrt(5/4) * 2.7764 / 1.9600."""
    assert seed_factor(5) == pytest.approx(1.1180 * 2.7764 / 1.9600, abs=1e-3)
    assert seed_factor(1) == 1.0
    assert seed_factor(10_000) == pytest.approx(1.0, abs=1e-3)


def test_two_seeds_by_hand() -> None:
    """The means .5 +- c/2 are drawn twice each with probability 1/4: both quantiles lie there, and the bounds cut them."""
    table = np.array([[0.0], [1.0]])
    estimate = bootstrap_table(table)
    assert estimate.mean == 0.5
    assert estimate.low == pytest.approx(0.5 - seed_factor(2) / 2)
    assert estimate.high == pytest.approx(0.5 + seed_factor(2) / 2)
    cut = bootstrap_table(table, bounds=(0, 1))
    assert (cut.low, cut.high) == (0, 1)


def test_equal_values_have_no_width() -> None:
    estimate = bootstrap_table(np.full((3, 7), 0.1))
    assert (estimate.low, estimate.mean, estimate.high) == (estimate.mean, pytest.approx(0.1), estimate.mean)
    assert estimate.num_tasks == 7


def test_one_seed_is_the_bootstrap_over_tasks() -> None:
    values = np.random.default_rng(1).random(60)
    ours, plain = bootstrap_table(values[None]), bootstrap_mean(values.tolist())
    assert ours.mean == pytest.approx(plain.mean)
    assert ours.low == pytest.approx(plain.low, abs=0.01)
    assert ours.high == pytest.approx(plain.high, abs=0.01)


def test_nothing_has_no_mean() -> None:
    with pytest.raises(ValueError, match="no run or no task"):
        bootstrap_table(np.zeros((0, 3)))


def coverage(
    *, num_seeds: int, of_seeds: float, of_tasks: float, of_noise: float, trials: int = 200, num_tasks: int = 30
) -> float:
    """Share of synthetic tables, of mean 0, whose interval holds 0."""
    rng = np.random.default_rng(7)
    held = 0
    for trial in range(trials):
        table = of_seeds * rng.standard_normal((num_seeds, 1)) + of_tasks * rng.standard_normal((1, num_tasks))
        table = table + of_noise * rng.standard_normal((num_seeds, num_tasks))
        estimate = bootstrap_table(table, seed=trial)
        held += estimate.low <= 0 <= estimate.high
    return held / trials


@pytest.mark.parametrize(
    ("num_seeds", "of_seeds", "of_tasks"), [(5, 0.1, 0.0), (3, 0.1, 0.1), (5, 0.0, 0.3), (5, 0.05, 0.3), (1, 0.0, 0.3)]
)
def test_the_interval_holds_the_truth_about_as_often_as_it_says(
    num_seeds: int, of_seeds: float, of_tasks: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 tables: at a coverage of .95 fewer than .90 have a probability of one in a thousand."""
    monkeypatch.setattr(module, "RESAMPLES", 500)
    assert coverage(num_seeds=num_seeds, of_seeds=of_seeds, of_tasks=of_tasks, of_noise=0.1) >= 0.90


def test_without_the_factor_few_seeds_would_claim_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESAMPLES", 500)
    monkeypatch.setattr(module, "seed_factor", lambda num_seeds: 1.0)
    assert coverage(num_seeds=3, of_seeds=0.1, of_tasks=0.0, of_noise=0.05) < 0.85


# ----------------------------------------------------------------------------------------------------------- comparison


def test_a_table_of_pass_at_k_by_hand() -> None:
    """Of 4 programs 1 passes: pass@2 is 1/2; 0 and 4 give 0 and 1."""
    table = table_of([evaluation([1, 0]), evaluation([4, 1])], ["t0", "t1"], 2)
    assert table.tolist() == [[0.5, 0.0], [1.0, 0.5]]


def test_pairing_removes_seeds_and_tasks() -> None:
    """One method passes exactly one program of four more for every task and seed: the difference is .25 and nothing else."""
    worse = [[0, 3, 1], [2, 0, 2]]
    runs = [run("low", seed, passed) for seed, passed in enumerate(worse)]
    runs += [run("high", seed, [count + 1 for count in passed]) for seed, passed in enumerate(worse)]
    comparison = compare(runs, ks=(1, 4))
    (pair,) = comparison.pairs
    assert (pair.first, pair.second) == ("low", "high")
    assert (pair.difference.low, pair.difference.mean, pair.difference.high) == (-0.25, -0.25, -0.25)
    assert pair.difference.excludes_zero
    low, high = comparison.results
    assert low.final[1].mean == pytest.approx(8 / 24)
    assert low.final[4].mean == pytest.approx(4 / 6), "four of six cells have a passing program"
    assert high.by_seed == pytest.approx((7 / 12, 7 / 12))
    assert low.final[1].low < low.final[1].mean < low.final[1].high
    assert [(point.part, point.programs) for point in low.curve] == [(0.0, 0.0), (1.0, 32.0)]
    assert comparison.start.mean == 0.25


def test_seeds_of_the_starting_policy_are_repetitions() -> None:
    """Two measurements of one policy, .25 and .75 in both tasks, are an average of .5: no seed of training is in it."""
    points = [Point(part=0.0, programs=0, evaluation=evaluation(passed)) for passed in ([1, 1], [3, 3])]
    runs = [Run(method="a", seed=seed, points=(point, point), cost=COST) for seed, point in enumerate(points)]
    start = compare(runs).start
    assert (start.low, start.mean, start.high) == (0.5, 0.5, 0.5)


def test_seeds_are_paired_whatever_the_order_of_the_runs() -> None:
    runs = [run("a", 0, [0, 0]), run("a", 1, [4, 4]), run("b", 1, [4, 4]), run("b", 0, [0, 0])]
    (pair,) = compare(runs).pairs
    assert (pair.difference.low, pair.difference.high) == (0, 0)


def test_runs_that_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match=r"b has the seeds \[1\], a has \[0\]"):
        compare([run("a", 0, [1]), run("b", 1, [1])])
    with pytest.raises(ValueError, match="'t1' is in some only"):
        compare([run("a", 0, [1, 1]), run("b", 0, [1])])


def test_a_task_that_lost_a_program_is_left_out_of_the_largest_k_everywhere() -> None:
    evaluations = [evaluation([1, 2, 3], short=1), evaluation([1, 2, 3])]
    assert tasks_with(evaluations, 4) == ["t0", "t2"]
    assert tasks_with(evaluations, 3) == ["t0", "t1", "t2"]
    with pytest.raises(ValueError, match="no task has 5 judged programs"):
        tasks_with(evaluations, 5)


def test_mean_costs() -> None:
    other = Cost(
        steps=5,
        programs=64,
        auxiliary_programs=10,
        tokens=0,
        verdicts=0,
        discarded_programs=1,
        seconds={"train": 2.0, "score": 3.0},
    )
    mean = mean_cost([COST, other])
    assert (mean.programs, mean.auxiliary_programs, mean.tokens) == (48, 5, 160)
    assert mean.seconds == {"train": 3.0, "evaluate": 0.5, "score": 1.5}


# ---------------------------------------------------------------------------------------------------------- run folders


def write_run(folder: Path, spent: list[float], evaluated: list[int], **settings: int) -> None:
    (folder / "evaluations").mkdir(parents=True)
    rows = [
        {
            "step": step,
            "samples": 10 * step,
            "budget/programs": 100 * share,
            "budget/tokens": 1000 * share,
            "budget/spent": share,
            "rollout/verdicts": 9.0,
            "auxiliary/verdicts": 3.0,
            "seconds/train": 2.0,
        }
        for step, share in enumerate(spent, start=1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for step in evaluated:
        (folder / "evaluations" / f"step-{step:06d}.json").write_text(evaluation([step]).to_json())
    (folder / FINISHED).write_text(finished_text(discarded_programs=8))
    (folder / "config.json").write_text(json.dumps({"max_programs": 100, "max_tokens": None, **settings}))


def test_each_part_of_the_budget_has_the_last_policy_that_it_pays_for(tmp_path: Path) -> None:
    """Halves of a budget, steps that end at .2, .6 and .9: half pays for step 1, the whole for step 3."""
    write_run(tmp_path, [0.2, 0.6, 0.9], [0, 1, 3])
    found = read_run(tmp_path, method="m", seed=4, parts=2)
    assert [(point.part, point.programs) for point in found.points] == [(0.0, 0), (0.5, 20), (1.0, 90)]
    assert [point.evaluation.results[0].num_passed for point in found.points] == [0, 1, 3]
    assert found.cost == Cost(
        steps=3,
        programs=90,
        auxiliary_programs=60,
        tokens=900,
        verdicts=36,
        discarded_programs=8,
        seconds={"train": 6.0, "evaluate": 9.0},
    )


def test_what_came_before_a_run_is_charged_to_it(tmp_path: Path) -> None:
    """40 of 100 programs made a judge; the steps end at .5 and .9. A quarter pays for 25 of the 40, two quarters for step 1."""
    write_run(tmp_path, [0.5, 0.9], [0, 1, 2], spent_programs=40, spent_tokens=500)
    spent = Spent(programs=40, tokens=500, verdicts=7, seconds=3.0, discarded_programs=6)
    found = read_run(tmp_path, method="m", seed=0, parts=4, spent=spent)
    assert [point.programs for point in found.points] == [0, 25, 50, 50, 90]
    assert [point.evaluation.results[0].num_passed for point in found.points] == [0, 0, 1, 1, 2]
    assert (found.cost.programs, found.cost.tokens) == (90, 900), "the run's own records count what came before"
    assert found.cost.auxiliary_programs == 70
    assert found.cost.discarded_programs == 6 + 8
    assert found.cost.verdicts == 2 * 12 + 7
    assert found.cost.seconds == {"beforehand": 3.0, "train": 4.0, "evaluate": 9.0}


def test_programs_before_a_run_by_hand() -> None:
    programs = {"spent_programs": 40, "max_programs": 100, "spent_tokens": 500, "max_tokens": None}
    assert [programs_before(programs, part) for part in (0, 0.25, 0.4, 1)] == [0, 25, 40, 40]
    # Of 1,000 tokens half is gone: that is the scarcer budget, and .25 is half of the way.
    assert programs_before({**programs, "max_tokens": 1000}, 0.25) == 20
    assert programs_before({"max_programs": 100}, 0.5) == 0


def test_a_run_with_a_hole_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [0.2, 0.6, 0.9], [0, 3])
    with pytest.raises(RunError, match="not evaluated after step 1, the last that 50% of its budget pays for"):
        read_run(tmp_path / "a", method="m", seed=0, parts=2)
    write_run(tmp_path / "b", [0.5, 1.0], [0, 1, 2])
    (tmp_path / "b" / "metrics.jsonl").unlink()
    with pytest.raises(RunError, match=r"not whole: metrics\.jsonl is missing"):
        read_run(tmp_path / "b", method="m", seed=0, parts=2)


def test_the_page_escapes_names_and_marks_what_excludes_zero() -> None:
    runs = [run("a<b", seed, [0, 0, 1]) for seed in (0, 1)] + [run("c", seed, [3, 3, 4]) for seed in (0, 1)]
    terms = {"tasks": ["t"], "policy": "p", "budget": 32, "token_budget": None}
    page = render(compare(runs), terms=terms, recipes={"c": {"seed": 0}}, notes=["equal <terms>"])
    assert "a<b" not in page
    assert page.count('<td class="worse"><b>-0.750') == 1
    assert page.count('<td class="better"><b>+0.750') == 1
    assert "equal &lt;terms&gt;" in page
    assert page.count("<polyline") == 4, "two methods in each of two charts"
