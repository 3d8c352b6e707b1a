"""Compare methods: the same data, the same training, several seeds; one result file per cell, one table."""

from tapetum.comparison.cells import Cell, plan_cells
from tapetum.comparison.folder import ComparisonFolder
from tapetum.comparison.plan import ComparisonPlan, read_plan
from tapetum.comparison.run import Outcome, Show, run_comparison, write_tables
from tapetum.comparison.status import Status, look

__all__ = [
    "Cell",
    "ComparisonFolder",
    "ComparisonPlan",
    "Outcome",
    "Show",
    "Status",
    "look",
    "plan_cells",
    "read_plan",
    "run_comparison",
    "write_tables",
]
