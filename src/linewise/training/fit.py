"""The loop that fits a token classifier: updates, held-out measurements, early stop, the best weights on disk.

Every measurement leaves a checkpoint. It is whole before the best weights are replaced, so that those on disk are always
the checkpoint's best, or, where a kill came between the two, can be written again from its weights.
"""

import json
import math
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from rich.console import Console
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from linewise.errors import NonFiniteLossError, RunError
from linewise.policy.batches import plan_batches
from linewise.policy.classifier import save_classifier
from linewise.prm.dataset import HasTask, Split
from linewise.training.checkpoint import list_checkpoints, read_checkpoint, write_checkpoint
from linewise.training.export import replaced_folder
from linewise.training.fit_options import FitOptions
from linewise.training.fit_state import (
    Fit,
    FitState,
    Measurement,
    MetricsT,
    examples_digest,
    state_from_record,
    write_finished,
)
from linewise.training.interrupts import interrupts_deferred
from linewise.training.progress import Display, SilentDisplay, StepLine, live_display
from linewise.training.run_folder import RunFolder, write_text
from linewise.training.seeds import derive_seed, stream
from linewise.training.session import resolve_precision


class Example(HasTask, Protocol):
    """A judged program as the classifier reads it."""

    @property
    def token_ids(self) -> tuple[int, ...]:
        """Prompt and completion."""


ExampleT = TypeVar("ExampleT", bound=Example)


