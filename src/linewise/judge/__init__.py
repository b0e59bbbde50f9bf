"""Runs untrusted programs against the tests of a task. docs/judge.md describes how, and how far it can be trusted."""

from linewise.judge.local import LocalJudge

__all__ = ["LocalJudge"]
