"""The models that judge for a method, made within the budget of a comparison: their settings, and what they may cost.

    lines      programs of the starting policy, line labels by completions, a process reward model
    outcomes   programs of the starting policy, judged, and an outcome critic (CodeRL)
    phases     PPO on the outcome alone with half of the share, then `lines` with programs of its policies (PSGPO)

At most `judge_share` of the budget goes into programs, completions and PPO's steps; the run begins with that spent. Updates of
the model cost no program, so it makes as many passes as its held-out loss improves for.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from linewise.credit.ppo import PPO
from linewise.errors import UserError
from linewise.prm.allowance import Allowance
from linewise.prm.label import LabelOptions
from linewise.prm.labels import Selection
from linewise.recipes.equal_terms import Terms, on_equal_terms
from linewise.recipes.psgpo import NUM_POLICIES, Phases, final_of, psgpo
from linewise.training.config import AnyRecipe, EvaluationOptions, LineValueSource, Recipe, needs_prm
from linewise.training.fit_options import FitOptions
from linewise.training.prm_options import ProgramKind
from linewise.types import Need, Sampling

CRITIC_SAMPLES = 4
"""Programs of a task at each visit, for an outcome critic; tasks are visited anew where the share pays for more."""
LEAST_TASKS = 2
"""Of one task alone no model is trained: another one is held out."""
FREE_TO_CHANGE = ("workers", "save_every")
"""Terms that a judge does not depend on."""


class Judge(StrEnum):
    """What a method reads beside verdicts that has to be made first."""

    NONE = "none"
    LINES = "lines"
    """A process reward model."""
    OUTCOMES = "outcomes"
    """An outcome critic."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A method with a seed under the terms: its run, and what has to be made before it."""

    terms: Terms
    seed: int
    judge: Judge = Judge.NONE
    named: Callable[[str], AnyRecipe]
    """The recipe of the run, given the folder of the model that judges for it."""
    kinds: tuple[ProgramKind, ...] = ("revised",)
    """Labelled programs that a process reward model learns from; the default is PSGPO's."""
    baseline: Recipe[PPO] | None = None
    """A run whose policies are labelled; without it the starting policy is."""

    @property
    def recipe(self) -> AnyRecipe:
        """The recipe of the run, its judge not named."""
        return self.named("")

    def settings(self) -> dict[str, Any]:
        """All that the judge depends on, as JSON."""
        terms = {name: value for name, value in asdict(self.terms).items() if name not in FREE_TO_CHANGE}
        own = {"judge": self.judge, "seed": self.seed, "kinds": self.kinds, "phased": self.baseline is not None}
        record: dict[str, Any] = json.loads(json.dumps({**terms, **own}))
        return record


def entry_of(recipe: AnyRecipe, terms: Terms, *, seed: int) -> Entry:
    """A method of one run. Raises UserError where the share of its judge, or the rest, is too small to begin."""
    equal = on_equal_terms(recipe, terms, seed=seed)
    if needs_prm(equal):
        # A forecast must know right programs too; rewards of lines are for telling the lines of one program apart.
        forecasts = equal.line_values is LineValueSource.PRM
        kinds: tuple[ProgramKind, ...] = ("revised", "correct") if forecasts else ("revised",)
        entry = Entry(
            terms=terms, seed=seed, judge=Judge.LINES, kinds=kinds, named=lambda place: replace(equal, prm=place)
        )
    elif Need.OUTCOME_PROBS in equal.credit.needs:
        entry = Entry(
            terms=terms, seed=seed, judge=Judge.OUTCOMES, named=lambda place: replace(equal, outcome_critic=place)
        )
    else:
        return Entry(terms=terms, seed=seed, named=lambda _place: equal)
    check_share(entry)
    return entry


