"""What every assigner owes the trainer, on ordinary programs and on odd ones."""

from collections.abc import Sequence

import numpy as np
import pytest

from linewise.credit.coderl import CodeRL
from linewise.credit.dapo import DAPO
from linewise.credit.dr_grpo import DrGRPO
from linewise.credit.fgo import FGO, ExecutionMask
from linewise.credit.grpo import GRPO
from linewise.credit.ircoco import IRCoCo
from linewise.credit.ppo import PPO
from linewise.credit.process_grpo import ProcessGRPO
from linewise.credit.psgpo import PSGPO
from linewise.credit.reinforce import Reinforce
from linewise.credit.reinforce_plus_plus import ReinforcePlusPlus
from linewise.credit.reward import TokenReward
from linewise.credit.rloo import RLOO
from linewise.credit.rltf import RLTF
from linewise.credit.suspiciousness import Suspiciousness
from linewise.credit.tp_grpo import TPGRPO
from linewise.credit.vineppo import VinePPO
from linewise.types import CreditAssigner, LineScore, Need, Outcome, Report, Rollout, Scores, StopReason, Verdict
from tests.credit.conftest import group, rollout

KL = TokenReward(kl_coef=0.1)
ASSIGNERS: list[CreditAssigner] = [
    RLTF(),
    Reinforce(reward=KL),
    RLOO(reward=KL),
    GRPO(reward=KL),
    DrGRPO(reward=KL),
    DAPO(reward=KL),
    ReinforcePlusPlus(reward=KL),
    PPO(reward=KL),
    PSGPO(),
    FGO(inner=PPO()),
    FGO(inner=RLOO(), mask=ExecutionMask.RANDOM),
    Suspiciousness(inner=GRPO()),
    VinePPO(reward=KL),
    IRCoCo(),
    CodeRL(),
    TPGRPO(),
    ProcessGRPO(grpo=GRPO(reward=KL)),
]
BODY = ("\n    # c", "\n    x = 1", "\n    ", "return x", "")


def outcomes(*verdicts: Verdict, line: int | None = None) -> Report:
    return Report(
        outcomes=tuple(Outcome(verdict=one, line=line, executed_lines=frozenset({3})) for one in verdicts),
        executed_lines=frozenset({1, 3}),
    )


ROLLOUTS = (
    rollout(BODY, True),
    rollout(BODY, outcomes(Verdict.PASSED, Verdict.RUNTIME_ERROR, line=4)),
    rollout(BODY, outcomes(Verdict.SYNTAX_ERROR, line=4), stop=StopReason.LENGTH),
    rollout(("",), False),
    rollout(("\n", "", ""), False),
    rollout((), False),
    rollout(("Here:", "```", "x", "```"), outcomes(Verdict.FAILED), header="", program=(8, 9)),
)


def scores_for(one: Rollout, needs: frozenset[Need]) -> Scores:
    """Only what is asked for; all else is None, as in a run."""
    random = np.random.default_rng(len(one.completion.token_ids))
    length = len(one.completion.token_ids)
    first = 1 if one.program.header_chars == 0 else 2
    sampled = range(first, 5 if length == 5 else first + (length == 4))

    def lines(numbers: Sequence[int]) -> tuple[LineScore, ...]:
        return tuple(LineScore(line=line, score=float(random.random())) for line in numbers)

    arrays = {
        name: random.random(length).astype(np.float32)
        for name, need in (
            ("ref_logprobs", Need.REF_LOGPROBS),
            ("values", Need.VALUES),
            ("outcome_probs", Need.OUTCOME_PROBS),
        )
        if need in needs
    }
    return Scores(
        **arrays,
        line_scores=lines(sampled) if Need.LINE_SCORES in needs else None,
        line_values=lines([0, *sampled]) if Need.LINE_VALUES in needs else None,
    )


@pytest.mark.parametrize("assign", ASSIGNERS, ids=lambda assign: type(assign).__name__)
@pytest.mark.parametrize("rollouts", [ROLLOUTS, ROLLOUTS[:1], ROLLOUTS[3:4]], ids=["all", "alone", "nothing written"])
def test_every_assigner_keeps_the_contract(assign: CreditAssigner, rollouts: tuple[Rollout, ...]) -> None:
    scored = group(*rollouts, scored=[scores_for(one, assign.needs) for one in rollouts])
    credits = assign(scored)
    assert len(credits) == len(rollouts)
    for one, credit, again in zip(rollouts, credits, assign(scored), strict=True):
        shape = (len(one.completion.token_ids),)
        arrays = {"rewards": credit.rewards, "advantages": credit.advantages, "weights": credit.weights, **credit.terms}
        if credit.returns is not None:
            arrays["returns"] = credit.returns
        for name, array in arrays.items():
            assert array.shape == shape and array.dtype == np.float32, name
            assert np.isfinite(array).all(), name
        np.testing.assert_allclose(np.sum([*credit.terms.values()], axis=0), credit.advantages, atol=1e-5)
        np.testing.assert_array_equal(credit.advantages, again.advantages)
        np.testing.assert_array_equal(credit.weights, again.weights)
        assert (credit.returns is not None) == (Need.VALUES in assign.needs)
