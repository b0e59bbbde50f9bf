"""Updates in which there is little to learn from: no sequence bears loss, or another process has more of them."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from transformers import GPT2Config, GPT2LMHeadModel

from linewise.errors import RunError
from linewise.losses.aggregate import StepSize
from linewise.losses.options import KlLossOptions
from linewise.losses.reinforce import reinforce
from linewise.policy.huggingface_load import load_model
from linewise.policy.huggingface_logprobs import SequenceBatch
from linewise.policy.lora import LoraOptions
from linewise.policy.tiny import tiny_causal, tiny_t5
from linewise.recipes.grpo import gspo
from linewise.recipes.ppo import ppo
from linewise.training.batch import Batch, Example, collate
from linewise.training.config import CriticOptions, UpdateOptions
from linewise.training.learner import Learner, LossTerm, UpdateMetrics
from linewise.training.metrics import update_metrics
from linewise.training.models import open_models
from linewise.training.terms import policy_term
from linewise.types import Rollout
from linewise.values.critic import PolicyOutputs, policy_outputs
from linewise.values.monte_carlo import Valuation


@pytest.fixture
def accelerator() -> Iterator[Accelerator]:
    yield Accelerator()
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


def gpt2_folder(folder: Path) -> Path:
    """A GPT-2, which has dropout of every kind, as a checkpoint."""
    torch.manual_seed(0)
    size = {"n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 2}
    config = GPT2Config(vocab_size=258, bos_token_id=1, eos_token_id=1, pad_token_id=0, **size)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tiny_causal().tokenizer.save_pretrained(folder)
    return folder


def t5_folder(folder: Path) -> Path:
    """A T5 with its usual dropout."""
    loaded = tiny_t5()
    loaded.model.config.dropout_rate = 0.1
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("save", "lora"), [(gpt2_folder, 0), (t5_folder, 0), (t5_folder, 2)])
def test_a_model_with_dropout_computes_in_training_what_was_scored(
    save: Callable[[Path], Path], lora: int, accelerator: Accelerator, tmp_path: Path
) -> None:
    """The clip of GSPO is 3e-4 wide: dropout alone would leave nothing of the gradient."""
    folder = save(tmp_path / "model")
    loaded = load_model(str(folder), lora=LoraOptions(rank=lora, dropout=0.5))
    recipe = replace(gspo(), policy=str(folder))
    models = open_models(recipe, loaded, accelerator, completions=NoCompletions())  # type: ignore[arg-type]
    batch = SequenceBatch(
        prompt_ids=torch.tensor([[70, 71, 72]]),
        prompt_mask=torch.ones(1, 3, dtype=torch.bool),
        response_ids=torch.tensor([[73, 74, 75, 76]]),
        response_mask=torch.ones(1, 4, dtype=torch.bool),
    )
    model = models.learner.unwrapped
    scored = policy_outputs(model.eval(), batch).logprobs
    assert torch.equal(policy_outputs(model.train(), batch).logprobs, scored)
    kept = {module.p for name, module in model.named_modules() if name.endswith("lora_dropout.default")}
    assert kept == ({0.5} if lora else set()), "what was asked for stays"


def test_an_encoder_decoder_is_sent_to_a_shared_critic(accelerator: Accelerator) -> None:
    loaded = tiny_t5()
    recipe = replace(ppo(), policy="tiny-t5")
    with pytest.raises(
        RunError, match=r"'tiny-t5' is an encoder-decoder.*--critic\.kind shared --critic\.warmup-steps 0"
    ):
        open_models(recipe, loaded, accelerator, completions=NoCompletions())  # type: ignore[arg-type]


class NoCompletions:
    """Values no line."""

    def __call__(self, rollouts: Sequence[Rollout], *, purpose: str, progress: object) -> Valuation:
        raise AssertionError("nobody asks")


def test_a_token_without_weight_cannot_overflow_the_penalty() -> None:
    """A reference far above the policy at a token that bears no loss: k3 is infinite there, the loss and gradient are not."""
    logprobs = torch.tensor([[-1.0, -200.0]], requires_grad=True)
    outputs = PolicyOutputs(logprobs=logprobs, entropy=torch.zeros(1, 2))
    ones = np.ones(2, dtype=np.float32)
    example = Example(
        prompt_ids=(1,),
        response_ids=(2, 3),
        advantages=ones,
        weights=np.array([1, 0], dtype=np.float32),
        ref_logprobs=np.array([-1.5, 0.0], dtype=np.float32),
    )
    batch = collate([example], pad_id=0, device=torch.device("cpu"))
    options = UpdateOptions(kl=KlLossOptions(coef=0.5))
    term = policy_term([], options, CriticOptions(), StepSize(num_sequences=1, num_tokens=1), max_length=2)
    loss = term.loss(outputs, batch)
    # -A log pi + coef * (exp(-d) - 1 + d) with d = .5
    assert loss.tolist() == [[pytest.approx(1.0 + 0.5 * (math.exp(-0.5) - 0.5)), 0.0]]
    loss.sum().backward()
    assert logprobs.grad is not None
    assert torch.isfinite(logprobs.grad).all()
