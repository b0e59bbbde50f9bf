"""The second half of a step: from drawn samples to new weights, in one update or several."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from linewise.losses.aggregate import StepSize
from linewise.training.batch import Example
from linewise.training.learner import Accumulated, LossTerm, UpdateMetrics
from linewise.training.seeds import derive_seed, stream, visit
from linewise.training.session import Session
from linewise.training.terms import policy_lengths, policy_term, supervised_term, value_term
from linewise.training.whitening import Moments, moments, whiten
from linewise.types import Sample
from linewise.values.critic import PolicyOutputs

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Minibatch:
    """What one update sees."""

    samples: Sequence[Sample]
    references: Sequence[Example]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The loss terms of one update; empty where a model does not learn at this step."""

    policy: Sequence[LossTerm[PolicyOutputs]]
    value: Sequence[LossTerm[Tensor]]


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """What is in `.grad` of the models that learn; None for one that does not learn at this step."""

    policy: Accumulated | None
    value: Accumulated | None


@dataclass(frozen=True, kw_only=True)
class Updater:
    """Plans and makes the updates of a step."""

    session: Session

    def whitened(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """The samples as the loss wants them: with advantages whitened over all processes, where the recipe says so."""
        if not self.session.recipe.update.whiten:
            return samples
        own = moments(samples)
        sums = torch.tensor(
            [own.count, own.total, own.squares], dtype=torch.float64, device=self.session.accelerator.device
        )
        count, total, squares = self.session.accelerator.reduce(sums, reduction="sum").tolist()
        return whiten(samples, Moments(count=count, total=total, squares=squares))

    def minibatches(self, samples: Sequence[Sample], step: int) -> Iterator[Minibatch]:
        """Every epoch's minibatches; each epoch shuffles the samples anew. A single minibatch keeps their order."""
        options = self.session.recipe.update
        references = self.references(step)
        for epoch in range(options.epochs):
            order = np.arange(len(samples))
            if options.minibatches > 1:
                order = stream(self.session.recipe.seed, "minibatches", step, epoch).permutation(len(samples))
            for index in range(options.minibatches):
                yield Minibatch(
                    samples=[samples[place] for place in sorted(order[index :: options.minibatches].tolist())],
                    references=references[index :: options.minibatches],
                )

    def references(self, step: int) -> Sequence[Example]:
        """This process's references of a step; none where the recipe wants none."""
        recipe, accelerator = self.session.recipe, self.session.accelerator
        if not recipe.supervised.references_per_step:
            return ()
        everyones: Sequence[Example] = visit(
            self.session.references,
            visit_index=step,
            count=recipe.supervised.references_per_step,
            seed=derive_seed(recipe.seed, "references"),
        )
        return everyones[accelerator.process_index :: accelerator.num_processes]

    def terms(self, minibatch: Minibatch, step: int) -> Terms:
        """The loss terms of one update. While the critic warms up, the policy has none."""
        session = self.session
        recipe, aggregation = session.recipe, session.recipe.update.aggregation
        longest = recipe.collection.sampling.max_new_tokens
        size = self.global_size(policy_lengths(minibatch.samples))
        value = [] if session.critic is None else [value_term(minibatch.samples, recipe.critic, size)]
        if session.has_critic and step < recipe.critic.warmup_steps:
            return Terms(policy=(), value=value)
        policy = [policy_term(minibatch.samples, recipe.update, recipe.critic, size, max_length=longest)]
        if recipe.supervised.references_per_step:
            references, weight = minibatch.references, recipe.supervised.weight
            sizes = self.global_size([len(reference.response_ids) for reference in references])
            policy.append(supervised_term(references, aggregation, sizes, weight=weight, max_length=longest))
        return Terms(policy=policy, value=value)

    def accumulate(self, terms: Terms, progress: Progress) -> Gradients:
        """Gradients of every model that has terms; nothing else changes. Raises NonFiniteLossError."""
        critic, learner = self.session.critic, self.session.learner
        return Gradients(
            value=critic.accumulate(terms.value, progress) if critic is not None and terms.value else None,
            policy=learner.accumulate(terms.policy, progress) if terms.policy else None,
        )

    def apply(self, gradients: Gradients) -> dict[str, UpdateMetrics]:
        """One step of the optimisers, and what it did, by the model's name. Raises NonFiniteLossError."""
        done: dict[str, UpdateMetrics] = {}
        if gradients.policy is not None:
            done["policy"] = self.session.learner.apply(gradients.policy)
        if gradients.value is not None and self.session.critic is not None:
            done["critic"] = self.session.critic.apply(gradients.value)
        return done

    def global_size(self, lengths: Sequence[int]) -> StepSize:
        """The size of an update over all processes."""
        device = self.session.accelerator.device
        local = torch.tensor([len(lengths), sum(lengths)], device=device)
        total = self.session.accelerator.reduce(local, reduction="sum")
        return StepSize(num_sequences=int(total[0]), num_tokens=int(total[1]))
