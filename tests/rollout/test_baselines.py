"""W_base as the best program so far."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewise.rollout.baselines import best_so_far
from linewise.types import CallTest, Completion, Group, Outcome, Program, Report, Rollout, StopReason, Task, Verdict

# A busy machine is no fault of the code.
STEADY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def report(*verdicts: Verdict, message: str = "") -> Report:
    return Report(outcomes=tuple(Outcome(verdict=verdict, message=message) for verdict in verdicts))


def group(name: str, *reports: Report, baseline: Report | None = None) -> Group:
    task = Task(id=name, prompt="", tests=(CallTest(call="f()", expected="1"),) * 2)
    completion = Completion(
        prompt_ids=(1,), token_ids=(), logprobs=(), char_spans=(), text="", stop_reason=StopReason.EOS
    )
    program = Program(source="", header_chars=0, start=0, end=0)
    rollouts = tuple(Rollout(task=task, completion=completion, program=program, report=one) for one in reports)
    return Group(task=task, rollouts=rollouts, baseline=baseline)


PASS, FAIL, ERROR = Verdict.PASSED, Verdict.FAILED, Verdict.RUNTIME_ERROR


def test_the_pass_rate_comes_first_and_freedom_from_errors_second() -> None:
    ranked = [report(ERROR, ERROR), report(FAIL, FAIL), report(PASS, ERROR), report(PASS, FAIL), report(PASS, PASS)]
    for better in range(1, len(ranked)):
        for worse in range(better):
            pair = ranked[worse], ranked[better]
            assert best_so_far({"a": pair[0]}, [group("a", pair[1])])["a"] is pair[1]
            assert best_so_far({"a": pair[1]}, [group("a", pair[0])])["a"] is pair[1]
            assert best_so_far({}, [group("a", *pair)])["a"] is best_so_far({}, [group("a", *pair[::-1])])["a"]


def test_ties_keep_the_older_program() -> None:
    old, new, newer = (report(PASS, FAIL, message=message) for message in ("old", "new", "newer"))
    assert best_so_far({"a": old}, [group("a", new)])["a"] is old
    assert best_so_far({}, [group("a", old, new)])["a"] is old
    assert best_so_far({}, [group("a", old), group("a", new, newer)])["a"] is old


def test_every_error_counts_alike() -> None:
    old, new = report(FAIL, Verdict.TIMEOUT), report(Verdict.SYNTAX_ERROR, Verdict.SYNTAX_ERROR)
    assert best_so_far({"a": old}, [group("a", new)])["a"] is old
    assert best_so_far({"a": new}, [group("a", old)])["a"] is new


def test_tasks_that_were_not_visited_keep_theirs_and_the_old_history_is_untouched() -> None:
    history = {"a": report(FAIL), "b": report(FAIL)}
    before = dict(history)
    after = best_so_far(history, [group("b", report(PASS)), group("c", report(ERROR))])
    assert after == {"a": report(FAIL), "b": report(PASS), "c": report(ERROR)}
    assert history == before
    assert best_so_far(history, []) == history


def test_the_baseline_that_a_group_was_compared_with_does_not_count() -> None:
    """It may be of another kind of program (a greedy decode), which this history does not hold."""
    assert best_so_far({}, [group("a", report(FAIL), baseline=report(PASS))]) == {"a": report(FAIL)}


VERDICTS = st.tuples(*[st.sampled_from([PASS, FAIL, ERROR, Verdict.TIMEOUT])] * 2)
REPORTS = st.builds(lambda verdicts, message: report(*verdicts, message=str(message)), VERDICTS, st.integers(0, 99))
GROUPS = st.lists(
    st.builds(
        lambda name, reports: group(name, *reports), st.sampled_from("abc"), st.lists(REPORTS, min_size=1, max_size=3)
    ),
    max_size=6,
)


@STEADY
@given(groups=GROUPS, cut=st.integers(0, 6))
def test_steps_one_after_another_are_one_long_step(groups: list[Group], cut: int) -> None:
    assert best_so_far(best_so_far({}, groups[:cut]), groups[cut:]) == best_so_far({}, groups)


@STEADY
@given(groups=GROUPS)
def test_nothing_ever_seen_is_better(groups: list[Group]) -> None:
    best = best_so_far({}, groups)
    assert set(best) == {one.task.id for one in groups}
    for one in groups:
        seen = [rollout.report for rollout in one.rollouts]
        assert best[one.task.id].pass_rate >= max(each.pass_rate for each in seen)
        ties = [each for each in seen if each.pass_rate == best[one.task.id].pass_rate]
        assert best[one.task.id].error is None or all(each.error is not None for each in ties)
        assert best[one.task.id] in [rollout.report for other in groups for rollout in other.rollouts]
