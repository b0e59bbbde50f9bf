"""Spectrum-based fault localisation: how much the lines that failing tests execute stand out from the others."""

from collections import Counter
from collections.abc import Mapping
from math import sqrt

from linewise.types import Report, Verdict


def ochiai(report: Report) -> Mapping[int, float]:
    """Ochiai's coefficient of each executed line, in [0, 1]; the larger, the more suspicious.

        s(l) = failed(l) / sqrt(F * (failed(l) + passed(l)))

    where failed(l) and passed(l) count the failing and passing tests that executed line l, and F all failing tests
    (Abreu et al., "On the Accuracy of Spectrum-based Fault Localization", 2007, equation 3). A test fails with any verdict
    but PASSED. Tests whose lines are unknown are left out, also of F. Without a failing test every line has 0.

    Lines that no test executed are absent, and so are all lines where none were recorded
    (`LocalJudge(record_lines=True)`) or nothing ran (a syntax error). Absent are also lines that only loading the program
    ran (`def`, `import`, constants): every call test shares them, so they would dilute the first place. The lines come in
    ascending order.

    Example: a test that ran lines 1 and 2 passed, one that ran 1 and 3 failed: {1: 0.71, 2: 0.0, 3: 1.0}.
    """
    failed: Counter[int] = Counter()
    passed: Counter[int] = Counter()
    num_failed = 0
    for outcome in report.outcomes:
        if outcome.executed_lines is None:
            continue
        if outcome.verdict is Verdict.PASSED:
            passed.update(outcome.executed_lines)
        else:
            failed.update(outcome.executed_lines)
            num_failed += 1
    return {
        line: failed[line] / sqrt(num_failed * (failed[line] + passed[line])) if num_failed else 0.0
        for line in sorted(failed.keys() | passed.keys())
    }
