"""`linewise compare METHOD METHOD ...`: methods under one budget, over several seeds."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from linewise.cli.compare_display import runs_display
from linewise.cli.compare_judges import make_judge, read_made
from linewise.cli.compare_runs import finish, folder_of, take_start
from linewise.cli.pretrain import ensure_policy
from linewise.cli.quiet import quiet_libraries
from linewise.cli.train import PHASED
from linewise.errors import RunError, UserError, did_you_mean
from linewise.evaluation.compare import Comparison, Pair, Run, compare
from linewise.evaluation.compare_runs import FINISHED, read_run
from linewise.evaluation.report.compare import render
from linewise.recipes.catalogue import RECIPES
from linewise.recipes.equal_judges import Entry, Judge, allowance_of, entry_of, entry_of_phases
from linewise.recipes.equal_terms import Terms
from linewise.training.config import AnyRecipe
from linewise.training.run_folder import RunFolder, write_text
from linewise.types import Need

Plan = Mapping[tuple[str, int], Entry]
"""(method, seed) -> its run and its judge, in the order in which they are made."""


FINAL = "final"
"""The last phase of a method of several, as `linewise train` calls it."""


@dataclass(frozen=True, kw_only=True)
class CompareArguments:
    """Compare methods: the same policy, tasks, sampling, learning rate, evaluation, seeds and budget of programs for each.

    A model that judges for a method is made first, from the same budget. Runs lie in OUT/METHOD/seed-N. The same command again
    goes on where it was interrupted, and reads finished runs back; with another method or more seeds it makes the runs that are
    missing. The result is OUT/compare.html and OUT/compare.json.

    Example:  linewise compare rltf grpo ppo --policy arena --tasks arena --budget 4096 --seeds 5 --out runs/arena
    """

    methods: tyro.conf.Positional[tuple[str, ...]]
    """Recipes by name; `linewise train --help` lists them."""
    out: Path
    """Folder of all runs and of the result."""
    seeds: int = 5
    """Runs of each method, of the seeds 0, 1, ..."""
    terms: Annotated[Terms, tyro.conf.arg(name="")] = Terms()


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0; Ctrl-C gives 130, and the same command goes on."""
    settings = tyro.cli(
        CompareArguments, prog="linewise compare", args=arguments, config=(tyro.conf.EnumChoicesFromValues,)
    )
    plan = plan_of(settings)
    quiet_libraries()
    console = Console()
    ensure_policy(settings.terms.policy)
    try:
        runs = run_all(plan, settings, console)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here", highlight=False)
        raise
    comparison = compare(runs, ks=sorted({1, settings.terms.evaluation_samples}))
    page = write_result(comparison, plan, settings)
    show(comparison, console)
    console.print(f"page: {page}", highlight=False, soft_wrap=True)
    return 0


def plan_of(settings: CompareArguments) -> Plan:
    """All runs, seed by seed, so that each method is tried early. Raises UserError for a method that cannot be compared."""
    methods, names = settings.methods, [*RECIPES, *PHASED]
    for name in methods:
        if name not in names:
            raise UserError(f"unknown method '{name}'.{did_you_mean(name, names)} There are: {', '.join(names)}.")
    if len(methods) < 2 or len(set(methods)) < len(methods):
        raise UserError(f"the methods are {' '.join(methods) or 'none'}: give at least two, each once.")
    if settings.seeds < 1:
        raise UserError(
            f"--seeds {settings.seeds} leaves no run: give at least 1; intervals over seeds need 2 or more."
        )
    return {
        (method, seed): planned(method, settings.terms, seed) for seed in range(settings.seeds) for method in methods
    }


def planned(method: str, terms: Terms, seed: int) -> Entry:
    """A method by name. Raises UserError where the terms leave too little to begin it."""
    try:
        if method in PHASED:
            return entry_of_phases(PHASED[method](), terms, seed=seed)
        return entry_of(RECIPES[method](), terms, seed=seed)
    except UserError as error:
        raise UserError(f"{method}: {error}") from error


def run_all(plan: Plan, settings: CompareArguments, console: Console) -> list[Run]:
    """All runs, made, resumed or read back."""
    from accelerate import PartialState

    if PartialState().num_processes > 1:
        raise UserError(
            "`linewise compare` makes its runs one after another in one process: start it without a launcher."
        )
    parts = settings.terms.evaluations
    check_runs(plan, settings)
    runs = []
    with runs_display(console, num_runs=len(plan), programs=settings.terms.budget) as display:
        for (method, seed), entry in plan.items():
            folder, run_folder = folder_of(settings.out, method, seed), run_folder_of(entry, settings.out, method)
            display.begin(f"{method}, seed {seed}")
            try:
                made = make_judge(
                    entry, folder, [folder_of(settings.out, other, seed) for other in settings.methods], display
                )
                take_start(
                    run_folder, [run_folder_of(plan[other, seed], settings.out, other) for other in settings.methods]
                )
                finish(made.recipe(entry, folder), run_folder, display)
            except UserError as error:
                raise RunError(f"{method}, seed {seed}: {error}") from error
            run = read_run(run_folder, method=method, seed=seed, parts=parts, spent=made.spent)
            display.end(f"{method}, seed {seed}", run)
            runs.append(run)
    return runs


def run_folder_of(entry: Entry, out: Path, method: str) -> Path:
    """Where the run itself lies: beside its judge, or, after other phases, in a folder of its own."""
    folder = folder_of(out, method, entry.seed)
    return folder / FINAL if entry.baseline is not None else folder


