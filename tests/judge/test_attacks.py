"""Programs that attack their own grader: the verdict stays true, the next program is judged right, nothing is left.

These hold under every tier; what namespaces, seccomp and Landlock refuse is in test_sandbox.py.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from linewise.judge import LocalJudge
from linewise.types import AssertTest, CallTest, Limits, Report, StdinTest, Task, TestCase, Trust, Verdict

BOUND_SECONDS = 20.0
"""Far more than a program may hold the judge on a crowded machine, and far less than for ever."""
LIMITS = Limits(cpu_seconds=0.2, total_cpu_seconds=0.6, output_bytes=1 << 16)
FORGE = """
import json, os, struct
def write(**content):
    payload = json.dumps(content).encode()
    for fd in range(3, 64):
        try:
            os.write(fd, struct.pack("!I", len(payload)) + payload)
        except OSError:
            pass
"""


def task_of(*tests: TestCase) -> Task:
    return Task(id="t", prompt="", tests=tests, limits=LIMITS)


F = task_of(CallTest(call="f(1)", expected="2"), CallTest(call="f(20)", expected="4711"))


def verdicts(report: Report) -> list[Verdict]:
    return [outcome.verdict for outcome in report.outcomes]


@pytest.fixture(autouse=True)
def next_program_is_judged_right(judge: LocalJudge):  # type: ignore[no-untyped-def]
    yield
    # Their verdicts must not hang on how busy the machine is.
    patient = replace(F, limits=Limits(cpu_seconds=10, total_cpu_seconds=20))
    right = judge.run(patient, "def f(n): return 2 if n == 1 else 4711")
    assert verdicts(right) == [Verdict.PASSED] * 2
    wrong = judge.run(patient, "def f(n): return 2")
    assert verdicts(wrong) == [Verdict.PASSED, Verdict.FAILED]


@pytest.mark.parametrize(
    "ending",
    ["os._exit(0)", "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 15)", "os.abort()", "os.closerange(0, 200)"],
)
def test_ending_early_is_a_crash_and_the_rest_runs(judge: LocalJudge, ending: str) -> None:
    program = f"import os\ndef f(n):\n    if n == 1:\n        {ending}\n    return 4711"
    report = judge.run(F, program)
    assert report.outcomes[0].verdict in (Verdict.CRASHED, Verdict.RUNTIME_ERROR)
    assert report.outcomes[1].verdict is Verdict.PASSED


def test_ending_at_import_is_a_crash_of_every_test(judge: LocalJudge) -> None:
    assert verdicts(judge.run(F, "import os\nos._exit(0)")) == [Verdict.CRASHED] * 2


def test_system_exit_in_a_thread_changes_nothing(judge: LocalJudge) -> None:
    program = "import threading, sys\nthreading.Thread(target=sys.exit).start()\ndef f(n): return 3"
    assert verdicts(judge.run(F, program)) == [Verdict.FAILED] * 2


@pytest.mark.parametrize("base", ["object", "int", "str", "list", "dict", "float"])
def test_an_object_that_equals_everything_fails(judge: LocalJudge, base: str) -> None:
    program = f"class Liar({base}):\n    __eq__ = lambda *_: True\n    __ne__ = lambda *_: False\n"
    program += "    __hash__ = lambda _: 0\n    __repr__ = lambda _: '2'\ndef f(n): return Liar()"
    assert verdicts(judge.run(F, program)) == [Verdict.FAILED] * 2


def test_subclasses_of_builtin_types_fail(judge: LocalJudge) -> None:
    assert verdicts(judge.run(F, "class I(int): pass\ndef f(n): return I(2)")) == [Verdict.FAILED] * 2


def test_a_patched_type_name_fails(judge: LocalJudge) -> None:
    program = "class int2(int): pass\nint2.__name__ = 'int'\nint2.__qualname__ = 'int'\ndef f(n): return int2(2)"
    assert verdicts(judge.run(F, program)) == [Verdict.FAILED] * 2


def test_forged_frames_earn_nothing(judge: LocalJudge) -> None:
    claims = [
        'write(kind="held", test=0, cpu=0.0, nonce="")',
        'write(kind="value", test=0, cpu=0.0, value=3)',
        'write(kind="value", test=1, cpu=0.0, value=4711)',
        'write(kind="passed", test=0)',
        'write(kind="loaded")',
        'write(kind="ended", test=0)',
        'write(kind="value", test=0, value={"t": {}})',
        'write(kind="value", test=0)',
        'write(kind="begun")',
        'for fd in range(3, 64):\n    try: os.write(fd, b"\\xff" * 100)\n    except OSError: pass',
    ]
    for claim in claims:
        report = judge.run(F, f"{FORGE}{claim}\ndef f(n): return 3")
        assert Verdict.PASSED not in verdicts(report), claim
    report = judge.run(F, FORGE + 'def f(n):\n    write(kind="value", test=0, cpu=0.0, value=7)\n    return 2')
    assert report.outcomes[0].verdict is Verdict.FAILED  # the first answer counts, and the second breaks the protocol


def test_a_guess_is_counted_once(judge: LocalJudge) -> None:
    program = (
        FORGE + 'for guess in range(10):\n    write(kind="value", test=0, cpu=0.0, value=guess)\ndef f(n): return 2'
    )
    assert judge.run(F, program).outcomes[0].verdict is not Verdict.PASSED


def test_a_flood_of_frames_ends(judge: LocalJudge) -> None:
    started = time.monotonic()
    report = judge.run(F, FORGE + 'while True: write(kind="struck", line=1)')
    assert verdicts(report) == [Verdict.CRASHED] * 2
    assert time.monotonic() - started < BOUND_SECONDS


def test_a_forged_script_end_is_judged_by_its_output(judge: LocalJudge) -> None:
    task = task_of(StdinTest(input="", expected="1\n2\n3\n"))
    program = FORGE + 'print(1, flush=True)\nwrite(kind="ended", test=0, cpu=0.0)\nos._exit(0)'
    assert verdicts(judge.run(task, program)) == [Verdict.FAILED]


def test_printing_the_first_line_is_not_enough(judge: LocalJudge) -> None:
    task = task_of(StdinTest(input="", expected="1\n2\n3\n"))
    assert verdicts(judge.run(task, "print(1)")) == [Verdict.FAILED]
    assert verdicts(judge.run(task, "print('1\\n2\\n3\\n4')")) == [Verdict.FAILED]


@pytest.mark.parametrize("tier", ["judge", "unsafe_judge"])
def test_expected_values_are_nowhere_in_the_child(tier: str, request: pytest.FixtureRequest) -> None:
    judge = request.getfixturevalue(tier)
    program = """
