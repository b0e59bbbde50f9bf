"""The table of the ablation: paired change of held-out pass@1 for each arm, over seeds and tasks."""

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from linewise.evaluation.evaluate import Evaluation, paired_difference

ARMS = ("sl", "sl+coarse", "sl+coarse+fine", "sl+coarse+fine+adaptive")


def main(folder: Path) -> None:
    table = Table("arm", "seed", "before", "after", "difference [95 % over tasks]")
    for arm in ARMS:
        for run in sorted(folder.glob(f"{arm}-?")):
            before, *_, after = [
                Evaluation.from_json(file.read_text()) for file in sorted((run / "evaluations").glob("step-*.json"))
            ]
            table.add_row(
                arm,
                run.name[-1],
                f"{before.pass_at_k(1).mean:.3f}",
                f"{after.pass_at_k(1).mean:.3f}",
                str(paired_difference(before, after)),
            )
    Console().print(table)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
