"""The page of a run: it needs no network, it shows the credit, and no program that was sampled can act inside it."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from linewise.errors import RunError, StorageError
from linewise.evaluation.evaluate import Evaluation, TaskResult
from linewise.evaluation.report import write_report
from linewise.evaluation.report.charts import y_ticks
from linewise.evaluation.report.page import VERDICT_COLOURS, verdicts
from linewise.rollout.prompts import PromptOptions
from linewise.rollout.records import sample_to_record
from linewise.types import (
    CallTest,
    Completion,
    Credit,
    Outcome,
    Program,
    Report,
    Rollout,
    Sample,
    Sampling,
    StopReason,
    Task,
    Verdict,
)

HEADER = "def f(x):"
BODY = "\n    y = x < 1 & x\n    return y"


class Page(HTMLParser):
    """What a browser would make of the page: tags, attributes and the text of each `pre` in a sample."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = text
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.pre: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._open.append(tag)
        if tag == "pre":
            self.pre.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "pre" in self._open:
            self.pre[-1] += data
        if not {"script", "style"} & {*self._open}:
            self.words.append(data)

    @property
    def shown(self) -> str:
        return " ".join(" ".join(self.words).split())


def sample(
    body: str = BODY,
    *,
    verdict: Verdict = Verdict.PASSED,
    task_id: str = "lists/one",
    line: int | None = None,
    message: str = "",
    exception: str | None = None,
    terms: Sequence[str] = ("coarse", "fine"),
) -> Sample:
    """A sample of one token for each character, the terms being multiples of 1, 2, ..."""
    task = Task(id=task_id, prompt="p", tests=(CallTest(call="f(1)", expected="1"),), signature=HEADER)
    count = len(body)
    outcome = Outcome(verdict=verdict, line=line, message=message, exception=exception)
    values = {name: np.linspace(-1, 1, count, dtype=np.float32) * (index + 1) for index, name in enumerate(terms)}
    return Sample(
        rollout=Rollout(
            task=task,
            completion=Completion(
                prompt_ids=(1,),
                token_ids=tuple(range(count)),
                logprobs=(-0.5,) * count,
                char_spans=tuple((place, place + 1) for place in range(count)),
                text=body,
                stop_reason=StopReason.EOS,
            ),
            program=Program(source=HEADER + body, header_chars=len(HEADER), start=0, end=count),
            report=Report(outcomes=(outcome,)),
        ),
        credit=Credit(
            rewards=np.zeros(count, dtype=np.float32),
            advantages=np.asarray(sum(values.values()), dtype=np.float32),
            weights=np.ones(count, dtype=np.float32),
            terms=values,
        ),
    )


def evaluation(*num_passed: int) -> Evaluation:
    results = (
        TaskResult(task_id=f"t{index}", family="", num_samples=4, num_passed=count, verdicts={"passed": count})
        for index, count in enumerate(num_passed)
    )
    return Evaluation(
        results=tuple(results), policy="", num_samples=4, sampling=Sampling(), prompts=PromptOptions(), seed=0
    )


def metrics(step: int) -> dict[str, float]:
    return {
        "step": step,
        "seconds": 60.0 * step,
        "samples": 8 * step,
        "tokens/sampled": 1000,
        "rollout/pass_rate": 0.2 * step,
        "rollout/pass_rate_low": 0.1 * step,
        "rollout/pass_rate_high": 0.3 * step,
        "verdict/passed": 0.2 * step,
        "verdict/failed": 1 - 0.2 * step,
        "verdict/timeout": 0.0,
        "buffer/fill": 8,
        "buffer/capacity": 16,
        "buffer/staleness_mean": 0.0,
        "buffer/staleness_max": 0,
        "loss/total": -0.5,
        "loss/policy": -0.5,
        "seconds/generate": 1.0,
        "grad_norm": 0.7,
        "entropy": 1.2,
        "learning_rate": 1e-5,
    }


def make_run(folder: Path, samples: Sequence[Sample], *, steps: int = 2, **config: object) -> Path:
    """A run folder as a whole run leaves it."""
    (folder / "evaluations").mkdir(parents=True)
    record = {"algorithm": "RLTF", "policy": "tiny", "tasks": ["starter"], **config}
    (folder / "config.json").write_text(json.dumps(record))
    (folder / "environment.json").write_text(json.dumps({"python": "3.11"}))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(metrics(step)) + "\n" for step in range(1, steps + 1)))
    rows = ({"step": 1, **sample_to_record(one)} for one in samples)
    (folder / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "evaluations" / "step-000000.json").write_text(evaluation(1, 2).to_json())
    (folder / "evaluations" / f"step-{steps:06}.json").write_text(evaluation(3, 4).to_json())
    return folder