def check_runs(plan: Plan, settings: CompareArguments) -> None:
    """Raises RunError where a run or a judge was made under other terms, before another run takes over its start."""
    for (method, seed), entry in plan.items():
        try:
            check_run(entry, folder_of(settings.out, method, seed), run_folder_of(entry, settings.out, method))
        except UserError as error:
            raise RunError(f"{method}, seed {seed}: {error}") from error


def check_run(entry: Entry, folder: Path, run_folder: Path) -> None:
    """Raises RunError where the run there is not this one, or its judge not the one that it began with."""
    from linewise.training.run import check_same_recipe

    run, made = RunFolder(path=run_folder), read_made(entry, folder)
    if not run.config.exists():
        return
    if made is None:
        raise RunError(f"{folder} holds a run and no judge for it. Remove the folder, and give the command again.")
    if not (run_folder / FINISHED).exists():
        check_same_recipe(run, made.recipe(entry, folder))
        return
    # A finished run reads its judge no more, and may have been moved with it.
    then, now = run.read_config(), made.recipe(entry, folder)
    critic = now.critic if now.critic.init is None else replace(now.critic, init=then["critic"]["init"])
    check_same_recipe(run, replace(now, prm=then["prm"], outcome_critic=then["outcome_critic"], critic=critic))


def write_result(comparison: Comparison, plan: Plan, settings: CompareArguments) -> Path:
    """Write compare.json and compare.html, and return the page's path."""
    terms = {"seeds": settings.seeds, **json.loads(json.dumps(asdict(settings.terms)))}
    entries = {method: plan[method, 0] for method in settings.methods}
    first = {
        method: RunFolder(path=run_folder_of(entry, settings.out, method)).read_config()
        for method, entry in entries.items()
    }
    notes = notes_of(entries, settings.terms)
    record = {"terms": terms, "notes": notes, **asdict(comparison)}
    write_text(settings.out / "compare.json", json.dumps(record, indent=1))
    page = settings.out / "compare.html"
    write_text(page, render(comparison, terms=terms, recipes=first, notes=notes))
    return page


def notes_of(entries: Mapping[str, Entry], terms: Terms) -> list[str]:
    """What was equal for all methods, and what a reader should know that was not."""
    recipes: Mapping[str, AnyRecipe] = {name: entry.recipe for name, entry in entries.items()}
    critic = "the recipe's own" if terms.critic_learning_rate is None else f"{terms.critic_learning_rate:g} for all"
    notes = [
        f"Equal: starting policy ({terms.policy}), training tasks, prompts, temperature {terms.temperature:g} and at most "
        f"{terms.max_new_tokens} tokens of sampling, learning rate {terms.learning_rate:g}, {terms.programs_per_step} programs "
        f"an update learns from, seeds, evaluation (the same tasks; the same random numbers for the same seed).",
        f"Equal: a budget of {terms.budget:,} programs sampled in training, auxiliary ones included"
        + (f", and of {terms.token_budget:,} tokens, whichever is used up first" if terms.token_budget else "")
        + ". A step that the budget does not pay for is not made. Tokens, verdicts and seconds are not equal: see what a run "
        "took.",
        "Each recipe's own: credit, loss, passes over its samples, weight decay, and tasks x programs of a step: "
        + ", ".join(
            f"{name} {recipe.collection.tasks_per_step} x {recipe.collection.num_samples}"
            for name, recipe in recipes.items()
        )
        + ". The learning rate is nobody's best: another one may order the methods differently.",
    ]
    taught = [name for name, recipe in recipes.items() if recipe.supervised.references_per_step]
    if taught:
        notes.append(
            f"Not equal: {', '.join(taught)} trains on reference solutions as well, which the others never see; "
            "--no-references leaves them out."
        )
    valued = [name for name, recipe in recipes.items() if Need.VALUES in recipe.credit.needs]
    if valued:
        notes.append(f"Not equal: {', '.join(valued)} has a critic of its own; its learning rate is {critic}.")
    judged = [name for name, entry in entries.items() if entry.judge is not Judge.NONE]
    if judged:
        notes.append(
            f"Not equal: {', '.join(judged)} spends up to {allowance_of(terms).programs:,} programs of the budget on a model "
            "that judges for it, and trains with the rest; they count as auxiliary. Updates of that model are in no budget."
        )
    return notes


def show(comparison: Comparison, console: Console) -> None:
    """Print final scores, costs, and the differences that exclude 0."""
    ks = list(comparison.results[0].final)
    scores = Table("method", *(f"pass@{k}" for k in ks))
    costs = Table(
        "method", "steps", "programs", "auxiliary", "tokens", "verdicts", "minutes", title="a run, on average"
    )
    for result in comparison.results:
        cost = result.cost
        scores.add_row(result.method, *(str(result.final[k]) for k in ks))
        counts = (cost.steps, cost.programs, cost.auxiliary_programs, cost.tokens, cost.verdicts)
        costs.add_row(result.method, *(f"{count:,}" for count in counts), f"{sum(cost.seconds.values()) / 60:.1f}")
    console.print(scores)
    console.print(f"starting pass@1 {comparison.start}; 95 % intervals over seeds and tasks", highlight=False)
    console.print(costs)
    for pair in comparison.pairs:
        if pair.difference.excludes_zero:
            console.print(difference_line(pair), highlight=False)
    if not any(pair.difference.excludes_zero for pair in comparison.pairs):
        console.print("no paired difference of final pass@1 excludes 0", highlight=False)


def difference_line(pair: Pair) -> str:
    """One difference as a sentence."""
    change = pair.difference
    return f"{pair.first} - {pair.second}: {change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
