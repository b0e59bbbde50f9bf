"""`linewise prm SUBCOMMAND`: the process reward model, from labels to scores."""

from linewise.cli.subcommands import overview, run_subcommand

SUBCOMMANDS = {
    "label": "label the lines of a policy's own programs by completing their beginnings",
    "train": "train a process reward model on labelled programs",
    "score": "draw a model's scores beside the lines of a program",
    "export": "write labels as stepwise-supervision rows",
    "import": "read stepwise-supervision rows as labels",
}
"""Each is `main(arguments) -> exit code` of `linewise/cli/prm_<subcommand>.py`."""

EXAMPLE = """From a policy to a ranking of its programs:

  linewise prm label --policy smollm2-135m --tasks starter@train --out labels.jsonl
  linewise prm train --labels labels.jsonl --policy smollm2-135m --out runs/prm
  linewise prm train --resume runs/prm        (after Ctrl-C or a kill; the same for `linewise coderl critic`)
  linewise eval --policy smollm2-135m --tasks starter --num-samples 8 --rerank runs/prm/prm"""


def usage() -> str:
    """What `linewise prm --help` prints."""
    return overview("prm", SUBCOMMANDS, EXAMPLE)


def main(arguments: list[str]) -> int:
    """Run one subcommand. Returns its exit code."""
    return run_subcommand("prm", SUBCOMMANDS, usage(), arguments)
