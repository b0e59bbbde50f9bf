"""Do verdicts depend on how busy the machine is, and does the judge's memory grow? Needs the data folder of LINEWISE_DATA.

    python benchmarks/judge_stability.py [--programs 2000] [--long 20000] [--minutes 60]

Stability: MBPP references and mutants are judged twice, once on the machine as it is and once with a busy loop on every core;
programs whose verdicts, exceptions or error lines differ are counted. Memory: programs are judged in a row with a
worker for each core, and the resident size of this process and of the zygotes is printed at intervals.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from linewise.judge import LocalJudge
from linewise.tasks import load_tasks
from linewise.types import Limits, Report, Task

DATA = Path(os.environ.get("LINEWISE_DATA", Path(__file__).parents[1] / "../shared/data"))
LIMITS = Limits(cpu_seconds=2.0, total_cpu_seconds=5.0)
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


def programs(count: int) -> list[tuple[Task, str]]:
    """Mutants and references in turn, right and wrong ones; endless loops among them."""
    tasks = {task.id: replace(task, limits=LIMITS) for task in load_tasks("mbpp")}
    rows = [json.loads(line) for line in (DATA / "mbpp-mutants/mbpp_mutants.jsonl").read_text().splitlines()]
    mutants = [(tasks[row["id"]], row["buggy"]) for row in rows if row["id"] in tasks]
    references = [(task, task.reference or "") for task in tasks.values()]
    return list(islice([*mutants, *references], count))


def judged(pairs: list[tuple[Task, str]]) -> tuple[list[object], float]:
    """What can be compared of each report, and the wall seconds."""
    started = time.perf_counter()
    with LocalJudge() as judge:
        results = [summary(result) for result in judge.run_many(pairs)]
    return results, time.perf_counter() - started


def summary(result: object) -> object:
    if not isinstance(result, Report):
        return "judge error"
    return [(outcome.verdict, outcome.exception, outcome.line) for outcome in result.outcomes]


@contextmanager
def busy_cores() -> Iterator[None]:
    """A busy loop for every core."""
    command = [sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen(command) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB


def zygotes_mb() -> float:
    """Resident size of all processes below this one: the zygotes, and the outer process of each in namespaces."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has ended
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(folder.name))
    front, total = list(parents.get(os.getpid(), [])), 0.0
    while front:
        pid = front.pop()
        front += parents.get(pid, [])
        with suppress(OSError):
            total += resident_mb(pid)
    return total


def stability(pairs: list[tuple[Task, str]]) -> list[object]:
    """Judge everything on the machine as it is, then on a loaded one; print what differs. Returns the first results."""
    calm, calm_seconds = judged(pairs)
    with busy_cores():
        busy, busy_seconds = judged(pairs)
    differing = [task.id for (task, _), one, other in zip(pairs, calm, busy, strict=True) if one != other]
    errors = sum(one == "judge error" for one in [*calm, *busy])
    print(
        f"{len(pairs)} programs: {calm_seconds:.1f} s, and {busy_seconds:.1f} s with every core loaded; "
        f"{len(differing)} differ {differing[:5]}; {errors} faults of the judge; {load()}",
        flush=True,
    )
    for (task, _), one, other in zip(pairs, calm, busy, strict=True):
        if one != other:
            print(f"  {task.id}: {one} became {other}", flush=True)
    return calm


def memory(pairs: list[tuple[Task, str]], *, count: int, minutes: float) -> None:
    """Judge up to `count` programs in a row and print what this process and the zygotes hold."""
    started, number = time.perf_counter(), 0
    with LocalJudge() as judge:
        for number, _ in enumerate(judge.run_many(islice(cycle(pairs), count)), start=1):
            last = time.perf_counter() - started > minutes * 60
            if number == 500 or number % max(count // 16, 1) == 0 or last:
                print(
                    f"{number:>8} programs: this process {resident_mb(os.getpid()):.1f} MB, zygotes {zygotes_mb():.1f} MB; "
                    f"{load()}",
                    flush=True,
                )
            if last:
                break
    print(f"{number / (time.perf_counter() - started):.0f} programs/s on {len(os.sched_getaffinity(0))} cores")


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=2000, help="programs judged for stability")
    parser.add_argument(
        "--long", type=int, default=20_000, help="programs judged in a row for the memory curve; 0: none"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="end the memory curve after so long")
    options = parser.parse_args()
    pairs = programs(options.programs)
    calm = stability(pairs)
    # Endless loops would only make this longer.
    quick = [pair for pair, one in zip(pairs, calm, strict=True) if "timeout" not in str(one)]
    if options.long:
        memory(quick, count=options.long, minutes=options.minutes)


if __name__ == "__main__":
    main()
