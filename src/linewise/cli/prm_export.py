"""`linewise prm export`: labels as rows of stepwise supervision."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from linewise.prm.labels import Selection, read_labels, selected, write_lines
from linewise.prm.stepwise import stepwise_to_record, to_stepwise


@dataclass(frozen=True, kw_only=True)
class ExportLabels:
    """Write labels as stepwise-supervision rows: {"prompt": ..., "completions": [line, ...], "labels": [1.0, 0.0, -1.0, ...]}.

    linewise prm export labels.jsonl --out rows.jsonl --booleans
    """

    labels: tyro.conf.Positional[Path]
    """File of `linewise prm label`."""
    out: Path
    """JSONL file to write."""
    selection: Selection = Selection.FULL
    """Programs of the file that are written."""
    booleans: bool = False
    """Labels true and false, for readers that know no neutral step; a neutral line is joined to the one after it."""


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0."""
    command = tyro.cli(
        ExportLabels, prog="linewise prm export", args=arguments, config=(tyro.conf.EnumChoicesFromValues,)
    )
    programs = read_labels(command.labels)
    chosen = [program for program in programs if selected(program, command.selection)]
    rows = [to_stepwise(program, booleans=command.booleans) for program in chosen]
    # A program of neutral lines alone has no step that is right or wrong.
    rows = [row for row in rows if row.completions]
    write_lines(map(stepwise_to_record, rows), command.out)
    print(
        f"{command.out}: {len(rows)} rows with {sum(len(row.labels) for row in rows)} steps, of {len(programs)} programs"
    )
    return 0
