"""RLTF's terms by hand-worked numbers, and a test for each defect of the released code (arXiv:2307.04349)."""

import dataclasses

import numpy as np
import pytest

from linewise.credit.rltf import (
    RLTF,
    Baseline,
    FineClass,
    ReleasedRLTF,
    adaptive_reward,
    alpha,
    coarse_reward,
    fine_class,
    fine_span,
)
from linewise.rollout.pieces import ends_inside_triple_quotes
from linewise.types import (
    CallTest,
    Completion,
    Group,
    Outcome,
    Program,
    Report,
    Rollout,
    StopReason,
    Task,
    Verdict,
)

# The header is in the prompt; eight tokens are sampled, and the end-of-sequence token writes nothing.
HEADER = "def f(x):"
PIECES = ("\n    ", "y", " = x", "\n    ", "return", " y", " / 0", "")
LINES = (2, 2, 2, 3, 3, 3, 3, 0)
TASK = Task(id="t", prompt="", tests=(CallTest(call="f(1)", expected="1"),) * 4)


def outcome(verdict: Verdict, exception: str | None = None, line: int | None = None) -> Outcome:
    return Outcome(verdict=verdict, exception=exception, line=line)


def rollout(
    *outcomes: Outcome, pieces: tuple[str, ...] = PIECES, stop: StopReason = StopReason.EOS, header: str = HEADER
) -> Rollout:
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    text = "".join(pieces)
    return Rollout(
        task=TASK,
        completion=Completion(
            prompt_ids=(0,),
            token_ids=tuple(range(len(pieces))),
            logprobs=(-1.0,) * len(pieces),
            char_spans=tuple(zip([0, *ends[:-1]], ends, strict=True)),
            text=text,
            stop_reason=stop,
        ),
        program=Program(source=header + text, header_chars=len(header), start=0, end=len(text)),
        report=Report(outcomes=outcomes),
    )


PASSED, FAILED = outcome(Verdict.PASSED), outcome(Verdict.FAILED)
DIVISION = outcome(Verdict.RUNTIME_ERROR, "ZeroDivisionError", 3)


def group(*rollouts: Rollout, baseline: Report | None = None) -> Group:
    return Group(task=TASK, rollouts=rollouts, baseline=baseline)


@pytest.mark.parametrize(
    ("outcomes", "coarse", "adaptive"),
    [
        ((PASSED,) * 4, 1.0, 1.0),
        ((PASSED, FAILED, PASSED, FAILED), -0.3, 0.35),
        ((FAILED,) * 4, -0.3, -0.3),
        ((PASSED, PASSED, PASSED, DIVISION), -0.6, 0.675),
        ((FAILED, FAILED, outcome(Verdict.TIMEOUT), FAILED), -0.6, -0.3),
        ((outcome(Verdict.SYNTAX_ERROR, "SyntaxError", 2),) * 4, -1.0, -0.3),
        ((outcome(Verdict.MEMORY),) * 4, -0.6, -0.3),
    ],
)
def test_coarse_and_adaptive_rewards(outcomes: tuple[Outcome, ...], coarse: float, adaptive: float) -> None:
    report = Report(outcomes=outcomes)
    assert coarse_reward(report) == coarse
    assert adaptive_reward(report) == pytest.approx(adaptive)


def test_alpha_makes_a_line_weigh_as_much_as_the_program() -> None:
    program = np.array([True] * 12 + [False])
    span = np.array([False] * 4 + [True] * 3 + [False] * 6)
    assert alpha(program, span) == 4.0
    assert alpha(program, np.zeros(13, dtype=bool)) == 0.0
    assert alpha(program, program) == 1.0


def test_all_terms_of_a_runtime_error_by_hand() -> None:
    """Line 3 holds 4 of the program's 7 tokens: alpha = 7/4, fine = 7/4 * -0.3 = -0.525 on each of them."""
    (credit,) = RLTF()(group(rollout(PASSED, FAILED, FAILED, DIVISION)))
    fine = [0, 0, 0, -0.525, -0.525, -0.525, -0.525, 0]
    np.testing.assert_allclose(credit.terms["coarse"], [-0.6] * 8, rtol=1e-6)
    np.testing.assert_allclose(credit.terms["fine"], fine, rtol=1e-6)
    np.testing.assert_allclose(credit.terms["adaptive"], [0.025] * 8, rtol=1e-5)
    np.testing.assert_allclose(credit.advantages, np.array(fine) - 0.575, rtol=1e-5)
    np.testing.assert_array_equal(credit.weights, np.ones(8))


