"""The folder with the published data sets; tests that need it skip without it."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder, which LINEWISE_DATA then names."""
    folder = Path(os.environ.get("LINEWISE_DATA", Path(__file__).parents[2] / "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no data in {folder}; set LINEWISE_DATA to the folder")
    monkeypatch.setenv("LINEWISE_DATA", str(folder))
    return folder
