"""Whole runs on a tiny policy: learning, resuming, faults."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from linewise.credit.grpo import GRPO
from linewise.credit.rltf import RLTF, Baseline
from linewise.errors import NonFiniteLossError, RunError, StorageError
from linewise.policy.lora import LoraOptions
from linewise.recipes.rltf import rltf
from linewise.rollout.buffer import BufferOptions
from linewise.training import checkpoint
from linewise.training.config import (
    AnyRecipe,
    CollectionOptions,
    EvaluationOptions,
    Recipe,
    SupervisedOptions,
    UpdateOptions,
)
from linewise.training.records import recipe_from_record, recipe_to_record
from linewise.training.run import train
from linewise.types import Credit, Group, Sampling
from tests.training.runs import metrics_of, small


def recipe(policy: Path, tasks: Path, **changes: object) -> AnyRecipe:
    evaluation = EvaluationOptions(num_samples=16, sampling=Sampling(max_new_tokens=24))
    return replace(small(rltf(), policy, tasks, steps=3, evaluation=evaluation), **changes)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "learning_rate"), [("warm_policy", 2e-4), ("warm_t5", 1e-4)])
def test_rltf_lifts_a_tiny_policy(
    kind: str, learning_rate: float, task_file: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One body of six passes at the start; RLTF must make it more than three of five, without ever seeing a reference."""
    settings = recipe(request.getfixturevalue(kind), task_file, steps=50, credit=RLTF(baseline=Baseline.GROUP))
    settings = replace(settings, update=replace(settings.update, learning_rate=learning_rate))
    started = time.perf_counter()
    result = train(replace(settings, save_every=100), tmp_path / "run")
    assert result.before is not None
    assert result.after is not None
    assert result.before.pass_at_k(1).mean < 0.45
    assert result.after.pass_at_k(1).mean > 0.6
    assert time.perf_counter() - started < 120


def test_same_seed_same_numbers_and_a_resumed_run_equals_an_uninterrupted_one(
    warm_policy: Path, task_file: Path, tmp_path: Path
) -> None:
    settings = recipe(
        warm_policy,
        task_file,
        steps=4,
        buffer=BufferOptions(capacity=64, warmup=24, max_staleness=3, max_uses=2),
        supervised=SupervisedOptions(references_per_step=2),
    )
    train(settings, tmp_path / "whole")
    train(replace(settings, steps=2), tmp_path / "parts")
    # What a kill leaves behind: a half-written line, and records of steps after the last checkpoint.
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as lines:
        lines.write('{"step": 3, "loss/total": 1}\n{"step": 4, "lo')
    train(settings, tmp_path / "parts", resume=True)
    assert metrics_of(tmp_path / "parts") == metrics_of(tmp_path / "whole")
    assert len(metrics_of(tmp_path / "whole")) == 4
    for name, tensor in load_file(tmp_path / "whole" / "policy" / "model.safetensors").items():
        assert torch.equal(tensor, load_file(tmp_path / "parts" / "policy" / "model.safetensors")[name]), name


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_numbers(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "linewise.cli.main", "train", "rltf", "--policy", str(warm_policy)),
        *("--tasks", f"jsonl:{task_file}", "--steps", "6", "--precision", "no", "--workers", "1", "--save-every", "2"),
        *("--collection.tasks-per-step", "4", "--collection.sampling.max-new-tokens", "24"),
        *("--buffer.capacity", "16", "--buffer.warmup", "16", "--update.samples-per-step", "16"),
        *("--supervised.references-per-step", "2", "--evaluation.num-samples", "0"),
    ]
    subprocess.run([*command, "--out", str(tmp_path / "whole")], check=True, capture_output=True)
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    killed = subprocess.Popen([*command, "--out", str(tmp_path / "killed")], **silent)
    wait_for(tmp_path / "killed" / "checkpoints" / "step-000002")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    resumed = [*command[:5], "--resume", str(tmp_path / "killed")]
    subprocess.run(resumed, check=True, capture_output=True)
    assert metrics_of(tmp_path / "killed") == metrics_of(tmp_path / "whole")


@pytest.mark.slow
def test_two_processes_share_the_work(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
        *("-m", "linewise.cli.main", "train", "rltf", "--policy", str(warm_policy)),
        *("--tasks", f"jsonl:{task_file}", "--steps", "2", "--precision", "no", "--workers", "1"),
        *("--collection.tasks-per-step", "4", "--collection.sampling.max-new-tokens", "24"),
        *("--buffer.capacity", "16", "--buffer.warmup", "16", "--update.samples-per-step", "16"),
        *("--supervised.references-per-step", "2", "--evaluation.num-samples", "0", "--out", str(tmp_path / "run")),
    ]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=120)
    checkpoint_folder = tmp_path / "run" / "checkpoints" / "step-000002"
    assert {path.name for path in checkpoint_folder.glob("state-*.json")} == {"state-0.json", "state-1.json"}
    rows = [json.loads(line) for line in (tmp_path / "run" / "rollouts.jsonl").read_text().splitlines()]
    first = [row["task_id"] for row in rows if row["step"] == 1]
    assert len(first) == 16, "eight programs of each process"
    assert len(set(first)) == 4, "the processes visit different tasks"
    assert metrics_of(tmp_path / "run")[-1]["budget/programs"] == 32, "no process samples what nobody learns from"


