"""Critic sampling with real sampling: continuations stand on the tokens that were sampled, for both kinds of policies."""

from collections.abc import Iterable, Iterator

import pytest

from linewise.errors import JudgeError
from linewise.evaluation.candidates import visible
from linewise.evaluation.critic_sampling import CriticSampler
from linewise.policy.huggingface import load_policy
from linewise.policy.token_bytes import TokenBytes
from linewise.rollout.prompts import PromptOptions
from linewise.types import CallTest, Outcome, Report, Sampling, Task, Verdict
from linewise.values.outcome import load_outcome_critic
from linewise.values.score import OutcomeScorer

TASK = Task(
    id="f",
    prompt="Give a.",
    entry_point="f",
    signature="def f(a):",
    tests=(CallTest(call="f(1)", expected="1", example=True),),
)


class KindJudge:
    """Every program passes."""

    def run(self, task: Task, program: str) -> Report:
        raise NotImplementedError("many programs are judged at once")

    def run_many(self, programs: Iterable[tuple[Task, str]]) -> Iterator[Report | JudgeError]:
        for _ in programs:
            yield Report(outcomes=(Outcome(verdict=Verdict.PASSED),))


@pytest.mark.parametrize("name", ["tiny", "tiny-t5"])
def test_refined_programs_begin_with_the_tokens_of_those_they_come_from(name: str) -> None:
    """The critic is `tiny`, which has the tokens of both; a fresh one likes all beginnings equally: one token is kept."""
    policy = load_policy(name)
    loaded = load_outcome_critic("tiny")
    critic = OutcomeScorer(loaded.model, loaded.tokenizer)
    critic.check_tokenizer(policy.tokenizer)
    search = CriticSampler(
        policy=policy,
        critic=critic,
        judge=KindJudge(),
        num_samples=3,
        sampling=Sampling(max_new_tokens=10),
        prompts=PromptOptions(),
    )
    (drawn,) = search([visible(TASK)], seed=0)
    (again,) = search([visible(TASK)], seed=0)
    assert drawn == again, "same seed, same programs"
    table = TokenBytes.from_tokenizer(policy.tokenizer)
    for first, last in zip(drawn.first, drawn.final, strict=True):
        whole = last.completion
        cut = next(place for place, (begin, end) in enumerate(first.completion.char_spans, start=1) if begin < end)
        assert whole.token_ids[:cut] == first.completion.token_ids[:cut]
        assert whole.prompt_ids == first.completion.prompt_ids
        assert len(whole.token_ids) <= 10
        decoded = table.decode_with_spans(whole.token_ids)
        assert len(decoded.char_spans) == len(whole.char_spans) == len(whole.token_ids) == len(whole.logprobs)
        assert whole.text.encode("ascii", "ignore") == decoded.text.encode("ascii", "ignore")
    assert [one.completion.token_ids for one in drawn.first] != [one.completion.token_ids for one in drawn.final]
