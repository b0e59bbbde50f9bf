"""bfloat16 is chosen where the device computes in it, and nowhere else."""

from pathlib import Path

import pytest
import torch

from linewise.policy import precision
from linewise.policy.huggingface import HuggingFacePolicy
from linewise.policy.precision import cpu_flags, has_native_bf16

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flags", "native"),
    [
        ("flags\t\t: fpu avx avx2 fma", False),
        ("flags\t\t: fpu avx2 avx512f avx512bw", False),
        ("flags\t\t: fpu avx2 avx512f avx512_bf16", True),
        ("flags\t\t: fpu amx_bf16 amx_tile", True),
        ("Features\t: fp asimd bf16 i8mm", True),
    ],
)
def test_a_cpu_is_judged_by_its_flags(
    flags: str, native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: bf16 is no flag\n{flags}\n")
    monkeypatch.setattr(precision, "cpu_flags", lambda: cpu_flags(file))
    assert has_native_bf16(CPU) is native


def test_a_system_that_does_not_tell_has_no_flags(tmp_path: Path) -> None:
    assert cpu_flags(tmp_path / "none") == frozenset()


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_sampler_of_a_large_model_follows(
    native: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    from linewise.policy import huggingface
    from linewise.policy.huggingface_load import load_model

    monkeypatch.setattr(huggingface, "SMALL_MODEL", 1)
    monkeypatch.setattr(huggingface, "has_native_bf16", lambda device: native)
    loaded = load_model("tiny")
    policy = HuggingFacePolicy(loaded.model, loaded.tokenizer)
    assert {parameter.dtype for parameter in policy._model.parameters()} == {dtype}
