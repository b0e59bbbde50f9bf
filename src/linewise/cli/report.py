"""`linewise report RUN`: draw a run as one HTML page."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from linewise.evaluation.report import write_report


@dataclass(frozen=True, kw_only=True)
class ReportArguments:
    """Draw a run as one self-contained HTML page: curves, verdicts, buffer, time, and credit on the tokens of programs.

    Works on a run that is still going on.  Example:  linewise report runs/first
    """

    run: tyro.conf.Positional[Path]
    """Folder of the run (its --out)."""
    out: Path | None = None
    """Where to write the page; none means report.html in the run's folder."""


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0."""
    settings = tyro.cli(ReportArguments, prog="linewise report", args=arguments)
    print(write_report(settings.run, settings.out))
    return 0
