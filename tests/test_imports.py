"""Data flows one way, and what needs no torch does not load it."""

import ast
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import linewise

ROOT = Path(linewise.__file__).parent
STAGES = (
    ("types", "errors"),
    ("tasks", "judge", "policy"),
    ("rollout",),
    ("credit", "prm"),
    ("values",),
    ("losses",),
    ("training", "evaluation"),
    ("recipes",),
    ("cli",),
)
"""From left to right; a package imports only from stages before its own, and from itself."""
LEVEL = {package: level for level, stage in enumerate(STAGES) for package in stage}
EXCEPTIONS = {
    # The data types name `JudgeError`, which a judge yields; errors import nothing.
    ("types", "errors"),
    # The trainer measures before and after a run; evaluation never imports training back.
    ("training", "evaluation"),
}
HEAVY = ("torch", "transformers", "accelerate", "peft")


def modules() -> dict[str, Path]:
    """Dotted name -> file of every module."""
    names = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(("linewise", *(part for part in parts if part != "__init__")))] = path
    return names


def imports_of(source: str) -> list[tuple[int, str]]:
    """(line, dotted name) of all imports, those inside functions and under TYPE_CHECKING included."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            # `from linewise import judge` names a package only in its list.
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "linewise" else [module]
            found += [(node.lineno, name) for name in names]
    return found


def violations(package: str, source: str) -> list[str]:
    """The imports of one module that go against the stream."""
    found = []
    for line, name in imports_of(source):
        assert not name.startswith("."), f"line {line}: relative import {name}; the checks below read absolute names"
        head, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if head != "linewise" or target == package or target.startswith("__"):
            continue
        if LEVEL[target] >= LEVEL[package] and (package, target) not in EXCEPTIONS:
            found.append(f"line {line}: {package} imports {name}")
    return found


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def test_every_package_has_its_place() -> None:
    packages = {package_of(path) for path in modules().values()} - {"__init__"}
    assert packages <= LEVEL.keys(), "give a new package its place in STAGES and in CONTRIBUTING.md"


@pytest.mark.parametrize("name", modules())
def test_a_module_imports_only_from_its_left(name: str) -> None:
    path = modules()[name]
    if path == ROOT / "__init__.py":
        assert imports_of(path.read_text()) == [], "the package itself must cost nothing"
    else:
        assert violations(package_of(path), path.read_text()) == []


def test_each_exception_is_needed() -> None:
    used = {
        (package_of(path), name.split(".")[1])
        for path in modules().values()
        for _, name in imports_of(path.read_text())
        if name.startswith("linewise.")
    }
    assert used >= EXCEPTIONS, "an exception that no module uses any more must go"


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("judge", "import linewise.tasks.check"),
        ("credit", "from linewise.losses import aggregate"),
        ("evaluation", "from linewise.training.run import train"),
        ("rollout", "def late():\n    from linewise import cli"),
        ("types", "from linewise.tasks import load_tasks"),
    ],
)
def test_the_check_sees_an_import_from_the_right(package: str, source: str) -> None:
    assert len(violations(package, source)) == 1


# ------------------------------------------------------------------------------------------------------- slim imports

SLIM_PACKAGES = ("types", "errors", "tasks", "judge", "rollout", "credit", "evaluation", "recipes", "cli")
SLIM_MODULES = (
    *("linewise.policy", "linewise.policy.names", "linewise.policy.scripted", "linewise.policy.lora"),
    *("linewise.prm", "linewise.prm.dataset", "linewise.prm.metrics", "linewise.prm.rank"),
    *(
        "linewise.prm.labels",
        "linewise.prm.label",
        "linewise.prm.search",
        "linewise.prm.stepwise",
    ),
    *("linewise.policy.batches", "linewise.values", "linewise.values.classes", "linewise.values.programs"),
    *("linewise.training.prm_options", "linewise.training.outcome_options", "linewise.training.outcome_metrics"),
    *("linewise.training.pretrain_options", "linewise.training.fit_state"),
    *("linewise.losses.aggregate", "linewise.training.config", "linewise.training.records"),
)
HELP = (
    ["--help"],
    ["--version"],
    ["tasks", "--help"],
    ["tasks", "list", "--help"],
    ["tasks", "show", "--help"],
    ["tasks", "check", "--help"],
    ["judge", "--help"],
    ["eval", "--help"],
    ["coderl", "--help"],
    ["coderl", "critic", "--help"],
    ["train", "--help"],
    ["train", "rltf", "--help"],
    ["train", "stepcoder", "--help"],
    ["train", "psgpo", "--help"],
    ["compare", "--help"],
    ["pretrain", "--help"],
    ["report", "--help"],
    ["prm", "--help"],
    ["prm", "label", "--help"],
    ["prm", "train", "--help"],
    ["prm", "score", "--help"],
    ["prm", "export", "--help"],
    ["prm", "import", "--help"],
)
PROBE = """
import contextlib, importlib, io, json, sys