def entry_of_phases(phases: Phases, terms: Terms, *, seed: int) -> Entry:
    """A method of several phases: the first two have the judge's share, the last one the rest. Raises UserError as above."""
    half = allowance_of(terms).part(1, 2)
    assert half.programs is not None
    steps = half.programs // terms.programs_per_step
    first = on_equal_terms(phases.baseline, terms, seed=seed)
    baseline: Any = replace(
        first,
        steps=steps,
        max_programs=half.programs,
        max_tokens=half.tokens,
        export_every=max(1, steps // NUM_POLICIES),
        evaluation=EvaluationOptions(num_samples=0),
    )
    # Settings of a whole run: the last phase takes from them what all runs share.
    first = replace(first, steps=max(first.steps, NUM_POLICIES))
    whole = replace(phases, baseline=first, final=on_equal_terms(phases.final, terms, seed=seed))
    entry = Entry(
        terms=terms,
        seed=seed,
        judge=Judge.LINES,
        named=lambda place: final_of(whole, place),
        baseline=baseline,
    )
    check_share(entry)
    return entry


def allowance_of(terms: Terms) -> Allowance:
    """What a judge may cost."""
    tokens = None if terms.token_budget is None else int(terms.token_budget * terms.judge_share)
    return Allowance(programs=int(terms.budget * terms.judge_share), tokens=tokens)


def label_options(entry: Entry) -> LabelOptions:
    """How lines are labelled: as PSGPO's are, without audits, which change no label and would cost programs."""
    terms, own = entry.terms, psgpo().label
    completions = terms.line_completions or own.num_completions
    return replace(
        own,
        num_completions=completions,
        first_chunk=min(own.first_chunk, completions),
        audits=0,
        # What is kept costs no program more; the model's training selects.
        selection=Selection.FULL,
        sampling=sampling_of(terms),
        prompts=terms.prompts,
        seed=entry.seed,
    )


def sampling_of(terms: Terms) -> Sampling:
    """Of all programs that a judge is made of: that of training."""
    return Sampling(temperature=terms.temperature, max_new_tokens=terms.max_new_tokens)


def fit_options(entry: Entry) -> FitOptions:
    """How the model is trained: programs are few, so a fifth of their tasks measures, and the best weights are kept."""
    terms = entry.terms
    rate = terms.learning_rate if terms.judge_learning_rate is None else terms.judge_learning_rate
    return FitOptions(
        epochs=8,
        programs_per_step=16,
        held_out_share=0.2,
        learning_rate=rate,
        seed=entry.seed,
        precision=terms.precision,
    )


def least_programs(entry: Entry) -> int:
    """Programs with which a judge can at least be begun."""
    match entry.judge:
        case Judge.NONE:
            return 0
        case Judge.OUTCOMES:
            return LEAST_TASKS * CRITIC_SAMPLES
        case Judge.LINES:
            least = LEAST_TASKS * label_options(entry).least_programs
            return least if entry.baseline is None else 2 * max(least, entry.terms.programs_per_step)


def check_share(entry: Entry) -> None:
    """Raises UserError where the judge's share, or what it leaves, is too small to begin with."""
    terms, least, share = entry.terms, least_programs(entry), allowance_of(entry.terms)
    name = type(entry.recipe.credit).__name__
    told = f"--judge-share {terms.judge_share:g} of --budget {terms.budget}"
    if terms.token_budget is not None:
        told += f" and of --token-budget {terms.token_budget}"
    pays = share.completions(sampling_of(terms))
    if pays < least:
        raise UserError(
            f"{told} pays for {pays} programs, and the model that judges for {name} takes at least {least} to begin with: "
            "raise the budget or the share, make steps smaller or completions fewer, or leave the method out."
        )
    assert share.programs is not None
    if terms.budget - share.programs < terms.programs_per_step:
        raise UserError(
            f"{told} leaves {terms.budget - share.programs} programs, and a step of {name} takes {terms.programs_per_step}: "
            "raise the budget, lower the share or make steps smaller."
        )
