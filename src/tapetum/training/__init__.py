"""Train any method in stages: exact resume, a documented run folder, validation on held-out identities."""

from tapetum.training.config import RunConfig, TrainingConfig, resolve_run
from tapetum.training.launching import leads
from tapetum.training.loop import RunResult, build_method, train, train_method
from tapetum.training.progress import ProgressBar, Silent, TrainingProgress
from tapetum.training.run_log import read_log

__all__ = [
    "ProgressBar",
    "RunConfig",
    "RunResult",
    "Silent",
    "TrainingConfig",
    "TrainingProgress",
    "build_method",
    "leads",
    "read_log",
    "resolve_run",
    "train",
    "train_method",
]
