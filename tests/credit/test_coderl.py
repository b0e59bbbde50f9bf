"""CodeRL's weights by hand."""

import numpy as np
import pytest

from linewise.credit.coderl import CodeRL
from linewise.credit.rltf import RLTF
from linewise.types import Need, Outcome, Report, Verdict
from tests.credit.conftest import PASSED, group, rollout, scores

ERROR = Report(outcomes=(Outcome(verdict=Verdict.RUNTIME_ERROR),))
PROBS = (0.25, 0.5, 1.0)


def test_by_hand() -> None:
    """A passing program, r = 1, against a greedy one with a runtime error, r = -.6: 1.6 q_t."""
    (credit,) = CodeRL()(group(rollout(), scored=[scores(outcome_probs=PROBS)], baseline=ERROR))
    np.testing.assert_allclose(credit.advantages, [0.4, 0.8, 1.6], rtol=1e-6)
    np.testing.assert_allclose(credit.terms["outcome"], PROBS)
    np.testing.assert_allclose(credit.terms["baseline"], [0.15, 0.3, 0.6], rtol=1e-6)
    np.testing.assert_allclose(credit.rewards, PROBS)
    assert CodeRL().needs == {Need.OUTCOME_PROBS}


@pytest.mark.parametrize(("assign", "baseline"), [(CodeRL(baseline=False), ERROR), (CodeRL(), None)])
def test_without_a_baseline(assign: CodeRL, baseline: Report | None) -> None:
    (credit,) = assign(group(rollout(), scored=[scores(outcome_probs=PROBS)], baseline=baseline))
    np.testing.assert_allclose(credit.advantages, PROBS)


def test_with_certain_critics_it_is_rltfs_coarse_term() -> None:
    one = group(rollout(report=ERROR), scored=[scores(outcome_probs=(1, 1, 1))], baseline=PASSED)
    (ours,), (coarse,) = CodeRL()(one), RLTF(fine=False, adaptive=False)(one)
    np.testing.assert_array_equal(ours.advantages, coarse.advantages)
