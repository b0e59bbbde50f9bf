"""Labelled programs in the tokens of `tiny`: bodies of some lines, of which one may be broken."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from linewise.policy.tiny import tiny_tokenizer
from linewise.policy.token_bytes import TokenBytes
from linewise.prm.labels import Kind, LabelledProgram, write_labels
from linewise.types import Completion, Program, Prompt, StopReason

GOOD = ("a = b", "b = a + 1", "c = a", "a += 2", "c = [b]", "b = -a")
BROKEN = ("a = b / 0", "c = 1 / 0", "b = a / 0")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy `tiny` is built in a folder of its own."""
    monkeypatch.setenv("LINEWISE_CACHE", str(tmp_path_factory.getbasetemp() / "linewise-cache"))


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The helpers below, for tests in other files."""
    return SimpleNamespace(program=labelled_program, programs=synthetic_programs, write=written)


def labelled_program(
    task_id: str, header: str, body: str, labels: Sequence[tuple[int, int]], kind: Kind = Kind.REVISED
) -> LabelledProgram:
    """A program whose header is the prompt and whose body was sampled by `tiny`."""
    tokenizer = tiny_tokenizer()
    token_ids = (*tokenizer(body)["input_ids"], tokenizer.eos_token_id)
    decoded = TokenBytes.from_tokenizer(tokenizer).decode_with_spans(token_ids)
    assert decoded.text == body
    first_line = labels[0][0] if labels else 1
    assert [line for line, _ in labels] == list(range(first_line, first_line + len(labels)))
    return LabelledProgram(
        task_id=task_id,
        prompt=Prompt(task_id=task_id, text=header, header=header),
        completion=Completion(
            prompt_ids=tuple(tokenizer(header)["input_ids"]),
            token_ids=token_ids,
            logprobs=(float("nan"),) * len(token_ids),
            char_spans=decoded.char_spans,
            text=body,
            stop_reason=StopReason.EOS,
        ),
        program=Program(source=header + body, header_chars=len(header), start=0, end=len(body)),
        kind=kind,
        task_pass_rate=0.5,
        first_line=first_line,
        labels=tuple(label for _, label in labels),
        policy="tiny",
    )


def synthetic_programs(count: int, *, seed: int = 0, num_tasks: int = 20) -> list[LabelledProgram]:
    """Programs of 2 to 4 lines, one of them broken: it and all lines after it are labelled -1, the others +1."""
    random = np.random.default_rng(seed)
    programs = []
    for index in range(count):
        task = f"task{index % num_tasks}"
        num_lines = int(random.integers(2, 5))
        first_error = int(random.integers(num_lines))
        lines = [str(random.choice(BROKEN if place == first_error else GOOD)) for place in range(num_lines)]
        # The header's line and the end of the prompt's line hold no code of the model's own: line 1 has no label.
        body = "".join(f"\n    {line}" for line in lines) + "\n"
        labels = [(place + 2, -1 if place >= first_error else 1) for place in range(num_lines)]
        programs.append(labelled_program(task, f"def f{index % num_tasks}(b):", body, labels))
    return programs


def written(programs: Sequence[LabelledProgram], path: Path) -> Path:
    """The programs as a label file."""
    write_labels(programs, path)
    return path
