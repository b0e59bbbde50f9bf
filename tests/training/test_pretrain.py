"""Pretraining of a small policy: what it reads, that it learns, and that it can be repeated."""

import math
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from linewise.errors import UserError
from linewise.policy.small import train_tokenizer
from linewise.rollout.prompts import PromptOptions, PromptStyle, build_prompt
from linewise.tasks import load_tasks
from linewise.tasks.arena.corpus import Draft
from linewise.training.pretrain import batches, encoded, learning_rate_factor, pretrain, rendered
from linewise.training.pretrain_options import ModelSize, PretrainOptions

TINY = ModelSize(hidden_size=32, intermediate_size=64, num_layers=1, num_heads=2, num_key_value_heads=1, vocabulary=400)
OPTIONS = PretrainOptions(steps=20, programs_per_step=6, learning_rate=1e-2, model=TINY)
DRAFT = Draft(family="f", signature="def f(n: int) -> int:", prompt="Return n.", body="    return n")


class NoChat:
    """A policy without a chat template."""

    def render_chat(self, messages: object) -> None:
        """None."""


def test_a_program_is_rendered_as_its_task_is_prompted() -> None:
    assert rendered(DRAFT) == ('def f(n: int) -> int:\n    """Return n."""', "\n    return n")
    task = load_tasks("arena@heldout")[0]
    draft = Draft(family="f", signature=task.signature or "", prompt=task.prompt, body="    pass")
    assert rendered(draft)[0] == build_prompt(task, NoChat(), PromptOptions(style=PromptStyle.COMPLETION)).text


def test_the_body_and_the_end_bear_the_loss() -> None:
    tokenizer = train_tokenizer(["".join(rendered(DRAFT))] * 4, 300)
    (example,) = encoded(tokenizer, [DRAFT])
    assert tokenizer.decode(example.prompt_ids) == rendered(DRAFT)[0]
    assert tokenizer.decode(example.response_ids) == "\n    return n</s>"
    assert example.weights.tolist() == [1.0] * len(example.response_ids)


def test_batches_hold_programs_of_like_length() -> None:
    tokenizer = train_tokenizer(["a"], 258)
    found = list(batches(tokenizer, PretrainOptions(steps=10, programs_per_step=4, model=TINY), 0))
    assert [len(batch) for batch in found] == [4] * 10
    spreads = [max(e.length for e in batch) - min(e.length for e in batch) for batch in found]
    lengths = [example.length for batch in found[:8] for example in batch]
    assert max(spreads[:8]) < max(lengths) - min(lengths)


def test_learning_rate() -> None:
    """Up in 2 of 10 updates, then down a half cosine to a tenth."""
    factors = [learning_rate_factor(step, warmup=2, steps=10) for step in (0, 1, 2, 6, 10)]
    assert factors == pytest.approx([0.5, 1.0, 1.0, 0.55, 0.1])


def test_it_learns_and_the_same_seed_gives_the_same_model(tmp_path: Path) -> None:
    first = pretrain(OPTIONS, tmp_path / "one")
    assert first.losses[0] == pytest.approx(math.log(400), abs=0.3), "the first guess is uniform"
    assert first.final_loss < 0.75 * first.losses[0]
    again = pretrain(OPTIONS, tmp_path / "two")
    assert again.losses == first.losses
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "one")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "one")
    assert model.config.vocab_size == len(tokenizer) == 400
    assert (
        tokenizer("\n    return", add_special_tokens=False).input_ids[0]
        == encoded(tokenizer, [DRAFT])[0].response_ids[0]
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "--steps is 0"),
        ({"faults": -1.0}, "--faults is -1.0"),
        ({"programs_per_step": 0}, "--programs-per"),
    ],
)
def test_numbers_that_train_nothing_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        PretrainOptions(**settings)


def test_a_vocabulary_smaller_than_the_bytes_is_refused() -> None:
    with pytest.raises(UserError, match=r"--model\.vocabulary is 100"):
        PretrainOptions(model=ModelSize(vocabulary=100))
