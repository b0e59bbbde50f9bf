"""Which curriculum of roll-in a run has."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from linewise.rollout.cccs import CCCS
from linewise.rollout.guide import Curriculum, Guide
from linewise.rollout.jsrl import JSRL, RandomJSRL


class RollIn(StrEnum):
    """How many lines of the reference the answers begin with."""

    NONE = "none"
    """None: programs are written from scratch."""
    CCCS = "cccs"
    """Those before a conditional statement: the last one first, then the one before it (StepCoder)."""
    JSRL = "jsrl"
    """Ever fewer, the same number for all tasks (jump-start RL)."""
    JSRL_RANDOM = "jsrl_random"
    """A number that is drawn anew at each visit (jump-start RL, the random variant)."""


@dataclass(frozen=True, kw_only=True)
class RollInOptions:
    """Answers that begin with lines of the reference; off by default. Evaluation is always from scratch."""

    kind: RollIn = RollIn.NONE
    window: int = 3
    """Visits of a task (cccs) or steps (jsrl) over which success is averaged."""
    threshold: float = 0.5
    """cccs: success above which a task goes on to an earlier statement, in [0, 1)."""
    num_stages: int = 10
    """jsrl: stages from the whole guide to none."""
    tolerance: float = 0.05
    """jsrl: how far success may lie below its best for the next stage."""

    def __post_init__(self) -> None:
        """Refuses settings under which a curriculum could not move."""
        if self.window < 1 or self.num_stages < 1:
            raise ValueError(
                f"roll_in.window={self.window} and roll_in.num_stages={self.num_stages} must both be at least 1."
            )
        if not 0 <= self.threshold < 1 or self.tolerance < 0:
            raise ValueError(
                f"roll_in.threshold={self.threshold} must lie in [0, 1), for success is never larger than 1, and "
                f"roll_in.tolerance={self.tolerance} must not be negative."
            )


def make_curriculum(options: RollInOptions, guides: Mapping[str, Guide]) -> Curriculum | None:
    """The curriculum of these options; None where nothing is given."""
    match options.kind:
        case RollIn.NONE:
            return None
        case RollIn.CCCS:
            return CCCS(guides=guides, threshold=options.threshold, window=options.window)
        case RollIn.JSRL:
            return JSRL(
                guides=guides, num_stages=options.num_stages, window=options.window, tolerance=options.tolerance
            )
        case RollIn.JSRL_RANDOM:
            return RandomJSRL(guides=guides)
