"""The judge as a service: order, workers, faults of its own, and nothing left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from linewise.errors import JudgeError, TaskError, UserError
from linewise.judge import LocalJudge
from linewise.judge.plan import Plan
from linewise.judge.worker import Worker
from linewise.types import CallTest, Limits, Report, Task, Verdict

LIMITS = Limits(cpu_seconds=0.2, total_cpu_seconds=0.6)
KILL_THE_ZYGOTE = "import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(10)"
SLOW = Limits(cpu_seconds=1.0, total_cpu_seconds=1.0)


def numbered(number: int) -> tuple[Task, str]:
    """A task that only the program beside it passes."""
    task = Task(id=str(number), prompt="", tests=(CallTest(call="f()", expected=str(number)),), limits=LIMITS)
    return task, f"import time\ntime.sleep({number % 3 * 0.01})\ndef f(): return {number}"


ONE, RIGHT = numbered(1)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder for temporary files that every user may reach, as programs under a user id of their own must."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


def unsafe_judge_of_one() -> LocalJudge:
    """One worker whose programs may kill their zygote and write anywhere."""
    return LocalJudge(workers=1, tier="T3", unsafe=True)


def processes_of(parent: int) -> set[int]:
    """Ids of the direct children of a process."""
    return {
        int(folder.name)
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and _stat(folder).partition(" ")[2].startswith(f"{parent} ")
    }


def _stat(folder: Path) -> str:
    try:
        return (folder / "stat").read_text().rpartition(") ")[2]
    except OSError:
        return ""


def wait_until_gone(pid: int) -> None:
    for _ in range(500):
        state = _stat(Path("/proc", str(pid)))[:1]
        if state in ("", "Z"):
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} is still there")


def test_results_come_in_order_from_all_workers() -> None:
    with LocalJudge(workers=2) as judge:
        reports = list(judge.run_many(numbered(number) for number in range(60)))
    assert all(isinstance(report, Report) and report.passed for report in reports)
    assert len(reports) == 60


def mixed(count: int) -> Iterator[tuple[Task, str]]:
    """Quick programs behind one that takes all of its time: enough for a slow machine to judge some of the others."""
    yield replace(ONE, limits=SLOW), "while True: pass"
    for number in range(1, count):
        yield numbered(3 * number)


def test_unordered_results_come_as_they_are_there() -> None:
    with LocalJudge(workers=2) as judge:
        results = list(judge.run_unordered(mixed(40)))
    places = [place for place, _ in results]
    assert sorted(places) == list(range(40))
    assert places.index(0) > 3, "the endless loop held up the others"
    for place, report in results:
        assert isinstance(report, Report)
        assert report.passed == (place != 0)


def test_unordered_takes_no_more_than_its_window() -> None:
    taken = 0

    def programs() -> Iterator[tuple[Task, str]]:
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield numbered(3 * number)

    with LocalJudge(workers=1) as judge:
        stream = judge.run_unordered(programs())
        for _ in range(3):
            next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert taken < 100
        assert judge.run(ONE, RIGHT).passed


def test_a_coroutine_judges_while_others_go_on() -> None:
    async def tick() -> int:
        ticks = 0
        while True:
            await asyncio.sleep(0.01)
            ticks += 1
            if finished.is_set():
                return ticks

    async def work(judge: LocalJudge) -> tuple[int, Report, dict[int, Report | JudgeError]]:
        ticking = asyncio.create_task(tick())
        one = await judge.run_async(ONE, "while True: pass")
        many = {place: result async for place, result in judge.run_many_async(mixed(100))}
        finished.set()
        return await ticking, one, many

    finished = asyncio.Event()
    with LocalJudge(workers=2) as judge:
        ticks, one, many = asyncio.run(work(judge))
    assert ticks > 10, "the judge blocked the event loop"
    assert one.verdict is Verdict.TIMEOUT
    assert sorted(many) == list(range(100))
    assert [place for place, report in many.items() if not (isinstance(report, Report) and report.passed)] == [0]


def test_a_cancelled_coroutine_gives_up_its_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(judge: LocalJudge) -> None:
        slow = replace(ONE, limits=SLOW)
        jobs = [asyncio.create_task(judge.run_async(slow, "while True: pass")) for _ in range(20)]
        await asyncio.sleep(0.1)
        for job in jobs:
            job.cancel()
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*jobs, return_exceptions=True)
        )
        assert (await judge.run_async(ONE, RIGHT)).passed

    judged: list[str] = []
    original = Worker.judge

    def judge_and_note(self: Worker, plan: Plan, limits: Limits, program: str, **rest: bool) -> Report:
        judged.append(program)
        return original(self, plan, limits, program, **rest)

    monkeypatch.setattr(Worker, "judge", judge_and_note)
    with LocalJudge(workers=1) as judge:
        asyncio.run(work(judge))
    assert len(judged) <= 3, "the cancelled programs were run all the same"
    assert judged[-1] == RIGHT


def test_a_judge_closed_meanwhile_is_a_judge_error_in_a_coroutine() -> None:
    async def work(judge: LocalJudge) -> None:
        slow = replace(ONE, limits=Limits(cpu_seconds=60, total_cpu_seconds=60))
        jobs = [asyncio.create_task(judge.run_async(slow, "while True: pass")) for _ in range(5)]
        await asyncio.sleep(0.1)
        await asyncio.to_thread(judge.close)
        assert all(isinstance(end, JudgeError) for end in await asyncio.gather(*jobs, return_exceptions=True))

    with LocalJudge(workers=1) as judge:
        asyncio.run(work(judge))


def test_programs_are_taken_in_as_results_are_taken_out() -> None:
    taken = 0

    def programs() -> Iterator[tuple[Task, str]]:
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield numbered(3 * number)

    with LocalJudge(workers=1) as judge:
        stream = judge.run_many(programs())
        for _ in range(3):
            report = next(stream)
            assert isinstance(report, Report)
            assert report.passed
        stream.close()  # type: ignore[attr-defined]
        assert taken < 100
        assert judge.run(ONE, RIGHT).passed


def test_a_zygote_that_is_killed_from_outside_is_replaced() -> None:
    before = processes_of(os.getpid())
    with LocalJudge(workers=1) as judge:
        assert judge.run(ONE, RIGHT).passed
        (zygote,) = processes_of(os.getpid()) - before
        os.kill(zygote, signal.SIGKILL)
        assert judge.run(ONE, RIGHT).passed
        (other,) = processes_of(os.getpid()) - before
        assert other != zygote


def test_a_zygote_killed_while_a_program_runs_judges_it_again(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    program = f"import os\nfirst = not os.path.exists({str(flag)!r})\nopen({str(flag)!r}, 'w').close()\n"
    program += "if first:\n    os.kill(os.getppid(), 9)\n    while True: pass\ndef f(): return 1"
    with unsafe_judge_of_one() as judge:
        assert judge.run(ONE, program).passed


def test_a_second_fault_is_a_judge_error_and_never_a_verdict() -> None:
    with unsafe_judge_of_one() as judge:
        with pytest.raises(JudgeError, match="no verdict after 2 attempts"):
            judge.run(ONE, KILL_THE_ZYGOTE)
        error, report = judge.run_many([(ONE, KILL_THE_ZYGOTE), (ONE, RIGHT)])
        assert isinstance(error, JudgeError)
        assert isinstance(report, Report)
        assert report.passed


def test_a_zygote_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with unsafe_judge_of_one() as judge, pytest.raises(JudgeError, match="did not start"):
        judge.run(ONE, RIGHT)


def test_a_zygote_is_replaced_after_many_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linewise.judge.worker.MAX_CHILDREN", 3)
    task = Task(id="t", prompt="", tests=(CallTest(call="f()", expected="0"),))
    with unsafe_judge_of_one() as judge:
        parents = [judge.run(task, "import os\ndef f(): return os.getppid()").outcomes[0].actual for _ in range(7)]
    assert [parents.index(parent) for parent in parents] == [0, 0, 0, 3, 3, 3, 6]


def test_closing_leaves_no_process_and_no_folder(monkeypatch: pytest.MonkeyPatch, open_folder: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(open_folder))
    processes = processes_of(os.getpid())
    judge = LocalJudge(workers=2)
    list(judge.run_many(numbered(number) for number in range(4)))
    assert processes_of(os.getpid()) > processes
    assert 1 <= len(list(open_folder.iterdir())) <= 2
    judge.close()
    judge.close()
    assert processes_of(os.getpid()) == processes
    assert list(open_folder.iterdir()) == []
    with pytest.raises(JudgeError, match="closed"):
        judge.run(ONE, RIGHT)


def test_closing_ends_programs_that_run() -> None:
    slow = Task(id="t", prompt="", tests=ONE.tests, limits=Limits(cpu_seconds=60, total_cpu_seconds=60))
    judge = LocalJudge(workers=1)
    stream = judge.run_many([(ONE, RIGHT), (slow, "while True: pass"), (slow, "while True: pass")])
    assert isinstance(next(stream), Report)
    started = time.monotonic()
    judge.close()
    assert time.monotonic() - started < 10
    assert all(isinstance(result, JudgeError) for result in stream)


def test_a_broken_task_ends_the_stream() -> None:
    broken = Task(id="t", prompt="", tests=())
    with LocalJudge(workers=1) as judge, pytest.raises(TaskError):
        list(judge.run_many([(ONE, RIGHT), (broken, RIGHT)]))


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.exit()", "raise KeyboardInterrupt"])
def test_the_end_of_the_parent_leaves_nothing(end: str, tmp_path: Path) -> None:
    note = tmp_path / "pids"
    script = f"""
