"""Critic sampling with scripted policies, a critic that is a table, and a judge that reads the program."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from linewise.errors import JudgeError, UserError
from linewise.evaluation.candidates import (
    Ask,
    Candidate,
    begin_at,
    best_cut,
    candidate,
    cuts_of,
    fate,
    joined,
    repair_task,
    spread,
    visible,
)
from linewise.evaluation.critic_evaluation import best_by_examples, evaluate_critic_sampling
from linewise.evaluation.critic_sampling import Cost, CriticSampler, CriticSamplingOptions, Drawn
from linewise.policy import ScriptedPolicy
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.types import (
    CallTest,
    Completion,
    Outcome,
    Program,
    Prompt,
    Report,
    Sampling,
    StopReason,
    Task,
    Verdict,
)
from linewise.values.classes import PassProbs

EXAMPLE, HIDDEN = CallTest(call="f(1)", expected="1", example=True), CallTest(call="f(2)", expected="2")
SAMPLING = Sampling(temperature=0.6, max_new_tokens=200)
OPTIONS = PromptOptions(style=PromptStyle.COMPLETION)


def task(name: str, *tests: CallTest) -> Task:
    return Task(
        id=name,
        prompt=f"Do {name}.",
        entry_point="f",
        signature="def f(x):",
        tests=tests or (EXAMPLE, HIDDEN),
        reference="def f(x):\n    return x\n",
    )


@dataclass(frozen=True)
class WordJudge:
    """A test passes where its word stands in the program: `ex` for an example, `hid` for a hidden one."""

    asked: list[tuple[Task, str]] = field(default_factory=list)

    def run(self, task: Task, program: str) -> Report:
        raise NotImplementedError("many programs are judged at once")

    def run_many(self, programs: Iterable[tuple[Task, str]]) -> Iterator[Report | JudgeError]:
        for task, program in programs:
            self.asked.append((task, program))
            yield self.verdict(task, program)

    def verdict(self, task: Task, program: str) -> Report | JudgeError:
        assert task.tests, "a task without tests has no verdict"
        if "fault" in program:
            return JudgeError("the worker is gone")
        if "error" in program:
            return Report(
                outcomes=(Outcome(verdict=Verdict.RUNTIME_ERROR, exception="ZeroDivisionError"),) * len(task.tests)
            )
        words = ["ex" if test.example else "hid" for test in task.tests]
        return Report(
            outcomes=tuple(Outcome(verdict=Verdict.PASSED if word in program else Verdict.FAILED) for word in words)
        )


@dataclass(frozen=True)
class TableCritic:
    """p(pass) after each token is a function of the text so far."""

    prob: Callable[[str], float]
    asked: list[str] = field(default_factory=list)

    def pass_probs(self, programs: Sequence[tuple[Completion, Program]]) -> list[PassProbs]:
        self.asked.extend(completion.text for completion, _ in programs)
        return [
            PassProbs(
                prefixes=np.array([self.prob(one.text[:end]) for _, end in one.char_spans], dtype=np.float32),
                program=self.prob(one.text),
            )
            for one, _ in programs
        ]


@dataclass(frozen=True)
class Script:
    """Answers in turn, by what the prompt is: from scratch, a repair, or a beginning."""

    plain: Sequence[str]
    repaired: Sequence[str] = ()
    continued: Sequence[str] = ()
    seen: list[Prompt] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def __call__(self, prompt: Prompt) -> list[str]:
        self.seen.append(prompt)
        if prompt.begun is not None:
            return [self.turn("continued", self.continued)]
        if "This program" in prompt.text:
            return [self.turn("repaired", self.repaired)]
        return list(self.plain)

    def turn(self, kind: str, answers: Sequence[str]) -> str:
        place = self.counts.get(kind, 0)
        self.counts[kind] = place + 1
        return answers[place % len(answers)]


def sampler(
    script: Script, critic: TableCritic, judge: WordJudge | None = None, *, num_samples: int = 4, **changes: int
) -> CriticSampler:
    return CriticSampler(
        policy=ScriptedPolicy(answers=script),
        critic=critic,
        judge=judge or WordJudge(),
        num_samples=num_samples,
        sampling=SAMPLING,
        prompts=OPTIONS,
        options=CriticSamplingOptions(**changes),
    )


def likes(text: str) -> TableCritic:
    """A critic that believes in exactly one beginning."""
    return TableCritic(lambda so_far: 0.9 if so_far == text else 0.1)


def draw(search: CriticSampler, *tasks: Task) -> list[Drawn]:
    return search([visible(one) for one in tasks], seed=0)


def bodies(drawn: Drawn) -> list[str]:
    return [one.program.source.split('"""')[-1] for one in drawn.final]


