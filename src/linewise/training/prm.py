"""Training of the process reward model: min_phi sum_m (R_phi(x, y^(1..m)) - l_m)^2 (arXiv:2410.17621, section 3.3).

1. The sum runs over all lines of the step's programs and is divided by their number, neutral lines included: every line
   weighs the same, a long program more than a short one, and splitting a step into micro-batches changes nothing.
2. Neutral lines have the target 0.
3. Tasks, not programs, are held out. The weights of the best held-out loss are kept, and training stops early.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from rich.console import Console
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from linewise.errors import NonFiniteLossError, PolicyError, RunError
from linewise.losses.line_regression import line_regression
from linewise.policy.token_bytes import TokenBytes
from linewise.prm.dataset import PrmExample, Split, example_of, plan_batches, split_by_task
from linewise.prm.labels import LabelledProgram, read_labels
from linewise.prm.metrics import PrmMetrics, ScoredProgram, calibration, measure
from linewise.prm.model import line_batch, line_scores, load_prm, save_prm
from linewise.training.export import replaced_folder
from linewise.training.prm_options import PrmTrainOptions
from linewise.training.progress import Display, SilentDisplay, live_display
from linewise.training.run_folder import RunFolder, write_text
from linewise.training.seeds import derive_seed, stream
from linewise.training.session import resolve_precision

NUM_CHECKED = 32
"""Programs whose tokens are compared with the tokeniser before training."""


@dataclass(frozen=True, kw_only=True)
class PrmResult:
    """What a training of the process reward model gave."""

    folder: Path
    """The best weights, for `AutoModelForTokenClassification.from_pretrained`."""
    best_step: int
    """Updates that the best weights have seen."""
    metrics: PrmMetrics
    """Held-out quality of the best weights."""
    num_steps: int
    """Updates made."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Held-out quality after some updates."""

    step: int
    metrics: PrmMetrics
    scored: tuple[ScoredProgram, ...]


def train_prm(options: PrmTrainOptions, out: Path, *, console: Console | None = None) -> PrmResult:
    """Train in the new folder `out`: `prm/` (best weights), `metrics.jsonl`, `held_out.json`, `config.json`.

    Raises RunError for a folder that holds a run already or for too few programs, PolicyError for a model that cannot
    be a process reward model or does not have the labels' tokens, NonFiniteLossError where the loss is not finite.
    """
    folder = RunFolder(path=out)
    folder.check_free()
    labelled = [one for path in options.labels for one in read_labels(path) if one.kind in options.kinds]
    with open_accelerator(options) as accelerator:
        loaded = load_prm(options.policy, lora=options.lora, device=accelerator.device)
        check_tokens(labelled[:NUM_CHECKED], loaded.tokenizer)
        split = prepare(labelled, options, max_length=getattr(loaded.model.config, "max_position_embeddings", None))
        folder.create(config_record(options))
        trainer = PrmTrainer(options, folder, split, loaded.model, loaded.tokenizer, accelerator)
        display = (
            nullcontext(SilentDisplay())
            if console is None
            else live_display(console, steps=trainer.num_steps, done=0, line=step_line)
        )
        with display as shown:
            return trainer.run(shown)


