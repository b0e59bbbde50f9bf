"""`linewise pretrain`, and the policy `arena` that other commands build with it."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from linewise.cli import pretrain as cli
from linewise.cli.main import main
from linewise.errors import PolicyError
from linewise.policy.names import ARENA_FOLDER, arena_folder, resolve_policy
from linewise.training.pretrain_options import ModelSize, PretrainOptions

TINY = ModelSize(hidden_size=32, intermediate_size=64, num_layers=1, num_heads=2, num_key_value_heads=1, vocabulary=300)
FLAGS = ["--steps", "3", "--programs-per-step", "4", "--model.num-layers", "1", "--model.hidden-size", "24"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LINEWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[PretrainOptions]:
    """The cached policy trains for two updates of a tiny model; gives the options that were asked for."""
    asked: list[PretrainOptions] = []
    train = cli.train

    def quickly(options: PretrainOptions, folder: Path) -> None:
        asked.append(options)
        train(PretrainOptions(steps=2, programs_per_step=4, model=TINY), folder)

    monkeypatch.setattr(cli, "train", quickly)
    return asked


def test_a_policy_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "small"
    assert main(["pretrain", "--out", str(out), *FLAGS]) == 0
    captured = capsys.readouterr()
    assert captured.out.replace("\n", "") == f"policy: {out}"
    assert "3 updates" in captured.err
    assert resolve_policy(str(out)) == str(out)
    assert main(["pretrain", "--out", str(out), *FLAGS]) == 2
    assert "is there already, and nothing is replaced" in capsys.readouterr().err


def test_other_settings_need_a_folder(capsys: pytest.CaptureFixture[str], cache: Path) -> None:
    assert main(["pretrain", "--steps", "3"]) == 2
    assert "give --out FOLDER" in capsys.readouterr().err
    assert not cache.exists()


def test_the_library_says_how_to_make_it() -> None:
    with pytest.raises(PolicyError, match="Run `linewise pretrain` once"):
        resolve_policy("arena")


def test_the_cached_policy_is_built_once(
    quick: list[PretrainOptions], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pretrain"]) == 0
    assert quick == [PretrainOptions()]
    assert resolve_policy("arena") == str(cache / ARENA_FOLDER) == str(arena_folder())
    assert main(["pretrain"]) == 0
    assert len(quick) == 1
    assert "is there already" in capsys.readouterr().out


def test_eval_builds_it(quick: list[PretrainOptions], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--policy",
        "arena",
        "--tasks",
        "arena",
        "--limit",
        "2",
        "--max-new-tokens",
        "4",
        "--workers",
        "1",
        "--json",
    ]
    assert main(["eval", *arguments]) == 0
    assert quick == [PretrainOptions()]
    captured = capsys.readouterr()
    assert '"num_tasks": 2' in captured.out
    assert "pretrained once" in captured.err


def test_other_policies_build_nothing(quick: list[PretrainOptions]) -> None:
    cli.ensure_policy("tiny")
    assert quick == []


def test_an_interrupted_training_leaves_nothing(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    def interrupted(options: PretrainOptions, folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "train", interrupted)
    assert main(["pretrain"]) == 130
    assert not arena_folder().exists()
    assert [path.name for path in cache.iterdir()] == [f"{ARENA_FOLDER}.lock"]
