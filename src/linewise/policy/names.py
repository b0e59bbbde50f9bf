"""From what a user writes after `--policy` to something that `from_pretrained` takes. No torch at import."""

import re
from pathlib import Path

from linewise.errors import PolicyError, did_you_mean
from linewise.policy.embedded import cache_folder, embedded_folder

EMBEDDED = "smollm2-135m"
ARENA = "arena"
ARENA_FOLDER = "arena-1"
"""Its folder in the cache; the number counts up with every change of the corpus or of the default settings."""
TINY = ("tiny", "tiny-t5")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def resolve_policy(name: str) -> str:
    """The folder or hub id of a policy.

    `smollm2-135m` is the embedded model (fetched on first use), `arena` the small one that `linewise pretrain` makes,
    `tiny` and `tiny-t5` are random models of a few hundred thousand parameters for tests, an existing folder is itself,
    and everything else is taken for a hub id.

    Raises `PolicyError` where the name can be none of these, the embedded model cannot be fetched or `arena` has not been
    made yet, `StorageError` where the cache folder cannot be written.
    """
    if name == EMBEDDED:
        return str(embedded_folder())
    if name == ARENA:
        if not arena_folder().is_dir():
            raise PolicyError(
                f"The policy '{ARENA}' has not been made yet: there is no folder '{arena_folder()}'. Run `linewise pretrain` "
                "once; it takes some minutes on a CPU."
            )
        return str(arena_folder())
    if name in TINY:
        from linewise.policy.tiny import save_tiny

        return str(save_tiny(name, cache_folder()))
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise PolicyError(
                f"The folder '{name}' holds no config.json, so it is no model in Hugging Face format. Give the folder "
                "that `save_pretrained` wrote; of a run, that is its 'policy' folder."
            )
        return str(folder)
    if not HUB_ID.fullmatch(name):
        raise PolicyError(f"There is no folder '{name}', and it is no hub id either (owner/name).{suggestion(name)}")
    return name


def arena_folder() -> Path:
    """Where the policy `arena` is kept, whether or not it is there."""
    return cache_folder() / ARENA_FOLDER


def suggestion(name: str) -> str:
    """A sentence with the built-in name that is nearest to `name`, and all of them."""
    known = (EMBEDDED, ARENA, *TINY)
    return f"{did_you_mean(name, known)} Built-in policies: {', '.join(known)}."
