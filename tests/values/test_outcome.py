"""The outcome critic: pooling and probabilities by hand, what it starts from, what it is on disk."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification

from linewise.errors import PolicyError
from linewise.policy.classifier import save_classifier
from linewise.policy.lora import LoraOptions
from linewise.types import CallTest, Completion, Outcome, Program, Report, Rollout, StopReason, Task, Verdict
from linewise.values.classes import OutcomeClass, outcome_class
from linewise.values.outcome import (
    batch_of_examples,
    load_outcome_critic,
    max_pool,
    outcome_batch,
    true_outcome_probs,
)
from linewise.values.programs import example_of, judged_from_record, judged_to_record, pooled_tokens
from linewise.values.score import OutcomeScorer, load_outcome_scorer

TASK = Task(id="f", prompt="f", tests=(CallTest(call="f(1)", expected="1"),))


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (Verdict.PASSED, OutcomeClass.PASSED),
        (Verdict.FAILED, OutcomeClass.FAILED),
        (Verdict.SYNTAX_ERROR, OutcomeClass.COMPILE_ERROR),
        (Verdict.RUNTIME_ERROR, OutcomeClass.RUNTIME_ERROR),
        (Verdict.TIMEOUT, OutcomeClass.RUNTIME_ERROR),
        (Verdict.MEMORY, OutcomeClass.RUNTIME_ERROR),
    ],
)
def test_outcomes(verdict: Verdict, outcome: OutcomeClass) -> None:
    assert outcome_class(verdict) is outcome


def test_pooling_by_hand() -> None:
    logits = torch.tensor([[[0.0, 3.0, -1.0, 0.0], [2.0, 1.0, -2.0, 0.0], [9.0, 9.0, 9.0, 9.0]]])
    mask = torch.tensor([[True, True, False]])
    assert max_pool(logits, mask).tolist() == [[2.0, 3.0, -1.0, 0.0]], "each outcome has a maximum of its own"
    shifted = max_pool(logits - 100, mask)
    assert shifted.tolist() == [[-98.0, -97.0, -101.0, -100.0]], (
        "what is not pooled never wins, not even with 0 or more"
    )


def test_only_the_largest_logits_have_a_gradient() -> None:
    logits = torch.tensor([[[0.0, 3.0], [2.0, 1.0], [9.0, 9.0]]], requires_grad=True)
    torch.nn.functional.cross_entropy(
        max_pool(logits, torch.tensor([[True, True, False]])), torch.tensor([0])
    ).backward()
    p = 1 / (1 + math.e)  # softmax of (2, 3) at the first outcome
    assert logits.grad is not None
    assert logits.grad.tolist()[0] == [
        pytest.approx([0.0, 1 - p]),
        pytest.approx([p - 1, 0.0]),
        [0.0, 0.0],
    ]


def test_tokens_that_tie_share_the_gradient() -> None:
    logits = torch.zeros(1, 4, 4, requires_grad=True)
    max_pool(logits, torch.tensor([[False, True, True, False]]))[0, 2].backward()
    assert logits.grad is not None
    assert logits.grad[0, :, 2].tolist() == [0, 0.5, 0.5, 0]


def test_nothing_to_pool_is_refused() -> None:
    with pytest.raises(AssertionError, match="a token to pool"):
        max_pool(torch.zeros(2, 1, 4), torch.tensor([[True], [False]]))


def test_q_by_hand() -> None:
    logits = torch.log(torch.tensor([[[1.0, 2.0, 3.0, 4.0], [5.0, 1.0, 1.0, 1.0]]])).repeat(2, 1, 1)
    q = true_outcome_probs(logits, torch.tensor([3, 0]))
    torch.testing.assert_close(q, torch.tensor([[0.4, 1 / 8], [0.1, 5 / 8]]))
    everything = sum(true_outcome_probs(logits, torch.full((2,), outcome)) for outcome in range(4))
    torch.testing.assert_close(everything, torch.ones(2, 2))


def test_a_batch_by_hand() -> None:
    batch = outcome_batch([[5, 6, 7], [8, 9]], [[1, 2], [1]], pad_id=0, device=torch.device("cpu"))
    assert batch.token_ids.tolist() == [[5, 6, 7], [8, 9, 0]]
    assert batch.mask.tolist() == [[True] * 3, [True, True, False]]
    assert batch.pooled_mask.tolist() == [[False, True, True], [False, True, False]]


def test_an_example_ends_with_its_program(make: Any) -> None:
    judged = make.judged("f", "\n    a = b\nprint(1)", OutcomeClass.FAILED)
    assert judged.program.source == "def f(b):\n    a = b\n"
    example = example_of(judged)
    assert bytes(token - 2 for token in example.token_ids).decode() == "def f(b):\n    a = b\n", "one byte is one token"
    assert example.pooled == tuple(range(9, 20)), "the header lies in the prompt"
    assert (example.task_id, example.outcome, example.reference) == ("f", OutcomeClass.FAILED, False)
    assert judged_from_record(judged_to_record(judged)) == judged


def test_the_end_of_the_answer_is_not_pooled() -> None:
    completion = Completion(
        prompt_ids=(5, 6),
        token_ids=(7, 8, 1),
        logprobs=(0.0,) * 3,
        char_spans=((0, 1), (1, 2), (2, 2)),
        text="ab",
        stop_reason=StopReason.EOS,
    )
    program = Program(source="ab", header_chars=0, start=0, end=2)
    assert pooled_tokens(completion, program) == (2, 3)
    empty = Program(source="", header_chars=0, start=0, end=0)
    assert pooled_tokens(completion, empty) == (2, 3, 4), "without a program every sampled token is pooled"


@torch.no_grad()
def scramble(model: Any, seed: int = 0) -> None:
    random = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter += 0.1 * torch.randn(parameter.shape, generator=random)


def rollout(judged: Any, verdict: Verdict) -> Rollout:
    report = Report(outcomes=(Outcome(verdict=verdict),))
    return Rollout(task=TASK, completion=judged.completion, program=judged.program, report=report)


def test_a_fresh_critic_knows_nothing(make: Any) -> None:
    loaded = load_outcome_critic("tiny")
    assert loaded.model.config.id2label == {0: "COMPILE_ERROR", 1: "RUNTIME_ERROR", 2: "FAILED", 3: "PASSED"}
    scorer = OutcomeScorer(loaded.model, loaded.tokenizer)
    programs = make.programs(3)
    for judged, q in zip(programs, scorer([rollout(one, Verdict.FAILED) for one in programs]), strict=True):
        assert q.dtype == np.float32
        assert q.tolist() == [0.25] * len(judged.completion.token_ids)


def test_scores_of_one_program_do_not_depend_on_the_others_or_on_what_comes_later(make: Any) -> None:
    loaded = load_outcome_critic("tiny")
    scramble(loaded.model)
    programs = [(one.completion, one.program) for one in make.programs(5)]
    together = OutcomeScorer(loaded.model, loaded.tokenizer).pass_probs(programs)
    alone = [OutcomeScorer(loaded.model, loaded.tokenizer, tokens_per_batch=1).pass_probs([one])[0] for one in programs]
    for ours, theirs in zip(together, alone, strict=True):
        np.testing.assert_allclose(ours.prefixes, theirs.prefixes, atol=1e-5)
        assert ours.program == pytest.approx(theirs.program, abs=1e-5)
    completion, program = programs[0]
    ids, spans = completion.token_ids[:6], completion.char_spans[:6]
    head = Completion(
        prompt_ids=completion.prompt_ids,
        token_ids=ids,
        logprobs=(0.0,) * 6,
        char_spans=spans,
        text=completion.text[:6],
        stop_reason=StopReason.LENGTH,
    )
    cut = OutcomeScorer(loaded.model, loaded.tokenizer).pass_probs([(head, program)])[0]
    np.testing.assert_allclose(cut.prefixes, together[0].prefixes[:6], atol=1e-5)
    assert len(set(together[0].prefixes.tolist())) > 6


def test_q_is_p_of_the_true_outcome(make: Any) -> None:
    loaded = load_outcome_critic("tiny")
    scramble(loaded.model)
    scorer = OutcomeScorer(loaded.model, loaded.tokenizer)
    judged = make.programs(1)[0]
    passed = scorer.pass_probs([(judged.completion, judged.program)])[0].prefixes
    q = {verdict: scorer([rollout(judged, verdict)])[0] for verdict in Verdict}
    np.testing.assert_allclose(q[Verdict.PASSED], passed, rtol=1e-6)
    four = (Verdict.PASSED, Verdict.FAILED, Verdict.RUNTIME_ERROR, Verdict.SYNTAX_ERROR)
    np.testing.assert_allclose(np.sum([q[verdict] for verdict in four], axis=0), 1, rtol=1e-5)
    assert scorer([]) == []


@pytest.mark.parametrize("rank", [0, 4])
def test_the_saved_critic_says_the_same(tmp_path: Path, make: Any, rank: int) -> None:
    loaded = load_outcome_critic("tiny", lora=LoraOptions(rank=rank))
    scramble(loaded.model)
    programs = [(one.completion, one.program) for one in make.programs(3)]
    before = OutcomeScorer(loaded.model, loaded.tokenizer).pass_probs(programs)
    save_classifier(loaded.model, loaded.tokenizer, tmp_path / "critic")
    again = load_outcome_scorer(tmp_path / "critic").pass_probs(programs)
    for ours, theirs in zip(before, again, strict=True):
        np.testing.assert_allclose(ours.prefixes, theirs.prefixes, atol=1e-4)
    plain = AutoModelForTokenClassification.from_pretrained(tmp_path / "critic")
    assert plain.config.label2id["PASSED"] == 3
    batch = batch_of_examples([example_of(make.programs(1)[0])], pad_id=0, device=torch.device("cpu"))
    assert plain(input_ids=batch.token_ids, attention_mask=batch.mask).logits.shape[-1] == 4


def test_what_cannot_be_a_critic_says_why() -> None:
    with pytest.raises(PolicyError, match="cannot become an outcome critic"):
        load_outcome_critic("tiny-t5")
    with pytest.raises(PolicyError, match=r"knows nothing of outcomes.*linewise coderl critic"):
        load_outcome_scorer("tiny")


def test_a_program_beyond_the_context_is_refused(make: Any) -> None:
    loaded = load_outcome_critic("tiny")
    long = make.judged("f", "\n    a = b" * 250, OutcomeClass.FAILED)
    with pytest.raises(PolicyError, match="the outcome critic's 2048 positions"):
        OutcomeScorer(loaded.model, loaded.tokenizer).pass_probs([(long.completion, long.program)])
