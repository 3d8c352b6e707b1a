"""A trained model for use: found by its folder or file, asked for embeddings.

Importing this needs no torch, nor does an exported model; a run does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tapetum.clip_encoding import Item, Progress, as_tracklets
from tapetum.data.clips import TestSampling
from tapetum.data.frames import FrameSource
from tapetum.onnx_model import SUFFIX, OnnxModel, load_onnx
from tapetum.types import Embeddings, Id, Modality, Preprocessing, TrackletSet

if TYPE_CHECKING:
    import torch

    from tapetum.embed import Precision
    from tapetum.methods._base import Method

__all__ = ["RUN_MODEL", "Item", "Model", "OnnxModel", "TrainedModel", "load"]

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

    @property
    def name(self) -> str:
        """Name of the method."""
        return self.method.name

    @property
    def preprocessing(self) -> Preprocessing:
        """What clips look like."""
        return self.method.preprocessing

    @property
    def sampling(self) -> TestSampling:
        """How the frames of a clip are chosen."""
        return self.method.config.test_sampling

    @property
    def embedding_dim(self) -> int:
        """D, length of an embedding."""
        return self.method.embedding_dim

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
        return self.embed(as_tracklets(items, modality), batch_size=batch_size).vectors

    def embed(
        self,
        tracklets: TrackletSet,
        *,
        batch_size: int = 32,
        sampling: TestSampling | None = None,
        flip: bool = False,
        workers: int = 0,
        precision: Precision = "32",
        progress: Progress | None = None,
        cache: FrameSource | None = None,
    ) -> Embeddings:
        """Embeddings of tracklets that know their model; arguments and errors as `tapetum.embed.embed`."""
        from tapetum.embed import embed

        found = embed(
            self.method,
            tracklets,
            batch_size=batch_size,
            sampling=sampling,
            flip=flip,
            workers=workers,
            precision=precision,
            progress=progress,
            cache=cache,
            name=self.fingerprint,
        )
        return replace(found, trained_on=self.trained_on)

    def encode_clips(
        self, clips: NDArray[np.uint8], modality: Sequence[Modality], camera_ids: Sequence[Id | None]
    ) -> NDArray[np.float32]:
        """Embeddings `[B, D]`, L2-normalised, of clips uint8 `[B, T, 3, H, W]`, computed where the method is.

        Args:
            clips: Not normalised.
            modality: Of each clip.
            camera_ids: Of each clip; None where unknown.
        """
        from tapetum.embed import encode_clips

        return encode_clips(self.method, clips, modality, camera_ids)


TrainedModel = Model | OnnxModel
"""What `load` gives."""


def load(
    path: str | os.PathLike[str], *, device: torch.device | str = "cpu", threads: int | None = None
) -> TrainedModel:
    """A trained model, ready to encode.

    Args:
        path: A run's folder, its `model.safetensors`, one of its checkpoints, or what `tapetum export` wrote.
        device: Where to put it; an exported model runs on the processor.
        threads: Of an exported model, on the processor; None: one for each core that this process may use.
            The others run with torch's threads (`torch.set_num_threads`).

    Raises:
        FileNotFoundError: There is no such folder or file, or the run is not finished.
        CheckpointError: The file holds no method of this package, or was altered.
        ImportError: torch is not installed, which runs need; or onnxruntime, which exported models need.
        ValueError: An exported model is to be on another device, or `threads` are not for it.
    """
    place = Path(path)
    if place.suffix.lower() == SUFFIX and not place.is_dir():
        if str(device) != "cpu":
            raise ValueError(f"{place}: an exported model runs on the processor, not on {device}")
        return load_onnx(place, threads=threads)
    if threads is not None:
        raise ValueError(f"{place}: threads are told to exported models only; see torch.set_num_threads")
    return _load_run(_result_in(place) if place.is_dir() else place, device)


def _load_run(file: Path, device: torch.device | str) -> Model:
    try:
        from tapetum.methods._checkpoint import TRAINED_ON, load_method
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(
            f"{file}: a run needs torch, which is not installed; what `tapetum export` writes does not"
        ) from None
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
