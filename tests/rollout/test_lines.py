"""Tokens <-> characters <-> lines, for tokenisers that are trained here and against counts made in another way."""

import ast
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewise.policy import TokenBytes
from linewise.policy.token_bytes import byte_of_char
from linewise.rollout.lines import (
    LineEnd,
    first_sampled_line,
    line_end_tokens,
    line_of_chars,
    line_starts,
    program_tokens,
    token_lines,
    tokens_of_line,
)
from linewise.rollout.program import extract_program
from linewise.types import Completion, Program, Prompt, StopReason

# A busy machine is no fault of the code.
STEADY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

tokenizers = pytest.importorskip("tokenizers")

CORPUS = [
    "def add(a, b):\n    return a + b\n",
    "for i in range(10):\n\tprint(i, 'naïve café')\r\n\tx = 1\r\n",
    "words = [w.strip() for w in text.split(',')]\nassert f(3) == 9  # ≤ 你好 🙂\n",
    "x = 1\ny = 2\n\n\nif x:\n    y = 3\nelse:\n    y = 4\n",
] * 20
END = "</s>"
HEADERS = ["", "def f(x):", "def f(x):\n    '''Docs.\n    '''", "@cache\r\ndef f(\r    x,\n):", "# \x0c\u2028\x85é"]


def from_pieces(model: Any, pre_tokenizer: Any, decoder: Any) -> Any:
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoder
    tokenizer.add_special_tokens([END])
    return tokenizer


def bytes_alone() -> Any:
    """No merges: every character of several bytes is split."""
    vocabulary = dict(byte_of_char())
    pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return from_pieces(
        tokenizers.models.BPE(vocab=vocabulary, merges=[]), pre_tokenizer, tokenizers.decoders.ByteLevel()
    )


def byte_level_bpe() -> Any:
    tokenizer = from_pieces(
        tokenizers.models.BPE(),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False),
        tokenizers.decoders.ByteLevel(),
    )
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=450, initial_alphabet=alphabet, special_tokens=[END], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def metaspace(trained: Any, trainer: Any) -> Any:
    """SentencePiece-like, with bytes for unknown characters; one that does not split lets a piece span lines."""
    space = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    tokenizer = tokenizers.Tokenizer(trained)
    tokenizer.pre_tokenizer = space
    tokenizer.train_from_iterator(CORPUS, trainer)
    record = json.loads(tokenizer.to_str())
    vocabulary = record["model"]["vocab"]
    if isinstance(vocabulary, list):
        vocabulary += [[f"<0x{byte:02X}>", -20.0] for byte in range(256)]
    else:
        vocabulary |= {f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(256)}
    record["model"]["byte_fallback"] = True
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(record))
    steps = [tokenizers.decoders.ByteFallback(), tokenizers.decoders.Metaspace(prepend_scheme="never", split=False)]
    tokenizer.decoder = tokenizers.decoders.Sequence(steps)
    return tokenizer


def metaspace_bpe() -> Any:
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>", END], show_progress=False)
    return metaspace(tokenizers.models.BPE(unk_token="<unk>"), trainer)


def metaspace_unigram() -> Any:
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=150, special_tokens=["<unk>", END], unk_token="<unk>", show_progress=False
    )
    return metaspace(tokenizers.models.Unigram(), trainer)


KINDS = {
    "bytes alone": bytes_alone,
    "byte-level BPE": byte_level_bpe,
    "metaspace BPE": metaspace_bpe,
    "metaspace unigram": metaspace_unigram,
}
# The pattern of GPT-2 never puts visible characters on both sides of a line end into one token.
KEEPS_LINES_APART = ("bytes alone", "byte-level BPE")


