"""The page of a comparison: curves, final scores, differences, costs and terms on one self-contained HTML page."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from linewise.evaluation.compare import Comparison, Result
from linewise.evaluation.intervals import Estimate
from linewise.evaluation.report.charts import Series, line_chart
from linewise.evaluation.report.frame import chart_grid, html_page


def render(
    comparison: Comparison, *, terms: Mapping[str, Any], recipes: Mapping[str, Any], notes: Sequence[str]
) -> str:
    """The page as text. `terms` are the settings of all methods, `recipes` the whole settings of each one's first run."""
    results = comparison.results
    title = f"{len(results)} methods on {', '.join(terms['tasks'])}"
    charts = {
        "Held-out pass@1 over programs sampled": curves(results, bands=False),
        "The same with 95 % intervals": curves(results, bands=True),
    }
    sections = [
        f"<h1>{escape(title)}</h1><p class=faint>{escape(headline(comparison, terms))}</p>",
        f"<h2>Learning curves</h2>{chart_grid(charts)}",
        f"<h2>After the whole budget</h2>{wide(final_table(comparison))}",
        f"<h2>Differences of final pass@1</h2><p>{escape(DIFFERENCES)}</p>{wide(difference_table(comparison))}",
        f"<h2>What a run took</h2><p class=faint>{escape(COSTS)}</p>{wide(cost_table(results))}",
        "<h2>What was equal, and what was not</h2>",
        f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>",
        folded("settings of all methods", terms),
        *(folded(f"{method}: every setting of its first run", recipe) for method, recipe in recipes.items()),
    ]
    return html_page(title, sections)


DIFFERENCES = (
    "The row's method minus the column's, paired by task and seed, with a 95 % interval over seeds and tasks. A colour marks "
    "an interval that excludes 0. Each interval stands for itself: of twenty comparisons of equal methods about one is "
    "coloured by chance."
)
COSTS = (
    "Means over seeds. Auxiliary programs count in the budget but are trained on by nobody: completions that value lines, "
    "greedy programs to compare with, groups left out, and what a judge was made of before the run. Its seconds, those of its "
    "training included, stand under beforehand. Thrown away is what the last step had sampled when the budget did not pay for "
    "all of it."
)


def headline(comparison: Comparison, terms: Mapping[str, Any]) -> str:
    """Policy, budget and size in a line."""
    tokens = f" or {terms['token_budget']:,} tokens" if terms["token_budget"] else ""
    seeds = comparison.results[0].num_seeds
    left_out = f", {comparison.num_left_out} left out after faults of the judge" if comparison.num_left_out else ""
    return (
        f"policy {terms['policy']} · {terms['budget']:,} programs{tokens} a run · {seeds} seed{'s' * (seeds > 1)} · "
        f"{comparison.num_tasks} tasks to evaluate on{left_out} · starting pass@1 {comparison.start}"
    )


def curves(results: Sequence[Result], *, bands: bool) -> str:
    """pass@1 of each method at the parts of the budget; bands of many methods hide each other, so they may be left off."""
    return line_chart(
        [
            Series(
                name=result.method,
                xs=[point.programs for point in result.curve],
                ys=[point.estimate.mean for point in result.curve],
                band=[(point.estimate.low, point.estimate.high) for point in result.curve] if bands else (),
            )
            for result in results
        ],
        x_title="programs sampled in training (mean over seeds)",
        y_title="pass@1",
    )


def final_table(comparison: Comparison) -> str:
    """Final pass@k with intervals, pass@1 of every seed, and what was gained."""
    ks = list(comparison.results[0].final)
    rows = [
        [
            escape(result.method),
            *(interval(result.final[k]) for k in ks),
            f"{result.final[1].mean - comparison.start.mean:+.3f}",
            " ".join(f"{one:.3f}" for one in result.by_seed),
        ]
        for result in comparison.results
    ]
    return table(["method", *(f"pass@{k}" for k in ks), "pass@1 gained", "pass@1 of each seed"], rows)


def difference_table(comparison: Comparison) -> str:
    """The matrix of paired differences, coloured where the interval excludes 0."""
    methods = [result.method for result in comparison.results]
    known = {(pair.first, pair.second): pair.difference for pair in comparison.pairs}
    known |= {(pair.second, pair.first): negated(pair.difference) for pair in comparison.pairs}
    cells = []
    for row in methods:
        line = [f"<td><b>{escape(row)}</b></td>"]
        for column in methods:
            line.append("<td>·</td>" if row == column else difference_cell(known[row, column]))
        cells.append(f"<tr>{''.join(line)}</tr>")
    head = "".join(f"<th>{escape(method)}</th>" for method in methods)
    return f"<table class=matrix><tr><th></th>{head}</tr>{''.join(cells)}</table>"


def difference_cell(difference: Estimate) -> str:
    """One difference."""
    kind = ("better" if difference.mean > 0 else "worse") if difference.excludes_zero else ""
    edges = f"[{difference.low:+.3f}, {difference.high:+.3f}]"
    return f'<td class="{kind}"><b>{difference.mean:+.3f}</b><br><span class=faint>{edges}</span></td>'


def negated(estimate: Estimate) -> Estimate:
    """The same difference the other way round."""
    return Estimate(
        mean=-estimate.mean, low=-estimate.high, high=-estimate.low, num_tasks=estimate.num_tasks,
        confidence=estimate.confidence,
    )  # fmt: skip


def cost_table(results: Sequence[Result]) -> str:
    """Counts and seconds of each method's runs."""
    stages = list(dict.fromkeys(stage for result in results for stage in result.cost.seconds))
    rows = [
        [
            escape(result.method),
            *(
                f"{count:,}"
                for count in (
                    result.cost.steps,
                    result.cost.programs,
                    result.cost.auxiliary_programs,
                    result.cost.discarded_programs,
                    result.cost.tokens,
                    result.cost.verdicts,
                )
            ),
        ]
        for result in results
    ]
    seconds = [
        [escape(result.method), *(f"{result.cost.seconds.get(stage, 0):.1f}" for stage in stages)] for result in results
    ]
    names = ["method", "steps", "programs", "auxiliary", "thrown away", "tokens", "verdicts"]
    return table(names, rows) + table(["seconds", *stages], seconds)


def interval(estimate: Estimate) -> str:
    """A mean with its interval."""
    return f"<b>{estimate.mean:.3f}</b> <span class=faint>[{estimate.low:.3f}, {estimate.high:.3f}]</span>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table of cells that are HTML already."""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{body}</table>"


def wide(content: str) -> str:
    """Something that scrolls where the page is too narrow for it."""
    return f'<div class="wide">{content}</div>'


def folded(name: str, settings: Mapping[str, Any]) -> str:
    """Settings inside a fold."""
    text = escape(json.dumps(settings, indent=2))
    return f"<details><summary>{escape(name)}</summary><pre>{text}</pre></details>"
