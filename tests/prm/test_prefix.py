"""Where a program is cut, on the tokens of real tokenisers, and how a policy goes on from there."""

import pytest

from linewise.policy.embedded import FOLDER, cache_folder
from linewise.prm.prefix import Steps, begin_at, continued_program, is_continued, steps_of, strays
from linewise.rollout.program import extract_program
from linewise.types import Completion, Prompt, StopReason

HEAD = Prompt(task_id="t", text="def f(a):", header="def f(a):")


def completion(*pieces: str) -> Completion:
    """A completion with the given tokens, numbered from 0."""
    ends = [sum(map(len, pieces[: count + 1])) for count in range(len(pieces))]
    return Completion(
        prompt_ids=(),
        token_ids=tuple(range(len(pieces))),
        logprobs=(0.0,) * len(pieces),
        char_spans=tuple(zip([0, *ends][:-1], ends, strict=True)),
        text="".join(pieces),
        stop_reason=StopReason.EOS,
    )


def cut(sampled: Completion, step: int, prompt: Prompt = HEAD) -> tuple[str, tuple[int, ...] | None, bool]:
    steps = steps_of(extract_program(prompt, sampled.text))
    begun = begin_at(prompt, sampled, steps, step).begun
    assert begun is not None
    return begun.text, begun.token_ids, begun.ends_line


def test_the_three_ways_in_which_a_line_can_end_within_tokens() -> None:
    # The line end belongs to the next line's token: cut before it, and ask for a line end.
    assert cut(completion("\n    ", "x", " = 1", "\n    ", "return x"), 1) == ("\n    x = 1", (0, 1, 2), True)
    # The line end belongs to the line's own token: it comes along.
    assert cut(completion("\n    ", "if a", ":\n", "        ", "pass"), 1) == ("\n    if a:\n", (0, 1, 2), False)
    assert cut(completion("\n    x = (1", ")\n\n", "    return x"), 1) == ("\n    x = (1)\n\n", (0, 1), False)
    # No token ends with the line: its text is tokenised again.
    assert cut(completion("\n    x = 1", "2\n    re", "turn x"), 1) == ("\n    x = 12", None, True)
    assert cut(completion("\n    x = 1", "2\n    ", "return x"), 1) == ("\n    x = 12", None, True)


def test_which_lines_are_steps() -> None:
    def steps(prompt: Prompt, text: str) -> tuple[Steps, list[str]]:
        program = extract_program(prompt, text)
        found = steps_of(program)
        lines = program.source.split("\n")[found.first_line - 1 :][: found.num_lines]
        return found, lines

    found, lines = steps(HEAD, "\n    # c\n\n    return a\n\n\n")
    assert (found.first_line, lines, found.neutral) == (2, ["    # c", "", "    return a"], {1, 2})
    found, lines = steps(HEAD, " return a\n")
    assert (found.first_line, lines) == (1, ["def f(a): return a"])
    assert steps(HEAD, "\n\n  ")[0].num_lines == 0
    assert steps(HEAD, "")[0].num_lines == 0
    found, lines = steps(Prompt(task_id="t", text="Write f."), "Here:\n```python\nx = 1\ny = 2\n```\n")
    assert (found.first_line, lines, found.ends) == (1, ["x = 1", "y = 2"], (21, 27))


def test_a_continuation_is_judged_and_ended_together_with_its_beginning() -> None:
    sampled = completion("Here:\n```python\n", "def f(a):", "\n    ", "b = a", "\n    ", "return 0", "\n```")
    free = Prompt(task_id="t", text="Write f.")
    begun = begin_at(free, sampled, steps_of(extract_program(free, sampled.text)), 2)
    assert begun.begun is not None
    assert begun.begun.text == "Here:\n```python\ndef f(a):\n    b = a"
    assert continued_program(begun, "\n    return b\n```\nDone.") == "def f(a):\n    b = a\n    return b\n"
    assert not is_continued(begun, "\n    return b\n``")
    assert is_continued(begun, "\n    return b\n```")
    assert not is_continued(begun, "")
    assert is_continued(begun, " + 1")
    assert strays(begun, " + 1")
    assert not strays(begun, "")
    assert not strays(begun, "\r\n")


