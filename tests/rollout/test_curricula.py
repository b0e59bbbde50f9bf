"""CCCS and JSRL: when a beginning becomes shorter, and that a lock which nobody opens by chance is learned with them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from linewise.rollout.cccs import CCCS, conditional_lines
from linewise.rollout.guide import Curriculum, Guide, Stage
from linewise.rollout.jsrl import ALL_TASKS, JSRL, RandomJSRL
from linewise.rollout.roll_in import RollIn, RollInOptions, make_curriculum

RNG = np.random.default_rng(0)


def guide(num_lines: int, conditionals: Sequence[int] = ()) -> Guide:
    """A guide of some lines, one token each."""
    text = "\n" + "\n".join(f"    x{line} = 0" for line in range(num_lines))
    ends = [*[place for place, char in enumerate(text) if char == "\n"][1:], len(text)]
    spans = tuple(zip([0, *ends[:-1]], ends, strict=True))
    return Guide(text=text, token_ids=tuple(range(num_lines)), char_spans=spans, conditionals=tuple(conditionals))


def test_conditional_statements_are_found_by_the_parser() -> None:
    source = """def f(a):
    b = [x for x in a if x]
    if a:
        for c in a:
            b = 1 if c else 2
    elif b:
        while b:
            b = "if x:"
    with a:
        match b:
            case 1:
                pass
    return b"""
    assert conditional_lines(source) == (3, 4, 6, 7, 10)
    assert conditional_lines("def f(:") == ()


def test_cccs_goes_from_the_last_statement_to_the_one_before_it() -> None:
    """Cuts after 2, 4 and 6 of 8 lines; .5 is not more than the threshold, and each task has a stage of its own."""
    cccs = CCCS(guides={"a": guide(8, (2, 4, 6)), "b": guide(3)}, threshold=0.5, window=2)
    stages: Mapping[str, Stage] = {}
    given = [cccs.num_lines("a", stages, RNG)]
    for rate in (1.0, 0.0, 0.75, 0.25, 1.0, 1.0, 0.6, 0.6, 1.0, 1.0):
        stages = cccs.after(stages, {"a": [rate]})
        given.append(cccs.num_lines("a", stages, RNG))
    # Means of two: .5, .375, .5, .625 moves; then 1 and .6 move; then the original task stays.
    assert given == [6, 6, 6, 6, 6, 4, 4, 2, 2, 0, 0]
    assert cccs.num_lines("b", {}, RNG) == cccs.num_lines("unknown", {}, RNG) == 0
    assert "unknown" not in cccs.after(stages, {"unknown": [1.0]})
    assert cccs.after(stages, {"b": [1.0, 1.0]})["b"].index == 0, "it has no earlier statement"


def test_jsrl_goes_on_where_success_keeps_within_tolerance_of_its_best() -> None:
    """Guides of 10 and 6 lines: H = 8, so h is 8, 4, 0 in two stages, and less for the shorter guide."""
    jsrl = JSRL(guides={"a": guide(10), "b": guide(6)}, num_stages=2, window=2, tolerance=0.1)
    assert [jsrl.guide_lines(index) for index in range(3)] == [8, 4, 0]
    assert (jsrl.num_lines("a", {}, RNG), jsrl.num_lines("b", {}, RNG), jsrl.num_lines("c", {}, RNG)) == (8, 5, 0)
    stages: Mapping[str, Stage] = {}
    seen = []
    for rate in (0.4, 0.6, 0.2, 0.4, 0.5, 0.1, 0.3, 0.6, 0.9):
        # Each step visits both tasks; a task without a guide does not count.
        stages = jsrl.after(stages, {"a": [rate + 0.1], "b": [rate - 0.1], "c": [1.0]})
        seen.append((stages[ALL_TASKS].index, stages[ALL_TASKS].best))
    # Windows of two: .5 sets the best; .4 is within .1 of it. Then .45 moves at once, and the original task stays.
    assert [index for index, _ in seen] == [0, 0, 1, 1, 2, 2, 2, 2, 2]
    assert [best for _, best in seen[1:]] == pytest.approx([0.5] * 8)
    assert jsrl.num_lines("a", stages, RNG) == 0


def test_jsrl_waits_while_success_is_below_its_best() -> None:
    jsrl = JSRL(guides={"a": guide(4)}, num_stages=4, window=1, tolerance=0.1)
    stages: Mapping[str, Stage] = {}
    indices = []
    for rate in (0.2, 0.8, 0.5, 0.65, 0.75):
        stages = jsrl.after(stages, {"a": [rate]})
        indices.append(stages[ALL_TASKS].index)
    assert indices == [0, 1, 1, 1, 2]


def test_the_random_variant_draws_every_number_of_lines_alike() -> None:
    curriculum = RandomJSRL(guides={"a": guide(4)})
    rng = np.random.default_rng(0)
    counts = np.bincount([curriculum.num_lines("a", {}, rng) for _ in range(4000)])
    assert len(counts) == 4
    assert np.abs(counts / 4000 - 0.25).max() < 0.03
    assert curriculum.num_lines("b", {}, rng) == 0


def test_options_choose_the_curriculum() -> None:
    guides = {"a": guide(4)}
    assert make_curriculum(RollInOptions(), guides) is None
    assert make_curriculum(RollInOptions(kind=RollIn.CCCS, window=5), guides) == CCCS(guides=guides, window=5)
    assert make_curriculum(RollInOptions(kind=RollIn.JSRL, num_stages=3), guides) == JSRL(guides=guides, num_stages=3)
    assert make_curriculum(RollInOptions(kind=RollIn.JSRL_RANDOM), guides) == RandomJSRL(guides=guides)
    with pytest.raises(ValueError, match=r"threshold=1\.0 must lie in \[0, 1\)"):
        RollInOptions(threshold=1.0)
    with pytest.raises(ValueError, match="window=0"):
        RollInOptions(window=0)


LENGTH, DIGITS, PROGRAMS = 10, 4, 32
LOCK = guide(LENGTH, range(1, LENGTH))


def open_lock(curriculum: Curriculum | None, updates: int) -> float:
    """Success from scratch of a tabular policy that learns to open a lock of 10 digits of 4 values.

    The policy is a softmax over the digits of each place; only a wholly right answer has reward 1. The update is
    REINFORCE with the group's mean as the baseline, on the digits that the policy drew.
    """
    rng = np.random.default_rng(0)
    logits = np.zeros((LENGTH, DIGITS))
    stages: Mapping[str, Stage] = {}
    for _ in range(updates):
        given = curriculum.num_lines("lock", stages, rng) if curriculum else 0
        probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        drawn = (rng.random((PROGRAMS, LENGTH - given, 1)) > probs[given:].cumsum(axis=1)[:, :-1]).sum(axis=2)
        success = (drawn == 0).all(axis=1).astype(float)
        advantages = success - success.mean()
        one_hot = np.eye(DIGITS)[drawn] - probs[given:]
        logits[given:] += np.einsum("p,plv->lv", advantages, one_hot) / PROGRAMS * 5
        if curriculum:
            stages = curriculum.after(stages, {"lock": [float(success.mean())]})
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return float(probs[:, 0].prod())


@pytest.mark.parametrize(
    "curriculum",
    [
        CCCS(guides={"lock": LOCK}, threshold=0.5, window=3),
        JSRL(guides={"lock": LOCK}, num_stages=10, window=5, tolerance=0.05),
        RandomJSRL(guides={"lock": LOCK}),
    ],
    ids=["cccs", "jsrl", "random"],
)
def test_the_combination_lock_opens_with_a_curriculum_alone(curriculum: Curriculum) -> None:
    """By chance one answer in 4^10 opens it, so nothing is learned from scratch."""
    assert open_lock(None, 1000) == pytest.approx(DIGITS**-LENGTH)
    assert open_lock(curriculum, 1000) > 0.99
