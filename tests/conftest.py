"""A tiny policy that writes one of six bodies with equal probability, and tasks for it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from linewise.policy.tiny import tiny_causal, tiny_t5
from linewise.rollout.prompts import PromptOptions, PromptStyle, build_prompt
from linewise.tasks.jsonl import dump_jsonl
from linewise.training.batch import Example, collate
from linewise.training.references import reference_example
from linewise.types import CallTest, Limits, Task

BODIES = ("return x + 1", "return x - 1", "return x * 2", "return x", "return y", "return (x")
PROMPTS = PromptOptions(style=PromptStyle.COMPLETION)


def make_task(name: str, split: str, body: str = BODIES[0]) -> Task:
    program = f"def {name}(x):\n    {body}\n"
    namespace: dict[str, object] = {}
    exec(program, namespace)
    return Task(
        id=name,
        prompt="Do it.",
        tests=tuple(CallTest(call=f"{name}({x})", expected=str(namespace[name](x))) for x in (0, 3, 5)),  # type: ignore[operator]
        entry_point=name,
        signature=f"def {name}(x):",
        reference=program,
        limits=Limits(cpu_seconds=0.5, total_cpu_seconds=1.0),
        metadata={"split": split},
    )


TASKS = [make_task(f"f{index}", "train") for index in range(4)] + [
    make_task("g0", "heldout"),
    make_task("g1", "heldout"),
]


@pytest.fixture(scope="session")
def task_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tasks") / "tasks.jsonl"
    dump_jsonl(TASKS, path)
    return path


@pytest.fixture(scope="session")
def warm_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warm_start(tmp_path_factory.mktemp("causal"), encoder_decoder=False)


@pytest.fixture(scope="session")
def warm_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warm_start(tmp_path_factory.mktemp("t5"), encoder_decoder=True)


def warm_start(folder: Path, *, encoder_decoder: bool, bodies: Sequence[str] = BODIES, num_updates: int = 150) -> Path:
    """Teach all bodies equally by cross-entropy, and save the policy."""
    from linewise.policy.huggingface import HuggingFacePolicy
    from linewise.policy.huggingface_logprobs import response_logprobs

    torch.manual_seed(0)
    loaded = tiny_t5() if encoder_decoder else tiny_causal()
    policy = HuggingFacePolicy(loaded.model, loaded.tokenizer)
    examples: list[Example] = []
    for task in TASKS:
        prompt = build_prompt(task, policy, PROMPTS)
        for body in bodies:
            answer = Task(
                id=task.id,
                prompt=task.prompt,
                tests=task.tests,
                signature=task.signature,
                reference=f"{task.signature}\n    {body}\n",
            )
            examples.append(reference_example(answer, policy, PROMPTS))
        assert prompt.header.startswith(str(task.signature))
    batch = collate(examples, pad_id=loaded.tokenizer.pad_token_id, device=torch.device("cpu"))
    optimiser = torch.optim.AdamW(loaded.model.parameters(), lr=3e-3)
    for _ in range(num_updates):
        loss = -(response_logprobs(loaded.model, batch.sequences).logprobs * batch.weights).sum() / batch.weights.sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(loaded.model.parameters(), 1.0)
        optimiser.step()
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return folder
