"""A policy whose answers are written by hand. Imports no torch; every path of Linewise can be tested with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from linewise.types import Completion, Prompt, Sampling, StopReason

END_OF_TEXT = 0
"""The id of the end-of-sequence token; every other token is one character, its id being the code point."""


@dataclass(frozen=True, kw_only=True)
class ScriptedPolicy:
    """Answers each prompt with given texts, one token per character, each with log-probability 0.

    Example: `ScriptedPolicy(answers=lambda prompt: ["return a + b", "return a - b"])` gives the two answers in turn.
    """

    answers: Callable[[Prompt], Sequence[str]]
    """The texts for a prompt, used in a cycle for `num_samples` completions; at least one."""
    version: int = 0

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> str | None:
        """None: there is no chat template."""
        return None

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        num_samples: int,
        sampling: Sampling,
        seed: int,
        is_complete: Callable[[Prompt, str], bool],
        progress: Callable[[int], None] | None = None,
    ) -> list[list[Completion]]:
        """The scripted answers, ended by `is_complete`, by their own end or by `sampling.max_new_tokens`."""
        results = []
        for prompt in prompts:
            answers = islice(cycle(self.answers(prompt)), num_samples)
            results.append([self._complete(prompt, answer, sampling, is_complete) for answer in answers])
            if progress is not None:
                progress(num_samples)
        return results

    def _complete(
        self, prompt: Prompt, answer: str, sampling: Sampling, is_complete: Callable[[Prompt, str], bool]
    ) -> Completion:
        text, reason = answer[: sampling.max_new_tokens], StopReason.LENGTH
        for end in range(1, len(text) + 1):
            if is_complete(prompt, text[:end]):
                text, reason = text[:end], StopReason.PROGRAM_END
                break
        token_ids = [ord(char) for char in text]
        spans = [(place, place + 1) for place in range(len(text))]
        if reason is StopReason.LENGTH and len(text) < sampling.max_new_tokens:
            reason = StopReason.EOS
            token_ids.append(END_OF_TEXT)
            spans.append((len(text), len(text)))
        return Completion(
            prompt_ids=tuple(map(ord, prompt.text + (prompt.begun.text if prompt.begun else ""))),
            token_ids=tuple(token_ids),
            logprobs=(0.0,) * len(token_ids),
            char_spans=tuple(spans),
            text=text,
            stop_reason=reason,
            policy_version=self.version,
        )
