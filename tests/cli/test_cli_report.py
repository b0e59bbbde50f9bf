"""`linewise report`: where the page goes, and errors that name the remedy."""

import json
from pathlib import Path

import pytest

from linewise.cli.main import main


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"algorithm": "RLTF", "policy": "tiny", "tasks": ["starter"]}))
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 1, "rollout/pass_rate": 0.25}) + "\n")
    return folder


def test_the_page_of_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{run / 'report.html'}\n"
    assert captured.err == ""
    page = (run / "report.html").read_text()
    assert "RLTF on tiny" in page
    assert "rollouts.jsonl is missing." in page


def test_a_page_elsewhere(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'page.html'}\n"
    assert (tmp_path / "page.html").exists()
    assert not (run / "report.html").exists()


def test_drawing_again_replaces_the_page(run: Path) -> None:
    main(["report", str(run)])
    with (run / "metrics.jsonl").open("a") as lines:
        lines.write(json.dumps({"step": 2, "rollout/pass_rate": 0.5}) + "\n")
    main(["report", str(run)])
    assert "steps<b>2</b>" in (run / "report.html").read_text()


@pytest.mark.parametrize("name", ["empty", "none"])
def test_a_folder_that_is_no_run(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["report", str(tmp_path / name)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"linewise report: {tmp_path / name} holds no run: it has neither config.json nor metrics.jsonl. "
        "Give the --out of a run.\n"
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_a_page_that_cannot_be_written(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run), "--out", str(tmp_path / "none" / "page.html")]) == 2
    err = capsys.readouterr().err
    assert "No such file or directory. Choose another --out." in err
    assert "Traceback" not in err


def test_no_folder_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["report"])
    assert end.value.code == 2
    assert "linewise report --help" in " ".join(capsys.readouterr().err.split())
