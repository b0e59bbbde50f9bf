"""`linewise prm import`: rows of stepwise supervision as labels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from linewise.cli.pretrain import ensure_policy
from linewise.cli.quiet import quiet_libraries
from linewise.errors import PolicyError, UserError
from linewise.policy.names import resolve_policy, suggestion
from linewise.prm.labels import write_labels
from linewise.prm.stepwise import Tokens, from_stepwise, read_stepwise


@dataclass(frozen=True, kw_only=True)
class ImportLabels:
    """Read stepwise-supervision rows into a file of labels.

    The rows are tokenised by --policy, since the tokens that wrote them are not known. Blank lines, comments and
    docstrings get 0 whatever the row says.

    linewise prm import rows.jsonl --policy smollm2-135m --out labels.jsonl
    """

    rows: tyro.conf.Positional[Path]
    """JSONL file, one {"prompt", "completions", "labels"} a line."""
    out: Path
    """File of labels to write."""
    policy: str
    """Embedded model, folder or hub id whose tokeniser reads the rows: the model that the labels are for."""


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0."""
    command = tyro.cli(
        ImportLabels, prog="linewise prm import", args=arguments, config=(tyro.conf.EnumChoicesFromValues,)
    )
    rows = list(read_stepwise(command.rows))
    tokeniser = RowTokeniser(command.policy)
    programs = [
        from_stepwise(
            row,
            task_id=f"{command.rows.stem}/{number}",
            policy=command.policy,
            tokenise_prompt=tokeniser.prompt_ids,
            tokenise=tokeniser.tokens,
        )
        for number, row in enumerate(rows)
    ]
    write_labels(programs, command.out)
    print(f"{command.out}: {len(programs)} programs with {sum(len(program.labels) for program in programs)} lines")
    return 0


class RowTokeniser:
    """A policy's tokeniser, loaded without its model."""

    def __init__(self, name: str) -> None:
        from transformers import AutoTokenizer

        from linewise.policy.token_bytes import TokenBytes

        quiet_libraries()
        ensure_policy(name)
        try:
            self._tokeniser: Any = AutoTokenizer.from_pretrained(resolve_policy(name))
        except (OSError, KeyError) as error:
            raise PolicyError(
                f"the tokeniser of '{name}' could not be loaded ({error!r:.200}).{suggestion(name)}"
            ) from error
        self._token_bytes = TokenBytes.from_tokenizer(self._tokeniser)

    def prompt_ids(self, text: str) -> list[int]:
        """The prompt's tokens, with special tokens."""
        ids: list[int] = self._tokeniser(text)["input_ids"]
        return ids

    def tokens(self, text: str) -> Tokens:
        """The program's tokens. Raises UserError where they do not write the same text."""
        ids = tuple(self._tokeniser(text, add_special_tokens=False)["input_ids"])
        decoded = self._token_bytes.decode_with_spans(ids, at_start=True)
        if decoded.text != text:
            raise UserError(
                f"the tokeniser does not keep the text of a row: {text!r:.80} becomes {decoded.text!r:.80}. "
                "Use a model with a byte-level tokeniser."
            )
        return Tokens(token_ids=ids, char_spans=decoded.char_spans)
