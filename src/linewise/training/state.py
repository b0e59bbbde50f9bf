"""The state of a run apart from the weights: a frozen value, replaced whole at the end of each step."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from linewise.rollout.buffer import Buffer, BufferOptions, Entry
from linewise.rollout.records import report_from_record, report_to_record, sample_from_record, sample_to_record
from linewise.training.hooks import HookState, hooks_from_record, hooks_to_record
from linewise.types import Report, Task


@dataclass(frozen=True, kw_only=True)
class RunState:
    """Where a run stands after `step` updates.

    No random state is kept: every stream of random numbers is derived from the seed, its purpose and the counters here.
    """

    step: int = 0
    """Updates made; also the policy's version."""
    rounds: int = 0
    """Collections made; larger than `step` where the buffer had to fill first."""
    num_samples: int = 0
    """Programs that became samples so far, by this process."""
    num_programs: int = 0
    """Programs sampled so far by all processes, for whatever purpose in training: what a budget counts."""
    num_tokens: int = 0
    """Tokens of these programs."""
    seconds: float = 0.0
    """Wall time so far, over all sessions of the run."""
    buffer: Buffer
    history: Mapping[str, Report] = field(default_factory=dict)
    """Task id -> report of the best program so far."""
    hooks: HookState = HookState()
    """What curricula, the task sampler and the plateau remember."""


def state_to_record(state: RunState) -> dict[str, Any]:
    """JSON form of a state."""
    return {
        "step": state.step,
        "rounds": state.rounds,
        "num_samples": state.num_samples,
        "num_programs": state.num_programs,
        "num_tokens": state.num_tokens,
        "seconds": state.seconds,
        "buffer": {
            "options": asdict(state.buffer.options),
            "entries": [
                {"sample": sample_to_record(entry.sample), "uses": entry.uses} for entry in state.buffer.entries
            ],
            "num_duplicates": state.buffer.num_duplicates,
            "num_stale": state.buffer.num_stale,
            "num_evicted": state.buffer.num_evicted,
        },
        "history": {task_id: report_to_record(report) for task_id, report in state.history.items()},
        "hooks": hooks_to_record(state.hooks),
    }


def state_from_record(record: Mapping[str, Any], tasks: Mapping[str, Task]) -> RunState:
    """The state of `state_to_record`; samples refer to their tasks by id."""
    buffer = record["buffer"]
    return RunState(
        step=record["step"],
        rounds=record["rounds"],
        num_samples=record["num_samples"],
        num_programs=record["num_programs"],
        num_tokens=record["num_tokens"],
        seconds=record["seconds"],
        buffer=Buffer(
            options=BufferOptions(**buffer["options"]),
            entries=tuple(
                Entry(sample=sample_from_record(entry["sample"], tasks), uses=entry["uses"])
                for entry in buffer["entries"]
            ),
            num_duplicates=buffer["num_duplicates"],
            num_stale=buffer["num_stale"],
            num_evicted=buffer["num_evicted"],
        ),
        history={task_id: report_from_record(report) for task_id, report in record["history"].items()},
        hooks=hooks_from_record(record["hooks"]),
    )
