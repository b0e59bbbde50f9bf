"""Judged programs in the tokens of `tiny`: one byte is one token."""

from types import SimpleNamespace

import numpy as np
import pytest

from linewise.policy.tiny import tiny_tokenizer
from linewise.policy.token_bytes import encode_answer
from linewise.rollout.program import extract_program
from linewise.types import Prompt
from linewise.values.classes import OutcomeClass
from linewise.values.programs import JudgedProgram

GOOD = ("a = b", "b = a + 1", "c = a", "a += 2")
BAD = {
    OutcomeClass.COMPILE_ERROR: "a = = b",
    OutcomeClass.RUNTIME_ERROR: "b = a / 0",
    OutcomeClass.FAILED: "b = None",
}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy `tiny` is built in a folder of its own."""
    monkeypatch.setenv("LINEWISE_CACHE", str(tmp_path_factory.getbasetemp() / "linewise-cache"))


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The helpers below, for tests in other files."""
    return SimpleNamespace(judged=judged, programs=synthetic_programs)


def judged(task_id: str, body: str, outcome: OutcomeClass, *, reference: bool = False) -> JudgedProgram:
    """A program whose header is the prompt."""
    header = f"def {task_id}(b):"
    prompt = Prompt(task_id=task_id, text=header, header=header)
    completion = encode_answer(tiny_tokenizer(), prompt, body)
    program = extract_program(prompt, completion.text)
    return JudgedProgram(task_id=task_id, completion=completion, program=program, outcome=outcome, reference=reference)


def synthetic_programs(count: int, *, seed: int = 0, num_tasks: int = 20) -> list[JudgedProgram]:
    """Programs of 2 or 3 lines, each outcome as often; one line of those that do not pass says so."""
    random = np.random.default_rng(seed)
    programs = []
    for index in range(count):
        lines = [str(random.choice(GOOD)) for _ in range(int(random.integers(2, 4)))]
        outcome = OutcomeClass(int(random.integers(4)))
        if outcome in BAD:
            lines[int(random.integers(len(lines)))] = BAD[outcome]
        body = "".join(f"\n    {line}" for line in lines) + "\n"
        programs.append(judged(f"f{index % num_tasks}", body, outcome))
    return programs
