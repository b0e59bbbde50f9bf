"""Runs with old log-probabilities, a reference, a critic and several updates a step."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from linewise.credit.grpo import GRPO
from linewise.credit.ppo import PPO
from linewise.credit.reward import OutcomeReward, TokenReward
from linewise.errors import RunError
from linewise.losses.options import KlLossOptions
from linewise.policy.lora import LoraOptions
from linewise.recipes.grpo import grpo
from linewise.recipes.ppo import ppo
from linewise.recipes.psgpo import dense_ppo
from linewise.recipes.vineppo import vineppo
from linewise.rollout.buffer import BufferOptions
from linewise.training.config import CriticKind, CriticOptions, UpdateOptions
from linewise.training.loop import Trainer
from linewise.training.run import train
from linewise.types import Sampling
from tests.training.runs import metrics_of, small


@pytest.mark.parametrize("kind", [CriticKind.OWN, CriticKind.SHARED])
def test_a_resumed_run_with_a_critic_equals_an_uninterrupted_one(
    kind: CriticKind, warm_policy: Path, task_file: Path, tmp_path: Path
) -> None:
    critic = CriticOptions(kind=kind, learning_rate=1e-3)
    settings = small(ppo(), warm_policy, task_file, critic=critic)
    train(settings, tmp_path / "whole")
    train(replace(settings, steps=2), tmp_path / "parts")
    train(settings, tmp_path / "parts", resume=True)
    assert metrics_of(tmp_path / "parts") == metrics_of(tmp_path / "whole")
    rows = metrics_of(tmp_path / "whole")
    assert rows[0]["critic/value_mean"] == 0.0, "a fresh critic expects nothing"
    assert rows[-1]["critic/value_mean"] != 0.0
    assert rows[-1]["policy/kl_old"] > 0, "four updates on the samples of a step leave their policy"
    exported = load_file(tmp_path / "whole" / "policy" / "model.safetensors")
    assert not [name for name in exported if "value_head" in name], "the policy goes out without the critic"
    for name, tensor in exported.items():
        assert torch.equal(tensor, load_file(tmp_path / "parts" / "policy" / "model.safetensors")[name]), name


def test_the_trainer_and_the_sampler_agree_on_log_probabilities(
    warm_policy: Path, task_file: Path, tmp_path: Path
) -> None:
    train(small(grpo(), warm_policy, task_file, steps=2), tmp_path / "run")
    for row in metrics_of(tmp_path / "run"):
        assert 0 <= row["logprobs/sampler_difference"] < 1e-4
        assert row["policy/clip_fraction"] == 0.0, "a single update sees ratios of 1"


@pytest.mark.parametrize("rank", [0, 4])
def test_the_reference_is_the_policy_that_the_run_began_with(
    rank: int, warm_policy: Path, task_file: Path, tmp_path: Path
) -> None:
    settings = small(grpo(), warm_policy, task_file, steps=3, lora=LoraOptions(rank=rank))
    train(settings, tmp_path / "run")
    first, second, third = metrics_of(tmp_path / "run")
    assert first["kl/ref"] == pytest.approx(0, abs=1e-6)
    assert 0 < second["kl/ref"] < third["kl/ref"] * 10


def test_a_large_penalty_keeps_the_policy_at_its_reference(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    def last_kl(coef: float) -> float:
        recipe = small(replace(grpo(), credit=GRPO()), warm_policy, task_file, steps=6)
        recipe = replace(recipe, update=replace(recipe.update, kl=KlLossOptions(coef=coef), minibatches=2))
        train(recipe, tmp_path / f"run-{coef}")
        return metrics_of(tmp_path / f"run-{coef}")[-1]["kl/ref"]

    assert last_kl(10.0) < last_kl(1e-6) / 2


def test_in_warm_up_the_critic_alone_learns(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    critic = CriticOptions(learning_rate=1e-3, warmup_steps=2)
    train(small(ppo(), warm_policy, task_file, steps=2, critic=critic), tmp_path / "run")
    before = load_file(warm_policy / "model.safetensors")
    for name, tensor in load_file(tmp_path / "run" / "policy" / "model.safetensors").items():
        assert torch.equal(tensor, before[name]), name
    rows = metrics_of(tmp_path / "run")
    assert "loss/value" in rows[0]
    assert "loss/policy" not in rows[0]
    assert rows[1]["critic/value_mean"] != 0


def test_vines_are_counted(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    train(small(vineppo(), warm_policy, task_file, steps=1), tmp_path / "run")
    (row,) = metrics_of(tmp_path / "run")
    # Four tasks, two completions of the prompt alone; bodies have one line, so there are no other states.
    assert row["auxiliary/programs"] == 8
    assert row["tokens/auxiliary"] > 8
    samples = [json.loads(line) for line in (tmp_path / "run" / "rollouts.jsonl").read_text().splitlines()]
    for sample in samples:
        values = dict(map(tuple, sample["scores"]["line_values"]))
        assert 0 <= values[0] <= 1
        assert len(sample["scores"]["old_logprobs"]) == len(sample["completion"]["token_ids"])


def test_dynamic_sampling_leaves_constant_groups_out(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    settings = small(grpo(), warm_policy, task_file, steps=2)
    settings = replace(settings, collection=replace(settings.collection, dynamic_sampling=True))
    result = train(settings, tmp_path / "run")
    rows = metrics_of(tmp_path / "run")
    assert result.state.rounds > 2, "more than one round a step"
    assert sum(row["rollout/groups_left_out"] for row in rows) > 0
    samples = [json.loads(line) for line in (tmp_path / "run" / "rollouts.jsonl").read_text().splitlines()]
    assert len(samples) == 32
    advantages = [sample["credit"]["advantages"][0] for sample in samples]
    assert np.count_nonzero(advantages) == 32, "in a mixed group every program is above or below the mean"


def test_no_mixed_group_is_a_clear_error(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    settings = small(grpo(), warm_policy, task_file, steps=1)
    collection = replace(settings.collection, dynamic_sampling=True, max_rounds=2, sampling=Sampling(max_new_tokens=2))
    with pytest.raises(RunError, match="in 2 rounds of sampling no task had both"):
        train(replace(settings, collection=collection), tmp_path / "run")


def test_dense_reward_without_a_model_is_a_clear_error(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no process reward model is named"):
        train(small(dense_ppo(), warm_policy, task_file), tmp_path / "run")


def test_an_encoder_decoder_needs_a_shared_critic_and_learns_with_it(
    warm_t5: Path, task_file: Path, tmp_path: Path
) -> None:
    credit = PPO(reward=TokenReward(outcome=OutcomeReward.COARSE))
    settings = small(replace(ppo(), credit=credit), warm_t5, task_file, steps=2)
    with pytest.raises(RunError, match=r"--critic\.kind shared --critic\.warmup-steps 0"):
        train(settings, tmp_path / "own")
    train(replace(settings, critic=CriticOptions(kind=CriticKind.SHARED)), tmp_path / "shared")
    first, second = metrics_of(tmp_path / "shared")
    assert first["critic/value_mean"] == 0
    assert second["critic/value_mean"] != 0


def test_policies_are_exported_on_the_way(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    train(small(grpo(), warm_policy, task_file, steps=4, export_every=2), tmp_path / "run")
    names = sorted(path.name for path in (tmp_path / "run" / "policies").iterdir())
    assert names == ["step-000002", "step-000004"]
    last = load_file(tmp_path / "run" / "policies" / "step-000004" / "model.safetensors")
    for name, tensor in load_file(tmp_path / "run" / "policy" / "model.safetensors").items():
        assert torch.equal(tensor, last[name])


def test_an_export_that_was_interrupted_is_made_when_the_run_goes_on(
    warm_policy: Path, task_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small(grpo(), warm_policy, task_file, steps=2, export_every=1, save_every=20)

    def interrupted(_trainer: Trainer, folder: Path) -> None:
        raise KeyboardInterrupt(folder)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "export_policy", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path / "run")
    train(settings, tmp_path / "run", resume=True)
    assert sorted(path.name for path in (tmp_path / "run" / "policies").iterdir()) == ["step-000001", "step-000002"]


def test_a_step_that_samples_more_than_the_buffer_holds_is_refused(
    warm_policy: Path, task_file: Path, tmp_path: Path
) -> None:
    settings = small(grpo(), warm_policy, task_file, buffer=BufferOptions(capacity=15))
    with pytest.raises(RunError, match=r"samples 16 programs.*--buffer\.capacity 16"):
        train(settings, tmp_path / "run")


def test_settings_that_leave_samples_unused_or_critics_alone_are_refused() -> None:
    with pytest.raises(ValueError, match=r"update\.minibatches=9"):
        UpdateOptions(samples_per_step=8, minibatches=9)
    with pytest.raises(ValueError, match=r"--critic\.kind own"):
        CriticOptions(kind=CriticKind.SHARED, warmup_steps=1)
