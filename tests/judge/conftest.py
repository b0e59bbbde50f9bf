"""One judge for all tests of this folder, and short ways to write tasks."""

from collections.abc import Iterator

import pytest

from linewise.judge import LocalJudge


@pytest.fixture(scope="session")
def judge() -> Iterator[LocalJudge]:
    with LocalJudge(workers=1) as judge:
        yield judge


@pytest.fixture(scope="session")
def patient() -> Iterator[LocalJudge]:
    """A judge whose wall limits strike late, for tests of CPU limits: on a loaded machine the others may strike first."""
    with LocalJudge(workers=1, wall_factor=50) as judge:
        yield judge


@pytest.fixture(scope="session")
def unsafe_judge() -> Iterator[LocalJudge]:
    """A judge under which programs can fork, write anywhere and signal their zygote."""
    with LocalJudge(workers=1, tier="T3", unsafe=True) as judge:
        yield judge


@pytest.fixture(scope="session")
def recording() -> Iterator[LocalJudge]:
    with LocalJudge(workers=1, record_lines=True, wall_factor=50) as judge:
        yield judge
