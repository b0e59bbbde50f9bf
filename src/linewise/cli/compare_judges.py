"""The judge of a compared run: made before it, paid from the same budget, and made once for all methods that need the same."""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from linewise.cli.compare_making import label_lines, sample_judged, train_baseline
from linewise.errors import RunError, UserError
from linewise.evaluation.compare_runs import Spent
from linewise.prm.labels import read_labels
from linewise.recipes.equal_judges import LEAST_TASKS, Entry, Judge, fit_options
from linewise.recipes.equal_terms import Terms
from linewise.training.config import AnyRecipe
from linewise.training.outcome_options import OutcomeTrainOptions
from linewise.training.prm_options import PrmTrainOptions
from linewise.training.progress import Display
from linewise.training.run_folder import RunFolder, storage_errors, write_text
from linewise.values.classes import OutcomeClass

RECORD = "judge.json"
"""In the folder of a method and seed, when the model is whole."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A model that judges for a run, and what it took."""

    place: str = ""
    """Its folder below that of the method and seed, which may move."""
    spent: Spent = Spent()
    settings: dict[str, Any]
    """`Entry.settings` with which it was made."""

    def recipe(self, entry: Entry, folder: Path) -> AnyRecipe:
        """The run with this model, and with what it took spent from the beginning."""
        named = entry.named(str((folder / self.place).resolve()))
        return replace(named, spent_programs=self.spent.programs, spent_tokens=self.spent.tokens)


def read_made(entry: Entry, folder: Path) -> Made | None:
    """The judge in this folder; one that took nothing where the method needs none, and None where it is not made yet.

    Raises RunError for one that was made under other terms.
    """
    if entry.judge is Judge.NONE:
        return Made(settings={})
    path = folder / RECORD
    if not path.exists():
        return None
    record = json.loads(path.read_text())
    made = Made(place=record["place"], spent=Spent(**record["spent"]), settings=record["settings"])
    for name, now in entry.settings().items():
        if made.settings.get(name) != now:
            raise RunError(
                f"the judge in {folder} was made with {name} = {made.settings.get(name)}, not {now}: a resumed run must be the "
                "same run. Drop the override, or give another --out."
            )
    return made


def make_judge(entry: Entry, folder: Path, others: Iterable[Path], display: Display) -> Made:
    """The judge, made, resumed, read back, or copied from a method of the same seed that needs the same.

    Raises UserError where the share of the budget gave too little to train on.
    """
    made = read_made(entry, folder)
    if made is not None:
        return made
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    # Labels keep the paths of the policies that they are of, and --out may be spelled otherwise when they go on.
    folder = folder.resolve()
    made = copied(entry, folder, others)
    if made is None:
        make: Callable[[Entry, Path, Display], tuple[Path, Spent]]
        make = make_prm if entry.judge is Judge.LINES else make_critic
        model, spent = make(entry, folder, display)
        made = Made(place=str(model.relative_to(folder)), spent=spent, settings=entry.settings())
    write_text(folder / RECORD, json.dumps(asdict(made), indent=1))
    return made


def copied(entry: Entry, folder: Path, others: Iterable[Path]) -> Made | None:
    """The same judge from another method's folder, charged in full; None where there is none. Its data stay over there."""
    for other in others:
        path = other / RECORD
        if path.exists() and json.loads(path.read_text())["settings"] == entry.settings():
            made = read_made(entry, other)
            assert made is not None
            with storage_errors(folder):
                shutil.copytree(other / made.place, folder / made.place, dirs_exist_ok=True)
            return made
    return None


def make_prm(entry: Entry, folder: Path, display: Display) -> tuple[Path, Spent]:
    """Labels of a policy's programs, and a process reward model of them: its folder, and what both took."""
    from linewise.training.prm import train_prm

    policies, spent = [entry.terms.policy], Spent()
    if entry.baseline is not None:
        policies, spent = train_baseline(entry.baseline, folder / "baseline", display)
    labels = folder / "labels.jsonl"
    spent += label_lines(entry, policies, labels, spent, display)
    kept = [one for one in read_labels(labels) if one.kind in entry.kinds]
    num_tasks, signs = len({one.task_id for one in kept}), {label for one in kept for label in one.labels if label}
    if num_tasks < LEAST_TASKS or len(signs) < 2:
        found = f"left {len(kept)} {' or '.join(entry.kinds)} programs of {num_tasks} tasks"
        raise too_little(
            entry.terms, spent, f"{found}, where it takes two tasks, and lines that can be recovered and that cannot"
        )
    fit = fit_options(entry)
    options = PrmTrainOptions(**vars(fit), labels=(labels,), policy=entry.terms.policy, kinds=entry.kinds)

    def train(out: Path, resume: bool) -> Path:
        return train_prm(options, out, resume=resume).folder

    return trained(folder / "prm", train, spent, display)


def make_critic(entry: Entry, folder: Path, display: Display) -> tuple[Path, Spent]:
    """Judged programs of the starting policy, and an outcome critic of them: its folder, and what both took."""
    from linewise.training.outcome import train_outcome_critic

    programs, spent = sample_judged(entry, folder / "programs.jsonl", display)
    passed = {one.outcome is OutcomeClass.PASSED for one in programs}
    if len(passed) < 2:
        raise too_little(entry.terms, spent, f"{'all pass' if True in passed else 'all fail'}, and it takes both kinds")

    def train(out: Path, resume: bool) -> Path:
        options = OutcomeTrainOptions(**vars(fit_options(entry)))
        return train_outcome_critic(options, programs, out, policy=entry.terms.policy, resume=resume).folder

    return trained(folder / "critic", train, spent, display)


def trained(out: Path, train: Callable[[Path, bool], Path], spent: Spent, display: Display) -> tuple[Path, Spent]:
    """The model's folder, and what was spent with the seconds of its updates. An interrupted training goes on."""
    display.stage("training the judge", 1)
    run = RunFolder(path=out)
    model = train(out, run.config.exists())
    display.advance(1)
    seconds = sum(json.loads(row)["seconds"] for row in run.metrics.read_text().splitlines())
    return model, spent + Spent(seconds=seconds)


def too_little(terms: Terms, spent: Spent, what: str) -> UserError:
    """The error of a share that gave nothing to learn from, and how the comparison goes on."""
    return UserError(
        f"the {spent.programs} programs that its judge was to be made of (--judge-share {terms.judge_share:g} of --budget "
        f"{terms.budget}) {what}. Give a larger budget or share and another --out; or leave the method out: the same command "
        "without it goes on, and reads finished runs back."
    )
