"""Checkpoints of several processes."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from linewise.errors import RunError
from linewise.training.checkpoint import load_checkpoint


@pytest.mark.parametrize(("then", "now"), [(2, 1), (1, 2), (0, 1)])
def test_another_number_of_processes_is_refused(then: int, now: int, tmp_path: Path) -> None:
    """Fewer would lose the others' samples without a word; more would have none to begin with."""
    for index in range(then):
        (tmp_path / f"state-{index}.json").write_text("{}")
    accelerator = SimpleNamespace(process_index=0, num_processes=now)
    with pytest.raises(RunError, match=f"made by {then} processes, not by the {now}.*as many processes as the run had"):
        load_checkpoint(tmp_path, accelerator, {})  # type: ignore[arg-type]
