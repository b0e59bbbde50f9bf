"""Judges within a budget: which method needs which, what its share is, and what is refused."""

from dataclasses import replace

import pytest

from linewise.credit.ppo import PPO
from linewise.credit.psgpo import PSGPO
from linewise.errors import UserError
from linewise.prm.allowance import Allowance
from linewise.prm.labels import Selection
from linewise.recipes.catalogue import RECIPES
from linewise.recipes.equal_judges import (
    Judge,
    allowance_of,
    entry_of,
    entry_of_phases,
    fit_options,
    label_options,
    least_programs,
)
from linewise.recipes.equal_terms import Terms, on_equal_terms
from linewise.recipes.ppo import ppo
from linewise.recipes.psgpo import psgpo

TERMS = Terms(budget=1000, programs_per_step=64)
LINES = ("dense-ppo", "ircoco", "tp-grpo", "process-grpo")


@pytest.mark.parametrize("name", RECIPES)
def test_who_needs_what(name: str) -> None:
    entry = entry_of(RECIPES[name](), TERMS, seed=3)
    assert entry.judge is (Judge.LINES if name in LINES else Judge.OUTCOMES if name == "coderl" else Judge.NONE)
    assert entry.baseline is None
    equal, named = on_equal_terms(RECIPES[name](), TERMS, seed=3), entry.named("folder")
    places = {"prm": "folder"} if name in LINES else {"outcome_critic": "folder"} if name == "coderl" else {}
    assert named == replace(equal, **places), "nothing but the judge is named"  # type: ignore[arg-type]
    assert entry.kinds == (("revised", "correct") if name == "ircoco" else ("revised",))


def test_the_four_phases_share_the_budget() -> None:
    """Of 1,000 programs 500 make the judge: 250 pay for 3 steps of PPO, each exported; the last phase has the whole budget less
    what is spent then."""
    entry = entry_of_phases(psgpo(), TERMS, seed=3)
    baseline = entry.baseline
    assert baseline is not None
    equal = on_equal_terms(ppo(), TERMS, seed=3)
    assert (baseline.steps, baseline.max_programs, baseline.export_every, baseline.evaluation.num_samples) == (
        3,
        250,
        1,
        0,
    )
    assert (baseline.update, baseline.collection, baseline.critic) == (equal.update, equal.collection, equal.critic)
    final = entry.named("folder")
    dense = on_equal_terms(RECIPES["dense-ppo"](), TERMS, seed=3)
    critic = replace(dense.critic, init="folder", rescale=True)
    assert final == replace(dense, prm="folder", critic=critic), (
        "PPO with the judge as dense reward and as its critic's start"
    )
    assert isinstance(baseline.credit, PPO)
    assert isinstance(final.credit, PSGPO)
    long = entry_of_phases(psgpo(), replace(TERMS, budget=4096, token_budget=9000 * 64), seed=0).baseline
    assert long is not None
    assert (long.steps, long.export_every, long.max_tokens) == (16, 4, 9000 * 16)


def test_the_share_of_a_judge() -> None:
    assert allowance_of(TERMS) == Allowance(programs=500, tokens=None)
    assert allowance_of(replace(TERMS, judge_share=0.25, token_budget=1001)) == Allowance(programs=250, tokens=250)


def test_labels_and_training_follow_the_terms() -> None:
    terms = replace(TERMS, temperature=0.7, max_new_tokens=32, line_completions=2)
    label = label_options(entry_of(RECIPES["dense-ppo"](), terms, seed=5))
    assert (label.num_completions, label.first_chunk, label.audits, label.seed) == (2, 2, 0, 5)
    assert (label.sampling.temperature, label.sampling.max_new_tokens) == (0.7, 32)
    assert label.selection is Selection.FULL
    assert label.prompts == terms.prompts
    entry = entry_of(RECIPES["dense-ppo"](), replace(TERMS, learning_rate=7e-5), seed=5)
    assert (fit_options(entry).learning_rate, fit_options(entry).seed) == (7e-5, 5)
    own = replace(entry, terms=replace(TERMS, judge_learning_rate=1e-6))
    assert fit_options(own).learning_rate == 1e-6


def test_what_a_judge_depends_on() -> None:
    """Methods that need the same have the same settings, and neither workers nor checkpoints are among them."""
    dense, tp, forecasts = (entry_of(RECIPES[name](), TERMS, seed=0) for name in ("dense-ppo", "tp-grpo", "ircoco"))
    assert dense.settings() == tp.settings() != forecasts.settings()
    assert entry_of(RECIPES["tp-grpo"](), replace(TERMS, workers=7, save_every=3), seed=0).settings() == tp.settings()
    for other in (replace(TERMS, judge_share=0.4), replace(TERMS, temperature=0.9)):
        assert entry_of(RECIPES["tp-grpo"](), other, seed=0).settings() != tp.settings()
    assert entry_of_phases(psgpo(), TERMS, seed=0).settings() != dense.settings()


def test_the_least_by_hand() -> None:
    """Two tasks of four programs, each completed eight times: 72. Two tasks of four judged programs: 8. Phases: 72 twice."""
    least = [least_programs(entry_of(RECIPES[name](), TERMS, seed=0)) for name in ("ppo", "tp-grpo", "coderl")]
    assert least == [0, 72, 8]
    assert least_programs(entry_of_phases(psgpo(), TERMS, seed=0)) == 144


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (
            "tp-grpo",
            {"budget": 142},
            "of --budget 142 pays for 71 programs, and the model that judges for TPGRPO takes at least 72",
        ),
        ("tp-grpo", {"token_budget": 9000}, "--token-budget 9000 pays for 70 programs"),
        ("coderl", {"judge_share": 0.95}, "leaves 50 programs, and a step of CodeRL takes 64"),
    ],
)
def test_a_share_that_is_too_small_or_too_large(name: str, changes: dict[str, float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        entry_of(RECIPES[name](), replace(TERMS, **changes), seed=0)  # type: ignore[arg-type]


def test_phases_that_the_share_does_not_pay_for() -> None:
    with pytest.raises(
        UserError, match="pays for 100 programs, and the model that judges for PSGPO takes at least 144"
    ):
        entry_of_phases(psgpo(), replace(TERMS, budget=200), seed=0)
