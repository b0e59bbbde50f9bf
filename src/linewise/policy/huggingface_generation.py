"""Sampling many completions of many prompts with one model.

Every distinct prompt is read once. Its cache is copied to one row for each completion; rows that have ended are dropped
and, where the model allows it, their slots go to waiting completions at once. A completion's random numbers depend on
the seed and on its own place alone, so they do not depend on what it shares a batch with.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from linewise.policy.huggingface_cache import RowCache
from linewise.policy.huggingface_forward import Cross, Forward, Prefill
from linewise.policy.huggingface_sampling import draw
from linewise.policy.token_bytes import IncrementalText
from linewise.types import Completion, Prompt, Sampling, StopReason

PREFILL_TOKENS = 8192
"""Most tokens, padding included, that are read in one call."""
REFILL_SHARE = 8
"""Waiting completions are admitted when 1 / REFILL_SHARE of the rows is free: every admission interrupts sampling."""
DEAD_SHARE = 16
"""Ended rows are dropped from the batch when they are 1 / DEAD_SHARE of it: dropping costs a copy."""

SPARE_COLUMNS = 64
"""Columns of the cache beyond what one row can need; the live ones are moved to the front once in so many steps."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """When a completion ends, and how its tokens are drawn."""

    sampling: Sampling
    end_ids: frozenset[int]
    line_end_ids: frozenset[int]
    """Tokens that write a line end first."""
    is_complete: Callable[[Prompt, str], bool]


class Row:
    """One completion in the making."""

    def __init__(
        self,
        *,
        prompt: Prompt,
        prompt_ids: tuple[int, ...],
        place: tuple[int, int],
        uniforms: npt.NDArray[np.float32],
        text: IncrementalText,
        given: Sequence[int] = (),
    ) -> None:
        """`given` are tokens of the answer that the decoder of an encoder-decoder reads before it draws any."""
        self.prompt = prompt
        self.prompt_ids = prompt_ids
        self.place = place
        """Index of the prompt, and of the completion among those of the prompt."""
        self.token_ids: list[int] = []
        self.logprobs: list[float] = []
        self.start = 0
        """First column of the row in the cache."""
        self.stop_reason: StopReason | None = None
        self.given = deque(given)
        self.last_id = -1
        """The token that the model reads next."""
        self._uniforms = uniforms
        self._text = text

    @property
    def uniform(self) -> float:
        """The random number that draws the next token, in [0, 1)."""
        return float(self._uniforms[len(self.token_ids)])

    @property
    def must_end_line(self) -> bool:
        """Whether the next token is the first one after a beginning whose last line is whole."""
        begun = self.prompt.begun
        return begun is not None and begun.ends_line and not self.token_ids and not self.given

    def append(self, token_id: int, logprob: float, rules: Rules) -> None:
        """Add a sampled token and see whether the completion has ended; a given token takes its place."""
        if self.given:
            self.last_id = self.given.popleft()
            return
        self.last_id = token_id
        self.token_ids.append(token_id)
        self.logprobs.append(logprob)
        written = self._text.append(token_id)
        if token_id in rules.end_ids:
            self.stop_reason = StopReason.EOS
        elif written and rules.is_complete(self.prompt, self._text.text):
            self.stop_reason = StopReason.PROGRAM_END
        elif len(self.token_ids) == rules.sampling.max_new_tokens:
            self.stop_reason = StopReason.LENGTH

    def completion(self, version: int) -> Completion:
        """The finished completion."""
        assert self.stop_reason is not None
        decoded = self._text.finish()
        return Completion(
            prompt_ids=self.prompt_ids,
            token_ids=tuple(self.token_ids),
            logprobs=tuple(self.logprobs),
            char_spans=decoded.char_spans,
            text=decoded.text,
            stop_reason=self.stop_reason,
            policy_version=version,
        )


@dataclass(frozen=True, kw_only=True)
class Job:
    """One distinct prompt and the completions that are wanted of it."""

    prompt_ids: tuple[int, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A completion whose prompt has been read and that has no slot yet."""

    row: Row
    source: int
    """Row of the prefill that holds its prompt."""


