"""Recipes that learn from a trained judge of lines or tokens, above all where the outcome is too rare to learn from.

Bodies of four lines, each with five variants. A *rare* policy writes all variants equally: one combination of 625 passes, and
outcome-only PPO sees next to no reward within the budget, while a process reward model says which lines were right. A *fair*
policy writes the right variant most of the time.
"""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from linewise.cli.train import main as train_command
from linewise.credit.ppo import PPO
from linewise.evaluation.evaluate import Evaluation
from linewise.judge import LocalJudge
from linewise.losses.options import KlLossOptions
from linewise.policy.huggingface import HuggingFacePolicy, load_policy
from linewise.policy.huggingface_logprobs import response_logprobs
from linewise.policy.tiny import tiny_causal
from linewise.prm.labels import Kind, LabelledProgram, write_labels
from linewise.recipes.coderl import coderl
from linewise.recipes.ircoco import ircoco
from linewise.recipes.ppo import ppo
from linewise.recipes.process_grpo import process_grpo
from linewise.recipes.psgpo import Use, dense_ppo, final_of, psgpo
from linewise.recipes.tp_grpo import tp_grpo
from linewise.rollout.buffer import BufferOptions
from linewise.rollout.program import extract_program
from linewise.rollout.prompts import PromptOptions, PromptStyle, build_prompt
from linewise.tasks.jsonl import dump_jsonl
from linewise.training.batch import collate
from linewise.training.config import AnyRecipe, EvaluationOptions, SupervisedOptions
from linewise.training.outcome import train_outcome_critic
from linewise.training.outcome_options import OutcomeTrainOptions
from linewise.training.outcome_programs import sample_programs
from linewise.training.prm import train_prm
from linewise.training.prm_options import PrmTrainOptions
from linewise.training.references import reference_example
from linewise.training.run import train
from linewise.types import CallTest, Completion, KlEstimator, Limits, Need, Sampling, StopReason, Task
from tests.training.runs import rows_of

LINES = (
    ("a=x+1", "a=x-1", "a=x*3", "a=x+5", "a=x*x"),
    ("b=a*2", "b=a+2", "b=a-4", "b=a*a", "b=a//2"),
    ("c=b-3", "c=b+3", "c=b*3", "c=b-a", "c=b+a"),
    ("return c*5", "return c+5", "return c-5", "return c*7", "return c+x"),
)
"""The first variant of each line is the right one."""
PROMPTS = PromptOptions(style=PromptStyle.COMPLETION)
SAMPLING = Sampling(max_new_tokens=48)


def make_task(name: str, split: str) -> Task:
    return Task(
        id=name,
        prompt="Do it.",
        tests=tuple(CallTest(call=f"{name}({x})", expected=str((2 * (x + 1) - 3) * 5)) for x in (0, 3, 7)),
        entry_point=name,
        signature=f"def {name}(x):",
        reference=f"def {name}(x):\n{body((0, 0, 0, 0))}",
        limits=Limits(cpu_seconds=0.5, total_cpu_seconds=1.0),
        metadata={"split": split},
    )


def body(choice: tuple[int, ...]) -> str:
    return "".join(f"    {variants[which]}\n" for variants, which in zip(LINES, choice, strict=True))


TASKS = [make_task(f"f{index}", "train") for index in range(4)] + [make_task("g0", "heldout")]


def warm_start(folder: Path, right: float) -> Path:
    """A policy that writes the right variant of a line with this probability, and the others equally."""
    torch.manual_seed(0)
    loaded = tiny_causal()
    policy = HuggingFacePolicy(loaded.model, loaded.tokenizer)
    random = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(loaded.model.parameters(), lr=3e-3)
    for _ in range(150):
        examples = []
        for task in TASKS:
            for _ in range(6):
                choice = tuple(random.choice(5, size=4, p=[right, *[(1 - right) / 4] * 4]).tolist())
                answer = replace(task, reference=f"{task.signature}\n{body(choice)}")
                examples.append(reference_example(answer, policy, PROMPTS))
        batch = collate(examples, pad_id=loaded.tokenizer.pad_token_id, device=torch.device("cpu"))
        logprobs = response_logprobs(loaded.model, batch.sequences).logprobs
        loss = -(logprobs * batch.weights).sum() / batch.weights.sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(loaded.model.parameters(), 1.0)
        optimiser.step()
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return folder


