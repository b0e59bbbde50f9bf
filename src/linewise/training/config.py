"""Everything a run is made of, as frozen dataclasses: a `Recipe` is the configuration, the command line and the record."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Literal, TypeVar

from linewise.losses.aggregate import Aggregation
from linewise.losses.options import KlLossOptions, RatioLevel, SurrogateOptions
from linewise.policy.lora import LoraOptions
from linewise.rollout.baselines import BaseProgram
from linewise.rollout.buffer import BufferOptions
from linewise.rollout.prompts import PromptOptions
from linewise.rollout.roll_in import RollInOptions
from linewise.rollout.roml import RoMLOptions
from linewise.types import CreditAssigner, Need, Sampling
from linewise.values.monte_carlo import MonteCarloOptions

CreditT_co = TypeVar("CreditT_co", bound=CreditAssigner, covariant=True)


@dataclass(frozen=True, kw_only=True)
class CollectionOptions:
    """What is sampled before each update."""

    tasks_per_step: int = 24
    """Tasks visited at each step, in an order shuffled anew each epoch."""
    num_samples: int = 4
    """Programs sampled for each task."""
    sampling: Sampling = Sampling(temperature=1.0, top_p=1.0, max_new_tokens=96)
    """How programs are drawn."""
    prompts: PromptOptions = PromptOptions()
    """How a task becomes a prompt."""
    base_program: BaseProgram = BaseProgram.BEST_SO_FAR
    """W_base, the program that rewards are compared with."""
    dynamic_sampling: bool = False
    """Whether tasks of which all programs pass, or none, are left out and others sampled in their place (DAPO)."""
    max_rounds: int = 10
    """Rounds of sampling in a step after which dynamic sampling makes do with what it has."""


@dataclass(frozen=True, kw_only=True)
class SupervisedOptions:
    """The supervised term on reference solutions."""

    references_per_step: int = 24
    """References trained on at each step, through epochs of their own; 0 switches the term off."""
    weight: float = 1.0
    """Factor of the term."""


@dataclass(frozen=True, kw_only=True)
class UpdateOptions:
    """One update: AdamW, gradient clipping, a learning rate that warms up and then stays constant."""

    samples_per_step: int = 96
    """Samples drawn from the buffer for an update."""
    learning_rate: float = 1e-5
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    warmup_steps: int = 2
    """Updates over which the learning rate rises from 0; constant afterwards."""
    max_grad_norm: float = 1.0
    """The gradient is scaled down to this norm where it is larger."""
    aggregation: Aggregation = Aggregation.SEQUENCE_SUM
    """What per-token losses are divided by."""
    tokens_per_micro_batch: int = 4096
    """Padded tokens (prompt and response) in one forward and backward pass: the knob for memory."""
    epochs: int = 1
    """Passes over the drawn samples at each step."""
    minibatches: int = 1
    """Updates of each pass; each takes its share of the samples."""
    surrogate: SurrogateOptions = SurrogateOptions(ratio_level=RatioLevel.NONE)
    """Ratio level and clip of the policy loss; without a ratio it is REINFORCE."""
    kl: KlLossOptions = KlLossOptions()
    """Penalty for leaving the reference policy, in the loss."""
    whiten: bool = False
    """Advantages of the drawn samples to mean 0 and deviation 1, over all their tokens."""

    def __post_init__(self) -> None:
        """Refuses numbers of updates that leave samples unused."""
        if self.epochs < 1 or not 1 <= self.minibatches <= self.samples_per_step:
            raise ValueError(
                f"update.epochs={self.epochs} must be at least 1, and update.minibatches={self.minibatches} between 1 and "
                f"update.samples_per_step={self.samples_per_step}: each minibatch needs a sample."
            )


@dataclass(frozen=True, kw_only=True)
class ResetOptions:
    """When the reference policy is replaced by the current one (ProRL); off by default."""

    window: int = 0
    """Steps over which the training pass rate is averaged; 0 for a reference that never changes."""
    tolerance: float = 0.0
    """A plateau is where the average of the newest window exceeds that of the window before by no more than this."""

    def __post_init__(self) -> None:
        """Refuses a window that is none."""
        if self.window < 0 or self.tolerance < 0:
            raise ValueError(
                f"reset.window={self.window} and reset.tolerance={self.tolerance} must not be negative. 0 for the window "
                "switches resets off."
            )


class CriticKind(StrEnum):
    """Where the critic's scalar head sits."""

    OWN = "own"
    """On a backbone of its own, with its own optimiser."""
    SHARED = "shared"
    """On the policy's backbone, trained by the same updates."""


