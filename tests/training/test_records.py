"""Recipes whose credit has another credit inside survive JSON."""

import json
from pathlib import Path

import pytest

from linewise.credit.fgo import FGO, ExecutionMask
from linewise.credit.grpo import GRPO
from linewise.credit.ppo import PPO
from linewise.credit.reward import OutcomeReward, TokenReward
from linewise.credit.suspiciousness import Suspiciousness
from linewise.errors import RunError
from linewise.training.config import Recipe
from linewise.training.records import check_same, recipe_from_record, recipe_to_record

INNER = GRPO(reward=TokenReward(outcome=OutcomeReward.COARSE, kl_coef=0.5), eps=0.25)
RECIPE = Recipe(
    credit=FGO(inner=Suspiciousness(inner=INNER, uniform_share=0.75), mask=ExecutionMask.RANDOM), limit_tasks=3
)


def test_there_and_back() -> None:
    record = json.loads(json.dumps(recipe_to_record(RECIPE)))
    assert record["algorithm"] == "FGO"
    assert recipe_from_record(record, Recipe[FGO[Suspiciousness[GRPO]]]) == RECIPE


def test_another_credit_is_refused() -> None:
    record = recipe_to_record(RECIPE)
    with pytest.raises(RunError, match="algorithm is FGO, not PPO"):
        recipe_from_record(record, Recipe[PPO])
    with pytest.raises(RunError, match="unknown setting"):
        recipe_from_record(record, Recipe[FGO[Suspiciousness[PPO]]])


def test_another_setting_is_named_where_it_stands(tmp_path: Path) -> None:
    then = {"steps": 3, "update": {"rate": 1, "kl": {"coef": 0.5}}, "workers": 2}
    check_same(tmp_path, then, {**then, "workers": 5}, free=["workers"])
    with pytest.raises(RunError, match=r"has update\.kl\.coef = 0\.5, not 0\.1: .* Free to change are: workers\."):
        check_same(tmp_path, then, {**then, "update": {"rate": 1, "kl": {"coef": 0.1}}}, free=["workers"])
    with pytest.raises(RunError, match=r"has update = .*, not None"):
        check_same(tmp_path, then, {**then, "update": None})