GOOD, WRONG = "\n    return ex1", "\n    return 0"


def test_refining_goes_on_from_the_best_beginning_of_each_passing_program() -> None:
    script = Script(plain=[GOOD, WRONG, WRONG, "\n    return 2 + ex"], continued=[" ex3", " hid ex"])
    critic = likes("\n    return")
    (drawn,) = draw(sampler(script, critic), task("a"))
    assert critic.asked == [GOOD, "\n    return 2 + ex"], "only what passes the examples is refined"
    begun = [prompt.begun for prompt in script.seen if prompt.begun is not None]
    assert [one.text for one in begun] == ["\n    return"] * 4, "N programs, N/P from each of the P = 2"
    assert begun[0].token_ids == tuple(map(ord, "\n    return"))
    assert not begun[0].ends_line
    assert bodies(drawn) == ["\n    return ex3", "\n    return hid ex"] * 2
    assert drawn.kept == pytest.approx((11 / 15, 11 / 18))
    assert drawn.num_repairs == 0


def test_a_refined_program_is_a_whole_completion_of_the_plain_prompt() -> None:
    script = Script(plain=[GOOD], continued=[" ex3"])
    (drawn,) = draw(sampler(script, likes("\n    return"), num_samples=1), task("a"))
    whole, plain = drawn.final[0].completion, drawn.first[0].completion
    assert whole.prompt_ids == plain.prompt_ids
    assert whole.text == "\n    return ex3"
    assert whole.token_ids == (*map(ord, whole.text), 0)
    assert len(whole.logprobs) == len(whole.token_ids)
    assert [whole.text[begin:end] for begin, end in whole.char_spans] == [*whole.text, ""]
    assert drawn.cost == Cost(
        num_programs=2, num_tokens=len(plain.token_ids) + len(" ex3") + 1, num_verdicts=1, num_scored=1
    )


def test_streams_of_equal_prompts_differ() -> None:
    script = Script(plain=[GOOD, WRONG], continued=[" ex"])
    draw(sampler(script, likes("\n"), num_samples=6, rounds=2), task("a"), task("b"))
    streams = [prompt.stream for prompt in script.seen if prompt.begun is not None]
    assert len(streams) == 24
    assert len(set(streams)) == 24


def test_where_none_passes_the_best_by_the_critic_is_repaired_and_then_refined() -> None:
    script = Script(
        plain=[WRONG, "\n    return error", "\n    return 7", WRONG],
        repaired=["\n    return ex", WRONG],
        continued=["ex4"],
    )
    critic = TableCritic(lambda text: 0.9 if "error" in text or text == "\n    return " else 0.1)
    (drawn,) = draw(sampler(script, critic), task("a"))
    repairs = [prompt for prompt in script.seen if "This program" in prompt.text]
    assert len(repairs) == 4
    words = "This program stops with an error (ZeroDivisionError):"
    assert all(words in prompt.text and "return error" in prompt.text for prompt in repairs)
    assert drawn.num_repairs == 1
    assert bodies(drawn) == ["\n    return ex4"] * 4, "cut before the repaired program's ex, and gone on from there"
    begun = [prompt for prompt in script.seen if prompt.begun is not None]
    assert all("This program" not in prompt.text for prompt in begun), "refined as answers to the plain prompt"
    assert drawn.cost.num_programs == 12
    assert drawn.cost.num_verdicts == 3 + 2, "distinct programs of the samples, and of the repairs"
    assert drawn.cost.num_scored == 4 + 2


