"""The report of a process reward model's training: loss, held-out quality and calibration on one HTML page."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from linewise.errors import RunError, StorageError
from linewise.evaluation.report.charts import Series, line_chart
from linewise.evaluation.report.frame import chart_grid, html_page
from linewise.evaluation.report.page import curve, folded, read_json, read_lines

ROWS = (
    ("sign accuracy", "sign_accuracy", "by the line's place alone", "place_accuracy"),
    ("first error line, top 1", "first_error_top1", "the most frequent place", "place_top1"),
    ("first error line, top 3", "first_error_top3", "the three most frequent", "place_top3"),
    ("AUC", "auc", "by the line's place alone", "place_auc"),
    ("squared error", "loss", "the mean label", "loss_of_mean"),
    ("calibration error", "calibration_error", "calibrated", 0.0),
)
"""(what, its name in held_out.json, what to compare with, the name or value of that)."""


def write_prm_report(folder: Path, out: Path | None = None) -> Path:
    """Draw the training in `folder` into one self-contained page (by default its report.html) and return its path.

    Raises RunError for a folder without held_out.json, StorageError where the page cannot be written.
    """
    if not (folder / "held_out.json").exists():
        raise RunError(
            f"{folder} holds no trained process reward model: there is no held_out.json. Give the --out of one."
        )
    out = out or folder / "report.html"
    page = render(folder)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"could not write {out}: {error.strerror}. Choose another --out.") from error
    return out


def render(folder: Path) -> str:
    """The page as text."""
    notes: list[str] = []
    held_out, config = read_json(folder / "held_out.json", notes), read_json(folder / "config.json", notes)
    rows = read_lines(folder / "metrics.jsonl", notes)
    measured = [row for row in rows if "heldout/loss" in row]
    charts = {
        "Squared error per line": line_chart(
            [curve(rows, "loss", "training"), curve(measured, "heldout/loss", "held-out")],
            x_title="updates",
            y_title="mean of (R - l)²",
            y_low=0,
        ),
        "Held-out accuracy": line_chart(
            [
                curve(having(measured, "heldout/sign_accuracy"), "heldout/sign_accuracy", "sign"),
                curve(having(measured, "heldout/first_error_top1"), "heldout/first_error_top1", "first error line"),
            ],
            x_title="updates",
            y_title="share",
            y_low=0,
        ),
        "Calibration of the best weights": calibration_chart(held_out.get("calibration", [])),
    }
    missing = "".join(f'<p class="missing">{escape(note)}</p>' for note in notes)
    title = f"Process reward model from {config.get('policy', '?')}"
    sections = [
        f"<h1>{escape(title)}</h1><p class=faint>{escape(str(folder))}</p>{missing}",
        metrics_table(held_out),
        chart_grid(charts),
        f"<h2>Settings</h2>{folded(folder / 'config.json', notes)}",
    ]
    return html_page(title, sections)


def having(rows: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    """The rows in which a metric is a number."""
    return [row for row in rows if row.get(name) is not None]


def calibration_chart(bins: Sequence[Mapping[str, Any]]) -> str:
    """Share of recoverable lines over the mean score of each bin; calibrated scores lie on the line (R + 1) / 2."""
    filled = [one for one in bins if one["count"]]
    if not filled:
        return line_chart([], x_title="", y_title="")
    ideal = Series(name="calibrated: (score + 1) / 2", xs=[-1, 1], ys=[0, 1])
    points = Series(
        name="held-out lines",
        xs=[one["score"] for one in filled],
        ys=[one["recoverable"] for one in filled],
        dots=True,
    )
    counts = "".join(
        f"<tr><td>{one['low']:+.1f} to {one['high']:+.1f}</td><td>{one['count']}</td>"
        f"<td>{one['score']:+.3f}</td><td>{one['recoverable']:.3f}</td></tr>"
        for one in filled
    )
    return (
        line_chart([ideal, points], x_title="score", y_title="share of lines labelled +1", y_low=0)
        + f"<table><tr><th>scores</th><th>lines</th><th>mean score</th><th>share +1</th></tr>{counts}</table>"
    )


def metrics_table(held_out: Mapping[str, Any]) -> str:
    """Held-out quality of the best weights, each number beside what it must beat."""
    metrics = held_out.get("metrics", {})
    rows = []
    for what, name, against, floor in ROWS:
        value, other = metrics.get(name), metrics.get(floor) if isinstance(floor, str) else floor
        rows.append(
            f"<tr><td>{what}</td><td><b>{number(value)}</b></td><td>{number(other)}</td><td>{against}</td></tr>"
        )
    counted = (
        f"{metrics.get('num_lines', 0)} lines of code in {metrics.get('num_programs', 0)} programs of held-out tasks, "
        f"{metrics.get('num_errors', 0)} of them with an error; weights of update {held_out.get('step', '?')}"
    )
    return f"<p>{counted}.</p><table><tr><th></th><th>model</th><th>compare</th><th></th></tr>{''.join(rows)}</table>"


def number(value: float | None) -> str:
    """Three digits, or a dash for what could not be measured."""
    return "–" if value is None else f"{value:.3f}"
