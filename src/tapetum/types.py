"""The nouns of the package: what flows between readers, methods, evaluation and search.

Everything is a tracklet: one person, one camera, one modality, an ordered list of frames. An image is a
tracklet of one frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # reading, searching and exported models do without torch
    import torch
    from torch import Tensor

Id = int | str
"""A person or camera identifier, exactly as in the data set; never renumbered."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Modality(StrEnum):
    """How a camera sees: colour by day, near infrared by night."""

    VISIBLE = "visible"
    INFRARED = "infrared"

    @property
    def other(self) -> Modality:
        """The modality on the other side of the search."""
        return Modality.INFRARED if self is Modality.VISIBLE else Modality.VISIBLE


@dataclass(frozen=True, slots=True)
class Tracklet:
    """One person seen by one camera in one modality, in time order.

    Attributes:
        tracklet_id: Unique inside the data set, stable between runs.
        frames: Paths of the frames' image files, or references to frames inside another file (see
            `tapetum.data.containers`), in time order; may be a lazy sequence.
        modality: How the camera saw.
        person_id: Who it is; None where unknown.
        camera_id: Which camera; None where unknown.
        time: Seconds since an epoch of the data set's choice; None where unknown.
        part: Where the data set's own files put it: "train", "query" or "gallery".
    """

    tracklet_id: str
    frames: Sequence[str]
    modality: Modality
    person_id: Id | None = None
    camera_id: Id | None = None
    time: float | None = None
    part: str = "gallery"


@dataclass(frozen=True, slots=True)
class TrackletSet(Sequence[Tracklet]):
    """An ordered, immutable list of tracklets with a name; the order is the data set's file order."""

    name: str
    tracklets: tuple[Tracklet, ...]

    def __len__(self) -> int:
        return len(self.tracklets)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.tracklets[index]

    def __iter__(self) -> Iterator[Tracklet]:
        return iter(self.tracklets)

    def where(self, keep: Callable[[Tracklet], bool], name: str | None = None) -> TrackletSet:
        """The tracklets that `keep` accepts, in the same order."""
        return TrackletSet(name or self.name, tuple(t for t in self.tracklets if keep(t)))

    def of_modality(self, modality: Modality) -> TrackletSet:
        """The tracklets of one modality, in the same order."""
        return self.where(lambda t: t.modality is modality, f"{self.name}/{modality.value}")

    @property
    def person_ids(self) -> list[Id]:
        """Distinct known identities; integers sorted as integers, texts as texts."""
        found = {t.person_id for t in self.tracklets if t.person_id is not None}
        return sorted(found, key=lambda i: (isinstance(i, str), i))


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a model's weights expect of their input; it belongs to the weights, not to the caller.

    Attributes:
        height: Frame height in pixels.
        width: Frame width in pixels.
        frames: T, frames a clip.
        mean: Per channel, of values in 0..1.
        std: Per channel, of values in 0..1.
    """

    height: int
    width: int
    frames: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    @overload
    def normalise(self, clips: NDArray[np.uint8]) -> NDArray[np.float32]: ...
    @overload
    def normalise(self, clips: Tensor) -> Tensor: ...
    def normalise(self, clips: Tensor | NDArray[np.uint8]) -> Tensor | NDArray[np.float32]:
        """Turn uint8 `[..., 3, H, W]` into normalised float32 of the same shape, of the same kind and place.

        Arrays and tensors give the same numbers, bit by bit on a processor.
        """
        shape = (3, 1, 1)
        if isinstance(clips, np.ndarray):
            levels = clips.astype(np.float32)
            levels /= np.float32(255)
            levels -= np.asarray(self.mean, dtype=np.float32).reshape(shape)
            levels /= np.asarray(self.std, dtype=np.float32).reshape(shape)
            return levels
        values = clips.float()
        mean, std = (_filled(channels, values).view(shape) for channels in (self.mean, self.std))
        return (values / 255.0 - mean) / std


def _filled(numbers: tuple[float, ...], like: Tensor) -> Tensor:
    """A tensor of `numbers` on the device of `like`; the host does not wait for an accelerator."""
    if like.device.type == "cpu":
        return like.new_tensor(numbers)
    import torch

    return torch.stack([like.new_full((), number) for number in numbers])


@dataclass(frozen=True, slots=True)
class Batch:
    """Clips of one or both modalities for one step.

    Cross-modal batches hold N visible rows, then N infrared rows; row j of both halves is the same person, K
    consecutive rows a person. Where the stage asks for exchanged views, a second view of each visible row
    follows, in the order of the first: [visible | infrared | exchanged visible], B = 3 N. Batches of one
    modality hold its N rows (and, of visible ones, N exchanged views).

    Attributes:
        clips: uint8 (from the loader) or normalised float32 (in a stage's step) `[B, T, 3, H, W]`.
        labels: int64 `[B]`, training class 0..I-1.
        infrared: bool `[B]`.
        cameras: int64 `[B]`, index into the training cameras; -1 where unknown.
        seed: What all randomness of this step is drawn from, a function of run seed, epoch and step.
        views: How many of the B rows, the last ones, are exchanged views; labels, infrared and cameras cover
            them too.
        parts: Of how many equal parts, one after the other, the rows consist: visible ones, infrared ones,
            exchanged views. Where several processes share a batch, each has its share of every part: whole
            people.
    """

    clips: Tensor
    labels: Tensor
    infrared: Tensor
    cameras: Tensor
    seed: int = 0
    views: int = 0
    parts: int = 1

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """The same batch on `device`."""
        move = {
            name: getattr(self, name).to(device, non_blocking=non_blocking)
            for name in ("clips", "labels", "infrared", "cameras")
        }
        return replace(self, **move)

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory (the loader calls this where an accelerator is used)."""
        move = {name: getattr(self, name).pin_memory() for name in ("clips", "labels", "infrared", "cameras")}
        return replace(self, **move)

    def without_views(self) -> Batch:
        """The batch without its exchanged views: one row a tracklet (slices of the same tensors)."""
        rows = self.labels.shape[0] - self.views
        kept = {name: getattr(self, name)[:rows] for name in ("clips", "labels", "infrared", "cameras")}
        return replace(self, **kept, views=0, parts=self.parts - bool(self.views))

    def normalised(self, preprocessing: Preprocessing) -> Batch:
        """The same batch with its uint8 clips made float32 and normalised, on their device."""
        return replace(self, clips=preprocessing.normalise(self.clips))


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Embeddings with the identifiers they need to be scored and searched.

    Attributes:
        vectors: float32 `[N, D]`, rows L2-normalised.
        tracklets: N tracklets, row by row.
        model: Fingerprint of the model that made them; "" where unknown.
        trained_on: Title of the data set that the model was trained on, such as "regdb?trial=3"; "" where
            unknown or not trained.
    """

    vectors: NDArray[np.float32]
    tracklets: TrackletSet
    model: str = ""
    trained_on: str = ""

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.tracklets):
            raise ValueError(
                f"embeddings of shape {self.vectors.shape} do not fit {len(self.tracklets)} tracklets: "
                "expected [N, D]"
            )

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, index: Sequence[int] | NDArray[np.int64]) -> Embeddings:
        """The rows at `index`, in that order."""
        chosen = np.asarray(index, dtype=np.int64)
        kept = TrackletSet(self.tracklets.name, tuple(self.tracklets[int(i)] for i in chosen))
        return replace(self, vectors=self.vectors[chosen], tracklets=kept)
