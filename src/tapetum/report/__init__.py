"""A run as one HTML page, and the pictures in it."""

from tapetum.report.build import build_report
from tapetum.report.data import ReportData

__all__ = ["ReportData", "build_report"]