class PrmTrainer:
    """The loop: updates, held-out measurements, the best weights on disk."""

    def __init__(
        self,
        options: PrmTrainOptions,
        folder: RunFolder,
        split: Split,
        model: Any,
        tokenizer: Any,
        accelerator: Accelerator,
    ) -> None:
        self.options, self.folder, self.split = options, folder, split
        self.tokenizer, self.accelerator = tokenizer, accelerator
        self.steps_per_epoch = math.ceil(len(split.train) / options.programs_per_step)
        self.num_steps = options.epochs * self.steps_per_epoch
        self.evaluate_every = max(1, self.steps_per_epoch // options.evaluations_per_epoch)
        warmup = max(1, round(options.warmup_share * self.num_steps))
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimiser = AdamW(
            trainable,
            lr=options.resolved_learning_rate,
            betas=options.betas,
            weight_decay=options.weight_decay,
            fused=False,
        )
        self.schedule = LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / warmup))
        self.model, self.optimiser = accelerator.prepare(model, optimiser)

    def run(self, display: Display) -> PrmResult:
        """All updates, or as many as the held-out loss improves for."""
        best: Measurement | None = None
        step = without_gain = 0
        display.note(
            f"{len(self.split.train)} programs to train on, {len(self.split.held_out)} of other tasks held out; "
            f"{self.num_steps} updates"
        )
        for step in range(1, self.num_steps + 1):
            started = time.perf_counter()
            row = self.update(step, display)
            if step % self.evaluate_every == 0 or step == self.num_steps:
                measured = self.measure(step, display)
                row |= measured.metrics.to_record("heldout/")
                if best is None or measured.metrics.loss < best.metrics.loss:
                    best, without_gain = measured, 0
                    self.keep(best)
                else:
                    without_gain += 1
            row["seconds"] = time.perf_counter() - started
            self.folder.append(self.folder.metrics, [row])
            display.step(step, row)
            if without_gain >= self.options.patience:
                display.note(f"stopped: {without_gain} measurements without a better held-out loss")
                break
        assert best is not None, "the last step is always measured"
        return PrmResult(folder=prm_folder(self.folder), best_step=best.step, metrics=best.metrics, num_steps=step)

    def update(self, step: int, display: Display) -> dict[str, Any]:
        """One step of the optimiser; returns the row of metrics."""
        examples = self.examples_of_step(step)
        num_lines = sum(len(example.targets) for example in examples)
        plan = plan_batches(examples, self.options.tokens_per_micro_batch)
        display.stage("update", len(plan))
        self.model.train()
        self.optimiser.zero_grad()
        total = 0.0
        for micro in plan:
            loss = self.squared_errors(micro).sum() / num_lines
            if not torch.isfinite(loss):
                raise NonFiniteLossError(self.diverged(step, f"the loss is {loss.item()}"))
            self.accelerator.backward(loss)
            total += float(loss.detach())
            display.advance(1)
        norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), self.options.max_grad_norm))
        if not math.isfinite(norm):
            raise NonFiniteLossError(self.diverged(step, f"the gradient's norm is {norm}"))
        rate = float(self.schedule.get_last_lr()[0])
        self.optimiser.step()
        self.schedule.step()
        return {
            "step": step,
            "epoch": (step - 1) // self.steps_per_epoch,
            "loss": total,
            "grad_norm": norm,
            "learning_rate": rate,
            "lines": num_lines,
            "tokens": sum(len(example.token_ids) for example in examples),
        }

    def examples_of_step(self, step: int) -> list[PrmExample]:
        """The programs of a step, counted from 1; each epoch visits every program once, in an order of its own."""
        epoch, place = divmod(step - 1, self.steps_per_epoch)
        order = stream(self.options.seed, "prm epoch", epoch).permutation(len(self.split.train))
        begin = place * self.options.programs_per_step
        return [self.split.train[index] for index in order[begin : begin + self.options.programs_per_step]]

    def squared_errors(self, examples: Sequence[PrmExample]) -> torch.Tensor:
        """[K] squared error of each line of a micro-batch."""
        labels = [target.label for example in examples for target in example.targets]
        return line_regression(
            self.scores(examples), torch.tensor(labels, dtype=torch.float32, device=self.accelerator.device)
        )

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
    def measure(self, step: int, display: Display) -> Measurement:
        """Scores of the held-out programs against their labels."""
        self.model.eval()
        plan = plan_batches(self.split.held_out, 2 * self.options.tokens_per_micro_batch)
        display.stage("held-out", len(plan))
        scored = []
        for micro in plan:
            scores = self.scores(micro).tolist()
            for example in micro:
                ours, scores = scores[: len(example.targets)], scores[len(example.targets) :]
                labels = tuple(target.label for target in example.targets)
                scored.append(ScoredProgram(task_id=example.task_id, scores=tuple(ours), labels=labels))
            display.advance(1)
        return Measurement(step=step, metrics=measure(scored), scored=tuple(scored))

    def keep(self, best: Measurement) -> None:
        """Put the weights of the best measurement on disk, and what was measured beside them."""
        model = self.accelerator.unwrap_model(self.model)
        with replaced_folder(prm_folder(self.folder)) as partial:
            save_prm(model, self.tokenizer, partial)
        record = {
            "step": best.step,
            "metrics": best.metrics.to_record(),
            "calibration": [bin_record(one) for one in map(asdict, calibration(best.scored))],
        }
        write_text(self.folder.path / "held_out.json", json.dumps(record, indent=1))

    def diverged(self, step: int, what: str) -> str:
        """The message of a training that met a number that is not finite."""
        kept = prm_folder(self.folder)
        where = f"The best weights so far are in {kept}." if kept.exists() else "No weights had been saved yet."
        return f"{what} at update {step}. {where} Lower --learning-rate, or train in float32 with --precision no."


def prm_folder(folder: RunFolder) -> Path:
    """Where a run keeps its best process reward model."""
    return folder.path / "prm"


def prepare(labelled: Sequence[LabelledProgram], options: PrmTrainOptions, *, max_length: int | None) -> Split:
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


@contextmanager
def open_accelerator(options: PrmTrainOptions) -> Iterator[Accelerator]:
    """Device and precision, with the library's random numbers seeded; forgotten at the end."""
    torch.manual_seed(derive_seed(options.seed, "torch"))
    accelerator = Accelerator(mixed_precision=resolve_precision(options.precision))
    try:
        if accelerator.num_processes > 1:
            raise RunError(
                f"the process reward model is trained by one process and there are {accelerator.num_processes}: start "
                "it without `accelerate launch` or `torchrun`."
            )
        yield accelerator
    finally:
        AcceleratorState._reset_state()


def config_record(options: PrmTrainOptions) -> dict[str, Any]:
    """JSON form of the settings, defaults filled in."""
    record = asdict(replace(options, learning_rate=options.resolved_learning_rate))
    return record | {"algorithm": "process reward model", "labels": [str(path) for path in options.labels]}


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