def test_the_fine_term_sums_to_the_whole_programs() -> None:
    """sum_t alpha * 1[t in span] = number of program tokens, whatever the span."""
    for error in (DIVISION, outcome(Verdict.TIMEOUT), outcome(Verdict.RUNTIME_ERROR, "TypeError", 2)):
        (credit,) = RLTF(coarse=False, adaptive=False)(group(rollout(error)))
        assert credit.advantages.sum() == pytest.approx(-0.3 * 7)


def test_baseline_is_subtracted_from_coarse_and_adaptive_but_not_from_fine() -> None:
    base = Report(outcomes=(PASSED, PASSED, FAILED, FAILED))
    (credit,) = RLTF()(group(rollout(PASSED, PASSED, PASSED, DIVISION), baseline=base))
    np.testing.assert_allclose(credit.terms["coarse"], [-0.6 + 0.3] * 8, rtol=1e-6)
    np.testing.assert_allclose(credit.terms["adaptive"], [0.675 - 0.35] * 8, rtol=1e-5)
    assert credit.terms["fine"].min() == pytest.approx(-0.525)
    np.testing.assert_allclose(credit.rewards - credit.advantages, [-0.3 + 0.35] * 8, atol=1e-6)


def test_group_baseline_is_the_mean_of_the_others() -> None:
    rollouts = [rollout(*(PASSED,) * 4), rollout(*(FAILED,) * 4), rollout(*(FAILED,) * 4)]
    credits = RLTF(fine=False, adaptive=False, baseline=Baseline.GROUP)(group(*rollouts))
    assert [float(credit.advantages[0]) for credit in credits] == pytest.approx([1.3, -0.65, -0.65])
    alone = RLTF(fine=False, adaptive=False, baseline=Baseline.GROUP)(group(rollouts[0]))
    assert alone[0].advantages[0] == 1.0, "alone there is nothing to compare with"


@pytest.mark.parametrize("term", ["coarse", "fine", "adaptive"])
def test_each_term_can_be_switched_off(term: str) -> None:
    full = RLTF()
    rollouts = group(rollout(PASSED, FAILED, FAILED, DIVISION))
    (whole,), (part,) = full(rollouts), dataclasses.replace(full, **{term: False})(rollouts)
    assert set(whole.terms) - set(part.terms) == {term}
    np.testing.assert_allclose(whole.advantages - part.advantages, whole.terms[term], atol=1e-6)


def test_terms_add_up_to_the_advantages() -> None:
    for error in (DIVISION, FAILED, outcome(Verdict.SYNTAX_ERROR, "SyntaxError", 2)):
        (credit,) = RLTF()(group(rollout(PASSED, error, FAILED, FAILED)))
        np.testing.assert_allclose(credit.advantages, sum(credit.terms.values()), atol=1e-6)


def test_an_error_in_the_prompt_blames_no_token() -> None:
    (credit,) = RLTF(coarse=False, adaptive=False)(group(rollout(outcome(Verdict.RUNTIME_ERROR, "NameError", 1))))
    np.testing.assert_array_equal(credit.advantages, np.zeros(8))


@pytest.mark.parametrize(
    ("error", "truncated", "source", "expected"),
    [
        (outcome(Verdict.SYNTAX_ERROR, "SyntaxError", 2), False, "x = (", FineClass.LINE),
        (outcome(Verdict.SYNTAX_ERROR, "SyntaxError", 2), True, "x = (", FineClass.GLOBAL),
        (outcome(Verdict.SYNTAX_ERROR, "SyntaxError", 1), False, "x = '''abc", FineClass.IGNORE),
        (outcome(Verdict.SYNTAX_ERROR, "SyntaxError", 1), True, "x = '''abc", FineClass.IGNORE),
        (outcome(Verdict.SYNTAX_ERROR, "IndentationError", 2), False, "", FineClass.IGNORE),
        (outcome(Verdict.SYNTAX_ERROR, "TabError", 2), False, "", FineClass.IGNORE),
        (outcome(Verdict.TIMEOUT), False, "", FineClass.GLOBAL),
        (outcome(Verdict.TIMEOUT, None, 3), False, "", FineClass.GLOBAL),
        (outcome(Verdict.RUNTIME_ERROR, "RecursionError", 2), False, "", FineClass.GLOBAL),
        (outcome(Verdict.RUNTIME_ERROR, "AttributeError", 2), False, "", FineClass.LINE),
        (outcome(Verdict.CRASHED), False, "", FineClass.GLOBAL),
        *(
            (outcome(Verdict.RUNTIME_ERROR, name, 2), True, "", FineClass.LINE)
            for name in ("IndexError", "TypeError", "ValueError", "EOFError", "NameError", "KeyError", "ImportError")
        ),
    ],
)
def test_fine_classes_of_table_2(error: Outcome, truncated: bool, source: str, expected: FineClass) -> None:
    assert fine_class(error, truncated=truncated, source=source) is expected


