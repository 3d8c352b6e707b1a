"""Options of the commands that embed tracklets, and what they do with them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tapetum.cli._console import note, progress_bar
from tapetum.data.datasets import DataSet, DataSpec, read_dataset
from tapetum.data.datasets._base import parse_options
from tapetum.types import Embeddings, TrackletSet

if TYPE_CHECKING:
    from tapetum.model import TrainedModel

_DIVISION = "trial"
"""Option of the data sets that are divided in several ways: which of them."""


class Precision(StrEnum):
    """Number type inside the network."""

    FLOAT32 = "32"
    BFLOAT16 = "bf16"


class Sampling(StrEnum):
    """How frames of a tracklet are chosen for a clip."""

    CHUNK_FIRST = "chunk-first"
    UNIFORM = "uniform"
    DENSE = "dense"


BatchSize = Annotated[int, typer.Option(help="Clips in a batch.")]
Workers = Annotated[int, typer.Option(help="Processes that read frames; 0: one thread.")]
PrecisionOption = Annotated[Precision, typer.Option(help="Inside the network; embeddings are float32.")]
SamplingOption = Annotated[Sampling | None, typer.Option(help="Test frames; default: the method's.")]
Flip = Annotated[
    bool,
    typer.Option(
        "--flip", help="Add or append, as the method says, the embedding of each clip's mirror image."
    ),
]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How tracklets become embeddings; as the `embed` of a model takes it."""

    sampling: Sampling | None
    batch_size: int
    workers: int
    precision: Precision
    flip: bool

    def embed(self, model: TrainedModel, tracklets: TrackletSet) -> Embeddings:
        """Embeddings of tracklets that know their model, with a progress bar on the way."""
        with progress_bar("tracklets") as progress:
            return model.embed(
                tracklets,
                batch_size=self.batch_size,
                sampling=self.sampling.value if self.sampling else None,
                flip=self.flip,
                workers=self.workers,
                precision=self.precision.value,
                progress=progress,
            )


def read_for(model: TrainedModel, data: str) -> DataSet:
    """The data set `data`; where it leaves open which division is meant, the one the model was trained on."""
    spec = DataSpec.parse(data)
    name, _, variant = model.trained_on.partition("?")
    own = parse_options(variant).get(_DIVISION) if name == spec.name else None
    if own is None or _DIVISION in spec.options:
        return read_dataset(data)
    note(f"{model.path}: {_DIVISION}={own}, as it was trained on")
    return read_dataset(data, **{_DIVISION: own})
