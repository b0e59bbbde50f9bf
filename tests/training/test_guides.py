"""References as guides of a real policy: their tokens, their cuts, and whole runs with curricula."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from linewise.credit.vineppo import VinePPO
from linewise.errors import RunError
from linewise.losses.options import RatioLevel, SurrogateOptions
from linewise.losses.surrogate import importance_ratios
from linewise.policy.huggingface import HuggingFacePolicy
from linewise.policy.huggingface_logprobs import response_logprobs
from linewise.policy.tiny import tiny_causal, tiny_t5
from linewise.recipes.grpo import grpo
from linewise.recipes.vineppo import vineppo
from linewise.rollout.collect import collect
from linewise.rollout.prompts import PromptOptions, PromptStyle, build_prompt
from linewise.rollout.roll_in import RollIn, RollInOptions
from linewise.rollout.roml import RoMLOptions
from linewise.tasks.jsonl import dump_jsonl
from linewise.training.batch import collate, example_from_sample
from linewise.training.config import AnyRecipe, EvaluationOptions
from linewise.training.guides import make_guide, open_guides
from linewise.training.run import train
from linewise.types import CallTest, Credit, Limits, Outcome, Report, Sample, Sampling, Task, Verdict
from linewise.values.monte_carlo import MonteCarloOptions
from tests.training.runs import rows_of

PROMPTS = PromptOptions(style=PromptStyle.COMPLETION)
REFERENCE = """def f(x):
    y = x + 1
    if y > 3:
        y = 3
    for _ in range(2):
        y -= 1
    return y
