"""What recording lines costs: the factor on CPU-heavy functions and the milliseconds for compiling a short program.

Usage: LINEWISE_DATA=FOLDER python experiments/line-feedback/slowdown.py
"""

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from linewise.judge.coverage import new_recorder

DATA = Path(os.environ.get("LINEWISE_DATA", Path(__file__).parents[2] / "../shared/data"))
PROGRAM = """
def loop(n):
    s = 0
    i = 0
    while i < n:
        s += i * i
        if s > 1000000:
            s -= 1000000
            s %= 7
        i += 1
    return s
def sieve(n):
    a = [True] * n
    for p in range(2, n):
        if a[p]:
            for m in range(p * p, n, p):
                a[m] = False
    return sum(a)
def recursion(n):
    if n < 2:
        return n
    return recursion(n - 1) + recursion(n - 2)
def words(n):
    counts = {}
    for i in range(n):
        key = str(i % 97)
        if key in counts:
            counts[key] += 1
        else:
            counts[key] = 1
        text = key + "a"
        upper = text.upper()
        size = len(upper)
    return counts
def collatz(n):
    best = 0
    for i in range(1, n):
        x = i
        steps = 0
        while x != 1:
            if x % 2 == 0:
                x = x // 2
            else:
                x = 3 * x + 1
            steps += 1
        if steps > best:
            best = steps
    return best
def straight(n):
    a = 0
    b = 1
    for i in range(n):
        t = a + b
        a = b
        b = t % 1000007
        c = a
        d = b
    return a
"""
CALLS = ("loop(200000)", "sieve(200000)", "recursion(21)", "words(100000)", "collatz(3000)", "straight(200000)")
CATCHES = "\ntry:\n    x = 1\nexcept ValueError:\n    x = 2\n"
"""With it, the recorder before 3.12 marks each statement instead of each block."""


def best(*runs: Callable[[], object]) -> list[float]:
    """The least CPU seconds of each, measured in turns, so that a busy machine favours none."""
    least = [float("inf")] * len(runs)
    for _ in range(11):
        for index, run in enumerate(runs):
            started = time.thread_time()
            run()
            least[index] = min(least[index], time.thread_time() - started)
    return least


def slow_down(extra: str) -> list[str]:
    """The factor of each call, with `extra` appended to the program."""
    recorder = new_recorder()
    plain: dict[str, Any] = {}
    recorded: dict[str, Any] = {}
    exec(compile(PROGRAM + extra, "<program>", "exec"), plain)
    exec(recorder.compile(PROGRAM + extra, "<program>"), recorded)
    factors = []
    for call in CALLS:
        code = compile(call, "<test>", "eval")

        def run(code: Any = code) -> None:
            recorder.restart()
            eval(code, recorded)

        without, with_lines = best(lambda code=code: eval(code, plain), run)  # type: ignore[misc]
        factors.append(f"{call} {with_lines / without:.2f}")
    recorder.close()
    return factors


def main() -> None:
    print(platform.python_version())
    print("factors:", ", ".join(slow_down("")))
    print("factors in a program with try:", ", ".join(slow_down(CATCHES)))
    codes = [json.loads(line)["code"] for line in (DATA / "mbpp/mbpp.jsonl").read_text().splitlines()]
    short = [code for code in codes if code.count("\n") < 15][:100]
    long = [code for code in codes if 25 <= code.count("\n") <= 35]
    for programs in (short, long):
        recorder = new_recorder()
        plain, recorded = best(
            lambda programs=programs: [compile(code, "<program>", "exec") for code in programs],  # type: ignore[misc]
            lambda programs=programs, recorder=recorder: [recorder.compile(code, "<program>") for code in programs],  # type: ignore[misc]
        )
        lines = sum(code.count("\n") + 1 for code in programs) / len(programs)
        milliseconds = [seconds / len(programs) * 1000 for seconds in (plain, recorded)]
        print(f"compile {lines:.0f} lines: {milliseconds[0]:.2f} ms, with lines {milliseconds[1]:.2f} ms")
        recorder.restart()
        (step,) = best(lambda recorder=recorder: (recorder.restart(), recorder.lines()))  # type: ignore[misc]
        print(f"one test: {step * 1e6:.0f} us")
        recorder.close()


if __name__ == "__main__":
    main()
