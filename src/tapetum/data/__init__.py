"""From a folder on disk to batches of clips: readers, frame sampling, augmentation, PK batches, loading.

What makes or augments tensors is imported when it is first asked for: reading does without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tapetum.data.checking import FileProblem, check_files
from tapetum.data.clip_reading import ClipArrays, read_clips
from tapetum.data.clips import (
    TestSampling,
    TrainSampling,
    chunk_first,
    chunk_random,
    dense,
    select_test_frames,
    select_training_frames,
    uniform,
    window,
)
from tapetum.data.datasets import Count, DataSet, Fault, Remark, dataset_names, read_dataset
from tapetum.data.datasets._manifest_table import ManifestError
from tapetum.data.examination import Examination, Finding, Severity, examine
from tapetum.data.frames import FrameCache, FrameFiles, FrameSource, open_frames, read_clip, read_frame
from tapetum.data.manifests import BuiltManifest, build_manifest
from tapetum.data.modality_detection import ModalityGuess, detect_modality
from tapetum.data.samplers import PkSampler, divide_labels

if TYPE_CHECKING:
    from tapetum.data.loading import ClipBatch, TrainingRows, TrainLoader, clip_batches, step_seed
    from tapetum.data.transforms import Augmentation, augment

__all__ = [
    "Augmentation",
    "BuiltManifest",
    "ClipArrays",
    "ClipBatch",
    "Count",
    "DataSet",
    "Examination",
    "Fault",
    "FileProblem",
    "Finding",
    "FrameCache",
    "FrameFiles",
    "FrameSource",
    "ManifestError",
    "ModalityGuess",
    "PkSampler",
    "Remark",
    "Severity",
    "TestSampling",
    "TrainLoader",
    "TrainSampling",
    "TrainingRows",
    "augment",
    "build_manifest",
    "check_files",
    "chunk_first",
    "chunk_random",
    "clip_batches",
    "dataset_names",
    "dense",
    "detect_modality",
    "divide_labels",
    "examine",
    "open_frames",
    "read_clip",
    "read_clips",
    "read_dataset",
    "read_frame",
    "select_test_frames",
    "select_training_frames",
    "step_seed",
    "uniform",
    "window",
]

_HOMES = {
    "tapetum.data.loading": {"ClipBatch", "TrainLoader", "TrainingRows", "clip_batches", "step_seed"},
    "tapetum.data.transforms": {"Augmentation", "augment"},
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        for home, names in _HOMES.items():
            if name in names:
                return getattr(importlib.import_module(home), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
