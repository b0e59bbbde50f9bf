"""What a judge is made of, within its share of the budget: a baseline's policies, labelled lines, judged programs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from linewise.cli import prm_label
from linewise.cli.compare_runs import finish
from linewise.cli.models import load_named_policy
from linewise.cli.train_psgpo import evenly_spaced, training_split
from linewise.evaluation.compare_runs import FINISHED, Spent, cost_of
from linewise.evaluation.report.page import read_lines
from linewise.prm.journal import Journal
from linewise.prm.tally import Tally
from linewise.recipes.equal_judges import CRITIC_SAMPLES, Entry, allowance_of, label_options, sampling_of
from linewise.training.config import AnyRecipe
from linewise.training.progress import Display
from linewise.training.run_folder import RunFolder
from linewise.training.seeds import derive_seed, visit
from linewise.types import Task
from linewise.values.programs import JudgedProgram, judged_to_record, read_judged

LABELLED_AT_ONCE = 4
"""Tasks whose lines are labelled together: few, since the last block is the one whose searches may be given up."""
SAMPLED_AT_ONCE = 16
"""Tasks whose programs are sampled together for an outcome critic."""


def train_baseline(recipe: AnyRecipe, folder: Path, display: Display) -> tuple[list[str], Spent]:
    """Run the baseline to its end: the folders of its policies that are labelled, and what it took.

    Policies from before the critic had warmed up are the starting policy still; if there is no other, the last one is taken.
    """
    finish(recipe, folder, display)
    run = RunFolder(path=folder)
    learned = [
        path
        for path in sorted(run.policies.glob("step-*"))
        if int(path.name.removeprefix("step-")) > recipe.critic.warmup_steps
    ]
    notes: list[str] = []
    rows = read_lines(run.metrics, notes)
    assert rows and not notes, f"a finished run has its metrics: {notes}"
    discarded = json.loads((folder / FINISHED).read_text())["discarded_programs"]
    cost = cost_of(rows, {}, discarded, Spent())
    spent = Spent(
        programs=cost.programs,
        tokens=cost.tokens,
        verdicts=cost.verdicts,
        seconds=sum(cost.seconds.values()),
        discarded_programs=cost.discarded_programs,
    )
    return [str(path) for path in evenly_spaced(learned) or [run.policy]], spent


def label_lines(entry: Entry, policies: Sequence[str], out: Path, spent: Spent, display: Display) -> Spent:
    """Label lines of the policies' programs with what is left of the judge's share after `spent`. Returns what it took."""
    from linewise.training.session import load_training_tasks

    terms, left = entry.terms, allowance_of(entry.terms).after(spent)
    command = prm_label.command_of(
        label_options(entry),
        policy=tuple(policies),
        tasks=tuple(map(training_split, terms.tasks)),
        out=out,
        max_programs=left.programs,
        max_tokens=left.tokens,
        tasks_at_once=LABELLED_AT_ONCE,
        workers=terms.workers,
    )
    prm_label.check(command)

    def watch(stage: str, total: int) -> Callable[[int], None]:
        display.stage(f"labels, {stage}", total)
        return display.advance

    with Journal(out, prm_label.fingerprint(command)) as journal:
        prm_label.run(command, load_training_tasks(terms.tasks), journal, watch)
        tally = Tally.total(journal.blocks)
    seconds = tally.seconds_generate + tally.seconds_judge
    return Spent(programs=tally.programs, tokens=tally.tokens, verdicts=tally.verdicts, seconds=seconds)


def sample_judged(entry: Entry, out: Path, display: Display) -> tuple[list[JudgedProgram], Spent]:
    """Judged programs of the starting policy, as many as the judge's share pays for, and each visited task's reference once.

    References are left out where the terms leave them out.
    """
    from linewise.training.session import load_training_tasks

    with Journal(out, entry.settings()) as journal:
        sample_blocks(entry, load_training_tasks(entry.terms.tasks), journal, display)
        spent = sum((Spent(**block["spent"]) for block in journal.blocks), Spent())
    programs = read_judged(out)
    samples = [one for one in programs if not one.reference]
    references = {one.task_id: one for one in programs if one.reference} if entry.terms.references else {}
    return [*samples, *references.values()], spent


def sample_blocks(entry: Entry, tasks: Sequence[Task], journal: Journal, display: Display) -> None:
    """Sample and judge what the journal does not hold yet; tasks are visited through epochs drawn by the seed."""
    from linewise.judge import LocalJudge
    from linewise.training.outcome_programs import sample_programs

    terms, sampling = entry.terms, sampling_of(entry.terms)
    left = allowance_of(terms)
    for block in journal.blocks:
        left = left.after(Spent(**block["spent"]))
    done = sum(block["tasks"] for block in journal.blocks)
    policy = None
    with LocalJudge(workers=terms.workers) as judge:
        while (paid := left.completions(sampling) // CRITIC_SAMPLES) > 0:
            # No block goes beyond an epoch, in which every task is visited once.
            count = min(SAMPLED_AT_ONCE, paid, len(tasks) - done % len(tasks))
            ours = [visit(tasks, visit_index=done + place, count=1, seed=entry.seed)[0] for place in range(count)]
            policy = policy or load_named_policy(terms.policy)
            display.stage("programs for the judge", count * CRITIC_SAMPLES)
            sampled = sample_programs(
                policy,
                judge,
                ours,
                num_samples=CRITIC_SAMPLES,
                sampling=sampling,
                seed=derive_seed(entry.seed, "judged programs", done),
                prompts=terms.prompts,
                progress=display.advance,
            )
            spent = Spent(
                programs=sampled.num_programs,
                tokens=sampled.num_tokens,
                verdicts=sampled.num_verdicts,
                seconds=sampled.seconds,
            )
            record = {"tasks": count, "spent": asdict(spent)}
            journal.finish_block(map(judged_to_record, sampled.programs), record)
            left, done = left.after(spent), done + count
