"""`linewise prm SUBCOMMAND`: the process reward model, from labels to scores."""

import importlib

from linewise.errors import UserError, did_you_mean

SUBCOMMANDS = {
    "label": "label the lines of a policy's own programs by completing their beginnings",
    "train": "train a process reward model on labelled programs",
    "score": "draw a model's scores beside the lines of a program",
    "export": "write labels as stepwise-supervision rows",
    "import": "read stepwise-supervision rows as labels",
}
"""Each is `main(arguments) -> exit code` of `linewise/cli/prm_<subcommand>.py`."""


def usage() -> str:
    """What `linewise prm --help` prints."""
    rows = "\n".join(f"  {name:<8}{text}" for name, text in SUBCOMMANDS.items())
    return (
        f"usage: linewise prm SUBCOMMAND [options]\n\n{rows}\n\n"
        "`linewise prm SUBCOMMAND --help` explains one. From a policy to a ranking of its programs:\n\n"
        "  linewise prm label --policy smollm2-135m --tasks starter@train --out labels.jsonl\n"
        "  linewise prm train --labels labels.jsonl --policy smollm2-135m --out runs/prm\n"
        "  linewise eval --policy smollm2-135m --tasks starter --num-samples 8 --rerank runs/prm/prm"
    )


def main(arguments: list[str]) -> int:
    """Run one subcommand. Returns its exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in SUBCOMMANDS:
        raise UserError(
            f"unknown subcommand 'prm {name}'.{did_you_mean(name, SUBCOMMANDS)} There are: {', '.join(SUBCOMMANDS)}."
        )
    return int(importlib.import_module(f"linewise.cli.prm_{name}").main(rest))
