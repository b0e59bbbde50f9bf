"""References as guides: each tokenised once, as the answer to the prompt that programs are sampled from."""

from collections.abc import Sequence

from linewise.errors import RunError
from linewise.policy.huggingface import HuggingFacePolicy
from linewise.policy.token_bytes import encode_answer
from linewise.rollout.cccs import conditional_lines
from linewise.rollout.guide import Guide
from linewise.rollout.lines import line_starts
from linewise.rollout.program import extract_program
from linewise.rollout.prompts import PromptOptions, build_prompt
from linewise.training.references import continue_header
from linewise.types import Task


def open_guides(
    tasks: Sequence[Task], policy: HuggingFacePolicy, prompts: PromptOptions, *, encoder_decoder: bool
) -> dict[str, Guide]:
    """Task id -> guide, for the tasks whose reference continues their prompt.

    Raises RunError where no task has one, and for an encoder-decoder, which would learn without
    seeing what was given to its decoder.
    """
    if encoder_decoder:
        raise RunError(
            "roll-in needs a decoder-only policy, and this one is an encoder-decoder: what is given of an answer would have to "
            "be a part of its prompt. Drop --roll-in.kind, or choose another --policy."
        )
    guides = {task.id: guide for task in tasks if (guide := make_guide(task, policy, prompts)) is not None}
    if not guides:
        raise RunError(
            f"roll-in needs references of at least two lines that continue the tasks' prompts, and none of the {len(tasks)} "
            "training tasks has one. Add references that begin with the task's signature, or drop --roll-in.kind."
        )
    return guides


def make_guide(task: Task, policy: HuggingFacePolicy, prompts: PromptOptions) -> Guide | None:
    """The reference of a task as a guide.

    None without a reference, where it does not continue the prompt's header, where its first line is all of it, and where the
    tokeniser does not write it back as it is.
    """
    if task.reference is None:
        return None
    prompt = build_prompt(task, policy, prompts)
    text = continue_header(task, prompt)
    if text is None:
        return None
    conditionals = conditional_cuts(task.reference.strip("\n"), len(line_starts(text)) - 1)
    # What follows the program, such as another function after the header's, would not be read.
    text = text[: extract_program(prompt, text).end].rstrip()
    written = encode_answer(policy.tokenizer, prompt, text)
    guide = Guide(
        text=text,
        token_ids=written.token_ids,
        char_spans=written.char_spans,
        conditionals=conditionals,
    )
    return guide if written.text == text and guide.most_lines else None


def conditional_cuts(reference: str, num_lines: int) -> tuple[int, ...]:
    """Of the reference's last `num_lines` lines, those before each conditional statement, ascending; 0 is left out."""
    skipped = len(line_starts(reference)) - num_lines
    return tuple(cut for line in conditional_lines(reference) if (cut := line - 1 - skipped) > 0)