def test_the_top_m_share_the_repairs() -> None:
    script = Script(plain=["\n    return 1", "\n    return 2", "\n    return 3"], repaired=[WRONG])
    critic = TableCritic(lambda text: {"1": 0.2, "2": 0.9, "3": 0.5}.get(text[-1], 0.0))
    (drawn,) = draw(sampler(script, critic, num_samples=3, num_repaired=2), task("a"))
    repairs = [prompt.text for prompt in script.seen if "This program" in prompt.text]
    assert [[f"return {n}" in text for n in (1, 2, 3)] for text in repairs] == [
        [False, True, False],
        [False, True, False],
        [False, False, True],
    ]
    assert bodies(drawn) == [WRONG] * 3, "what no repair helped keeps its repaired programs"


def test_another_model_may_repair() -> None:
    other = Script(plain=[], repaired=["\n    return ex"])
    search = sampler(Script(plain=[WRONG], continued=["x"]), likes(""), num_samples=1)
    (drawn,) = draw(replace(search, repair_policy=ScriptedPolicy(answers=other)), task("a"))
    assert other.counts == {"repaired": 1}
    assert drawn.num_repairs == 1


def test_faults_of_the_judge_are_neither_refined_nor_repaired() -> None:
    (drawn,) = draw(sampler(Script(plain=["\n    fault"]), likes(""), num_samples=2), task("a"))
    assert bodies(drawn) == ["\n    fault"] * 2
    assert drawn.num_repairs == 0


def test_a_task_without_examples_keeps_its_plain_samples() -> None:
    judge = WordJudge()
    script = Script(plain=[WRONG, GOOD], continued=[" ex"])
    plain, other = draw(sampler(script, likes("\n"), judge, num_samples=2), task("a", HIDDEN), task("b"))
    assert plain.final == plain.first
    assert plain.cost.num_programs == 2
    assert other.cost.num_programs == 4
    assert {asked.id for asked, _ in judge.asked} == {"b"}


def test_no_round_is_plain_sampling() -> None:
    (drawn,) = draw(sampler(Script(plain=[WRONG, GOOD]), likes(""), rounds=0), task("a"))
    assert drawn.final == drawn.first
    assert bodies(drawn) == [WRONG, GOOD] * 2


def test_a_second_round_starts_from_the_first_ones_programs() -> None:
    script = Script(plain=[GOOD], continued=["ex5", "ex6"])
    critic = TableCritic(lambda text: 0.9 if text in ("\n    return ", "\n    return ex") else 0.1)
    (drawn,) = draw(sampler(script, critic, num_samples=1, rounds=2), task("a"))
    assert critic.asked == [GOOD, "\n    return ex5"]
    assert drawn.cost.num_programs == 3
    assert drawn.cost.num_verdicts == 2


def test_hidden_tests_do_not_influence_what_is_drawn() -> None:
    """The same tasks with other hidden tests give the same programs, and until the end no hidden test is run."""
    judge = WordJudge()
    programs = []
    for tests in ((EXAMPLE, HIDDEN), (EXAMPLE,), (replace(HIDDEN, expected="9"), EXAMPLE, HIDDEN)):
        script = Script(plain=[WRONG, GOOD + " hid"], repaired=[GOOD], continued=[" ex", " hid"])
        drawn = draw(sampler(script, likes("\n    return"), judge), task("a", *tests))
        programs.append([one.final for one in drawn])
    assert programs[0] == programs[1] == programs[2]
    assert all(asked.tests == (EXAMPLE,) and asked.reference is None for asked, _ in judge.asked)
    with pytest.raises(AssertionError, match="without hidden tests"):
        sampler(Script(plain=[WRONG]), likes(""))([task("a")], seed=0)