def labelled(task: Task, choice: tuple[int, ...], policy: HuggingFacePolicy) -> LabelledProgram:
    """A program with its true labels: a line is recoverable while all lines so far are right."""
    prompt = build_prompt(task, policy, PROMPTS)
    example = reference_example(replace(task, reference=f"{task.signature}\n{body(choice)}"), policy, PROMPTS)
    decoded = policy._token_bytes.decode_with_spans(example.response_ids)
    program = extract_program(prompt, decoded.text)
    right = list(itertools.accumulate((which == 0 for which in choice), lambda so_far, now: so_far and now))
    first_line = 1 + len(program.source[: program.header_chars].splitlines())
    return LabelledProgram(
        task_id=task.id,
        prompt=prompt,
        completion=Completion(
            prompt_ids=example.prompt_ids,
            token_ids=example.response_ids,
            logprobs=(0.0,) * len(example.response_ids),
            char_spans=decoded.char_spans,
            text=decoded.text,
            stop_reason=StopReason.EOS,
        ),
        program=program,
        kind=Kind.REVISED if right[0] else Kind.WRONG,
        task_pass_rate=0.0,
        first_line=first_line,
        labels=tuple(1 if one else -1 for one in right),
        policy="warm",
    )


def reward_model(policy_folder: Path, folder: Path) -> Path:
    """A process reward model, trained on labels whose first wrong line lies anywhere."""
    policy, random = load_policy(str(policy_folder)), np.random.default_rng(1)
    programs = []
    for index in range(480):
        choice, error = random.integers(5, size=4), int(random.integers(4))
        choice[:error], choice[error] = 0, random.integers(1, 5)
        programs.append(labelled(TASKS[index % len(TASKS)], tuple(choice.tolist()), policy))
    write_labels(programs, folder / "labels.jsonl")
    options = PrmTrainOptions(
        labels=(folder / "labels.jsonl",),
        policy=str(policy_folder),
        kinds=("revised", "wrong"),
        epochs=4,
        programs_per_step=16,
        learning_rate=1e-3,
        held_out_share=0.2,
        evaluations_per_epoch=1,
        precision="no",
    )
    result = train_prm(options, folder / "prm")
    assert result.metrics.sign_accuracy > 0.9
    return result.folder


def tiny(recipe: AnyRecipe, policy: Path, tasks: Path, steps: int) -> AnyRecipe:
    return replace(
        recipe,
        policy=str(policy),
        tasks=(f"jsonl:{tasks}",),
        steps=steps,
        precision="no",
        workers=1,
        save_every=1000,
        collection=replace(recipe.collection, tasks_per_step=4, num_samples=8, sampling=SAMPLING),
        buffer=BufferOptions(capacity=32, warmup=32),
        update=replace(recipe.update, samples_per_step=32, learning_rate=3e-4, warmup_steps=0),
        critic=replace(recipe.critic, learning_rate=3e-4),
        evaluation=EvaluationOptions(num_samples=64, sampling=SAMPLING),
    )


def final(result: Evaluation | None) -> float:
    assert result is not None
    return result.pass_at_k(1).mean


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tasks") / "tasks.jsonl"
    dump_jsonl(TASKS, path)
    return path


@pytest.fixture(scope="module")
def rare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warm_start(tmp_path_factory.mktemp("rare"), right=0.2)


@pytest.fixture(scope="module")
def fair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warm_start(tmp_path_factory.mktemp("fair"), right=0.6)