# The seven defects of the released code; the sixth is in tests/rollout/test_buffer.py.


def test_defect_1_alpha_is_not_always_one() -> None:
    (credit,) = RLTF(coarse=False, adaptive=False)(group(rollout(DIVISION)))
    assert credit.advantages[4] == pytest.approx(-0.3 * 7 / 4)


def test_defect_2_timeouts_are_penalised() -> None:
    """Their exception has no text, which the released code takes for the class *ignore*."""
    (credit,) = RLTF(coarse=False, adaptive=False)(group(rollout(outcome(Verdict.TIMEOUT))))
    np.testing.assert_allclose(credit.advantages, [-0.3] * 7 + [0], rtol=1e-6)


def test_defect_3_of_equal_lines_the_one_that_failed_is_blamed() -> None:
    pieces = ("\n    ", "x += a[0]", "\n    ", "x += a[0]", "")
    failing = rollout(outcome(Verdict.RUNTIME_ERROR, "IndexError", 3), pieces=pieces)
    assert fine_span(failing).tolist() == [False, False, True, True, False]


def test_defect_4_rewards_stand_at_the_sampled_tokens() -> None:
    """An unusual tokenisation, which no tokeniser would choose again, still gets one number per sampled token."""
    pieces = ("\n", "  ", "  y", " ", "= x\n   ", " ret", "urn y / 0")
    (credit,) = RLTF(coarse=False, adaptive=False)(group(rollout(DIVISION, pieces=pieces)))
    assert (credit.advantages != 0).tolist() == [False, False, False, False, False, True, True]


def test_defect_5_messages_are_never_read() -> None:
    for message in ("unexpected EOF while parsing", "EOF while scanning triple-quoted string literal", ""):
        error = dataclasses.replace(outcome(Verdict.SYNTAX_ERROR, "SyntaxError", 2), message=message)
        assert fine_class(error, truncated=False, source="x = (") is FineClass.LINE
        assert fine_class(error, truncated=True, source="x = (") is FineClass.GLOBAL


def test_defect_7_the_baseline_is_the_groups_base_program() -> None:
    best = Report(outcomes=(PASSED,) * 4)
    (credit,) = RLTF(fine=False, adaptive=False)(group(rollout(*(FAILED,) * 4), baseline=best))
    assert credit.advantages[0] == pytest.approx(-0.3 - 1.0)


def test_released_variant_by_hand() -> None:
    """w_t = R - 0.3 m_t - R_base; adaptive replaces the -0.3, and the span is not scaled by alpha."""
    base = Report(outcomes=(PASSED, FAILED, FAILED, FAILED))
    failed, error = rollout(PASSED, PASSED, FAILED, FAILED), rollout(PASSED, PASSED, PASSED, DIVISION)
    first, second = ReleasedRLTF()(group(failed, error, baseline=base))
    np.testing.assert_allclose(first.advantages, [0.35 - 0.025] * 8, rtol=1e-5)
    np.testing.assert_allclose(second.advantages, [-0.625] * 3 + [-0.925] * 4 + [-0.625], rtol=1e-5)


@pytest.mark.parametrize(
    ("source", "is_open"),
    [
        ("x = '''abc", True),
        ('def f():\n    """doc', True),
        ('def f():\n    """doc"""\n    return 1', False),
        ("x = \"a'''b\"", False),
        ("# '''", False),
        ("x = '''a\\''' b", True),
        ("'it''s'", False),
        ("x='\n'''ab", True),
        ("x = '''a''' + '''b", True),
    ],
)
def test_open_triple_quotes(source: str, is_open: bool) -> None:
    assert ends_inside_triple_quotes(source) is is_open


def test_lines_used_here_are_right() -> None:
    from linewise.rollout.lines import token_lines

    one = rollout(PASSED)
    assert token_lines(one.completion, one.program).tolist() == list(LINES)