"""


def make_task(name: str, reference: str | None = REFERENCE, split: str = "train") -> Task:
    return Task(
        id=name,
        prompt="Do it.",
        tests=(CallTest(call="f(1)", expected="0"),),
        entry_point="f",
        signature="def f(x):",
        reference=reference,
        limits=Limits(cpu_seconds=0.5, total_cpu_seconds=1.0),
        metadata={"split": split, "family": name[0]},
    )


@pytest.fixture(scope="module")
def policy() -> HuggingFacePolicy:
    loaded = tiny_causal()
    return HuggingFacePolicy(loaded.model, loaded.tokenizer)


def test_a_reference_becomes_a_guide(policy: HuggingFacePolicy) -> None:
    guide = make_guide(make_task("t"), policy, PROMPTS)
    assert guide is not None
    assert guide.text == REFERENCE.removeprefix("def f(x):").rstrip()
    assert bytes(token - 2 for token in guide.token_ids).decode() == guide.text
    assert (guide.num_lines, guide.conditionals) == (6, (1, 3)), "before `if` stands one line, before `for` three"
    begun = guide.begin(guide.conditionals[-1])
    assert begun is not None
    assert begun.text == "\n    y = x + 1\n    if y > 3:\n        y = 3\n", "without the loop"


def test_lines_are_counted_after_a_prompt_without_a_header(policy: HuggingFacePolicy) -> None:
    guide = make_guide(replace(make_task("t"), signature=None), policy, PROMPTS)
    assert guide is not None
    assert guide.text == "\n" + REFERENCE.rstrip()
    assert (guide.num_lines, guide.conditionals) == (7, (2, 4))


@pytest.mark.parametrize(
    "reference",
    [
        None,
        "def f(x):\n    return 0\n",
        "def f(x): return 0\n",
        "import math\ndef f(x):\n    if x:\n        return 0\n",
    ],
    ids=["none", "one line", "no line", "other beginning"],
)
def test_references_that_cannot_guide(reference: str | None, policy: HuggingFacePolicy) -> None:
    task = make_task("t", reference)
    assert make_guide(task, policy, PROMPTS) is None
    with pytest.raises(RunError, match=r"none of the 1 training tasks has one.*begin with the task's signature"):
        open_guides([task], policy, PROMPTS, encoder_decoder=False)
    assert open_guides([task, make_task("u")], policy, PROMPTS, encoder_decoder=False).keys() == {"u"}


def test_what_follows_the_function_is_never_given(policy: HuggingFacePolicy) -> None:
    """Sampling ends at the line at column 0, so nothing after it could be written."""
    task = make_task("t", REFERENCE + "\ndef g():\n    if 1:\n        pass\n")
    guide = make_guide(task, policy, PROMPTS)
    assert guide is not None
    assert guide.text == REFERENCE.removeprefix("def f(x):").rstrip()
    assert guide.begin(99) == guide.begin(5)


class FailingJudge:
    """Fails everything."""

    def run(self, task: Task, program: str) -> Report:
        """A failure."""
        return Report(outcomes=(Outcome(verdict=Verdict.FAILED),))

    def run_many(self, programs):  # type: ignore[no-untyped-def]
        """Failures."""
        return iter([self.run(*one) for one in programs])


def test_given_tokens_are_prompt_and_enter_no_ratio(policy: HuggingFacePolicy) -> None:
    task = make_task("t")
    guide = make_guide(task, policy, PROMPTS)
    assert guide is not None
    begun = guide.begin(4)
    assert begun is not None and begun.token_ids is not None
    (group,) = collect(
        policy,
        FailingJudge(),
        [task],
        num_samples=4,
        sampling=Sampling(max_new_tokens=12),
        seed=0,
        prompts=PROMPTS,
        begun=[begun],
    ).groups
    prompt_ids = tuple(policy.tokenizer(build_prompt(task, policy, PROMPTS).text)["input_ids"])
    examples = []
    for rollout in group.rollouts:
        assert rollout.completion.prompt_ids == (*prompt_ids, *begun.token_ids)
        assert rollout.program.source.startswith(build_prompt(task, policy, PROMPTS).header + begun.text)
        ones = np.ones(len(rollout.completion.token_ids), dtype=np.float32)
        credit = Credit(rewards=ones, advantages=ones, weights=ones, terms={})
        examples.append(example_from_sample(Sample(rollout=rollout, credit=credit), 1.0))
    batch = collate(examples, pad_id=0, device=torch.device("cpu"))
    mask = batch.sequences.response_mask
    assert mask.sum(dim=1).tolist() == [len(rollout.completion.token_ids) for rollout in group.rollouts]
    with torch.no_grad():
        logprobs = response_logprobs(tiny_causal().model, batch.sequences).logprobs
    for row, rollout in enumerate(group.rollouts):
        own = logprobs[row, : len(rollout.completion.token_ids)].numpy()
        assert own == pytest.approx(np.array(rollout.completion.logprobs), abs=1e-4), "the trainer sees what it saw"
    # A sequence's ratio is over its sampled tokens: .1 more on each of T gives exp(.1 T), whatever was given.
    ratios = importance_ratios(logprobs + 0.1 * mask, logprobs, mask, RatioLevel.SEQUENCE)
    lengths = mask.sum(dim=1, keepdim=True).expand(mask.shape)
    assert ratios[mask].numpy() == pytest.approx(np.exp(0.1 * lengths[mask].numpy()), rel=1e-5)


def recipe(base: AnyRecipe, folder: Path, **changes: object) -> AnyRecipe:
    loaded = tiny_causal()
    loaded.model.save_pretrained(folder / "policy")
    loaded.tokenizer.save_pretrained(folder / "policy")
    tasks = [make_task(name) for name in ("a1", "a2", "b1")] + [make_task("b2", None), make_task("c", None, "heldout")]
    dump_jsonl(tasks, folder / "tasks.jsonl")
    small = replace(
        base,
        policy=str(folder / "policy"),
        tasks=(f"jsonl:{folder / 'tasks.jsonl'}",),
        steps=4,
        precision="no",
        workers=1,
        save_every=1,
        collection=replace(
            base.collection, tasks_per_step=4, num_samples=2, sampling=Sampling(max_new_tokens=8), prompts=PROMPTS
        ),
        buffer=replace(base.buffer, capacity=8, warmup=8),
        update=replace(base.update, samples_per_step=8, minibatches=1),
        supervised=replace(base.supervised, references_per_step=0),
        evaluation=EvaluationOptions(num_samples=2, sampling=Sampling(max_new_tokens=8)),
    )
    return replace(small, **changes)  # type: ignore[arg-type]


def test_a_run_with_a_curriculum_and_a_task_sampler_resumes_to_the_same_numbers(tmp_path: Path) -> None:
    hooks = {
        # Every step is within tolerance, so h falls at each step after the first: 6, 6, 4, 2.
        "roll_in": RollInOptions(kind=RollIn.JSRL, num_stages=3, window=1, tolerance=1.0),
        "roml": RoMLOptions(alpha=0.2, key="family"),
    }
    settings = recipe(grpo(), tmp_path, **hooks)
    sequence = replace(settings.update, surrogate=SurrogateOptions(ratio_level=RatioLevel.SEQUENCE))
    settings = replace(settings, update=sequence)
    train(settings, tmp_path / "whole")
    train(replace(settings, steps=2), tmp_path / "parts")
    train(settings, tmp_path / "parts", resume=True)
    metrics = rows_of(tmp_path / "whole" / "metrics.jsonl")
    assert rows_of(tmp_path / "parts" / "metrics.jsonl") == metrics
    assert [row["roll_in/stage"] for row in metrics] == [0, 1, 2, 3]
    state = json.loads((tmp_path / "whole" / "checkpoints" / "step-000004" / "state-0.json").read_text())
    assert state["hooks"]["stages"]["all tasks"]["index"] == 3
    assert state["hooks"]["task_probs"].keys() == {"a", "b"}

    given: dict[int, set[int]] = {}
    for row in rows_of(tmp_path / "whole" / "rollouts.jsonl"):
        begun = row.get("begun")
        given.setdefault(row["step"], set()).add(begun["text"].count("\n") - 1 if begun else 0)  # type: ignore[arg-type, index, call-overload]
        assert begun is None or row["program"]["source"].count(begun["text"]) == 1  # type: ignore[index]
    # All but the last line, then h; the task without a reference is the original one.
    assert [max(lines) for _, lines in sorted(given.items())] == [5, 5, 4, 2]

    train(recipe(grpo(), tmp_path, steps=1), tmp_path / "plain")
    name = "evaluations/step-000000.json"
    ours, plain = (json.loads((tmp_path / run / name).read_text()) for run in ("whole", "plain"))
    assert programs_of(ours) == programs_of(plain), "evaluation is from scratch"


def programs_of(evaluation: object) -> str:
    """An evaluation without what depends on the clock."""
    if isinstance(evaluation, dict):
        return str({key: programs_of(value) for key, value in evaluation.items() if "seconds" not in key})
    return str([programs_of(one) for one in evaluation]) if isinstance(evaluation, list) else str(evaluation)


def test_line_values_begin_where_the_policy_did(tmp_path: Path) -> None:
    """VinePPO samples on from states of a guided program; their first state is the guide's end, not the bare prompt."""
    settings = recipe(
        vineppo(),
        tmp_path,
        steps=1,
        credit=VinePPO(),
        vines=MonteCarloOptions(num_completions=2, first_chunk=2),
        roll_in=RollInOptions(kind=RollIn.CCCS),
        evaluation=EvaluationOptions(num_samples=0),
    )
    train(settings, tmp_path / "run")
    rows = rows_of(tmp_path / "run" / "rollouts.jsonl")
    begun = [row for row in rows if "begun" in row]
    assert begun and len(begun) < len(rows)
    for row in begun:
        lines = [line for line, _ in row["scores"]["line_values"]]  # type: ignore[index]
        # Two lines of the header, four of the guide.
        assert lines[0] == 0
        assert all(line >= 7 for line in lines[1:])


def test_an_encoder_decoder_is_refused(tmp_path: Path) -> None:
    settings = recipe(grpo(), tmp_path, roll_in=RollInOptions(kind=RollIn.CCCS))
    loaded = tiny_t5()
    loaded.model.save_pretrained(tmp_path / "t5")
    loaded.tokenizer.save_pretrained(tmp_path / "t5")
    with pytest.raises(RunError, match="needs a decoder-only policy"):
        train(replace(settings, policy=str(tmp_path / "t5")), tmp_path / "run")
