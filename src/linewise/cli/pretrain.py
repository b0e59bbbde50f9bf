"""`linewise pretrain`: the small policy of the arena, from nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from linewise.cli.quiet import quiet_libraries
from linewise.errors import RunError, UserError
from linewise.policy.names import ARENA, arena_folder
from linewise.training.pretrain_options import PretrainOptions


@dataclass(frozen=True, kw_only=True)
class PretrainArguments:
    """Pretrain a small policy for comparisons on a CPU: a Llama-type model and a tokeniser, in Hugging Face format.

    It reads programs in the manner of the task set `arena`, none of which is a task of it, and many of which are wrong. So it
    writes a right program now and then, and reinforcement learning has something to do.

    Examples:
      linewise pretrain                                   (the policy `arena`, kept in the cache; any command builds it too)
      linewise pretrain --out runs/small --steps 200      (another one; then: --policy runs/small)
      linewise pretrain --out runs/clean --faults 0       (the same corpus without mistakes)
    """

    options: Annotated[PretrainOptions, tyro.conf.arg(name="")] = PretrainOptions()
    out: Path | None = None
    """Folder of the model; none means the cache, where `--policy arena` finds it, and the settings must be the defaults."""


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0; an interrupted training leaves nothing."""
    settings = tyro.cli(PretrainArguments, prog="linewise pretrain", args=arguments)
    console = Console()
    if settings.out is None:
        if settings.options != PretrainOptions():
            raise UserError(
                "without --out the policy 'arena' is built, which has the default settings; give --out FOLDER."
            )
        if arena_folder().is_dir():
            console.print(f"{arena_folder()} is there already; `--policy {ARENA}` names it.", soft_wrap=True)
            return 0
        folder = build_arena()
    else:
        folder = settings.out
        if folder.exists():
            raise RunError(f"{folder} is there already, and nothing is replaced: give another --out, or remove it.")
        train(settings.options, folder)
    console.print(f"policy: {folder}", highlight=False, soft_wrap=True)
    return 0


def build_arena() -> Path:
    """The folder of the policy `arena`, pretrained if the cache does not hold it. Of several processes one trains."""
    from linewise.policy.embedded import build_once

    return build_once(arena_folder(), lambda folder: train(PretrainOptions(), folder))


def ensure_policy(name: str) -> None:
    """Build the policy that a command is about to load, where it is one that is built here and is not there yet."""
    if name == ARENA and not arena_folder().is_dir():
        Console(stderr=True).print(
            f"The policy '{ARENA}' is pretrained once, in some minutes, and kept in {arena_folder()}."
        )
        build_arena()


def train(options: PretrainOptions, folder: Path) -> None:
    """Pretrain with a bar on standard error."""
    # Imported here, so that --help and errors in settings need no torch.
    from linewise.training.pretrain import pretrain

    quiet_libraries()
    console = Console(stderr=True)
    result = pretrain(options, folder, console=console)
    console.print(
        f"{len(result.losses)} updates, {result.num_tokens} tokens in {result.seconds:.0f} s "
        f"({result.num_tokens / result.seconds:.0f} tokens/s), final loss {result.final_loss:.3f} nats per token",
        highlight=False,
    )
