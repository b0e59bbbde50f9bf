"""Training: it learns, it repeats itself, it keeps the best weights, and it refuses what cannot work."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForTokenClassification

from linewise.errors import NonFiniteLossError, PolicyError, RunError
from linewise.policy.lora import LoraOptions
from linewise.prm.dataset import Split, example_of
from linewise.prm.model import load_prm
from linewise.prm.score import load_scorer
from linewise.training.fit import open_accelerator
from linewise.training.prm import PrmTrainer, step_line, train_prm
from linewise.training.prm_options import PrmTrainOptions
from linewise.training.progress import SilentDisplay
from linewise.training.run_folder import RunFolder


@pytest.fixture
def options(make: Any, tmp_path: Path) -> Callable[..., PrmTrainOptions]:
    def build(count: int = 24, **changes: Any) -> PrmTrainOptions:
        file = make.write(make.programs(count, num_tasks=6), tmp_path / f"labels-{count}.jsonl")
        settings = {"policy": "tiny", "epochs": 1, "programs_per_step": 8, "precision": "no", "held_out_share": 0.2}
        return PrmTrainOptions(labels=(file,), **(settings | changes))

    return build


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_it_learns_which_line_is_broken(make: Any, tmp_path: Path) -> None:
    """Programs with one division by zero, names of functions held out; the line's place alone scores .81."""
    file = make.write(make.programs(400), tmp_path / "labels.jsonl")
    options = PrmTrainOptions(
        labels=(file,),
        policy="tiny",
        epochs=2,
        programs_per_step=16,
        learning_rate=2e-3,
        held_out_share=0.2,
        evaluations_per_epoch=1,
        precision="no",
    )
    result = train_prm(options, tmp_path / "run")
    metrics = result.metrics
    assert metrics.place_accuracy < 0.85
    assert metrics.sign_accuracy > 0.9
    assert metrics.place_top1 < 0.5
    assert metrics.first_error_top1 > 0.8
    assert metrics.place_auc < 0.9
    assert metrics.auc > 0.95
    assert metrics.loss < 0.4 * metrics.loss_of_mean

    # The model on disk is the one that was measured, for this library and for any other.
    scorer = load_scorer(result.folder)
    fresh = make.programs(20, seed=1)
    scores = scorer.score([(one.completion, one.program) for one in fresh])
    labels = [dict(enumerate(one.labels, start=one.first_line)) for one in fresh]
    hits = [
        (score.score > 0) == (ours[score.line] > 0)
        for ours, line_scores in zip(labels, scores, strict=True)
        for score in line_scores
        if score.line in ours
    ]
    assert sum(hits) / len(hits) > 0.85
    assert AutoModelForTokenClassification.from_pretrained(result.folder).config.num_labels == 1


def test_adapters_learn_too(options: Callable[..., PrmTrainOptions], tmp_path: Path) -> None:
    """On random frozen weights that is hard: the programs trained on are asked for, not those held out."""
    settings = options(
        epochs=40,
        programs_per_step=20,
        learning_rate=3e-3,
        evaluations_per_epoch=1,
        patience=99,
        lora=LoraOptions(rank=8),
    )
    result = train_prm(settings, tmp_path / "run")
    losses = [row["loss"] for row in rows(tmp_path / "run")]
    assert losses[0] == pytest.approx(1)
    assert losses[-1] < 0.3
    scorer = load_scorer(result.folder)
    assert not [name for name, _ in scorer.model.named_modules() if "lora" in name], "merged on disk"
    ours, start = scorer.model.model.state_dict(), load_prm("tiny").model.model.state_dict()
    moved = {name for name in start if not torch.equal(ours[name], start[name])}
    assert len(moved) == 7 * 3, "each linear layer of the backbone has moved, nothing else in it"


