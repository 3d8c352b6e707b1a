"""What this machine can do, and how much of it each stage of the package reaches: one table."""

from tapetum.benchmarking.config import BenchConfig, choose_config
from tapetum.benchmarking.ledger import Result
from tapetum.benchmarking.rows import Limit, Row
from tapetum.benchmarking.run import Show, run_bench
from tapetum.benchmarking.stages import STAGES
from tapetum.benchmarking.table import table_json, write_page, write_table

__all__ = [
    "STAGES",
    "BenchConfig",
    "Limit",
    "Result",
    "Row",
    "Show",
    "choose_config",
    "run_bench",
    "table_json",
    "write_page",
    "write_table",
]