@pytest.mark.slow
def test_ctrl_c_writes_a_checkpoint_and_exits_with_130(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "linewise.cli.main", "train", "rltf", "--policy", str(warm_policy)),
        *("--tasks", f"jsonl:{task_file}", "--steps", "10000", "--precision", "no", "--workers", "1"),
        *("--collection.tasks-per-step", "4", "--collection.sampling.max-new-tokens", "24"),
        *("--buffer.capacity", "16", "--buffer.warmup", "16", "--save-every", "100000"),
        *("--evaluation.num-samples", "0", "--out", str(tmp_path / "run")),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(tmp_path / "run" / "metrics.jsonl")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    (saved,) = (tmp_path / "run" / "checkpoints").iterdir()
    assert str(saved) in output.replace("\n", "")
    assert int(saved.name.removeprefix("step-")) == len(metrics_of(tmp_path / "run"))


def wait_for(path: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


class NanCredit:
    """Credit that is finite, and so large that the loss is not."""

    def __call__(self, group: Group) -> list[Credit]:
        huge = [np.full(len(rollout.completion.token_ids), 3e38, dtype=np.float32) for rollout in group.rollouts]
        return [Credit(rewards=one, advantages=one, weights=one, terms={}) for one in huge]


def test_a_loss_that_is_not_finite_stops_the_run_with_the_batch_saved(
    warm_policy: Path, task_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(warm_policy, task_file, evaluation=EvaluationOptions(num_samples=0))
    monkeypatch.setattr(RLTF, "__call__", NanCredit.__call__)
    with pytest.raises(NonFiniteLossError, match=r"failed-batch-0\.json") as caught:
        train(settings, tmp_path / "run")
    assert "step 1" in str(caught.value)
    saved = json.loads((tmp_path / "run" / "failed-batch-0.json").read_text())
    assert len(saved["samples"]) == 16


def test_a_full_disk_is_a_clear_error_and_the_older_checkpoint_stays(
    warm_policy: Path, task_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(warm_policy, task_file, steps=2, evaluation=EvaluationOptions(num_samples=0))
    flush = checkpoint.flush_folder
    calls: list[Path] = []

    def full(folder: Path) -> None:
        calls.append(folder)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        flush(folder)

    monkeypatch.setattr(checkpoint, "flush_folder", full)
    with pytest.raises(StorageError, match=r"No space left.*GiB are free.*--resume"):
        train(settings, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-000001"]
    monkeypatch.setattr(checkpoint, "flush_folder", flush)
    assert train(settings, tmp_path / "run", resume=True).state.step == 2


def test_lora_trains_and_its_merged_export_is_a_plain_model(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    settings = recipe(warm_policy, task_file, lora=LoraOptions(rank=4), steps=2)
    result = train(settings, tmp_path / "run")
    exported = load_file(tmp_path / "run" / "policy" / "model.safetensors")
    original = load_file(warm_policy / "model.safetensors")
    assert exported.keys() == original.keys()
    assert any(not torch.equal(exported[name], original[name]) for name in exported)
    assert result.state.step == 2


def test_bf16_autocast_keeps_float32_master_weights(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    settings = recipe(warm_policy, task_file, precision="bf16", steps=1, evaluation=EvaluationOptions(num_samples=0))
    train(settings, tmp_path / "run")
    weights = load_file(tmp_path / "run" / "checkpoints" / "step-000001" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_a_run_is_neither_overwritten_nor_resumed_with_other_settings(
    warm_policy: Path, task_file: Path, tmp_path: Path
) -> None:
    settings = recipe(warm_policy, task_file, steps=1, evaluation=EvaluationOptions(num_samples=0))
    with pytest.raises(RunError, match="no run to resume"):
        train(settings, tmp_path / "run", resume=True)
    train(settings, tmp_path / "run")
    with pytest.raises(RunError, match="already holds a run"):
        train(settings, tmp_path / "run")
    with pytest.raises(RunError, match="seed = 0, not 1"):
        train(replace(settings, seed=1), tmp_path / "run", resume=True)


def test_recipes_survive_json(warm_policy: Path, task_file: Path) -> None:
    settings = recipe(
        warm_policy,
        task_file,
        credit=RLTF(fine=False, baseline=Baseline.GROUP),
        trackers=("tensorboard",),
        evaluation=EvaluationOptions(limit=7),
    )
    record = json.loads(json.dumps(recipe_to_record(settings)))
    assert recipe_from_record(record, Recipe[RLTF]) == settings
    with pytest.raises(RunError, match="algorithm is RLTF"):
        recipe_from_record(record, Recipe[GRPO])


def test_collection_options_are_what_the_run_used(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    settings = recipe(
        warm_policy,
        task_file,
        steps=1,
        evaluation=EvaluationOptions(num_samples=0),
        collection=CollectionOptions(tasks_per_step=2, num_samples=3, sampling=Sampling(max_new_tokens=8)),
        buffer=BufferOptions(capacity=64, warmup=12),
        update=UpdateOptions(samples_per_step=5),
    )
    result = train(settings, tmp_path / "run")
    (row,) = metrics_of(tmp_path / "run")
    assert result.state.rounds == 2, "two rounds of six programs fill a warm-up of twelve"
    assert row["buffer/fill"] == 12
    assert len((tmp_path / "run" / "rollouts.jsonl").read_text().splitlines()) == 5
    assert row["rollout/length"] <= 8


def test_interrupts_wait_for_the_end_of_a_block() -> None:
    from linewise.training.interrupts import interrupts_deferred

    reached = []

    def block() -> None:
        with interrupts_deferred():
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached == ["the end"]