def test_same_seed_same_numbers(options: Callable[..., PrmTrainOptions], tmp_path: Path) -> None:
    settings = options(learning_rate=1e-3)
    first, second = (train_prm(settings, tmp_path / name) for name in ("a", "b"))
    assert first.metrics == second.metrics
    timeless = [[{**row, "seconds": 0} for row in rows(tmp_path / name)] for name in ("a", "b")]
    assert timeless[0] == timeless[1]
    weights = [(tmp_path / name / "prm" / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert weights[0] == weights[1]
    other = train_prm(options(learning_rate=1e-3, seed=1), tmp_path / "c")
    assert other.metrics != first.metrics


def test_micro_batches_change_nothing(options: Callable[..., PrmTrainOptions], make: Any, tmp_path: Path) -> None:
    examples = tuple(example_of(one) for one in make.programs(8))
    gradients = []
    for budget in (100_000, 1):
        settings = options(tokens_per_micro_batch=budget, max_grad_norm=1e9)
        with open_accelerator(settings) as accelerator:
            loaded = load_prm("tiny")
            torch.nn.init.constant_(loaded.model.score.weight, 0.01)
            trainer = PrmTrainer(
                settings,
                RunFolder(path=tmp_path),
                Split(train=examples, held_out=examples),
                loaded.model,
                loaded.tokenizer,
                accelerator,
            )
            row = trainer.gradients(1, SilentDisplay())
        gradients.append((row["loss"], row["grad_norm"], row["lines"]))
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-4)
    num_lines = sum(len(example.targets) for example in examples)
    assert gradients[0][2] == num_lines


def test_the_first_loss_is_the_mean_square_of_the_labels(
    options: Callable[..., PrmTrainOptions], tmp_path: Path
) -> None:
    """A fresh head scores 0 everywhere, so every line of code costs (0 - l)^2 = 1."""
    train_prm(options(), tmp_path / "run")
    assert rows(tmp_path / "run")[0]["loss"] == pytest.approx(1.0)


def test_what_a_run_leaves(options: Callable[..., PrmTrainOptions], tmp_path: Path) -> None:
    result = train_prm(options(evaluations_per_epoch=3, epochs=2, patience=9), tmp_path / "run")
    written = rows(tmp_path / "run")
    assert [row["step"] for row in written] == [1, 2, 3, 4, 5, 6]
    assert [row["epoch"] for row in written] == [0, 0, 0, 1, 1, 1]
    measured = {row["step"]: row["heldout/loss"] for row in written if "heldout/loss" in row}
    assert min(measured, key=lambda step: measured[step]) == result.best_step
    record = json.loads((tmp_path / "run" / "held_out.json").read_text())
    assert (record["step"], record["metrics"]["loss"]) == (result.best_step, measured[result.best_step])
    assert sum(one["count"] for one in record["calibration"]) == record["metrics"]["num_lines"]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["learning_rate"] == 1e-5
    assert not list((tmp_path / "run").glob(".*partial")), "nothing is left half-written"
    for row in written:
        assert len(step_line(row["step"], row)) < 90


def test_it_stops_early_and_keeps_the_best(options: Callable[..., PrmTrainOptions], tmp_path: Path) -> None:
    """At an absurd learning rate the first measurement stays the best, or nearly so."""
    settings = options(learning_rate=0.3, epochs=30, evaluations_per_epoch=3, patience=3)
    result = train_prm(settings, tmp_path / "run")
    assert result.num_steps < 90
    assert result.best_step == result.num_steps - 3, "one measurement each step, three in vain"
    record = json.loads((tmp_path / "run" / "held_out.json").read_text())
    assert record["step"] == result.best_step


def test_each_epoch_visits_every_program_once(
    options: Callable[..., PrmTrainOptions], make: Any, tmp_path: Path
) -> None:
    examples = tuple(example_of(one) for one in make.programs(10))
    settings = options(programs_per_step=4, epochs=2)
    with open_accelerator(settings) as accelerator:
        loaded = load_prm("tiny")
        split = Split(train=examples, held_out=examples)
        trainer = PrmTrainer(settings, RunFolder(path=tmp_path), split, loaded.model, loaded.tokenizer, accelerator)
        visits = [trainer.examples_of_step(step) for step in range(1, 7)]
    assert [len(visit) for visit in visits] == [4, 4, 2, 4, 4, 2]
    epochs = [[one.token_ids for visit in part for one in visit] for part in (visits[:3], visits[3:])]
    for epoch in epochs:
        assert sorted(epoch) == sorted(example.token_ids for example in examples)
    assert epochs[0] != epochs[1]


def test_what_cannot_be_trained_says_why(options: Callable[..., PrmTrainOptions], make: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="widen --kinds"):
        train_prm(options(kinds=("wrong",)), tmp_path / "run")
    one_task = make.write(make.programs(5, num_tasks=1), tmp_path / "one.jsonl")
    with pytest.raises(RunError, match="two tasks"):
        train_prm(PrmTrainOptions(labels=(one_task,), policy="tiny", precision="no"), tmp_path / "run")
    assert not (tmp_path / "run").exists(), "a start that fails leaves nothing behind"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(RunError, match="already holds a run"):
        train_prm(options(), tmp_path / "run")


def test_labels_of_other_tokens_are_refused(make: Any, tmp_path: Path) -> None:
    programs = make.programs(4, num_tasks=2)
    file = make.write(programs, tmp_path / "labels.jsonl")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    for record in records:
        record["completion"]["token_ids"] = [token + 1 for token in record["completion"]["token_ids"]]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(PolicyError, match="another text"):
        train_prm(PrmTrainOptions(labels=(file,), policy="tiny", precision="no"), tmp_path / "run")


def test_a_loss_that_is_not_finite_stops(options: Callable[..., PrmTrainOptions], tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLossError, match="Lower --learning-rate"):
        train_prm(options(learning_rate=1e30, epochs=3), tmp_path / "run")


@pytest.mark.parametrize("change", [{"epochs": 0}, {"held_out_share": 1.0}, {"kinds": ()}, {"patience": 0}])
def test_settings_that_train_nothing_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        PrmTrainOptions(labels=(Path("x"),), **change)