def test_a_header_prompt_ends_at_column_0_after_the_beginning() -> None:
    sampled = completion("\n    x = 1", "\n    return x", "\n")
    begun = begin_at(HEAD, sampled, steps_of(extract_program(HEAD, sampled.text)), 1)
    assert continued_program(begun, "\n    return 2\nprint(1)") == "def f(a):\n    x = 1\n    return 2\n"
    assert is_continued(begun, "\n    return 2\np")
    assert not is_continued(begun, "\n    return 2\n")


PROGRAM = '''
    """Doc."""
    result = {}
    for word in text.split(","):
        if word:

            result[word] = result.get(word, 0) + 1
        else: pass
    return (result
            or None)
'''


def tokenisers() -> dict[str, object]:
    """Tokenisers that differ in how they treat a line end."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    from linewise.policy.tiny import tiny_tokenizer

    def byte_level(pattern: str | None) -> object:
        backend = tokenizers.Tokenizer(tokenizers.models.BPE())
        level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
        split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern or "x"), "isolated")
        backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split, level]) if pattern else level
        backend.decoder = tokenizers.decoders.ByteLevel()
        alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
        trainer = tokenizers.trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
        backend.train_from_iterator(["def f(text):" + PROGRAM] * 30, trainer)
        return transformers.PreTrainedTokenizerFast(tokenizer_object=backend)

    found = {
        "bytes": tiny_tokenizer(),
        "gpt-2": byte_level(None),
        # Punctuation takes the line end along, as in the vocabularies of Llama 3 and Qwen 2.5.
        "cl100k": byte_level(r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"),
        # Nothing is split before merging, so a token may end anywhere.
        "unsplit": byte_level(r"^.*$"),
    }
    if (cache_folder() / FOLDER).is_dir():
        found["smollm2-135m"] = transformers.AutoTokenizer.from_pretrained(cache_folder() / FOLDER)
    return found


@pytest.mark.parametrize("name", ["bytes", "gpt-2", "cl100k", "unsplit", "smollm2-135m"])
def test_a_prefix_keeps_the_sampled_tokens(name: str) -> None:
    from linewise.policy.token_bytes import TokenBytes

    known = tokenisers()
    if name not in known:
        pytest.skip(f"{name} is not in the cache folder")
    tokeniser = known[name]
    ids = tuple(tokeniser(PROGRAM, add_special_tokens=False)["input_ids"])  # type: ignore[operator]
    decoded = TokenBytes.from_tokenizer(tokeniser).decode_with_spans(ids)
    assert decoded.text == PROGRAM
    sampled = Completion(
        prompt_ids=(),
        token_ids=ids,
        logprobs=(0.0,) * len(ids),
        char_spans=decoded.char_spans,
        text=decoded.text,
        stop_reason=StopReason.EOS,
    )
    prompt = Prompt(task_id="t", text="def f(text):", header="def f(text):")
    steps = steps_of(extract_program(prompt, PROGRAM))
    again = 0
    for step in range(1, steps.num_lines + 1):
        begun = begin_at(prompt, sampled, steps, step).begun
        assert begun is not None
        lines = "\n".join(PROGRAM.strip("\n").split("\n")[:step]).rstrip().split("\n")
        assert begun.text.rstrip("\r\n") == ("\n" + "\n".join(lines)).rstrip("\r\n")
        assert begun.ends_line == (begun.text == "\n" + "\n".join(lines))
        if begun.token_ids is None:
            again += 1
        else:
            assert begun.token_ids == ids[: len(begun.token_ids)]
            written = TokenBytes.from_tokenizer(tokeniser).decode_with_spans(begun.token_ids)
            assert written.text == begun.text
    assert again == 0 or name == "unsplit"
