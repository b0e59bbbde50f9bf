"""Keeping freed memory in the process, for tensors that come and go by the megabyte."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Parameters of glibc's mallopt(3)."""


def keep_freed_memory() -> bool:
    """Tell glibc not to hand freed memory back to the kernel; returns whether it could be told.

    By default every large tensor is mapped anew and each of its pages faults on first use, which can take longer than
    the arithmetic of an element-wise operation. The process then stays as large as it once was, and no larger.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, 64 << 20))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)
