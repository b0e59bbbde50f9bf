"""Verdicts per second and core: python benchmarks/judge.py [--seconds 3] [--workers 1]

For each kind of program it prints programs per wall second and worker, and the CPU milliseconds that one program costs
in the parent, in the zygotes and in the children together, which depend less on how busy the machine is otherwise. The
comparison is `subprocess.run` of a bare interpreter (`python -I -S`) for each program, in-process assertions included. The
floor is the fork and the exit of an interpreter that holds what a zygote holds: no judge that forks can be faster.
With MBPP in the folder of LINEWISE_DATA, its 974 references are judged too.
"""

import argparse
import ast
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import linewise.judge
from linewise.judge import LocalJudge
from linewise.judge.capabilities import Tier, probe
from linewise.types import AssertTest, CallTest, Limits, Task, TestCase, Verdict

DATA = Path(os.environ.get("LINEWISE_DATA", Path(__file__).parents[1] / "../shared/data"))
RIGHT = '''from collections import Counter

def modes(values):
    """The most frequent values, smallest first."""
    if not values:
        return []
    counts = Counter(values)
    highest = max(counts.values())
    return sorted(value for value, count in counts.items() if count == highest)
'''
CALLS = (("modes([1, 1, 2])", "[1]"), ("modes([3, 2, 3, 2])", "[2, 3]"), ("modes([])", "[]"))
DEFAULT = Limits()
ENDLESS = "def modes(values):\n    while True:\n        pass\n"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A program with the verdict it must get."""

    name: str
    program: str
    verdict: Verdict
    num_tests: int = 3
    record_lines: bool = False
    split: bool = False
    limits: Limits = DEFAULT

    @property
    def task(self) -> Task:
        """Its tests, repeated up to their number."""
        pairs = list(islice(cycle(CALLS), self.num_tests))
        tests: tuple[TestCase, ...] = tuple(CallTest(call=call, expected=expected) for call, expected in pairs)
        if self.split:
            tests = tuple(AssertTest(code=f"assert {call} == {expected}") for call, expected in pairs)
        return Task(id=self.name, prompt="", tests=tests, limits=self.limits)


CASES = (
    Case(name="right", program=RIGHT, verdict=Verdict.PASSED),
    Case(name="wrong", program=RIGHT.replace("max(", "min("), verdict=Verdict.FAILED),
    Case(name="runtime error", program=RIGHT.replace("Counter(values)", "{}"), verdict=Verdict.RUNTIME_ERROR),
    Case(name="syntax error", program=RIGHT.replace("return []", "return [["), verdict=Verdict.SYNTAX_ERROR),
    Case(name="right, 20 tests", program=RIGHT, verdict=Verdict.PASSED, num_tests=20),
    Case(name="right, lines recorded", program=RIGHT, verdict=Verdict.PASSED, record_lines=True),
    Case(name="right, 20 tests, lines", program=RIGHT, verdict=Verdict.PASSED, num_tests=20, record_lines=True),
    Case(name="right, split", program=RIGHT, verdict=Verdict.PASSED, split=True),
    Case(name="wrong, split", program=RIGHT.replace("max(", "min("), verdict=Verdict.FAILED, split=True),
    Case(name="right, 20 tests, split", program=RIGHT, verdict=Verdict.PASSED, num_tests=20, split=True),
    Case(
        name="endless loop, limit 50 ms",
        program=ENDLESS,
        verdict=Verdict.TIMEOUT,
        num_tests=1,
        limits=Limits(cpu_seconds=0.05),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What a measurement found."""

    per_second: float
    """Programs per wall second and worker."""
    cpu_ms: float
    """CPU milliseconds for each program, all processes together."""


def measure(run: Callable[[int], None], *, seconds: float, workers: int) -> Speed:
    """Time `run(count)` with a count that takes about `seconds`."""
    count = 4
    run(count)  # processes start
    while True:
        before, started = cpu_seconds(), time.perf_counter()
        run(count)
        wall = time.perf_counter() - started
        if wall >= seconds / 2:
            break
        count = max(int(count * min(seconds / max(wall, 1e-3), 20)), count + 1)
    return Speed(per_second=count / wall / workers, cpu_ms=(cpu_seconds() - before) / count * 1000)


def measure_judge(case: Case, *, seconds: float, workers: int) -> Speed:
    programs, verdict = [(case.task, case.program)], case.verdict
    judge = LocalJudge(workers=workers, record_lines=case.record_lines)

    def run(count: int) -> None:
        for report in judge.run_many(islice(cycle(programs), count)):
            if isinstance(report, Exception) or report.verdict is not verdict:
                raise SystemExit(f"expected {verdict}, got {report}")

    with judge:
        return measure(run, seconds=seconds, workers=workers)


def measure_subprocess(task: Task, program: str, *, seconds: float) -> Speed:
    checks = "\n".join(f"assert {test.call} == {test.expected}" for test in task.tests if isinstance(test, CallTest))

    def run(count: int) -> None:
        for _ in range(count):
            subprocess.run([sys.executable, "-I", "-S", "-c", f"{program}\n{checks}"], check=True)

    return measure(run, seconds=seconds, workers=1)


FLOOR = """
import os, resource, runpy, sys
zygote = runpy.run_path(sys.argv[1])
zygote["load_package"]()
zygote["preload"]()
from linewise.judge import child, examiner, program
child.warm_up(zygote["WARM_UP"], ["f(2)", "g(2)"])
program.warm_up(zygote["WARM_UP"], "f")
import gc
gc.collect(); gc.freeze(); gc.disable()
print("ready", flush=True)
for line in sys.stdin:
    for _ in range(int(line)):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    print("done", flush=True)
"""


