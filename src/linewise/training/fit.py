"""The loop that fits a token classifier: updates, held-out measurements, early stop, the best weights on disk."""

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
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
from linewise.training.export import replaced_folder
from linewise.training.fit_options import FitOptions
from linewise.training.progress import Display, SilentDisplay, StepLine, live_display
from linewise.training.run_folder import RunFolder, write_text
from linewise.training.seeds import derive_seed, stream
from linewise.training.session import resolve_precision


class Example(HasTask, Protocol):
    """A judged program as the classifier reads it."""

    @property
    def token_ids(self) -> tuple[int, ...]:
        """Prompt and completion."""


class Metrics(Protocol):
    """Held-out quality."""

    @property
    def loss(self) -> float:
        """What decides which weights are the best."""

    def to_record(self, prefix: str = "") -> dict[str, Any]:
        """Flat JSON form."""


ExampleT = TypeVar("ExampleT", bound=Example)
MetricsT = TypeVar("MetricsT", bound=Metrics)


@dataclass(frozen=True, kw_only=True)
class Measurement(Generic[MetricsT]):
    """Held-out quality after some updates."""

    step: int
    metrics: MetricsT
    details: dict[str, Any]
    """What else is kept on disk beside the metrics, as JSON."""


@dataclass(frozen=True, kw_only=True)
class Fit(Generic[MetricsT]):
    """What a training gave."""

    folder: Path
    """The best weights, for `AutoModelForTokenClassification.from_pretrained`."""
    best_step: int
    """Updates that the best weights have seen."""
    metrics: MetricsT
    """Held-out quality of the best weights."""
    num_steps: int
    """Updates made."""


class ClassifierTrainer(ABC, Generic[ExampleT, MetricsT]):
    """The loop. A classifier says what the loss of its targets is and how its quality is measured."""

    purpose: ClassVar[str]
    """Names its random numbers and the folder of its weights."""
    targets: ClassVar[str]
    """What is counted in an update: what the loss is a mean over."""

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

    def run(self, display: Display) -> Fit[MetricsT]:
        """All updates, or as many as the held-out loss improves for."""
        best: Measurement[MetricsT] | None = None
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
        return Fit(folder=self.weights, best_step=best.step, metrics=best.metrics, num_steps=step)

    def update(self, step: int, display: Display) -> dict[str, Any]:
        """One step of the optimiser; returns the row of metrics."""
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
        rate = float(self.schedule.get_last_lr()[0])
        self.optimiser.step()
        self.schedule.step()
        return {
            "step": step,
            "epoch": (step - 1) // self.steps_per_epoch,
            "loss": total,
            "grad_norm": norm,
            "learning_rate": rate,
            self.targets: count,
            "tokens": sum(len(example.token_ids) for example in examples),
        }

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
        write_text(self.folder.path / "held_out.json", json.dumps(record, indent=1))

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
        else live_display(console, steps=trainer.num_steps, done=0, line=line)
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
