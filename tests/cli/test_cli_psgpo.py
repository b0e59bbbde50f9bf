"""`linewise train psgpo`: which policies of the first phase are labelled."""

from dataclasses import replace
from pathlib import Path

import pytest

from linewise.cli.train_psgpo import evenly_spaced, label_phase
from linewise.errors import RunError
from linewise.recipes.psgpo import psgpo


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