def measure_floor(*, seconds: float) -> Speed:
    """Fork and exit of an interpreter as large as a zygote, and nothing else."""
    script = Path(linewise.judge.__file__).with_name("zygote.py")
    command = [sys.executable, "-s", "-S", "-P", "-B", "-c", FLOOR, str(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None and process.stdout is not None
        stdin, stdout = process.stdin, process.stdout
        stdout.readline()

        def run(count: int) -> None:
            stdin.write(f"{count}\n")
            stdout.readline()

        speed = measure(run, seconds=seconds, workers=1)
        stdin.close()
    return speed


def compare_tiers(case: Case, *, rounds: int, count: int) -> dict[Tier, float]:
    """CPU milliseconds for each program under each tier that is available here: the median of interleaved rounds.

    The children's own time comes from their reports, the parent's and the zygotes' from the kernel.
    """
    available = [tier for tier, reason in probe().reasons.items() if reason is None]
    judges = {tier: LocalJudge(workers=1, tier=tier, unsafe=True) for tier in available}
    found: dict[Tier, list[float]] = {tier: [] for tier in available}
    for judge in judges.values():
        judge.run(case.task, case.program)
    for _ in range(rounds):
        for tier, judge in judges.items():
            before = cpu_seconds()
            for report in judge.run_many([(case.task, case.program)] * count):
                if isinstance(report, Exception) or report.verdict is not case.verdict or report.tier != tier:
                    raise SystemExit(f"expected {case.verdict} under {tier}, got {report}")
            found[tier].append((cpu_seconds() - before) / count * 1000)
    for judge in judges.values():
        judge.close()
    return {tier: statistics.median(values) for tier, values in found.items()}


def cpu_seconds() -> float:
    """CPU time of this process and of all below it, those that they waited for included, also in other namespaces."""
    parents: dict[int, list[tuple[int, int]]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append((int(folder.name), sum(map(int, fields[11:15]))))
    ticks, front = 0, [os.getpid()]
    while front:
        below = parents.get(front.pop(), [])
        ticks += sum(used for _, used in below)
        front += [pid for pid, _ in below]
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ticks / os.sysconf("SC_CLK_TCK") + time.process_time() + reaped.ru_utime + reaped.ru_stime


def mbpp(path: Path) -> list[tuple[Task, str]]:
    """All references; assertions of the form `f(x) == literal` become call tests."""
    rows = map(json.loads, path.read_text().splitlines())
    return [
        (
            Task(
                id=str(row["task_id"]),
                prompt="",
                tests=tuple(map(mbpp_test, row["test_list"])),
                setup=row["test_setup_code"],
                limits=Limits(cpu_seconds=10, total_cpu_seconds=20),
            ),
            row["code"],
        )
        for row in rows
    ]


def mbpp_test(text: str) -> TestCase:
    (statement,) = ast.parse(text.strip()).body
    test = statement.test if isinstance(statement, ast.Assert) else None
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq):
        try:
            ast.literal_eval(test.comparators[0])
            return CallTest(call=ast.unparse(test.left), expected=ast.unparse(test.comparators[0]))
        except ValueError:
            pass
    return AssertTest(code=text)


def judge_all(programs: Iterable[tuple[Task, str]], workers: int) -> None:
    """Judge a data set once and print what did not pass."""
    programs = list(programs)
    started = time.perf_counter()
    with LocalJudge(workers=workers) as judge:
        reports = list(judge.run_many(programs))
    wall = time.perf_counter() - started
    passed = [not isinstance(report, Exception) and report.passed for report in reports]
    others = [task.id for (task, _), good in zip(programs, passed, strict=True) if not good]
    print(
        f"\nMBPP references: {sum(passed)} of {len(passed)} pass in {wall:.2f} s "
        f"({len(passed) / wall / workers:.0f}/s per worker, start included); not passed: {', '.join(others) or 'none'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="about how long each measurement takes")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of 100 programs for the comparison of tiers")
    parser.add_argument("--only-tiers", action="store_true", help="compare the tiers and end")
    options = parser.parse_args()
    print(f"CPython {platform.python_version()}, {len(os.sched_getaffinity(0))} cores, {options.workers} worker(s)\n")
    print(f"{'program':<28}{'programs/s per worker':>24}{'CPU ms/program':>18}")
    if not options.only_tiers:
        floor = measure_floor(seconds=options.seconds)
        print(f"{'floor: fork and exit':<28}{floor.per_second:>24.0f}{floor.cpu_ms:>18.2f}", flush=True)
    for case in () if options.only_tiers else CASES:
        speed = measure_judge(case, seconds=options.seconds, workers=options.workers)
        print(f"{case.name:<28}{speed.per_second:>24.0f}{speed.cpu_ms:>18.2f}", flush=True)
    for case in () if options.only_tiers else (CASES[0], CASES[4]):
        speed = measure_subprocess(case.task, case.program, seconds=options.seconds)
        print(f"{'subprocess.run: ' + case.name:<28}{speed.per_second:>24.0f}{speed.cpu_ms:>18.2f}")
    tiers = compare_tiers(CASES[0], rounds=options.rounds, count=100)
    print(f"\n{'tier, program right':<28}{'CPU ms/program':>24}{'against T3':>18}")
    for tier, cpu_ms in tiers.items():
        print(f"{tier:<28}{cpu_ms:>24.2f}{cpu_ms / tiers[Tier.T3]:>18.2f}")
    path = DATA / "mbpp/mbpp.jsonl"
    if options.only_tiers:
        return
    if path.is_file():
        judge_all(mbpp(path), options.workers)
    else:
        print(f"\nno MBPP in {DATA}; set LINEWISE_DATA to judge its references")


if __name__ == "__main__":
    main()
