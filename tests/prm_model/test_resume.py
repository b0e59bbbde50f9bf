"""A training that was interrupted or killed goes on with the numbers of one that was not."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from linewise.cli import prm_train
from linewise.cli.train_psgpo import prm_phase
from linewise.errors import PolicyError, RunError, StorageError, UserError
from linewise.policy.lora import LoraOptions
from linewise.prm.dataset import Split, example_of
from linewise.prm.model import load_prm
from linewise.recipes.psgpo import psgpo
from linewise.training import checkpoint, fit
from linewise.training.fit_state import FitState, Measurement, examples_digest
from linewise.training.prm import PrmTrainer, train_prm
from linewise.training.prm_options import PrmTrainOptions
from tests.training.runs import rows_of

Start = Callable[..., PrmTrainOptions]


@pytest.fixture(scope="module")
def labels(make: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file: Path = make.write(make.programs(40, num_tasks=8), tmp_path_factory.mktemp("resume") / "labels.jsonl")
    return file


@pytest.fixture
def whole(labels: Path, options: Start) -> Path:
    """A training of `options()` that nothing interrupted."""
    folder = labels.with_name("whole")
    if not folder.exists():
        train_prm(options(), folder)
    return folder


@pytest.fixture
def options(labels: Path) -> Start:
    """16 updates, every second one measured; the rate rises over the first 6, and those measured best are 2 and 10."""

    def build(**changes: Any) -> PrmTrainOptions:
        settings = {"epochs": 2, "programs_per_step": 4, "evaluations_per_epoch": 3, "patience": 99}
        settings |= {"policy": "tiny", "precision": "no", "held_out_share": 0.2, "learning_rate": 0.01}
        settings |= {"warmup_share": 0.4}
        return PrmTrainOptions(labels=(labels,), **(settings | changes))

    return build


class KilledError(BaseException):
    """What no handler of the library catches, as nothing does after SIGKILL."""


def kill_at_call(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, call: int, *, error: type[BaseException]
) -> None:
    """Let the given call of a function, from 1, raise before it does anything."""
    original, calls = getattr(where, name), [0]

    def counting(*arguments: Any, **settings: Any) -> Any:
        calls[0] += 1
        if calls[0] == call:
            raise error
        return original(*arguments, **settings)

    monkeypatch.setattr(where, name, counting)


def left_by(folder: Path) -> dict[str, Any]:
    """All that a training leaves, without what depends on the clock."""
    assert not list(folder.glob("**/.*partial")), "nothing is left half-written"
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    del files["environment.json"]
    return {
        name: rows_of(path) if name == "metrics.jsonl" else path.read_bytes() for name, path in sorted(files.items())
    }


def same(folder: Path, other: Path) -> None:
    ours, theirs = left_by(folder), left_by(other)
    assert ours.keys() == theirs.keys()
    for name, content in ours.items():
        assert content == theirs[name], name


@dataclass(frozen=True)
class Place:
    """Where a training is killed, and which checkpoint is then the newest."""

    where: Any
    name: str
    call: int
    newest: str | None
    error: type[BaseException] = KilledError


PLACES = {
    "before the first checkpoint": Place(PrmTrainer, "gradients", 2, None),
    "inside an update": Place(PrmTrainer, "gradients", 6, "step-000004"),
    "while it is measured": Place(PrmTrainer, "measure", 3, "step-000004"),
    "before the row is written": Place(PrmTrainer, "record", 7, "step-000006"),
    "before a checkpoint": Place(PrmTrainer, "save", 1, None),
    "inside a checkpoint": Place(checkpoint, "flush_folder", 4, "step-000006"),
    "before the best weights": Place(PrmTrainer, "keep", 2, "step-000010"),
    "inside the best weights": Place(fit, "save_classifier", 2, "step-000010"),
    "before it is finished": Place(fit, "write_finished", 1, "step-000016"),
    "Ctrl-C inside an update": Place(PrmTrainer, "gradients", 6, "step-000005", KeyboardInterrupt),
    "Ctrl-C while it is measured": Place(PrmTrainer, "measure", 3, "step-000004", KeyboardInterrupt),
    "Ctrl-C before the first update": Place(PrmTrainer, "gradients", 1, None, KeyboardInterrupt),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_killed_anywhere_it_ends_the_same(
    place: Place, options: Start, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = options()
    losses = [row["heldout/loss"] for row in rows_of(whole / "metrics.jsonl") if "heldout/loss" in row]
    assert losses.index(min(losses)) == 4, "the second best weights are the last ones, with measurements before in vain"
    with monkeypatch.context() as patch:
        kill_at_call(patch, place.where, place.name, place.call, error=place.error)
        with pytest.raises(place.error):
            train_prm(settings, tmp_path / "killed")
    folder = tmp_path / "killed" / "checkpoints"
    found = [path.name for path in folder.glob("step-*")] if folder.exists() else []
    assert found == ([] if place.newest is None else [place.newest])
    resumed = train_prm(settings, tmp_path / "killed", resume=True)
    assert (resumed.num_steps, resumed.best_step, resumed.metrics.loss) == (16, 10, min(losses))
    same(tmp_path / "killed", whole)


def test_adapters_dropout_and_early_stop_go_on_too(
    options: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = options(lora=LoraOptions(rank=4, dropout=0.2), learning_rate=0.008, patience=3)
    whole = train_prm(settings, tmp_path / "whole")
    assert whole.num_steps == whole.best_step + 6 == 10, "stopped by three measurements in vain"
    for step in (2, 7, 9):
        killed = tmp_path / f"killed-{step}"
        with monkeypatch.context() as patch:
            kill_at_call(patch, PrmTrainer, "gradients", step, error=KilledError)
            with pytest.raises(KilledError):
                train_prm(settings, killed)
        train_prm(settings, killed, resume=True)
        same(killed, tmp_path / "whole")


def test_killed_twice(options: Start, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = options()
    for resume, call in ((False, 4), (True, 5)):
        with monkeypatch.context() as patch:
            kill_at_call(patch, PrmTrainer, "gradients", call, error=KilledError)
            with pytest.raises(KilledError):
                train_prm(settings, tmp_path / "killed", resume=resume)
    assert len(rows_of(tmp_path / "killed" / "metrics.jsonl")) == 6
    train_prm(settings, tmp_path / "killed", resume=True)
    same(tmp_path / "killed", whole)


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_numbers(labels: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "linewise.cli.main", "prm", "train"]
    settings = [
        *("--labels", str(labels), "--policy", "tiny", "--precision", "no", "--epochs", "6", "--patience", "99")
    ]
    settings += [*("--programs-per-step", "2", "--learning-rate", "0.01", "--held-out-share", "0.2")]
    subprocess.run([*command, *settings, "--out", str(tmp_path / "whole")], check=True, capture_output=True)
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    killed = subprocess.Popen([*command, *settings, "--out", str(tmp_path / "killed")], **silent)  # type: ignore[call-overload]
    deadline = time.monotonic() + 90
    while not list((tmp_path / "killed").glob("checkpoints/step-*")):
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed" / "finished.json").exists(), "it was killed on its way"
    subprocess.run([*command, "--resume", str(tmp_path / "killed")], check=True, capture_output=True)
    for folder in ("whole", "killed"):
        (tmp_path / folder / "report.html").unlink()
    same(tmp_path / "killed", tmp_path / "whole")


def test_a_finished_training_is_read_back_and_left_as_it_is(
    options: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    result = train_prm(options(), out)
    assert not (out / "checkpoints").exists(), "what only a resumed training needs is gone"
    assert prm_train.main(["--resume", str(out)]) == 0, "only the report was missing"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    capsys.readouterr()
    assert prm_train.main(["--resume", str(out)]) == 0
    said = capsys.readouterr().out
    assert "is finished: nothing is left to do" in said
    assert f"best of 16 updates: {result.best_step}" in said
    assert f"{result.metrics.sign_accuracy:.3f}" in said
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert train_prm(options(), out, resume=True) == result


def test_what_cannot_be_resumed_says_why(
    options: Start, labels: Path, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with pytest.raises(RunError, match=r"holds no run to resume.*Start one with --out"):
        prm_train.main(["--resume", str(out)])
    kill_at_call(monkeypatch, PrmTrainer, "gradients", 4, error=KilledError)
    with pytest.raises(KilledError):
        train_prm(options(), out)
    command = ["--labels", str(labels), "--policy", "tiny"]
    with pytest.raises(RunError, match=r"already holds a run. Continue it with --resume .*another --out"):
        prm_train.main([*command, "--out", str(out)])
    with pytest.raises(UserError, match="one of them, not both"):
        prm_train.main(["--out", str(out), "--resume", str(out)])
    with pytest.raises(UserError, match="give --out FOLDER for a new run, or --resume"):
        prm_train.main(command)
    with pytest.raises(RunError, match=r"has epochs = 2, not 3.*Drop the override"):
        prm_train.main(["--epochs", "3", f"--resume={out}"])
    with pytest.raises(RunError, match="has seed = 0, not 1"):
        train_prm(options(seed=1), out, resume=True)
    other = make.write(make.programs(40, num_tasks=8, seed=1), tmp_path / "other.jsonl")
    with pytest.raises(RunError, match="began with other programs"):
        train_prm(replace(options(), labels=(other,)), out, resume=True)
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(config | {"algorithm": "GRPO"}))
    with pytest.raises(RunError, match=r"holds a run of GRPO.*the command that started it"):
        prm_train.main(["--resume", str(out)])
    (out / "config.json").write_text(json.dumps(config))
    shutil.rmtree(out / "checkpoints")
    with pytest.raises(RunError, match=r"no checkpoint to go on from.*another --out"):
        train_prm(options(), out, resume=True)
    assert len(rows_of(out / "metrics.jsonl")) == 3, "a refusal forgets nothing"


def test_a_checkpoint_is_no_model(options: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_at_call(monkeypatch, PrmTrainer, "gradients", 4, error=KilledError)
    with pytest.raises(KilledError):
        train_prm(options(), tmp_path / "run")
    (folder,) = (tmp_path / "run" / "checkpoints").iterdir()
    with pytest.raises(PolicyError, match="no model in Hugging Face format"):
        load_prm(str(folder))
    assert load_prm(str(tmp_path / "run" / "prm"), trained=True), "the best weights so far are one"


def test_a_full_disk_leaves_the_older_checkpoint(
    options: Start, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kill_at_call(patch, checkpoint, "flush_folder", 2, error=OSError)
        with pytest.raises(StorageError, match=r"GiB are free.*--resume"):
            train_prm(options(), tmp_path / "run")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-000002"]
    train_prm(options(), tmp_path / "run", resume=True)
    same(tmp_path / "run", whole)


def test_the_third_phase_of_psgpo_goes_on_where_it_was_also_after_a_move(
    options: Start, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = psgpo()
    phases = replace(start, baseline=replace(start.baseline, policy="tiny", precision="no"))
    ours = {name: value for name, value in vars(options()).items() if hasattr(phases.prm, name)}
    phases = replace(phases, prm=replace(phases.prm, **ours))
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        shutil.copy(labels, tmp_path / name)
    prm_phase(phases, tmp_path / "whole", Console(quiet=True))
    with monkeypatch.context() as patch:
        kill_at_call(patch, PrmTrainer, "gradients", 8, error=KilledError)
        with pytest.raises(KilledError):
            prm_phase(phases, tmp_path / "killed", Console(quiet=True))
    moved = (tmp_path / "killed").rename(tmp_path / "moved")
    calls = []
    monkeypatch.setattr(PrmTrainer, "examples_of_step", counted(calls, PrmTrainer.examples_of_step))
    assert prm_phase(phases, moved, Console(quiet=True)) == moved / "prm" / "prm"
    assert min(calls) == 7, "it does not start anew"
    for name in ("config.json", "report.html"):  # they name the folder
        (tmp_path / "whole" / "prm" / name).unlink()
        (moved / "prm" / name).unlink()
    same(moved / "prm", tmp_path / "whole" / "prm")


def counted(calls: list[int], method: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    """The method, its steps noted."""

    def noting(self: Any, step: int) -> Any:
        calls.append(step)
        return method(self, step)

    return noting


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Metrics of one number."""

    loss: float

    def to_record(self, prefix: str = "") -> dict[str, Any]:
        return {f"{prefix}loss": self.loss}


def test_the_best_and_the_wait_by_hand() -> None:
    state: FitState[Loss] = FitState()
    seen = []
    for step, loss in enumerate([3.0, None, 2.0, 2.0, 2.5, 1.0], start=1):
        measured = None if loss is None else Measurement(step=step, metrics=Loss(loss=loss), details={})
        state = state.after(step, measured)
        assert state.best is not None
        seen.append((state.step, state.best.step, state.without_gain))
    assert seen == [(1, 1, 0), (2, 1, 0), (3, 3, 0), (4, 3, 1), (5, 3, 2), (6, 6, 0)], "a tie is no gain"


def test_the_digest_sees_programs_targets_and_sides(make: Any) -> None:
    a, b = map(example_of, make.programs(2))
    first = examples_digest(Split(train=(a,), held_out=(b,)))
    assert first == examples_digest(Split(train=(a,), held_out=(b,)))
    relabelled = replace(a, targets=(replace(a.targets[0], label=0), *a.targets[1:]))
    others = [((b,), (a,)), ((a, b), ()), ((a,), (a,)), ((relabelled,), (b,))]
    assert len({first, *(examples_digest(Split(train=train, held_out=held_out)) for train, held_out in others)}) == 5
