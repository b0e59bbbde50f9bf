"""The online buffer (RLTF, arXiv:2307.04349, section 3.2): samples of recent policies, from which the trainer draws.

A `Buffer` is a value: every operation returns a new one, so that an interrupted step leaves the last one whole. Unlike the
released code's buffer, which evicts as many samples as it adds and so never grows from a small start (defect 6), this one
fills up to its capacity, knows the policy version of every sample, and drops what has become too stale.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from linewise.types import Sample


@dataclass(frozen=True, kw_only=True)
class BufferOptions:
    """Size and freshness of the online buffer. The paper holds 6400 samples and starts training when it is full."""

    capacity: int = 256
    """Most samples held; the oldest leave first."""
    warmup: int = 1
    """Samples to collect before the first update."""
    max_staleness: int = 0
    """Largest number of updates between sampling and use; 0 means strictly on-policy."""
    max_uses: int = 1
    """How often a sample may be drawn before it leaves."""

    def __post_init__(self) -> None:
        """Refuses settings under which training could never start."""
        if not 1 <= self.warmup <= self.capacity:
            raise ValueError(
                f"buffer.warmup={self.warmup} must lie between 1 and buffer.capacity={self.capacity}: "
                "training starts when `warmup` samples are held. Lower warmup or raise capacity."
            )
        if self.max_staleness < 0 or self.max_uses < 1:
            raise ValueError(
                f"buffer.max_staleness={self.max_staleness} must be at least 0 and buffer.max_uses={self.max_uses} at least 1"
            )


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One sample in the buffer."""

    sample: Sample
    uses: int = 0
    """How often it has been drawn."""

    @property
    def key(self) -> tuple[str, tuple[int, ...]]:
        """What makes two samples copies of each other: the task and the tokens."""
        return self.sample.rollout.task.id, self.sample.rollout.completion.token_ids

    @property
    def version(self) -> int:
        """Number of updates that the sampling policy had seen."""
        return self.sample.rollout.completion.policy_version

    def staleness(self, version: int) -> int:
        """Updates since this sample's policy."""
        return version - self.version


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """Entries from oldest to newest, with counts of everything that ever happened to them."""

    options: BufferOptions
    entries: tuple[Entry, ...] = ()
    num_duplicates: int = 0
    """Samples dropped because a newer policy wrote the same tokens."""
    num_stale: int = 0
    """Samples dropped for being older than `max_staleness`."""
    num_evicted: int = 0
    """Samples pushed out by newer ones."""

    def add(self, samples: Iterable[Sample]) -> "Buffer":
        """Append samples, newest last; older copies of the same tokens for the same task leave.

        Copies from *one* policy version all stay: how often it repeats a program is that policy's probability of it, and
        dropping repeats would bias the gradient. A copy from an older version says nothing that the newer one does not.
        """
        new = tuple(Entry(sample=sample) for sample in samples)
        newest = {entry.key: entry.version for entry in new}
        kept = tuple(entry for entry in self.entries if newest.get(entry.key, entry.version) <= entry.version)
        duplicates = len(self.entries) - len(kept)
        entries = kept + new
        excess = max(0, len(entries) - self.options.capacity)
        return replace(
            self,
            entries=entries[excess:],
            num_duplicates=self.num_duplicates + duplicates,
            num_evicted=self.num_evicted + excess,
        )

    def drop_stale(self, version: int) -> "Buffer":
        """Without the samples that are more than `max_staleness` updates behind `version`."""
        fresh = tuple(entry for entry in self.entries if entry.staleness(version) <= self.options.max_staleness)
        return replace(self, entries=fresh, num_stale=self.num_stale + len(self.entries) - len(fresh))

    @property
    def ready(self) -> bool:
        """Whether enough samples are held for an update."""
        return len(self.entries) >= self.options.warmup

    def draw(self, count: int, rng: np.random.Generator) -> "Draw":
        """`count` entries uniformly without replacement (all, if fewer are held), in the buffer's order."""
        chosen = set(rng.permutation(len(self.entries))[:count].tolist())
        used = tuple(
            replace(entry, uses=entry.uses + 1) if index in chosen else entry
            for index, entry in enumerate(self.entries)
        )
        return Draw(
            samples=tuple(self.entries[index].sample for index in sorted(chosen)),
            rest=replace(self, entries=tuple(entry for entry in used if entry.uses < self.options.max_uses)),
        )


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What one draw gave."""

    samples: tuple[Sample, ...]
    rest: Buffer
    """The buffer after the draw, without the samples that are used up."""
