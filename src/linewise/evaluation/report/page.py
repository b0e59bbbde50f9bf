"""Reads a run folder and writes report.html. A folder with missing parts still gives a page that says what is missing."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from linewise.errors import RunError, StorageError, UserError
from linewise.evaluation.evaluate import Evaluation, paired_difference
from linewise.evaluation.report.charts import Series, line_chart, stacked_bars
from linewise.evaluation.report.frame import chart_grid, html_page
from linewise.evaluation.report.samples import draw_samples
from linewise.types import Verdict

Rows = Sequence[Mapping[str, Any]]

SCRIPT = """
for (const button of document.querySelectorAll('.tabs button')) button.onclick = () => {
  const { sample, term } = button.dataset;
  for (const one of document.querySelectorAll(`[data-sample="${sample}"]`)) {
    if (one.tagName === 'BUTTON') one.classList.toggle('on', one.dataset.term === term);
    else one.hidden = one.dataset.term !== term;
  }
};
"""


def write_report(run_folder: Path, out: Path | None = None) -> Path:
    """Draw the run into one self-contained HTML file (by default `report.html` in its folder) and return its path.

    Raises RunError for a folder that holds no run, StorageError where the page cannot be written.
    """
    if not (run_folder / "config.json").exists() and not (run_folder / "metrics.jsonl").exists():
        raise RunError(
            f"{run_folder} holds no run: it has neither config.json nor metrics.jsonl. Give the --out of a run."
        )
    out = out or run_folder / "report.html"
    page = render(run_folder)
    try:
        out.write_text(page, encoding="utf-8", errors="backslashreplace")  # a message may hold lone surrogates
    except OSError as error:
        raise StorageError(f"could not write {out}: {error.strerror}. Choose another --out.") from error
    return out


def render(run_folder: Path) -> str:
    """The page as text."""
    notes: list[str] = []
    rows, rollouts = read_lines(run_folder / "metrics.jsonl", notes), read_lines(run_folder / "rollouts.jsonl", notes)
    evaluations = read_evaluations(run_folder, notes)
    config = read_json(run_folder / "config.json", notes)
    title = f"{config.get('algorithm', 'Run')} on {config.get('policy', '?')}"
    sections = [
        f"<h1>{escape(title)}</h1><p class=faint>{escape(', '.join(config.get('tasks', [])))} · {escape(str(run_folder))}</p>",
        "".join(f'<p class="missing">{escape(note)}</p>' for note in notes),
        headline(rows, evaluations),
        f"<h2>The run</h2>{chart_grid(charts(rows, evaluations))}",
        "<h2>Where the credit went</h2><p class=faint>Sampled programs with each token's credit. Grey text stands in the "
        "prompt; a wavy line marks the line of the error; hover for numbers.</p>",
        draw_samples(rollouts),
        "<h2>Settings</h2>",
        *(folded(run_folder / name, notes) for name in ("config.json", "environment.json")),
    ]
    return html_page(title, sections, script=SCRIPT)


def headline(rows: Rows, evaluations: Mapping[int, Evaluation]) -> str:
    """The numbers that matter most, as tiles."""
    tiles: list[tuple[str, str]] = []
    if len(evaluations) > 1:
        before, after = evaluations[min(evaluations)], evaluations[max(evaluations)]
        change = paired_difference(before, after)
        tiles.append(("held-out pass@1", f"{before.pass_at_k(1).mean:.3f} → {after.pass_at_k(1).mean:.3f}"))
        tiles.append(("difference, 95 % interval", f"{change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"))
    if rows:
        tiles.append(("steps", f"{rows[-1]['step']}"))
        tiles.append(("wall time", f"{rows[-1].get('seconds', 0) / 60:.1f} min"))
        tiles.append(("programs sampled", f"{rows[-1].get('samples', 0):,}"))
        tiles.append(("tokens sampled", f"{sum(row.get('tokens/sampled', 0) for row in rows):,.0f}"))
    return (
        '<div class="tiles">'
        + "".join(f'<div class="tile">{name}<b>{value}</b></div>' for name, value in tiles)
        + "</div>"
    )


VERDICT_COLOURS = {
    Verdict.PASSED: "#009e73",
    Verdict.FAILED: "#0072b2",
    Verdict.RUNTIME_ERROR: "#d55e00",
    Verdict.SYNTAX_ERROR: "#cc79a7",
    Verdict.TIMEOUT: "#e69f00",
    Verdict.MEMORY: "#56b4e9",
    Verdict.OUTPUT_LIMIT: "#999999",
    Verdict.CRASHED: "#000000",
}
"""The same in every report; passed is green, and the lowest layer, so that its height can be read."""


def verdicts(rows: Rows, steps: Sequence[float]) -> list[Series]:
    """Shares of the verdicts that occur."""
    return [
        Series(
            name=verdict.replace("_", " "),
            xs=steps,
            ys=[row.get(f"verdict/{verdict}", 0.0) for row in rows],
            colour=colour,
        )
        for verdict, colour in VERDICT_COLOURS.items()
        if any(row.get(f"verdict/{verdict}") for row in rows)
    ]


def charts(rows: Rows, evaluations: Mapping[int, Evaluation]) -> dict[str, str]:
    """Caption -> chart."""
    steps = [float(row["step"]) for row in rows]

    def share(prefix: str) -> list[Series]:
        names = sorted({name for row in rows for name in row if name.startswith(prefix)})
        return [
            Series(name=name.removeprefix(prefix), xs=steps, ys=[row.get(name, 0.0) for row in rows])
            for name in names
            if any(row.get(name) for row in rows)
        ]

    learning = [curve(rows, "rollout/pass_rate", "sampled programs that pass", band=True)]
    if evaluations:
        estimates = {step: evaluation.pass_at_k(1) for step, evaluation in sorted(evaluations.items())}
        learning.append(
            Series(
                name="held-out pass@1",
                xs=list(estimates),
                ys=[estimate.mean for estimate in estimates.values()],
                band=[(estimate.low, estimate.high) for estimate in estimates.values()],
                dots=True,
            )
        )
    return {
        "Learning curve (95 % intervals over tasks)": line_chart(
            learning, x_title="steps", y_title="share of programs", y_low=0
        ),
        "Verdicts": stacked_bars(steps, verdicts(rows, steps), x_title="step", y_title="share of programs"),
        "Time per stage": stacked_bars(steps, share("seconds/"), x_title="step", y_title="seconds"),
        "Buffer": line_chart(
            [curve(rows, "buffer/fill", "samples held"), curve(rows, "buffer/capacity", "capacity")],
            x_title="step",
            y_title="samples",
            y_low=0,
        ),
        "Staleness of what is trained on": line_chart(
            [curve(rows, "buffer/staleness_mean", "mean"), curve(rows, "buffer/staleness_max", "largest")],
            x_title="step",
            y_title="steps since sampling",
            y_low=0,
        ),
        "Loss by term": line_chart(
            [Series(name=one.name, xs=one.xs, ys=one.ys) for one in share("loss/")], x_title="step", y_title="loss"
        ),
        "Gradient norm before clipping": line_chart(
            [curve(rows, "grad_norm", "norm")], x_title="step", y_title="norm", y_low=0
        ),
        "Entropy": line_chart([curve(rows, "entropy", "entropy")], x_title="step", y_title="nats per token", y_low=0),
        "Learning rate": line_chart(
            [curve(rows, "learning_rate", "learning rate")], x_title="step", y_title="rate", y_low=0
        ),
        **model_charts(rows),
    }


MODEL_CHARTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "How far the policy has moved": ("nats per token", {"kl/ref": "from its reference", "policy/kl_old": "in a step"}),
    "Tokens whose ratio was clipped": ("share of tokens", {"policy/clip_fraction": "clipped"}),
    "Trainer against sampler": ("nats", {"logprobs/sampler_difference": "mean difference of log-probabilities"}),
    "What the critic explains": ("share of the variance", {"critic/explained_variance": "explained variance"}),
    "Values and returns": ("reward", {"critic/value_mean": "mean value", "critic/return_mean": "mean return"}),
    "Programs sampled for values alone": ("programs", {"auxiliary/programs": "completions"}),
}
"""Caption -> (unit, metric -> its name in the legend), for what only some recipes record."""


def model_charts(rows: Rows) -> dict[str, str]:
    """Charts of what models said, for the metrics that this run recorded."""
    found = {}
    for caption, (unit, names) in MODEL_CHARTS.items():
        curves = [curve(rows, name, label) for name, label in names.items() if any(name in row for row in rows)]
        if curves:
            found[caption] = line_chart(curves, x_title="step", y_title=unit)
    return found


def curve(rows: Rows, name: str, label: str, *, band: bool = False) -> Series:
    """One metric over the steps that recorded it."""
    having = [row for row in rows if name in row]
    edges = [(row[f"{name}_low"], row[f"{name}_high"]) for row in having if f"{name}_low" in row] if band else []
    return Series(
        name=label,
        xs=[float(row["step"]) for row in having],
        ys=[row[name] for row in having],
        band=edges if len(edges) == len(having) else (),
    )


def read_lines(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    """The JSON objects of a file; a missing file and broken lines are noted, not raised."""
    if not path.exists():
        notes.append(f"{path.name} is missing.")
        return []
    rows, broken = [], 0
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                broken += 1
    if broken:
        notes.append(f"{broken} broken line in {path.name} was left out (a run that was killed while writing).")
    return rows


def read_json(path: Path, notes: list[str]) -> dict[str, Any]:
    """A JSON object, or nothing with a note."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        notes.append(f"{path.name} is missing or broken.")
        return {}
    return record


def read_evaluations(run_folder: Path, notes: list[str]) -> dict[int, Evaluation]:
    """Number of steps -> evaluation."""
    found = {}
    for path in sorted((run_folder / "evaluations").glob("step-*.json")):
        try:
            found[int(path.stem.removeprefix("step-"))] = Evaluation.from_json(path.read_text(encoding="utf-8"))
        except UserError:
            notes.append(f"evaluations/{path.name} is broken and was left out.")
    if len(found) < 2:
        notes.append("There are not two evaluations yet, so there is no before and after.")
    return found


def folded(path: Path, notes: list[str]) -> str:
    """A JSON file inside a fold."""
    text = json.dumps(read_json(path, notes), indent=2) if path.exists() else "missing"
    return f"<details><summary>{path.name}</summary><pre>{escape(text)}</pre></details>"