import os, signal, sys, time
from linewise.judge import LocalJudge
from linewise.types import CallTest, Limits, Task
task = Task(id="t", prompt="", tests=(CallTest(call="f()", expected="1"),), limits=Limits(cpu_seconds=1.0))
judge = LocalJudge(workers=1, tier="T3", unsafe=True)
stream = judge.run_many([(task, "def f(): return 1"), (task, '''
import os
open({str(note)!r}, "w").write(f"{{os.getpid()}} {{os.getppid()}} {{os.getcwd()}}")
while True: pass
''')])
next(stream)
while not os.path.exists({str(note)!r}) or not open({str(note)!r}).read():
    time.sleep(0.01)
{end}
"""
    subprocess.run([sys.executable, "-c", script], stderr=subprocess.DEVNULL, timeout=60, check=False)
    child, zygote, scratch = note.read_text().split()
    wait_until_gone(int(child))
    wait_until_gone(int(zygote))
    assert not Path(scratch).exists()


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.exit()"])
def test_the_end_of_the_parent_ends_isolated_programs(end: str, open_folder: Path) -> None:
    script = f"""
import os, signal, sys, time
from linewise.judge import LocalJudge
from linewise.types import CallTest, Limits, Task
from pathlib import Path
def below(parent):
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "stat").read_text().rpartition(") ")[2].split()[1] == str(parent):
                yield folder.name
                yield from below(folder.name)
        except OSError:
            pass