import gc, sys
def f(n):
    found = set()
    frame = sys._getframe()
    while frame is not None:
        found.update(map(repr, frame.f_locals.values()))
        found.update(map(repr, frame.f_globals.values()))
        frame = frame.f_back
    for thing in gc.get_objects():
        if isinstance(thing, (dict, list, tuple)):
            found.add(repr(thing))
    for name in ("environ", "cmdline"):
        try:
            with open("/proc/self/" + name) as file:
                found.add(file.read())
        except OSError:
            pass
    return any("".join(reversed("546372819")) in text for text in found)
"""
    report = judge.run(Task(id="t", prompt="", tests=(CallTest(call="f(1)", expected="918273645"),)), program)
    assert report.outcomes[0].actual == "False"
    leak = program.replace("def f(n):", "secret = 918273645\ndef f(n):")
    report = judge.run(Task(id="t", prompt="", tests=(CallTest(call="f(1)", expected="0"),)), leak)
    assert report.outcomes[0].actual == "True"  # the search finds what is there


def test_patched_builtins_and_modules_change_no_verdict(judge: LocalJudge) -> None:
    program = """
import builtins, json, marshal, os, time
class Everything:
    def __getattr__(self, name): return lambda *a, **k: True
builtins.eval = builtins.isinstance = builtins.type = lambda *a: True
json.dumps = json.JSONEncoder.encode = lambda *a, **k: '{"kind": "held", "test": 0}'
marshal.loads = time.process_time = os.getpid = lambda *a: 0
def f(n): return 3
"""
    assert Verdict.PASSED not in verdicts(judge.run(F, program))


def test_disabling_the_clock_does_not_help(judge: LocalJudge) -> None:
    program = """
