"""Labelling the lines of a policy's own programs (Dai et al., arXiv:2410.17621, section 3.2).

    sample programs -> judge them -> search the failing ones, all searches a query further in each round -> audit -> label

Line m of a failing program is +1 if any of K completions of lines 1 .. m passes all tests, else -1; a line that does
nothing is 0, which comes first. A passing program's lines are +1. What we do and the paper does not say: searches share
the completions of equal prefixes, completions are drawn in chunks until one passes, and random prefixes are tested twice.
Under an allowance a round asks no more prefixes than it pays for with all K completions; programs whose search ends so are
left out, and so are audits.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from linewise.errors import JudgeError
from linewise.prm.allowance import Allowance
from linewise.prm.completer import Answer, Completer, Round, Watch, with_stream
from linewise.prm.labels import Kind, LabelledProgram, Query, Selection, may_select, selected
from linewise.prm.prefix import Steps, begin_at, steps_of
from linewise.prm.search import NEGATIVE, POSITIVE, Search, line_labels
from linewise.prm.tally import Tally, tally_of_programs, tally_of_round
from linewise.rollout.collect import judge_once
from linewise.rollout.program import extract_program, is_complete
from linewise.rollout.prompts import PromptOptions, build_prompt
from linewise.rollout.records import completion_from_record, program_from_record
from linewise.types import Completion, Judge, Policy, Program, Prompt, Report, Sampling, Task

RunStep = Callable[[str, Callable[[], Any]], Any]
"""Runs a named step of a block, or gives the result that an earlier run recorded (`Journal.step`)."""

NO_LIMIT = Allowance()

Complete = Callable[[str, Sequence[tuple[Task, Prompt]], str], Round]
"""Completes prefixes as a step of that name, for that purpose."""


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """How programs are sampled and their lines labelled."""

    num_samples: int = 8
    """Programs sampled for each task."""
    num_completions: int = 20
    """K, completions of each prefix; the paper's number."""
    first_chunk: int = 5
    """Completions drawn first; the rest only where none of them passes. K or more draws all at once."""
    audits: int = 2
    """Prefixes of each failing program that are tested a second time; 0 for none."""
    selection: Selection = Selection.REVISED_ONLY
    """Programs that are kept."""
    sampling: Sampling = Sampling()
    """Of programs and of completions."""
    prompts: PromptOptions = PromptOptions()
    seed: int = 0

    @property
    def least_programs(self) -> int:
        """Programs and completions that must be paid for before a task is begun: its programs, and one query of each."""
        return self.num_samples * (1 + self.num_completions)


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """A program that was sampled and judged, before its labels."""

    task: Task
    prompt: Prompt
    completion: Completion
    program: Program
    steps: Steps
    passed: bool


@dataclass(frozen=True, kw_only=True)
class LabelledBlock:
    """What labelling a few tasks gave."""

    programs: tuple[LabelledProgram, ...]
    """Those that the selection keeps, task by task."""
    tally: Tally


def label_block(
    policy: Policy,
    judge: Judge,
    tasks: Sequence[Task],
    options: LabelOptions,
    *,
    name: str,
    allowance: Allowance = NO_LIMIT,
    step: RunStep = lambda _name, compute: compute(),
    watch: Watch = lambda _stage, _total: lambda _done: None,
) -> LabelledBlock:
    """Sample programs for tasks and label them; `name` is what records call the policy.

    No more is sampled than `allowance` says, which must pay for the programs themselves; the default sets no limit.
    All searches of the block advance together. A function of weights and arguments: each stage is handed to `step` as a
    function that gives JSON, so that a run that was killed can go on after the last stage that it recorded.
    """
    completer = Completer(
        policy=policy,
        judge=judge,
        num_completions=options.num_completions,
        first_chunk=options.first_chunk,
        sampling=options.sampling,
        seed=options.seed,
    )

    def complete(label: str, jobs: Sequence[tuple[Task, Prompt]], purpose: str) -> Round:
        return _round(step(label, lambda: asdict(completer(jobs, purpose=purpose, watch=watch))))

    samples, tally = sample_programs(policy, judge, tasks, options, step=step, watch=watch)
    rates = pass_rates(samples)
    kept = [one for one in samples if may_select(options.selection, rates[one.task.id])]
    searches, cost = _search(kept, options, complete, allowance.after(tally))
    finished = [(one, search) for one, search in zip(kept, searches, strict=True) if search is not None]
    tally += cost + Tally(num_skipped=len(samples) - len(kept), num_given_up=len(kept) - len(finished))
    audits, cost = _audit([one for one, _ in finished], options, complete, allowance.after(tally))
    programs = [
        _labelled(one, search, audit, name=name, pass_rate=rates[one.task.id])
        for (one, search), audit in zip(finished, audits, strict=True)
    ]
    written = tuple(program for program in programs if selected(program, options.selection))
    tally += cost + Tally(num_written=len(written))
    tally += tally_of_programs(programs, num_completions=options.num_completions)
    return LabelledBlock(programs=written, tally=tally)


