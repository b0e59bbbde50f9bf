"""Freed memory stays in the process: using as much again faults no pages."""

import platform
import subprocess
import sys

import pytest

FAULTS_OF_A_SECOND_ALLOCATION = """
import resource
from linewise.policy.memory import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
block = bytearray(100 << 20)
del block
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
block = bytearray(100 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep):
    code = FAULTS_OF_A_SECOND_ALLOCATION.format(keep=keep)
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep freed memory")
def test_a_second_allocation_faults_few_pages():
    assert faults(keep=True) < 100 <= faults(keep=False)
