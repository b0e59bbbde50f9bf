"""The binary search, by hand and against every place where a program can go wrong."""

import pytest

from linewise.prm.search import Search, line_labels, most_queries


def run(num_lines: int, num_recoverable: int) -> tuple[list[int], int]:
    """The queries of a search for a known place, and what it found."""
    search = Search(high=num_lines)
    queries = []
    while (query := search.query) is not None:
        queries.append(query)
        search = search.answered(recoverable=query <= num_recoverable)
    return queries, search.low


def test_by_hand() -> None:
    # T = 10, lines 1 .. 3 recoverable: (0, 10) asks 5, no; (0, 5) asks 2, yes; (2, 5) asks 3, yes; (3, 5) asks 4, no.
    assert run(10, 3) == ([5, 2, 3, 4], 3)
    assert run(10, 9) == ([5, 7, 8, 9], 9)
    assert run(10, 0) == ([5, 2, 1], 0)
    assert run(1, 0) == ([], 0)
    assert run(2, 1) == ([1], 1)
    assert run(0, 0) == ([], 0)


@pytest.mark.parametrize("num_lines", range(1, 70))
def test_every_place_is_found_in_ceil_log2_queries(num_lines: int) -> None:
    for place in range(num_lines):
        queries, found = run(num_lines, place)
        assert found == place
        assert len(queries) <= most_queries(num_lines)


def test_the_papers_costs() -> None:
    assert [most_queries(lines) * 20 for lines in (10, 40)] == [80, 120]


def test_labels_put_the_comment_rule_first() -> None:
    assert line_labels(4, 2, {2, 4}) == (1, 0, -1, 0)
    assert line_labels(3, 3, ()) == (1, 1, 1)
    assert line_labels(0, 0, ()) == ()


def test_an_ended_search_takes_no_answer() -> None:
    with pytest.raises(AssertionError):
        Search(high=1).answered(recoverable=True)
