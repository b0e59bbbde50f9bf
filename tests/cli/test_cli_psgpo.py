"""`linewise train psgpo`: which policies of the first phase are labelled, and how the whole run goes on."""

from dataclasses import replace
from pathlib import Path

import pytest

from linewise.cli import train_psgpo
from linewise.cli.train_psgpo import create, evenly_spaced, label_phase, main
from linewise.errors import RunError
from linewise.recipes.psgpo import Phases, psgpo


@pytest.mark.parametrize(
    ("exported", "chosen"),
    [
        ([2, 4, 6, 8], [2, 4, 6, 8]),
        ([2, 4, 6, 8, 10], [4, 6, 8, 10]),
        ([1, 2, 3, 4, 5, 6, 7], [2, 4, 6, 7]),
        ([1, 2], [1, 2]),
        ([], []),
    ],
)
def test_four_policies_lie_over_the_whole_run(exported: list[int], chosen: list[int]) -> None:
    assert evenly_spaced([Path(str(step)) for step in exported]) == [Path(str(step)) for step in chosen]


def test_a_baseline_that_exported_nothing_is_a_clear_error(tmp_path: Path) -> None:
    phases = replace(psgpo(), baseline=replace(psgpo().baseline, max_programs=64))
    with pytest.raises(RunError, match=r"exported no policy.*Raise --baseline\.max-programs"):
        label_phase(phases, tmp_path)


def test_a_resumed_run_has_the_same_settings(tmp_path: Path) -> None:
    create(tmp_path / "run", psgpo())
    with pytest.raises(RunError, match=r"has baseline\.update\.learning_rate = 2e-05, not 0\.5: a resumed run"):
        main(["--resume", str(tmp_path / "run"), "--baseline.update.learning-rate", "0.5"])


def test_after_ctrl_c_the_whole_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_phases: Phases, _folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_psgpo, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(["--out", str(tmp_path / "run")])
    assert f"linewise train psgpo --resume {tmp_path / 'run'}" in capsys.readouterr().out
