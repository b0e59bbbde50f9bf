"""`linewise compare` with methods that need a judge: what it costs is charged to the run, whatever interrupts its making."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from linewise.cli import compare_judges
from linewise.cli.compare import CompareArguments, planned, run_all
from linewise.cli.main import main
from linewise.prm.journal import Journal
from linewise.recipes.equal_judges import Entry, fit_options
from linewise.recipes.equal_terms import Terms
from linewise.training.fit_options import FitOptions
from linewise.training.prm import PrmTrainer
from tests.conftest import warm_start

BODIES = tuple(f"{first}\n    {second}" for first in ("a=x+1", "a=x-1") for second in ("return a", "return x"))
"""Two lines, the first of each right; where only the second is wrong the first can be recovered."""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warm_start(tmp_path_factory.mktemp("lines"), encoder_decoder=False, bodies=BODIES, num_updates=60)


@pytest.fixture(autouse=True)
def short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judges of two passes, each measured once: how long they learn is no matter of the budget."""

    def short(entry: Entry) -> FitOptions:
        return replace(fit_options(entry), epochs=2, evaluations_per_epoch=1)

    monkeypatch.setattr(compare_judges, "fit_options", short)


def command(policy: Path | str, tasks: Path, out: Path, *methods: str, share: float = 0.6) -> list[str]:
    """48 of 80 programs are the judge's, and the rest pays for two steps."""
    return [
        *("compare", *methods, "--policy", str(policy), "--tasks", f"jsonl:{tasks}", "--out", str(out), "--seeds", "1"),
        *("--budget", "80", "--judge-share", str(share), "--programs-per-step", "16", "--max-new-tokens", "24"),
        *("--evaluations", "4", "--evaluation-samples", "2", "--line-completions", "2"),
        *("--precision", "no", "--workers", "1"),
    ]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def labels_cost(progress: Path) -> int:
    """Programs and completions by the journal of a labelling."""
    tallies = [line["block"] for line in lines_of(progress) if "block" in line]
    return sum(one["num_sampled"] + one["num_dropped"] + one["num_completions"] for one in tallies)


def results_of(out: Path) -> list[dict[str, Any]]:
    """The results without what depends on the clock."""
    results = json.loads((out / "compare.json").read_text())["results"]
    return [{**one, "cost": {**one["cost"], "seconds": None}} for one in results]


