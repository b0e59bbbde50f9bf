"""W_base: the program of each task that rollouts are compared with (RLTF, arXiv:2307.04349, section 3.3)."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from linewise.types import Group, Report


class BaseProgram(StrEnum):
    """Which program stands for W_base."""

    BEST_SO_FAR = "best_so_far"
    """The best program seen for the task in earlier visits ("historical optimal"; the paper)."""
    LATEST_GREEDY = "latest_greedy"
    """A greedy decode by the newest policy, made at every visit (the released code; costs one sample a visit)."""
    NONE = "none"
    """No program: rewards are compared with 0."""


def best_so_far(history: Mapping[str, Report], groups: Iterable[Group]) -> dict[str, Report]:
    """The history after these groups: task id -> report of the best program, by pass rate, then by freedom from errors.

    Ties keep the older program. A pure function, so that an interrupted step leaves the old history whole.
    """
    best = dict(history)
    for group in groups:
        candidates = [rollout.report for rollout in group.rollouts]
        if group.task.id in best:
            candidates.insert(0, best[group.task.id])
        assert candidates, "a collection never holds an empty group"
        best[group.task.id] = max(candidates, key=lambda report: (report.pass_rate, report.error is None))
    return best
