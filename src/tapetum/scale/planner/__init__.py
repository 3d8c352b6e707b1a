"""How long, how large, how costly: an extraction and its gallery on paper, from rates that were measured."""

from tapetum.scale.planner.checking import Check, check_extraction
from tapetum.scale.planner.estimating import Estimate, Workload, estimate, parse_count
from tapetum.scale.planner.measuring import measure_rates
from tapetum.scale.planner.rates import ModelRates, Rates, load_rates, save_rates

__all__ = [
    "Check",
    "Estimate",
    "ModelRates",
    "Rates",
    "Workload",
    "check_extraction",
    "estimate",
    "load_rates",
    "measure_rates",
    "parse_count",
    "save_rates",
]
