"""Training of the process reward model: min_phi sum_m (R_phi(x, y^(1..m)) - l_m)^2 (arXiv:2410.17621, section 3.3).

1. The sum runs over all lines of the step's programs and is divided by their number, neutral lines included: every line
   weighs the same, a long program more than a short one, and splitting a step into micro-batches changes nothing.
2. Neutral lines have the target 0.
3. Tasks, not programs, are held out. The weights of the best held-out loss are kept, and training stops early.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from rich.console import Console

from linewise.errors import PolicyError, RunError
from linewise.losses.line_regression import line_regression
from linewise.policy.token_bytes import TokenBytes
from linewise.prm.dataset import PrmExample, Split, example_of, split_by_task
from linewise.prm.labels import LabelledProgram, read_labels
from linewise.prm.metrics import PrmMetrics, ScoredProgram, calibration, measure
from linewise.prm.model import line_batch, line_scores, load_prm
from linewise.training.fit import ClassifierTrainer, open_accelerator, run_shown
from linewise.training.fit_state import Fit, Measurement, check_resumable, read_finished
from linewise.training.prm_options import ALGORITHM, PrmTrainOptions
from linewise.training.progress import Display
from linewise.training.run_folder import RunFolder

NUM_CHECKED = 32
"""Programs whose tokens are compared with the tokeniser before training."""


def train_prm(
    options: PrmTrainOptions, out: Path, *, resume: bool = False, console: Console | None = None
) -> Fit[PrmMetrics]:
    """Train in the new folder `out`: `prm/` (best weights), `metrics.jsonl`, `held_out.json`, `config.json`.

    With `resume`, go on with the training that is there. It gives the numbers of an uninterrupted one (same seed, same
    machine, CPU): weights, optimiser, schedule and what was measured come from the newest checkpoint. A finished one is
    read back and left as it is. Raises RunError for a folder that holds a run already, or none to resume, or one of other
    settings, and for too few programs; PolicyError for a model that cannot be a process reward model or does not have the
    labels' tokens; NonFiniteLossError where the loss is not finite; StorageError where the disk is full.
    """
    folder, record = RunFolder(path=out), config_record(options)
    if resume:
        check_resumable(folder, record)
        finished = read_finished(folder, out / PrmTrainer.purpose, PrmMetrics)
        if finished is not None:
            return finished
    else:
        folder.check_free()
    labelled = [one for path in options.labels for one in read_labels(path) if one.kind in options.kinds]
    with open_accelerator(options) as accelerator:
        loaded = load_prm(options.policy, lora=options.lora, device=accelerator.device)
        check_tokens(labelled[:NUM_CHECKED], loaded.tokenizer)
        split = prepare(labelled, options, max_length=getattr(loaded.model.config, "max_position_embeddings", None))
        trainer = PrmTrainer(options, folder, split, loaded.model, loaded.tokenizer, accelerator)
        if resume:
            trainer.restore()
        else:
            folder.create(record)
        return run_shown(trainer, console, step_line)


class PrmTrainer(ClassifierTrainer[PrmExample, PrmMetrics]):
    """Fits scores to line labels."""

    purpose: ClassVar[str] = "prm"
    targets: ClassVar[str] = "lines"
    metrics_type = PrmMetrics

    def losses(self, examples: Sequence[PrmExample]) -> torch.Tensor:
        """[K] squared error of each line of a micro-batch."""
        labels = [target.label for example in examples for target in example.targets]
        return line_regression(
            self.scores(examples), torch.tensor(labels, dtype=torch.float32, device=self.accelerator.device)
        )

    def num_targets(self, example: PrmExample) -> int:
        """Labelled lines."""
        return len(example.targets)

    def scores(self, examples: Sequence[PrmExample]) -> torch.Tensor:
        """[K] scores of the lines of a micro-batch, in order."""
        batch = line_batch(
            [example.token_ids for example in examples],
            [[target.position for target in example.targets] for example in examples],
            pad_id=self.tokenizer.pad_token_id,
            device=self.accelerator.device,
        )
        with self.accelerator.autocast():
            return line_scores(self.model, batch)

    @torch.no_grad()
    def measure(self, step: int, display: Display) -> Measurement[PrmMetrics]:
        """Scores of the held-out programs against their labels."""
        self.model.eval()
        plan = self.held_out_batches()
        display.stage("held-out", len(plan))
        scored = []
        for micro in plan:
            scores = self.scores(micro).tolist()
            for example in micro:
                ours, scores = scores[: len(example.targets)], scores[len(example.targets) :]
                labels = tuple(target.label for target in example.targets)
                scored.append(ScoredProgram(scores=tuple(ours), labels=labels))
            display.advance(1)
        bins = [bin_record(one) for one in map(asdict, calibration(scored))]
        return Measurement(step=step, metrics=measure(scored), details={"calibration": bins})


def prepare(
    labelled: Sequence[LabelledProgram], options: PrmTrainOptions, *, max_length: int | None
) -> Split[PrmExample]:
    """The examples, divided by task. Raises RunError where one side would be empty.

    Programs without a labelled line of their own, or beyond the model's context, are left out.
    """
    examples = [
        example
        for example in map(example_of, labelled)
        if example.targets and (max_length is None or len(example.token_ids) <= max_length)
    ]
    tasks = {example.task_id for example in examples}
    if len(tasks) < 2:
        raise RunError(
            f"{len(examples)} programs of {len(tasks)} tasks are left of the classes {', '.join(options.kinds)}; at least "
            "two tasks are needed, one of them to hold out. Label more programs, or widen --kinds."
        )
    return split_by_task(examples, held_out_share=options.held_out_share, seed=options.seed)


def check_tokens(labelled: Sequence[LabelledProgram], tokenizer: Any) -> None:
    """Raises PolicyError where the model's tokeniser reads the labelled tokens as another text."""
    table = TokenBytes.from_tokenizer(tokenizer)
    for one in labelled:
        if table.decode_with_spans(one.completion.token_ids).text != one.completion.text:
            raise PolicyError(
                f"the tokens of a program for '{one.task_id}' were sampled by '{one.policy}', and this model's tokeniser "
                "reads them as another text. Give --policy the model that was labelled, or one of its family."
            )


def config_record(options: PrmTrainOptions) -> dict[str, Any]:
    """JSON form of the settings, defaults filled in."""
    record = asdict(replace(options, learning_rate=options.resolved_learning_rate))
    return record | {"algorithm": ALGORITHM, "labels": [str(path) for path in options.labels]}


def bin_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """JSON form of a calibration bin: NaN becomes None."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in record.items()}


def step_line(step: int, metrics: Mapping[str, Any]) -> str:
    """One line with the numbers that people watch."""
    line = f"step {step:>4}  loss {metrics['loss']:.3f}  grad {metrics['grad_norm']:.1f}  {metrics['seconds']:.0f} s"
    if "heldout/loss" in metrics:
        shown = {"loss": "held-out", "sign_accuracy": "sign", "first_error_top1": "first"}
        values = [(label, metrics[f"heldout/{name}"]) for name, label in shown.items()]
        line += "".join(f"  {label} {value:.3f}" for label, value in values if value is not None)
    return line
