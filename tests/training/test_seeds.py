from linewise.training.seeds import derive_seed, stream, subset, visit


def test_every_task_is_visited_once_an_epoch() -> None:
    items = list("abcde")
    visited = [item for index in range(5) for item in visit(items, visit_index=index, count=2, seed=3)]
    assert sorted(visited[:5]) == items
    assert sorted(visited[5:]) == items
    assert visited[:5] != visited[5:], "each epoch is shuffled anew"
    assert visit(items, visit_index=1, count=2, seed=3) == visited[2:4], "a visit is a function of its index"


def test_streams_differ_by_purpose_and_counter_and_repeat_by_name() -> None:
    seeds = {
        derive_seed(0, "sample", 0),
        derive_seed(0, "sample", 1),
        derive_seed(0, "draw", 0),
        derive_seed(1, "sample", 0),
    }
    assert len(seeds) == 4
    assert stream(0, "draw", 7).random() == stream(0, "draw", 7).random()


def test_subset_keeps_the_order_and_the_seed_decides() -> None:
    items = list(range(100))
    chosen = subset(items, 10, seed=1)
    assert chosen == sorted(chosen)
    assert len(chosen) == 10
    assert chosen == subset(items, 10, seed=1)
    assert chosen != subset(items, 10, seed=2)
    assert subset(items, None, seed=1) == items
