"""What a step is summarised by: flat names, one JSON object a step."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from linewise.rollout.buffer import Buffer, Draw
from linewise.rollout.collect import Collection
from linewise.training.learner import UpdateMetrics
from linewise.types import Floats, Rollout, Sample, Verdict
from linewise.values.monte_carlo import Valuation

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
        "rollout/programs": float(sum(collection.num_programs for collection in collections)),
        "rollout/verdicts": float(sum(collection.num_verdicts for collection in collections)),
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


def auxiliary_metrics(auxiliary: Sequence[Valuation | Collection]) -> dict[str, float]:
    """What was sampled and judged for line values or as W_base alone, and trained on by nobody."""
    if not auxiliary:
        return {}
    return {
        "auxiliary/programs": float(sum(one.num_programs for one in auxiliary)),
        "auxiliary/verdicts": float(sum(one.num_verdicts for one in auxiliary)),
        "tokens/auxiliary": float(sum(one.num_tokens for one in auxiliary)),
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


def score_metrics(samples: Sequence[Sample]) -> dict[str, float]:
    """What models said of the drawn samples, as means over their tokens; nothing for models that the run has not.

    `logprobs/sampler_difference` is |log pi of the trainer - log pi of the sampler|, from precision and from an older
    policy; both speak of temperature 1, whatever the sampling. `kl/ref` is k3 of KL(pi || ref).
    """
    scores = [sample.scores for sample in samples]
    old = _joined([one.old_logprobs for one in scores])
    found: dict[str, float] = {}
    if old is None:
        return found
    sampled = np.concatenate([sample.rollout.completion.logprobs for sample in samples])
    found["logprobs/sampler_difference"] = float(np.abs(old - sampled).mean())
    found["logprobs/sampler_difference_max"] = float(np.abs(old - sampled).max())
    ref = _joined([one.ref_logprobs for one in scores])
    if ref is not None:
        found["kl/ref"] = float((np.expm1(ref - old) + old - ref).mean())
    return found


def critic_metrics(samples: Sequence[Sample]) -> dict[str, float]:
    """How good the values were that advantages were made of; nothing without a critic.

    `critic/explained_variance` is 1 - Var(returns - values) / Var(returns).
    """
    values = _joined([sample.scores.values for sample in samples])
    returns = _joined([sample.credit.returns for sample in samples])
    if values is None or returns is None:
        return {}
    spread = float(returns.var())
    return {
        "critic/value_mean": float(values.mean()),
        "critic/return_mean": float(returns.mean()),
        "critic/explained_variance": 1 - float((returns - values).var()) / spread if spread else 0.0,
    }


def update_metrics(updates: Sequence[Mapping[str, UpdateMetrics]]) -> dict[str, float]:
    """Loss terms, gradient norms, learning rates and cost of a step's updates: means over them, and sums of their cost."""
    policy = [update["policy"] for update in updates if "policy" in update]
    critic = [update["critic"] for update in updates if "critic" in update]
    losses = [{name: value for update in both.values() for name, value in update.losses.items()} for both in updates]
    return {
        "loss/total": float(np.mean([sum(one.values()) for one in losses])),
        **{f"loss/{name}": float(np.mean([one[name] for one in losses])) for name in losses[0]},
        **_of_model(policy, ""),
        **_of_model(critic, "critic/"),
        "tokens/trained": sum(update.num_tokens for update in policy + critic),
        "update/micro_batches": sum(update.num_micro_batches for update in policy + critic),
    }


def _of_model(updates: Sequence[UpdateMetrics], prefix: str) -> dict[str, float]:
    if not updates:
        return {}
    # An update of which no sequence bears loss has nothing to diagnose.
    names = dict.fromkeys(name for update in updates for name in update.diagnostics)
    means = {name: [update.diagnostics[name] for update in updates if name in update.diagnostics] for name in names}
    return {
        f"{prefix}grad_norm": float(np.mean([update.grad_norm for update in updates])),
        f"{prefix}learning_rate": updates[-1].learning_rate,
        **{f"{prefix}{name}": float(np.mean(known)) for name, known in means.items()},
    }


def _joined(arrays: Sequence[Floats | None]) -> npt.NDArray[np.float64] | None:
    known = [array for array in arrays if array is not None]
    return np.concatenate(known).astype(np.float64) if known and len(known) == len(arrays) else None