# ---------------------------------------------------------------------------------------------------------- evaluation


def test_the_final_programs_are_measured_beside_plain_ones_of_the_same_budget() -> None:
    judge = WordJudge()
    script = Script(plain=[GOOD, WRONG, "\n    return ex hid", WRONG], continued=["ex hid", "0"])
    critic = likes("\n    return ")
    search = sampler(script, critic, judge)
    result = evaluate_critic_sampling(search, [task("a"), task("b")], judge, seed=3, name="scripted")
    assert [(one.num_samples, one.num_passed) for one in result.final.results] == [(4, 2), (4, 2)]
    assert result.cost.num_programs == result.plain_cost.num_programs == 16
    assert [one.num_samples for one in result.plain.results] == [8, 8]
    assert result.kept is not None
    assert [one.num_samples for one in result.kept.results] == [4, 4]
    # The script begins anew with every further prompt: four times GOOD, which passes the example alone.
    assert [one.num_passed for one in result.plain.results] == [1, 1]
    assert result.kept.verdicts == {"passed": 2, "failed": 6}
    assert result.final.pass_at_k(1).mean == 1 / 2
    assert (result.num_repairs, result.num_without_examples, result.num_without_hidden) == (0, 0, 0)
    scored = [asked for asked, _ in judge.asked if asked.tests != (EXAMPLE,)]
    assert {asked.tests for asked in scored} == {(EXAMPLE, HIDDEN)}
    first_scored = next(place for place, (asked, _) in enumerate(judge.asked) if asked.tests != (EXAMPLE,))
    assert all(asked.tests != (EXAMPLE,) for asked, _ in judge.asked[first_scored:]), (
        "all is drawn before any is scored"
    )


def test_without_comparison_nothing_more_is_drawn() -> None:
    script = Script(plain=[GOOD], continued=[" ex"])
    result = evaluate_critic_sampling(sampler(script, likes("\n")), [task("a")], WordJudge(), seed=0, compare=False)
    assert result.kept is None
    assert result.plain_cost.num_programs == 4
    assert sum(prompt.begun is None for prompt in script.seen) == 1


def test_tasks_that_hide_nothing_are_counted() -> None:
    script = Script(plain=[GOOD], continued=[" ex"])
    tasks = [task("a", EXAMPLE), task("b", HIDDEN), task("c")]
    result = evaluate_critic_sampling(sampler(script, likes("\n")), tasks, WordJudge(), seed=0)
    assert (result.num_without_hidden, result.num_without_examples) == (1, 1)


def test_tasks_without_any_example_are_refused() -> None:
    search = sampler(Script(plain=[GOOD]), likes(""))
    with pytest.raises(UserError, match="none of the 2 tasks has an example test"):
        evaluate_critic_sampling(search, [task("a", HIDDEN), task("b", HIDDEN)], WordJudge(), seed=0)


def test_a_task_that_loses_all_its_programs_stops_the_evaluation() -> None:
    search = sampler(Script(plain=["\n    fault"]), likes(""))
    with pytest.raises(UserError, match=r"every program of the task a: the worker is gone"):
        evaluate_critic_sampling(search, [task("a")], WordJudge(), seed=0)


# -------------------------------------------------------------------------------------------------------------- pieces


def completion(pieces: Sequence[str]) -> Completion:
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    return Completion(
        prompt_ids=(9,),
        token_ids=tuple(range(1, len(pieces) + 1)),
        logprobs=tuple(-float(place) for place in range(len(pieces))),
        char_spans=tuple((end - len(piece), end) for piece, end in zip(pieces, ends, strict=True)),
        text="".join(pieces),
        stop_reason=StopReason.EOS,
    )


