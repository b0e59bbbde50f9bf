"""`linewise coderl SUBCOMMAND`: the outcome critic of CodeRL."""

from linewise.cli.subcommands import overview, run_subcommand

SUBCOMMANDS = {"critic": "sample and judge a policy's programs and train a critic to predict their outcomes"}
"""Each is `main(arguments) -> exit code` of `linewise/cli/coderl_<subcommand>.py`."""

EXAMPLE = """From a policy to critic sampling:

  linewise coderl critic --policy smollm2-135m --tasks starter@train --out runs/critic
  linewise eval --policy smollm2-135m --tasks starter --num-samples 8 --strategy critic-sampling --critic runs/critic/critic"""


def usage() -> str:
    """What `linewise coderl --help` prints."""
    return overview("coderl", SUBCOMMANDS, EXAMPLE)


def main(arguments: list[str]) -> int:
    """Run one subcommand. Returns its exit code."""
    return run_subcommand("coderl", SUBCOMMANDS, usage(), arguments)
