"""What line labels cost: completions and verdicts for each labelled line, against the linear scan, and what batches save.

    python benchmarks/prm_label.py                         counts, with a scripted policy
    python benchmarks/prm_label.py --policy smollm2-135m   also seconds, with a model on starter tasks

Counts: 16 tasks with 8 failing programs of T lines each, wrong from a line on that is drawn uniformly. The scripted policy
completes a right prefix to a passing program with probability p, a wrong one never. "alike": the right lines of a task's
programs are equal, so that searches share prefixes; "unlike": no line is. The linear scan asks for K = 20 completions of
every line. Seconds: the same programs labelled all together, and task by task.
"""

import argparse
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from linewise.judge import LocalJudge
from linewise.policy.scripted import ScriptedPolicy
from linewise.prm.label import LabelOptions, label_block
from linewise.prm.labels import Selection
from linewise.prm.tally import Tally
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.tasks import load_tasks
from linewise.types import CallTest, Completion, Outcome, Prompt, Report, Sampling, Task, Verdict

NUM_TASKS, NUM_SAMPLES, K = 16, 8, 20


class Script(ScriptedPolicy):
    """Counts the batches that it is asked for."""

    calls = 0

    def generate(self, prompts: Sequence[Prompt], **options: object) -> list[list[Completion]]:
        """As scripted, and counted."""
        type(self).calls += 1
        return super().generate(prompts, **options)  # type: ignore[arg-type]


class NoWrongLine:
    """A judge for which a program passes that has no wrong line."""

    def run(self, task: Task, program: str) -> Report:
        """One program."""
        return Report(outcomes=(Outcome(verdict=Verdict.FAILED if "wrong" in program else Verdict.PASSED),))

    def run_many(self, programs: Iterable[tuple[Task, str]]) -> Iterator[Report]:
        """Many programs."""
        return itertools.starmap(self.run, programs)


def scripted(num_lines: int, success: float, *, alike: bool) -> Script:
    """Samples programs that are wrong from a random line on, and recovers from right prefixes with that probability."""

    def sample(prompt: Prompt) -> list[str]:
        random = np.random.default_rng(prompt.stream)
        firsts = random.integers(num_lines, size=NUM_SAMPLES)
        texts = []
        for index, first in enumerate(firsts):
            name = "x" if alike else f"x{index}"
            lines = [f"    {'wrong' if line >= first else name} = {line}" for line in range(num_lines)]
            texts.append("\n" + "\n".join(lines))
        return texts

    def answers(prompt: Prompt) -> Sequence[str]:
        if prompt.begun is None:
            return sample(prompt)
        if "wrong" in prompt.begun.text:
            return [f"\n    wrong = {place}" for place in range(K)]
        # Every completion is another text, so that verdicts are not shared.
        draws = np.random.default_rng(prompt.stream).random(K)
        names = ["y" if draw < success else "wrong" for draw in draws]
        return [f"\n    {name} = {place}" for place, name in enumerate(names)]

    return Script(answers=answers)


def options(first_chunk: int = 5, **changes: object) -> LabelOptions:
    settings: dict[str, object] = {
        "num_samples": NUM_SAMPLES,
        "num_completions": K,
        "first_chunk": first_chunk,
        "audits": 0,
        "selection": Selection.FULL,
        "sampling": Sampling(max_new_tokens=4000),
        "prompts": PromptOptions(style=PromptStyle.COMPLETION),
    }
    return LabelOptions(**{**settings, **changes})  # type: ignore[arg-type]


def counts_row(num_lines: int, success: float, *, alike: bool) -> str:
    test = (CallTest(call="f()", expected="0"),)
    tasks = [
        Task(id=str(index), prompt=f"Task {index}.", signature="def f():", tests=test) for index in range(NUM_TASKS)
    ]
    policy = scripted(num_lines, success, alike=alike)
    Script.calls = 0
    tally = label_block(policy, NoWrongLine(), tasks, options(), name="script").tally
    together, Script.calls = Script.calls - 1, 0
    for task in tasks:
        label_block(policy, NoWrongLine(), [task], options(), name="script")
    apart = Script.calls - NUM_TASKS
    lines = tally.num_labelled
    columns = (tally.linear_completions, tally.full_completions, tally.num_completions, tally.num_verdicts)
    kind = "alike" if alike else "unlike"
    per_line = "".join(f"{value / lines:9.2f}" for value in columns)
    return f"{num_lines:3} {success:5.2f}  {kind:<6}{per_line}{together:9}{apart:9}"


def seconds_rows(name: str, num_tasks: int, max_new_tokens: int) -> list[str]:
    from linewise.policy.huggingface import load_policy

    policy = load_policy(name)
    tasks = load_tasks("starter-hard@train")[:num_tasks]
    chat = options(sampling=Sampling(max_new_tokens=max_new_tokens), prompts=PromptOptions(), num_samples=4)
    rows = []
    with LocalJudge() as judge:
        for label, blocks in (("together", [tasks]), ("task by task", [[task] for task in tasks])):
            started = time.perf_counter()
            tally = sum((label_block(policy, judge, ours, chat, name=name).tally for ours in blocks), Tally())
            seconds = time.perf_counter() - started
            rows.append(
                f"{label:<13} {seconds:6.1f} s, of which judging {tally.seconds_judge:5.1f} s; "
                f"{tally.num_labelled} lines of {tally.num_searches} failing and {tally.num_correct} passing programs; "
                f"{tally.num_prefixes} of {tally.num_queries} queries; "
                f"completions {tally.num_completions}, linear scan {tally.linear_completions}; "
                f"{tally.num_tokens} tokens; revised {tally.num_revised}"
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", help="also measure seconds with this model")
    parser.add_argument("--num-tasks", type=int, default=6)
    parser.add_argument("--max-new-tokens", type=int, default=96)
    chosen = parser.parse_args()
    print("                     for each labelled line                   batches of generation")
    print("  T     p  programs linear   search     ours verdicts together  by task")
    for num_lines, alike in itertools.product((5, 10, 20, 40), (False, True)):
        for success in (0.2, 0.8) if num_lines in (10, 40) else (0.8,):
            print(counts_row(num_lines, success, alike=alike), flush=True)
    if chosen.policy:
        for row in seconds_rows(chosen.policy, chosen.num_tasks, chosen.max_new_tokens):
            print(row, flush=True)


if __name__ == "__main__":
    main()
