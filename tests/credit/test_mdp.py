"""The tests' own decision process against finite differences."""

import dataclasses

import numpy as np

from tests.credit.mdp import Lines

LOGITS = {"": 0.4, "a": -0.3, "b": 0.8, "ab": 0.5}


def test_the_exact_gradient_is_the_derivative_of_the_value() -> None:
    process = Lines(3, frozenset({"aba", "bbb", "bba"}), LOGITS)
    step = 1e-6
    for index, state in enumerate(process.states):
        up, down = (
            dataclasses.replace(process, logits={**LOGITS, state: LOGITS.get(state, 0.0) + sign * step}).value("")
            for sign in (1, -1)
        )
        np.testing.assert_allclose(process.exact_gradient[index], (up - down) / (2 * step), atol=1e-8)