def page_of(folder: Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


def needs_nothing(page: Page) -> None:
    """The page loads nothing, neither from the network nor from beside it, and runs only its own script."""
    loading = {"src", "href", "xlink:href", "srcset", "action", "data", "poster", "background"}
    assert [one for one in page.attributes if one[1] in loading] == []
    assert [one for one in page.attributes if one[1].startswith("on")] == []
    assert "://" not in re.sub(r"<pre>.*?</pre>", "", page.text, flags=re.DOTALL)
    assert "@import" not in page.text
    assert "url(" not in page.text
    assert page.tags["script"] == 1
    assert page.tags["style"] == 1
    assert not {"img", "link", "iframe", "object", "embed", "base", "form"} & page.tags.keys()


def test_a_whole_run(tmp_path: Path) -> None:
    wrong = sample(verdict=Verdict.FAILED)
    crash = sample(verdict=Verdict.RUNTIME_ERROR, line=2, exception="TypeError", message="no <, sorry")
    folder = make_run(tmp_path / "run", [sample(), wrong, crash])
    page = page_of(folder)
    assert (folder / "report.html").exists()
    needs_nothing(page)
    assert "RLTF on tiny" in page.shown
    assert "is missing" not in page.shown
    for number in ("0.375 → 0.875", "+0.500 [+0.500, +0.500]", "steps 2", "2.0 min", "programs sampled 16", "2,000"):
        assert number in page.shown
    assert "nothing was recorded" not in page.shown
    assert page.tags["svg"] == 9
    assert page.tags["article"] == 3


def test_terms_are_tabs_with_one_heat_map_each(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "run", [sample()]))
    assert "total coarse fine" in page.shown
    programs = page.pre[:3]
    assert programs == [HEADER + BODY] * 3, "each map shows the whole program, and nothing else"
    assert "x &lt; 1 &amp; x".replace(" ", "") in re.sub(r"<[^>]*>|\s", "", page.text)
    tips = [value for tag, name, value in page.attributes if (tag, name) == ("span", "title")]
    assert len(tips) == 3 * len(BODY)
    assert tips[0] == '"\\n"  credit -3.000  logprob -0.50  line 1'
    assert tips[-1] == '"y"  credit +2.000  logprob -0.50  line 3', "the last term is twice the first"
    assert "deepest colour = 3.000" in page.shown


def test_the_line_of_the_error_is_marked(tmp_path: Path) -> None:
    crash = sample(verdict=Verdict.RUNTIME_ERROR, line=2, exception="TypeError", message="no <, sorry")
    page = page_of(make_run(tmp_path / "run", [crash]))
    assert "line 2: TypeError no <, sorry" in page.shown
    blamed = [value for _, name, value in page.attributes if name == "class" and value == "blamed"]
    second = BODY.split("\n")[1]
    assert len(blamed) == 3 * (len(second) + 1), "its newline included, in each of three maps"


def test_a_few_samples_of_every_verdict_are_drawn(tmp_path: Path) -> None:
    many = [sample(task_id=f"passed-{index}") for index in range(30)]
    rare = [sample(verdict=Verdict.TIMEOUT, task_id="slow-0"), sample(verdict=Verdict.FAILED, task_id="wrong-0")]
    page = page_of(make_run(tmp_path / "run", [*many[:15], *rare, *many[15:]]))
    assert page.tags["article"] == 4 + 2
    for name in ("passed-0", "passed-1", "passed-28", "passed-29", "slow-0", "wrong-0"):
        assert f"{name} " in page.shown
    assert "passed-2 " not in page.shown


HOSTILE = (
    "</script><script>alert(1)</script>",
    "</pre></article><img src=x onerror=alert(1)>",
    "</style></title><h1 onclick='a'>\"'&amp;<!--",
    '" onmouseover="alert(1)" x="',
    "]]>&#60;script&#62;\x00\x1b[31m",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_program_changes_no_tag_of_the_page(text: str, tmp_path: Path) -> None:
    def build(name: str, word: str) -> Page:
        crash = sample(
            f"\n    # {word}",
            task_id=word,
            verdict=Verdict.RUNTIME_ERROR,
            line=2,
            exception=word,
            message=word,
            terms=(word,),
        )
        return page_of(make_run(tmp_path / name, [crash], policy=word, tasks=[word]))

    hostile, tame = build("run", text), build("run2", "t" * len(text))
    needs_nothing(hostile)
    assert hostile.tags == tame.tags
    assert Counter((tag, name) for tag, name, _ in hostile.attributes) == Counter(
        (tag, name) for tag, name, _ in tame.attributes
    )
    assert f"{HEADER}\n    # {text}".replace("\x00", "") in [pre.replace("\x00", "") for pre in hostile.pre]
    assert text not in hostile.text or "<" not in text


def test_a_lone_surrogate_in_a_message_is_drawn(tmp_path: Path) -> None:
    """What `raise ValueError("\\ud800")` in a sampled program leaves in rollouts.jsonl."""
    crash = sample(verdict=Verdict.RUNTIME_ERROR, line=1, exception="ValueError", message="\ud800")
    assert "ValueError" in page_of(make_run(tmp_path / "run", [crash])).shown


# ----------------------------------------------------------------------------------------------------------- partial runs


def test_the_page_goes_where_it_is_told(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [sample()])
    assert write_report(folder, tmp_path / "page.html") == tmp_path / "page.html"
    assert (tmp_path / "page.html").exists()
    assert not (folder / "report.html").exists()


def test_a_page_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [])
    with pytest.raises(StorageError, match=r"could not write .*page\.html: No such file.*--out"):
        write_report(folder, tmp_path / "none" / "page.html")


