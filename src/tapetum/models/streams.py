"""Per-modality copies of a network's first layers, whose outputs go on through layers that all share.

    stems = Streams(stem, ("visible", "infrared"))
    maps = stems(images, [Segment("visible", 32), Segment("infrared", 32), Segment("visible", 32)])
    maps = shared(maps)                                   # rows as in `images`

Which rows go where is told in Python values, so the host need not wait for the device. A tensor may tell it
where a graph is traced for export, which knows no rows yet: then every row passes both stems.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from tapetum.types import Batch, Modality

AUXILIARY = "auxiliary"
"""Stream of images that are of neither modality (MUN makes them of both)."""


class Segment(NamedTuple):
    """Consecutive rows of one stream.

    Attributes:
        stream: "visible", "infrared", or another name that the streams were built with.
        rows: How many.
    """

    stream: str
    rows: int


Routing: TypeAlias = Sequence[Segment] | Tensor
"""Which rows are whose: segments; or, for graphs that are traced, bool `[N]`: infrared, or else visible."""


def segments_of(streams: Iterable[str], frames: int = 1) -> list[Segment]:
    """Streams of clips, one by one, as segments of their frames.

    Args:
        streams: Stream of each clip; a `Modality` is the name of its stream.
        frames: Frames of each clip.

    >>> segments_of(["visible", "visible", "infrared"], frames=2)
    [Segment(stream='visible', rows=4), Segment(stream='infrared', rows=2)]
    """
    return [Segment(str(name), frames * len(list(run))) for name, run in groupby(streams)]


def frame_routing(clips: Tensor, infrared: Tensor | None) -> Tensor:
    """Bool `[B * T]`, whether each frame of clips `[B, T, ...]` is infrared, from that of the clips `[B]`.

    Raises:
        ValueError: It is not told.
    """
    if infrared is None:
        raise ValueError("the modality of clips decides their stem: tell which are infrared")
    return infrared[:, None].expand(-1, clips.shape[1]).flatten()


def batch_segments(batch: Batch) -> list[Segment]:
    """Segments of the frames of a cross-modal batch `[visible | infrared | exchanged views of visible]`.

    Raises:
        ValueError: The rows without the views are not two halves.
    """
    clips, frames = batch.clips.shape[:2]
    half, odd = divmod(clips - batch.views, 2)
    if odd or half < 0:
        raise ValueError(f"{clips} clips, {batch.views} of them exchanged views: the rest is no two halves")
    parts = ((Modality.VISIBLE, half), (Modality.INFRARED, half), (Modality.VISIBLE, batch.views))
    return [Segment(str(name), frames * rows) for name, rows in parts if rows]


class Streams(nn.Module):
    """Copies of a stem, one per stream, equal at first.

    All rows of a stream pass its copy together, wherever they stand, so that they share the statistics of a
    batch norm.

    Attributes:
        stems: The copies by name.

    Args:
        stem: The first layers; the first copy is this module itself.
        names: Streams, each once.

    Raises:
        ValueError: No name, or one twice.
    """

    def __init__(self, stem: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        names = [str(name) for name in names]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"expected names of streams, each once, found {names}")
        copies = {name: stem if i == 0 else copy.deepcopy(stem) for i, name in enumerate(names)}
        self.stems = nn.ModuleDict(copies)

    @property
    def names(self) -> tuple[str, ...]:
        """The streams that exist."""
        return tuple(self.stems)

    def forward(self, images: Tensor, segments: Routing) -> Tensor:
        """What the stems make of `images` `[N, ...]`, row i of row i.

        Args:
            images: Rows of all streams.
            segments: Whose rows they are, in the order of the rows.

        Raises:
            ValueError: A stream that does not exist, or segments that do not cover the rows.
        """
        if isinstance(segments, Tensor):
            return self._choose(images, segments)
        self._check(images.shape[0], segments)
        if len({segment.stream for segment in segments}) == 1:
            return self.stems[segments[0].stream](images)  # type: ignore[no-any-return]
        parts = torch.split_with_sizes(images, [segment.rows for segment in segments])
        places = {name: [i for i, s in enumerate(segments) if s.stream == name] for name in self.stems}
        outputs: dict[int, Tensor] = {}
        for name, own in places.items():
            if own:
                made = self.stems[name](_joined([parts[i] for i in own]))
                rows = torch.split_with_sizes(made, [segments[i].rows for i in own])
                outputs.update(zip(own, rows, strict=True))
        return torch.cat([outputs[i] for i in range(len(segments))])

    def _choose(self, images: Tensor, infrared: Tensor) -> Tensor:
        """Both stems see all rows, and each row keeps what its own makes of it."""
        seen, unseen = (self.stems[name.value](images) for name in (Modality.INFRARED, Modality.VISIBLE))
        return torch.where(infrared.view(-1, *(1 for _ in seen.shape[1:])), seen, unseen)

    def _check(self, rows: int, segments: Sequence[Segment]) -> None:
        for segment in segments:
            if segment.stream not in self.stems:
                known = ", ".join(self.stems)
                raise ValueError(f"unknown stream {segment.stream!r} of {segment.rows} rows; known: {known}")
        counted = sum(segment.rows for segment in segments)
        if counted != rows or any(segment.rows < 1 for segment in segments):
            raise ValueError(
                f"segments of {[s.rows for s in segments]} rows given for {rows}: expected numbers above 0 "
                "that add up"
            )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
