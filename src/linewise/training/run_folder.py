"""The run folder: what a run is (config, environment), what it did (metrics, rollouts) and what it made (policy, report)."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from linewise.errors import RunError, StorageError

VERSIONS_OF = ("linewise", "torch", "transformers", "accelerate", "peft", "numpy", "tokenizers")


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """Paths of a run and the ways to append to it."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """One folder per checkpoint."""
        return self.path / "checkpoints"

    @property
    def evaluations(self) -> Path:
        """One JSON file per evaluation."""
        return self.path / "evaluations"

    @property
    def policy(self) -> Path:
        """The trained policy in Hugging Face format."""
        return self.path / "policy"

    @property
    def policies(self) -> Path:
        """The policy after some steps, one folder each, where the recipe exports it."""
        return self.path / "policies"

    @property
    def metrics(self) -> Path:
        """One JSON object a step."""
        return self.path / "metrics.jsonl"

    @property
    def rollouts(self) -> Path:
        """One JSON object a kept sample, with its credit."""
        return self.path / "rollouts.jsonl"

    @property
    def config(self) -> Path:
        """The resolved recipe."""
        return self.path / "config.json"

    def check_free(self) -> None:
        """Raises RunError if a run is there already, or if the path leads through a file."""
        if self.config.exists():
            raise RunError(
                f"{self.path} already holds a run. Continue it with --resume {self.path}, or give another --out."
            )
        for place in (self.path, *self.path.parents):
            if place.exists() and not place.is_dir():
                raise RunError(f"{self.path} cannot be a run's folder, since {place} is a file: give another --out.")

    def read_config(self) -> dict[str, Any]:
        """The record of the recipe. Raises RunError where there is no run, or its config is broken."""
        try:
            record: dict[str, Any] = json.loads(self.config.read_text())
        except FileNotFoundError as error:
            raise RunError(
                f"{self.path} holds no run to resume: there is no config.json. Start one with --out {self.path}."
            ) from error
        except ValueError as error:
            raise RunError(f"{self.config} is broken ({error}): restore it, or start a new run with --out.") from error
        return record

    def create(self, recipe: Mapping[str, Any]) -> None:
        """Make the folder and record what the run is."""
        with storage_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self.evaluations.mkdir(exist_ok=True)
        write_text(self.config, json.dumps(recipe, indent=2))
        write_text(self.path / "environment.json", json.dumps(environment(), indent=2))

    def append(self, file: Path, records: Iterable[Mapping[str, Any]]) -> None:
        """Append JSON lines and flush them."""
        with storage_errors(file), file.open("a") as lines:
            lines.writelines(json.dumps(record) + "\n" for record in records)

    def rewind(self, step: int) -> None:
        """Forget everything recorded after `step`, so that a resumed run writes each step once.

        A half-written last line (a kill while writing) is dropped too.
        """
        for file in (self.metrics, self.rollouts):
            if file.exists():
                kept = [line for line in file.read_text().splitlines() if _step_of(line) <= step]
                write_text(file, "".join(line + "\n" for line in kept))
        for file in self.evaluations.glob("step-*.json"):
            if int(file.stem.removeprefix("step-")) > step:
                file.unlink()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns an OSError of the block into a StorageError that names the file and the remedy."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"could not write {path}: {error}. Free some space or choose another --out, then continue with --resume; "
            "what had been written is whole."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step: a reader sees the old text or the new one, never half of either."""
    partial = path.with_name(f".{path.name}.partial")
    with storage_errors(path):
        partial.write_text(text)
        partial.replace(path)


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return float("inf")


def environment() -> dict[str, Any]:
    """What a reader needs to repeat a run: commit, versions, machine, command line."""
    return {
        "command": sys.argv,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in VERSIONS_OF},
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "processor": _processor()},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the source tree that this file lies in; None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    """The processor's name where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
