"""Updates in which there is little to learn from: no sequence bears loss, or another process has more of them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from linewise.losses.reinforce import reinforce
from linewise.policy.tiny import tiny_causal
from linewise.training.batch import Batch, Example
from linewise.training.config import UpdateOptions
from linewise.training.learner import Learner, LossTerm, UpdateMetrics
from linewise.training.metrics import update_metrics
from linewise.values.critic import PolicyOutputs, policy_outputs


@pytest.fixture
def accelerator() -> Iterator[Accelerator]:
    yield Accelerator(cpu=True)
    AcceleratorState._reset_state()


def metrics_with(**diagnostics: float) -> UpdateMetrics:
    return UpdateMetrics(
        losses={"policy": 1.0},
        grad_norm=1.0,
        learning_rate=0.1,
        num_tokens=2,
        num_micro_batches=1,
        diagnostics=diagnostics,
    )


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_an_update_without_loss_leaves_the_diagnostics_to_the_others(order: tuple[int, ...]) -> None:
    """With several minibatches one may hold constant groups alone: it has a loss of 0 and nothing to diagnose."""
    updates = [metrics_with(entropy=1.0), metrics_with(), metrics_with(entropy=4.0)]
    metrics = update_metrics([{"policy": updates[place]} for place in order])
    assert metrics["entropy"] == 2.5
    assert metrics["update/micro_batches"] == 3


def test_an_update_that_waits_for_another_process_says_nothing_of_its_own(
    accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process with fewer micro-batches fills up with one token of scale 0, which is none of the samples."""
    loaded = tiny_causal()
    learner: Learner[PolicyOutputs] = Learner(
        loaded.model, UpdateOptions(), forward=policy_outputs, pad_id=0, accelerator=accelerator
    )
    ones = np.ones(2, dtype=np.float32)
    sample = Example(prompt_ids=(70, 71), response_ids=(72, 73), advantages=ones, weights=ones)

    def loss(outputs: PolicyOutputs, batch: Batch) -> torch.Tensor:
        return reinforce(outputs.logprobs, batch.advantages, batch.weights)

    term = LossTerm(
        name="policy", loss=loss, examples=[sample], diagnose=lambda outputs, _batch: {"logprob": outputs.logprobs}
    )
    alone = learner.accumulate([term])
    monkeypatch.setattr(accelerator, "gather", lambda count: torch.cat([count, count + 2]))
    beside = learner.accumulate([term])
    assert beside.micro_batches == 3
    assert beside == replace(alone, micro_batches=3)
    assert beside.tokens == 4