class Writer:
    """A tokeniser and the bytes of its tokens."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.tokenizer = KINDS[kind]()
        self.token_bytes = TokenBytes.from_backend(json.loads(self.tokenizer.to_str()))
        self.end_id = self.tokenizer.token_to_id(END)

    def completion(self, token_ids: list[int]) -> Completion:
        decoded = self.token_bytes.decode_with_spans(token_ids)
        return Completion(
            prompt_ids=(0,),
            token_ids=tuple(token_ids),
            logprobs=(-1.0,) * len(token_ids),
            char_spans=decoded.char_spans,
            text=decoded.text,
            stop_reason=StopReason.EOS,
        )

    def write(self, text: str) -> Completion:
        return self.completion([*self.tokenizer.encode(text, add_special_tokens=False).ids, self.end_id])


@pytest.fixture(scope="module", params=KINDS)
def writer(request: pytest.FixtureRequest) -> Writer:
    return Writer(request.param)


FRAGMENTS = ["\n", "\r\n", "\r", "\n\n", "\n    ", "\t", "    ", "\x0c", "\x0b", "\x1c", "\x85", "\u2028", "x = 1", "y"]
FRAGMENTS += ["return a", "):", "'naïve'", "你好", "🙂", "e\u0301", "# ≤", '"', "```", "\x00"]
# U+2581 stands for the space itself in all of SentencePiece.
ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"), max_size=6)
TEXTS = st.lists(st.sampled_from(FRAGMENTS) | ANY, max_size=12).map("".join)


def lines_as_python_reads_them(source: str) -> list[int]:
    """The line of every character, counted by Python's own universal newlines."""
    lines = io.StringIO(source, newline="").readlines()
    return [number for number, line in enumerate(lines, start=1) for _ in line]


def any_program(completion: Completion, data: st.DataObject) -> Program:
    """Some part of the text after some header."""
    header = data.draw(st.sampled_from(HEADERS))
    start = data.draw(st.integers(0, len(completion.text)))
    end = data.draw(st.integers(start, len(completion.text)))
    return Program(source=header + completion.text[start:end], header_chars=len(header), start=start, end=end)


def check(completion: Completion, program: Program, *, lines_apart: bool = False) -> None:
    """Everything that must hold of the lines of a program's tokens, whatever wrote them."""
    ends = [end for _, end in completion.char_spans]
    assert [begin for begin, _ in completion.char_spans] == [0, *ends][: len(ends)], "spans are contiguous"
    assert (ends or [0])[-1] == len(completion.text)
    counted = lines_as_python_reads_them(program.source)
    line_at = {
        place: counted[place - program.start + program.header_chars] for place in range(program.start, program.end)
    }
    assert line_of_chars(program.source).tolist() == counted

    lines = token_lines(completion, program).tolist()
    # What each token wrote of the program, and of that what can be seen.
    written = [[place for place in range(*span) if place in line_at] for span in completion.char_spans]
    visible = [[place for place in places if not completion.text[place].isspace()] for places in written]
    for line, places, shown in zip(lines, written, visible, strict=True):
        assert line == (line_at[shown[0]] if shown else line_at[places[-1]] if places else 0)
    header_lines = counted[program.header_chars - 1] - 1 if program.header_chars else 0
    assert all(line > header_lines for line in lines if line), "a line that the prompt holds whole has no token"
    assert program_tokens(completion, program).tolist() == [line > 0 for line in lines]
    masks = [tokens_of_line(completion, program, line) for line in range(1, max(counted, default=1) + 1)]
    np.testing.assert_array_equal(np.sum(masks, axis=0), np.array(lines) > 0, "every token is of one line")

    for token, shown in enumerate(visible):
        for line in {line_at[place] for place in shown} - set(lines):
            assert not lines_apart, "every line on which something shows owns a token"
            assert 0 < lines[token] < line, "unless each token that writes it shows on an earlier line"

    last = {line_at[place]: token for token, places in enumerate(written) for place in places}
    assert {(end.line, end.token) for end in line_end_tokens(completion, program)} == set(last.items())
    assert [end.line for end in line_end_tokens(completion, program)] == sorted(last)


@settings(STEADY, max_examples=60)
@given(data=st.data())
def test_any_text_of_a_real_tokenizer(writer: Writer, data: st.DataObject) -> None:
    # The special token's own name is read as that token, which writes nothing.
    text = data.draw(TEXTS.filter(lambda text: END not in text))
    completion = writer.write(text)
    assert completion.text == text
    assert completion.char_spans[-1] == (len(text), len(text)), "the end-of-sequence token writes nothing"
    program = any_program(completion, data)
    check(completion, program, lines_apart=writer.kind in KEEPS_LINES_APART)
    assert token_lines(completion, program)[-1] == 0


