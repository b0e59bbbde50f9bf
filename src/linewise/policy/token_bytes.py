r"""Which bytes each token writes, and from them the text of sampled tokens and the place of every token in it.

The text is the concatenation of the tokens' bytes, decoded as UTF-8 with invalid bytes replaced by U+FFFD. **A
character belongs to the token that writes its last byte**: it cannot be read before that token is sampled, so
incremental and whole decoding agree. A token that writes only the first bytes of a character has an empty span; bytes
that are left incomplete at the end belong to the last token that wrote any.

Example: byte-level tokens `b"a\xc3"`, `b"\xa9"` write `"aé"` with spans `(0, 1), (1, 2)`.
"""

import codecs
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from linewise.errors import PolicyError
from linewise.types import Completion, Prompt, StopReason

METASPACE = "\u2581"
BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True, kw_only=True)
class DecodedText:
    """What a sequence of tokens writes."""

    text: str
    char_spans: tuple[tuple[int, int], ...]
    """[T] half-open character ranges of `text`; they tile it in order; empty for special tokens."""


@cache
def byte_of_char() -> Mapping[str, int]:
    """The GPT-2 alphabet: the printable character that stands for each byte, inverted (openai/gpt-2, encoder.py)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    shifted = [byte for byte in range(256) if byte not in set(printable)]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(256 + place): byte for place, byte in enumerate(shifted)}


@dataclass(frozen=True, kw_only=True)
class TokenBytes:
    """The bytes of every token of one tokeniser."""

    table: tuple[bytes, ...] = field(repr=False)
    """[V] bytes that each id writes; empty for special tokens."""
    drops_first_space: bool = False
    """Whether the tokeniser puts a dummy space before a text, which decoding from the first token on drops."""

    @classmethod
    def from_tokenizer(cls, tokenizer: Any, *, also_special: Iterable[int] = ()) -> "TokenBytes":
        """Read the table off a Hugging Face tokeniser: byte-level BPE, or SentencePiece-like with `▁` for a space.

        Special tokens and `also_special` write nothing. Raises `PolicyError` for tokenisers that do not keep the exact
        text, such as WordPiece.
        """
        special = {*tokenizer.all_special_ids, *also_special}
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is not None:
            return cls.from_backend(json.loads(backend.to_str()), special_ids=special)
        if hasattr(tokenizer, "sp_model"):
            return cls.from_sentencepiece(tokenizer, special_ids=special)
        raise PolicyError(
            f"The tokeniser {type(tokenizer).__name__} has neither a `tokenizers` backend nor a SentencePiece model, "
            "so tokens cannot be mapped to characters. Use a model with a byte-level BPE or a SentencePiece tokeniser."
        )

    @classmethod
    def from_backend(cls, backend: Mapping[str, Any], *, special_ids: Iterable[int] = ()) -> "TokenBytes":
        """Read the table off the JSON form of a `tokenizers.Tokenizer`; `special_ids` write nothing."""
        vocabulary = backend["model"]["vocab"]
        if isinstance(vocabulary, list):
            tokens = {index: piece for index, (piece, _) in enumerate(vocabulary)}
        else:
            tokens = {index: piece for piece, index in vocabulary.items()}
        steps = _flatten(backend.get("decoder"), "decoders")
        kinds = {step["type"] for step in steps}
        drops_first_space = False
        if "ByteLevel" in kinds:
            pieces = {index: _byte_level(token) for index, token in tokens.items()}
        elif "Metaspace" in kinds or any(_is_metaspace_replace(step) for step in steps):
            byte_fallback = "ByteFallback" in kinds or bool(backend["model"].get("byte_fallback"))
            pieces = {index: _sentencepiece(token, byte_fallback) for index, token in tokens.items()}
            drops_first_space = any(_drops_first_space(step) for step in steps)
        else:
            raise PolicyError(
                f"Tokens of a {backend['model'].get('type')} tokeniser with decoder {sorted(kinds) or None} cannot be "
                "mapped to the exact characters they write. Use a model with a byte-level BPE or a SentencePiece "
                "tokeniser."
            )
        special = set(special_ids)
        for added in backend.get("added_tokens", ()):
            pieces[added["id"]] = b"" if added["special"] else added["content"].encode()
        table = [b"" if index in special else pieces.get(index, b"") for index in range(max(pieces, default=-1) + 1)]
        return cls(table=tuple(table), drops_first_space=drops_first_space)

    @classmethod
    def from_sentencepiece(cls, tokenizer: Any, *, special_ids: Iterable[int]) -> "TokenBytes":
        """Read the table off a Hugging Face tokeniser that wraps a SentencePiece processor (`sp_model`)."""
        special = set(special_ids)
        pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        table = tuple(
            b"" if index in special else _sentencepiece(piece, byte_fallback=True) for index, piece in enumerate(pieces)
        )
        return cls(table=table, drops_first_space=True)

    def __getitem__(self, token_id: int) -> bytes:
        """The bytes of one id; ids beyond the tokeniser's (a padded embedding) write nothing."""
        return self.table[token_id] if token_id < len(self.table) else b""

    def decoder(self, *, at_start: bool) -> "IncrementalText":
        """A decoder for tokens as they are sampled; for `at_start` see `decode_with_spans`."""
        return IncrementalText(self, drop_space=at_start and self.drops_first_space)

    def decode_with_spans(self, token_ids: Sequence[int], *, at_start: bool = False) -> DecodedText:
        """The text of `token_ids` and the characters that each of them wrote.

        `at_start` says that the tokens are a text of their own (the output of an encoder-decoder) and not the
        continuation of a prompt; the dummy leading space of SentencePiece is then dropped.
        """
        decoder = self.decoder(at_start=at_start)
        for token_id in token_ids:
            decoder.append(token_id)
        return decoder.finish()


