"""Pretraining of the arena's small policy: a tokeniser and a model, from nothing, on a corpus that is made by code.

    min_theta  mean over tokens of  -log p_theta(w_t | prompt, w_<t)

The loss runs over the tokens of programs and the end of sequence after them; the prompts, which the policy never has to
write, bear none. Every program is read once.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from linewise.errors import NonFiniteLossError
from linewise.losses.sft import cross_entropy
from linewise.policy.huggingface_attention import use_training_attention
from linewise.policy.huggingface_load import LoadedModel
from linewise.policy.huggingface_logprobs import response_logprobs
from linewise.policy.memory import keep_freed_memory
from linewise.policy.scripted import ScriptedPolicy
from linewise.policy.small import small_causal, train_tokenizer
from linewise.rollout.prompts import PromptOptions, PromptStyle, build_prompt
from linewise.tasks.arena.corpus import Draft, drafts
from linewise.training.batch import Example, collate
from linewise.training.export import export_policy
from linewise.training.pretrain_options import PretrainOptions
from linewise.training.seeds import derive_seed
from linewise.types import Task

TOKENIZER_PROGRAMS = 2000
"""Programs on which the tokeniser is trained."""
STEPS_SORTED = 8
"""Updates whose programs are sorted by length together, so that a batch holds little padding."""
LAST_SHARE = 0.1
"""Share of the updates over which the final loss is averaged."""


@dataclass(frozen=True, kw_only=True)
class PretrainResult:
    """What pretraining gave."""

    loaded: LoadedModel
    losses: tuple[float, ...]
    """Mean loss of each update, nats per token."""
    num_tokens: int
    """Tokens read, prompts included and padding left out."""
    seconds: float

    @property
    def final_loss(self) -> float:
        """Mean of the last tenth of `losses`."""
        return float(np.mean(self.losses[-max(1, round(LAST_SHARE * len(self.losses))) :]))


def pretrain(options: PretrainOptions, out: Path, *, console: Console | None = None) -> PretrainResult:
    """Train a tokeniser and a model and write both to the folder `out` in Hugging Face format.

    With a console a bar is drawn. Raises NonFiniteLossError where the loss is not finite, StorageError where the folder
    cannot be written.
    """
    keep_freed_memory()
    started = time.perf_counter()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=console is None) as progress:
        bar = progress.add_task("pretraining", total=options.steps)
        seed = derive_seed(options.seed, "pretrain")
        first = islice(drafts(seed, faults=options.faults), TOKENIZER_PROGRAMS)
        tokenizer = train_tokenizer(("".join(rendered(draft)) for draft in first), options.model.vocabulary)
        shape = {name: value for name, value in asdict(options.model).items() if name != "vocabulary"}
        loaded = small_causal(tokenizer, **shape, seed=seed)
        use_training_attention(loaded.model)
        losses, num_tokens = [], 0
        for update in updates(loaded, options, seed):
            losses.append(update.loss)
            num_tokens += update.num_tokens
            progress.update(bar, advance=1, description=f"pretraining, loss {update.loss:.3f}")
    export_policy(loaded.model, loaded.tokenizer, out)
    return PretrainResult(
        loaded=loaded, losses=tuple(losses), num_tokens=num_tokens, seconds=time.perf_counter() - started
    )


@dataclass(frozen=True, kw_only=True)
class Update:
    """One update of the weights."""

    loss: float
    num_tokens: int


def updates(loaded: LoadedModel, options: PretrainOptions, seed: int) -> Iterator[Update]:
    """All updates of the model, one after another."""
    model = loaded.model.train()
    optimiser = AdamW(
        model.parameters(),
        lr=options.learning_rate,
        betas=options.betas,
        weight_decay=options.weight_decay,
        fused=False,
    )
    warmup = max(1, round(options.warmup_share * options.steps))
    schedule = LambdaLR(optimiser, lambda step: learning_rate_factor(step, warmup=warmup, steps=options.steps))
    for step, examples in enumerate(batches(loaded.tokenizer, options, seed)):
        batch = collate(examples, pad_id=loaded.tokenizer.pad_token_id, device=model.device)
        logprobs = response_logprobs(model, batch.sequences).logprobs
        loss = cross_entropy(logprobs, batch.weights).sum() / batch.weights.sum()
        if not math.isfinite(loss.item()):
            raise NonFiniteLossError(
                f"The loss of update {step + 1} is {loss.item()}. Lower --learning-rate ({options.learning_rate})."
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        yield Update(loss=loss.item(), num_tokens=sum(example.length for example in examples))
    model.eval()


def learning_rate_factor(step: int, *, warmup: int, steps: int) -> float:
    """(step + 1) / warmup while it rises, then 0.1 + 0.9 (1 + cos(pi t)) / 2 for t from 0 to 1, the share of the rest done."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.1 + 0.9 * (1 + math.cos(math.pi * min(1.0, done))) / 2


def batches(tokenizer: Any, options: PretrainOptions, seed: int) -> Iterator[list[Example]]:
    """The programs of each update, of similar lengths."""
    source = drafts(seed, faults=options.faults)
    order = np.random.default_rng(seed)
    size = options.programs_per_step
    remaining = options.steps
    while remaining:
        count = min(STEPS_SORTED, remaining)
        examples = sorted(encoded(tokenizer, list(islice(source, count * size))), key=lambda example: example.length)
        for place in order.permutation(count).tolist():
            yield examples[place * size : (place + 1) * size]
        remaining -= count


def encoded(tokenizer: Any, programs: list[Draft]) -> list[Example]:
    """The programs as sequences: the prompt bears no loss, the body and the end of the sequence do."""
    texts = [rendered(draft) for draft in programs]
    prompts = tokenizer([prompt for prompt, _ in texts], add_special_tokens=False)["input_ids"]
    bodies = tokenizer([body for _, body in texts], add_special_tokens=False)["input_ids"]
    return [
        Example(
            prompt_ids=tuple(prompt),
            response_ids=(*body, tokenizer.eos_token_id),
            advantages=np.zeros(len(body) + 1, dtype=np.float32),
            weights=np.ones(len(body) + 1, dtype=np.float32),
        )
        for prompt, body in zip(prompts, bodies, strict=True)
    ]


def rendered(draft: Draft) -> tuple[str, str]:
    """Prompt and program as a policy meets them: the completion-style prompt, and what comes after it."""
    task = Task(id=draft.family, prompt=draft.prompt, tests=(), signature=draft.signature)
    prompt = build_prompt(task, ScriptedPolicy(answers=lambda _: []), PromptOptions(style=PromptStyle.COMPLETION))
    return prompt.text, f"\n{draft.body}"