PROMPT = Prompt(task_id="a", text="def f(x):", header="def f(x):")


def test_the_best_cut_by_hand() -> None:
    # "\nprint" ends the program and lies half behind it; the last token wrote nothing.
    one = candidate(PROMPT, completion(["\n    return", " 1", "\nprint", ""]))
    assert one.program.source == "def f(x):\n    return 1\n"
    assert cuts_of(one) == [1, 2]
    assert best_cut(one, np.array([0.2, 0.7, 0.9, 0.95], dtype=np.float32)) == 2
    assert best_cut(one, np.array([0.7, 0.7, 0.9, 0.95], dtype=np.float32)) == 1, "the shortest of equal ones"
    empty = Candidate(completion=completion(["", ""]), program=Program(source="", header_chars=0, start=0, end=0))
    assert best_cut(empty, np.array([0.5, 0.5], dtype=np.float32)) == 0
    assert begin_at(PROMPT, empty, 0) == Ask(prompt=PROMPT)


def test_a_joined_completion_is_cut_at_the_limit() -> None:
    one = candidate(PROMPT, completion(["\n    return", " 1", "\n", ""]))
    ask = begin_at(PROMPT, one, 1)
    answer = completion([" 2", " + 3", ""])
    whole = joined(ask, answer, (5,), limit=10)
    assert (whole.text, whole.token_ids, whole.prompt_ids) == ("\n    return 2 + 3", (1, 1, 2, 3), (5,))
    assert whole.logprobs == (-0.0, -0.0, -1.0, -2.0)
    assert whole.char_spans == ((0, 11), (11, 13), (13, 17), (17, 17))
    cut = joined(ask, answer, (5,), limit=2)
    assert (cut.text, cut.token_ids, cut.stop_reason) == ("\n    return 2", (1, 1), StopReason.LENGTH)


def test_asks_are_spread_evenly() -> None:
    asks = [Ask(prompt=Prompt(task_id=name, text=name)) for name in "abc"]
    assert [one.prompt.task_id for one in spread(asks, 8, "x")] == [*"aaabbbcc"]
    assert [one.prompt.task_id for one in spread(asks, 2, "x")] == [*"ab"]


def test_the_words_of_a_repair() -> None:
    one = candidate(PROMPT, completion(["\n    return 0"]))
    failed = replace(one, report=Report(outcomes=(Outcome(verdict=Verdict.FAILED),)))
    assert repair_task(task("a"), failed).prompt == (
        "Do a.\n\nThis program gives a wrong result:\n\ndef f(x):\n    return 0\n\nWrite it correctly."
    )


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(verdict=Verdict.FAILED), "gives a wrong result"),
        (Outcome(verdict=Verdict.SYNTAX_ERROR, exception="IndentationError"), "does not compile (IndentationError)"),
        (Outcome(verdict=Verdict.RUNTIME_ERROR, exception="KeyError"), "stops with an error (KeyError)"),
        (Outcome(verdict=Verdict.OUTPUT_LIMIT), "stops with an error (output limit)"),
    ],
)
def test_fates(outcome: Outcome, words: str) -> None:
    assert fate(Report(outcomes=(Outcome(verdict=Verdict.PASSED), outcome))) == words


def test_programs_that_pass_the_examples_come_first() -> None:
    passed, failed = (Report(outcomes=(Outcome(verdict=verdict),)) for verdict in (Verdict.PASSED, Verdict.FAILED))
    made = [candidate(PROMPT, completion([f"\n    return {place}"])) for place in range(4)]
    pool = [replace(one, report=report) for one, report in zip(made, (failed, passed, failed, passed), strict=True)]
    assert best_by_examples(pool, 3) == [pool[1], pool[3], pool[0]]


@pytest.mark.parametrize("change", [{"rounds": -1}, {"num_repaired": 0}])
def test_numbers_that_draw_nothing_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        CriticSamplingOptions(**change)