def interrupt_second(patched: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Ctrl-C at the second call of a method."""
    original, calls = getattr(owner, name), []

    def interrupted(*arguments: Any, **named: Any) -> Any:
        calls.append(name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments, **named)

    patched.setattr(owner, name, interrupted)


def test_the_price_of_a_judge_is_charged_and_an_interrupted_one_is_the_same(
    policy: Path,
    task_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    methods = ("dense-ppo", "tp-grpo", "coderl")
    out = tmp_path / "whole"
    assert main(command(policy, task_file, out, *methods)) == 0
    record = json.loads((out / "compare.json").read_text())
    dense, tp, coderl = (out / method / "seed-0" for method in methods)

    # By hand: labels + training = what is told, within the budget; the judge within its share.
    labels = labels_cost(dense / "labels.jsonl.progress")
    sampled = sum(not line["reference"] for line in lines_of(coderl / "programs.jsonl"))
    assert sampled == 48, "what a critic is made of is known beforehand"
    for folder, spent, result in ((dense, labels, record["results"][0]), (coderl, sampled, record["results"][2])):
        rows = lines_of(folder / "metrics.jsonl")
        trained = sum(row["rollout/programs"] + row.get("auxiliary/programs", 0) for row in rows)
        assert 20 < spent <= 48
        assert result["cost"]["programs"] == spent + trained <= 80
        assert result["cost"]["auxiliary_programs"] == spent + trained - rows[-1]["samples"]
        before = json.loads((folder / "judge.json").read_text())["spent"]
        config = json.loads((folder / "config.json").read_text())
        assert before["programs"] == config["spent_programs"] == spent
        tokens = sum(row["tokens/sampled"] + row.get("tokens/auxiliary", 0) for row in rows)
        assert result["cost"]["tokens"] == before["tokens"] + tokens
        assert result["cost"]["seconds"]["beforehand"] == pytest.approx(before["seconds"])
        # At a quarter the judge is in the making, and the policy is the starting one.
        programs = [point["programs"] for point in result["curve"]]
        assert programs[:2] == [0, 20]
        assert result["curve"][1]["estimate"]["mean"] == record["start"]["mean"]
        assert spent <= programs[3] <= programs[4] == result["cost"]["programs"]

    # A judge that two methods need is made once, and charged to both.
    assert not (tp / "labels.jsonl").exists()
    assert (tp / "judge.json").read_text() == (dense / "judge.json").read_text()
    assert json.loads((tp / "config.json").read_text())["spent_programs"] == labels
    page = (out / "compare.html").read_text()
    assert all(word in page for word in ("dense-ppo, tp-grpo, coderl spends up to 48 programs", "beforehand"))

    # Killed within a block of labels, in the training of the model and after a block of programs: the same numbers.
    other, two = tmp_path / "parts", ("dense-ppo", "coderl")
    for owner, name in ((Journal, "step"), (PrmTrainer, "measure"), (Journal, "finish_block")):
        with monkeypatch.context() as patched:
            interrupt_second(patched, owner, name)
            assert main(command(policy, task_file, other, *two)) == 130
    assert main(command(policy, task_file, other, *two)) == 0
    assert results_of(other) == [one for one in results_of(out) if one["method"] in two]

    # Finished runs are read back, even from another place; under another share they are refused.
    whole, moved = results_of(out), out.rename(tmp_path / "moved")
    written = (moved / "dense-ppo" / "seed-0" / "metrics.jsonl").stat().st_mtime_ns
    assert main(command(policy, task_file, moved, *methods)) == 0
    assert (moved / "dense-ppo" / "seed-0" / "metrics.jsonl").stat().st_mtime_ns == written
    assert results_of(moved) == whole
    capsys.readouterr()
    assert main(command(policy, task_file, moved, *methods, share=0.5)) == 2
    assert "was made with judge_share = 0.6, not 0.5" in " ".join(capsys.readouterr().err.split())


def test_the_phases_of_psgpo_share_one_budget(
    policy: Path, task_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its labels are interrupted, and the folder is spelled otherwise when they go on."""
    terms = Terms(
        policy=str(policy),
        tasks=(f"jsonl:{task_file}",),
        budget=104,
        judge_share=0.74,
        programs_per_step=8,
        max_new_tokens=24,
        evaluation_samples=2,
        line_completions=2,
        precision="no",
        workers=1,
    )
    plan = {("psgpo", 0): planned("psgpo", terms, 0)}
    settings = CompareArguments(methods=("psgpo",), out=Path("out"), seeds=1, terms=terms)
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patched:
        interrupt_second(patched, Journal, "step")
        with pytest.raises(KeyboardInterrupt):
            run_all(plan, settings, Console(quiet=True))
    (run,) = run_all(plan, replace(settings, out=tmp_path / "out"), Console(quiet=True))
    folder = tmp_path / "out" / "psgpo" / "seed-0"
    labels = labels_cost(folder / "labels.jsonl.progress")
    baseline = lines_of(folder / "baseline" / "metrics.jsonl")
    final = lines_of(folder / "final" / "metrics.jsonl")
    assert [row["budget/programs"] for row in baseline] == [8, 16, 24, 32], "half of 76 pays for four steps"
    assert 0 < labels <= 76 - 32
    assert final[-1]["budget/programs"] == 32 + labels + 8 * len(final) == run.cost.programs <= 104
    assert 104 - run.cost.programs < 8, "all of the rest is trained with"
    assert run.cost.auxiliary_programs == 32 + labels
    assert run.cost.steps == len(final)
    tokens = sum(row["tokens/sampled"] for row in (*baseline, *final))
    assert run.cost.tokens > tokens, "and those of the labels"
    policies = {line["policy"] for line in lines_of(folder / "labels.jsonl")}
    exported = [folder / "baseline" / "policies" / f"step-{step:06d}" for step in (3, 4)]
    assert policies <= set(map(str, exported)), "those of the warm-up are the starting policy"
    config = json.loads((folder / "final" / "config.json").read_text())
    assert config["prm"] == config["critic"]["init"] == str(folder / "prm" / "prm")
    assert (folder / "final" / "policy" / "config.json").exists()


def test_a_judge_that_has_nothing_to_learn_says_how_to_go_on(
    task_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Random weights write nothing that can be recovered: no program has lines of both kinds."""
    out = tmp_path / "out"
    assert main(command("tiny", task_file, out, "dense-ppo", "ppo")) == 2
    told = " ".join(capsys.readouterr().err.split())
    spent = labels_cost(out / "dense-ppo" / "seed-0" / "labels.jsonl.progress")
    assert 16 <= spent <= 48
    assert f"dense-ppo, seed 0: the {spent} programs that its judge was to be made of" in told
    assert "(--judge-share 0.6 of --budget 80) left 0 revised programs of 0 tasks, where it takes two tasks" in told
    assert "leave the method out: the same command without it goes on" in told
