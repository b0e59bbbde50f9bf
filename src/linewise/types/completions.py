"""What a policy is given, and what it samples."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """The first part of an answer, sampled before or taken from a reference, from which a policy goes on."""

    text: str
    """What the answer says so far; the prompt's own `text` does not hold it."""
    token_ids: tuple[int, ...] | None
    """The tokens that wrote `text`, so that it need not be tokenised again; None where no token ends where it ends."""
    ends_line: bool
    """Whether what comes next must end the line, or the answer: its last line is whole and has no line end yet."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a policy continues. `text` is tokenised exactly once, as it stands."""

    task_id: str
    text: str
    header: str = ""
    """Program text that the prompt already ends with (a signature, say); the program is `header` + what is sampled."""
    special_tokens: bool = True
    """Whether the tokeniser adds its special tokens; False for a rendered chat template, which holds them already."""
    fenced: bool = False
    """Whether `header` stands inside an open Markdown code fence, so that a closing fence ends the program."""
    begun: Beginning | None = None
    """The beginning of the answer, where it is given; completions hold what comes after it."""
    stream: int | None = None
    """Names the random numbers of its completions; None: its index among the prompts of the call names them."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are drawn."""

    temperature: float = 1.0
    """0 means greedy."""
    top_p: float = 1.0
    max_new_tokens: int = 256


class StopReason(StrEnum):
    """Why sampling ended. Truncation is known, not guessed: it is `LENGTH` and nothing else."""

    EOS = "eos"
    PROGRAM_END = "program_end"
    LENGTH = "length"


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What a policy sampled, with the place of every token in the text.

    Example: ids `(12, 7)` with text `"ab="` and `char_spans ((0, 2), (2, 3))`: token 0 is `"ab"`, token 1 is `"="`.
    """

    prompt_ids: tuple[int, ...]
    """The prompt's tokens exactly as the model saw them."""
    token_ids: tuple[int, ...]
    """[T] sampled tokens, including the end-of-sequence token where one was sampled."""
    logprobs: tuple[float, ...]
    """[T] log-probability of each token under the sampler's distribution at temperature 1 (natural log)."""
    char_spans: tuple[tuple[int, int], ...]
    """[T] characters of `text` that each token wrote; contiguous; empty for special tokens."""
    text: str
    stop_reason: StopReason
    policy_version: int = 0
    """Number of updates the sampling policy had seen."""

    @property
    def truncated(self) -> bool:
        """Whether the completion was cut at the maximum length."""
        return self.stop_reason is StopReason.LENGTH


@dataclass(frozen=True, kw_only=True)
class Program:
    """The code inside a completion: `source[header_chars:] == completion.text[start:end]`."""

    source: str
    """What the judge runs."""
    header_chars: int
    """Leading characters of `source` that were not sampled: the prompt's header, and the answer's given beginning."""
    start: int
    end: int
