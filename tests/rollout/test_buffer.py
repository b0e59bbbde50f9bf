import numpy as np
import pytest

from linewise.rollout.baselines import best_so_far
from linewise.rollout.buffer import Buffer, BufferOptions
from linewise.types import (
    CallTest,
    Completion,
    Credit,
    Group,
    Outcome,
    Program,
    Report,
    Rollout,
    Sample,
    StopReason,
    Task,
    Verdict,
)


def make_sample(token: int, *, version: int = 0, task: str = "a") -> Sample:
    completion = Completion(
        prompt_ids=(1,),
        token_ids=(token,),
        logprobs=(-0.5,),
        char_spans=((0, 1),),
        text="x",
        stop_reason=StopReason.EOS,
        policy_version=version,
    )
    rollout = Rollout(
        task=Task(id=task, prompt="", tests=(CallTest(call="f()", expected="1"),)),
        completion=completion,
        program=Program(source="x", header_chars=0, start=0, end=1),
        report=Report(outcomes=(Outcome(verdict=Verdict.FAILED),)),
    )
    ones = np.ones(1, dtype=np.float32)
    return Sample(rollout=rollout, credit=Credit(rewards=ones, advantages=ones, weights=ones, terms={}))


def tokens(buffer: Buffer) -> list[int]:
    return [entry.sample.rollout.completion.token_ids[0] for entry in buffer.entries]


def test_grows_from_a_small_start_to_its_capacity() -> None:
    # Defect 6 of the released code: its buffer evicts as many samples as it adds and never grows.
    buffer = Buffer(options=BufferOptions(capacity=5, warmup=4, max_staleness=9))
    fills, ready = [], []
    for step in range(4):
        buffer = buffer.add([make_sample(10 * step, version=step), make_sample(10 * step + 1, version=step)])
        fills.append(len(buffer.entries))
        ready.append(buffer.ready)
    assert fills == [2, 4, 5, 5]
    assert ready == [False, True, True, True]
    assert tokens(buffer) == [11, 20, 21, 30, 31], "the oldest leave first"
    assert buffer.num_evicted == 3


def test_drops_what_is_staler_than_the_limit() -> None:
    buffer = Buffer(options=BufferOptions(capacity=8, max_staleness=1))
    buffer = buffer.add([make_sample(1, version=0), make_sample(2, version=1), make_sample(3, version=2)])
    fresh = buffer.drop_stale(version=2)
    assert tokens(fresh) == [2, 3]
    assert fresh.num_stale == 1
    assert tokens(buffer) == [1, 2, 3], "a buffer is a value"


def test_a_newer_copy_replaces_the_older_one() -> None:
    buffer = Buffer(options=BufferOptions(capacity=8, max_staleness=9))
    buffer = buffer.add([make_sample(1, version=0), make_sample(2, version=0)])
    buffer = buffer.add([make_sample(1, version=1), make_sample(1, version=1, task="b")])
    assert tokens(buffer) == [2, 1, 1]
    assert [entry.version for entry in buffer.entries] == [0, 1, 1]
    assert buffer.num_duplicates == 1


def test_copies_from_one_policy_stay_for_they_are_its_probability() -> None:
    buffer = Buffer(options=BufferOptions(capacity=8)).add([make_sample(1), make_sample(1)])
    assert tokens(buffer) == [1, 1]
    assert buffer.num_duplicates == 0


def test_draws_without_replacement_until_used_up() -> None:
    buffer = Buffer(options=BufferOptions(capacity=8, max_uses=2)).add([make_sample(token) for token in range(4)])
    first = buffer.draw(3, np.random.default_rng(0))
    drawn = [sample.rollout.completion.token_ids[0] for sample in first.samples]
    assert len(set(drawn)) == 3
    assert len(first.rest.entries) == 4, "one use of two"
    second = first.rest.draw(4, np.random.default_rng(1))
    assert [entry.uses for entry in second.rest.entries] == [1], "three were used twice and left"
    again = buffer.draw(3, np.random.default_rng(0))
    assert [sample.rollout.completion.token_ids[0] for sample in again.samples] == drawn


def test_draw_takes_what_is_there() -> None:
    buffer = Buffer(options=BufferOptions(capacity=8)).add([make_sample(1)])
    draw = buffer.draw(5, np.random.default_rng(0))
    assert len(draw.samples) == 1
    assert draw.rest.entries == ()


@pytest.mark.parametrize(
    "options", [{"capacity": 4, "warmup": 5}, {"warmup": 0}, {"max_staleness": -1}, {"max_uses": 0}]
)
def test_refuses_settings_under_which_training_cannot_start(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="buffer"):
        BufferOptions(**options)


def report(*verdicts: Verdict) -> Report:
    return Report(outcomes=tuple(Outcome(verdict=verdict) for verdict in verdicts))


def test_best_so_far_keeps_the_best_and_forgets_nothing() -> None:
    task = Task(id="a", prompt="", tests=(CallTest(call="f()", expected="1"),) * 2)
    half, wrong, error = (
        report(Verdict.PASSED, Verdict.FAILED),
        report(Verdict.FAILED, Verdict.FAILED),
        report(Verdict.RUNTIME_ERROR, Verdict.RUNTIME_ERROR),
    )

    def group(*reports: Report) -> Group:
        sample = make_sample(1).rollout
        rollouts = tuple(
            Rollout(task=task, completion=sample.completion, program=sample.program, report=one) for one in reports
        )
        return Group(task=task, rollouts=rollouts)

    first = best_so_far({}, [group(error, wrong)])
    assert first == {"a": wrong}, "running to a wrong answer beats an error"
    second = best_so_far(first, [group(half, error)])
    assert second == {"a": half}
    assert best_so_far(second, [group(wrong)]) == {"a": half}, "the best stays when later programs are worse"
    assert first == {"a": wrong}, "the old history is untouched"
