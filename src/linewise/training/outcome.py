"""Training of CodeRL's outcome critic: min - sum_W log p(u* | W, D) (arXiv:2207.01780, section 3.2; `values/outcome.py`).

1. Tasks, not programs, are held out. The weights of the best held-out loss are kept, and training stops early.
2. References are trained on and never measured: they are written otherwise than samples, and so easy to tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from rich.console import Console
from torch.nn.functional import cross_entropy

from linewise.errors import RunError
from linewise.policy.classifier import token_logits
from linewise.prm.dataset import Split, split_by_task
from linewise.training.fit import ClassifierTrainer, open_accelerator, run_shown
from linewise.training.fit_state import Fit, Measurement, check_resumable, read_finished
from linewise.training.outcome_metrics import OutcomeMetrics, PredictedProgram, measure_outcomes, outcome_shares
from linewise.training.outcome_options import ALGORITHM, OutcomeTrainOptions
from linewise.training.progress import Display
from linewise.training.run_folder import RunFolder
from linewise.values.classes import OutcomeClass
from linewise.values.outcome import batch_of_examples, load_outcome_critic, max_pool
from linewise.values.programs import JudgedProgram, OutcomeExample, example_of


def train_outcome_critic(
    options: OutcomeTrainOptions,
    programs: Sequence[JudgedProgram],
    out: Path,
    *,
    policy: str,
    resume: bool = False,
    console: Console | None = None,
) -> Fit[OutcomeMetrics]:
    """Train in the folder `out`: `critic/` (best weights), `metrics.jsonl`, `held_out.json`, `config.json`.

    `policy` is the model that sampled the programs, from which the critic starts unless `options.critic` names another.
    With `resume`, go on with the training that is there, as `train_prm` does. Raises RunError for a folder that holds a run
    already, or none to resume, or one of other settings, and for too few programs; PolicyError for a model that cannot be
    an outcome critic; NonFiniteLossError where the loss is not finite; StorageError where the disk is full.
    """
    folder, record = RunFolder(path=out), config_record(options, policy)
    if resume:
        check_resumable(folder, record)
        finished = read_finished(folder, out / OutcomeTrainer.purpose, OutcomeMetrics)
        if finished is not None:
            return finished
    else:
        folder.check_free()
    with open_accelerator(options) as accelerator:
        loaded = load_outcome_critic(options.critic or policy, lora=options.lora, device=accelerator.device)
        split = prepare(programs, options, max_length=getattr(loaded.model.config, "max_position_embeddings", None))
        trainer = OutcomeTrainer(options, folder, split, loaded.model, loaded.tokenizer, accelerator)
        if resume:
            trainer.restore()
        else:
            folder.create(record)
        return run_shown(trainer, console, step_line)


class OutcomeTrainer(ClassifierTrainer[OutcomeExample, OutcomeMetrics]):
    """Fits max-pooled logits to outcomes."""

    purpose: ClassVar[str] = "critic"
    targets: ClassVar[str] = "programs"
    metrics_type = OutcomeMetrics

    def losses(self, examples: Sequence[OutcomeExample]) -> torch.Tensor:
        """[B] - log p(true outcome) of each program of a micro-batch."""
        truths = torch.tensor([int(example.outcome) for example in examples], device=self.accelerator.device)
        return cross_entropy(self.logits(examples), truths, reduction="none")

    def num_targets(self, example: OutcomeExample) -> int:
        """1: a program has one outcome."""
        return 1

    def logits(self, examples: Sequence[OutcomeExample]) -> torch.Tensor:
        """[B, C] max-pooled logits of a micro-batch, in order."""
        batch = batch_of_examples(examples, pad_id=self.tokenizer.pad_token_id, device=self.accelerator.device)
        with self.accelerator.autocast():
            logits = token_logits(self.model, batch.token_ids, batch.mask)
        return max_pool(logits, batch.pooled_mask)

    @torch.no_grad()
    def measure(self, step: int, display: Display) -> Measurement[OutcomeMetrics]:
        """Predictions on the held-out samples against their outcomes."""
        self.model.eval()
        plan = self.held_out_batches()
        display.stage("held-out", len(plan))
        predicted = []
        for micro in plan:
            probs = self.logits(micro).softmax(dim=-1).tolist()
            predicted += [
                PredictedProgram(probs=tuple(ours), outcome=example.outcome)
                for ours, example in zip(probs, micro, strict=True)
            ]
            display.advance(1)
        shares = outcome_shares([example.outcome for example in self.split.train])
        details = {"classes": [outcome.name.lower() for outcome in OutcomeClass], "training_shares": shares}
        return Measurement(step=step, metrics=measure_outcomes(predicted, shares), details=details)


def prepare(
    programs: Sequence[JudgedProgram], options: OutcomeTrainOptions, *, max_length: int | None
) -> Split[OutcomeExample]:
    """The examples, divided by task, held-out references dropped. Raises RunError where one side would be empty.

    Programs beyond the model's context are left out.
    """
    examples = [
        example for example in map(example_of, programs) if max_length is None or len(example.token_ids) <= max_length
    ]
    sampled = {example.task_id for example in examples if not example.reference}
    if len(sampled) < 2:
        raise RunError(
            f"{len(examples)} programs of {len(sampled)} tasks with samples are left; at least two tasks are needed, one of "
            "them to hold out. Sample more tasks."
        )
    split = split_by_task(
        [example for example in examples if example.task_id in sampled],
        held_out_share=options.held_out_share,
        seed=options.seed,
    )
    return replace(split, held_out=tuple(example for example in split.held_out if not example.reference))


def config_record(options: OutcomeTrainOptions, policy: str) -> dict[str, Any]:
    """JSON form of the settings, defaults filled in."""
    filled = replace(options, learning_rate=options.resolved_learning_rate, critic=options.critic or policy)
    return asdict(filled) | {"algorithm": ALGORITHM, "policy": policy}


def step_line(step: int, metrics: Mapping[str, Any]) -> str:
    """One line with the numbers that people watch."""
    line = f"step {step:>4}  loss {metrics['loss']:.3f}  grad {metrics['grad_norm']:.1f}  {metrics['seconds']:.0f} s"
    if "heldout/loss" in metrics:
        shown = {"loss": "held-out", "accuracy": "accuracy", "auc": "AUC"}
        values = [(label, metrics[f"heldout/{name}"]) for name, label in shown.items()]
        line += "".join(f"  {label} {value:.3f}" for label, value in values if value is not None)
    return line