def loaded():
    return {name.split(".")[0] for name in sys.modules}

news, known = [], loaded()
for kind, what in json.loads(sys.argv[1]):
    code = None
    if kind == "import":
        importlib.import_module(what)
    else:
        from linewise.cli.main import main
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                code = main(what)
            except SystemExit as end:
                code = end.code
    news.append({"code": code, "new": sorted(loaded() - known)})
    known = loaded()
print(json.dumps(news))
"""


def probe(steps: Sequence[tuple[str, object]]) -> list[dict[str, object]]:
    """Run the steps one after another in a fresh interpreter: exit code and newly loaded top-level packages of each."""
    done = subprocess.run([sys.executable, "-c", PROBE, json.dumps(steps)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    news: list[dict[str, object]] = json.loads(done.stdout)
    return news


def slim_modules() -> list[str]:
    """All modules of the slim packages but those that only the judge's child process runs, and single ones of others."""
    ours = [name for name, path in modules().items() if package_of(path) in SLIM_PACKAGES]
    return [name for name in ours if name not in ("linewise.judge.child", "linewise.judge.zygote")] + [*SLIM_MODULES]


def test_the_core_imports_no_torch() -> None:
    names = slim_modules()
    news = probe([("import", name) for name in names])
    offenders = {name: step["new"] for name, step in zip(names, news, strict=True) if {*HEAVY} & {*step["new"]}}
    assert offenders == {}
    assert any("tyro" in step["new"] for step in news), "the probe sees what a module loads"


def test_no_help_imports_torch() -> None:
    news = probe([("run", arguments) for arguments in HELP])
    for arguments, step in zip(HELP, news, strict=True):
        assert step["code"] == 0, arguments
        assert not {*HEAVY} & {*step["new"]}, f"linewise {' '.join(arguments)} loaded {step['new']}"


def test_judging_and_evaluating_without_a_model_load_no_torch(tmp_path: Path) -> None:
    task = {
        "id": "one",
        "prompt": "Give 1.",
        "entry_point": "f",
        "reference": "def f():\n    return 1\n",
        "tests": [{"kind": "call", "call": "f()", "expected": "1"}],
    }
    (tmp_path / "tasks.jsonl").write_text(json.dumps(task) + "\n")
    (tmp_path / "program.py").write_text("def f():\n    return 1\n")
    file = str(tmp_path / "tasks.jsonl")
    news = probe(
        [
            ("run", ["judge", str(tmp_path / "program.py"), "--tests", file]),
            ("run", ["tasks", "check", f"jsonl:{file}", "--workers", "1"]),
            ("run", ["eval", "--policy", "reference", "--tasks", f"jsonl:{file}", "--workers", "1", "--json"]),
        ]
    )
    assert [step["code"] for step in news] == [0, 0, 0]
    assert not {*HEAVY} & {name for step in news for name in step["new"]}
