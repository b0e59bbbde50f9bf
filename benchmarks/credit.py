"""What credit costs: microseconds for each program, by assigner, and their share of a training step.

    python benchmarks/credit.py [--step-seconds 10]

A step of 16 tasks with 8 programs each. Programs have about 200 tokens in about 28 lines, with nested blocks, comments and
a docstring; half of them pass; each of 10 tests ran most lines, and every score that a model could give is there. The
bound is 1 % of a step's wall time. How long a step takes depends on the model and the machine: give yours. The time of
credit is CPU time of its one thread, the smallest of several rounds, so that other work on the machine counts little.
"""

import argparse
import time
from collections.abc import Sequence

import numpy as np

from linewise.credit.coderl import CodeRL
from linewise.credit.dapo import DAPO
from linewise.credit.dr_grpo import DrGRPO
from linewise.credit.fgo import FGO, ExecutionMask
from linewise.credit.grpo import GRPO
from linewise.credit.ircoco import IRCoCo
from linewise.credit.ppo import PPO
from linewise.credit.process_grpo import ProcessGRPO
from linewise.credit.psgpo import PSGPO
from linewise.credit.reinforce import Reinforce
from linewise.credit.reinforce_plus_plus import ReinforcePlusPlus
from linewise.credit.reward import TokenReward
from linewise.credit.rloo import RLOO
from linewise.credit.rltf import RLTF
from linewise.credit.suspiciousness import Suspiciousness
from linewise.credit.tp_grpo import TPGRPO
from linewise.credit.vineppo import VinePPO
from linewise.types import (
    CallTest,
    Completion,
    CreditAssigner,
    LineScore,
    Outcome,
    Program,
    Report,
    Rollout,
    ScoredGroup,
    Scores,
    StopReason,
    Task,
    Verdict,
)

NUM_TASKS, NUM_SAMPLES, NUM_TESTS, NUM_BLOCKS = 16, 8, 10, 6
HEADER = "def solve(numbers):"
TASK = Task(id="t", prompt="", tests=(CallTest(call="solve([])", expected="0"),) * NUM_TESTS)
KL = TokenReward(kl_coef=0.01)
ASSIGNERS: dict[str, CreditAssigner] = {
    "RLTF": RLTF(),
    "REINFORCE": Reinforce(),
    "RLOO": RLOO(),
    "GRPO": GRPO(),
    "GRPO, KL in the reward": GRPO(reward=KL),
    "Dr. GRPO": DrGRPO(),
    "DAPO": DAPO(),
    "REINFORCE++": ReinforcePlusPlus(reward=KL),
    "PPO": PPO(),
    "PSGPO": PSGPO(),
    "FGO over PPO": FGO(inner=PPO()),
    "FGO over PPO, random": FGO(inner=PPO(), mask=ExecutionMask.RANDOM),
    "suspiciousness over GRPO": Suspiciousness(inner=GRPO()),
    "VinePPO": VinePPO(),
    "IRCoCo": IRCoCo(),
    "CodeRL": CodeRL(),
    "TP-GRPO": TPGRPO(),
    "GRPO, process supervision": ProcessGRPO(),
}


def pieces_of(index: int) -> list[str]:
    """The tokens of a program's text: words, numbers and signs, a line end with its indentation in one."""
    blocks = [
        f"\n    # part {block} of {index}\n    for item_{block} in numbers:\n        if item_{block} > {index + block}:"
        f"\n            total += item_{block} * {block}"
        for block in range(NUM_BLOCKS)
    ]
    text = f'\n    """Adds up {index}."""\n    total = 0' + "".join(blocks) + "\n    return total"
    pieces: list[str] = []
    for letter in text:
        glued = pieces and (
            (pieces[-1][-1].isspace() and letter == " ") or (pieces[-1][-1].isalnum() and letter.isalnum())
        )
        if glued or (pieces and pieces[-1] == " "):
            pieces[-1] += letter
        else:
            pieces.append(letter)
    return [*pieces, ""]


def rollout_of(index: int, random: np.random.Generator) -> Rollout:
    pieces = pieces_of(index)
    text, ends = "".join(pieces), np.cumsum([len(piece) for piece in pieces]).tolist()
    lines = np.arange(1, text.count("\n") + 2)
    failed = int(random.integers(NUM_TESTS)) if random.random() < 0.5 else NUM_TESTS
    outcomes = tuple(
        Outcome(
            verdict=Verdict.PASSED if test < failed else Verdict.FAILED,
            executed_lines=frozenset(lines[random.random(len(lines)) < 0.8].tolist()),
        )
        for test in range(NUM_TESTS)
    )
    return Rollout(
        task=TASK,
        completion=Completion(
            prompt_ids=(0,) * 100,
            token_ids=tuple(random.integers(49152, size=len(pieces)).tolist()),
            logprobs=tuple((-random.random(len(pieces))).tolist()),
            char_spans=tuple(zip([0, *ends[:-1]], ends, strict=True)),
            text=text,
            stop_reason=StopReason.EOS,
        ),
        program=Program(source=HEADER + text, header_chars=len(HEADER), start=0, end=len(text)),
        report=Report(
            outcomes=outcomes,
            executed_lines=frozenset().union(*(outcome.executed_lines or () for outcome in outcomes)),
        ),
    )


def scores_of(rollout: Rollout, random: np.random.Generator) -> Scores:
    length, num_lines = len(rollout.completion.token_ids), rollout.program.source.count("\n") + 1

    def floats() -> np.ndarray:
        return random.random(length).astype(np.float32)

    def per_line(first: int) -> tuple[LineScore, ...]:
        return tuple(
            LineScore(line=line, score=float(random.uniform(0 if first == 0 else -1, 1)))
            for line in range(first, num_lines + 1)
            if line != 1
        )

    return Scores(
        old_logprobs=-floats(),
        ref_logprobs=-floats(),
        values=floats(),
        outcome_probs=floats(),
        line_scores=per_line(2),
        line_values=per_line(0),
    )


def groups_of(seed: int) -> list[ScoredGroup]:
    random = np.random.default_rng(seed)
    groups = []
    for _ in range(NUM_TASKS):
        rollouts = tuple(rollout_of(index, random) for index in range(NUM_SAMPLES))
        scores = tuple(scores_of(rollout, random) for rollout in rollouts)
        groups.append(ScoredGroup(task=TASK, rollouts=rollouts, baseline=rollouts[0].report, scores=scores))
    return groups


def seconds_of(assign: CreditAssigner, groups: Sequence[ScoredGroup], *, rounds: int) -> float:
    """The least CPU time of a step's credit."""
    times = []
    for _ in range(rounds):
        started = time.process_time()
        for group in groups:
            assign(group)
        times.append(time.process_time() - started)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step-seconds", type=float, default=10.0, help="wall time of one training step")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    groups = groups_of(0)
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    tokens = np.mean([len(rollout.completion.token_ids) for rollout in rollouts])
    passing = np.mean([rollout.report.passed for rollout in rollouts])
    print(f"{len(rollouts)} programs of {tokens:.0f} tokens; {passing:.0%} pass; a step of {chosen.step_seconds:g} s")
    print("assigner                   us/program   ms/step   of a step   within 1 %")
    for name, assign in ASSIGNERS.items():
        seconds = seconds_of(assign, groups, rounds=chosen.rounds)
        share = seconds / chosen.step_seconds
        columns = f"{1e6 * seconds / len(rollouts):10.0f} {1e3 * seconds:9.1f} {share:11.2%}"
        print(f"{name:<26} {columns}   {'yes' if share <= 0.01 else 'NO'}", flush=True)


if __name__ == "__main__":
    main()
