"""`linewise train RECIPE`: start or resume a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic

import tyro
from rich.console import Console

from linewise.cli.pretrain import ensure_policy
from linewise.cli.quiet import quiet_libraries
from linewise.credit.rltf import RLTF
from linewise.errors import UserError, did_you_mean
from linewise.evaluation.evaluate import paired_difference
from linewise.evaluation.report import write_report
from linewise.recipes.rltf import rltf
from linewise.training.config import CreditT_co, Recipe
from linewise.training.records import recipe_from_record
from linewise.training.run_folder import RunFolder

RECIPES = {"rltf": "online RL from multi-granularity unit-test feedback (arXiv:2307.04349)"}


@dataclass(frozen=True, kw_only=True)
class TrainArguments(Generic[CreditT_co]):
    """What `linewise train RECIPE` takes."""

    recipe: Annotated[Recipe[CreditT_co], tyro.conf.arg(name="")]
    out: Path | None = None
    """Folder of the new run."""
    resume: Path | None = None
    """Folder of a run to continue, with the settings it was started with."""


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0; Ctrl-C gives 130 after writing a checkpoint."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0
    name, *rest = arguments
    if name not in RECIPES:
        raise UserError(f"unknown recipe '{name}'.{did_you_mean(name, RECIPES)} There are: {', '.join(RECIPES)}.")
    parsed = parse_arguments(name, rest, rltf())
    if parsed.resume is not None:
        # The settings of the run take the place of the recipe's defaults; only what is typed anew overrides them.
        parsed = parse_arguments(name, rest, saved_recipe(parsed.resume))
    if parsed.out is None and parsed.resume is None:
        raise UserError("give --out FOLDER for a new run, or --resume FOLDER to continue one.")
    if parsed.out is not None and parsed.resume is not None:
        raise UserError("--out starts a new run and --resume continues one: give one of them, not both.")
    return run(parsed)


def usage() -> str:
    """What `linewise train --help` prints."""
    rows = "\n".join(f"  {name:<8}{text}" for name, text in RECIPES.items())
    return (
        "usage: linewise train RECIPE --out FOLDER [settings]\n"
        "       linewise train RECIPE --resume FOLDER\n\n"
        f"recipes:\n{rows}\n\n"
        "`linewise train RECIPE --help` lists every setting with its default. Examples:\n\n"
        "  linewise train rltf --policy smollm2-135m --tasks starter --out runs/first\n"
        "  linewise train rltf --tasks mbpp@train odex --evaluation.tasks mbpp@test --out runs/mbpp\n"
        "  linewise train rltf --lora.rank 16 --credit.no-fine --out runs/without-fine"
    )


def parse_arguments(name: str, arguments: list[str], defaults: Recipe[RLTF]) -> TrainArguments[RLTF]:
    """The default settings with the command line's overrides."""
    return tyro.cli(
        TrainArguments[RLTF],
        prog=f"linewise train {name}",
        description=f"{rltf.__doc__}\n\nEvery setting below shows its default.",
        default=TrainArguments(recipe=defaults),
        args=arguments,
        config=(tyro.conf.EnumChoicesFromValues,),
    )


def saved_recipe(folder: Path) -> Recipe[RLTF]:
    """The recipe of an existing run."""
    return recipe_from_record(RunFolder(path=folder).read_config(), RLTF)


def run(arguments: TrainArguments[RLTF]) -> int:
    """Train, write the report and print what came out."""
    # Imported here, so that --help and errors in settings need no torch.
    from accelerate import PartialState

    from linewise.training.run import train

    quiet_libraries()
    console = Console()
    folder = arguments.resume or arguments.out
    assert folder is not None
    ensure_policy(arguments.recipe.policy)
    result = train(arguments.recipe, folder, resume=arguments.resume is not None, console=console)
    if not PartialState().is_main_process:
        return 0
    report = write_report(folder)
    if result.before is not None and result.after is not None:
        before, after = result.before.pass_at_k(1), result.after.pass_at_k(1)
        change = paired_difference(result.before, result.after)
        console.print(
            f"held-out pass@1 {before.mean:.3f} -> {after.mean:.3f}, "
            f"difference {change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]",
            highlight=False,
        )
    console.print(f"policy: {folder / 'policy'}\nreport: {report}")
    return 0
