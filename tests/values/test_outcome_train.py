"""Training of the outcome critic: what it learns from, what is measured, and that it learns."""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from linewise.errors import JudgeError, RunError, UserError
from linewise.policy.huggingface import load_policy
from linewise.rollout.prompts import PromptOptions
from linewise.training.fit import open_accelerator
from linewise.training.outcome import OutcomeTrainer, prepare, step_line, train_outcome_critic
from linewise.training.outcome_metrics import PredictedProgram, measure_outcomes, outcome_shares
from linewise.training.outcome_options import OutcomeTrainOptions
from linewise.training.outcome_programs import judged_reference, sample_programs
from linewise.training.progress import SilentDisplay
from linewise.training.run_folder import RunFolder
from linewise.types import CallTest, Outcome, Report, Sampling, Task, Verdict
from linewise.values.classes import OutcomeClass
from linewise.values.outcome import load_outcome_critic
from linewise.values.programs import JudgedProgram, example_of, judged_to_record, read_judged
from linewise.values.score import load_outcome_scorer

C, R, F, P = OutcomeClass
TASK = Task(
    id="add",
    prompt="Add two numbers.",
    entry_point="add",
    signature="def add(a, b):",
    reference="def add(a, b):\n    return a + b\n",
    tests=(CallTest(call="add(2, 3)", expected="5"),),
)


class FailingJudge:
    """Every program fails."""

    def run(self, task: Task, program: str) -> Report:
        raise NotImplementedError("many programs are judged at once")

    def run_many(self, programs: Iterable[tuple[Task, str]]) -> Iterator[Report | JudgeError]:
        for _ in programs:
            yield Report(outcomes=(Outcome(verdict=Verdict.FAILED),))


def test_metrics_by_hand() -> None:
    said = [
        PredictedProgram(probs=(0.1, 0.1, 0.2, 0.6), outcome=P),
        PredictedProgram(probs=(0.0, 0.1, 0.4, 0.5), outcome=F),
        PredictedProgram(probs=(0.1, 0.1, 0.7, 0.1), outcome=F),
        PredictedProgram(probs=(0.2, 0.5, 0.1, 0.2), outcome=R),
    ]
    metrics = measure_outcomes(said, shares=(0.1, 0.2, 0.3, 0.4))
    assert metrics.loss == pytest.approx(-math.log(0.6 * 0.4 * 0.7 * 0.5) / 4)
    assert metrics.loss_of_shares == pytest.approx(-math.log(0.4 * 0.3 * 0.3 * 0.2) / 4)
    assert (metrics.accuracy, metrics.majority_accuracy) == (3 / 4, 1 / 2)
    assert metrics.confusion == ((0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 1), (0, 0, 0, 1))
    assert metrics.accuracy_of_class[1:] == (1, 1 / 2, 1)
    assert math.isnan(metrics.accuracy_of_class[0])
    assert metrics.auc == 1
    record = metrics.to_record("heldout/")
    assert record["heldout/accuracy_of_class"] == [None, 1, 0.5, 1]
    assert json.loads(json.dumps(record))["heldout/confusion"][2] == [0, 0, 1, 1]


def test_shares_by_hand() -> None:
    assert outcome_shares([P, P, F]) == pytest.approx((1 / 7, 1 / 7, 2 / 7, 3 / 7)), "one of each is added"


def test_samples_and_references_are_what_it_learns_from() -> None:
    policy = load_policy("tiny")
    block = sample_programs(
        policy,
        FailingJudge(),
        [TASK],
        num_samples=3,
        sampling=Sampling(max_new_tokens=6),
        seed=0,
        prompts=PromptOptions(),
    )
    assert [(one.task_id, one.outcome, one.reference) for one in block.programs] == [
        *[("add", F, False)] * 3,
        ("add", P, True),
    ]
    assert block.num_tokens == sum(len(one.completion.token_ids) for one in block.programs[:3])
    assert block.outcomes == {"failed": 3}


def test_a_reference_is_read_as_the_policy_would_have_written_it() -> None:
    judged = judged_reference(TASK, load_policy("tiny"), PromptOptions())
    assert judged.completion.text.endswith("\n    return a + b\n")
    assert judged.program.source.count("return a + b") == 1
    example = example_of(judged)
    text = bytes(token - 2 for token in example.token_ids).decode()
    assert "Add two numbers." in text[: example.pooled[0]]
    assert text[example.pooled[0] :] == judged.completion.text


