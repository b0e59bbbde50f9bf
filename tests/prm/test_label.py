"""Labelling whole programs with scripted policies: the first wrong line, sharing, early stop, selections, audits."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence

import pytest

from linewise.errors import JudgeError
from linewise.judge import LocalJudge
from linewise.policy.scripted import ScriptedPolicy
from linewise.prm.label import label_block
from linewise.prm.labels import Kind, LabelledProgram, Query, Selection, selected
from linewise.prm.search import most_queries
from linewise.prm.tally import false_negative_rate
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.types import CallTest, Outcome, Prompt, Report, Task, Verdict
from tests.prm.conftest import DATA, RIGHT, RIGHT_WITH_COMMENT, SUM, WRONG_AT_1, WRONG_AT_3, options, scripted

SOLUTIONS = (RIGHT, RIGHT_WITH_COMMENT)
HARD = Task(**{**vars(SUM), "id": "hard", "tests": (CallTest(call="total(3)", expected="'never'"),)})


def test_a_program_by_hand(judge: LocalJudge) -> None:
    block = label_block(scripted([WRONG_AT_3], SOLUTIONS), judge, [SUM], options(num_samples=1), name="scripted")
    (program,) = block.programs
    # The signature and docstring lie in the prompt: line 1 of the sampled part is line 3 of the program.
    assert program.first_line == 3
    assert program.program.source.split("\n")[2].strip() == "result = 0"
    assert program.labels == (1, 0, -1, -1, -1)
    assert program.kind is Kind.REVISED
    # T = 5: (0, 5) asks 2, which a right program begins with; (2, 5) asks 3, which is lost.
    assert [(query.lines, query.num_passed) for query in program.queries] == [(2, 1), (3, 0)]
    assert [program.completion.text[token] for token in program.end_tokens()[:4]] == ["\n"] * 4
    assert program.completion.text[: program.end_tokens()[2]].endswith("range(n):")


def test_kinds_and_tally(judge: LocalJudge) -> None:
    policy = scripted([RIGHT, WRONG_AT_3, WRONG_AT_1, RIGHT], SOLUTIONS)
    block = label_block(policy, judge, [SUM], options(), name="scripted")
    assert [program.kind for program in block.programs] == [Kind.CORRECT, Kind.REVISED, Kind.WRONG, Kind.CORRECT]
    assert [set(program.labels) for program in block.programs] == [{1}, {1, 0, -1}, {-1}, {1}]
    assert {program.task_pass_rate for program in block.programs} == {0.5}
    tally = block.tally
    assert (tally.num_sampled, tally.num_written, tally.num_searches) == (4, 4, 2)
    # Four lines each: 2 and then 1 of the program that is wrong from the first line on.
    assert (tally.num_queries, tally.num_prefixes) == (4, 4)
    # K = 2 in chunks of one: one completion where the first passes, two where none does.
    assert tally.num_completions == 1 + 3 * 2
    assert tally.full_completions == 4 * 2
    assert tally.linear_completions == (5 + 4) * 2
    assert (tally.num_positive, tally.num_neutral, tally.num_negative) == (4 + 1 + 4, 1, 3 + 4)
    assert tally.false_negative_rate == 0.0, "the one recoverable prefix was seen to pass always"


def test_equal_prefixes_share_their_completions(judge: LocalJudge) -> None:
    other = WRONG_AT_3.replace("result\n", "result + 0\n")
    block = label_block(scripted([WRONG_AT_3, other], SOLUTIONS), judge, [SUM], options(num_samples=2), name="p")
    first, second = block.programs
    assert first.labels == second.labels
    assert first.queries == second.queries
    assert (block.tally.num_queries, block.tally.num_prefixes) == (4, 2)


def test_each_round_is_one_generation_batch_and_chunks_stop_early(judge: LocalJudge) -> None:
    calls: list[tuple[int, int]] = []

    class Counting(ScriptedPolicy):
        def generate(self, prompts, *, num_samples, **rest):
            calls.append((len(prompts), num_samples))
            return super().generate(prompts, num_samples=num_samples, **rest)

    policy = Counting(answers=scripted([WRONG_AT_3, WRONG_AT_1], SOLUTIONS).answers)
    settings = options(num_samples=2, num_completions=20, first_chunk=5)
    label_block(policy, judge, [SUM], settings, name="p")
    # Sampling; round 0: two prefixes, one of which stops; round 1: two that never pass.
    assert calls == [(1, 2), (2, 5), (1, 15), (2, 5), (2, 15)]
    calls.clear()
    label_block(policy, judge, [SUM], options(num_samples=2, num_completions=20, first_chunk=20), name="p")
    assert calls == [(1, 2), (2, 20), (2, 20)]


def test_a_line_may_not_be_mended_by_its_own_continuation(judge: LocalJudge) -> None:
    wrong = "\n    n = n\n    return n\n    pass\n    pass\n"

    def answers(prompt: Prompt) -> Sequence[str]:
        # `n = n` becomes `n = n * (n + 1) // 2`: no completion of the line `n = n`.
        return [wrong] if prompt.begun is None else [" * (n + 1) // 2\n    return n\n"]

    block = label_block(ScriptedPolicy(answers=answers), judge, [SUM], options(num_samples=1), name="p")
    assert block.programs[0].labels == (-1, -1, -1, -1)
    assert block.tally.num_strays == block.tally.num_completions == 4
    assert block.tally.num_verdicts == 0
    assert block.tally.num_tokens == 4, "a stray is given up at its first token"


@pytest.mark.parametrize(
    ("selection", "kept"),
    [
        (Selection.FULL, ["sum", "sum", "hard", "hard"]),
        (Selection.REMOVE_HARD, ["sum", "sum"]),
        (Selection.MEDIUM_ONLY, ["sum", "sum"]),
        (Selection.REVISED_ONLY, ["sum"]),
    ],
)
def test_selections(selection: Selection, kept: list[str], judge: LocalJudge) -> None:
    policy = scripted([RIGHT, WRONG_AT_3], SOLUTIONS)
    settings = options(num_samples=2, selection=selection)
    block = label_block(policy, judge, [SUM, HARD], settings, name="p")
    assert [program.task_id for program in block.programs] == kept
    every = label_block(policy, judge, [SUM, HARD], options(num_samples=2), name="p").programs
    assert [program for program in every if selected(program, selection)] == list(block.programs)
    # What the selection can only drop is not searched.
    assert block.tally.num_skipped == (2 if selection in (Selection.REMOVE_HARD, Selection.MEDIUM_ONLY) else 0)


def test_medium_is_neither_always_nor_never_solved(judge: LocalJudge) -> None:
    settings = options(num_samples=2, selection=Selection.MEDIUM_ONLY)
    assert label_block(scripted([RIGHT], SOLUTIONS), judge, [SUM], settings, name="p").programs == ()


def test_a_policy_that_recovers_from_anything_contradicts_nothing_and_one_that_forgets_does(judge: LocalJudge) -> None:
    settings = options(num_samples=1, audits=2)
    sound = label_block(scripted([WRONG_AT_3], SOLUTIONS), judge, [SUM], settings, name="p")
    assert [len(program.audits) for program in sound.programs] == [2]
    assert (sound.tally.num_audits, sound.tally.contradiction_rate) == (2, 0.0)

    asked: set[Prompt] = set()

    def forgets(prompt: Prompt) -> Sequence[str]:
        if prompt.begun is None:
            return [WRONG_AT_3]
        seen = prompt.begun in asked
        asked.add(prompt.begun)
        return ["\n    return None\n"] if seen else [RIGHT_WITH_COMMENT[len(prompt.begun.text) :]]

    all_lines = options(num_samples=1, num_completions=1, audits=4)
    forgetful = label_block(ScriptedPolicy(answers=forgets), judge, [SUM], all_lines, name="p")
    assert forgetful.programs[0].labels[-1] == -1
    assert forgetful.tally.num_audits == 4
    assert forgetful.tally.num_lost >= 1
    assert forgetful.tally.contradiction_rate == (forgetful.tally.num_lost + forgetful.tally.num_found) / 4


def test_false_negative_rates_of_the_specification() -> None:
    rates = [round(false_negative_rate(success, 20), 2) for success in (0.05, 0.1, 0.2)]
    assert rates == [0.36, 0.12, 0.01]


def test_what_the_judge_cannot_judge_is_dropped_and_counted() -> None:
    class Broken:
        def run(self, task: Task, program: str) -> Report:
            raise JudgeError("broken")

        def run_many(self, programs: Iterable[tuple[Task, str]]) -> Iterator[Report | JudgeError]:
            return (JudgeError("broken") for _ in programs)

    block = label_block(scripted([WRONG_AT_3], SOLUTIONS), Broken(), [SUM], options(), name="p")
    assert block.programs == ()
    assert (block.tally.num_sampled, block.tally.num_dropped) == (0, 4)


# ------------------------------------------------------------------------------------------------------------- QuixBugs


def code(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]


def faulty_line(row: dict[str, str]) -> int:
    """The first line that is known to be wrong. A comment that was changed too (possible_change) is no fault."""
    lines = row["buggy"].split("\n")
    return min(line for line in row["faulty_lines"] if not lines[line - 1].startswith("#"))


class SameProgram:
    """A judge for which exactly the fixed program passes, blank lines and comments aside."""

    def __init__(self, fixed: dict[str, str]) -> None:
        self._fixed = fixed

    def run(self, task: Task, program: str) -> Report:
        right = code(program) == code(self._fixed[task.id])
        return Report(outcomes=(Outcome(verdict=Verdict.PASSED if right else Verdict.FAILED),))

    def run_many(self, programs: Iterable[tuple[Task, str]]) -> Iterator[Report | JudgeError]:
        return itertools.starmap(self.run, programs)


def quixbugs() -> list[dict[str, object]]:
    file = DATA / "quixbugs/quixbugs.jsonl"
    if not file.is_file():
        pytest.skip(f"no {file}; set LINEWISE_DATA to the folder that holds it")
    return [json.loads(line) for line in file.read_text().splitlines()]


def perfect(rows: Sequence[dict[str, str]]) -> ScriptedPolicy:
    """Samples the buggy program; completes correctly from every correct prefix and never from a wrong one."""
    by_id = {row["id"]: row for row in rows}

    def answers(prompt: Prompt) -> Sequence[str]:
        row = by_id[prompt.task_id]
        if prompt.begun is None:
            return [row["buggy"]]
        written, fixed = code(prompt.begun.text), code(row["fixed"])
        right = written == fixed[: len(written)]
        return ["\n" + "\n".join(fixed[len(written) :]) + "\n" if right else "\n    return 'wrong'\n"]

    return ScriptedPolicy(answers=answers)


def first_wrong(program: LabelledProgram) -> int:
    """1-based program line of the first label -1."""
    return program.first_line + program.labels.index(-1)


BARE = PromptOptions(style=PromptStyle.BARE)


def test_every_quixbugs_fault_is_found_within_log2_queries() -> None:
    rows = quixbugs()
    tasks = [Task(id=row["id"], prompt=row["id"], tests=SUM.tests) for row in rows]
    settings = options(num_samples=1, prompts=BARE, audits=3)
    block = label_block(
        perfect(rows), SameProgram({row["id"]: row["fixed"] for row in rows}), tasks, settings, name="p"
    )
    assert len(block.programs) == len(rows) == 40
    found = {program.task_id: first_wrong(program) for program in block.programs}
    assert found == {row["id"]: faulty_line(row) for row in rows}
    for program in block.programs:
        assert len(program.queries) <= most_queries(len(program.labels)), program.task_id
    assert block.tally.contradiction_rate == 0.0
    assert block.tally.num_completions < block.tally.full_completions < block.tally.linear_completions / 2


@pytest.mark.slow
def test_the_same_with_the_real_judge(judge: LocalJudge) -> None:
    rows = {row["id"]: row for row in quixbugs()}
    module = pytest.importorskip("tests.judge.test_datasets")
    tasks = [Task(**{**vars(task), "prompt": task.id}) for task, _, _ in module.quixbugs()]
    settings = options(num_samples=1, prompts=BARE)
    block = label_block(perfect(list(rows.values())), judge, tasks, settings, name="p")
    found = {program.task_id: first_wrong(program) for program in block.programs}
    assert found == {task.id: faulty_line(rows[task.id]) for task in tasks}


def test_a_query_knows_whether_it_was_recoverable() -> None:
    assert Query(lines=1, num_completions=5, num_passed=1).recoverable
    assert not Query(lines=1, num_completions=20, num_passed=0).recoverable