def sample_programs(
    policy: Policy, judge: Judge, tasks: Sequence[Task], options: LabelOptions, *, step: RunStep, watch: Watch
) -> tuple[list[Sampled], Tally]:
    """The sampled programs in the order of the tasks, without those that the judge could not judge, and what they cost."""
    prompts = [build_prompt(task, policy, options.prompts) for task in tasks]

    def sample() -> dict[str, Any]:
        started = time.perf_counter()
        total = len(tasks) * options.num_samples
        drawn = policy.generate(
            [with_stream(prompt, "sample") for prompt in prompts],
            num_samples=options.num_samples,
            sampling=options.sampling,
            seed=options.seed,
            is_complete=is_complete,
            progress=watch("sampling programs", total),
        )
        sampled = time.perf_counter()
        programs = [
            [extract_program(prompt, one.text) for one in ours] for prompt, ours in zip(prompts, drawn, strict=True)
        ]
        verdicts = judge_once(judge, tasks, programs)
        judged = time.perf_counter()
        groups = [
            [
                {
                    "completion": asdict(one),
                    "program": asdict(program),
                    "passed": _passed(verdicts[task.id, program.source]),
                }
                for one, program in zip(ours, sources, strict=True)
            ]
            for task, ours, sources in zip(tasks, drawn, programs, strict=True)
        ]
        seconds = {"seconds_generate": sampled - started, "seconds_judge": judged - sampled}
        return {"groups": groups, "verdicts": len(verdicts), **seconds}

    record = step("samples", sample)
    records = record["groups"]
    samples = [
        Sampled(
            task=task,
            prompt=prompt,
            completion=completion_from_record(record["completion"]),
            program=(program := program_from_record(record["program"])),
            steps=steps_of(program),
            passed=record["passed"],
        )
        for task, prompt, ours in zip(tasks, prompts, records, strict=True)
        for record in ours
        if record["passed"] is not None
    ]
    tally = Tally(
        num_sampled=len(samples),
        num_dropped=sum(map(len, records)) - len(samples),
        sampled_tokens=sum(len(one["completion"]["token_ids"]) for ours in records for one in ours),
        sampled_verdicts=record["verdicts"],
        seconds_generate=record["seconds_generate"],
        seconds_judge=record["seconds_judge"],
    )
    return samples, tally


def pass_rates(samples: Sequence[Sampled]) -> Mapping[str, float]:
    """Task id -> share of its samples that passed."""
    passed: dict[str, list[bool]] = {}
    for one in samples:
        passed.setdefault(one.task.id, []).append(one.passed)
    return {task_id: sum(ours) / len(ours) for task_id, ours in passed.items()}


