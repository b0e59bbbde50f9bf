"""Reference solutions as training sequences: the continuation of the very prompt that programs are sampled from."""

from dataclasses import dataclass, replace

import numpy as np

from linewise.policy.huggingface import HuggingFacePolicy
from linewise.rollout.prompts import ChatRenderer, PromptOptions, build_prompt
from linewise.training.batch import Example
from linewise.types import Prompt, Task


@dataclass(frozen=True, kw_only=True)
class ReferenceAnswer:
    """A reference as the answer to a prompt."""

    prompt: Prompt
    continuation: str
    """What of the reference comes after the prompt, without a line end at its end."""


def reference_answer(task: Task, policy: ChatRenderer, prompts: PromptOptions) -> ReferenceAnswer:
    """The reference as the answer to the task's prompt.

    Where the reference does not begin with the task's signature, the prompt is built without it, so that the whole
    reference is the answer.
    """
    assert task.reference is not None
    prompt = build_prompt(task, policy, prompts)
    continuation = continue_header(task, prompt)
    if continuation is None:
        prompt = build_prompt(replace(task, signature=None), policy, prompts)
        continuation = "\n" + task.reference.strip("\n")
    return ReferenceAnswer(prompt=prompt, continuation=continuation)


def reference_example(task: Task, policy: HuggingFacePolicy, prompts: PromptOptions) -> Example:
    """The reference as the response to the task's prompt, ended as a sampled program ends.

    Every token has advantage and weight 1.
    """
    answer = reference_answer(task, policy, prompts)
    prompt = answer.prompt
    ending = "\n```" if prompt.fenced else ""
    prompt_ids = tuple(policy.tokenizer(prompt.text, add_special_tokens=prompt.special_tokens)["input_ids"])
    response_ids = (
        *policy.tokenizer(answer.continuation + ending, add_special_tokens=False)["input_ids"],
        policy.tokenizer.eos_token_id,
    )
    ones = np.ones(len(response_ids), dtype=np.float32)
    return Example(prompt_ids=prompt_ids, response_ids=response_ids, advantages=ones, weights=ones)


def continue_header(task: Task, prompt: Prompt) -> str | None:
    """What of the reference comes after the prompt's header; None where the header is not its beginning.

    A header is the signature, and in completion style a docstring, which no reference repeats.
    """
    assert task.reference is not None
    reference = task.reference.strip("\n")
    if not prompt.header:
        return "\n" + reference
    if task.signature is None or not reference.startswith(task.signature):
        return None
    return reference[len(task.signature) :]