@pytest.fixture(scope="module")
def prm(rare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reward_model(rare, tmp_path_factory.mktemp("prm"))


@pytest.mark.slow
def test_outcome_only_ppo_stays_near_zero(rare: Path, tasks: Path, tmp_path: Path) -> None:
    result = train(tiny(replace(ppo(), credit=PPO()), rare, tasks, steps=24), tmp_path / "run")
    assert final(result.before) < 0.05
    assert final(result.after) < 0.1


@pytest.mark.slow
def test_dense_reward_and_value_initialisation_find_what_the_outcome_hides(
    rare: Path, tasks: Path, prm: Path, tmp_path: Path
) -> None:
    # The recipe's own KL keeps the policy to programs that the model can judge: without it, it finds nonsense that scores 1.
    recipe = tiny(dense_ppo(), rare, tasks, steps=32)
    recipe = replace(recipe, prm=str(prm), critic=replace(recipe.critic, init=str(prm), rescale=True))
    assert final(train(recipe, tmp_path / "run").after) > 0.5


@pytest.mark.slow
def test_immediate_rewards_of_an_evaluator_lift_a_fair_policy(
    fair: Path, tasks: Path, prm: Path, tmp_path: Path
) -> None:
    """Right lines change nothing in the forecast, so there is next to no praise: a rare policy would only be blamed."""
    recipe = tiny(replace(ircoco(), prm=str(prm)), fair, tasks, steps=24)
    penalty = KlLossOptions(coef=0.1, estimator=KlEstimator.K2)
    recipe = replace(recipe, update=replace(recipe.update, kl=penalty))
    result = train(recipe, tmp_path / "run")
    assert final(result.before) < 0.2
    assert final(result.after) > 0.3


@pytest.mark.slow
def test_tp_grpo_learns_from_a_fair_policy(fair: Path, tasks: Path, prm: Path, tmp_path: Path) -> None:
    result = train(tiny(replace(tp_grpo(), prm=str(prm)), fair, tasks, steps=16), tmp_path / "run")
    assert final(result.before) < 0.3
    assert final(result.after) > 0.5


@pytest.mark.slow
def test_process_supervision_in_grpo_learns_from_a_fair_policy(
    fair: Path, tasks: Path, prm: Path, tmp_path: Path
) -> None:
    result = train(tiny(replace(process_grpo(), prm=str(prm)), fair, tasks, steps=16), tmp_path / "run")
    assert final(result.before) < 0.3
    assert final(result.after) > 0.5


@pytest.mark.slow
def test_coderl_learns_with_a_critic_of_the_policys_own_programs(fair: Path, tasks: Path, tmp_path: Path) -> None:
    policy = load_policy(str(fair))
    with LocalJudge(workers=1) as judge:
        block = sample_programs(policy, judge, TASKS, num_samples=24, sampling=SAMPLING, seed=0, prompts=PROMPTS)
    options = OutcomeTrainOptions(
        epochs=4, programs_per_step=16, learning_rate=1e-3, held_out_share=0.2, evaluations_per_epoch=1, precision="no"
    )
    critic = train_outcome_critic(options, block.programs, tmp_path / "critic", policy=str(fair))
    recipe = tiny(replace(coderl(), outcome_critic=str(critic.folder)), fair, tasks, steps=16)
    recipe = replace(recipe, supervised=SupervisedOptions(references_per_step=4))
    result = train(recipe, tmp_path / "run")
    assert final(result.before) < 0.3
    assert final(result.after) > 0.5


@pytest.mark.slow
def test_four_phases_in_one_command_and_a_resumed_one_is_the_same(fair: Path, tasks: Path, tmp_path: Path) -> None:
    out = tmp_path / "psgpo"
    shape = ["collection.tasks-per-step=4", "collection.num-samples=4", "buffer.capacity=16", "buffer.warmup=16"]
    shape += ["update.samples-per-step=16", "collection.sampling.max-new-tokens=48", "save-every=1"]
    flags = [f"--{phase}.{one}" for phase in ("baseline", "final") for one in shape]
    command = [
        *("psgpo", "--baseline.policy", str(fair), "--baseline.tasks", f"jsonl:{tasks}", "--baseline.precision", "no"),
        *("--baseline.steps", "4", "--final.steps", "3", "--baseline.evaluation.num-samples", "4"),
        *("--label.num-samples", "4", "--label.num-completions", "4", "--label.sampling.max-new-tokens", "48"),
        *("--prm.epochs", "1", "--prm.held-out-share", "0.3", "--baseline.workers", "1"),
        *(part for flag in flags for part in flag.split("=")),
    ]
    assert train_command([*command, "--out", str(out)]) == 0
    labels = (out / "labels.jsonl").read_text()
    assert len(labels.splitlines()) > 8
    assert '"policy": "' + str(out / "baseline" / "policies" / "step-000004") in labels, "the last policy is labelled"
    assert (out / "prm" / "report.html").exists()
    final_metrics = rows_of(out / "final" / "metrics.jsonl")
    assert len(final_metrics) == 3
    assert all("critic/explained_variance" in row for row in final_metrics)
    # A run that was killed in its last phase, and moved, repeats none of the others.
    shutil.rmtree(out / "final")
    out = out.rename(tmp_path / "moved")
    trained = (out / "prm" / "config.json").stat().st_mtime_ns
    assert train_command(["psgpo", "--resume", str(out)]) == 0
    assert rows_of(out / "final" / "metrics.jsonl") == final_metrics
    assert (out / "labels.jsonl").read_text() == labels
    assert (out / "prm" / "config.json").stat().st_mtime_ns == trained


def test_settings_that_no_phase_would_heed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"final\.seed=3 would not be heeded"):
        replace(psgpo(), final=replace(dense_ppo(), seed=3))
    with pytest.raises(ValueError, match=r"baseline\.steps=3 is too short"):
        replace(psgpo(), baseline=replace(ppo(), steps=3))


@pytest.mark.parametrize(
    ("use", "dense", "init"),
    [(Use.BASELINE, False, None), (Use.DENSE, True, None), (Use.VALUE, False, "prm"), (Use.BOTH, True, "prm")],
)
def test_the_four_uses_of_a_reward_model(use: Use, dense: bool, init: str | None) -> None:
    recipe = final_of(replace(psgpo(), use=use, baseline=replace(ppo(), seed=7)), "prm")
    assert (Need.LINE_SCORES in recipe.credit.needs) == dense
    assert recipe.critic.init == init
    assert recipe.critic.rescale == (init is not None)
    assert recipe.seed == 7
    assert recipe.update == dense_ppo().update