task = Task(id="t", prompt="", tests=(CallTest(call="f()", expected="1"),), limits=Limits(cpu_seconds=5.0))
judge = LocalJudge(workers=1)
stream = judge.run_many([(task, "def f(): return 1"), (task, "while True: pass")])
next(stream)
time.sleep(0.5)
print(*below(os.getpid()), flush=True)
{end}
"""
    environment = {**os.environ, "TMPDIR": str(open_folder)}
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, timeout=60, check=False, env=environment
    )
    processes = done.stdout.split()
    assert len(processes) >= 2  # zygote and program, and the outer process of a zygote in namespaces
    for process in processes:
        wait_until_gone(int(process))
    assert list(open_folder.iterdir()) == []


def test_settings_are_checked() -> None:
    with pytest.raises(UserError, match="workers is 0"):
        LocalJudge(workers=0)
    with pytest.raises(UserError, match="wall_factor"):
        LocalJudge(wall_factor=0.5)


def test_a_program_that_sleeps_in_every_test_holds_the_worker_for_a_bounded_time() -> None:
    task = Task(
        id="t",
        prompt="",
        tests=(CallTest(call="f()", expected="1"),) * 50,
        limits=Limits(cpu_seconds=0.25, total_cpu_seconds=0.5),
    )
    with LocalJudge(workers=1) as judge:
        report = judge.run(task, "import time\ndef f(): time.sleep(100)")
    assert {outcome.verdict for outcome in report.outcomes} == {Verdict.TIMEOUT}
    assert report.wall_seconds < 25, "50 tests of a second each would have taken 50 s"


def test_importing_the_judge_imports_no_torch() -> None:
    code = "import sys, linewise.judge, linewise.cli.judge; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
