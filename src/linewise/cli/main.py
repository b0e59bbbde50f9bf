"""`linewise COMMAND ...`: finds the command, runs it and turns our exceptions into exit codes."""

import importlib
import sys

from linewise import __version__
from linewise.errors import LinewiseError, did_you_mean

COMMANDS = {
    "train": "train a policy by a recipe, or resume a run",
    "compare": "methods under one budget of programs, over several seeds",
    "pretrain": "a small policy for comparisons on a CPU, from nothing",
    "eval": "unbiased pass@k of a policy, with bootstrap intervals",
    "judge": "run one program against the tests of a task",
    "tasks": "list, show and check tasks",
    "report": "draw a run as one HTML page",
    "prm": "process reward model: label lines, train, score",
    "coderl": "the outcome critic of CodeRL, for critic sampling",
}
"""Each command lives in `linewise/cli/<command>.py`, whose `main(arguments) -> exit code` is called."""

USAGE_ERROR = 2
INTERRUPTED = 130


def usage() -> str:
    """The overview that `linewise --help` prints."""
    rows = "\n".join(f"  {name:<10}{text}" for name, text in COMMANDS.items())
    return (
        f"linewise {__version__}: reinforcement learning for code models from unit tests, credit line by line\n\n"
        f"usage: linewise COMMAND [options]\n\n{rows}\n\n"
        "`linewise COMMAND --help` explains one. A first run: linewise train rltf --out runs/first"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns 0 for success, 1 for a negative result, 2 for an error, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0 if arguments else USAGE_ERROR
    if arguments[0] == "--version":
        print(__version__)
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"linewise: unknown command '{name}'.{did_you_mean(name, COMMANDS)}\n\n{usage()}", file=sys.stderr)
        return USAGE_ERROR
    try:
        command = importlib.import_module(f"linewise.cli.{name}")
        return int(command.main(rest))
    except LinewiseError as error:
        print(f"linewise {name}: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print(f"linewise {name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except ImportError as error:
        if error.name is None or error.name.split(".")[0] == "linewise":
            raise
        print(
            f"linewise {name}: this command needs the package '{error.name}'. "
            "Install it with: pip install 'linewise[train]'",
            file=sys.stderr,
        )
        return USAGE_ERROR


if __name__ == "__main__":
    sys.exit(main())
