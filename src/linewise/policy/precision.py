"""Which number format a device computes quickly in."""

import platform
from pathlib import Path

import torch

NATIVE_CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "avx10_2", "bf16", "svebf16"})
"""Flags of /proc/cpuinfo (x86 and Arm) that stand for instructions on bfloat16."""


def has_native_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 there.

    A CPU without bfloat16 instructions emulates them: on AVX2 matrix products then take about six times as long as in
    float32 (measured, SmolLM2's shapes), so half precision would be the slow choice, not the fast one.
    """
    match device.type:
        case "cuda":
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        case "cpu":
            return bool(NATIVE_CPU_FLAGS & cpu_flags())
        case _:
            return True


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Instruction-set flags of this machine's CPU; empty where the system does not tell."""
    if platform.system() != "Linux" or not cpuinfo.exists():
        return frozenset()
    line = next(
        (line for line in cpuinfo.read_text().splitlines() if line.lower().startswith(("flags", "features"))), ""
    )
    return frozenset(line.partition(":")[2].split())
