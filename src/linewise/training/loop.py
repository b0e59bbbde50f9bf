"""The trainer: evaluate, then collect and update until the steps or the budget are used up, then evaluate.

It runs any `Recipe`; what distinguishes algorithms has been written into the credit before it gets here.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from accelerate.utils import gather_object

from linewise.errors import NonFiniteLossError, RunError
from linewise.evaluation.evaluate import Evaluation, evaluate, merged
from linewise.rollout.buffer import Draw
from linewise.rollout.records import sample_to_record
from linewise.training.budget import Spending, can_pay_for_a_round, check_first_step, ends_part, spending_metrics
from linewise.training.checkpoint import checkpoint_name, save_checkpoint
from linewise.training.config import AnyRecipe
from linewise.training.export import export_policy
from linewise.training.hooks import Visited
from linewise.training.interrupts import interrupts_deferred
from linewise.training.learner import UpdateMetrics
from linewise.training.metrics import (
    auxiliary_metrics,
    buffer_metrics,
    collection_metrics,
    critic_metrics,
    score_metrics,
    update_metrics,
)
from linewise.training.progress import Display
from linewise.training.prorl import without_entries
from linewise.training.reference import copy_weights
from linewise.training.run_folder import write_text
from linewise.training.seeds import derive_seed, stream
from linewise.training.session import Session
from linewise.training.state import RunState
from linewise.training.step import Collected, Collector, process_share
from linewise.training.update import Gradients, Minibatch, Updater


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run came to."""

    state: RunState
    before: Evaluation | None
    """Held-out evaluation of the initial policy; None where evaluation is off."""
    after: Evaluation | None
    """Held-out evaluation of the trained policy."""
    num_discarded: int = 0
    """Programs of the step that the budget did not pay for; the policy learned nothing from them."""


