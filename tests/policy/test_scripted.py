"""`ScriptedPolicy`: one token per character, ended by the same rules as a model's completions."""

from linewise.policy import ScriptedPolicy
from linewise.types import Prompt, Sampling, StopReason

PROMPT = Prompt(task_id="add", text="def f")


def generate(answers, *, num_samples=1, max_new_tokens=10, is_complete=lambda prompt, text: False, progress=None):
    policy = ScriptedPolicy(answers=lambda prompt: answers, version=3)
    (group,) = policy.generate(
        [PROMPT],
        num_samples=num_samples,
        sampling=Sampling(max_new_tokens=max_new_tokens),
        seed=0,
        is_complete=is_complete,
        progress=progress,
    )
    return group


def test_a_whole_answer_ends_with_the_end_token():
    (completion,) = generate(["a=1"])
    assert completion.text == "a=1"
    assert completion.token_ids == (97, 61, 49, 0)
    assert completion.char_spans == ((0, 1), (1, 2), (2, 3), (3, 3))
    assert completion.logprobs == (0.0,) * 4
    assert completion.stop_reason is StopReason.EOS
    assert completion.policy_version == 3
    assert completion.prompt_ids == (100, 101, 102, 32, 102)


def test_an_answer_is_cut_at_the_maximum_length():
    (completion,) = generate(["abcdef"], max_new_tokens=4)
    assert completion.text == "abcd"
    assert completion.stop_reason is StopReason.LENGTH


def test_an_answer_of_the_maximum_length_has_no_room_for_its_end():
    (completion,) = generate(["abcd"], max_new_tokens=4)
    assert completion.token_ids == (97, 98, 99, 100)
    assert completion.truncated


def test_is_complete_ends_an_answer():
    (completion,) = generate(["ab\ncd"], is_complete=lambda prompt, text: text.endswith("\n"))
    assert completion.text == "ab\n"
    assert completion.stop_reason is StopReason.PROGRAM_END
    assert len(completion.token_ids) == 3


def test_answers_are_used_in_turn_and_counted():
    counts = []
    group = generate(["x", "y"], num_samples=5, progress=counts.append)
    assert [completion.text for completion in group] == ["x", "y", "x", "y", "x"]
    assert sum(counts) == 5
