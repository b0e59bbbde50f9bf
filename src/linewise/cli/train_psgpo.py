"""`linewise train psgpo`: the four phases of process-supervision-guided policy optimisation, one after another."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from linewise.cli import prm_label
from linewise.cli.pretrain import ensure_policy
from linewise.cli.quiet import quiet_libraries
from linewise.cli.resume import chosen_folder
from linewise.errors import RunError
from linewise.evaluation.evaluate import Evaluation, paired_difference
from linewise.evaluation.report import write_report
from linewise.evaluation.report.prm import write_prm_report
from linewise.recipes.psgpo import NUM_POLICIES, Phases, Use, baseline_of, final_of, psgpo
from linewise.tasks import load_tasks
from linewise.training.prm_options import PrmTrainOptions
from linewise.training.records import check_same, decode
from linewise.training.run_folder import RunFolder, write_text

CONFIG = "phases.json"
PRM_DONE = "prm.done"
"""Written when the process reward model is whole; it holds the model's place in the run's folder."""


@dataclass(frozen=True, kw_only=True)
class PsgpoArguments:
    """What `linewise train psgpo` takes."""

    phases: Annotated[Phases, tyro.conf.arg(name="")]
    out: Path | None = None
    """Folder of the new run; it gets `baseline/`, `labels.jsonl`, `prm/` and `final/`."""
    resume: Path | None = None
    """Folder of a run to continue, with the settings it was started with. Whole phases are not repeated."""


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0; Ctrl-C gives 130, and `--resume` goes on where it was."""
    parsed = parse(arguments, psgpo())
    folder = chosen_folder(parsed.out, parsed.resume)
    if parsed.resume is not None:
        parsed = parse(arguments, saved(folder))
        check_same(folder, to_record(saved(folder)), to_record(parsed.phases))
    if parsed.out is not None:
        create(folder, parsed.phases)
    try:
        run(parsed.phases, folder)
    except KeyboardInterrupt:
        Console().print(f"all phases: linewise train psgpo --resume {folder}", highlight=False, soft_wrap=True)
        raise
    return 0


def parse(arguments: list[str], defaults: Phases) -> PsgpoArguments:
    """The default settings with the command line's overrides."""
    return tyro.cli(
        PsgpoArguments,
        prog="linewise train psgpo",
        description=(
            f"{psgpo.__doc__}\n\nFour phases: `--baseline.*` is PPO on the outcome alone, `--label.*` labels lines of its "
            "programs, `--prm.*` trains the process reward model, `--final.*` is PPO with it; `--use` says for what. Each "
            "phase is also a command of its own: `linewise train ppo`, `prm label`, `prm train`, `train dense-ppo`."
        ),
        default=PsgpoArguments(phases=defaults),
        args=arguments,
        config=(tyro.conf.EnumChoicesFromValues,),
    )


