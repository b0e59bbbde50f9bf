"""Per-token rewards: outcomes by hand, the three KL estimators, and where the numbers stand."""

import numpy as np
import pytest

from linewise.credit.kl import kl_cost
from linewise.credit.reward import OutcomeReward, TokenReward, outcome_reward
from linewise.errors import UserError
from linewise.types import Group, KlEstimator, Outcome, Report, Scores, Verdict
from tests.credit.conftest import TASK, floats, rollout, scores


@pytest.mark.parametrize(
    ("verdicts", "passed", "signed", "pass_rate", "coarse"),
    [
        ((Verdict.PASSED, Verdict.PASSED), 1, 1, 1, 1),
        ((Verdict.PASSED, Verdict.FAILED), 0, -1, 0.5, -0.3),
        ((Verdict.PASSED, Verdict.TIMEOUT), 0, -1, 0.5, -0.6),
        ((Verdict.SYNTAX_ERROR, Verdict.SYNTAX_ERROR), 0, -1, 0, -1),
    ],
)
def test_outcomes(verdicts: tuple[Verdict, ...], passed: float, signed: float, pass_rate: float, coarse: float) -> None:
    report = Report(outcomes=tuple(Outcome(verdict=verdict) for verdict in verdicts))
    numbers = {kind: outcome_reward(report, kind) for kind in OutcomeReward}
    assert numbers == {"passed": passed, "signed": signed, "pass_rate": pass_rate, "coarse": coarse}


@pytest.mark.parametrize(
    ("estimator", "costs"),
    [(KlEstimator.K1, (0.5, -0.5)), (KlEstimator.K2, (0.125, 0.125)), (KlEstimator.K3, (0.10653066, 0.14872127))],
)
def test_kl_by_hand(estimator: KlEstimator, costs: tuple[float, float]) -> None:
    np.testing.assert_allclose(kl_cost(floats(-1, -2), floats(-1.5, -1.5), estimator), costs, rtol=1e-5)


def test_the_outcome_stands_at_the_last_token_and_the_kl_at_each() -> None:
    reward = TokenReward(outcome=OutcomeReward.COARSE, kl_coef=0.1, kl_estimator=KlEstimator.K2)
    parts = reward.parts(rollout(["a", "b", ""]), scores(ref_logprobs=(-2, -1, -3)))
    np.testing.assert_allclose(parts["kl"], [-0.05, 0, -0.2], rtol=1e-6)
    assert parts["outcome"].tolist() == [0, 0, 1]


def test_without_a_price_there_is_no_kl_and_any_group_will_do() -> None:
    (parts,) = TokenReward().of_group(Group(task=TASK, rollouts=(rollout(),)))
    assert list(parts) == ["outcome"]
    with pytest.raises(AssertionError, match="asked for"):
        TokenReward(kl_coef=0.1).parts(rollout(), Scores())
    with pytest.raises(UserError, match="kl_coef is -1"):
        TokenReward(kl_coef=-1)
