"""A model scored on corrupted pictures: what it keeps of its scores when pictures go wrong."""

from tapetum.robustness.measure import measure_robustness
from tapetum.robustness.plan import RobustnessPlan
from tapetum.robustness.sides import Side, applicable

__all__ = ["RobustnessPlan", "Side", "applicable", "measure_robustness"]