class IncrementalText:
    """The text of a growing sequence of tokens."""

    def __init__(self, token_bytes: TokenBytes, *, drop_space: bool) -> None:
        self.text = ""
        """The complete characters so far."""
        self._token_bytes = token_bytes
        self._drop_space = drop_space
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._ends: list[int] = []
        self._last_writer = 0

    def append(self, token_id: int) -> str:
        """Add one token and return the characters that it completed."""
        data = self._token_bytes[token_id]
        if data:
            self._last_writer = len(self._ends)
            if self._drop_space:
                data = data.removeprefix(b" ")
                self._drop_space = False
        written = self._utf8.decode(data)
        self.text += written
        self._ends.append(len(self.text))
        return written

    def finish(self) -> DecodedText:
        """The whole text and its spans; bytes of an incomplete character become U+FFFD."""
        self.text += self._utf8.decode(b"", final=True)
        ends = [*self._ends[: self._last_writer], *[len(self.text)] * (len(self._ends) - self._last_writer)]
        return DecodedText(text=self.text, char_spans=tuple(zip([0, *ends][:-1], ends, strict=True)))


def _flatten(step: Mapping[str, Any] | None, key: str) -> list[Mapping[str, Any]]:
    if step is None:
        return []
    return [inner for part in step[key] for inner in _flatten(part, key)] if step["type"] == "Sequence" else [step]


def _is_metaspace_replace(step: Mapping[str, Any]) -> bool:
    return bool(step["type"] == "Replace" and step["pattern"] == {"String": METASPACE} and step["content"] == " ")


def _drops_first_space(step: Mapping[str, Any]) -> bool:
    if step["type"] == "Metaspace":
        return bool(step.get("prepend_scheme", "always") != "never")
    return bool(step["type"] == "Strip" and step["content"] == " " and step["start"] > 0)


def _byte_level(token: str) -> bytes:
    alphabet = byte_of_char()
    if all(char in alphabet for char in token):
        return bytes(alphabet[char] for char in token)
    return token.encode()


def _sentencepiece(piece: str, byte_fallback: bool) -> bytes:
    match = BYTE_PIECE.fullmatch(piece) if byte_fallback else None
    return bytes([int(match[1], 16)]) if match else piece.replace(METASPACE, " ").encode()


def encode_answer(tokenizer: Any, prompt: Prompt, text: str) -> Completion:
    """A text that was not sampled as the completion of a prompt; its log-probabilities are 0."""
    token_ids = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
    decoded = TokenBytes.from_tokenizer(tokenizer).decode_with_spans(token_ids)
    return Completion(
        prompt_ids=tuple(tokenizer(prompt.text, add_special_tokens=prompt.special_tokens)["input_ids"]),
        token_ids=token_ids,
        logprobs=(0.0,) * len(token_ids),
        char_spans=decoded.char_spans,
        text=decoded.text,
        stop_reason=StopReason.EOS,
    )
