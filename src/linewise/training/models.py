"""The models of a run: the policy that learns, and the critic, the reference and the line judge that its recipe needs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from linewise.errors import RunError
from linewise.losses.options import RatioLevel
from linewise.policy.huggingface_forward import unwrap
from linewise.policy.huggingface_load import LoadedModel, switch_dropout_off
from linewise.policy.huggingface_logprobs import SequenceBatch, response_logprobs
from linewise.prm.score import LineScorer, load_scorer
from linewise.training.config import AnyRecipe, CriticKind, LineValueSource, needs_prm
from linewise.training.learner import Learner
from linewise.training.reference import frozen_copy, ref_logprobs
from linewise.training.scoring import LineValuer, Scorer, TokenPass
from linewise.types import Need
from linewise.values.critic import (
    PolicyOutputs,
    add_value_head,
    load_critic,
    policy_and_value_outputs,
    policy_outputs,
    token_values,
)
from linewise.values.evaluator import EvaluatorValues
from linewise.values.score import OutcomeScorer, load_outcome_scorer


@dataclass(frozen=True, kw_only=True)
class Models:
    """What learns, and what scores."""

    learner: Learner[PolicyOutputs]
    critic: Learner[Tensor] | None
    scorer: Scorer
    reference: Any | None
    """The frozen copy that the KL penalty compares with; None where there is none, or where it is the policy's own base."""


def open_models(recipe: AnyRecipe, loaded: LoadedModel, accelerator: Accelerator, *, completions: LineValuer) -> Models:
    """The models that a recipe needs, around the policy that was loaded; `completions` values lines where the recipe says so.

    Raises RunError where the credit needs something that the recipe does not name, and PolicyError where a model cannot be
    loaded or reads other tokens than the policy.
    """
    needs, pad_id = recipe.credit.needs, loaded.tokenizer.pad_token_id
    check_needs(recipe)
    with_values, shared = Need.VALUES in needs, recipe.critic.kind is CriticKind.SHARED
    if with_values and shared:
        add_value_head(loaded.model)
    # The reference is copied before the optimiser sees the policy. Adapters are switched off instead, unless it may be reset.
    with_reference = Need.REF_LOGPROBS in needs or recipe.update.kl.coef != 0
    copied = (
        frozen_copy(loaded.model) if with_reference and not (recipe.lora.rank and not recipe.reset.window) else None
    )
    reference = loaded.model if with_reference and copied is None else copied
    with_old_logprobs = recipe.update.surrogate.ratio_level is not RatioLevel.NONE or with_reference
    if with_old_logprobs or (with_values and shared):
        # Ratios, penalties and clipped values compare what is trained with what was scored: dropout would be all they see.
        switch_dropout_off(loaded.model)
    learner: Learner[PolicyOutputs] = Learner(
        loaded.model,
        recipe.update,
        forward=policy_and_value_outputs if with_values and shared else policy_outputs,
        pad_id=pad_id,
        accelerator=accelerator,
    )
    critic = open_critic(recipe, loaded, accelerator) if with_values and not shared else None
    if recipe.reset.window:
        accelerator.register_for_checkpointing(copied)

    def scores_of(model: Any, forward: Callable[[Any, SequenceBatch], Tensor]) -> TokenPass:
        def under_autocast(inner: Any, batch: SequenceBatch) -> Tensor:
            with accelerator.autocast():
                return forward(inner, batch)

        # Without the wrappers of distributed training: processes make as many passes as their own programs need.
        return TokenPass(
            model=accelerator.unwrap_model(model),
            forward=under_autocast,
            pad_id=pad_id,
            device=accelerator.device,
            tokens_per_batch=recipe.update.tokens_per_micro_batch,
        )

    values = None
    if with_values:
        values = scores_of(learner.model, _head_values) if critic is None else scores_of(critic.model, token_values)
    scorer = open_line_scorer(recipe, loaded) if needs_prm(recipe) else None
    return Models(
        learner=learner,
        critic=critic,
        reference=copied,
        scorer=Scorer(
            old_logprobs=scores_of(learner.model, _logprobs) if with_old_logprobs else None,
            ref_logprobs=None if reference is None else scores_of(reference, ref_logprobs),
            values=values,
            line_values=choose_line_values(recipe, completions, scorer) if Need.LINE_VALUES in needs else None,
            line_scores=scorer if Need.LINE_SCORES in needs else None,
            outcome_probs=open_outcome_scorer(recipe, loaded) if Need.OUTCOME_PROBS in needs else None,
        ),
    )


