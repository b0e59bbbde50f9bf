"""Where the training of a token classifier stands, and what it gave. Torch-free, so that the command line can read it."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from linewise.errors import RunError
from linewise.prm.dataset import HasTask, Split
from linewise.training.fit_options import FitOptions
from linewise.training.records import check_same, decode
from linewise.training.run_folder import RunFolder, write_text

FREE_TO_CHANGE = ("labels",)
"""Settings that may differ on resuming: the labels' place. What is in them is compared by `examples_digest`."""


class Metrics(Protocol):
    """Held-out quality: a frozen dataclass of numbers."""

    @property
    def loss(self) -> float:
        """What decides which weights are the best."""

    def to_record(self, prefix: str = "") -> dict[str, Any]:
        """Flat JSON form."""


MetricsT = TypeVar("MetricsT", bound=Metrics)
ExampleT = TypeVar("ExampleT", bound=HasTask)


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


@dataclass(frozen=True, kw_only=True)
class FitState(Generic[MetricsT]):
    """Where a training stands after `step` updates.

    No random state is kept: the order of the programs and dropout are functions of the seed and the step.
    """

    step: int = 0
    """Updates made, and measured where a measurement was due."""
    best: Measurement[MetricsT] | None = None
    """The measurement of the least held-out loss; None before the first one."""
    without_gain: int = 0
    """Measurements since then."""
    examples: str = ""
    """`examples_digest` of what is trained on."""

    def after(self, step: int, measured: Measurement[MetricsT] | None) -> "FitState[MetricsT]":
        """The state after one more update. Example: losses 3, 2, 2 give best 2 with 0, then 1 measurement without gain."""
        if measured is None:
            return replace(self, step=step)
        if self.best is None or measured.metrics.loss < self.best.metrics.loss:
            return replace(self, step=step, best=measured, without_gain=0)
        return replace(self, step=step, without_gain=self.without_gain + 1)

    def fit(self, weights: Path) -> Fit[MetricsT]:
        """What the training gave, where this is its last state."""
        assert self.best is not None, "the last step is always measured"
        return Fit(folder=weights, best_step=self.best.step, metrics=self.best.metrics, num_steps=self.step)


def state_from_record(record: Mapping[str, Any], metrics: type[MetricsT]) -> FitState[MetricsT]:
    """The state that `dataclasses.asdict` wrote as `record`; `metrics` is the class of its measurements' metrics."""
    best = record["best"]
    return FitState(
        step=record["step"],
        best=None if best is None else Measurement(**best | {"metrics": decode(metrics, best["metrics"])}),
        without_gain=record["without_gain"],
        examples=record["examples"],
    )


def examples_digest(split: Split[ExampleT]) -> str:
    """The same for the same programs with the same targets on the same sides, and for no others (SHA-256, hexadecimal)."""
    digest = hashlib.sha256()
    for side in (split.train, split.held_out):
        for example in side:
            digest.update(repr(example).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def finished_file(folder: RunFolder) -> Path:
    """Written when the training is over and its best weights are on disk; it holds the last state."""
    return folder.path / "finished.json"


def write_finished(folder: RunFolder, state: FitState[Any]) -> None:
    """Say that the training is over."""
    write_text(finished_file(folder), json.dumps(asdict(state), indent=1))


def read_finished(folder: RunFolder, weights: Path, metrics: type[MetricsT]) -> Fit[MetricsT] | None:
    """What a finished training gave; None where it is not finished. What a kill left of its checkpoints is removed."""
    file = finished_file(folder)
    if not file.exists():
        return None
    shutil.rmtree(folder.checkpoints, ignore_errors=True)
    return state_from_record(json.loads(file.read_text()), metrics).fit(weights)


def check_resumable(folder: RunFolder, record: Mapping[str, Any]) -> None:
    """Raises RunError unless the folder holds a training of the settings `record`, as config.json has them."""
    then = folder.read_config()
    check_algorithm(folder, then, record["algorithm"])
    check_same(folder.path, then, json.loads(json.dumps(record)), free=FREE_TO_CHANGE)


def check_algorithm(folder: RunFolder, record: Mapping[str, Any], algorithm: str) -> None:
    """Raises RunError where config.json is of something else than the training of the classifier `algorithm`."""
    if record.get("algorithm") != algorithm:
        raise RunError(
            f"{folder.path} holds a run of {record.get('algorithm')}, not the training of a classifier ({algorithm}): "
            "resume it with the command that started it."
        )


OptionsT = TypeVar("OptionsT", bound=FitOptions)


def saved_options(folder: RunFolder, options: type[OptionsT], algorithm: str) -> OptionsT:
    """The settings in config.json, of class `options`. Raises RunError where the folder holds no training of this kind."""
    record = folder.read_config()
    check_algorithm(folder, record, algorithm)
    settings: OptionsT = decode(options, {name: value for name, value in record.items() if name != "algorithm"})
    return settings
