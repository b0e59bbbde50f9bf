"""`linewise prm train`: a process reward model from labelled programs."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from linewise.cli.pretrain import ensure_policy
from linewise.cli.quiet import quiet_libraries
from linewise.cli.resume import chosen_folder, folder_to_resume
from linewise.evaluation.report.prm import ROWS, number, write_prm_report
from linewise.prm.metrics import PrmMetrics
from linewise.training.fit_state import finished_file, saved_options
from linewise.training.prm_options import ALGORITHM, PrmTrainOptions
from linewise.training.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class PrmTrainArguments:
    """Train a process reward model: squared error between its score at the end of each line and the line's label.

    The weights with the best held-out loss are in OUT/prm, an `AutoModelForTokenClassification` with one label.

    Every held-out measurement leaves a checkpoint, which takes the place of the last one; a training that was interrupted
    or killed goes on from it with --resume. More --evaluations-per-epoch lose less.

    Examples:
      linewise prm train --labels labels.jsonl --policy smollm2-135m --out runs/prm
      linewise prm train --resume runs/prm
      linewise prm train --labels a.jsonl b.jsonl --policy runs/sft/policy --lora.rank 16 --out runs/prm-lora
    """

    options: Annotated[PrmTrainOptions, tyro.conf.arg(name="")]
    out: Path | None = None
    """Folder of the new training."""
    resume: Path | None = None
    """Folder of a training to continue, with the settings it was started with."""


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0; Ctrl-C gives 130 after writing a checkpoint."""
    settings = parse(arguments)
    out, resume = chosen_folder(settings.out, settings.resume), settings.resume is not None
    # Imported here, so that --help and errors in settings need no torch.
    from linewise.training.prm import train_prm

    quiet_libraries()
    console = Console()
    whole = resume and finished_file(RunFolder(path=out)).exists()
    if not whole:
        ensure_policy(settings.options.policy)
    result = train_prm(settings.options, out, resume=resume, console=console)
    report = out / "report.html"
    if whole:
        console.print(f"the training in {out} is finished: nothing is left to do.", highlight=False, soft_wrap=True)
    if not whole or not report.exists():
        write_prm_report(out)
    print_metrics(result.metrics, console)
    console.print(f"best of {result.num_steps} updates: {result.best_step}", highlight=False)
    console.print(f"model: {result.folder}\nreport: {report}", highlight=False, soft_wrap=True)
    return 0


def parse(arguments: list[str]) -> PrmTrainArguments:
    """The command line's settings; those of a training to be resumed are what it was started with."""
    resume = folder_to_resume(arguments)
    default = tyro.MISSING_NONPROP
    if resume is not None:
        options = saved_options(RunFolder(path=resume), PrmTrainOptions, ALGORITHM)
        default = PrmTrainArguments(options=options, resume=resume)
    settings: PrmTrainArguments = tyro.cli(
        PrmTrainArguments, prog="linewise prm train", default=default, args=arguments
    )
    return settings


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
