"""The whole way in one call: synthetic walkers, training, scores, a gallery, a search, and a report."""

from tapetum.demo.plan import DemoPlan
from tapetum.demo.run import DemoResult, run_demo

__all__ = ["DemoPlan", "DemoResult", "run_demo"]
