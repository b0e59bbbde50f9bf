"""Scoring programs: every line its own score, whatever it is batched with."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from linewise.errors import PolicyError
from linewise.prm.model import line_batch, line_scores, load_prm
from linewise.prm.rank import LineAggregation, PrmRanker
from linewise.prm.score import LineScorer, load_scorer
from linewise.types import CallTest, LineScore, Program, Prompt, Report, Rollout, Task


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> LineScorer:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LINEWISE_CACHE", str(tmp_path_factory.getbasetemp() / "linewise-cache"))
        loaded = load_prm("tiny")
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=random)
    return LineScorer(loaded.model, loaded.tokenizer, tokens_per_batch=100)


def pairs(programs: list[Any]) -> list[Any]:
    return [(one.completion, one.program) for one in programs]


def test_scores_are_read_at_the_ends_of_lines(scorer: LineScorer, make: Any) -> None:
    one = make.program("t", "def f():", "\n  a\n  b\n", [])
    (scores,) = scorer.score(pairs([one]))
    ids = one.completion.prompt_ids + one.completion.token_ids
    places = [place for place, token in enumerate(ids) if token == ord("\n") + 2]
    batch = line_batch([ids], [places], pad_id=0, device=torch.device("cpu"))
    with torch.no_grad():
        expected = line_scores(scorer.model, batch).clamp(-1, 1)
    assert [score.line for score in scores] == [1, 2, 3]
    torch.testing.assert_close(torch.tensor([score.score for score in scores]), expected, atol=1e-5, rtol=1e-5)


def test_batching_and_order_change_nothing(scorer: LineScorer, make: Any) -> None:
    programs = make.programs(9)
    empty = replace(programs[0], program=Program(source="", header_chars=0, start=0, end=0))
    together = scorer.score(pairs([*programs, empty]))
    assert together[-1] == ()
    for one, ours in zip(programs, together, strict=False):
        (alone,) = scorer.score(pairs([one]))
        assert [score.line for score in ours] == [score.line for score in alone]
        assert [score.score for score in ours] == pytest.approx([score.score for score in alone], abs=1e-5)


def test_scores_are_clipped(scorer: LineScorer, make: Any) -> None:
    bias = scorer.model.score.bias
    before = bias.detach().clone()
    try:
        for value, limit in ((50.0, 1.0), (-50.0, -1.0)):
            with torch.no_grad():
                bias.fill_(value)
            (scores,) = scorer.score(pairs(make.programs(1)))
            assert {score.score for score in scores} == {limit}
    finally:
        with torch.no_grad():
            bias.copy_(before)


def test_an_encoded_text_is_the_completion_that_writes_it(scorer: LineScorer) -> None:
    completion = scorer.encode(Prompt(task_id="", text="# é"), "\nx = 1\n")
    assert (completion.text, len(completion.prompt_ids), len(completion.token_ids)) == ("\nx = 1\n", 4, 7)
    assert completion.char_spans[0] == (0, 1)


def test_another_tokeniser_is_refused(scorer: LineScorer) -> None:
    class Other:
        def get_vocab(self) -> dict[str, int]:
            return {"a": 0}

    scorer.check_tokenizer(scorer.tokenizer)
    with pytest.raises(PolicyError, match="different tokenisers"):
        scorer.check_tokenizer(Other())


def test_a_sequence_beyond_the_context_is_refused(scorer: LineScorer, make: Any) -> None:
    long = make.program("t", "def f():", "\n  a" * 600, [])
    with pytest.raises(PolicyError, match="2048 positions"):
        scorer.score(pairs([long]))


def test_a_language_model_is_no_scorer() -> None:
    with pytest.raises(PolicyError, match="without a trained head"):
        load_scorer("tiny")


def test_the_ranker_values_programs_by_their_code(make: Any) -> None:
    task = Task(id="t", prompt="", tests=(CallTest(call="f()", expected="1"),))
    programs = [make.program("t", "def f():", body, []) for body in ("\n  # so\n  a\n", "\n  b\n  # so\n")]
    rollouts = [
        Rollout(task=task, completion=one.completion, program=one.program, report=Report(outcomes=()))
        for one in programs
    ]

    def given(rollouts: Any) -> list[tuple[LineScore, ...]]:
        return [tuple(LineScore(line=line, score=line / 10) for line in (1, 2, 3)) for _ in rollouts]

    assert PrmRanker(scorer=given)(rollouts) == pytest.approx([(0.1 + 0.3) / 2, (0.1 + 0.2) / 2])
    assert PrmRanker(scorer=given, aggregation=LineAggregation.LAST)(rollouts) == [0.3, 0.2]