class Trainer:
    """Drives a session. The weights and `state` change together, in one place, with interrupts held back."""

    def __init__(self, session: Session, state: RunState, display: Display) -> None:
        self.session = session
        self.state = state
        self.display = display
        self.collector = Collector(
            recipe=session.recipe,
            hooks=session.hooks,
            policy=session.policy,
            judge=session.judge,
            scorer=session.scorer,
            process_index=session.accelerator.process_index,
            num_processes=session.accelerator.num_processes,
        )
        self.updater = Updater(session=session)
        check_capacity(session.recipe)
        self.num_discarded = 0
        self._started = time.perf_counter() - state.seconds

    def run(self) -> RunResult:
        """All remaining steps. After Ctrl-C a checkpoint of the last whole step is written first; a fault writes none."""
        recipe = self.session.recipe
        try:
            before = self.evaluate(step=0)
            if self.state.step:
                # The run may have been interrupted between its last step and what that left.
                self.leave_behind()
            while self.state.step < recipe.steps and self.train_step():
                self.leave_behind()
            self.save()
            after = self.evaluate(step=self.state.step)
        except KeyboardInterrupt:
            with interrupts_deferred():
                path = self.save()
                self.display.note(
                    f"interrupted; checkpoint {path} written. Continue with --resume {self.session.folder.path}"
                )
            raise
        self.export_policy(self.session.folder.policy)
        return RunResult(state=self.state, before=before, after=after, num_discarded=self.num_discarded)

    def leave_behind(self) -> None:
        """What is due after the step: evaluation, checkpoint, export of the policy. Doing it again changes nothing."""
        recipe, step = self.session.recipe, self.state.step
        if recipe.evaluation.every and step % recipe.evaluation.every == 0:
            self.evaluate(step=step)
        if step % recipe.save_every == 0:
            self.save()
        if recipe.export_every and step % recipe.export_every == 0:
            self.export_policy(self.session.folder.policies / checkpoint_name(step))

    def train_step(self) -> bool:
        """One step: collect, draw, compute gradients; then, all or nothing, update weights, state and records.

        Returns whether the budget paid for it; if not, nothing has changed.
        """
        session, state = self.session, self.state
        recipe, accelerator = session.recipe, session.accelerator
        if not can_pay_for_a_round(recipe, state):
            return False
        torch.manual_seed(derive_seed(recipe.seed, "dropout", state.step, accelerator.process_index))
        programs = recipe.collection.tasks_per_step * recipe.collection.num_samples // accelerator.num_processes
        self.display.stage("sampling", programs)
        collected = self.collector.fill(state, self.display.advance)
        spending = self.spending_after(collected)
        if not self.pays_for(spending):
            return False
        share = process_share(
            recipe,
            recipe.update.samples_per_step,
            process_index=accelerator.process_index,
            num_processes=accelerator.num_processes,
        )
        draw = collected.state.buffer.draw(share, stream(recipe.seed, "draw", state.step))
        draw = replace(draw, samples=tuple(self.updater.whitened(draw.samples)))
        started = time.perf_counter()
        first, *others = self.updater.minibatches(draw.samples, state.step)
        # Until the first update a step can be abandoned. All of its updates, its state and its records go together.
        gradients = self.gradients(first, draw)
        with interrupts_deferred():
            updates = [self.apply(gradients, draw)]
            updates += [self.apply(self.gradients(other, draw), draw) for other in others]
            session.policy.update_from(session.learner.unwrapped, version=state.step + 1)
            seconds_train = time.perf_counter() - started
            self.state = replace(
                collected.state,
                step=state.step + 1,
                num_programs=spending.num_programs,
                num_tokens=spending.num_tokens,
                buffer=draw.rest,
                seconds=time.perf_counter() - self._started,
            )
            hook_metrics = self.advance_hooks(collected.visited)
            metrics = {
                **collection_metrics(collected.collections),
                **auxiliary_metrics((*collected.decodes, *collected.valuations)),
                **spending_metrics(recipe, spending),
                "rollout/groups_left_out": collected.num_left_out,
                **buffer_metrics(collected.state.buffer, draw, state.step),
                **score_metrics(draw.samples),
                **critic_metrics(draw.samples),
                **update_metrics(updates),
                **hook_metrics,
                "seconds/generate": sum(one.seconds_generate for one in (*collected.collections, *collected.decodes)),
                "seconds/judge": sum(one.seconds_judge for one in (*collected.collections, *collected.decodes)),
                "seconds/score": collected.seconds_score,
                "seconds/credit": collected.seconds_credit,
                "seconds/train": seconds_train,
            }
            self.record(metrics, draw)
        return True

    def pays_for(self, spending: Spending) -> bool:
        """Whether the budget pays for a step; before one that ends a part of the budget the policy is evaluated."""
        recipe, state = self.session.recipe, self.state
        if spending.is_over(recipe):
            check_first_step(recipe, state, spending)
            self.num_discarded = spending.num_programs - state.num_programs
            return False
        if ends_part(recipe, state, spending):
            self.evaluate(step=state.step)
        return True

    def spending_after(self, collected: Collected) -> Spending:
        """What all processes will have sampled when this is learned from."""
        ours = (collected.num_programs, collected.num_tokens)
        programs, tokens = zip(*gather_object([ours]), strict=True)
        return Spending(
            num_programs=self.state.num_programs + sum(programs), num_tokens=self.state.num_tokens + sum(tokens)
        )

    def gradients(self, minibatch: Minibatch, draw: Draw) -> Gradients:
        """The gradients of one update. A loss that is not finite ends the run, with the batch written down."""
        terms = self.updater.terms(minibatch, self.state.step)
        try:
            return self.updater.accumulate(terms, self._micro_batch_done)
        except NonFiniteLossError as error:
            raise NonFiniteLossError(
                f"{error}, at step {self.state.step + 1}. {self.save_failed_batch(draw)}"
            ) from error

    def apply(self, gradients: Gradients, draw: Draw) -> dict[str, UpdateMetrics]:
        """Use the gradients. A norm that is not finite ends the run, with the batch written down."""
        try:
            return self.updater.apply(gradients)
        except NonFiniteLossError as error:
            raise NonFiniteLossError(
                f"{error}, at step {self.state.step + 1}. {self.save_failed_batch(draw)}"
            ) from error

    def advance_hooks(self, visited: Sequence[Visited]) -> dict[str, float]:
        """Let the hooks remember the step, reset the reference where they say so, and return what they report."""
        session, before = self.session, self.state.hooks
        everyones: list[Visited] = gather_object(list(visited))
        hooks = session.hooks.after(before, everyones)
        self.state = replace(self.state, hooks=hooks)
        if hooks.plateau.num_resets > before.plateau.num_resets:
            assert session.reference is not None, "a recipe with resets has a reference of its own"
            copy_weights(session.learner.unwrapped, session.reference)
            session.learner.forget_moments()
            self.state = replace(self.state, buffer=without_entries(self.state.buffer))
        return session.hooks.metrics(hooks, everyones)

    def record(self, metrics: Mapping[str, float], draw: Draw) -> None:
        """Append the step to metrics.jsonl, its samples to rollouts.jsonl, and tell trackers and the display."""
        step, folder, accelerator = self.state.step, self.session.folder, self.session.accelerator
        metrics = self._over_processes(metrics)
        samples = gather_object([{"step": step, **sample_to_record(sample)} for sample in draw.samples])
        if accelerator.is_main_process:
            total = self.state.num_samples * accelerator.num_processes
            folder.append(folder.metrics, [{"step": step, "seconds": self.state.seconds, "samples": total, **metrics}])
            folder.append(folder.rollouts, samples)
        accelerator.log(metrics, step=step)
        self.display.step(step, metrics)

    def evaluate(self, *, step: int) -> Evaluation | None:
        """Held-out evaluation of the policy as it is after `step` updates; read back where it was made before."""
        session = self.session
        options, path = session.recipe.evaluation, session.folder.evaluations / f"{checkpoint_name(step)}.json"
        if not session.held_out:
            return None
        if path.exists():
            return Evaluation.from_json(path.read_text())
        process, count = session.accelerator.process_index, session.accelerator.num_processes
        share = session.held_out[process::count]
        self.display.stage(f"evaluating step {step}", len(share) * options.num_samples)
        # The same seed every time: before and after are compared under the same random numbers.
        part = evaluate(
            session.policy,
            share,
            session.judge,
            num_samples=options.num_samples,
            sampling=options.sampling,
            seed=derive_seed(session.recipe.seed, "evaluate", process),
            prompts=session.recipe.collection.prompts,
            progress=self.display.advance,
        )
        evaluation = merged(gather_object([part]))
        if session.accelerator.is_main_process:
            write_text(path, evaluation.to_json())
        estimate = evaluation.pass_at_k(1)
        self.display.note(
            f"held-out pass@1 after {step} steps: {estimate.mean:.3f} [{estimate.low:.3f}, {estimate.high:.3f}] "
            f"on {len(session.held_out)} tasks"
        )
        return evaluation

    def save(self) -> str:
        """Write a checkpoint of the current state, unless it exists, and return its path."""
        session = self.session
        path = save_checkpoint(
            session.folder.checkpoints, self.state, session.accelerator, keep=session.recipe.keep_checkpoints
        )
        return str(path)

    def export_policy(self, folder: Path) -> None:
        """Write the policy in Hugging Face format, merged, with its tokeniser."""
        if self.session.accelerator.is_main_process:
            export_policy(self.session.learner.unwrapped, self.session.policy.tokenizer, folder)

    def save_failed_batch(self, draw: Draw) -> str:
        """Write down the batch that met a NaN, for a person to look at; returns a sentence that names the file."""
        name = f"failed-batch-{self.session.accelerator.process_index}.json"
        path = self.session.folder.path / name
        batch = {
            "step": self.state.step + 1,
            "samples": [sample_to_record(sample) for sample in draw.samples],
            "references": [
                {"prompt_ids": example.prompt_ids, "response_ids": example.response_ids}
                for example in self.updater.references(self.state.step)
            ],
        }
        write_text(path, json.dumps(batch))
        return (
            f"The batch is in {path}; the last checkpoint is whole. Look for a degenerate sample, or lower "
            "--update.learning-rate."
        )

    def _micro_batch_done(self, done: int, total: int) -> None:
        if done == 1:
            self.display.stage("updating", total)
        self.display.advance(1)

    def _over_processes(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Sums of counts and losses, means of everything else."""
        summed = (
            "tokens/",
            "auxiliary/",
            "loss/",
            "buffer/fill",
            "buffer/capacity",
            "rollout/programs",
            "rollout/verdicts",
            "rollout/judge_errors",
            "rollout/empty_groups",
            "rollout/groups_left_out",
        )
        everyones: list[Mapping[str, float]] = gather_object([dict(metrics)])
        names = [name for name in metrics if all(name in one for one in everyones)]
        count = len(everyones)
        return {name: sum(one[name] for one in everyones) / (1 if name.startswith(summed) else count) for name in names}


def check_capacity(recipe: AnyRecipe) -> None:
    """Raises RunError where a step samples more programs than the buffer holds: the first of them would be lost unseen."""
    programs = recipe.collection.tasks_per_step * recipe.collection.num_samples
    if programs > recipe.buffer.capacity:
        raise RunError(
            f"a step samples {programs} programs, and the buffer holds buffer.capacity={recipe.buffer.capacity}: the first of "
            f"them would be lost. Add --buffer.capacity {programs} --buffer.warmup {programs} --update.samples-per-step "
            f"{programs}, or sample fewer."
        )
