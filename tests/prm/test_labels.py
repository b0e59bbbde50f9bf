"""Labelled programs as records and as rows of stepwise supervision, and back."""

from dataclasses import replace
from pathlib import Path

import pytest

from linewise.errors import UserError
from linewise.judge import LocalJudge
from linewise.prm.label import label_block
from linewise.prm.labels import Kind, LabelledProgram, Selection, read_labels, selected, write_labels, write_lines
from linewise.prm.stepwise import (
    StepwiseRow,
    Tokens,
    from_stepwise,
    read_stepwise,
    stepwise_to_record,
    to_stepwise,
)
from tests.prm.conftest import RIGHT, RIGHT_WITH_COMMENT, SUM, WRONG_AT_3, options, scripted


@pytest.fixture(scope="module")
def programs(judge: LocalJudge) -> tuple[LabelledProgram, ...]:
    policy = scripted([RIGHT, WRONG_AT_3], (RIGHT, RIGHT_WITH_COMMENT))
    return label_block(policy, judge, [SUM], options(num_samples=2, audits=2), name="scripted").programs


def imported(row: StepwiseRow) -> LabelledProgram:
    def characters(text: str) -> Tokens:
        return Tokens(token_ids=tuple(map(ord, text)), char_spans=tuple((at, at + 1) for at in range(len(text))))

    return from_stepwise(
        row, task_id="row/0", policy="characters", tokenise_prompt=lambda text: [*map(ord, text)], tokenise=characters
    )


def test_records_come_back_exactly(programs: tuple[LabelledProgram, ...], tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    write_labels(programs, path)
    assert read_labels(path) == list(programs)
    assert programs[1].audits
    assert programs[1].queries
    before = path.read_bytes()
    write_labels(read_labels(path), path)
    assert path.read_bytes() == before


def test_the_first_unrecoverable_line_and_the_place_to_read(programs: tuple[LabelledProgram, ...]) -> None:
    right, wrong = programs
    assert (right.num_recoverable, wrong.num_recoverable) == (4, 2)
    text = wrong.completion.text
    ends = [text[: token + 1].split("\n")[-2] for token in wrong.end_tokens()]
    assert ends == WRONG_AT_3.strip("\n").split("\n")


def test_a_row_says_the_program_line_by_line(programs: tuple[LabelledProgram, ...]) -> None:
    row = to_stepwise(programs[1])
    assert row.prompt.endswith('"""Add the numbers from 1 to n."""')
    assert row.completions[:3] == ("\n    result = 0\n", "    # count\n", "    for i in range(n):\n")
    assert "".join(row.completions) == WRONG_AT_3
    assert row.labels == (1.0, 0.0, -1.0, -1.0, -1.0)


def test_booleans_join_a_neutral_line_to_the_next(programs: tuple[LabelledProgram, ...]) -> None:
    row = to_stepwise(programs[1], booleans=True)
    assert row.completions[1] == "    # count\n    for i in range(n):\n"
    assert row.labels == (True, False, False, False)
    assert "".join(row.completions) == WRONG_AT_3


@pytest.mark.parametrize("booleans", [False, True])
def test_rows_come_back_from_files_and_labels_from_rows(
    booleans: bool, programs: tuple[LabelledProgram, ...], tmp_path: Path
) -> None:
    rows = [to_stepwise(program, booleans=booleans) for program in programs]
    write_lines(map(stepwise_to_record, rows), tmp_path / "rows.jsonl")
    read = list(read_stepwise(tmp_path / "rows.jsonl"))
    assert read == rows
    back = [imported(row) for row in read]
    assert [program.labels for program in back] == [program.labels for program in programs]
    assert [program.kind for program in back] == [Kind.CORRECT, Kind.REVISED]
    again = [to_stepwise(program, booleans=booleans) for program in back]
    assert again == rows


def test_the_comment_rule_holds_for_imported_rows_and_long_steps() -> None:
    row = StepwiseRow(
        prompt="def f():", completions=("\n    # right\n    x = 1\n\n", "    return y"), labels=(True, False)
    )
    assert imported(row).labels == (0, 1, 0, -1)
    assert imported(replace(row, labels=(-0.5, 0.3))).labels == (0, -1, 0, 1)


def test_difficulty_of_imported_programs_is_not_known() -> None:
    program = imported(StepwiseRow(prompt="p", completions=("x = 1\n", "y"), labels=(1.0, -1.0)))
    assert selected(program, Selection.FULL)
    assert selected(program, Selection.REVISED_ONLY)
    with pytest.raises(UserError, match="use 'full' or 'revised-only'"):
        selected(program, Selection.MEDIUM_ONLY)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"prompt": "p"', "line 2 is no JSON"),
        ("[1]", "line 2 holds list; write one JSON object a line"),
        ('{"completions": ["x"], "labels": [true]}', "line 2, field 'prompt' is None; it must be a string"),
        (
            '{"prompt": "p", "completions": "x", "labels": [1]}',
            "field 'completions' is 'x'; it must be a list of strings",
        ),
        ('{"prompt": "p", "completions": ["x"], "labels": ["good"]}', "field 'labels'"),
        ('{"prompt": "p", "completions": ["x"], "labels": [1, 0]}', "has 1 completions and 2 labels; give one label"),
    ],
)
def test_a_broken_row_is_named(line: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "p", "completions": ["x"], "labels": [true]}\n' + line + "\n")
    with pytest.raises(UserError, match=r"rows\.jsonl, line 2") as caught:
        list(read_stepwise(path))
    assert words in str(caught.value)


def test_a_broken_record_and_a_missing_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text('{"task_id": "t"}\n')
    with pytest.raises(UserError, match=r"labels\.jsonl, line 1 is no labelled program"):
        read_labels(tmp_path / "labels.jsonl")
    with pytest.raises(UserError, match=r"cannot read .*No such file"):
        read_labels(tmp_path / "none.jsonl")