@dataclass(frozen=True, kw_only=True)
class CriticOptions:
    """The critic, for credit that needs values; without such credit there is none."""

    kind: CriticKind = CriticKind.OWN
    init: str | None = None
    """Model that an own backbone and its head start from, such as a process reward model; None is the policy."""
    rescale: bool = False
    """Whether the initial head's score in [-1, 1] becomes a value in [0, 1]; for a process reward model."""
    learning_rate: float = 1e-5
    """Of an own backbone."""
    weight_decay: float = 0.0
    """Of an own backbone."""
    clip: float | None = 0.2
    """How far a value may move in one step before its loss stops pulling; None for plain squares."""
    coef: float = 0.5
    """Factor of the value loss beside the policy loss, for a shared backbone."""
    warmup_steps: int = 0
    """First steps in which the critic alone learns."""

    def __post_init__(self) -> None:
        """Refuses an initial model that a shared backbone would ignore."""
        if self.kind is CriticKind.SHARED and (self.init is not None or self.rescale or self.warmup_steps):
            raise ValueError(
                f"critic.init={self.init}, critic.rescale={self.rescale} and critic.warmup_steps={self.warmup_steps} are "
                "for an own backbone: a shared one is the policy's, and cannot learn without it. Add --critic.warmup-steps 0 "
                "and drop the others, or use --critic.kind own."
            )


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """pass@1 on tasks that are not trained on, before and after, and in between on request."""

    tasks: tuple[str, ...] = ()
    """Task sets; empty means the held-out split of the training sets."""
    limit: int | None = None
    """Only this many tasks, drawn by the seed."""
    num_samples: int = 4
    """Programs sampled for each task; 0 switches evaluation off."""
    every: int = 0
    """Steps between evaluations; 0 means only before the first and after the last."""
    budget_parts: int = 0
    """Evaluations evenly spaced over the run's budget, each after the last step that its part pays for; 0 means none."""
    limit_seed: int | None = None
    """Draws the tasks of `limit`; None means the run's seed."""
    sampling: Sampling = Sampling(temperature=0.6)
    """How programs are drawn."""


class LineValueSource(StrEnum):
    """Where the values of line states come from."""

    COMPLETIONS = "completions"
    """Fresh completions of every state, as many as `vines` says."""
    PRM = "prm"
    """The process reward model of `prm`, its score as a probability."""


@dataclass(frozen=True, kw_only=True)
class Recipe(Generic[CreditT_co]):
    """A whole run. `credit` is the only part that knows the algorithm."""

    credit: CreditT_co
    """Turns judged programs into per-token numbers."""
    policy: str = "smollm2-135m"
    """Embedded model, folder or hub id, of any causal or encoder-decoder model."""
    tasks: tuple[str, ...] = ("starter",)
    """Task sets to train on; a set without a split means its training split."""
    limit_tasks: int | None = None
    """Train on only this many tasks, drawn by the seed."""
    steps: int = 100
    """Number of steps (collect, score, give credit, update); fewer where a budget ends the run."""
    max_programs: int | None = None
    """Budget: most programs sampled in training, those included that no update sees. A step beyond it is not made."""
    max_tokens: int | None = None
    """Budget: most tokens sampled in training, counted in the same way."""
    spent_programs: int = 0
    """Programs of the budget that were sampled before the run, for a model that it reads."""
    spent_tokens: int = 0
    """Tokens of these programs."""
    seed: int = 0
    """Same seed, same numbers (on a CPU)."""
    collection: CollectionOptions = CollectionOptions()
    buffer: BufferOptions = BufferOptions()
    supervised: SupervisedOptions = SupervisedOptions()
    update: UpdateOptions = UpdateOptions()
    critic: CriticOptions = CriticOptions()
    """V(s_t), built where the credit needs values."""
    vines: MonteCarloOptions = MonteCarloOptions()
    """Fresh completions of each line's state, where the credit reads line values."""
    line_values: LineValueSource = LineValueSource.COMPLETIONS
    """Where line values come from."""
    prm: str | None = None
    """Folder of a process reward model that scores lines, for credit that needs line scores."""
    outcome_critic: str | None = None
    """Folder of an outcome critic (`linewise coderl critic`), for credit that needs its probabilities."""
    roll_in: RollInOptions = RollInOptions()
    """Answers that begin with lines of the reference."""
    roml: RoMLOptions = RoMLOptions()
    """Tasks sampled for the worst of them."""
    reset: ResetOptions = ResetOptions()
    """Resets of the reference policy."""
    evaluation: EvaluationOptions = EvaluationOptions()
    lora: LoraOptions = LoraOptions()
    """Low-rank adapters instead of full fine-tuning."""
    precision: Literal["auto", "bf16", "no"] = "auto"
    """bf16 autocast over float32 master weights, or plain float32 ("no"); auto is bf16 where the device computes in it."""
    save_every: int = 20
    """Steps between checkpoints."""
    keep_checkpoints: int = 2
    """Newest checkpoints that stay on disk."""
    export_every: int = 0
    """Steps between exports of the policy into `policies/`, in Hugging Face format; 0 for the last one alone."""
    workers: int | None = None
    """Processes that judge; None means one per core."""
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Experiment trackers that get the metrics as well, through accelerate."""


AnyRecipe = Recipe[CreditAssigner]
"""A recipe whose algorithm nobody asks for."""


def needs_prm(recipe: AnyRecipe) -> bool:
    """Whether the credit reads a process reward model, as scores or as values."""
    as_values = Need.LINE_VALUES in recipe.credit.needs and recipe.line_values is LineValueSource.PRM
    return Need.LINE_SCORES in recipe.credit.needs or as_values
