"""What a step is summarised by: flat names, one JSON object a step."""

from collections.abc import Sequence

import numpy as np

from linewise.rollout.buffer import Buffer, Draw
from linewise.rollout.collect import Collection
from linewise.training.learner import UpdateMetrics
from linewise.types import Rollout, Verdict

Z_95 = 1.959964


def collection_metrics(collections: Sequence[Collection]) -> dict[str, float]:
    """Pass rates, verdict shares, lengths and faults of what was sampled in a step.

    The interval of `rollout/pass_rate` is normal, over tasks: programs of one task are not independent.
    """
    groups = [group for collection in collections for group in collection.groups]
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    faults = {
        "rollout/judge_errors": float(sum(collection.num_judge_errors for collection in collections)),
        "rollout/empty_groups": float(sum(len(collection.empty_tasks) for collection in collections)),
        "tokens/sampled": float(sum(collection.num_tokens for collection in collections)),
    }
    if not rollouts:
        return faults
    by_task = np.array([np.mean([rollout.report.passed for rollout in group.rollouts]) for group in groups])
    mean = float(np.mean([rollout.report.passed for rollout in rollouts]))
    half = Z_95 * float(by_task.std(ddof=1)) / len(by_task) ** 0.5 if len(by_task) > 1 else 0.5
    return faults | {
        "rollout/pass_rate": mean,
        "rollout/pass_rate_low": max(0.0, mean - half),
        "rollout/pass_rate_high": min(1.0, mean + half),
        "rollout/tests_passed": float(np.mean([rollout.report.pass_rate for rollout in rollouts])),
        "rollout/truncated": float(np.mean([rollout.completion.truncated for rollout in rollouts])),
        "rollout/length": float(np.mean([len(rollout.completion.token_ids) for rollout in rollouts])),
        **verdict_shares(rollouts),
    }


def verdict_shares(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """`verdict/<kind>` -> share of programs; the shares sum to 1."""
    verdicts = [rollout.report.verdict for rollout in rollouts]
    return {f"verdict/{kind}": verdicts.count(kind) / len(verdicts) for kind in Verdict}


def buffer_metrics(buffer: Buffer, draw: Draw, version: int) -> dict[str, float]:
    """Fill and staleness of the buffer that was drawn from, and what has left it so far."""
    staleness = [version - sample.rollout.completion.policy_version for sample in draw.samples]
    return {
        "buffer/fill": len(buffer.entries),
        "buffer/capacity": buffer.options.capacity,
        "buffer/staleness_mean": float(np.mean(staleness)) if staleness else 0.0,
        "buffer/staleness_max": max(staleness, default=0),
        "buffer/dropped_stale": buffer.num_stale,
        "buffer/duplicates": buffer.num_duplicates,
        "buffer/evicted": buffer.num_evicted,
    }


def update_metrics(update: UpdateMetrics) -> dict[str, float]:
    """Loss terms, gradient norm, learning rate and cost of an update."""
    return {
        "loss/total": sum(update.losses.values()),
        **{f"loss/{name}": value for name, value in update.losses.items()},
        "grad_norm": update.grad_norm,
        "learning_rate": update.learning_rate,
        "entropy": update.entropy,
        "tokens/trained": update.num_tokens,
        "update/micro_batches": update.num_micro_batches,
    }
