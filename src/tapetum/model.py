"""A trained model for use: found by its folder or file, asked for embeddings."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.data.pictures import tracklet_from_path
from tapetum.embed import embed
from tapetum.methods._base import Method
from tapetum.methods._checkpoint import TRAINED_ON, load_method
from tapetum.types import Id, Modality, Tracklet, TrackletSet

Item: TypeAlias = Tracklet | str | os.PathLike[str]
"""What can be embedded: a tracklet, an image file, or a folder of one tracklet's frames."""

RUN_MODEL = "model.safetensors"
"""The result of a run, inside its folder."""


@dataclass(frozen=True, slots=True)
class Model:
    """A trained method with what its file says of it.

    Attributes:
        method: The network, in evaluation mode.
        fingerprint: Names weights and configuration; embeddings carry it.
        path: The file it was read from.
        label_ids: Person of each training label.
        camera_ids: Camera of each training camera index.
        trained_on: Title of the data set that it was trained on, such as "regdb?trial=3"; "" where the file
            does not say.
    """

    method: Method = field(repr=False)
    fingerprint: str
    path: Path
    label_ids: tuple[Id, ...] = field(default=(), repr=False)
    camera_ids: tuple[Id, ...] = field(default=(), repr=False)
    trained_on: str = ""

    def encode(
        self, items: Iterable[Item] | Item, batch_size: int = 32, *, modality: Modality | str | None = None
    ) -> NDArray[np.float32]:
        """Embeddings of tracklets or paths: float32 `[N, D]`, rows L2-normalised.

        Args:
            items: Tracklets, image files (one frame each), folders (one tracklet each), or one such alone.
            batch_size: Clips in a batch; it changes no number but for rounding.
            modality: Of the paths among the items; None: decided from the colours of a few frames of each
                (see `detect_modality`). Tracklets have their own.

        Raises:
            FileNotFoundError: A path leads nowhere.
            DataError: A file is no image, or a folder holds none.
        """
        told = Modality(modality) if modality is not None else None
        listed = [items] if isinstance(items, Tracklet | str | os.PathLike) else items
        tracklets = tuple(t if isinstance(t, Tracklet) else tracklet_from_path(t, told) for t in listed)
        return embed(self.method, TrackletSet("items", tracklets), batch_size=batch_size).vectors


def load(path: str | os.PathLike[str], *, device: torch.device | str = "cpu") -> Model:
    """A trained model, ready to encode.

    Args:
        path: A run's folder, its `model.safetensors`, or one of its checkpoints.
        device: Where to put it.

    Raises:
        FileNotFoundError: There is no such folder or file, or the run is not finished.
        CheckpointError: The file holds no method of this package, or was altered.
    """
    place = Path(path)
    file = _result_in(place) if place.is_dir() else place
    stored = load_method(file)
    return Model(
        stored.method.to(device),
        stored.fingerprint,
        file,
        stored.label_ids,
        stored.camera_ids,
        str(stored.extra.get(TRAINED_ON, "")),
    )


def _result_in(folder: Path) -> Path:
    file = folder / RUN_MODEL
    if not file.is_file():
        found = sorted((folder / "checkpoints").glob("step-*.safetensors"))
        hint = (
            f"the run is not finished; its last checkpoint is {found[-1]}"
            if found
            else "no run was finished here"
        )
        raise FileNotFoundError(f"{file}: no such file; {hint}")
    return file
