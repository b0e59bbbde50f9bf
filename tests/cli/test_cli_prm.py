"""`linewise prm` with a random model of a few hundred thousand parameters."""

import json
from pathlib import Path

import pytest

from linewise.cli.main import main
from linewise.prm.labels import read_labels

pytest.importorskip("torch")


def label(out: Path, *options: str) -> int:
    small = ["--num-samples", "2", "--completions", "3", "--first-chunk", "2", "--max-new-tokens", "40", "--seed", "1"]
    where = ["--policy", "tiny", "--tasks", "starter@train", "--limit", "2", "--out", str(out), "--workers", "1"]
    return main(["prm", "label", *where, *small, "--selection", "full", *options])


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message of a command that must fail with 2, on one line and without output."""
    assert main(["prm", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("linewise prm: ")
    return captured.err


def test_label_resume_export_and_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "labels.jsonl"
    assert label(out) == 0
    captured = capsys.readouterr()
    assert f"{out}: 4 programs of 4 sampled (full)" in captured.out.replace("\n", "")
    assert "of a linear scan" in captured.out
    assert "false negatives" in captured.out
    programs = read_labels(out)
    assert len(programs) == 4
    for program in programs:
        assert program.policy == "tiny"
        assert len(program.completion.token_ids) <= 40
        assert set(program.labels) <= {0, -1}, "a random model solves nothing"
        assert len(program.end_tokens()) == len(program.labels)
    before = out.read_bytes()
    assert label(out) == 0, "the same command again has nothing left to do and says the same"
    assert capsys.readouterr().out == captured.out
    assert out.read_bytes() == before
    assert "begun with seed = 1 and now it is 2" in error_of(
        capsys, "label", "--policy", "tiny", "--tasks", "starter@train", "--limit", "2", "--out", str(out),
        "--num-samples", "2", "--completions", "3", "--first-chunk", "2", "--max-new-tokens", "40", "--seed", "2",
        "--selection", "full",
    )  # fmt: skip

    rows, back, again = tmp_path / "rows.jsonl", tmp_path / "back.jsonl", tmp_path / "again.jsonl"
    assert main(["prm", "export", str(out), "--out", str(rows)]) == 0
    first = json.loads(rows.read_text().splitlines()[0])
    assert list(first) == ["prompt", "completions", "labels"]
    assert main(["prm", "import", str(rows), "--policy", "tiny", "--out", str(back)]) == 0
    assert main(["prm", "export", str(back), "--out", str(again)]) == 0
    assert [program.labels for program in read_labels(back)] == [
        program.labels for program in programs if program.labels
    ]
    assert again.read_bytes() == rows.read_bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--completions", "0"], "--completions is 0: give a number from 1 on."),
        (["--temperature", "0"], "all 20 completions of a prefix would be the same; give a temperature above 0."),
        (["--out", "no/such/labels.jsonl"], "make no/such first."),
        (["--policy", "tiny", "tiny"], "names a policy twice"),
        (["--limit", "0"], "--limit is 0: give a number from 1 on."),
    ],
)
def test_settings_that_could_only_fail_late(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = {"--policy": ["tiny"], "--tasks": ["starter"], "--out": [str(tmp_path / "labels.jsonl")]}
    base[options[0]] = options[1:]
    arguments = [part for name, values in base.items() for part in (name, *values)]
    assert words in error_of(capsys, "label", *arguments)
    assert not (tmp_path / "labels.jsonl").exists()


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    words_of = {
        "label": "recoverable",
        "export": "stepwise",
        "import": "tokenised",
        "train": "squared",
        "score": "lines",
    }
    for command, words in words_of.items():
        with pytest.raises(SystemExit) as ended:
            main(["prm", command, "--help"])
        assert ended.value.code == 0
        assert words in capsys.readouterr().out
    assert main(["prm", "--help"]) == 0
    listed = capsys.readouterr().out
    assert all(f"  {command} " in listed for command in words_of)
    assert "Did you mean 'label'?" in error_of(capsys, "lable")