def _search(
    samples: Sequence[Sampled], options: LabelOptions, complete: Complete, allowance: Allowance
) -> tuple[list[tuple[Query, ...] | None], Tally]:
    """The queries of each program's search, in order; None where it was given up. All searches take one query a round."""
    searches = [None if one.passed else Search(high=one.steps.num_lines) for one in samples]
    queries: list[tuple[Query, ...]] = [() for _ in samples]
    given_up: set[int] = set()
    known: dict[Prompt, Answer] = {}
    tally = Tally()
    number = 0
    while True:
        asked = {
            place: (search.query, begin_at(one.prompt, one.completion, one.steps, search.query))
            for place, (one, search) in enumerate(zip(samples, searches, strict=True))
            if search is not None and search.query is not None
        }
        if not asked:
            return [None if place in given_up else ours for place, ours in enumerate(queries)], tally
        # Equal prefixes, in the order in which they come up, each once.
        jobs = {prompt: samples[place].task for place, (_, prompt) in asked.items() if prompt not in known}
        most = allowance.after(tally).completions(options.sampling) // options.num_completions
        jobs = dict(islice(jobs.items(), most))
        if jobs:
            done = complete(f"round {number}", [(task, prompt) for prompt, task in jobs.items()], "search")
            known.update(zip(jobs, done.answers, strict=True))
            tally += tally_of_round(done, num_completions=options.num_completions)
        for place, (lines, prompt) in asked.items():
            if prompt not in known:
                given_up.add(place)
                searches[place] = None
                continue
            query = _query(lines, known[prompt])
            search = searches[place]
            assert search is not None
            searches[place] = search.answered(recoverable=query.recoverable)
            queries[place] += (query,)
        number += 1


def _audit(
    samples: Sequence[Sampled], options: LabelOptions, complete: Complete, allowance: Allowance
) -> tuple[list[tuple[Query, ...]], Tally]:
    """Second tests of prefixes that are drawn by the program's own text, with completions of their own."""
    chosen = [() if one.passed else _audited_lines(one, options) for one in samples]
    most = allowance.completions(options.sampling) // options.num_completions
    places = [(place, lines) for place, ours in enumerate(chosen) for lines in ours][:most]
    prompts = [
        begin_at(samples[place].prompt, samples[place].completion, samples[place].steps, lines)
        for place, lines in places
    ]
    jobs = {prompt: samples[place].task for (place, _), prompt in zip(places, prompts, strict=True)}
    audits: list[tuple[Query, ...]] = [() for _ in samples]
    if not jobs:
        return audits, Tally()
    done = complete("audit", [(task, prompt) for prompt, task in jobs.items()], "audit")
    answers = dict(zip(jobs, done.answers, strict=True))
    for (place, lines), prompt in zip(places, prompts, strict=True):
        audits[place] += (_query(lines, answers[prompt]),)
    return audits, tally_of_round(done, num_completions=options.num_completions, is_audit=True)


def _audited_lines(one: Sampled, options: LabelOptions) -> tuple[int, ...]:
    count = min(options.audits, max(one.steps.num_lines - 1, 0))
    stream = with_stream(replace(one.prompt, text=one.prompt.text + one.completion.text), "audited lines").stream
    order = np.random.default_rng([options.seed, stream or 0]).permutation(max(one.steps.num_lines - 1, 0))
    return tuple(sorted((order[:count] + 1).tolist()))


def _labelled(
    one: Sampled, queries: tuple[Query, ...], audits: tuple[Query, ...], *, name: str, pass_rate: float
) -> LabelledProgram:
    steps = one.steps
    recoverable = max((query.lines for query in queries if query.recoverable), default=0)
    labels = line_labels(steps.num_lines, steps.num_lines if one.passed else recoverable, steps.neutral)
    revised = POSITIVE in labels and NEGATIVE in labels
    return LabelledProgram(
        task_id=one.task.id,
        policy=name,
        prompt=one.prompt,
        completion=one.completion,
        program=one.program,
        kind=Kind.CORRECT if one.passed else Kind.REVISED if revised else Kind.WRONG,
        task_pass_rate=pass_rate,
        first_line=steps.first_line,
        labels=labels,
        queries=queries,
        audits=audits,
    )


def _query(lines: int, answer: Answer) -> Query:
    return Query(lines=lines, num_completions=answer.num_completions, num_passed=answer.num_passed)


def _round(record: Mapping[str, Any]) -> Round:
    return Round(**{**record, "answers": tuple(Answer(**answer) for answer in record["answers"])})


def _passed(report: Report | JudgeError) -> bool | None:
    return None if isinstance(report, JudgeError) else report.passed
