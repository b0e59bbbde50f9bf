"""Everything a run works with, opened and closed together."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import ProjectConfiguration
from torch import Tensor

from linewise.errors import RunError
from linewise.judge import LocalJudge
from linewise.policy.huggingface import HuggingFacePolicy
from linewise.policy.huggingface_load import load_model
from linewise.policy.precision import has_native_bf16
from linewise.rollout.guide import Guide
from linewise.rollout.roll_in import RollIn, make_curriculum
from linewise.rollout.roml import TaskSampler
from linewise.tasks import load_tasks, unique_tasks
from linewise.training.batch import Example
from linewise.training.config import AnyRecipe
from linewise.training.guides import open_guides
from linewise.training.hooks import Hooks
from linewise.training.learner import Learner
from linewise.training.models import open_models
from linewise.training.references import reference_example
from linewise.training.run_folder import RunFolder
from linewise.training.scoring import Scorer
from linewise.training.seeds import derive_seed, subset
from linewise.types import Need, Task
from linewise.values.critic import PolicyOutputs
from linewise.values.monte_carlo import MonteCarloValues


@dataclass(frozen=True, kw_only=True)
class Session:
    """The parts of one run."""

    recipe: AnyRecipe
    folder: RunFolder
    tasks: Sequence[Task]
    """Tasks to train on."""
    held_out: Sequence[Task]
    """Tasks to evaluate on; empty where evaluation is off."""
    references: Sequence[Example]
    """The training tasks' references as sequences, for the supervised term."""
    policy: HuggingFacePolicy
    """The sampler, with its own copy of the weights."""
    judge: LocalJudge
    learner: Learner[PolicyOutputs]
    critic: Learner[Tensor] | None
    """A critic with a backbone of its own; None where there is none, or where it shares the policy's."""
    scorer: Scorer
    reference: Any | None
    """The frozen copy that the KL penalty compares with, where there is one."""
    hooks: Hooks
    accelerator: Accelerator

    @property
    def has_critic(self) -> bool:
        """Whether anything learns values."""
        return Need.VALUES in self.recipe.credit.needs

    @property
    def tasks_by_id(self) -> Mapping[str, Task]:
        """For records that name their task by id."""
        return {task.id: task for task in self.tasks}


@contextmanager
def open_session(recipe: AnyRecipe, folder: RunFolder) -> Iterator[Session]:
    """Load tasks and policy, start the judge's workers, set up the optimiser; close all of it in the end."""
    tasks = subset(load_training_tasks(recipe.tasks), recipe.limit_tasks, recipe.seed)
    held_out = load_held_out_tasks(recipe, tasks)
    torch.manual_seed(derive_seed(recipe.seed, "torch") % 2**63)
    accelerator = Accelerator(
        mixed_precision=resolve_precision(recipe.precision),
        log_with=list(recipe.trackers) or None,
        project_config=ProjectConfiguration(project_dir=str(folder.path), logging_dir=str(folder.path / "trackers")),
    )
    loaded = load_model(recipe.policy, lora=recipe.lora, device=accelerator.device)
    policy = HuggingFacePolicy(loaded.model, loaded.tokenizer)
    references = [
        reference_example(task, policy, recipe.collection.prompts) for task in tasks if task.reference is not None
    ]
    hooks = open_hooks(recipe, tasks, policy, encoder_decoder=bool(loaded.model.config.is_encoder_decoder))
    if recipe.supervised.references_per_step and not references:
        raise RunError(
            f"supervised.references_per_step={recipe.supervised.references_per_step}, but none of the {len(tasks)} "
            "training tasks has a reference. Add references, or switch the term off with "
            "--supervised.references-per-step 0."
        )
    try:
        with LocalJudge(workers=recipe.workers, record_lines=Need.EXECUTED_LINES in recipe.credit.needs) as judge:
            completions = MonteCarloValues(
                policy=policy,
                judge=judge,
                options=recipe.vines,
                sampling=recipe.collection.sampling,
                prompts=recipe.collection.prompts,
                seed=derive_seed(recipe.seed, "vines"),
            )
            models = open_models(recipe, loaded, accelerator, completions=completions)
            yield Session(
                recipe=recipe,
                folder=folder,
                tasks=tasks,
                held_out=held_out,
                references=references,
                policy=policy,
                judge=judge,
                learner=models.learner,
                critic=models.critic,
                scorer=models.scorer,
                reference=models.reference,
                hooks=hooks,
                accelerator=accelerator,
            )
    finally:
        # Accelerate keeps its settings for the whole process; the next run may want another precision.
        AcceleratorState._reset_state()


def open_hooks(recipe: AnyRecipe, tasks: Sequence[Task], policy: HuggingFacePolicy, *, encoder_decoder: bool) -> Hooks:
    """The recipe's curriculum and task sampler. Raises RunError where the tasks do not fit them."""
    guides: Mapping[str, Guide] = {}
    if recipe.roll_in.kind is not RollIn.NONE:
        guides = open_guides(tasks, policy, recipe.collection.prompts, encoder_decoder=encoder_decoder)
    return Hooks(
        recipe=recipe,
        tasks=tasks,
        guides=guides,
        curriculum=make_curriculum(recipe.roll_in, guides),
        sampler=None if recipe.roml.alpha is None else TaskSampler(tasks=tasks, options=recipe.roml),
    )


def resolve_precision(precision: str) -> str:
    """The precision of a recipe in accelerate's words, "auto" decided by the device that this process will train on."""
    if precision != "auto":
        return precision
    return "bf16" if has_native_bf16(PartialState().device) else "no"


def load_training_tasks(specs: Sequence[str]) -> list[Task]:
    """The tasks of several sets; a set that has splits and names none means its training split."""
    tasks = [task for spec in specs for task in in_split(load_tasks(spec), "train")]
    return unique_tasks(tasks)


def load_held_out_tasks(recipe: AnyRecipe, training: Sequence[Task]) -> list[Task]:
    """The evaluation's tasks: those named, else the held-out or test split of the training sets."""
    options = recipe.evaluation
    if not options.num_samples:
        return []
    if options.tasks:
        tasks = unique_tasks([task for spec in options.tasks for task in load_tasks(spec)])
    else:
        unsplit = [spec.split("@")[0] if ":" not in spec else spec for spec in recipe.tasks]
        tasks = unique_tasks([task for spec in unsplit for task in in_split(load_tasks(spec), "heldout", "test")])
    trained = {task.id for task in training}
    tasks = [task for task in tasks if task.id not in trained]
    if not tasks:
        raise RunError(
            f"no task is left to evaluate on: the sets {', '.join(options.tasks or recipe.tasks)} have no held-out or test "
            "split apart from the training tasks. Name a set with --evaluation.tasks, or switch evaluation off with "
            "--evaluation.num-samples 0."
        )
    return subset(tasks, options.limit, recipe.seed if options.limit_seed is None else options.limit_seed)


def in_split(tasks: Sequence[Task], *names: str) -> list[Task]:
    """The tasks of these splits; all of them where the set has no such split."""
    chosen = [task for task in tasks if task.metadata.get("split") in names]
    return chosen or ([] if any("split" in task.metadata for task in tasks) and "train" not in names else list(tasks))