def create(folder: Path, phases: Phases) -> None:
    """Begin a run. Raises RunError where the folder holds one."""
    if (folder / CONFIG).exists():
        raise RunError(f"{folder} holds a run already. Continue it with --resume {folder}, or give another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / CONFIG, json.dumps(to_record(phases), indent=1))


def to_record(phases: Phases) -> dict[str, Any]:
    """JSON form of the settings."""
    record: dict[str, Any] = json.loads(json.dumps(asdict(phases), default=str))
    return record


def saved(folder: Path) -> Phases:
    """The settings of an existing run. Raises RunError where there is none."""
    path = folder / CONFIG
    if not path.exists():
        raise RunError(f"there is no run to continue in {folder}: it has no {CONFIG}. Start one with --out {folder}.")
    phases: Phases = decode(Phases, json.loads(path.read_text()))
    return phases


def run(phases: Phases, folder: Path) -> None:
    """All phases that are not done yet."""
    quiet_libraries()
    ensure_policy(phases.baseline.policy)
    console = Console()
    if phases.use is Use.BASELINE:
        console.rule("PPO on the outcome alone (phases 1 to 3 are for a model that nobody would use)")
        train_phase(final_of(phases, ""), folder / "final", console)
        return
    console.rule("1 of 4: PPO on the outcome alone")
    train_phase(baseline_of(phases), folder / "baseline", console)
    console.rule("2 of 4: labelling lines")
    if not (folder / PRM_DONE).exists():
        label_phase(phases, folder)
    console.rule("3 of 4: training the process reward model")
    prm = prm_phase(phases, folder, console)
    console.rule(f"4 of 4: PPO with it ({phases.use})")
    train_phase(final_of(phases, str(prm)), folder / "final", console)


def train_phase(recipe: Any, folder: Path, console: Console) -> None:
    """A run of PPO, started, continued or, where it is whole, left alone."""
    from linewise.training.run import train

    resume = RunFolder(path=folder).config.exists()
    result = train(recipe, folder, resume=resume, console=console)
    report = write_report(folder)
    if result.before is not None and result.after is not None:
        console.print(f"{difference(result.before, result.after)}; report: {report}", highlight=False, soft_wrap=True)


def difference(before: Evaluation, after: Evaluation) -> str:
    """Held-out pass@1 before and after, with the interval of the paired difference."""
    change = paired_difference(before, after)
    return (
        f"held-out pass@1 {before.pass_at_k(1).mean:.3f} -> {after.pass_at_k(1).mean:.3f}, "
        f"difference {change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
    )


def label_phase(phases: Phases, folder: Path) -> None:
    """Label programs of the baseline's policies; goes on after the last recorded stage."""
    policies = evenly_spaced(sorted((folder / "baseline" / "policies").glob("step-*")))
    if not policies:
        raise RunError(
            f"phase 1 exported no policy to {folder / 'baseline' / 'policies'}: its budget ended before a quarter of its "
            f"{phases.baseline.steps} steps. Raise --baseline.max-programs or --baseline.max-tokens, or make fewer steps."
        )
    command = prm_label.command_of(
        replace(phases.label, seed=phases.baseline.seed),
        policy=tuple(map(str, policies)),
        tasks=tuple(map(training_split, phases.baseline.tasks)),
        out=folder / "labels.jsonl",
        limit=phases.label_limit,
        workers=phases.baseline.workers,
    )
    prm_label.execute(command)


def evenly_spaced(policies: Sequence[Path]) -> list[Path]:
    """NUM_POLICIES of these, the last one included; all of them where they are fewer. Example: 2, 4, 6 and 7 of 1 to 7."""
    places = [-(-len(policies) * part // NUM_POLICIES) - 1 for part in range(1, NUM_POLICIES + 1)]
    return list(dict.fromkeys(policies[place] for place in places)) if policies else []


def training_split(spec: str) -> str:
    """The task set as a run trains on it: its training split, where it has splits and names none."""
    name, colon, path = spec.partition(":")
    has_split = any(task.metadata.get("split") == "train" for task in load_tasks(spec))
    return spec if "@" in name or not has_split else f"{name}@train{colon}{path}"


def prm_phase(phases: Phases, folder: Path, console: Console) -> Path:
    """Train the process reward model, unless it is whole, and return its folder. An interrupted training goes on."""
    from linewise.training.prm import train_prm

    done, out = folder / PRM_DONE, folder / "prm"
    if not done.exists():
        options = PrmTrainOptions(
            **{
                **vars(phases.prm),
                "labels": (folder / "labels.jsonl",),
                "policy": phases.baseline.policy,
                "seed": phases.baseline.seed,
                "precision": phases.baseline.precision,
            }
        )
        result = train_prm(options, out, resume=RunFolder(path=out).config.exists(), console=console)
        console.print(f"held-out: {result.metrics.to_record()}; report: {write_prm_report(out)}", soft_wrap=True)
        # Relative to the run, which may move.
        write_text(done, str(result.folder.relative_to(folder)))
    return folder / done.read_text()
