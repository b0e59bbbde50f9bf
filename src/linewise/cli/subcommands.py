"""A command that is a family of subcommands: its overview, and which module runs one."""

import importlib
from collections.abc import Mapping

from linewise.errors import UserError, did_you_mean


def overview(command: str, subcommands: Mapping[str, str], example: str) -> str:
    """What `linewise COMMAND --help` prints: the subcommands, and an example to start from."""
    rows = "\n".join(f"  {name:<8}{text}" for name, text in subcommands.items())
    return (
        f"usage: linewise {command} SUBCOMMAND [options]\n\n{rows}\n\n"
        f"`linewise {command} SUBCOMMAND --help` explains one. {example}"
    )


def run_subcommand(command: str, subcommands: Mapping[str, str], usage: str, arguments: list[str]) -> int:
    """Run `linewise/cli/<command>_<subcommand>.py`. Returns its exit code; raises UserError for an unknown one."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage)
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in subcommands:
        raise UserError(
            f"unknown subcommand '{command} {name}'.{did_you_mean(name, subcommands)} "
            f"There are: {', '.join(subcommands)}."
        )
    return int(importlib.import_module(f"linewise.cli.{command}_{name}").main(rest))