@settings(STEADY, max_examples=50)
@given(data=st.data())
def test_any_tokens_though_no_tokenizer_would_choose_them(writer: Writer, data: st.DataObject) -> None:
    """A model samples torn characters and unusual tokenisations; U+FFFD stands for what is no UTF-8."""
    size = writer.tokenizer.get_vocab_size()
    completion = writer.completion(data.draw(st.lists(st.integers(0, size - 1), max_size=20)))
    check(completion, any_program(completion, data))


@settings(STEADY, max_examples=30)
@given(body=TEXTS, header=st.sampled_from(HEADERS), fenced=st.booleans())
def test_extracted_programs(writer: Writer, body: str, header: str, fenced: bool) -> None:
    completion = writer.write(body + "\n```\nThat is it.\nprint(f(1))\n")
    program = extract_program(Prompt(task_id="t", text=header, header=header, fenced=fenced), completion.text)
    check(completion, program, lines_apart=writer.kind in KEEPS_LINES_APART)


def test_tokenizers_are_as_different_as_the_tests_need() -> None:
    text = "é\n你好\n\n    return a + b\nx = 1\ny = 2\n\n\nif x:\n    y = 3\nelse:\n"
    pieces = {kind: Writer(kind).write(text) for kind in KINDS}
    assert len({tuple(completion.char_spans) for completion in pieces.values()}) == len(KINDS)
    assert len(pieces["bytes alone"].token_ids) == len(text.encode()) + 1
    assert pieces["bytes alone"].char_spans[:3] == ((0, 0), (0, 1), (1, 2)), "é is written by its second byte"
    spans = [text[begin:end] for begin, end in pieces["metaspace BPE"].char_spans]
    assert any(len(piece.split()) > 1 and "\n" in piece.strip() for piece in spans), "a piece shows on two lines"


STATEMENTS = [
    "{} = 1",
    "{} = '\u2028\x85\x1c\x0b\x0c'",
    "\x0c{} = 2",
    "{} = 3  # \u2029é\x0c\x1d",
    "{} = 3; \x0cy = '🙂'",
]
ENDS = ["\n", "\r\n", "\r", "\n\n", "\r\r\n", "\r\n\n", "\n\r", "\n\x0c\n", "\n# \x85\r\n", "\n'''\r\n\x0c\r\n'''\r"]


@settings(STEADY, max_examples=50)
@given(pieces=st.lists(st.tuples(st.sampled_from(STATEMENTS), st.sampled_from(ENDS)), min_size=1, max_size=12))
def test_lines_are_those_of_the_compiler(pieces: list[tuple[str, str]]) -> None:
    source = "".join(statement.format(f"name_{index}_") + end for index, (statement, end) in enumerate(pieces))
    lines = line_of_chars(source)
    targets = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name) and node.id != "y"]
    assert len(targets) == len(pieces)
    for target in targets:
        assert lines[source.index(target.id)] == target.lineno
        assert line_starts(source)[target.lineno - 1] <= source.index(target.id)


@pytest.mark.parametrize(
    ("source", "starts", "lines"),
    [
        ("", [0], []),
        ("a", [0], [1]),
        ("a\nb", [0, 2], [1, 1, 2]),
        ("a\r\nb\rc\n", [0, 3, 5, 7], [1, 1, 1, 2, 2, 3, 3]),
        ("\n\r\n\r", [0, 1, 3, 4], [1, 2, 2, 3]),
        ("a\x0cb\u2028c\x85d\x1ce", [0], [1] * 9),
    ],
)
def test_line_starts_by_hand(source: str, starts: list[int], lines: list[int]) -> None:
    assert line_starts(source) == starts
    assert line_of_chars(source).tolist() == lines


