"""A trained model as an encoder of clips in the number type that an extraction asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tapetum.clip_encoding import ClipEncoder
from tapetum.data.clips import TestSampling
from tapetum.model import OnnxModel, TrainedModel, load
from tapetum.types import Id, Modality, Preprocessing

if TYPE_CHECKING:
    from tapetum.embed import Precision

_EXPORTED = ".onnx"


def load_encoder(path: str, device: str, precision: Precision, threads: int) -> ClipEncoder:
    """A trained model, ready to encode.

    Args:
        path: Run folder, model file or exported model.
        device: Where it computes.
        precision: Number type inside the network.
        threads: That it computes with on a processor; 0: as it chooses.

    Raises:
        FileNotFoundError: There is no model.
        ValueError: An exported model is asked for another number type than its own.
    """
    if Path(path).suffix.lower() == _EXPORTED:
        model: TrainedModel = load(path, device=device, threads=threads or None)
    else:
        model = load(path, device=device)
        _compute_with(threads)
    return encoder_of(model, device, precision)


def encoder_of(model: TrainedModel, device: str, precision: Precision) -> ClipEncoder:
    """The model itself, or the same in bfloat16.

    Raises:
        ValueError: An exported model is asked for another number type than its own.
    """
    if precision == "32":
        return model
    if isinstance(model, OnnxModel):
        raise ValueError(f"{model.path}: an exported model keeps its number type; plan with precision 32")
    return _Bfloat16(model, device)


class _Bfloat16:
    """Encodes in bfloat16 inside the network; embeddings stay float32."""

    def __init__(self, model: TrainedModel, device: str) -> None:
        self._model, self._device = model, device
        self.fingerprint = model.fingerprint
        self.preprocessing: Preprocessing = model.preprocessing
        self.sampling: TestSampling = model.sampling

    def encode_clips(
        self, clips: NDArray[np.uint8], modality: Sequence[Modality], camera_ids: Sequence[Id | None]
    ) -> NDArray[np.float32]:
        """Embeddings `[B, D]` of clips; see `ClipEncoder`."""
        import torch

        with torch.autocast(torch.device(self._device).type, torch.bfloat16):
            return self._model.encode_clips(clips, modality, camera_ids)


def _compute_with(threads: int) -> None:
    import torch

    if threads:
        torch.set_num_threads(threads)
