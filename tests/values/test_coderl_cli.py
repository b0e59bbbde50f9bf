"""`linewise coderl critic` and `linewise eval --strategy critic-sampling` with the policy `tiny`."""

import json
from pathlib import Path

import pytest
import torch

from linewise.cli import coderl, coderl_critic
from linewise.cli import eval as cli_eval
from linewise.errors import PolicyError, RunError, UserError
from linewise.policy.classifier import save_classifier
from linewise.prm.journal import Journal
from linewise.tasks.jsonl import dump_jsonl
from linewise.training.outcome import OutcomeTrainer
from linewise.types import CallTest, Task
from linewise.values.outcome import load_outcome_critic
from linewise.values.programs import read_judged
from tests.training.runs import rows_of


def task(name: str) -> Task:
    return Task(
        id=name,
        prompt=f"Give what {name} says.",
        entry_point="f",
        signature="def f(a):",
        reference="def f(a):\n    return a\n",
        tests=(CallTest(call="f(1)", expected="1", example=True), CallTest(call="f(2)", expected="2")),
    )


@pytest.fixture
def tasks(tmp_path: Path) -> str:
    dump_jsonl([task(name) for name in ("a", "b", "c")], tmp_path / "tasks.jsonl")
    return f"jsonl:{tmp_path / 'tasks.jsonl'}"


@pytest.fixture
def critic(tmp_path: Path) -> str:
    """A critic that says something else of every token."""
    loaded = load_outcome_critic("tiny")
    with torch.no_grad():
        loaded.model.score.weight.normal_(std=0.05, generator=torch.Generator().manual_seed(0))
    save_classifier(loaded.model, loaded.tokenizer, tmp_path / "critic")
    return str(tmp_path / "critic")


TRAIN = ["--policy", "tiny", "--num-samples", "2", "--max-new-tokens", "8", "--epochs", "1", "--precision", "no"]


def test_a_critic_from_sampling_to_weights(
    tasks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coderl_critic, "TASKS_AT_ONCE", 2)
    out = tmp_path / "run"
    arguments = ["critic", *TRAIN, "--tasks", tasks, "--out", str(out), "--workers", "1"]
    assert coderl.main(arguments) == 0
    said = capsys.readouterr().out
    for words in ("3 references", "AUC passed against not", "true \\ said", "critic:"):
        assert words in said
    assert len(read_judged(out / "programs.jsonl")) == 9
    assert load_outcome_critic(str(out / "critic"), trained=True).model.config.num_labels == 4
    config = json.loads((out / "config.json").read_text())
    assert (config["policy"], config["critic"], config["algorithm"]) == ("tiny", "tiny", "outcome critic")
    with pytest.raises(UserError, match="holds a critic already: go on with it with --resume"):
        coderl.main(arguments)

    # A run that was stopped after its first block of tasks ends with the same programs.
    again = tmp_path / "again"
    again.mkdir()
    lines = (out / "programs.jsonl.progress").read_text().splitlines()
    size = json.loads(lines[1])["size"]
    (again / "programs.jsonl").write_bytes((out / "programs.jsonl").read_bytes()[:size])
    (again / "programs.jsonl.progress").write_text("\n".join(lines[:2]) + "\n")
    arguments[arguments.index(str(out))] = str(again)
    assert coderl.main(arguments) == 0
    assert (again / "programs.jsonl").read_bytes() == (out / "programs.jsonl").read_bytes()

    anew = ["critic", *TRAIN, "--programs", str(out / "programs.jsonl"), "--out", str(tmp_path / "anew")]
    assert coderl.main(anew) == 0
    assert (tmp_path / "anew" / "critic" / "config.json").exists()


LONGER = ["--epochs", "4", "--programs-per-step", "2", "--learning-rate", "1e-2", "--held-out-share", "0.4"]


class KilledError(BaseException):
    """What no handler of the library catches."""


def killed(*_: object, **__: object) -> None:
    raise KilledError