def test_a_folder_without_a_run_is_a_clear_error(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(RunError, match=r"holds no run: .*config\.json.*Give the --out of a run"):
            write_report(folder)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["config.json", "environment.json", "metrics.jsonl", "rollouts.jsonl"])
def test_a_missing_file_is_said_on_the_page(name: str, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [sample()])
    (folder / name).unlink()
    page = page_of(folder)
    needs_nothing(page)
    assert f"{name} missing" in page.shown or f"{name} is missing" in page.shown


def test_a_run_before_its_first_step(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"algorithm": "RLTF", "policy": "tiny", "tasks": []}))
    page = page_of(tmp_path)
    assert "metrics.jsonl is missing" in page.shown
    assert "There are not two evaluations yet" in page.shown
    assert page.shown.count("nothing was recorded for this chart") == 9


def test_one_evaluation_is_a_dot_but_no_difference(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [sample()], steps=1)
    (folder / "evaluations" / "step-000001.json").unlink()
    page = page_of(folder)
    assert "There are not two evaluations yet" in page.shown
    assert "difference" not in page.shown
    assert "held-out pass@1, 0: 0.375" in page.shown


def test_a_half_written_line_is_left_out_and_said(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [sample()])
    for name in ("metrics.jsonl", "rollouts.jsonl"):
        with (folder / name).open("a") as lines:
            lines.write('{"step": 3, "lo')
    page = page_of(folder)
    assert "1 broken line in metrics.jsonl was left out" in page.shown
    assert "1 broken line in rollouts.jsonl was left out" in page.shown
    assert "steps 2" in page.shown
    assert page.tags["article"] == 1


def test_a_step_whose_judge_failed_has_gaps_not_errors(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [sample()])
    with (folder / "metrics.jsonl").open("a") as lines:
        lines.write(json.dumps({"step": 3, "seconds": 180.0, "samples": 24, "rollout/judge_errors": 8.0}) + "\n")
    page = page_of(folder)
    assert "steps 3" in page.shown
    assert page.tags["svg"] == 9


def test_a_run_with_a_critic_and_a_reference_has_their_charts(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [sample()])
    more = {"kl/ref": 0.25, "policy/kl_old": 0.5, "critic/explained_variance": -0.5, "critic/value_mean": 0.1}
    rows = [json.loads(line) | more for line in (folder / "metrics.jsonl").read_text().splitlines()]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = page_of(folder)
    assert page.tags["svg"] == 12
    for caption in ("How far the policy has moved", "What the critic explains", "Values and returns"):
        assert caption in page.shown
    assert "Programs sampled for values alone" not in page.shown


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 0.611, [0, 0.2, 0.4, 0.6]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-52.5, 15.8, [-40, -20, 0]),
        (0, 4e-5, [0, 1e-5, 2e-5, 3e-5, 4e-5]),
        (0, 64, [0, 20, 40, 60]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, ticks: list[float]) -> None:
    assert y_ticks(low, high) == pytest.approx(ticks)


def test_every_verdict_has_a_colour_of_its_own() -> None:
    assert set(VERDICT_COLOURS) == set(Verdict)
    assert len(set(VERDICT_COLOURS.values())) == len(Verdict)


def test_verdicts_keep_their_colours_whichever_occur() -> None:
    rows = [{"step": 1, "verdict/timeout": 0.25, "verdict/failed": 0.75, "verdict/passed": 0.0}]
    layers = verdicts(rows, [1.0])
    assert [(one.name, one.colour, list(one.ys)) for one in layers] == [
        ("failed", VERDICT_COLOURS[Verdict.FAILED], [0.75]),
        ("timeout", VERDICT_COLOURS[Verdict.TIMEOUT], [0.25]),
    ]
