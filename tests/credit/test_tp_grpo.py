"""TP-GRPO's table by hand. Two of four programs pass: r^o = +-.5 / sqrt(1/3) = +-.8660, r_c = .5 * .5."""

import numpy as np

from linewise.credit.grpo import GRPO
from linewise.credit.tp_grpo import TPGRPO, bad_tokens
from linewise.types import Need
from tests.credit.conftest import group, rollout, scores

PIECES = ("\n    ", "a = 1", "\n    # c", "\n    ", "return a", "")
"""Lines 2, 2, 3 (neutral), 4, 4 and the end."""
OUTCOME = 0.75**0.5


def test_by_hand() -> None:
    programs = [rollout(PIECES, passed) for passed in (True, True, False, False)]
    good, bad = scores(lines={2: 1, 3: -1, 4: 0.5}), scores(lines={2: 0.1, 3: 1, 4: -0.5})
    credits = TPGRPO(grpo=GRPO(eps=0))(group(*programs, scored=[good, bad, good, bad]))
    advantages = [credit.advantages for credit in credits]
    np.testing.assert_allclose(advantages[0], [OUTCOME] * 6, rtol=1e-6)
    np.testing.assert_allclose(advantages[1], [OUTCOME] * 2 + [OUTCOME - 0.25] * 4, rtol=1e-6)
    np.testing.assert_allclose(advantages[2], [0] * 6)
    np.testing.assert_allclose(advantages[3], [0, 0, *[-OUTCOME] * 4], rtol=1e-6)
    for credit in credits:
        np.testing.assert_allclose(credit.advantages, sum(credit.terms.values()), atol=1e-6)


def test_where_all_pass_only_bad_thoughts_count() -> None:
    credits = TPGRPO()(group(*[rollout(PIECES)] * 2, scored=[scores(lines={2: -1, 4: 1}), scores(lines={})]))
    np.testing.assert_allclose(credits[0].advantages, [-0.5, -0.5, 0, 0, 0, 0])
    np.testing.assert_allclose(credits[1].advantages, [0] * 6)


def test_a_neutral_line_joins_the_next() -> None:
    """Whatever its own score is."""
    for score in (-1, 1):
        assert bad_tokens(rollout(PIECES), scores(lines={2: 1, 3: score, 4: -1})).tolist() == [0, 0, 1, 1, 1, 1]
    assert TPGRPO().needs == {Need.LINE_SCORES}
