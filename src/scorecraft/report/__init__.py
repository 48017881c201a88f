"""Pictures and pages."""

from scorecraft.report.page import write_report

__all__ = ["write_report"]