def pieced(*pieces: str, header: str = "", start: int = 0, end: int | None = None) -> tuple[Completion, Program]:
    """A completion of these tokens and its program."""
    text, ends = "".join(pieces), np.cumsum([len(piece) for piece in pieces]).tolist()
    completion = Completion(
        prompt_ids=(0,),
        token_ids=tuple(range(len(pieces))),
        logprobs=(-1.0,) * len(pieces),
        char_spans=tuple(zip([0, *ends[:-1]], ends, strict=True)),
        text=text,
        stop_reason=StopReason.EOS,
    )
    end = len(text) if end is None else end
    return completion, Program(source=header + text[start:end], header_chars=len(header), start=start, end=end)


def test_a_newline_and_its_indentation_belong_to_the_line_they_begin() -> None:
    completion, program = pieced("\n    ", "y", " = x", "\n", "\n    ", "return", " y", "\n", "", header="def f(x):")
    # The token "\n" alone ends line 2; "\n    " belongs to line 4, where its last character is.
    assert token_lines(completion, program).tolist() == [2, 2, 2, 2, 4, 4, 4, 4, 0]
    ends = [(end.line, end.token) for end in line_end_tokens(completion, program)]
    assert ends == [(1, 0), (2, 3), (3, 4), (4, 7)], (
        "line 1 ends with the newline of token 0, line 3 with that of token 4"
    )
    assert line_end_tokens(completion, program)[0] == LineEnd(line=1, token=0)
    assert tokens_of_line(completion, program, 2).tolist() == [True] * 4 + [False] * 5


def test_what_is_sampled_on_the_headers_last_line_belongs_to_it() -> None:
    completion, program = pieced(" return", " x", "\n", "", header="@cache\ndef f(x):")
    assert token_lines(completion, program).tolist() == [2, 2, 2, 0]


def test_prose_and_fences_lie_outside() -> None:
    pieces = ("Sure", ":\n", "```", "python\nx", " = 1", "\n``", "`\n", "Done.", "")
    text = "".join(pieces)
    completion, program = pieced(*pieces, start=text.index("x ="), end=text.index(" = 1\n") + 5)
    assert program.source == "x = 1\n"
    # Tokens 3 and 5 reach from the fences into the program, and count for what they write of it.
    assert token_lines(completion, program).tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert line_end_tokens(completion, program) == (LineEnd(line=1, token=5),)


def test_a_token_over_two_lines_belongs_to_the_first_it_shows_on() -> None:
    completion, program = pieced("x", "\ny\n", "z\n", "a\nb\n", " \n \n  ", "\r", "\n")
    # "a\nb\n" writes all of line 5, which then owns no token but has an end.
    assert token_lines(completion, program).tolist() == [1, 2, 3, 4, 8, 8, 8]
    ends = {end.line: end.token for end in line_end_tokens(completion, program)}
    assert ends == {1: 1, 2: 1, 3: 2, 4: 3, 5: 3, 6: 4, 7: 4, 8: 6}


def test_an_empty_program_has_no_tokens() -> None:
    completion, program = pieced("no", " code", "", header="def f():\n    pass", start=3, end=3)
    assert token_lines(completion, program).tolist() == [0, 0, 0]
    assert not program_tokens(completion, program).any()
    assert line_end_tokens(completion, program) == ()


def test_lines_are_counted_from_one() -> None:
    completion, program = pieced("x")
    with pytest.raises(AssertionError, match="counted from 1"):
        tokens_of_line(completion, program, 0)


@pytest.mark.parametrize(
    ("header", "sampled", "first"),
    [
        ("", "x = 1\n", 1),
        ("", "\nx = 1", 1),
        ("def f(x):", "\n    return x", 2),
        ("def f(x):", " return x", 1),
        ("def f(x):", "  \r\n    return x", 2),
        ("def f(x):\n    y = 1\n", "    return y", 3),
        ("def f(x):", "", 2),
    ],
)
def test_a_headers_line_of_which_only_the_end_was_sampled_is_no_sampled_line(
    header: str, sampled: str, first: int
) -> None:
    program = Program(source=header + sampled, header_chars=len(header), start=0, end=len(sampled))
    assert first_sampled_line(program) == first