def test_a_critic_killed_while_sampling_and_while_training_is_the_same_critic(
    tasks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coderl_critic, "TASKS_AT_ONCE", 1)
    start = [*TRAIN, *LONGER, "--tasks", tasks, "--workers", "1"]
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert coderl_critic.main([*start, "--out", str(whole)]) == 0
    with monkeypatch.context() as patch:
        finish = Journal.finish_block
        patch.setattr(Journal, "finish_block", lambda *block: killed() if block[0].blocks else finish(*block))
        with pytest.raises(KilledError):
            coderl_critic.main([*start, "--out", str(out)])
    assert 0 < len(read_judged(out / "programs.jsonl")) < 9
    with pytest.raises(RunError, match=r"temperature = 1.0, not 0.5.*Drop the override"):
        coderl_critic.main(["--resume", str(out), "--temperature", "0.5"])
    with pytest.raises(RunError, match="has epochs = 4, not 5"):
        coderl_critic.main([*start, "--out", str(out), "--epochs", "5"])
    with monkeypatch.context() as patch:
        gradients = OutcomeTrainer.gradients
        patch.setattr(OutcomeTrainer, "gradients", lambda *one: killed() if one[1] == 4 else gradients(*one))
        with pytest.raises(KilledError):
            coderl_critic.main(["--resume", str(out)])
    assert len(rows_of(out / "metrics.jsonl")) == 3
    with pytest.raises(UserError, match=r"holds a critic already: go on with it with --resume .*another --out"):
        coderl_critic.main([*start, "--out", str(out)])
    assert coderl_critic.main(["--resume", str(out)]) == 0

    assert rows_of(out / "metrics.jsonl") == rows_of(whole / "metrics.jsonl")
    assert len(rows_of(out / "metrics.jsonl")) > 4
    names = ["programs.jsonl", "held_out.json", "finished.json", "config.json", "critic/model.safetensors"]
    assert [name for name in names if (out / name).read_bytes() != (whole / name).read_bytes()] == []
    assert not (out / "checkpoints").exists()
    # A finished one is left alone; neither its programs nor a policy are looked for.
    (out / "programs.jsonl").unlink()
    capsys.readouterr()
    assert coderl_critic.main(["--resume", str(out)]) == 0
    said = capsys.readouterr().out
    assert "is finished: nothing is left to do" in said
    assert "AUC passed against not" in said
    assert not (out / "programs.jsonl").exists()


def test_what_failed_before_the_first_program_can_be_set_right(tasks: str, tmp_path: Path) -> None:
    out, missing = ["--out", str(tmp_path / "run")], str(tmp_path / "missing.jsonl")
    with pytest.raises(UserError, match="cannot read"):
        coderl_critic.main([*TRAIN, "--programs", missing, *out])
    with pytest.raises(PolicyError):
        coderl_critic.main([*TRAIN, "--policy", str(tmp_path / "missing"), "--tasks", tasks, *out])
    with pytest.raises(RunError, match="at least two tasks are needed"):
        coderl_critic.main(
            [*TRAIN, "--held-out-share", "0.4", "--workers", "1", "--tasks", tasks, "--limit", "1", *out]
        )
    assert len(read_judged(tmp_path / "run" / "programs.jsonl")) == 3, "what was sampled is there, and binds"
    with pytest.raises(RunError, match="has limit = 1, not None"):
        coderl_critic.main([*TRAIN, "--held-out-share", "0.4", "--tasks", tasks, *out])


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no critic to go on with.*Start one with --out"):
        coderl_critic.main(["--resume", str(tmp_path)])
    with pytest.raises(UserError, match="give --out FOLDER"):
        coderl_critic.main(["--policy", "tiny", "--tasks", "starter"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either --tasks"),
        (["--tasks", "starter", "--programs", "x"], "either --tasks"),
        (["--tasks", "starter", "--limit", "0"], "--limit is 0"),
    ],
)
def test_settings_that_train_nothing(arguments: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        coderl_critic.main(["--policy", "tiny", "--out", str(tmp_path / "run"), *arguments])


def test_unknown_subcommands_get_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"'coderl critics'. Did you mean 'critic'"):
        coderl.main(["critics"])


SEARCH = ["--policy", "tiny", "--max-new-tokens", "8", "--workers", "1", "--num-samples", "2", "--k", "1", "2"]
STRATEGY = ["--strategy", "critic-sampling"]


def test_critic_sampling_counts_what_it_costs(
    critic: str, tasks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*SEARCH, "--tasks", tasks, *STRATEGY, "--critic", critic, "--repair-model", "tiny"]
    assert cli_eval.main([*arguments, "--json", "--out", str(tmp_path / "out.json")]) == 0
    record = json.loads(capsys.readouterr().out)
    plain, kept, searched = record["strategies"].values()
    # A random model passes no test, so each task is repaired once and nothing is refined.
    assert record["num_repairs"] == 3
    assert record["mean_kept"] is None
    assert plain["num_programs"] == kept["num_programs"] == searched["num_programs"] == 3 * 2 * 2
    assert searched["num_scored"] == 6
    assert searched["num_tokens"] > 0
    assert json.loads((tmp_path / "out.json").read_text())["num_samples"] == 2
    assert cli_eval.main(arguments) == 0
    said = capsys.readouterr().out
    for words in ("plain sampling", "by the examples", "critic sampling", "gain over", "3 repaired"):
        assert words in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (STRATEGY, "needs --critic FOLDER"),
        (["--critic", "x"], "add --strategy critic-sampling"),
        ([*STRATEGY, "--critic", "x", "--rounds", "-1"], "rounds=-1"),
        ([*STRATEGY, "--critic", "x", "--rerank", "y"], "without --rerank"),
        ([*STRATEGY, "--critic", "x", "--policy", "reference"], "that samples"),
    ],
)
def test_settings_that_do_not_go_together(arguments: list[str], message: str, tasks: str) -> None:
    with pytest.raises(UserError, match=message):
        cli_eval.main([*SEARCH, "--tasks", tasks, *arguments])
