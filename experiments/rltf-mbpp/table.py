"""pass@1 and pass@8 before and after, with intervals over tasks, and the learning curve of the sampled programs."""

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from linewise.evaluation.evaluate import Evaluation, paired_difference


def main(folder: Path) -> None:
    before, *_, after = [
        Evaluation.from_json(file.read_text()) for file in sorted((folder / "evaluations").glob("step-*.json"))
    ]
    console = Console(width=100)
    table = Table("MBPP test", "before [95 %]", "after [95 %]", "paired difference [95 %]")
    for k in (1, 8):
        table.add_row(
            f"pass@{k}", str(before.pass_at_k(k)), str(after.pass_at_k(k)), str(paired_difference(before, after, k))
        )
    console.print(table)
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        step = json.loads(line)
        console.print(
            f"step {step['step']:>3}  pass {step['rollout/pass_rate']:.3f}  tests {step['rollout/tests_passed']:.3f}  "
            f"syntax {step['verdict/syntax_error']:.2f}  {step['seconds']:.0f} s"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
