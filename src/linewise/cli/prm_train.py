"""`linewise prm train`: a process reward model from labelled programs."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from linewise.cli.pretrain import ensure_policy
from linewise.cli.quiet import quiet_libraries
from linewise.evaluation.report.prm import ROWS, number, write_prm_report
from linewise.prm.metrics import PrmMetrics
from linewise.training.prm_options import PrmTrainOptions


@dataclass(frozen=True, kw_only=True)
class PrmTrainArguments:
    """Train a process reward model: squared error between its score at the end of each line and the line's label.

    The weights with the best held-out loss are in OUT/prm, an `AutoModelForTokenClassification` with one label.

    Examples:
      linewise prm train --labels labels.jsonl --policy smollm2-135m --out runs/prm
      linewise prm train --labels a.jsonl b.jsonl --policy runs/sft/policy --lora.rank 16 --out runs/prm-lora
    """

    options: Annotated[PrmTrainOptions, tyro.conf.arg(name="")]
    out: Path
    """Folder of the new training."""


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0; Ctrl-C gives 130 and keeps the best weights so far."""
    settings = tyro.cli(PrmTrainArguments, prog="linewise prm train", args=arguments)
    # Imported here, so that --help and errors in settings need no torch.
    from linewise.training.prm import train_prm

    quiet_libraries()
    ensure_policy(settings.options.policy)
    console = Console()
    result = train_prm(settings.options, settings.out, console=console)
    report = write_prm_report(settings.out)
    print_metrics(result.metrics, console)
    console.print(f"best of {result.num_steps} updates: {result.best_step}", highlight=False)
    console.print(f"model: {result.folder}\nreport: {report}", highlight=False, soft_wrap=True)
    return 0


def print_metrics(metrics: PrmMetrics, console: Console) -> None:
    """Held-out quality, each number beside what it must beat."""
    record = metrics.to_record()
    table = Table("held-out", "model", "compare", "")
    for what, name, against, floor in ROWS:
        table.add_row(what, number(record[name]), number(record[floor] if isinstance(floor, str) else floor), against)
    console.print(table)
    counts = asdict(metrics)
    console.print(
        f"{counts['num_lines']} lines of code in {counts['num_programs']} programs, {counts['num_errors']} with an error",
        highlight=False,
    )