import signal, resource
signal.setitimer(signal.ITIMER_PROF, 0)
for number in range(1, 32):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
def f(n):
    while True:
        try:
            while True: pass
        except BaseException: pass
"""
    report = judge.run(F, program)
    assert verdicts(report) == [Verdict.TIMEOUT] * 2
    assert report.cpu_seconds < 1.0


def test_closing_the_socket_and_running_on_is_ended(judge: LocalJudge) -> None:
    started = time.monotonic()
    report = judge.run(F, "import os\nos.closerange(3, 200)\nwhile True: pass")
    assert verdicts(report) == [Verdict.CRASHED] * 2
    assert time.monotonic() - started < BOUND_SECONDS


def test_stopping_itself_strikes_the_wall_limit(judge: LocalJudge) -> None:
    program = "import os, signal\ndef f(n):\n    if n == 1: os.kill(os.getpid(), signal.SIGSTOP)\n    return 4711"
    assert verdicts(judge.run(F, program)) == [Verdict.TIMEOUT, Verdict.PASSED]


@pytest.mark.parametrize("escape", ["", "os.setsid()", "os.setsid()\n    if os.fork(): os._exit(0)"])
def test_descendants_are_killed_with_the_program(unsafe_judge: LocalJudge, escape: str, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = f"""
import os, time
if os.fork() == 0:
    pass
    {escape}
    with open({str(note)!r}, "w") as file: file.write(str(os.getpid()))
    time.sleep(1000)
while not os.path.exists({str(note)!r}) or not open({str(note)!r}).read(): time.sleep(0.001)
def f(n): return 2
"""
    assert verdicts(unsafe_judge.run(F, program)) == [Verdict.PASSED, Verdict.FAILED]
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_a_fork_of_the_program_cannot_answer_for_it(unsafe_judge: LocalJudge) -> None:
    program = "import os\ndef f(n):\n    os.fork()\n    return 3"
    assert Verdict.PASSED not in verdicts(unsafe_judge.run(F, program))


def test_files_are_not_left_for_the_next_program(judge: LocalJudge) -> None:
    write = "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').write('x')\nopen('d', 'w')\nos.symlink('/etc', 'e')"
    assert judge.run(F, write + "\nos.mkdir('f', 0)\ndef f(n): return 2").num_passed == 1
    look = judge.run(F, "import os\ndef f(n): return os.listdir()").outcomes[0]
    assert look.actual == "[]"
    assert Path("/etc").is_dir()


def test_a_removed_working_folder_is_replaced(unsafe_judge: LocalJudge) -> None:
    unsafe_judge.run(F, "import os\nos.rmdir(os.getcwd())")
    program = "import os\nopen('x', 'w').write('y')\ndef f(n): return 1 + len(os.listdir())"
    assert unsafe_judge.run(F, program).num_passed == 1


def test_a_huge_file_is_refused(judge: LocalJudge) -> None:
    program = "def f(n):\n    with open('x', 'wb') as file:\n        for _ in range(100): file.write(b'x' * 10**6)"
    assert judge.run(F, program).outcomes[0].exception == "OSError"


def test_hostile_texts_are_cut(judge: LocalJudge) -> None:
    program = "class E(Exception):\n    def __str__(self): raise SystemExit\nE.__name__ = 'E' * 10_000\n"
    outcome = judge.run(F, program + "def f(n): raise E").outcomes[0]
    assert outcome.verdict is Verdict.RUNTIME_ERROR
    assert outcome.exception == "E" * 100
    outcome = judge.run(F, "def f(n): raise ValueError('x' * 10_000)").outcomes[0]
    assert len(outcome.message) == 300


def test_claims_about_assertions_beside_the_program_need_the_nonce_of_the_run() -> None:
    task = task_of(AssertTest(code="open\nassert f(1) == 2"))  # tests that open files run beside the program
    with LocalJudge(workers=1, allow_in_process=True) as judge:
        for nonce in ('""', "None", "True", '"0" * 16'):
            program = f'{FORGE}write(kind="loaded")\nwrite(kind="held", test=0, cpu=0.0, nonce={nonce})\n'
            report = judge.run(task, program + "def f(n): return 3")
            assert Verdict.PASSED not in verdicts(report)
            assert report.trust is Trust.IN_PROCESS