def test_references_are_trained_on_and_never_measured(make: Any) -> None:
    programs = [*make.programs(8, num_tasks=4), *(make.judged(f"f{n}", "\n  a", P, reference=True) for n in range(5))]
    split = prepare(programs, OutcomeTrainOptions(held_out_share=0.5), max_length=None)
    assert not any(one.reference for one in split.held_out)
    assert sum(one.reference for one in split.train) == 2, "not the one of a task without samples"
    assert {one.task_id for one in split.train}.isdisjoint(one.task_id for one in split.held_out)
    assert len(split.held_out) == 4


def test_the_first_loss_is_that_of_a_guess(make: Any, tmp_path: Path) -> None:
    options = OutcomeTrainOptions(precision="no", max_grad_norm=1e9)
    examples = tuple(map(example_of, make.programs(8)))
    rows = []
    for budget in (100_000, 1):
        with open_accelerator(options) as accelerator:
            loaded = load_outcome_critic("tiny")
            settings = OutcomeTrainOptions(precision="no", max_grad_norm=1e9, tokens_per_micro_batch=budget)
            split = prepare(make.programs(8), settings, max_length=None)
            trainer = OutcomeTrainer(
                settings,
                RunFolder(path=tmp_path),
                type(split)(train=examples, held_out=examples),
                loaded.model,
                loaded.tokenizer,
                accelerator,
            )
            rows.append(trainer.gradients(1, SilentDisplay()))
    assert rows[0]["loss"] == pytest.approx(math.log(4))
    assert rows[0]["programs"] == 8
    assert rows[0]["grad_norm"] == pytest.approx(rows[1]["grad_norm"], rel=1e-4), "micro-batches change nothing"


def test_too_few_tasks_are_refused(make: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="at least two tasks"):
        train_outcome_critic(OutcomeTrainOptions(), make.programs(4, num_tasks=1), tmp_path / "run", policy="tiny")
    assert not (tmp_path / "run").exists()


def test_a_file_of_something_else_is_refused(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "programs.jsonl"
    good = json.dumps(judged_to_record(make.programs(1)[0]))
    path.write_text(good + "\n")
    assert read_judged(path) == make.programs(1)
    path.write_text(good + '\n{"task_id": "a"}\n')
    with pytest.raises(UserError, match="line 2, is no judged program"):
        read_judged(path)
    with pytest.raises(UserError, match="cannot read"):
        read_judged(tmp_path / "none.jsonl")


@pytest.mark.slow
def test_it_learns_what_becomes_of_programs(make: Any, tmp_path: Path) -> None:
    """One line tells the outcome; names of functions are held out. Guessing scores about 1/4."""
    options = OutcomeTrainOptions(
        epochs=6, programs_per_step=16, learning_rate=2e-3, held_out_share=0.2, evaluations_per_epoch=1, precision="no"
    )
    programs: list[JudgedProgram] = make.programs(400)
    result = train_outcome_critic(options, programs, tmp_path / "run", policy="tiny")
    metrics = result.metrics
    assert metrics.majority_accuracy < 0.5
    assert metrics.accuracy > 0.9
    assert metrics.auc > 0.95
    assert metrics.loss < 0.4 * metrics.loss_of_shares
    record = json.loads((tmp_path / "run" / "held_out.json").read_text())
    assert record["metrics"]["accuracy"] == metrics.accuracy
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(len(step_line(row["step"], row)) < 100 for row in rows)

    # The critic on disk is the one that was measured.
    scorer = load_outcome_scorer(result.folder)
    fresh = make.programs(60, seed=1)
    said = scorer.pass_probs([(one.completion, one.program) for one in fresh])
    hits = [(one.program > 0.5) == (judged.outcome is P) for one, judged in zip(said, fresh, strict=True)]
    assert sum(hits) / len(hits) > 0.85
    passed = [one.program for one, judged in zip(said, fresh, strict=True) if judged.outcome is P]
    failed = [one.program for one, judged in zip(said, fresh, strict=True) if judged.outcome is not P]
    assert sum(passed) / len(passed) > sum(failed) / len(failed) + 0.5