class Generation:
    """One run over a list of jobs. Iterating yields rows as they end."""

    def __init__(self, forward: Forward, jobs: Sequence[Job], rules: Rules, *, max_rows: int) -> None:
        # Longest first: a row that joins later then never needs more columns than lie before the cursor.
        self._jobs = deque(sorted(jobs, key=lambda job: -len(job.prompt_ids)))
        self._forward = forward
        self._rules = rules
        self._max_rows = max_rows
        self._prefill: Prefill | None = None
        self._waiting: deque[Waiting] = deque()
        self._cache: RowCache | None = None
        self._cross: Cross | None = None
        self._rows: list[Row] = []
        """The row in each slot; ended rows stay until they are dropped."""
        self._longest_given = max((len(row.given) for job in jobs for row in job.rows), default=0)

    @torch.inference_mode()
    def run(self) -> list[Row]:
        """All rows of all jobs, in the order in which they ended."""
        return list(self)

    def __iter__(self) -> Iterator[Row]:
        while self._jobs or self._waiting or self._rows:
            if self._has_room():
                yield from self._admit()
            if self._rows:
                yield from self._step()
                self._drop_ended()

    def _has_room(self) -> bool:
        if not (self._jobs or self._waiting):
            return False
        free = self._max_rows - sum(row.stop_reason is None for row in self._rows)
        return free == self._max_rows or (self._forward.refills and free * REFILL_SHARE >= self._max_rows)

    def _admit(self) -> Iterator[Row]:
        """Give the free slots to waiting completions; yields those that end with their first token."""
        self._drop_ended(at_once=True)
        while (free := self._max_rows - len(self._rows)) and (self._jobs or self._waiting):
            if not self._waiting:
                self._read_prompts(free)
            assert self._prefill is not None
            taken = list(islice(self._waiting, free))
            self._waiting = deque(islice(self._waiting, len(taken), None))
            sources = torch.tensor([item.source for item in taken], device=self._prefill.logits.device)
            self._append(self._prefill.logits[sources], [item.row for item in taken])
            yield from (item.row for item in taken if item.row.stop_reason is not None)
            self._place([item for item in taken if item.row.stop_reason is None])
            if not self._forward.refills and self._rows:
                return

    def _read_prompts(self, free: int) -> None:
        """Prefill as many jobs as fill the free slots, within the token budget."""
        jobs: list[Job] = []
        width = len(self._jobs[0].prompt_ids)
        while self._jobs and sum(len(job.rows) for job in jobs) < free and (len(jobs) + 1) * width <= PREFILL_TOKENS:
            jobs.append(self._jobs.popleft())
        jobs = jobs or [self._jobs.popleft()]
        self._prefill = None  # frees the last one's memory first
        self._prefill = self._forward.prefill([job.prompt_ids for job in jobs])
        self._waiting.extend(Waiting(row=row, source=source) for source, job in enumerate(jobs) for row in job.rows)

    def _place(self, taken: list[Waiting]) -> None:
        """Put rows into the next slots."""
        assert self._prefill is not None
        if not taken:
            return
        width = self._prefill.cache.get_seq_length()
        if self._cache is None:
            columns = width + self._longest_given + self._rules.sampling.max_new_tokens + SPARE_COLUMNS
            self._cache = RowCache(like=self._prefill.cache, slots=self._max_rows, columns=columns)
        window = self._cache.window
        if not self._rows:
            window.cursor = width
        device = self._prefill.logits.device
        sources = torch.tensor([item.source for item in taken], device=device)
        slots = torch.arange(len(self._rows), len(self._rows) + len(taken), device=device)
        self._cache.write(self._prefill.cache, sources, slots)
        if self._prefill.cross is not None:
            self._cross = self._prefill.cross.select(sources)
        for item in taken:
            item.row.start = window.cursor - self._prefill.lengths[item.source]
            self._rows.append(item.row)
        self._resize()

    def _step(self) -> list[Row]:
        """Sample one token for every live row; returns the rows that ended with it."""
        assert self._cache is not None
        window = self._cache.window
        if window.cursor == self._cache.columns:
            self._make_columns()
        device = self._cache.device
        token_ids = torch.tensor([row.last_id for row in self._rows], device=device)
        starts = torch.tensor([row.start for row in self._rows], device=device)
        logits = self._forward.step(token_ids, starts, self._cache, self._cross)
        window.cursor += 1
        live = [row for row in self._rows if row.stop_reason is None]
        if len(live) < len(self._rows):
            alive = [slot for slot, row in enumerate(self._rows) if row.stop_reason is None]
            logits = logits[torch.tensor(alive, device=device)]
        self._append(logits, live)
        return [row for row in live if row.stop_reason is not None]

    def _append(self, logits: torch.Tensor, rows: Sequence[Row]) -> None:
        at_line_end = [index for index, row in enumerate(rows) if row.must_end_line]
        if at_line_end:
            logits = self._only_line_ends(logits, at_line_end)
        uniforms = torch.tensor([row.uniform for row in rows], device=logits.device)
        drawn = draw(logits, uniforms, self._rules.sampling)
        for row, token_id, logprob in zip(rows, drawn.token_ids.tolist(), drawn.logprobs.tolist(), strict=True):
            row.append(token_id, logprob, self._rules)

    def _only_line_ends(self, logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """Condition the given rows on a token that ends the line or the answer."""
        allowed = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
        ids = self._rules.line_end_ids | self._rules.end_ids
        allowed[torch.tensor(sorted(ids), dtype=torch.long, device=logits.device)] = True
        where = torch.tensor(rows, device=logits.device)
        logits = logits.clone()
        logits[where] = logits[where].masked_fill(~allowed, -torch.inf)
        return logits

    def _drop_ended(self, *, at_once: bool = False) -> None:
        """Close the gaps that ended rows left, moving rows from the end into them."""
        live = sum(row.stop_reason is None for row in self._rows)
        if not at_once and live and (len(self._rows) - live) * DEAD_SHARE < len(self._rows):
            return
        if live == len(self._rows):
            return
        assert self._cache is not None
        gaps = [slot for slot in range(live) if self._rows[slot].stop_reason is not None]
        movers = [slot for slot in range(live, len(self._rows)) if self._rows[slot].stop_reason is None]
        order = list(range(live))
        for gap, mover in zip(gaps, movers, strict=True):
            order[gap] = mover
        device = self._cache.device
        if gaps:
            self._cache.move(torch.tensor(movers, device=device), torch.tensor(gaps, device=device))
        if self._cross is not None:
            self._cross = self._cross.select(torch.tensor(order, device=device)) if order else None
        self._rows = [self._rows[slot] for slot in order]
        self._resize()

    def _resize(self) -> None:
        assert self._cache is not None
        self._cache.window.rows = len(self._rows)
        if self._rows:
            self._cache.window.start = min(row.start for row in self._rows)

    def _make_columns(self) -> None:
        """The cursor has met the end of the buffer: move the columns in use to its front."""
        assert self._cache is not None
        shift = self._cache.shift_to_front(room=self._longest_waiting())
        for row in self._rows:
            row.start -= shift

    def _longest_waiting(self) -> int:
        prefilled = self._prefill.cache.get_seq_length() if self._prefill is not None and self._waiting else 0
        return max(prefilled, len(self._jobs[0].prompt_ids) if self._jobs else 0)
