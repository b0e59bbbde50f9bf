"""`linewise prm label|export|import`."""

from typing import Annotated

import tyro

from linewise.cli.prm_exchange import ExportLabels, ImportLabels, export_labels, import_labels
from linewise.cli.prm_label import Label, label

Command = (
    Annotated[Label, tyro.conf.subcommand("label")]
    | Annotated[ExportLabels, tyro.conf.subcommand("export")]
    | Annotated[ImportLabels, tyro.conf.subcommand("import")]
)


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0."""
    command: Label | ExportLabels | ImportLabels = tyro.cli(
        Command,
        prog="linewise prm",
        description="The process reward model: label the lines of sampled programs, exchange labels with other tools.",
        args=arguments,
        config=(tyro.conf.EnumChoicesFromValues,),
    )
    match command:
        case Label():
            return label(command)
        case ExportLabels():
            return export_labels(command)
        case ImportLabels():
            return import_labels(command)
    raise AssertionError(command)
