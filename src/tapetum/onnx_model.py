"""What `tapetum export` wrote, run by onnxruntime: the face of `tapetum.model.Model`, without torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from tapetum.clip_encoding import Item, Mirror, Progress, Vectors, as_tracklets, embed_tracklets
from tapetum.data.clips import TestSampling
from tapetum.data.frames import FrameSource
from tapetum.errors import CheckpointError, ExportedModelError, MissingExtraError
from tapetum.onnx_metadata import CAMERAS, CLIPS, EMBEDDINGS, INFRARED, OnnxMetadata, digest_of
from tapetum.types import Embeddings, Id, Modality, Preprocessing, TrackletSet

SUFFIX = ".onnx"


@dataclass(frozen=True, slots=True, eq=False)
class OnnxModel:
    """An exported model with what its file says of it.

    It may be asked from several threads at once.

    Attributes:
        about: What the file says of itself.
        path: The file it was read from.
        session: Of onnxruntime.
    """

    about: OnnxMetadata
    path: Path
    session: Any = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """That of the run it was exported from; embeddings carry it."""
        return self.about.fingerprint

    @property
    def name(self) -> str:
        """Name of the method."""
        return self.about.method

    @property
    def preprocessing(self) -> Preprocessing:
        """What clips look like."""
        return self.about.preprocessing

    @property
    def sampling(self) -> TestSampling:
        """How the frames of a clip are chosen."""
        return self.about.sampling

    @property
    def embedding_dim(self) -> int:
        """D, length of an embedding."""
        return self.about.embedding_dim

    @property
    def trained_on(self) -> str:
        """Title of the data set that it was trained on; "" where the file does not say."""
        return self.about.trained_on

    @property
    def camera_ids(self) -> tuple[Id, ...]:
        """Camera of each training camera index."""
        return self.about.camera_ids

    @property
    def label_ids(self) -> tuple[Id, ...]:
        """Nobody: the people it was trained on are not told in an exported file."""
        return ()

    @property
    def method(self) -> Any:
        """There is none; this property exists to say so.

        Raises:
            ExportedModelError: Always.
        """
        self._refuse("has no torch Module")

    def encode(
        self, items: Iterable[Item] | Item, batch_size: int = 32, *, modality: Modality | str | None = None
    ) -> Vectors:
        """Embeddings of tracklets or paths: float32 `[N, D]`, rows L2-normalised; see `Model.encode`.

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
        precision: str = "32",
        progress: Progress | None = None,
        cache: FrameSource | None = None,
    ) -> Embeddings:
        """Embeddings of tracklets that know their model; the arguments are those of `tapetum.embed.embed`.

        Raises:
            ExportedModelError: Another precision than that of the file.
            ValueError: Unknown sampling, a batch size below 1, or an embedding that is not finite.
            DataError: A tracklet has no frames, or a frame cannot be read; the message names its file.
        """
        if precision != self.about.precision:
            self._refuse(f"computes in precision {self.about.precision}, not {precision}")
        mirror: Mirror | None = self.about.mirror if flip else None
        vectors = embed_tracklets(
            self,
            tracklets,
            self.embedding_dim * (2 if mirror == "append" else 1),
            batch_size=batch_size,
            sampling=sampling,
            mirror=mirror,
            workers=workers,
            progress=progress,
            source=cache,
        )
        return Embeddings(vectors, tracklets, self.fingerprint, self.trained_on)

    def encode_clips(
        self, clips: NDArray[np.uint8], modality: Sequence[Modality], camera_ids: Sequence[Id | None]
    ) -> Vectors:
        """Embeddings `[B, D]`, L2-normalised, of clips uint8 `[B, T, 3, H, W]`.

        Args:
            clips: Not normalised.
            modality: Of each clip.
            camera_ids: Of each clip; None where unknown.

        Raises:
            ValueError: Clips of another shape, another number of modalities or cameras than clips, or a
                camera that training did not see where the method takes no other.
        """
        self._check(clips, modality, camera_ids)
        if not len(clips):
            return np.zeros((0, self.embedding_dim), dtype=np.float32)
        given: dict[str, NDArray[Any]] = {CLIPS: self.preprocessing.normalise(clips)}
        if INFRARED in self.about.inputs:
            given[INFRARED] = np.array([Modality(seen) is Modality.INFRARED for seen in modality])
        if CAMERAS in self.about.inputs:
            given[CAMERAS] = self._camera_rows(camera_ids)
        found: Vectors = self.session.run([EMBEDDINGS], given)[0]
        return found

    def _check(
        self, clips: NDArray[np.uint8], modality: Sequence[Modality], camera_ids: Sequence[Id | None]
    ) -> None:
        size = self.preprocessing
        frames = clips.shape[1:2] if self.about.is_frame_count_free else (size.frames,)
        expected = (*frames, 3, size.height, size.width)
        if clips.ndim != 5 or clips.shape[1:] != expected or clips.dtype != np.uint8:
            wanted = ", ".join(map(str, expected))
            raise ValueError(
                f"clips of shape {list(clips.shape)} {clips.dtype}: expected uint8 [B, {wanted}]"
            )
        if not len(clips) == len(modality) == len(camera_ids):
            raise ValueError(
                f"{len(modality)} modalities and {len(camera_ids)} camera_ids for {len(clips)} clips"
            )

    def _camera_rows(self, camera_ids: Sequence[Id | None]) -> NDArray[np.int64]:
        row_of: dict[Id | None, int] = {camera: row for row, camera in enumerate(self.camera_ids)}
        foreign = [camera for camera in camera_ids if camera not in row_of]
        if foreign and self.about.unknown_camera == "error":
            known = ", ".join(map(str, self.camera_ids))
            raise ValueError(f"camera {foreign[0]!r} is not among those of the training data: {known}")
        return np.array([row_of.get(camera, -1) for camera in camera_ids], dtype=np.int64)

    def _refuse(self, what: str) -> NoReturn:
        raise ExportedModelError(f"{self.path}: an exported model {what}; load the run it was exported from")


def load_onnx(path: str | os.PathLike[str], *, threads: int | None = None) -> OnnxModel:
    """The model in a file of `tapetum export`.

    Args:
        path: The file.
        threads: Of this machine's processor; None: one for each core that this process may use.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is no ONNX file, not one of this package, of a newer version, or was altered.
        MissingExtraError: onnxruntime is not installed.
        ValueError: `threads` below 1.
    """
    place = Path(path)
    if not place.is_file():
        raise FileNotFoundError(f"{place}: no such file")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, found {threads}")
    session = _open_session(place, threads or _usable_cores())
    about = OnnxMetadata.from_properties(session.get_modelmeta().custom_metadata_map, place)
    if digest_of(place, about.content_bytes) != (about.content_bytes, about.content_sha256):
        raise CheckpointError(f"{place}: the content does not match its digest; the file was altered")
    return OnnxModel(about, place, session)


def _open_session(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "export") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors, which are raised anyway
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class of their own
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path}: not a complete ONNX file: {reason}") from None


def _usable_cores() -> int:
    """Cores that this process may use, where the system says; onnxruntime itself would take all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
