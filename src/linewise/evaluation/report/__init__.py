"""The report of a run: one HTML page that needs no network."""

from linewise.evaluation.report.page import write_report

__all__ = ["write_report"]