class ClassifierTrainer(ABC, Generic[ExampleT, MetricsT]):
    """The loop. A classifier says what the loss of its targets is and how its quality is measured."""

    purpose: ClassVar[str]
    """Names its random numbers and the folder of its weights."""
    targets: ClassVar[str]
    """What is counted in an update: what the loss is a mean over."""
    metrics_type: type[MetricsT]
    """Of what `measure` gives."""

    def __init__(
        self,
        options: FitOptions,
        folder: RunFolder,
        split: Split[ExampleT],
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
        accelerator.register_for_checkpointing(self.schedule)
        self.state: FitState[MetricsT] = FitState(examples=examples_digest(split))
        self.num_updates = 0
        """Updates that the weights have seen; one more than `state.step` while the update is being measured."""

    @abstractmethod
    def losses(self, examples: Sequence[ExampleT]) -> torch.Tensor:
        """[K] loss of each target of a micro-batch."""

    @abstractmethod
    def num_targets(self, example: ExampleT) -> int:
        """Targets of an example: the losses it has."""

    @abstractmethod
    def measure(self, step: int, display: Display) -> Measurement[MetricsT]:
        """Quality on the held-out programs."""

    @property
    def weights(self) -> Path:
        """Where the best weights are kept."""
        return self.folder.path / self.purpose

    @property
    def held_out_file(self) -> Path:
        """What was measured of the best weights."""
        return self.folder.path / "held_out.json"

    @property
    def is_over(self) -> bool:
        """Whether all updates are made, or the held-out loss has not improved for too long."""
        return self.state.step == self.num_steps or self.state.without_gain >= self.options.patience

    def run(self, display: Display) -> Fit[MetricsT]:
        """All remaining updates, or as many as the held-out loss improves for.

        After Ctrl-C a checkpoint of the last whole update is written first, unless a measurement was interrupted.
        """
        display.note(
            f"{len(self.split.train)} programs to train on, {len(self.split.held_out)} of other tasks held out; "
            f"{self.num_steps} updates" + (f", {self.state.step} of them done" if self.state.step else "")
        )
        try:
            while not self.is_over:
                self.train_step(display)
        except KeyboardInterrupt:
            with interrupts_deferred():
                # Weights that wait for their measurement are no whole step: the checkpoint before them is.
                if self.num_updates == self.state.step > 0:
                    self.save()
                display.note(f"interrupted. Continue with --resume {self.folder.path}")
            raise
        if self.state.step < self.num_steps:
            display.note(f"stopped: {self.state.without_gain} measurements without a better held-out loss")
        write_finished(self.folder, self.state)
        shutil.rmtree(self.folder.checkpoints, ignore_errors=True)
        return self.state.fit(self.weights)

    def train_step(self, display: Display) -> None:
        """One update, measured where it is due. It can be abandoned until the weights change, and while it is measured."""
        step, started = self.state.step + 1, time.perf_counter()
        # What dropout draws is a function of the step, so that a resumed training draws it again.
        torch.manual_seed(derive_seed(self.options.seed, f"{self.purpose} dropout", step))
        row = self.gradients(step, display)
        is_due = step % self.evaluate_every == 0 or step == self.num_steps
        with interrupts_deferred():
            self.optimiser.step()
            self.schedule.step()
            self.num_updates = step
            if not is_due:
                self.record(row, None, started, display)
        if is_due:
            measured = self.measure(step, display)
            with interrupts_deferred():
                self.record(row | measured.metrics.to_record("heldout/"), measured, started, display)

    def record(
        self, row: Mapping[str, Any], measured: Measurement[MetricsT] | None, started: float, display: Display
    ) -> None:
        """Take the update into the state and the metrics; a measured one leaves a checkpoint, and the best its weights."""
        row = {**row, "seconds": time.perf_counter() - started}
        self.folder.append(self.folder.metrics, [row])
        self.state = self.state.after(row["step"], measured)
        display.step(self.state.step, row)
        if measured is not None:
            self.save()
            if self.state.best is measured:
                self.keep(measured)

    def gradients(self, step: int, display: Display) -> dict[str, Any]:
        """Clipped gradients of an update into `.grad`, and its row of metrics; nothing else changes."""
        examples = self.examples_of_step(step)
        count = sum(map(self.num_targets, examples))
        plan = plan_batches(examples, self.options.tokens_per_micro_batch)
        display.stage("update", len(plan))
        self.model.train()
        self.optimiser.zero_grad()
        total = 0.0
        for micro in plan:
            loss = self.losses(micro).sum() / count
            if not torch.isfinite(loss):
                raise NonFiniteLossError(self.diverged(step, f"the loss is {loss.item()}"))
            self.accelerator.backward(loss)
            total += float(loss.detach())
            display.advance(1)
        norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), self.options.max_grad_norm))
        if not math.isfinite(norm):
            raise NonFiniteLossError(self.diverged(step, f"the gradient's norm is {norm}"))
        return {
            "step": step,
            "epoch": (step - 1) // self.steps_per_epoch,
            "loss": total,
            "grad_norm": norm,
            "learning_rate": float(self.schedule.get_last_lr()[0]),
            self.targets: count,
            "tokens": sum(len(example.token_ids) for example in examples),
        }

    def save(self) -> None:
        """Write a checkpoint of the state; it takes the place of the last one."""
        write_checkpoint(self.folder.checkpoints, self.state.step, asdict(self.state), self.accelerator, keep=1)

    def restore(self) -> None:
        """Go on from the newest checkpoint; from the start where the training was killed before its first one.

        Raises RunError where the programs are others than they were, or where the checkpoint is missing.
        """
        checkpoints, examples = list_checkpoints(self.folder.checkpoints), self.state.examples
        if checkpoints:
            record = read_checkpoint(checkpoints[-1], self.accelerator)
            self.state = state_from_record(record, self.metrics_type)
            self.num_updates = self.state.step
            if self.state.examples != examples:
                raise RunError(
                    f"the training in {self.folder.path} began with other programs than it is given now: their file has "
                    "changed. Restore it, or start a new training with --out."
                )
        elif self.held_out_file.exists():
            raise RunError(
                f"{self.folder.path} holds measured weights and no checkpoint to go on from: it was removed, or an older "
                "version wrote none. Start a new training with another --out, or remove the folder."
            )
        self.folder.rewind(self.state.step)
        best = self.state.best
        if best is not None and best.step == self.state.step:
            # A kill may have come between this checkpoint and its weights' place beside it.
            self.keep(best)

    def examples_of_step(self, step: int) -> list[ExampleT]:
        """The programs of a step, counted from 1; each epoch visits every program once, in an order of its own."""
        epoch, place = divmod(step - 1, self.steps_per_epoch)
        order = stream(self.options.seed, f"{self.purpose} epoch", epoch).permutation(len(self.split.train))
        begin = place * self.options.programs_per_step
        return [self.split.train[index] for index in order[begin : begin + self.options.programs_per_step]]

    def held_out_batches(self) -> list[list[ExampleT]]:
        """The held-out programs in batches for passes without gradients."""
        return plan_batches(self.split.held_out, 2 * self.options.tokens_per_micro_batch)

    def keep(self, best: Measurement[MetricsT]) -> None:
        """Put the weights of the best measurement on disk, and what was measured beside them."""
        model = self.accelerator.unwrap_model(self.model)
        with replaced_folder(self.weights) as partial:
            save_classifier(model, self.tokenizer, partial)
        record = {"step": best.step, "metrics": best.metrics.to_record(), **best.details}
        write_text(self.held_out_file, json.dumps(record, indent=1))

    def diverged(self, step: int, what: str) -> str:
        """The message of a training that met a number that is not finite."""
        saved = self.weights.exists()
        where = f"The best weights so far are in {self.weights}." if saved else "No weights had been saved yet."
        return f"{what} at update {step}. {where} Lower --learning-rate, or train in float32 with --precision no."


def run_shown(trainer: ClassifierTrainer[ExampleT, MetricsT], console: Console | None, line: StepLine) -> Fit[MetricsT]:
    """Run a training with bars and a line for each step on the console, or silently where it is None."""
    display = (
        nullcontext(SilentDisplay())
        if console is None
        else live_display(console, steps=trainer.num_steps, done=trainer.state.step, line=line)
    )
    with display as shown:
        return trainer.run(shown)


@contextmanager
def open_accelerator(options: FitOptions) -> Iterator[Accelerator]:
    """Device and precision, with the library's random numbers seeded; forgotten at the end."""
    torch.manual_seed(derive_seed(options.seed, "torch"))
    accelerator = Accelerator(mixed_precision=resolve_precision(options.precision))
    try:
        if accelerator.num_processes > 1:
            raise RunError(
                f"a classifier is trained by one process and there are {accelerator.num_processes}: start "
                "it without `accelerate launch` or `torchrun`."
            )
        yield accelerator
    finally:
        AcceleratorState._reset_state()
