"""Where targets stand: by hand, and against the text for real tokenisers."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewise.errors import UserError
from linewise.policy import TokenBytes
from linewise.policy.batches import plan_batches
from linewise.policy.embedded import FOLDER, cache_folder
from linewise.prm.dataset import (
    LinePlace,
    LineTarget,
    PrmExample,
    example_of,
    line_places,
    line_targets,
    split_by_task,
)
from linewise.prm.labels import label_to_record, read_labels
from linewise.types import Completion, Program, StopReason

tokenizers = pytest.importorskip("tokenizers")

CORPUS = ["def add(a, b):\n    return a + b\n\n", "x = 1\n\n    # twice\n    y = 'é'\n\n\n    return x\n"] * 30


def completion_of(pieces: list[str], prompt_ids: tuple[int, ...] = (0, 0, 0)) -> Completion:
    spans, place = [], 0
    for piece in pieces:
        spans.append((place, place + len(piece)))
        place += len(piece)
    return Completion(
        prompt_ids=prompt_ids,
        token_ids=tuple(range(10, 10 + len(pieces))),
        logprobs=(0.0,) * len(pieces),
        char_spans=tuple(spans),
        text="".join(pieces),
        stop_reason=StopReason.EOS,
    )


def whole(completion: Completion, header: str) -> Program:
    text = completion.text
    return Program(source=header + text, header_chars=len(header), start=0, end=len(text))


def test_targets_by_hand() -> None:
    # Lines: 1 header, 2 code, 3 comment, 4 blank, 5 code. "\n\n" ends the comment and the blank line; "\n    " ends the
    # header's line or a line of code; the end-of-sequence token (place 9) ends nothing.
    pieces = ["\n    ", "x", " = 1", "\n    ", "# two", "\n\n", "    ", "return x", "\n", ""]
    completion = completion_of(pieces)
    places = line_places(completion, whole(completion, "def f():"))
    assert [(place.line, place.position - 3) for place in places] == [(1, 0), (2, 3), (3, 5), (4, 5), (5, 8)]
    targets = line_targets(places, {2: 1, 3: 0, 4: 0, 5: -1})
    assert [(one.line, one.position, one.label) for one in targets] == [(2, 6, 1), (3, 8, 0), (4, 8, 0), (5, 11, -1)]


def test_a_neutral_line_gives_way_to_the_statement_that_ends_at_the_same_token() -> None:
    places = [LinePlace(line=1, position=4), LinePlace(line=2, position=4), LinePlace(line=3, position=7)]
    targets = line_targets(places, {1: -1, 2: 0, 3: 0})
    assert targets == (LineTarget(line=1, position=4, label=-1), LineTarget(line=3, position=7, label=0))


def test_a_line_without_label_has_no_target() -> None:
    places = [LinePlace(line=1, position=4), LinePlace(line=2, position=5)]
    assert line_targets(places, {2: 1, 9: 1}) == (LineTarget(line=2, position=5, label=1),)


def byte_level_bpe() -> Any:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=360, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def embedded() -> Any:
    file = cache_folder() / FOLDER / "tokenizer.json"
    if not file.exists():
        pytest.skip("the embedded model is not in the cache")
    return tokenizers.Tokenizer.from_file(str(file))


@pytest.fixture(scope="module", params=["byte-level BPE", "embedded"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    tokenizer = embedded() if request.param == "embedded" else byte_level_bpe()
    return tokenizer, TokenBytes.from_backend(json.loads(tokenizer.to_str()))


LINES = st.sampled_from(["    x = 1", "    # é", "", "    return x + 1", "        y = 'naïve'", "   "])


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(lines=st.lists(LINES, min_size=1, max_size=7), newline=st.booleans())
def test_each_target_is_read_at_the_last_token_that_writes_the_line(
    tokenizer: Any, lines: list[str], newline: bool
) -> None:
    text = "\n" + "\n".join(lines) + ("\n" if newline else "")
    backend, token_bytes = tokenizer
    ids = tuple(backend.encode(text).ids)
    decoded = token_bytes.decode_with_spans(ids)
    assert decoded.text == text
    completion = Completion(
        prompt_ids=(1, 2),
        token_ids=ids,
        logprobs=(0.0,) * len(ids),
        char_spans=decoded.char_spans,
        text=text,
        stop_reason=StopReason.EOS,
    )
    header = "def f(x):"
    ends = {}  # line -> offset of its last character, counted on the text alone
    for place in range(len(header + text)):
        ends[(header + text)[:place].count("\n") + 1] = place - len(header)
    places = line_places(completion, whole(completion, header))
    assert [one.line for one in places] == list(ends)
    for one in places:
        begin, end = completion.char_spans[one.position - len(completion.prompt_ids)]
        assert begin <= ends[one.line] < end


def test_the_example_holds_the_tokens_as_sampled(make: Any) -> None:
    labelled = make.program("t", "def f():", "\n  a\n  b\n", [(1, 1), (2, 1), (3, -1)])
    example = example_of(labelled)
    text = "def f():\n  a\n  b\n"
    assert bytes(token - 2 for token in example.token_ids[:-1]).decode() == text, "one token is one byte"
    assert [(one.line, one.label) for one in example.targets] == [(1, 1), (2, 1), (3, -1)]
    assert [text[one.position] for one in example.targets] == ["\n"] * 3, "each line is read at its newline"


def examples_of_tasks(counts: list[int]) -> list[PrmExample]:
    target = (LineTarget(line=1, position=0, label=1),)
    return [
        PrmExample(task_id=f"t{task}", token_ids=(program,), targets=target)
        for task, count in enumerate(counts)
        for program in range(count)
    ]


def test_the_split_is_by_task() -> None:
    examples = examples_of_tasks([5, 1, 3, 2, 4, 1, 2, 2, 3, 9])
    split = split_by_task(examples, held_out_share=0.3, seed=0)
    ours, theirs = ({one.task_id for one in side} for side in (split.train, split.held_out))
    assert ours.isdisjoint(theirs)
    assert (len(ours), len(theirs)) == (7, 3)
    assert sorted(map(repr, (*split.train, *split.held_out))) == sorted(map(repr, examples))
    assert split == split_by_task(examples, held_out_share=0.3, seed=0)
    others = [split_by_task(examples, held_out_share=0.3, seed=seed) for seed in range(1, 5)]
    assert any(other != split for other in others)


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_both_sides_of_the_split_hold_a_task(share: float) -> None:
    split = split_by_task(examples_of_tasks([2, 2]), held_out_share=share, seed=0)
    assert (len(split.train), len(split.held_out)) == (2, 2)


def test_batches_by_hand() -> None:
    sequences = [PrmExample(task_id="t", token_ids=(0,) * length, targets=()) for length in (3, 9, 4, 8, 30)]
    plan = plan_batches(sequences, 18)
    assert [[len(one.token_ids) for one in batch] for batch in plan] == [[30], [9, 8], [4, 3]]


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("labels", [1, 2], "labels are -1, 0 or 1"),
        ("char_spans", [[0, 1]], "every token has its place"),
        ("text", "something else", "stands in the text"),
    ],
)
def test_a_broken_program_is_named(make: Any, tmp_path: Path, part: str, change: Any, message: str) -> None:
    record = label_to_record(make.program("t", "def f():", "\n  a\n", [(1, 1), (2, -1)]))
    broken = json.loads(json.dumps(record))
    (broken if part == "labels" else broken["completion"])[part] = change
    file = tmp_path / "labels.jsonl"
    file.write_text(json.dumps(record) + "\n" + json.dumps(broken) + "\n")
    with pytest.raises(UserError, match=message) as caught:
        read_labels(file)
    assert "line 2" in str(caught.value)
