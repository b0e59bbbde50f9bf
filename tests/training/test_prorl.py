"""Resets of the reference: when they are due, where they lead, and that a resumed run has the same reference."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from linewise.errors import RunError
from linewise.losses.options import KlLossOptions
from linewise.policy.lora import LoraOptions
from linewise.recipes.rltf import rltf
from linewise.rollout.buffer import Buffer, BufferOptions
from linewise.training.config import AnyRecipe, ResetOptions
from linewise.training.learner import Learner
from linewise.training.prorl import Plateau, without_entries
from linewise.training.reference import copy_weights
from linewise.training.run import train
from tests.training.runs import metrics_of, small


def resets_after(rates: list[float], options: ResetOptions) -> list[int]:
    plateau, counts = Plateau(), []
    for rate in rates:
        plateau = plateau.after(rate, options)
        counts.append(plateau.num_resets)
    return counts


def test_a_reset_is_due_where_a_window_grows_no_more() -> None:
    options = ResetOptions(window=2, tolerance=0.05)
    # Means of two against the two before: .35 - .15, .45 - .25, .5 - .35, .525 - .45, .5 - .5: only the last is a plateau.
    rates = [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.55, 0.45]
    assert resets_after(rates, options) == [0, 0, 0, 0, 0, 0, 0, 1]
    assert resets_after([*rates, 0.4, 0.4, 0.4, 0.4], options)[8:] == [1, 1, 1, 2], "both windows begin anew"
    assert resets_after([0.0] * 9, ResetOptions()) == [0] * 9, "off by default"
    assert resets_after([0.5, 0.5, 0.5, 0.5 + 1e-6], options)[-1] == 1
    with pytest.raises(ValueError, match=r"reset\.window=-1"):
        ResetOptions(window=-1)


def test_resets_tilt_the_reference_by_the_reward_each_time() -> None:
    """A bandit of four arms, learned exactly: after k resets the reference is ref_0 exp(k r / beta) / Z."""
    reward, beta = torch.tensor([0.0, 0.3, 0.5, 1.0], dtype=torch.float64), 0.5
    policy, reference = torch.nn.Module(), torch.nn.Module()
    start = torch.log(torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64))
    for module in (policy, reference):
        module.register_parameter("logits", torch.nn.Parameter(start.clone()))
    plateau, options = Plateau(), ResetOptions(window=10, tolerance=1e-9)
    for _ in range(400):
        logprobs = torch.log_softmax(policy.logits.detach(), 0)
        # The natural gradient of E[r] - beta KL(pi || ref) in the logits.
        gain = reward - beta * (logprobs - torch.log_softmax(reference.logits.detach(), 0))
        policy.logits.data = logprobs + 0.5 / beta * (gain - (logprobs.exp() * gain).sum())
        before = plateau.num_resets
        plateau = plateau.after(float(torch.softmax(policy.logits.detach(), 0) @ reward), options)
        if plateau.num_resets > before:
            copy_weights(policy, reference)
            expected = torch.softmax(start + plateau.num_resets * reward / beta, 0)
            assert torch.softmax(reference.logits.detach(), 0).numpy() == pytest.approx(expected.numpy(), abs=1e-6)
        if plateau.num_resets == 3:
            return
    raise AssertionError("three resets are due within 400 steps")


def test_a_reset_leaves_no_sample_of_the_old_reference() -> None:
    buffer = without_entries(Buffer(options=BufferOptions(), entries=(None, None), num_stale=1))  # type: ignore[arg-type]
    assert (buffer.entries, buffer.num_stale) == ((), 3)


def recipe(policy: Path, tasks: Path, **changes: object) -> AnyRecipe:
    base = small(rltf(), policy, tasks, steps=5)
    base = replace(
        base,
        update=replace(base.update, kl=KlLossOptions(coef=0.1)),
        # Every two steps, whatever the pass rates: they never grow by more than 1.
        reset=ResetOptions(window=1, tolerance=1.0),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def test_after_a_reset_the_policy_is_the_reference_and_a_resumed_run_has_the_same(
    warm_policy: Path, task_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget, moments = Learner.forget_moments, []

    def watched(learner: Learner[object]) -> None:
        moments.append(len(learner.optimiser.state))
        forget(learner)  # type: ignore[arg-type]
        moments.append(len(learner.optimiser.state))

    monkeypatch.setattr(Learner, "forget_moments", watched)
    settings = recipe(warm_policy, task_file)
    train(settings, tmp_path / "whole")
    whole = metrics_of(tmp_path / "whole")
    assert [row["reset/count"] for row in whole] == [0, 1, 1, 2, 2]
    # Steps 3 and 5 are sampled by a policy that has just become the reference.
    assert [row["kl/ref"] == 0 for row in whole] == [True, False, True, False, True]
    assert all(row["kl/ref"] > 1e-6 for row in (whole[1], whole[3]))
    assert moments[0] > 0
    assert moments[1::2] == [0, 0]

    train(replace(settings, steps=3), tmp_path / "parts")
    train(settings, tmp_path / "parts", resume=True)
    assert metrics_of(tmp_path / "parts") == whole, "step 4's KL is to the reference of step 2, from the checkpoint"


def test_with_adapters_the_reference_is_a_copy_of_its_own(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    train(recipe(warm_policy, task_file, lora=LoraOptions(rank=4), steps=3), tmp_path / "run")
    kls = [row["kl/ref"] for row in metrics_of(tmp_path / "run")]
    assert np.abs([kls[0], kls[2]]).max() < 1e-9
    assert kls[1] > 1e-7


def test_a_reset_without_a_reference_is_refused(warm_policy: Path, task_file: Path, tmp_path: Path) -> None:
    settings = recipe(warm_policy, task_file)
    with pytest.raises(
        RunError, match=r"reset\.window=1 resets the reference policy, and this run has none.*--update\.kl"
    ):
        train(replace(settings, update=replace(settings.update, kl=KlLossOptions())), tmp_path / "run")