def check_needs(recipe: AnyRecipe) -> None:
    """Raises RunError where the credit or a reset needs a model that the recipe does not name."""
    name = type(recipe.credit).__name__
    if needs_prm(recipe) and recipe.prm is None:
        raise RunError(
            f"the credit {name} reads what a process reward model says of lines, and no process reward model is named. Give "
            "the folder that `linewise prm train` wrote with --prm."
        )
    if Need.OUTCOME_PROBS in recipe.credit.needs and recipe.outcome_critic is None:
        raise RunError(
            f"the credit {name} reads an outcome critic's probabilities, and none is named. Give the folder that "
            "`linewise coderl critic` wrote with --outcome-critic."
        )
    if recipe.reset.window and Need.REF_LOGPROBS not in recipe.credit.needs and not recipe.update.kl.coef:
        raise RunError(
            f"reset.window={recipe.reset.window} resets the reference policy, and this run has none: nothing reads it. Give "
            "the penalty a factor with --update.kl.coef, or drop --reset.window."
        )


def choose_line_values(recipe: AnyRecipe, completions: LineValuer, scorer: LineScorer | None) -> LineValuer:
    """The source of line values that the recipe names."""
    match recipe.line_values:
        case LineValueSource.COMPLETIONS:
            return completions
        case LineValueSource.PRM:
            assert scorer is not None
            return EvaluatorValues(scorer=scorer)


def open_critic(recipe: AnyRecipe, loaded: LoadedModel, accelerator: Accelerator) -> Learner[Tensor]:
    """A critic with a backbone of its own, ready to learn. Raises RunError for a policy that can have none."""
    options = recipe.critic
    if unwrap(loaded.model).config.is_encoder_decoder:
        raise RunError(
            f"the policy '{recipe.policy}' is an encoder-decoder, and a critic with a backbone of its own is a decoder. Let it "
            "share the policy's with --critic.kind shared --critic.warmup-steps 0."
        )
    critic = load_critic(
        options.init or recipe.policy, rescale=options.rescale, device=accelerator.device, lora=recipe.lora
    )
    if critic.tokenizer.get_vocab() != loaded.tokenizer.get_vocab():
        raise RunError(
            f"the critic's model '{options.init}' has another tokeniser than the policy '{recipe.policy}', so it cannot read "
            "the policy's tokens. Use a process reward model that was trained from a policy of the same family."
        )
    switch_dropout_off(critic.model)
    return Learner(
        critic.model,
        replace(recipe.update, learning_rate=options.learning_rate, weight_decay=options.weight_decay),
        forward=token_values,
        pad_id=loaded.tokenizer.pad_token_id,
        accelerator=accelerator,
    )


def open_line_scorer(recipe: AnyRecipe, loaded: LoadedModel) -> LineScorer:
    """The process reward model of the recipe."""
    assert recipe.prm is not None
    scorer = load_scorer(recipe.prm, device=loaded.model.device)
    scorer.check_tokenizer(loaded.tokenizer)
    return scorer


def open_outcome_scorer(recipe: AnyRecipe, loaded: LoadedModel) -> OutcomeScorer:
    """The outcome critic of the recipe."""
    assert recipe.outcome_critic is not None
    scorer = load_outcome_scorer(recipe.outcome_critic, device=loaded.model.device)
    scorer.check_tokenizer(loaded.tokenizer)
    return scorer


def _logprobs(model: Any, batch: SequenceBatch) -> Tensor:
    return response_logprobs(model, batch).logprobs


def _head_values(model: Any, batch: SequenceBatch) -> Tensor:
    values = policy_and_value_outputs(model, batch).values
    assert values is not None
    return values
