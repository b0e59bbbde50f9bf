"""`linewise train RECIPE`: start or resume a run."""

import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic

import tyro
from rich.console import Console

from linewise.cli import train_psgpo
from linewise.cli.pretrain import ensure_policy
from linewise.cli.quiet import quiet_libraries
from linewise.cli.resume import chosen_folder
from linewise.errors import UserError, did_you_mean
from linewise.evaluation.evaluate import paired_difference
from linewise.evaluation.report import write_report
from linewise.recipes.catalogue import RECIPES
from linewise.recipes.psgpo import psgpo
from linewise.training.config import AnyRecipe, CreditT_co, Recipe
from linewise.training.records import recipe_from_record
from linewise.training.run_folder import RunFolder

PHASED = {"psgpo": psgpo}
"""Recipes of several phases, which have a command of their own."""


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
    if name in PHASED:
        return train_psgpo.main(rest)
    if name not in RECIPES:
        names = [*RECIPES, *PHASED]
        raise UserError(f"unknown recipe '{name}'.{did_you_mean(name, names)} There are: {', '.join(names)}.")
    parsed = parse_arguments(name, rest, RECIPES[name]())
    if parsed.resume is not None:
        # The settings of the run take the place of the recipe's defaults; only what is typed anew overrides them.
        parsed = parse_arguments(name, rest, saved_recipe(parsed.resume, kind_of(RECIPES[name])))
    return run(parsed, chosen_folder(parsed.out, parsed.resume))


def usage() -> str:
    """What `linewise train --help` prints."""
    rows = "\n".join(f"  {name:<22}{first_line(recipe)}" for name, recipe in {**RECIPES, **PHASED}.items())
    return (
        "usage: linewise train RECIPE --out FOLDER [settings]\n"
        "       linewise train RECIPE --resume FOLDER\n\n"
        f"recipes:\n{rows}\n\n"
        "`linewise train RECIPE --help` lists every setting with its default. Examples:\n\n"
        "  linewise train rltf --policy smollm2-135m --tasks starter --out runs/first\n"
        "  linewise train rltf --tasks mbpp@train odex --evaluation.tasks mbpp@test --out runs/mbpp\n"
        "  linewise train rltf --lora.rank 16 --credit.no-fine --out runs/without-fine"
    )


def first_line(recipe: Callable[[], object]) -> str:
    """What a recipe is, in a line."""
    return (recipe.__doc__ or "").strip().partition("\n")[0]


def parse_arguments(name: str, arguments: list[str], defaults: AnyRecipe) -> TrainArguments[Any]:
    """The default settings with the command line's overrides."""
    # The type of the credit is what distinguishes recipes: its settings become flags of their own.
    (credit_type,) = typing.get_args(kind_of(RECIPES[name]))
    kind: Any = TrainArguments[credit_type]  # type: ignore[valid-type]
    parsed: TrainArguments[Any] = tyro.cli(
        kind,
        prog=f"linewise train {name}",
        description=f"{RECIPES[name].__doc__}\n\nEvery setting below shows its default.",
        default=TrainArguments(recipe=defaults),
        args=arguments,
        config=(tyro.conf.EnumChoicesFromValues,),
    )
    return parsed


def kind_of(recipe: Callable[[], AnyRecipe]) -> Any:
    """The type that a recipe says it returns, such as `Recipe[GRPO]`."""
    return typing.get_type_hints(recipe)["return"]


def saved_recipe(folder: Path, kind: Any) -> AnyRecipe:
    """The recipe of an existing run."""
    return recipe_from_record(RunFolder(path=folder).read_config(), kind)


def run(arguments: TrainArguments[Any], folder: Path) -> int:
    """Train in the folder, write the report and print what came out."""
    # Imported here, so that --help and errors in settings need no torch.
    from accelerate import PartialState

    from linewise.training.run import train

    quiet_libraries()
    console = Console()
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
